"""Acoustic fields: room acoustics for any triangle scene, from a neural field or a reference ray tracer."""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

# Blender imports this package at start: the heavy modules are loaded when a name is first used.
_HOMES = {
    "Air": "air",
    "BANDS_HZ": "bands",
    "Emitter": "scene",
    "EnergyResponse": "response",
    "Field": "field",
    "Listener": "scene",
    "Material": "materials",
    "Scene": "scene",
    "Trajectory": "scene",
    "UserError": "errors",
    "trace": "tracer",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
