"""The operators: Bake, Loudness Map, Cancel, Clear, and what is done with a map."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import ClassVar

import bpy
from bpy.app.handlers import persistent
from bpy.types import Context, Event, Operator

from naf_core.errors import UserError

from . import sheet, strips, warned
from .jobs import Running, Wish, begin
from .words import said

TICK_S = 0.1
# Between two drawings of the progress: these take Blender longer than all else that happens in a tick. Where one holds
# it up for more than a tick, as without graphics hardware, so few of the ticks come late.
SHOW_S, SLOW_SHOW_S = 0.5, 3.0
TAB = "Acoustics"  # of the sidebar, where the progress is shown
MAX_REPORTS = 5  # warnings that are shown one by one; the panel lists all


class Activity:
    """The job that runs, if any; panels draw it."""

    running: ClassVar[Running | None] = None

    @classmethod
    def end(cls) -> None:
        """End the running job, if any."""
        if cls.running is not None:
            running, cls.running = cls.running, None
            running.close()


class JobOperator:
    """A job in its own process: modal for people, waiting for scripts. Nothing changes until all is there."""

    bl_options = {"UNDO"}
    kind: ClassVar[str]
    _shown: tuple[str, float] = ("", 0.0)  # the progress, and when that was
    _pause: float | None = None  # until the next drawing; None until the first tick after one says how long that took

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = None
        if context.scene is not None and not bpy.data.speakers:
            reason = "Add a Speaker with a sound first (Add > Speaker with Sound)"
        return free(cls, context, reason)

    def execute(self, context: Context) -> set[str]:
        try:
            running = self._begin(context)
            try:
                running.worker.wait(running.note)
                running.finish()
            finally:
                Activity.end()
        except UserError as error:
            return self._failed(error)
        return self._finished(context, running)

    def invoke(self, context: Context, _event: Event) -> set[str]:
        if bpy.app.background:
            return self.execute(context)
        manager = context.window_manager
        manager.progress_begin(0.0, 100.0)
        try:
            self._running = self._begin(context, lambda done: manager.progress_update(100.0 * done))
        except UserError as error:
            return self._failed(error)
        finally:
            manager.progress_end()
        self._timer = manager.event_timer_add(TICK_S, window=context.window)
        manager.modal_handler_add(self)
        self._show(context)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Event) -> set[str]:
        running = self._running
        if event.type == "ESC" and event.value == "PRESS":
            running.worker.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        running.poll()
        self._show(context)
        if running.worker.running:
            return {"RUNNING_MODAL" if event.type == "ESC" else "PASS_THROUGH"}
        try:
            if running.worker.error is not None:
                raise running.worker.error
            if running.worker.result is not None:
                running.finish()
        except UserError as error:
            return self._failed(error)
        finally:
            self.cancel(context)
        if running.worker.cancelled:
            self.report({"INFO"}, said("Cancelled: nothing was changed"))
            return {"CANCELLED"}
        return self._finished(context, running)

    def cancel(self, context: Context) -> None:
        """Called by Blender too, when it opens another file or closes the window."""
        Activity.end()
        context.window_manager.event_timer_remove(self._timer)
        if context.workspace is not None:
            context.workspace.status_text_set(None)
        redraw(context)

    def _begin(self, context: Context, progress: Callable[[float], None] | None = None) -> Running:
        Activity.running = begin(context, Wish.of(context.scene, self.kind), progress)
        return Activity.running

    def _show(self, context: Context) -> None:
        """Show the progress where it has changed: in the status bar and the sidebars, with nothing else drawn anew."""
        text, now = self._running.text, time.monotonic()
        if self._pause is None:
            self._pause = SHOW_S if now - self._shown[1] < 2.0 * TICK_S else SLOW_SHOW_S
        if text == self._shown[0] or now < self._shown[1] + self._pause:
            return
        self._shown, self._pause = (text, now), None
        context.workspace.status_text_set(f"{said(self.bl_label)}: {text}  ({said('Esc cancels')})")
        for area in view_areas(context):
            for region in area.regions:
                if region.type == "UI" and region.active_panel_category == TAB:
                    region.tag_redraw()

    def _failed(self, error: UserError) -> set[str]:
        self.report({"ERROR"}, said(error.message))
        return {"CANCELLED"}

    def _finished(self, context: Context, running: Running) -> set[str]:
        messages = list(dict.fromkeys(message for message, _ in running.warnings))
        for message in messages[:MAX_REPORTS]:
            self.report({"WARNING"}, said(message))
        more = len(messages) - MAX_REPORTS
        if more > 0:
            self.report({"WARNING"}, said(f"{more} more warnings are listed in the Acoustics tab"))
        self.report({"INFO"}, said(f"The files are in {running.wish.output}"))
        return {"FINISHED"}


class ACOUSTICS_OT_bake(JobOperator, Operator):
    """Compute what the listener hears, put it into the sequencer and paint the loudness on the floor."""

    bl_idname = "acoustics.bake"
    bl_label = "Bake Acoustics"
    bl_description = (
        "Compute what the listener hears of all Speakers over the frame range and put it into the sequencer"
    )
    kind = "bake"


class ACOUSTICS_OT_loudness_map(JobOperator, Operator):
    """Paint the floor with the loudness of one frame."""

    bl_idname = "acoustics.loudness_map"
    bl_label = "Loudness Map"
    bl_description = "Paint the floor with the loudness in dB(A) that the Speakers cause at one frame"
    kind = "map"


class ACOUSTICS_OT_cancel(Operator):
    """End the running job."""

    bl_idname = "acoustics.cancel"
    bl_label = "Cancel"
    bl_description = "End the running job; nothing is changed"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Context) -> bool:
        return Activity.running is not None

    def execute(self, _context: Context) -> set[str]:
        Activity.running.worker.cancel()  # the job's own operator notices and ends
        return {"FINISHED"}


class ACOUSTICS_OT_clear(Operator):
    """Take away all that bakes and maps have put into the scene."""

    bl_idname = "acoustics.clear"
    bl_label = "Clear Acoustics"
    bl_description = (
        "Remove the baked strips and the loudness map from this scene and let its Speakers sound again; the files stay"
    )
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        scene, reason = context.scene, None
        if scene is not None and not (
            any(strips.own_strips(scene))
            or any(sheet.own_sheets(scene))
            or strips.any_silenced(scene)
            or cls._views().any_shown()
        ):
            reason = "This scene has no baked strips and no map"
        return free(cls, context, reason)

    @staticmethod
    def _views() -> ModuleType:
        from . import views  # only now: it builds upon this module

        return views

    def execute(self, context: Context) -> set[str]:
        strips.clear(context.scene)
        sheet.clear(context.scene)
        self._views().clear()
        for message, _ in strips.restore(context.scene):
            self.report({"WARNING"}, said(message))
        warned.clear(context.scene)
        return {"FINISHED"}


class ACOUSTICS_OT_show_map(Operator):
    """Let the viewport show the map."""

    bl_idname = "acoustics.show_map"
    bl_label = "Show the Map"
    bl_description = "Let Solid shading show textures, among them the map, in all 3D views"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.scene is None or not any(sheet.own_sheets(context.scene)):
            cls.poll_message_set(said("This scene has no map"))
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        for found in sheet.own_sheets(context.scene):
            found.hide_viewport = False
        for space in views(context):
            if space.shading.type in ("WIREFRAME", "SOLID"):
                space.shading.type, space.shading.color_type = "SOLID", "TEXTURE"
        return {"FINISHED"}


class ACOUSTICS_OT_keep_range(Operator):
    """Fix the range of the colours."""

    bl_idname = "acoustics.keep_range"
    bl_label = "Keep This Range"
    bl_description = "Give the next maps the range of colours that this one has, so that they can be compared"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return ACOUSTICS_OT_show_map.poll.__func__(cls, context)

    def execute(self, context: Context) -> set[str]:
        found, settings = next(sheet.own_sheets(context.scene)), context.scene.acoustics
        settings.map_minimum, settings.map_maximum = found[sheet.LOWEST], found[sheet.HIGHEST]
        settings.map_range = "FIXED"
        return {"FINISHED"}


class VIEW3D_MT_acoustics(bpy.types.Menu):
    """The operators in a menu, where the search (F3) finds them."""

    bl_label = "Acoustics"

    def draw(self, _context: Context) -> None:
        for part in MENU:
            if part is None:
                self.layout.separator()
            else:
                name, icon = part
                if name in CHOICES:
                    self.layout.operator_menu_enum(name, CHOICES[name], icon=icon)
                else:
                    self.layout.operator(name, icon=icon)


# What stands in the menu, and so in the search; None is a line.
MENU = (
    ("acoustics.bake", "PLAY_SOUND"),
    ("acoustics.loudness_map", "IMAGE_DATA"),
    ("acoustics.refine", "MOD_SMOOTH"),
    ("acoustics.probe", "EYEDROPPER"),
    ("acoustics.response_view", "FCURVE"),
    ("acoustics.show_lines", "LIGHT_SPOT"),
    ("acoustics.clear", "TRASH"),
    None,
    ("acoustics.show_map", "HIDE_OFF"),
    ("acoustics.look_inside", "HOME"),
    ("acoustics.keep_range", "LOCKED"),
    ("acoustics.export_map", "EXPORT"),
    ("acoustics.show_geometry", "MOD_WIREFRAME"),
    ("acoustics.check_geometry", "VIEWZOOM"),
    None,
    ("acoustics.set_listener", "CAMERA_DATA"),
    ("acoustics.choose_sound", "FILE_SOUND"),
    ("acoustics.set_surface", "MOD_SOLIDIFY"),
    ("acoustics.find_material", "VIEWZOOM"),
    ("acoustics.edit_material", "GREASEPENCIL"),
)
CHOICES = {"acoustics.set_surface": "surface"}  # of these, what is chosen in a menu of their own


def free(operator: type[Operator], context: Context, reason: str | None) -> bool:
    """Whether an operator that changes the scene may run; says why not, for one of its own ``reason`` too."""
    if Activity.running is not None:
        reason = "A job is running: wait for it or cancel it"
    elif context.scene is None:
        reason = "There is no scene"
    elif reason is None and context.mode != "OBJECT":
        reason = "Leave the editing mode first (Object Mode)"
    if reason is not None:
        operator.poll_message_set(said(reason))
    return reason is None


def views(context: Context) -> Iterator[bpy.types.Space]:
    """The 3D views of all windows, those included that other editors hide."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            yield from (space for space in area.spaces if space.type == "VIEW_3D")


