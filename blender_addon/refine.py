"""Refining a room in the worker, and what came of it, shown until the room changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import bpy
from bpy.app.handlers import persistent
from bpy.types import Context, Operator

from . import checklist, drawing, sheet
from .inspection import moved
from .jobs import Running
from .operators import Activity, JobOperator, redraw
from .words import said

# Settings of a scene on which its scan depends, or the place where it is kept.
_SETTINGS = (
    "directory",
    "default_material",
    "detail",
    "temperature",
    "humidity",
    "pressure",
    "seed",
    "quality",
    "recorded_field",
    "bake_range",
    "bake_start",
    "bake_end",
)
_NO_PART = {"SPEAKER", "CAMERA", "LIGHT", "EMPTY"}  # of the room


class Outcome:
    """What the last refinement said, and of which room; the sidebar shows it while that is the same."""

    _said: ClassVar[tuple[tuple[str, str], ...]] = ()
    _room: ClassVar[tuple] = ()

    @classmethod
    def keep(cls, scene: bpy.types.Scene, text: str, warnings: Iterable[str] = ()) -> None:
        """Show this for the room of ``scene`` as it is."""
        cls._said = ("INFO", text), *(("ERROR", warning) for warning in dict.fromkeys(warnings))
        cls._room = _room_of(scene)

    @classmethod
    def forget(cls) -> None:
        """The room is another one now."""
        cls._said = ()

    @classmethod
    def shown(cls) -> bool:
        """Whether there is anything to forget."""
        return bool(cls._said)

    @classmethod
    def of(cls, scene: bpy.types.Scene) -> tuple[tuple[str, str], ...]:
        """What was said of the room of ``scene`` as (icon, text); empty where that has changed since."""
        return cls._said if cls.shown() and cls._room == _room_of(scene) else ()


def _room_of(scene: bpy.types.Scene) -> tuple:
    """What makes a room but for its shape; updates of the scene tell of that, and not of these when a script acts."""
    settings = scene.acoustics
    file = bpy.data.filepath, scene.name, scene.unit_settings.scale_length, scene.frame_start, scene.frame_end
    surfaces = tuple(
        (item.name, item.acoustics.surface)
        for item in scene.objects
        if item.acoustics.surface != "SOLID" and not item.get(sheet.MARK)
    )
    materials = tuple((item.name, drawing.choice_of(item, settings)) for item in checklist.materials_of(scene))
    return (*file, *(getattr(settings, name) for name in _SETTINGS), surfaces, materials)


class ACOUSTICS_OT_refine(JobOperator, Operator):
    """Send more sound paths through the room, and keep what they tell where it is nearer to traced sound."""

    bl_idname = "acoustics.refine"
    bl_label = "Refine Acoustics"
    bl_description = (
        "Send eight times as many sound paths through this room, check them against traced sound, and let Bake and "
        "Loudness Map use them if they are nearer to it, until the room changes. Takes about a minute for each state "
        "of the room"
    )
    bl_options = set()
    kind = "refine"

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.scene is not None and Activity.running is None and context.scene.acoustics.recorded_field.strip():
            cls.poll_message_set(said("A recorded room answers here, and only a modelled one can be refined"))
            return False
        return super().poll(context)

    def _begin(self, context: Context, progress: Callable[[float], None] | None = None) -> Running:
        Outcome.forget()
        return super()._begin(context, progress)

    def _finished(self, context: Context, running: Running) -> set[str]:
        words = running.worker.result["words"]
        context.view_layer.update()  # so that what was shown for the reading does not count as a change later
        Outcome.keep(context.scene, words, (message for message, _ in running.warnings))
        self.report({"INFO"}, said(words))
        redraw(context)
        return {"FINISHED"}


@persistent
def _changed(_scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Forget what was said of a room in which something moves or gets another shape."""
    if Outcome.shown() and Activity.running is None and any(item.type not in _NO_PART for item in moved(depsgraph)):
        Outcome.forget()


@persistent
def _opened(_path: str) -> None:
    """Forget what was said in another file."""
    Outcome.forget()


def register() -> None:
    """Register the operator, and watch for changes."""
    bpy.utils.register_class(ACOUSTICS_OT_refine)
    bpy.app.handlers.depsgraph_update_post.append(_changed)
    bpy.app.handlers.load_post.append(_opened)


def unregister() -> None:
    """Undo `register`."""
    Outcome.forget()
    bpy.app.handlers.load_post.remove(_opened)
    bpy.app.handlers.depsgraph_update_post.remove(_changed)
    bpy.utils.unregister_class(ACOUSTICS_OT_refine)
