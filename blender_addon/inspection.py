"""The look at the geometry: its faults, openings, and who stands where nobody hears, kept until something moves."""

# Blender reads the annotations of operators as they are: this file must not postpone their evaluation.

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import bpy
from bpy.app.handlers import persistent
from bpy.props import BoolProperty, FloatVectorProperty, StringProperty
from bpy.types import Context, Operator
from mathutils import Vector

from naf_core.errors import UserError
from naf_core.inspection import Inspection, Note, Owner, Person

from . import preferences, sheet, worker
from .geometry import metres_per_unit, read_scene
from .motion import camera_at
from .operators import Activity, JobOperator, free, redraw
from .visibility import as_rendered
from .words import said

# Kinds of notes: what changes what is heard, and what seldom does.
GRAVE = ("outside", "inside", "surface", "leak")
HARMLESS = ("duplicate", "zero-area", "intersecting", "flipped")


class Notes:
    """What the last look found, and of which scene of which file; the check-list shows it."""

    found: ClassVar[tuple[Note, ...] | None] = None
    place: ClassVar[tuple[str, str]] = ("", "")

    @classmethod
    def keep(cls, scene: bpy.types.Scene, found: tuple[Note, ...]) -> None:
        """Show these for ``scene``."""
        cls.found, cls.place = found, (bpy.data.filepath, scene.name)

    @classmethod
    def forget(cls) -> None:
        """What was found holds no longer."""
        cls.found = None

    @classmethod
    def of(cls, scene: bpy.types.Scene) -> tuple[Note, ...] | None:
        """What was found of ``scene``; None where nobody looked, or where it has changed since."""
        return cls.found if cls.place == (bpy.data.filepath, scene.name) else None


class Look(worker.Followed):
    """A look at the geometry that goes on in the worker."""

    def __init__(self, scene: bpy.types.Scene, folder: Path) -> None:
        command = [preferences.python(), "-m", "naf_core", "check", str(folder)]
        super().__init__(worker.Worker(command, worker.environment(preferences.current().threads)))
        self._scene, self._folder = scene.name, folder

    @property
    def text(self) -> str:
        """How far it is."""
        return f"{self.fraction:.0%}  {said('Looking at the geometry')}"

    def finish(self) -> None:
        """Keep what was found; raises UserError where the scene is gone."""
        scene = bpy.data.scenes.get(self._scene)
        if scene is None:
            raise UserError(f"The scene “{self._scene}” is gone.")
        Notes.keep(scene, tuple(Note(**note) for note in self.worker.result["notes"]))

    def close(self) -> None:
        """End the work where it still runs, and remove what only it needed."""
        self.worker.cancel()
        shutil.rmtree(self._folder, ignore_errors=True)


def begin(context: Context, progress: Callable[[float], None] | None = None) -> Look:
    """Read the geometry as a bake would at the current frame, and start the worker; raises UserError."""
    with as_rendered(context.view_layer):
        reading = read_scene(context.evaluated_depsgraph_get(), progress)
    context.view_layer.update()  # so that what was shown for this does not count as a change later
    owners = [Owner(name, count, flat) for (name, _, count), flat in zip(reading.owners, reading.flat, strict=True)]
    folder = Path(tempfile.mkdtemp(prefix="acoustics-", dir=bpy.app.tempdir or None))
    try:
        Inspection(reading.scene, tuple(owners), tuple(people(context))).save(folder)
        return Look(context.scene, folder)
    except (OSError, UserError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, UserError):
            raise
        raise UserError(f"Nothing can be written to the folder for temporary files ({error.strerror}).") from error


def people(context: Context) -> list[Person]:
    """The Speakers that are heard and the listener, where they are now."""
    scene, scale = context.scene, metres_per_unit(context.scene)
    depsgraph = context.evaluated_depsgraph_get()
    listener = scene.acoustics.listener or camera_at(scene, scene.frame_current)
    speakers = (item for item in context.view_layer.objects if item.type == "SPEAKER")
    heard = [item for item in speakers if item.acoustics.include and not item.hide_render]
    found = []
    for item in dict.fromkeys([*heard, *([listener] if listener is not None else [])]):
        position = item.evaluated_get(depsgraph).matrix_world.translation * scale
        found.append(Person(item.name, tuple(position), item == listener))
    return found