def view_areas(context: Context) -> Iterator[bpy.types.Area]:
    """The areas of all windows that show a 3D view."""
    for window in context.window_manager.windows:
        yield from (area for area in window.screen.areas if area.type == "VIEW_3D")


def redraw(context: Context) -> None:
    """Have all 3D views drawn anew, with their sidebars."""
    for area in view_areas(context):
        area.tag_redraw()


def draw_menu(self: bpy.types.Menu, _context: Context) -> None:
    """Entry of the Object menu."""
    self.layout.separator()
    self.layout.menu(VIEW3D_MT_acoustics.__name__)


_CLASSES = (
    ACOUSTICS_OT_bake,
    ACOUSTICS_OT_loudness_map,
    ACOUSTICS_OT_cancel,
    ACOUSTICS_OT_clear,
    ACOUSTICS_OT_show_map,
    ACOUSTICS_OT_keep_range,
    VIEW3D_MT_acoustics,
)


@persistent
def _end_job(_path: str) -> None:
    """End the running job before another file is opened: its results belong to this one."""
    Activity.end()


def register() -> None:
    """Register the operators and their menu."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.VIEW3D_MT_object.append(draw_menu)
    bpy.app.handlers.load_pre.append(_end_job)


def unregister() -> None:
    """Undo `register`, ending a running job."""
    Activity.end()
    bpy.app.handlers.load_pre.remove(_end_job)
    bpy.types.VIEW3D_MT_object.remove(draw_menu)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
