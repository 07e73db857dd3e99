"""What several panels draw: texts in lines, the settings in their groups, the values of a material."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
from bpy.types import UILayout

from naf_core.bands import BANDS_HZ
from naf_core.errors import UserError
from naf_core.materials import Material
from naf_core.quantities import unit_of

from . import curve
from .checklist import Remedy
from .map_properties import band_of
from .surfaces import AcousticChoice, material_of

WRAP = 34  # characters in a line of the sidebar at its default width


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


def draw_text(layout: UILayout, text: str, icon: str) -> None:
    """A text in as many lines as it needs."""
    column = layout.column(align=True)
    for number, line in enumerate(wrapped(text)):
        column.label(text=line, icon="BLANK1" if number else icon)


def draw_more(layout: UILayout, count: int, shown: int) -> None:
    """Say how many are not listed."""
    if count > shown:
        layout.label(text=f"and {count - shown} more")


def draw_remedy(layout: UILayout, remedy: Remedy | None) -> None:
    """The button that mends something."""
    if remedy is not None:
        button = layout.operator(remedy.operator, text=remedy.label)
        for name, value in remedy.options.items():
            setattr(button, name, value)


def split_properties(layout: UILayout) -> None:
    """Names left, values right, and no dots for keyframes, since settings are not animated."""
    layout.use_property_split = True
    layout.use_property_decorate = False


def draw_all(layout: UILayout, settings: bpy.types.PropertyGroup, *names: str) -> None:
    """Properties one below the other."""
    for name in names:
        layout.prop(settings, name)


def draw_output(layout: UILayout, scene: bpy.types.Scene) -> None:
    """What a bake makes."""
    settings = scene.acoustics
    split_properties(layout)
    draw_all(layout, settings, "directory", "format")
    if settings.format.startswith("AMBIX"):
        layout.prop(settings, "order")
    if settings.format == "BINAURAL":
        layout.prop(settings, "hrtf")
    draw_all(layout, settings, "sample_rate", "file_type", "sample_type", "mix", "parts", "impulses")
    if settings.impulses:
        layout.prop(settings, "impulse_type")
    draw_all(layout, settings, "playback", "map_with_bake")


def draw_sound(layout: UILayout, scene: bpy.types.Scene) -> None:
    """How it sounds."""
    settings = scene.acoustics
    split_properties(layout)
    draw_all(layout, settings, "reflections", "wetness", "reverb_gain", "normalise")
    if settings.normalise:
        layout.prop(settings, "loudness")
    draw_all(layout, settings, "peak", "seed")


def draw_range(layout: UILayout, scene: bpy.types.Scene) -> None:
    """For which frames and Speakers."""
    settings = scene.acoustics
    split_properties(layout)
    layout.prop(settings, "bake_range")
    if settings.bake_range == "CUSTOM":
        column = layout.column(align=True)
        column.prop(settings, "bake_start")
        column.prop(settings, "bake_end")
    layout.prop(settings, "only_selected")


def draw_map(layout: UILayout, scene: bpy.types.Scene) -> None:
    """What the map shows."""
    settings = scene.acoustics
    split_properties(layout)
    layout.prop(settings, "map_quantity")
    if settings.map_quantity == "STI":
        layout.prop(settings, "map_use_noise")
        if settings.map_use_noise:
            layout.prop(settings, "map_noise")
    else:
        layout.prop(settings, "map_band")
    draw_all(layout, settings, "floor", "ear_height", "map_resolution", "map_time")
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
            layout.prop(settings, name, text=f"{label} ({unit})" if unit else label)
    draw_all(layout, settings, "map_palette", "map_lines")


def draw_weather(layout: UILayout, scene: bpy.types.Scene) -> None:
    """The air that sound travels through."""
    split_properties(layout)
    draw_all(layout, scene.acoustics, "temperature", "humidity", "pressure")


def draw_values(layout: UILayout, values: Material) -> None:
    """Absorption and scattering over the bands, as a picture and in numbers."""
    split = layout.split(factor=0.45)
    split.template_icon(icon_value=curve.icon(values.absorption, values.scattering), scale=curve.SCALE)
    grid = split.grid_flow(row_major=True, columns=3, even_columns=True, align=True)
    for text in ("Hz", "absorbs", "scatters"):
        grid.label(text=text)
    for hertz, absorbed, scattered in zip(BANDS_HZ, values.absorption, values.scattering, strict=True):
        for text in (f"{hertz:g}", f"{absorbed:.2f}", f"{scattered:.2f}"):
            grid.label(text=text)


def choice_of(material: bpy.types.Material, settings: bpy.types.PropertyGroup) -> AcousticChoice | None:
    """The acoustic material of a material, None where its preset is not to be had."""
    try:
        return material_of(material, settings)
    except UserError:
        return None


def choice_text(material: bpy.types.Material, settings: bpy.types.PropertyGroup) -> str:
    """The acoustic material of a material in words."""
    choice = choice_of(material, settings)
    return "its preset is not in this version's catalogue" if choice is None else choice.text
