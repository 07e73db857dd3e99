"""What sound meets of a scene: counted, and drawn over the 3D views as lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import bpy
import numpy as np
from bpy.types import Context, Operator, UILayout

from naf_core.errors import UserError
from naf_core.scene import Scene

from .changes import course_of
from .geometry import metres_per_unit, read_scene
from .operators import free, redraw
from .reader import as_it_was, frames_of
from .visibility import as_rendered
from .words import said

COLOUR = (0.1, 0.8, 1.0)
MOST_LINES = 200_000  # that are drawn, the longest of all: more would slow the view down

_handles: list[object] = []


@dataclass(frozen=True)
class Shell:
    """The triangles of a scene as they were last looked at: ``lines`` (2 n, 3) in Blender's unit, two ends each.

    ``place`` are the file and the name of the scene, ``course`` is how it changes over the frames of a bake, in words.
    """

    place: tuple[str, str]
    modelled: int
    triangles: int
    frame: int
    course: str
    lines: np.ndarray


class Shown:
    """The shell that is drawn, if any."""

    shell: ClassVar[Shell | None] = None

    @classmethod
    def of(cls, scene: bpy.types.Scene) -> Shell | None:
        """The shell that is drawn over the views of ``scene``."""
        return cls.shell if cls.shell is not None and cls.shell.place == place_of(scene) else None


def place_of(scene: bpy.types.Scene) -> tuple[str, str]:
    """The open file and the name of a scene."""
    return bpy.data.filepath, scene.name


class ACOUSTICS_OT_show_geometry(Operator):
    """Show or hide what sound meets."""

    bl_idname = "acoustics.show_geometry"
    bl_label = "Show Geometry"
    bl_description = (
        "Count the triangles that sound meets at the current frame, before and after simplification, and the states "
        "of a room in which things move, and draw the triangles over the 3D views; press again to hide them"
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        return free(cls, context, None)

    def execute(self, context: Context) -> set[str]:
        if Shown.of(context.scene) is not None:
            Shown.shell = None
            redraw(context)
            return {"FINISHED"}
        try:
            with as_it_was(context.scene):
                course = course_of(context, frames_of(context.scene)).text
            with as_rendered(context.view_layer):
                reading = read_scene(context.evaluated_depsgraph_get())
        except UserError as error:
            self.report({"ERROR"}, said(error.message))
            return {"CANCELLED"}
        facts, unit = reading.facts, metres_per_unit(context.scene)
        lines = sides(reading.scene) / np.float32(unit)
        Shown.shell = Shell(
            place_of(context.scene), facts["modelled"], facts["triangles"], facts["frame"], course, lines
        )
        self.report({"INFO"}, said(text_of(Shown.shell)))
        redraw(context)
        return {"FINISHED"}


def sides(scene: Scene) -> np.ndarray:
    """The ends (2 n, 3) in metres of the sides of all triangles, each side once; the longest where there are many."""
    start, end = scene.triangles.T.ravel(), np.roll(scene.triangles, -1, axis=1).T.ravel()
    key = np.minimum(start, end) * np.int64(len(scene.vertices)) + np.maximum(start, end)
    first = np.unique(key, return_index=True)[1]
    ends = scene.vertices[np.stack([start[first], end[first]], axis=1)]
    if len(ends) > MOST_LINES:
        length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        ends = ends[np.argpartition(-length, MOST_LINES)[:MOST_LINES]]
    return ends.reshape(-1, 3).astype(np.float32)


def text_of(shell: Shell) -> str:
    """The counts in words."""
    modelled, left = (f"{count:,}".replace(",", " ") for count in (shell.modelled, shell.triangles))
    text = f"Frame {shell.frame}: {left} triangles"
    if shell.triangles < shell.modelled:
        text += f" of {modelled}"
    return f"{text}; {shell.course}" if shell.course else text


def draw_facts(layout: UILayout, scene: bpy.types.Scene) -> None:
    """The button, and the counts while the lines are shown."""
    shell = Shown.of(scene)
    layout.operator(
        "acoustics.show_geometry",
        text="Show Geometry" if shell is None else "Hide Geometry",
        icon="MOD_WIREFRAME",
        depress=shell is not None,
    )
    if shell is not None:
        for number, line in enumerate(text_of(shell).split("; ")):
            layout.label(text=said(line), icon="BLANK1" if number else "INFO", translate=False)


def draw() -> None:
    """Draw the lines into the current view."""
    context = bpy.context
    shell = Shown.of(context.scene)
    if shell is None or not len(shell.lines) or not context.space_data.overlay.show_overlays:
        return
    # Only in a window: the module without one has no such drawing.
    import gpu
    from gpu_extras.batch import batch_for_shader

    # Made anew each time: what is kept on the graphics card crashes Blender where a script ends it.
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    batch = batch_for_shader(shader, "LINES", {"pos": shell.lines})
    gpu.state.blend_set("ALPHA")
    # Faintly through everything, since a line within a surface may be hidden by it, and clearly what is in front.
    for test, strength in (("NONE", 0.15), ("LESS_EQUAL", 0.7)):
        gpu.state.depth_test_set(test)
        shader.uniform_float("color", (*COLOUR, strength))
        batch.draw(shader)
    gpu.state.depth_test_set("NONE")
    gpu.state.blend_set("NONE")


def register() -> None:
    """Register the operator, and draw in all 3D views from now on."""
    bpy.utils.register_class(ACOUSTICS_OT_show_geometry)
    _handles.append(bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", "POST_VIEW"))


def unregister() -> None:
    """Undo `register`."""
    Shown.shell = None
    bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")
    bpy.utils.unregister_class(ACOUSTICS_OT_show_geometry)
