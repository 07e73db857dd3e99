"""What a bake or map has warned of: in the scene beside its results, and so undone, saved and cleared with them."""

# Blender reads the annotations below as they are: see properties.py, also on callbacks.

from collections.abc import Iterable

import bpy
from bpy.props import StringProperty
from bpy.types import PropertyGroup


class AcousticWarning(PropertyGroup):
    """One warning, in English as the worker gave it."""

    message: StringProperty(options={"HIDDEN"})
    object_name: StringProperty(options={"HIDDEN"})  # what it is about, empty for nothing in particular


def keep(scene: bpy.types.Scene, warnings: Iterable[tuple[str, str | None]]) -> None:
    """Keep the warnings (message, name) of the results that a scene has now, in place of earlier ones."""
    clear(scene)
    for message, name in dict.fromkeys(warnings):
        kept = scene.acoustics.warnings.add()
        kept.message, kept.object_name = message, name or ""


def clear(scene: bpy.types.Scene) -> None:
    """Forget what was warned of."""
    scene.acoustics.property_unset("warnings")


def warnings_of(scene: bpy.types.Scene) -> list[tuple[str, str]]:
    """The warnings (message, name or "") of the results that a scene has."""
    return [(kept.message, kept.object_name) for kept in scene.acoustics.warnings]
