"""What lies between a Speaker and a listener: its impulse response as a picture, its early sound as lines."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatVectorProperty, StringProperty
from bpy.types import Context, Event, Operator, Panel

from naf_core.errors import UserError

from . import lines, resident, sheet
from .geometry import metres_per_unit
from .operators import free, redraw
from .probe_tool import ACOUSTICS_OT_probe
from .words import said

TICK_S = 0.1
IMAGE = "Impulse Response"
OURS = "acoustics_response"  # custom property of our picture
_QUANTITIES = (("T30_s", "T30 s", 2), ("EDT_s", "EDT s", 2), ("C50_dB", "C50 dB", 1), ("G_dB", "G dB", 1))


def speaker_of(context: Context, name: str) -> str:
    """The Speaker of that name, else the active one, else the first; raises UserError where there is none."""
    objects = context.view_layer.objects
    if name:
        if name not in objects or objects[name].type != "SPEAKER":
            raise UserError(f"“{name}” is no Speaker of this scene: choose another.", name)
        return name
    active = objects.active
    speakers = [active, *objects] if active is not None else [*objects]
    for item in speakers:
        if item.type == "SPEAKER":
            return item.name
    raise UserError("There is no Speaker: add one with a sound first (Add > Speaker with Sound).")


def listener_of(scene: bpy.types.Scene) -> list[float]:
    """Where the listener is at the frame that is shown, in metres; raises UserError where nobody listens."""
    heard = scene.acoustics.listener or scene.camera
    if heard is None:
        raise UserError("There is no listener: set a camera or choose a listener object.", scene.name)
    return [x * metres_per_unit(scene) for x in heard.matrix_world.translation]


class QuestionOperator:
    """One question on a Speaker and a place, asked without making anybody wait; scripts wait."""

    speaker: StringProperty(
        name="Speaker", description="Speaker that is heard; empty takes the active one", options={"SKIP_SAVE"}
    )
    place: EnumProperty(
        name="Heard",
        description="Where it is heard",
        items=(
            ("LISTENER", "By the Listener", "At the listener object, or the camera"),
            ("PROBE", "At the Probe", "Where the probe was last"),
            ("POINT", "At a Point", "At a point of your own"),
        ),
    )
    point: FloatVectorProperty(
        name="Point", description="Place of the ears, where that is a point", subtype="TRANSLATION"
    )

    _running: ClassVar[bool] = False

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = None
        if context.scene is not None and not bpy.data.speakers:
            reason = "Add a Speaker with a sound first (Add > Speaker with Sound)"
        elif QuestionOperator._running:
            reason = "The worker is still answering"
        return free(cls, context, reason)

    def execute(self, context: Context) -> set[str]:
        try:
            self._begin(context)
            self._resident.wait_for(self._opening)
            self._show(context, self._resident.wait_for(self._question()))
        except UserError as error:
            self.report({"ERROR"}, said(error.message))
            return {"CANCELLED"}
        finally:
            self._drop()
        return {"FINISHED"}

    def invoke(self, context: Context, _event: Event) -> set[str]:
        if bpy.app.background:
            return self.execute(context)
        try:
            self._begin(context)
        except UserError as error:
            self.report({"ERROR"}, said(error.message))
            return {"CANCELLED"}
        QuestionOperator._running, self._asked = True, None
        self._timer = context.window_manager.event_timer_add(TICK_S, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Event) -> set[str]:
        if event.type == "ESC" and event.value == "PRESS":
            self.cancel(context)
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            values = self._resident.answer(self._opening if self._asked is None else self._asked)
            if values is None:
                going = f"{said('Scanning the rooms')} {self._resident.fraction:.0%}"
                text = f"{said(self.bl_label)}: {going}  ({said('Esc cancels')})"
                context.workspace.status_text_set(text)
                return {"PASS_THROUGH"}
            if self._asked is None:
                self._asked = self._question()
                return {"PASS_THROUGH"}
            self._show(context, values)
        except UserError as error:
            self.report({"ERROR"}, said(error.message))
            self.cancel(context)
            return {"CANCELLED"}
        self.cancel(context)
        return {"FINISHED"}

    def cancel(self, context: Context) -> None:
        """Called by Blender too, when it opens another file or closes the window."""
        QuestionOperator._running = False
        context.window_manager.event_timer_remove(self._timer)
        if context.workspace is not None:
            context.workspace.status_text_set(None)
        self._drop()

    def _drop(self) -> None:
        """Remove what only the question needed."""

    def _begin(self, context: Context) -> None:
        scene = context.scene
        self._name = speaker_of(context, self.speaker)
        if self.place == "PROBE":
            if ACOUSTICS_OT_probe.ear is None:
                raise UserError("The probe was nowhere yet: use it first, or hear at the listener.")
            self._ear = list(ACOUSTICS_OT_probe.ear)
        elif self.place == "POINT":
            self._ear = [x * metres_per_unit(scene) for x in self.point]
        else:
            self._ear = listener_of(scene)
        self._resident, self._opening = resident.opened(context)


class ACOUSTICS_OT_response_view(QuestionOperator, Operator):
    """Show the impulse response of a Speaker."""

    bl_idname = "acoustics.response_view"
    bl_options = {"UNDO"}
    bl_label = "Impulse Response"
    bl_description = "Show how the sound of a Speaker dies away at the listener: decay curves, spectrogram, numbers"

    # What was last shown, for the panel and for scripts.
    values: ClassVar[dict[str, Any]] = {}
    _picture: Path | None = None

    def _question(self) -> int:
        folder = tempfile.mkdtemp(prefix="acoustics-", dir=bpy.app.tempdir or None)
        self._picture = Path(folder) / "response.png"
        return self._resident.ask("view", emitter=self._name, point=self._ear, picture=str(self._picture))

    def _drop(self) -> None:
        if self._picture is not None:
            shutil.rmtree(self._picture.parent, ignore_errors=True)

    def _show(self, context: Context, values: dict[str, Any]) -> None:
        new = sheet.load(self._picture)
        # A picture of the same name that is the user's own stays.
        for image in own_pictures():
            image.user_remap(new)
            bpy.data.images.remove(image)
        new.name, new[OURS], new.use_fake_user = IMAGE, True, True
        new.filepath = ""  # it is packed, and its file is gone
        type(self).values = dict(values, image=new.name)
        if not bpy.app.background:
            shown = False
            for area in context.screen.areas:
                if area.type == "IMAGE_EDITOR" and not shown:
                    area.spaces.active.image, shown = new, True
            if context.area is not None and context.area.type == "VIEW_3D":
                bpy.ops.wm.call_panel(name="ACOUSTICS_PT_response", keep_open=True)
        self.report({"INFO"}, said(f"The impulse response of “{self._name}” is the image “{new.name}”"))


class ACOUSTICS_PT_response(Panel):
    """The numbers of the response that was last shown, in a popover."""

    bl_label = "Impulse Response"
    bl_space_type = "VIEW_3D"
    bl_region_type = "HEADER"
    bl_ui_units_x = 24
    bl_options = {"INSTANCED"}

    def draw(self, _context: Context) -> None:
        layout, values = self.layout, ACOUSTICS_OT_response_view.values
        image = bpy.data.images.get(values.get("image", ""))
        if image is None:
            layout.label(text="Nothing was asked yet")
            return
        layout.label(text=said(f"{values['title']}, {values['distance_m']:g} m away"), icon="SPEAKER", translate=False)
        image.preview_ensure()
        layout.template_icon(icon_value=image.preview.icon_id, scale=14.0)
        grid = layout.grid_flow(row_major=True, columns=1 + len(_QUANTITIES), even_columns=True, align=True)
        for text in ("Hz", *(label for _, label, _ in _QUANTITIES)):
            grid.label(text=text)
        for band, hertz in enumerate(values["bands_hz"]):
            grid.label(text=f"{hertz:g}")
            for key, _, decimals in _QUANTITIES:
                value = values[key][band]
                grid.label(text="–" if value is None else f"{value:.{decimals}f}")


class ACOUSTICS_OT_show_lines(QuestionOperator, Operator):
    """Draw the early sound of a Speaker as lines."""

    bl_idname = "acoustics.show_lines"
    bl_label = "Sound Lines"
    bl_description = "Draw the ways of direct sound and first reflections from a Speaker to the listener, or hide them"

    colour: EnumProperty(
        name="Colour",
        description="What the colours of the lines say",
        items=(
            ("ORDER", "Order", "How often the sound was reflected"),
            ("LEVEL", "Level", "How much of it arrives"),
        ),
    )
    keep: BoolProperty(
        name="Keep",
        description="Draw lines anew where there are some, instead of hiding them",
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: Context, event: Event) -> set[str]:
        if lines.shown() and not self.keep:
            lines.hide()
            redraw(context)
            return {"FINISHED"}
        return super().invoke(context, event)

    def _question(self) -> int:
        return self._resident.ask("lines", emitter=self._name, point=self._ear, order=3)

    def _show(self, context: Context, values: dict[str, Any]) -> None:
        lines.show(context.scene, values["lines"], self.colour)
        redraw(context)
        count = len(values["lines"])
        ways = "1 way" if count == 1 else f"{count} ways"
        self.report({"INFO"}, said(f"{ways} of sound from “{self._name}”"))


_CLASSES = (ACOUSTICS_OT_response_view, ACOUSTICS_PT_response, ACOUSTICS_OT_show_lines)


def own_pictures() -> list[bpy.types.Image]:
    """The picture of the response that was last shown."""
    return [image for image in bpy.data.images if image.get(OURS)]


def any_shown() -> bool:
    """Whether there is a picture of a response, or lines are drawn."""
    return lines.shown() or bool(own_pictures())


def clear() -> None:
    """Take away the picture of the response, and the lines."""
    for image in own_pictures():
        bpy.data.images.remove(image)
    ACOUSTICS_OT_response_view.values = {}
    lines.hide()


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
