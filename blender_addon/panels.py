"""The panels: the sidebar tab "Acoustics", and the acoustics of materials and objects among their properties.

Blender draws them many times a second: they look at properties only, never at evaluated objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import bpy
from bpy.types import Context, Panel, UILayout

from naf_core.bands import BANDS_HZ
from naf_core.errors import UserError

from . import sheet
from .operators import Activity
from .properties import SOLID_TYPES
from .surfaces import material_of

MAX_ROWS = 8  # Speakers, materials and warnings that are listed; more are counted
WRAP = 34  # characters in a line of the sidebar at its default width


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Acoustics"


class ACOUSTICS_PT_main(_Sidebar, Panel):
    """The everyday buttons, or how far the job is."""

    bl_label = "Acoustics"

    def draw(self, context: Context) -> None:
        layout = self.layout
        running = Activity.running
        if running is not None:
            layout.progress(factor=running.fraction, text=f"{running.fraction:.0%}  {running.message}")
            layout.operator("acoustics.cancel", icon="X")
            return
        column = layout.column(align=True)
        column.scale_y = 1.4
        column.operator("acoustics.bake", text="Bake", icon="PLAY_SOUND")
        column.operator("acoustics.loudness_map", icon="IMAGE_DATA")
        layout.operator("acoustics.clear", text="Clear", icon="TRASH")
        found = next(sheet.own_sheets(context.scene), None)
        if found is not None:
            draw_map(layout, context, found)
        warnings = Activity.warnings_of(context.scene)
        for message, name in warnings[:MAX_ROWS]:
            draw_text(layout, message if not name or name in message else f"{name}: {message}", "ERROR")
        draw_more(layout, len(warnings))


class ACOUSTICS_PT_check(_Sidebar, Panel):
    """What a bake would hear, and what is missing for it."""

    bl_label = "Scene"
    bl_parent_id = "ACOUSTICS_PT_main"

    def draw(self, context: Context) -> None:
        layout, scene = self.layout, context.scene
        settings = scene.acoustics
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "listener")
        if settings.listener is None:
            listener = scene.camera
            text = f"Active camera: {listener.name}" if listener else "No camera: add one as listener"
            layout.label(text=text, icon="CAMERA_DATA" if listener else "ERROR")
        speakers = list(islice(speakers_in(scene), MAX_ROWS + 1))
        if not speakers:
            draw_text(layout, "No Speaker: add one (Add > Speaker) and give it a sound", "ERROR")
        column = layout.column(align=True)
        column.use_property_split = False
        for item in speakers[:MAX_ROWS]:
            draw_speaker(column, item)
        if len(speakers) > MAX_ROWS:
            column.label(text="and more")


class ACOUSTICS_PT_materials(_Sidebar, Panel):
    """What the surfaces are taken for."""

    bl_label = "Materials"
    bl_parent_id = "ACOUSTICS_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "default_material", text="Default")
        column = layout.column(align=True)
        materials = [m for m in bpy.data.materials if m.users and not m.is_grease_pencil and not m.get(sheet.MARK)]
        for material in materials[: 2 * MAX_ROWS]:
            column.label(text=f"{material.name} → {choice_text(material, settings)}", icon="MATERIAL")
        draw_more(column, len(materials), 2 * MAX_ROWS)
        draw_text(layout, "Change them in Properties > Material > Acoustics", "INFO")


class ACOUSTICS_PT_output(_Sidebar, Panel):
    """What a bake makes."""

    bl_label = "Output"
    bl_parent_id = "ACOUSTICS_PT_main"

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        layout.use_property_split = True
        layout.use_property_decorate = False
        for name in ("directory", "format", "sample_rate", "mix", "playback", "map_with_bake", "seed"):
            layout.prop(settings, name)
        if settings.directory.startswith("//") and not bpy.data.filepath:
            draw_text(layout, "Save the .blend file first, or choose an absolute folder", "ERROR")


class ACOUSTICS_PT_map(_Sidebar, Panel):
    """What the loudness map shows."""

    bl_label = "Loudness Map"
    bl_parent_id = "ACOUSTICS_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        layout.use_property_split = True
        layout.use_property_decorate = False
        names = ["floor", "ear_height", "map_resolution", "map_current_frame"]
        names += [] if settings.map_current_frame else ["map_frame"]
        names += ["map_range"]
        names += ["map_minimum", "map_maximum"] if settings.map_range == "FIXED" else []
        for name in names:
            layout.prop(settings, name)


class ACOUSTICS_PT_air(_Sidebar, Panel):
    """The air that sound travels through."""

    bl_label = "Air"
    bl_parent_id = "ACOUSTICS_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        for name in ("temperature", "humidity", "pressure"):
            layout.prop(context.scene.acoustics, name)


class MATERIAL_PT_acoustics(Panel):
    """What a material is made of for sound."""

    bl_label = "Acoustics"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "material"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return context.material is not None and not context.material.is_grease_pencil

    def draw(self, context: Context) -> None:
        layout, own = self.layout, context.material.acoustics
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(own, "mode")
        if own.mode == "GUESS":
            layout.label(text=choice_text(context.material, context.scene.acoustics), icon="MATERIAL")
        elif own.mode == "PRESET":
            layout.prop(own, "preset")
        else:
            for name in ("absorption", "scattering"):
                column = layout.column(align=True)
                for band, hertz in enumerate(BANDS_HZ):
                    text = f"{hertz:g} Hz" if band else f"{name.capitalize()}  {hertz:g} Hz"
                    column.prop(own, name, index=band, text=text, slider=True)


class OBJECT_PT_acoustics(Panel):
    """Whether an object takes part, and how loud a Speaker is."""

    bl_label = "Acoustics"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "object"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return context.object is not None and context.object.type in (*SOLID_TYPES, "SPEAKER")

    def draw(self, context: Context) -> None:
        draw_object(self.layout, context.object)


class DATA_PT_acoustics(Panel):
    """The same for a Speaker, where its sound is chosen."""

    bl_label = "Acoustics"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "data"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return context.object is not None and context.object.type == "SPEAKER"

    def draw(self, context: Context) -> None:
        draw_object(self.layout, context.object)


def draw_object(layout: UILayout, item: bpy.types.Object) -> None:
    """The acoustic settings of an object."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    layout.prop(item.acoustics, "include")
    if item.type == "SPEAKER":
        layout.prop(item.acoustics, "level", text="Level (dB(A))")
        if item.acoustics.silenced:
            draw_text(layout, "Silent in playback: the baked strips play it. Clear lets it sound again.", "INFO")


