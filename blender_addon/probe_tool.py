"""The probe: hover a surface in the 3D view and read what is heard there."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import bpy
from bpy.props import FloatVectorProperty
from bpy.types import Context, Event, Operator
from bpy_extras import view3d_utils

from naf_core.errors import UserError

from . import ears, resident
from .geometry import metres_per_unit
from .operators import free, redraw
from .words import said

TICK_S = 0.05
MOVED = 0.02  # m: who moves less hears the same
LISTED = 3  # Speakers that are named
ALIVE_S = 30.0  # after which the same is asked again, so that the worker stays
SPEECH = ((0.75, "excellent"), (0.6, "good"), (0.45, "fair"), (0.3, "poor"), (0.0, "bad"))  # IEC 60268-16, table F.1


def words(values: dict[str, Any]) -> list[str]:
    """Lines of text on what is heard at a point (see `Answers.hear`)."""
    if values["level"] is None:
        return [said("Nothing is heard here")]
    lines = [f"{values['level']:.1f} dB(A)"]
    reverberation = [
        f"{name} {values[name]:.{decimals}f}{unit}"
        for name, decimals, unit in (("T30", 2, " s"), ("C50", 1, " dB"), ("D50", 2, ""))
        if values[name] is not None
    ]
    if reverberation:
        lines.append("  ".join(reverberation))
    if values["STI"] is not None:
        grade = next(word for least, word in SPEECH if values["STI"] >= least)
        lines.append(f"STI {values['STI']:.2f} {said(grade)}")
    for source in values["sources"][:LISTED]:
        level = "–" if source["level"] is None else f"{source['level']:.1f} dB(A)"
        hidden = f", {said('hidden')}" if source["hidden"] else ""
        lines.append(f"{source['name']}: {level}, {source['distance_m']:.1f} m{hidden}")
    more = len(values["sources"]) - LISTED
    return [*lines, said(f"and {more} more")] if more > 0 else lines


def question(scene: bpy.types.Scene) -> dict[str, object]:
    """What a question needs beside the point."""
    settings = scene.acoustics
    wanted: dict[str, object] = {"nearest": settings.probe_emitters == "NEAREST"}
    if settings.map_use_noise:
        wanted["noise"] = settings.map_noise
    return wanted


class ACOUSTICS_OT_probe(Operator):
    """Read what is heard at a place: modal for people, at `point` for scripts."""

    bl_idname = "acoustics.probe"
    bl_label = "Acoustic Probe"
    bl_description = (
        "Hover a surface to read level, reverberation and clarity at the ears of somebody who stands there;"
        " Esc or right click ends"
    )

    point: FloatVectorProperty(
        name="Point",
        description="Place of the ears, where this is called by a script",
        subtype="TRANSLATION",
        options={"SKIP_SAVE"},
    )
    # What was last read, and at which ears in metres: for scripts and views.
    values: ClassVar[dict[str, Any]] = {}
    ear: ClassVar[tuple[float, ...] | None] = None
    # Not of its own type: Blender has this evaluated, typing remembers it, and the module of 4.5 cannot end then.
    _running: ClassVar[Any] = None

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = None
        if context.scene is not None and not bpy.data.speakers:
            reason = "Add a Speaker with a sound first (Add > Speaker with Sound)"
        elif cls._running is not None:
            reason = "The probe is in use: Esc ends it"
        return free(cls, context, reason)

    def execute(self, context: Context) -> set[str]:
        place = [float(x) * metres_per_unit(context.scene) for x in self.point]
        try:
            asked, opening = resident.opened(context)
            asked.wait_for(opening)
            values = asked.wait_for(asked.ask("hear", point=place, **question(context.scene)))
        except UserError as error:
            self.report({"ERROR"}, said(error.message))
            return {"CANCELLED"}
        type(self).values, type(self).ear = values, tuple(place)
        self.report({"INFO"}, "; ".join(words(values)))
        return {"FINISHED"}

    def invoke(self, context: Context, event: Event) -> set[str]:
        if bpy.app.background or context.space_data is None or context.space_data.type != "VIEW_3D":
            return self.execute(context)
        try:
            self._open(context)
        except UserError as error:
            self.report({"ERROR"}, said(error.message))
            return {"CANCELLED"}
        cls = type(self)
        cls._running = self
        self._texts, self._cursor, self._ear, self._place = [said("Move over a surface")], (0, 0), None, None
        self._region = context.region
        self._asked, self._asked_at, self._asked_where = None, 0.0, None
        self._aim(context, event)
        self._timer = context.window_manager.event_timer_add(TICK_S, window=context.window)
        self._handle = bpy.types.SpaceView3D.draw_handler_add(self._draw, (), "WINDOW", "POST_PIXEL")
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set(said("Acoustic Probe: hover a surface (Esc or right click ends)"))
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Event) -> set[str]:
        if event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS":
            self.cancel(context)
            return {"CANCELLED"}
        if event.type in ("MOUSEMOVE", "INBETWEEN_MOUSEMOVE"):
            self._aim(context, event)
            return {"PASS_THROUGH"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            self._follow(context)
        except UserError as error:
            self.cancel(context)
            self.report({"ERROR"}, said(error.message))
            return {"CANCELLED"}
        return {"PASS_THROUGH"}

    def cancel(self, context: Context) -> None:
        """Take away what was drawn; called by Blender too, when it opens another file or closes the window."""
        if type(self)._running is None:
            return
        type(self)._running = None
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        context.window_manager.event_timer_remove(self._timer)
        if context.workspace is not None:
            context.workspace.status_text_set(None)
        redraw(context)

    def _open(self, context: Context) -> None:
        self._frame = context.scene.frame_current
        self._resident, self._opening = resident.opened(context)

    def _aim(self, context: Context, event: Event) -> None:
        """Find the surface under the cursor, in the view over which that is."""
        for area in context.window.screen.areas:
            if area.type != "VIEW_3D":
                continue
            region = next(r for r in area.regions if r.type == "WINDOW")
            x, y = event.mouse_x - region.x, event.mouse_y - region.y
            covered = any(
                r.type != "WINDOW" and r.x <= event.mouse_x < r.x + r.width and r.y <= event.mouse_y < r.y + r.height
                for r in area.regions
            )
            if covered or not (0 <= x < region.width and 0 <= y < region.height):
                continue
            space = area.spaces.active
            view = space.region_3d
            origin = view3d_utils.region_2d_to_origin_3d(region, view, (x, y))
            way = view3d_utils.region_2d_to_vector_3d(region, view, (x, y))
            met = ears.see(context, origin, way, ears.shown_in(context, space))
            self._region, self._cursor = region, (x, y)
            self._place = None if met is None else met.place
            self._ear = None if met is None else ears.ears_at(context, met)
            area.tag_redraw()
            return
        self._ear = self._place = None

    def _follow(self, context: Context) -> None:
        """Take in an answer, and ask about where the cursor is by now; raises UserError."""
        scene = context.scene
        if scene.frame_current != self._frame and not context.screen.is_animation_playing:
            self._open(context)
            self._asked = self._asked_where = None
        before = list(self._texts)
        if self._opening is not None:
            if self._resident.answer(self._opening) is None:
                self._texts = [f"{said('Scanning the rooms')} {self._resident.fraction:.0%}"]
            else:
                self._opening = None
        elif self._asked is not None:
            values = self._resident.answer(self._asked)
            if values is not None:
                type(self).values, self._asked = values, None
                type(self).ear = tuple(self._asked_where)
                self._texts = words(values)
        if self._opening is None and self._asked is None and self._ear is not None:
            ear = self._ear * metres_per_unit(scene)
            here = self._asked_where is not None and (ear - self._asked_where).length < MOVED
            if not here or time.monotonic() - self._asked_at > ALIVE_S:
                self._asked = self._resident.ask("hear", point=list(ear), **question(scene))
                self._asked_where, self._asked_at = ear, time.monotonic()
        if before != self._texts:
            redraw(context)

    def _draw(self) -> None:
        """Draw what was read beside the cursor, and where the ears are."""
        context = bpy.context
        if context.region != self._region:
            return
        from .reading import draw_reading  # only in a window: the module without one has no such drawing

        view = context.region_data
        marks = [
            view3d_utils.location_3d_to_region_2d(context.region, view, point)
            for point in (self._place, self._ear)
            if point is not None
        ]
        texts = self._texts if self._ear is not None else [said("No surface here")]
        draw_reading(context, self._cursor, texts, [mark for mark in marks if mark is not None])


register, unregister = bpy.utils.register_classes_factory((ACOUSTICS_OT_probe,))