class ACOUSTICS_OT_check_geometry(JobOperator, Operator):
    """Look for faults of the geometry, openings, and who stands outside or inside something."""

    bl_idname = "acoustics.check_geometry"
    bl_label = "Check Geometry"
    bl_description = (
        "Look at the current frame for openings through which sound is lost, faulty faces, and Speakers and listeners "
        "that stand outside, inside something or on a surface; the check-list shows what is found"
    )
    bl_options = set()
    kind = "check"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return free(cls, context, None)

    def _begin(self, context: Context, progress: Callable[[float], None] | None = None) -> Look:
        Notes.forget()
        Activity.running = begin(context, progress)
        return Activity.running

    def _finished(self, context: Context, _running: Look) -> set[str]:
        count = len(Notes.of(context.scene) or ())
        self.report({"INFO"}, said(f"Check Geometry: {count} findings" if count else "Check Geometry: all is well"))
        redraw(context)
        return {"FINISHED"}


class _OnObject:
    """An operator on an object of the scene that it names."""

    target: StringProperty(name="Object", description="Name of the object")

    def named(self, context: Context) -> bpy.types.Object | None:
        """The object, or None with a report."""
        item = context.scene.objects.get(self.target)
        if item is None:
            self.report({"ERROR"}, said(f"There is no object “{self.target}” in this scene"))
        return item


class ACOUSTICS_OT_show_place(_OnObject, Operator):
    """Select an object and put the 3D cursor where something was found."""

    bl_idname = "acoustics.show_place"
    bl_label = "Show"
    bl_description = "Select the object and put the 3D cursor where this was found"
    bl_options = {"UNDO", "INTERNAL"}

    place: FloatVectorProperty(name="Place", description="Where it was found, in metres", size=3)
    has_place: BoolProperty(name="Has a Place", description="Whether the 3D cursor moves", default=False)

    def execute(self, context: Context) -> set[str]:
        item = self.named(context)
        if item is None:
            return {"CANCELLED"}
        if self.has_place:
            context.scene.cursor.location = Vector(self.place) / metres_per_unit(context.scene)
        for other in context.view_layer.objects.selected[:]:
            other.select_set(False)
        if item.name in context.view_layer.objects and not item.hide_get():
            item.select_set(True)
            context.view_layer.objects.active = item
        return {"FINISHED"}


class ACOUSTICS_OT_move_off(_OnObject, Operator):
    """Move an object off a surface."""

    bl_idname = "acoustics.move_off"
    bl_label = "Move Off"
    bl_description = "Move the object a hand's breadth off the surface that it lies on"
    bl_options = {"UNDO", "INTERNAL"}

    way: FloatVectorProperty(name="Way", description="Where to move it, in metres", size=3)

    def execute(self, context: Context) -> set[str]:
        item = self.named(context)
        if item is None:
            return {"CANCELLED"}
        if not item.is_editable:
            self.report({"ERROR"}, said(f"“{self.target}” is linked: it cannot be moved here"))
            return {"CANCELLED"}
        world = item.matrix_world.copy()
        world.translation += Vector(self.way) / metres_per_unit(context.scene)
        item.matrix_world = world
        Notes.forget()
        return {"FINISHED"}


class ACOUSTICS_OT_ignore_object(_OnObject, Operator):
    """Let sound pass through an object."""

    bl_idname = "acoustics.ignore_object"
    bl_label = "Ignore Object"
    bl_description = "Let sound pass through the object that shuts somebody in"
    bl_options = {"UNDO", "INTERNAL"}

    def execute(self, context: Context) -> set[str]:
        item = self.named(context)
        if item is None:
            return {"CANCELLED"}
        item.acoustics.surface = "IGNORED"
        Notes.forget()
        return {"FINISHED"}


def moved(depsgraph: bpy.types.Depsgraph) -> Iterator[bpy.types.Object]:
    """The objects that an update has moved or given another shape, but for our own maps."""
    for update in depsgraph.updates if depsgraph.id_type_updated("OBJECT") else ():
        item = update.id
        if isinstance(item, bpy.types.Object) and (update.is_updated_geometry or update.is_updated_transform):
            if not item.get(sheet.MARK):
                yield item


@persistent
def _changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Forget what was found of a scene in which something moves or gets another shape."""
    if Notes.found is not None and Notes.of(scene) is not None and any(moved(depsgraph)):
        Notes.forget()


@persistent
def _opened(_path: str) -> None:
    """Forget what was found in another file."""
    Notes.forget()


_CLASSES = (
    ACOUSTICS_OT_check_geometry,
    ACOUSTICS_OT_show_place,
    ACOUSTICS_OT_move_off,
    ACOUSTICS_OT_ignore_object,
)


def register() -> None:
    """Register the operators, and watch for changes."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.app.handlers.depsgraph_update_post.append(_changed)
    bpy.app.handlers.load_post.append(_opened)


def unregister() -> None:
    """Undo `register`."""
    Notes.forget()
    bpy.app.handlers.load_post.remove(_opened)
    bpy.app.handlers.depsgraph_update_post.remove(_changed)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
