"""Acoustic Fields: spatial audio and loudness maps from the rooms that a .blend file holds."""

from __future__ import annotations

import bpy

from . import (
    curve,
    fixes,
    inside,
    inspection,
    lines,
    map_export,
    operators,
    overlay,
    panels,
    preferences,
    presets,
    probe_tool,
    properties,
    property_panels,
    refine,
    resident,
    shell,
    upkeep,
    views,
    words,
)

_MODULES = (
    words,
    preferences,
    properties,
    presets,
    curve,
    fixes,
    operators,
    inside,
    inspection,
    refine,
    upkeep,
    shell,
    resident,
    probe_tool,
    lines,
    views,
    map_export,
    panels,
    property_panels,
    overlay,
)
_commands = []


def register() -> None:
    """Register the add-on with Blender."""
    for module in _MODULES:
        module.register()
    _commands.append(bpy.utils.register_cli_command("acoustics_bake", _bake_command))


def unregister() -> None:
    """Undo `register`, in reverse."""
    bpy.utils.unregister_cli_command(_commands.pop())
    for module in reversed(_MODULES):
        module.unregister()


def _bake_command(arguments: list[str]) -> int:
    """Run `blender -b FILE.blend --command acoustics_bake --output DIR`."""
    from .command import bake_open_file  # only now: it is not needed at start

    return bake_open_file(arguments)
