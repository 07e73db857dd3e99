"""What the check-list finds, and the button that mends it."""

from __future__ import annotations

from dataclasses import dataclass, field

import bpy


@dataclass(frozen=True)
class Remedy:
    """A button: an operator, what it says and what it is given."""

    operator: str
    label: str
    options: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One thing that is odd; ``serious`` where nothing can be baked before it is mended."""

    text: str
    remedy: Remedy | None = None
    serious: bool = False


def fix(kind: str, label: str, item: bpy.types.Object | None = None) -> Remedy | None:
    """The operator `acoustics.fix`, or None for what cannot be changed here since it is linked."""
    if item is None:
        return Remedy("acoustics.fix", label, {"kind": kind})
    editable = item.is_editable and (item.data is None or item.data.is_editable)
    return Remedy("acoustics.fix", label, {"kind": kind, "target": item.name}) if editable else None
