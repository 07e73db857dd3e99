"""Presets of bakes, maps, Speakers and materials: some of ours, and people's own for all their files.

Blender keeps each as a small Python file under presets/acoustic_fields/KIND: ours beside this file, people's own among
their settings.
"""

# Blender reads the annotations of operators as they are: this file must not postpone their evaluation.

from pathlib import Path

import bpy
from bl_operators.presets import AddPresetBase
from bl_ui.utils import PresetPanel
from bpy.props import StringProperty
from bpy.types import Context, Operator, Panel

from .words import said

FOLDER = "acoustic_fields"  # among the presets
_SHIPPED = str(Path(__file__).parent)  # holds a folder "presets", as Blender wants it


class ACOUSTICS_OT_preset_load(Operator):
    """Take over the values of a preset; Blender's own operator for that cannot be undone."""

    bl_idname = "acoustics.preset_load"
    bl_label = "Load Preset"
    bl_description = "Take over the values of this preset"
    bl_options = {"UNDO", "INTERNAL"}

    filepath: StringProperty(name="File", description="File of the preset", subtype="FILE_PATH", options={"SKIP_SAVE"})

    def execute(self, _context: Context) -> set[str]:
        if not Path(self.filepath).is_file():
            self.report({"ERROR"}, said(f"The preset “{self.filepath}” is gone: choose another"))
            return {"CANCELLED"}
        menu, label = ACOUSTICS_PT_bake_presets, ACOUSTICS_PT_bake_presets.bl_label
        try:
            return bpy.ops.script.execute_preset(filepath=self.filepath, menu_idname=menu.__name__)
        except RuntimeError as error:
            self.report({"ERROR"}, said(f"The preset “{self.filepath}” cannot be loaded: {error}"))
            return {"CANCELLED"}
        finally:
            menu.bl_label = label  # Blender names a menu after what was chosen in it


class _Menu(PresetPanel):
    """The presets of a kind, in the head of a panel."""

    preset_operator = ACOUSTICS_OT_preset_load.bl_idname


class ACOUSTICS_PT_bake_presets(_Menu, Panel):
    """What a bake makes, and how it sounds."""

    bl_label = "Bake Presets"
    preset_subdir = f"{FOLDER}/bake"
    preset_add_operator = "acoustics.bake_preset_add"


class ACOUSTICS_PT_map_presets(_Menu, Panel):
    """What a map shows."""

    bl_label = "Map Presets"
    preset_subdir = f"{FOLDER}/map"
    preset_add_operator = "acoustics.map_preset_add"


class ACOUSTICS_PT_speaker_presets(_Menu, Panel):
    """How loud a Speaker is, and where it sends its sound."""

    bl_label = "Speaker Presets"
    preset_subdir = f"{FOLDER}/speaker"
    preset_add_operator = "acoustics.speaker_preset_add"


class ACOUSTICS_PT_material_presets(_Menu, Panel):
    """What a material is made of for sound."""

    bl_label = "Acoustic Material Presets"
    preset_subdir = f"{FOLDER}/material"
    preset_add_operator = "acoustics.material_preset_add"


class _Add(AddPresetBase):
    bl_options = {"REGISTER", "INTERNAL"}


class ACOUSTICS_OT_bake_preset_add(_Add, Operator):
    """Save the settings of bakes for other files, or remove such a preset."""

    bl_idname = "acoustics.bake_preset_add"
    bl_label = "Add Bake Preset"
    bl_description = "Save what a bake makes and how it sounds as a preset for all files, or remove a preset"
    preset_menu = ACOUSTICS_PT_bake_presets.__name__
    preset_subdir = ACOUSTICS_PT_bake_presets.preset_subdir
    preset_defines = ("own = bpy.context.scene.acoustics",)
    preset_values = tuple(
        f"own.{name}"
        for name in (
            *("quality", "format", "order", "hrtf", "sample_rate", "file_type", "sample_type"),
            *(
                "mix",
                "parts",
                "playback",
                "impulses",
                "impulse_type",
                "impulse_spacing",
                "reflections",
                "wetness",
                "reverb_gain",
            ),
            *("normalise", "loudness", "peak"),
        )
    )


class ACOUSTICS_OT_map_preset_add(_Add, Operator):
    """Save the settings of maps for other files, or remove such a preset."""

    bl_idname = "acoustics.map_preset_add"
    bl_label = "Add Map Preset"
    bl_description = "Save what maps show and how as a preset for all files, or remove a preset"
    preset_menu = ACOUSTICS_PT_map_presets.__name__
    preset_subdir = ACOUSTICS_PT_map_presets.preset_subdir
    preset_defines = ("own = bpy.context.scene.acoustics",)
    preset_values = tuple(
        f"own.map_{name}"
        for name in (
            *("quantity", "band", "use_noise", "noise", "resolution", "time", "step", "range", "minimum", "maximum"),
            *("palette", "lines", "opacity"),
        )
    )


class ACOUSTICS_OT_speaker_preset_add(_Add, Operator):
    """Save level and cone of the active Speaker for other files, or remove such a preset."""

    bl_idname = "acoustics.speaker_preset_add"
    bl_label = "Add Speaker Preset"
    bl_description = "Save level and cone of the active Speaker as a preset for all files, or remove a preset"
    preset_menu = ACOUSTICS_PT_speaker_presets.__name__
    preset_subdir = ACOUSTICS_PT_speaker_presets.preset_subdir
    preset_defines = ("own = bpy.context.object.acoustics", "data = bpy.context.object.data")
    preset_values = (
        "own.level",
        "own.use_cone",
        "own.cone_size",
        "data.cone_angle_inner",
        "data.cone_angle_outer",
        "data.cone_volume_outer",
    )


class ACOUSTICS_OT_material_preset_add(_Add, Operator):
    """Save the values of the active material for other files, or remove such a preset."""

    bl_idname = "acoustics.material_preset_add"
    bl_label = "Add Acoustic Material Preset"
    bl_description = "Save the acoustics of the active material as a preset for all files, or remove a preset"
    preset_menu = ACOUSTICS_PT_material_presets.__name__
    preset_subdir = ACOUSTICS_PT_material_presets.preset_subdir
    preset_defines = ("own = bpy.context.material.acoustics",)
    preset_values = tuple(
        f"own.{name}" for name in ("mode", "preset", "absorption", "scattering", "transmits", "transmission_loss")
    )


_CLASSES = (
    ACOUSTICS_OT_preset_load,
    ACOUSTICS_PT_bake_presets,
    ACOUSTICS_PT_map_presets,
    ACOUSTICS_PT_speaker_presets,
    ACOUSTICS_PT_material_presets,
    ACOUSTICS_OT_bake_preset_add,
    ACOUSTICS_OT_map_preset_add,
    ACOUSTICS_OT_speaker_preset_add,
    ACOUSTICS_OT_material_preset_add,
)


def register() -> None:
    """Register the menus and operators, and tell Blender where our presets lie."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.utils.register_preset_path(_SHIPPED)


def unregister() -> None:
    """Undo `register`."""
    bpy.utils.unregister_preset_path(_SHIPPED)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
