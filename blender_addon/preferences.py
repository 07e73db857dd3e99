"""What belongs to the person and the machine rather than to a scene: the worker, its threads, and the cache."""

# Blender reads the annotations below as they are: see properties.py, also on callbacks.

import hashlib
import os
import time
from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import IntProperty, StringProperty
from bpy.types import AddonPreferences, Context

from naf_core.errors import UserError

from . import worker
from .drawing import draw_text, split_properties
from .folders import output_folder

KEPT = ".stems"  # the folder beside the sounds, as the worker names it
_OWN = "acoustics-"  # how the names of our folders in a cache folder begin
_LOOK_AGAIN_S = 3.0  # how long the size of the cache is believed


class Testing:
    """The test that runs, if any."""

    running: ClassVar[worker.Worker | None] = None

    @classmethod
    def end(cls) -> None:
        """End the running test, if any."""
        if cls.running is not None:
            running, cls.running = cls.running, None
            running.cancel()


class AcousticsPreferences(AddonPreferences):
    """The settings under Edit > Preferences > Add-ons; `current` gives them, or their defaults."""

    bl_idname = __package__

    python: StringProperty(
        name="Worker Python",
        description=(
            "Python that computes; empty takes Blender's own. Learning fields from recordings needs one with "
            "PyTorch, of the same version as Blender's"
        ),
        subtype="FILE_PATH",
        maxlen=1024,
    )
    # What the test last said, and of which Python.
    tested: StringProperty(options={"HIDDEN"})
    tested_python: StringProperty(options={"HIDDEN"})
    threads: IntProperty(
        name="Threads",
        description="Cores that a bake may use; 0 takes all but one, which is left to Blender",
        default=0,
        min=0,
        max=256,
        soft_max=32,
    )
    cache: StringProperty(
        name="Cache Folder",
        description=(
            "Folder for what bakes keep so that the next one renders only what changed; empty keeps it in the folder "
            "“.stems” beside the sounds"
        ),
        subtype="DIR_PATH",
        maxlen=1024,
    )

    def draw(self, _context: Context) -> None:
        layout = self.layout
        split_properties(layout)
        layout.prop(self, "python")
        split = layout.split(factor=0.4)
        split.label()
        split.operator("acoustics.test_python", icon="PLAY")
        if Testing.running is not None:
            layout.label(text="Testing…", icon="SORTTIME")
        elif self.tested and self.tested_python == self.python:
            draw_text(layout, self.tested, "INFO", width=80)
        layout.prop(self, "threads")
        layout.prop(self, "cache")
        split = layout.split(factor=0.4)
        split.label()
        row = split.row()
        size = size_of(caches())
        row.label(text=f"{size / 1e6:.0f} MB" if size >= 1e6 else "The cache is empty")
        row.operator("acoustics.clear_cache", icon="TRASH")


class Defaults:
    """The preferences of the add-on where it is not installed as an extension, as in tests and scripts."""

    python, threads, cache = "", 0, ""


def current() -> AcousticsPreferences | type[Defaults]:
    """The preferences in force."""
    addon = bpy.context.preferences.addons.get(__package__)
    return Defaults if addon is None or addon.preferences is None else addon.preferences


def note_test(said: str) -> None:
    """Keep what the test said of the chosen Python."""
    own = current()
    if own is not Defaults:
        own.tested, own.tested_python = said, own.python


def python() -> str:
    """The Python that computes; raises UserError where the one that was chosen is gone."""
    chosen = bpy.path.abspath(current().python)
    if not chosen:
        return worker.python_executable()
    if not os.path.isfile(chosen):
        raise UserError(f"The worker Python “{chosen}” is gone: choose another in the preferences, or none.")
    return chosen


def cache_of(output: Path) -> Path | None:
    """The folder that keeps what a bake into ``output`` rendered, None for the one beside the sounds."""
    folder = current().cache
    if not folder:
        return None
    return Path(bpy.path.abspath(folder), f"{_OWN}{hashlib.sha256(str(output).encode()).hexdigest()[:16]}")


def kept_in(output: Path) -> Path:
    """The folder with what bakes into ``output`` have kept, wherever it is."""
    return cache_of(output) or output / KEPT


def caches() -> list[Path]:
    """The folders with what bakes have kept: all in the cache folder, else those of the open file."""
    folder = current().cache
    if folder:
        return [path for path in Path(bpy.path.abspath(folder)).glob(f"{_OWN}*") if path.is_dir()]
    found = []
    for scene in bpy.data.scenes:
        try:
            found.append(output_folder(scene) / KEPT)
        except UserError:
            pass  # a file that was never saved has no folder yet
    return [path for path in dict.fromkeys(found) if path.is_dir()]


_sizes: dict[tuple[Path, ...], tuple[float, int]] = {}


def size_of(folders: list[Path]) -> int:
    """Bytes that folders hold; asked of the file system now and then only, since panels ask all the time."""
    now, key = time.monotonic(), tuple(folders)
    asked, size = _sizes.get(key, (-_LOOK_AGAIN_S, 0))
    if now - asked >= _LOOK_AGAIN_S:
        size = sum(map(_bytes_in, folders))
        _sizes.clear()
        _sizes[key] = now, size
    return size


def _bytes_in(folder: Path) -> int:
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                pass  # a bake that runs has removed it meanwhile
    return size


def forget_sizes() -> None:
    """Ask the file system anew how large the cache is."""
    _sizes.clear()


register, unregister = bpy.utils.register_classes_factory((AcousticsPreferences,))
