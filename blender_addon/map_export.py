"""Exporting a map as a picture for people, with its legend."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, StringProperty
from bpy.types import Context, Event, Operator

from naf_core.colours import colours
from naf_core.errors import UserError
from naf_core.quantities import QUANTITIES

from . import sheet
from .operators import free
from .words import said

SHADES = 512  # colours of the legend of a render


class ACOUSTICS_OT_export_map(Operator):
    """Write the map with its legend to a PNG file."""

    bl_idname = "acoustics.export_map"
    bl_label = "Export Map"
    bl_description = "Write the map, or the last render of the scene, with title, legend and units to a PNG file"

    filepath: StringProperty(
        name="File", description="PNG file that is written", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )
    filter_glob: StringProperty(default="*.png", options={"HIDDEN"})
    check_existing: BoolProperty(default=True, options={"HIDDEN"})  # the file browser asks before it overwrites
    picture: EnumProperty(
        name="Picture",
        description="What is written",
        items=(
            ("MAP", "Map", "The map from above, with scale and Speakers"),
            ("RENDER", "Render", "The last render, with the legend beside it"),
        ),
    )
    overwrite: BoolProperty(
        name="Overwrite",
        description="Replace a file that is there already, where this is called by a script",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = None
        if context.scene is not None and not any(sheet.own_sheets(context.scene)):
            reason = "This scene has no map"
        return free(cls, context, reason)

    def invoke(self, context: Context, _event: Event) -> set[str]:
        if not self.filepath:
            folder = bpy.path.abspath("//") or os.path.expanduser("~")
            self.filepath = os.path.join(folder, bpy.path.clean_name(f"{context.scene.name}_map") + ".png")
        self.overwrite = True  # the browser has asked by then
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Context) -> set[str]:
        path = Path(bpy.path.ensure_ext(bpy.path.abspath(self.filepath), ".png"))
        try:
            if not self.filepath or not path.is_absolute():
                raise UserError("There is no file to write to: choose one.")
            if path.exists() and not self.overwrite:
                raise UserError(f"“{path}” is there already: choose another name, or set Overwrite.")
            (write_map if self.picture == "MAP" else write_render)(context.scene, path)
        except UserError as error:
            self.report({"ERROR"}, said(error.message))
            return {"CANCELLED"}
        self.report({"INFO"}, said(f"The map is in {path}"))
        return {"FINISHED"}


def write_map(scene: bpy.types.Scene, path: Path) -> None:
    """Write the picture of the map with its legend, as the worker drew it; raises UserError."""
    legend = sheet.legend_of(scene)
    if legend is None:
        raise UserError("The picture of the map with its legend is gone: make the map again.", scene.name)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(legend.packed_file.data)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"“{path}” cannot be written ({error.strerror}): choose another folder.") from error


def write_render(scene: bpy.types.Scene, path: Path) -> None:
    """Write the last render with the legend of the scene's map beside it; raises UserError."""
    from naf_core.picture import write_with_legend  # only now: it brings a library for pictures along

    found = next(sheet.own_sheets(scene))
    quantity = found[sheet.QUANTITY]
    if quantity not in QUANTITIES:
        raise UserError("The map was made by another version: make it again.", scene.name)
    with tempfile.TemporaryDirectory(prefix="acoustics-", dir=bpy.app.tempdir or None) as folder:
        shown = Path(folder) / "render.png"
        rendered = next((image for image in bpy.data.images if image.type == "RENDER_RESULT"), None)
        try:
            if rendered is None:
                raise RuntimeError("no render")
            with as_png(scene):
                rendered.save_render(str(shown), scene=scene)
        except RuntimeError as error:
            raise UserError("There is no render yet: press F12 first.", scene.name) from error
        limits = float(found[sheet.LOWEST]), float(found[sheet.HIGHEST])
        titles = scene.name, f"{QUANTITIES[quantity].title}, frame {scene.frame_current}"
        shades = as_shown(scene, found[sheet.PALETTE], Path(folder) / "shades.png")
        write_with_legend(shown, path, limits, quantity, found[sheet.UNIT], shades, *titles)


def as_shown(scene: bpy.types.Scene, palette: str, path: Path) -> np.ndarray:
    """The colours (n, 3) 0..255 of a palette, the lowest first, as renders of a scene show them: by its view transform.

    ``path`` is a file for the while.
    """
    shades = colours(np.linspace(0.0, 1.0, SHADES), (0.0, 1.0), palette) / 255.0
    # sRGB as the map's picture has it, IEC 61966-2-1, in the light that the renderer reckons with.
    light = np.where(shades > 0.04045, ((shades + 0.055) / 1.055) ** 2.4, shades / 12.92)
    row = bpy.data.images.new("Shades", SHADES, 1, float_buffer=True)
    try:
        row.pixels.foreach_set(np.c_[light, np.ones(SHADES)].astype(np.float32).ravel())
        with as_png(scene):
            row.save_render(str(path), scene=scene)
    finally:
        bpy.data.images.remove(row)
    shown = bpy.data.images.load(str(path))
    try:
        pixels = np.empty(4 * SHADES, np.float32)
        shown.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(shown)
    return 255.0 * pixels.reshape(SHADES, 4)[:, :3]


@contextmanager
def as_png(scene: bpy.types.Scene) -> Iterator[None]:
    """Let a scene write PNG files while the block runs."""
    settings = scene.render.image_settings
    # In this order: what may be chosen depends on what was chosen before; media_type came with Blender 5.
    names = [name for name in ("media_type", "file_format", "color_mode", "color_depth") if hasattr(settings, name)]
    before = {name: getattr(settings, name) for name in names}
    wanted = {"media_type": "IMAGE", "file_format": "PNG", "color_mode": "RGB", "color_depth": "8"}
    try:
        for name in names:
            setattr(settings, name, wanted[name])
        yield
    finally:
        for name in names:
            setattr(settings, name, before[name])


register, unregister = bpy.utils.register_classes_factory((ACOUSTICS_OT_export_map,))
