"""One measured figure beside the bar that it has to meet, and how figures are printed and kept."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """What a check measured.

    ``check`` says what was compared with what, ``note`` how, and what limits it. ``value`` and ``bar`` are in
    ``unit``; the bar is the most that the value may be, or with ``at_least`` the least. A check that lacks its data
    has the value NaN, and its note says which file is missing.
    """

    check: str
    value: float
    unit: str
    bar: float
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where nothing could be measured."""
        if math.isnan(self.value):
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar


_WORDS = {True: "met", False: "MISSED", None: "no data"}


def as_text(figures: Sequence[Figure]) -> str:
    """A table of ``figures`` for people, one line each and its note below."""
    width = max((len(figure.check) for figure in figures), default=0)
    lines = []
    for figure in figures:
        value = "-" if figure.met is None else f"{figure.value:.3g}"
        bar = f"{'>=' if figure.at_least else '<='} {figure.bar:g} {figure.unit}"
        lines.append(f"{figure.check:{width}}  {value:>8}  {bar:14}  {_WORDS[figure.met]}")
        if figure.note:
            lines.append(f"    {figure.note}")
    return "\n".join(lines)


def save_json(checks: dict[str, Sequence[Figure]], path: Path) -> None:
    """Write the figures of ``checks``, by module, to ``path``; a value that could not be measured is null."""
    rows = {
        name: [
            {**asdict(figure), "value": None if figure.met is None else figure.value, "met": figure.met}
            for figure in figures
        ]
        for name, figures in checks.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(rows, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, path)
