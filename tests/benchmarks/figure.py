"""A measured figure and the bar that it has to meet."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measurement: ``value`` in ``unit``, at most ``bar`` where there is one; ``note`` says what it means."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without one. What could not be measured (NaN) does not meet it."""
        return None if self.bar is None else self.value <= self.bar

    def line(self) -> str:
        """The figure for people: name, figure, bar, met or missed."""
        value = "not measured" if math.isnan(self.value) else f"{self.value:.3g} {self.unit}"
        if abs(self.value) >= 1000.0:
            value = f"{self.value:,.0f} {self.unit}".replace(",", " ")
        bar = "" if self.bar is None else f"at most {self.bar:g} {self.unit}"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return f"{self.name:44}{value:>22}  {bar:20}{verdict:8}{self.note}".rstrip()


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    facts: dict[str, object] = {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    if hasattr(os, "getloadavg"):
        facts["load before"] = round(os.getloadavg()[0], 2)
    return facts


def save(figures: Sequence[Figure], facts: dict[str, object], path: Path) -> None:
    """Write all figures to ``path`` as JSON."""
    rows = [{**asdict(f), "value": None if math.isnan(f.value) else f.value, "met": f.met} for f in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps({"machine": facts, "figures": rows}, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
