"""The sidebar tab "Acoustics": the everyday buttons and the check-list.

Blender draws panels many times a second: they look at properties only, never at evaluated objects.
"""

from __future__ import annotations

from itertools import islice

import bpy
from bpy.types import Context, Panel, UILayout

from . import checklist, drawing, folds, lines, sheet, strips, warned
from .operators import TAB, Activity
from .refine import Outcome
from .words import said

MAX_ROWS = 8  # Speakers, findings and warnings that are listed; more are counted


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = TAB


class _Part(_Sidebar):
    bl_parent_id = "ACOUSTICS_PT_main"
    bl_options = {"DEFAULT_CLOSED"}


class ACOUSTICS_PT_main(_Sidebar, Panel):
    """The everyday buttons, or how far the job is."""

    bl_label = "Acoustics"

    def draw(self, context: Context) -> None:
        layout, running = self.layout, Activity.running
        column = layout.column(align=True)
        column.scale_y = 1.4
        if running is None:
            column.operator("acoustics.bake", text="Bake", icon="PLAY_SOUND")
            column.operator("acoustics.loudness_map", icon="IMAGE_DATA")
        else:  # in the same place, so that nothing below moves
            column.progress(factor=running.fraction, text=running.text)
            column.operator("acoustics.cancel", icon="X")
        grid = layout.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
        grid.operator("acoustics.refine", text="Refine", icon="MOD_SMOOTH")
        grid.operator("acoustics.probe", text="Probe", icon="EYEDROPPER")
        grid.operator("acoustics.response_view", text="Response", icon="FCURVE")
        grid.operator("acoustics.show_lines", text="Lines", icon="LIGHT_SPOT", depress=lines.shown())
        for icon, text in Outcome.of(context.scene):
            drawing.draw_text(layout, text, icon)
        layout.operator("acoustics.clear", text="Clear", icon="TRASH")
        draw_baked(layout, context.scene)
        found = next(sheet.own_sheets(context.scene), None)
        if found is not None:
            draw_found(layout, context, found)
        warnings = warned.warnings_of(context.scene)
        for message, name in warnings[:MAX_ROWS]:
            drawing.draw_text(layout, message if not name or name in message else f"{name}: {message}", "ERROR")
        drawing.draw_more(layout, len(warnings), MAX_ROWS)


class ACOUSTICS_PT_check(_Sidebar, Panel):
    """What will be heard, by whom, and what is odd."""

    bl_label = "Check-List"
    bl_parent_id = "ACOUSTICS_PT_main"

    def draw(self, context: Context) -> None:
        layout, scene = self.layout, context.scene
        settings = scene.acoustics
        drawing.split_properties(layout)
        layout.prop(settings, "listener")
        if settings.listener is None and scene.camera is not None:
            layout.label(text=said(f"Active camera: {scene.camera.name}"), icon="CAMERA_DATA", translate=False)
        speakers = checklist.speakers_in(scene)
        column = layout.column(align=True)
        column.use_property_split = False
        for item in speakers[:MAX_ROWS]:
            draw_speaker(column, item)
        drawing.draw_more(column, len(speakers), MAX_ROWS)
        if speakers:
            column.operator("acoustics.add_speaker", icon="ADD")
        found = list(islice(checklist.findings(scene), MAX_ROWS + 1))
        for finding in found[:MAX_ROWS]:
            draw_finding(layout, finding)
        if len(found) > MAX_ROWS:
            layout.label(text="and more")
        if not found:
            layout.label(text="All is well", icon="CHECKMARK")
        layout.operator("acoustics.check_geometry", icon="VIEWZOOM")


class ACOUSTICS_PT_materials(_Part, Panel):
    """What the surfaces are taken for."""

    bl_label = "Materials"

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.acoustics
        drawing.split_properties(layout)
        layout.prop(settings, "default_material", text="Default")
        column = layout.column(align=True)
        materials = checklist.materials_of(context.scene)
        for material in materials[: 2 * MAX_ROWS]:
            row = column.row(align=True)
            text = f"{material.name} → {drawing.choice_text(material, settings)}"
            row.label(text=text, icon="MATERIAL", translate=False)
            row.enabled = material.is_editable
            row.operator("acoustics.find_material", text="", icon="VIEWZOOM").material = material.name
        drawing.draw_more(column, len(materials), 2 * MAX_ROWS)


