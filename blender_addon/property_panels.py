"""The acoustics among the properties of materials, objects, Speakers and the scene."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel, UILayout

from naf_core.bands import BANDS_HZ

from . import drawing, folds
from .object_properties import has_surface
from .presets import ACOUSTICS_PT_material_presets, ACOUSTICS_PT_speaker_presets
from .words import said


class _Properties:
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"


class MATERIAL_PT_acoustics(_Properties, Panel):
    """What a material is made of for sound."""

    bl_label = "Acoustics"
    bl_context = "material"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return context.material is not None and not context.material.is_grease_pencil

    def draw_header_preset(self, _context: Context) -> None:
        ACOUSTICS_PT_material_presets.draw_panel_header(self.layout)

    def draw(self, context: Context) -> None:
        layout, material, settings = self.layout, context.material, context.scene.acoustics
        own = material.acoustics
        drawing.split_properties(layout)
        layout.prop(own, "mode")
        if own.mode == "PRESET":
            layout.prop(own, "preset")
        if own.mode == "CUSTOM":
            draw_bands(layout, own)
        else:
            drawing.draw_text(layout, drawing.choice_text(material, settings), "MATERIAL")
        choice = drawing.choice_of(material, settings)
        if choice is not None:
            drawing.draw_values(layout, choice.material)
        row = layout.row(align=True)
        row.operator("acoustics.find_material", text="Search", icon="VIEWZOOM").material = material.name
        if own.mode != "CUSTOM":
            row.operator("acoustics.edit_material", icon="GREASEPENCIL").material = material.name


class OBJECT_PT_acoustics(_Properties, Panel):
    """What sound meets of an object, and whether a Speaker is heard."""

    bl_label = "Acoustics"
    bl_context = "object"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        item = context.object
        return item is not None and (item.type == "SPEAKER" or has_surface(item))

    def draw(self, context: Context) -> None:
        draw_object(self.layout, context.object)


class DATA_PT_acoustics(_Properties, Panel):
    """The same for a Speaker, where its sound is chosen."""

    bl_label = "Acoustics"
    bl_context = "data"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return context.object is not None and context.object.type == "SPEAKER"

    def draw_header_preset(self, _context: Context) -> None:
        ACOUSTICS_PT_speaker_presets.draw_panel_header(self.layout)

    def draw(self, context: Context) -> None:
        draw_object(self.layout, context.object)


class _Scene(_Properties):
    bl_context = "scene"
    bl_parent_id = "SCENE_PT_acoustics"
    bl_options = {"DEFAULT_CLOSED"}


class SCENE_PT_acoustics(_Properties, Panel):
    """The settings of bakes and maps, and the two buttons."""

    bl_label = "Acoustics"
    bl_context = "scene"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout = self.layout
        drawing.split_properties(layout)
        layout.prop(context.scene.acoustics, "listener")
        layout.prop(context.scene.acoustics, "default_material")
        row = layout.row(align=True)
        row.operator("acoustics.bake", text="Bake", icon="PLAY_SOUND")
        row.operator("acoustics.loudness_map", text="Map", icon="IMAGE_DATA")


class SCENE_PT_acoustics_output(folds.Output, _Scene, Panel):
    """What a bake makes."""


class SCENE_PT_acoustics_sound(folds.Sound, _Scene, Panel):
    """How a bake sounds."""


class SCENE_PT_acoustics_range(folds.Range, _Scene, Panel):
    """For which frames and Speakers a bake makes sound."""


class SCENE_PT_acoustics_map(folds.Map, _Scene, Panel):
    """What the map shows."""


class SCENE_PT_acoustics_geometry(folds.Geometry, _Scene, Panel):
    """What sound meets, and how much of it."""


class SCENE_PT_acoustics_recorded(folds.Recorded, _Scene, Panel):
    """A room that was measured."""


class SCENE_PT_acoustics_weather(folds.Weather, _Scene, Panel):
    """The air that sound travels through."""


def draw_bands(layout: UILayout, own: bpy.types.PropertyGroup) -> None:
    """A slider for each band of absorption and scattering, and of transmission loss where there is any."""
    names = ["absorption", "scattering"]
    if own.transmits:
        names.append("transmission_loss")
    for name in names:
        column = layout.column(align=True)
        column.label(text=said(own.bl_rna.properties[name].name), translate=False)
        for band, hertz in enumerate(BANDS_HZ):
            column.prop(own, name, index=band, text=f"{hertz:g} Hz", slider=True, translate=False)
    layout.prop(own, "transmits")


def draw_object(layout: UILayout, item: bpy.types.Object) -> None:
    """The acoustic settings of an object."""
    drawing.split_properties(layout)
    if item.type != "SPEAKER":
        layout.prop(item.acoustics, "surface")
        return
    layout.prop(item.acoustics, "include")
    layout.prop(item.acoustics, "level")
    layout.prop(item.acoustics, "use_cone")
    row = layout.row()
    row.active = item.acoustics.use_cone
    row.prop(item.acoustics, "cone_size")
    if item.acoustics.silenced:
        drawing.draw_text(layout, "Silent in playback: the baked strips play it. Clear lets it sound again.", "INFO")


_CLASSES = (
    MATERIAL_PT_acoustics,
    OBJECT_PT_acoustics,
    DATA_PT_acoustics,
    SCENE_PT_acoustics,
    SCENE_PT_acoustics_output,
    SCENE_PT_acoustics_sound,
    SCENE_PT_acoustics_range,
    SCENE_PT_acoustics_map,
    SCENE_PT_acoustics_geometry,
    SCENE_PT_acoustics_recorded,
    SCENE_PT_acoustics_weather,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
