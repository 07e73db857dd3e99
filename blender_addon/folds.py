"""The folds with the settings of a scene, once for all places: the sidebar and the Scene tab subclass them."""

from __future__ import annotations

from bpy.types import Context

from naf_core.quantities import unit_of

from . import shell
from .drawing import draw_all, split_properties
from .map_properties import band_of
from .presets import ACOUSTICS_PT_bake_presets, ACOUSTICS_PT_map_presets
from .words import said


class Output:
    """What a bake makes."""

    bl_label = "Output"

    def draw_header_preset(self, _context: Context) -> None:
        ACOUSTICS_PT_bake_presets.draw_panel_header(self.layout)

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        split_properties(layout)
        draw_all(layout, settings, "directory", "quality", "format")
        if settings.format.startswith("AMBIX"):
            layout.prop(settings, "order")
        if settings.format == "BINAURAL":
            layout.prop(settings, "hrtf")
        draw_all(layout, settings, "sample_rate", "file_type", "sample_type")
        column = layout.column(heading="Write")
        draw_all(column, settings, "mix", "parts", "map_with_bake", "impulses")
        if settings.impulses:
            draw_all(layout, settings, "impulse_type", "impulse_spacing")
        layout.prop(settings, "playback")


class Sound:
    """How it sounds."""

    bl_label = "Sound"

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        split_properties(layout)
        draw_all(layout, settings, "reflections", "wetness", "reverb_gain", "normalise")
        if settings.normalise:
            layout.prop(settings, "loudness")
        draw_all(layout, settings, "peak", "seed")


class Range:
    """For which frames and Speakers."""

    bl_label = "Range"

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        split_properties(layout)
        layout.prop(settings, "bake_range")
        if settings.bake_range == "CUSTOM":
            column = layout.column(align=True)
            column.prop(settings, "bake_start")
            column.prop(settings, "bake_end")
        layout.prop(settings, "only_selected")


class Map:
    """What the map shows."""

    bl_label = "Map"

    def draw_header_preset(self, _context: Context) -> None:
        ACOUSTICS_PT_map_presets.draw_panel_header(self.layout)

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        split_properties(layout)
        layout.prop(settings, "map_quantity")
        if settings.map_quantity == "STI":
            layout.prop(settings, "map_use_noise")
            if settings.map_use_noise:
                layout.prop(settings, "map_noise")
        else:
            layout.prop(settings, "map_band")
        draw_all(layout, settings, "floor", "map_collection", "ear_height", "map_resolution", "map_time")
        if settings.map_time != "FRAME":
            layout.prop(settings, "map_step")
        else:
            layout.prop(settings, "map_current_frame")
            if not settings.map_current_frame:
                layout.prop(settings, "map_frame")
        layout.prop(settings, "map_range")
        if settings.map_range == "FIXED":
            unit = unit_of(settings.map_quantity, band_of(settings))
            for name, label in (("map_minimum", "Lowest"), ("map_maximum", "Highest")):
                text = f"{said(label)} ({unit})" if unit else said(label)
                layout.prop(settings, name, text=text, translate=False)
        draw_all(layout, settings, "map_palette", "map_lines", "map_opacity", "probe_emitters")


class Weather:
    """The air that sound travels through."""

    bl_label = "Weather"

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        split_properties(layout)
        draw_all(layout, settings, "temperature", "humidity", "pressure")


class Geometry:
    """What sound meets, and how much of it."""

    bl_label = "Geometry"

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        split_properties(layout)
        layout.prop(settings, "detail")
        shell.draw_facts(layout, context.scene)


class Recorded:
    """A room that was measured, in place of the one that is modelled."""

    bl_label = "Recorded Room"

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        split_properties(layout)
        draw_all(layout, settings, "recorded_field", "recorded_place")
