"""What keeps the machine in order: the test of the worker Python, and the removal of the cache."""

from __future__ import annotations

import shutil

import bpy
from bpy.types import Context, Event, Operator

from naf_core.errors import UserError

from . import preferences, worker
from .operators import TICK_S, free
from .preferences import Testing
from .refine import Outcome
from .words import said

# What the worker does in a test: it loads all that a bake loads, and PyTorch where it is there.
_TEST = """
import importlib, importlib.metadata, json, sys
def version(name):
    module = importlib.import_module(name)
    return getattr(module, "__version__", "")
names = sys.argv[1:]
try:
    for name in names:
        importlib.import_module(name)
except ImportError as error:
    print(json.dumps({"event": "error", "message": f"{error}: choose a Python of the same version as Blender's"}))
    sys.exit(1)
said = f"Python {sys.version.split()[0]}, NumPy {version('numpy')}, SciPy {version('scipy')}"
try:
    import torch
    device = "with CUDA" if torch.cuda.is_available() else "on the CPU"
    said += f", PyTorch {torch.__version__} {device}"
except ImportError:
    said += "; no PyTorch, which only recordings need"
print(json.dumps({"event": "done", "result": {"said": said}}))
"""


class ACOUSTICS_OT_test_python(Operator):
    """See whether the worker Python has what it needs, in a process of its own."""

    bl_idname = "acoustics.test_python"
    bl_label = "Test the Worker"
    bl_description = "Start the worker Python in a process of its own and report the versions of what it has"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Context) -> bool:
        if Testing.running is not None:
            cls.poll_message_set(said("A test is running"))
        return Testing.running is None

    def execute(self, _context: Context) -> set[str]:
        if not self._begun():
            return {"CANCELLED"}
        try:
            Testing.running.wait()
        except UserError:
            pass  # it is told as the outcome
        return self._told()

    def invoke(self, context: Context, _event: Event) -> set[str]:
        if bpy.app.background:
            return self.execute(context)
        if not self._begun():
            return {"CANCELLED"}
        self._timer = context.window_manager.event_timer_add(TICK_S, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Event) -> set[str]:
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        if Testing.running is not None:
            Testing.running.poll()
            if Testing.running.running:
                return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        return self._told()

    def cancel(self, context: Context) -> None:
        """Called by Blender, when it opens another file or closes the window."""
        Testing.end()
        context.window_manager.event_timer_remove(self._timer)

    def _begun(self) -> bool:
        try:
            line = [preferences.python(), "-c", _TEST, *worker.PACKAGES]
            Testing.running = worker.Worker(line, worker.environment())
        except UserError as error:
            self.report({"ERROR"}, said(error.message))
        return Testing.running is not None

    def _told(self) -> set[str]:
        running = Testing.running
        Testing.end()
        if running is None:
            return {"CANCELLED"}
        told = running.error.message if running.result is None else str(running.result["said"])
        preferences.note_test(told)
        self.report({"ERROR" if running.result is None else "INFO"}, said(told))
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "PREFERENCES":
                    area.tag_redraw()
        return {"CANCELLED" if running.result is None else "FINISHED"}


class ACOUSTICS_OT_clear_cache(Operator):
    """Remove what bakes have kept."""

    bl_idname = "acoustics.clear_cache"
    bl_label = "Clear Cache"
    bl_description = "Remove what bakes have kept so that the next one is quicker; sounds and maps stay"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return free(cls, context, None if preferences.caches() else "The cache is empty")

    def invoke(self, context: Context, event: Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, _context: Context) -> set[str]:
        try:
            for folder in preferences.caches():
                shutil.rmtree(folder)
        except OSError as error:
            self.report({"ERROR"}, said(f"“{error.filename}” cannot be removed ({error.strerror})"))
            return {"CANCELLED"}
        finally:
            preferences.forget_sizes()
            Outcome.forget()  # the refined scans are gone, too
        return {"FINISHED"}


_CLASSES = (ACOUSTICS_OT_test_python, ACOUSTICS_OT_clear_cache)


def register() -> None:
    """Register the operators."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Undo `register`, ending a running test."""
    Testing.end()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