class ACOUSTICS_PT_output(folds.Output, _Part, Panel):
    """What a bake makes."""


class ACOUSTICS_PT_sound(folds.Sound, _Part, Panel):
    """How a bake sounds."""


class ACOUSTICS_PT_range(folds.Range, _Part, Panel):
    """For which frames and Speakers a bake makes sound."""


class ACOUSTICS_PT_map(folds.Map, _Part, Panel):
    """What the map shows."""


class ACOUSTICS_PT_geometry(folds.Geometry, _Part, Panel):
    """What sound meets, and how much of it."""


class ACOUSTICS_PT_recorded(folds.Recorded, _Part, Panel):
    """A room that was measured."""


class ACOUSTICS_PT_weather(folds.Weather, _Part, Panel):
    """The air that sound travels through."""


def draw_speaker(layout: UILayout, item: bpy.types.Object) -> None:
    """One line on a Speaker: whether it is heard, and how loud."""
    row = layout.row(align=True)
    row.prop(item.acoustics, "include", text="")
    silent = checklist.why_silent(item)
    text = item.name if silent is None else f"{item.name} ({said(silent[0])})"
    row.label(text=text, icon="SPEAKER" if silent is None else "MUTE_IPO_ON", translate=False)
    row.prop(item.acoustics, "level", text="dB(A)")


def draw_finding(layout: UILayout, finding: checklist.Finding) -> None:
    """What is odd, and the button that mends it."""
    box = layout.column(align=True)
    drawing.draw_text(box, finding.text, "ERROR" if finding.serious else "INFO")
    drawing.draw_remedy(box, finding.remedy)


def draw_baked(layout: UILayout, scene: bpy.types.Scene) -> None:
    """How to hear what was baked, and where it lies."""
    count = sum(1 for _ in strips.own_strips(scene))
    if count:
        row = layout.row(align=True)
        row.label(text=said(f"{count} tracks in the sequencer"), icon="SEQUENCE")
        row.operator("screen.animation_play", text="", icon="PLAY")
        row.operator("wm.path_open", text="", icon="FILE_FOLDER").filepath = bpy.path.abspath(scene.acoustics.directory)


def draw_found(layout: UILayout, context: Context, found: bpy.types.Object) -> None:
    """The scale of a map, its switches, and how to see it."""
    box = layout.box()
    row = box.row(align=True)
    unit = found.get(sheet.UNIT, "dB(A)")
    row.label(text=f"{found[sheet.LOWEST]:g} – {found[sheet.HIGHEST]:g} {unit}".rstrip(), icon="COLOR")
    row.prop(found, "hide_viewport", text="")
    row.prop(found, "hide_render", text="")
    shading = context.space_data.shading
    unseen = shading.type == "WIREFRAME" or (shading.type == "SOLID" and shading.color_type != "TEXTURE")
    if unseen and not found.hide_viewport:
        box.operator("acoustics.show_map", icon="HIDE_OFF")
    box.operator("acoustics.look_inside", icon="HOME", depress=context.space_data.local_view is not None)
    if context.scene.acoustics.map_range == "AUTO":
        box.operator("acoustics.keep_range", icon="LOCKED")
    box.operator("acoustics.export_map", icon="EXPORT")


_CLASSES = (
    ACOUSTICS_PT_main,
    ACOUSTICS_PT_check,
    ACOUSTICS_PT_materials,
    ACOUSTICS_PT_output,
    ACOUSTICS_PT_sound,
    ACOUSTICS_PT_range,
    ACOUSTICS_PT_map,
    ACOUSTICS_PT_geometry,
    ACOUSTICS_PT_recorded,
    ACOUSTICS_PT_weather,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