def draw_speaker(layout: UILayout, item: bpy.types.Object) -> None:
    """One line on a Speaker: whether it is heard, what it plays and how loud."""
    row = layout.row(align=True)
    row.prop(item.acoustics, "include", text="")
    sound = item.data.sound
    text = item.name if sound else f"{item.name}: no sound"
    if item.data.muted:
        text += " (muted)"
    row.label(text=text, icon="SPEAKER" if sound else "ERROR")
    row.prop(item.acoustics, "level", text="")


def draw_map(layout: UILayout, context: Context, found: bpy.types.Object) -> None:
    """The scale of a loudness map, its switches, and how to see it."""
    box = layout.box()
    row = box.row(align=True)
    row.label(text=f"{found[sheet.LOWEST]:.0f} to {found[sheet.HIGHEST]:.0f} dB(A)", icon="COLOR")
    row.prop(found, "hide_viewport", text="")
    row.prop(found, "hide_render", text="")
    shading = context.space_data.shading
    solid = shading.type == "WIREFRAME" or (shading.type == "SOLID" and shading.color_type != "TEXTURE")
    if solid and not found.hide_viewport:
        draw_text(box, "To see it: Material Preview, or Solid with the colour Texture", "INFO")


def draw_more(layout: UILayout, count: int, shown: int = MAX_ROWS) -> None:
    """Say how many are not listed."""
    if count > shown:
        layout.label(text=f"and {count - shown} more")


def draw_text(layout: UILayout, text: str, icon: str) -> None:
    """A text in as many lines as it needs."""
    column = layout.column(align=True)
    for number, line in enumerate(wrapped(text)):
        column.label(text=line, icon="BLANK1" if number else icon)


def wrapped(text: str, width: int = WRAP) -> Iterator[str]:
    """Lines of at most ``width`` characters where words allow it."""
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield line


def speakers_in(scene: bpy.types.Scene) -> Iterator[bpy.types.Object]:
    """The Speakers of a scene."""
    return (item for item in scene.objects if item.type == "SPEAKER") if bpy.data.speakers else iter(())


def choice_text(material: bpy.types.Material, settings: bpy.types.PropertyGroup) -> str:
    """The acoustic material of a material in words."""
    try:
        return material_of(material, settings).text
    except UserError as error:
        return error.message


_CLASSES = (
    ACOUSTICS_PT_main,
    ACOUSTICS_PT_check,
    ACOUSTICS_PT_materials,
    ACOUSTICS_PT_output,
    ACOUSTICS_PT_map,
    ACOUSTICS_PT_air,
    MATERIAL_PT_acoustics,
    OBJECT_PT_acoustics,
    DATA_PT_acoustics,
)


def register() -> None:
    """Register the panels."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Undo `register`."""
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
