"""What several panels draw: texts in lines, buttons, the values of a material."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
from bpy.types import UILayout

from naf_core.bands import BANDS_HZ
from naf_core.errors import UserError
from naf_core.materials import Material

from . import curve
from .finding import Remedy
from .surfaces import AcousticChoice, material_of
from .words import said

# What the buttons beside findings show; those that are not here set something right at once.
REMEDY_ICONS = {
    "acoustics.add_speaker": "ADD",
    "acoustics.choose_sound": "FILE_SOUND",
    "acoustics.find_material": "VIEWZOOM",
    "acoustics.ignore_object": "GHOST_ENABLED",
    "acoustics.show_geometry": "MOD_WIREFRAME",
    "acoustics.show_place": "RESTRICT_SELECT_OFF",
    "wm.save_mainfile": "FILE_TICK",
}
MENDS = "TOOL_SETTINGS"

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


def draw_text(layout: UILayout, text: str, icon: str, width: int = WRAP) -> None:
    """A text in as many lines as it needs."""
    column = layout.column(align=True)
    for number, line in enumerate(wrapped(said(text), width)):
        column.label(text=line, icon="BLANK1" if number else icon, translate=False)


def draw_more(layout: UILayout, count: int, shown: int) -> None:
    """Say how many are not listed."""
    if count > shown:
        layout.label(text=said(f"and {count - shown} more"))


def draw_remedy(layout: UILayout, remedy: Remedy | None) -> None:
    """The button that mends something."""
    if remedy is not None:
        icon = REMEDY_ICONS.get(remedy.operator, MENDS)
        button = layout.operator(remedy.operator, text=said(remedy.label), icon=icon, translate=False)
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


def draw_values(layout: UILayout, values: Material) -> None:
    """Absorption and scattering over the bands, as a picture and in numbers."""
    layout.template_icon(icon_value=curve.icon(values.absorption, values.scattering), scale=curve.SCALE)
    grid = layout.grid_flow(row_major=True, columns=3, even_columns=True, align=True)
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
    return said("its preset is not in this version's catalogue" if choice is None else choice.text)
