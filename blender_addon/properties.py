"""Settings of the scene, of objects and of materials, saved with the .blend file."""

# Blender reads the annotations below as they are: this file must not postpone their evaluation. No property
# has a callback (poll, update, items): with one still registered, the module of Blender 4.5 hangs at exit.

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)
from bpy.types import PropertyGroup

from naf_core.materials import DEFAULT

from .map_properties import MOST_FRAMES, MapSettings
from .material_properties import PRESETS, MaterialAcoustics
from .object_properties import ObjectAcoustics, SilencedStrip
from .sound_properties import SoundSettings
from .warned import AcousticWarning


class SceneAcoustics(SoundSettings, MapSettings, PropertyGroup):
    """What a bake of this scene makes, where, for which frames and in which air, and what maps show."""

    directory: StringProperty(
        name="Output",
        description="Folder for the baked sounds and maps; // is the folder of the .blend file",
        subtype="DIR_PATH",
        default="//acoustics/",
        maxlen=1024,
        options={"OUTPUT_PATH", "PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    listener: PointerProperty(
        name="Listener",
        description=(
            "Object that hears; empty takes the active camera and follows camera markers. Cameras, Speakers "
            "and lights look along their local -Z with +Y up; all other objects face local -Y with +Z up, as "
            "models do in Blender's front view"
        ),
        type=bpy.types.Object,
        options=set(),
    )
    bake_range: EnumProperty(
        name="Range",
        description="Frames that a bake makes sound for",
        items=(
            ("SCENE", "Scene", "The frame range of the scene"),
            ("PREVIEW", "Preview", "The preview range of the timeline, or the scene's where that is off"),
            ("CUSTOM", "Custom", "Frames of your own"),
        ),
        default="SCENE",
        options=set(),
    )
    bake_start: IntProperty(
        name="Start",
        description="First frame of the bake, for a custom range",
        default=1,
        min=-MOST_FRAMES,
        max=MOST_FRAMES,
        options=set(),
    )
    bake_end: IntProperty(
        name="End",
        description="Last frame of the bake, for a custom range",
        default=250,
        min=-MOST_FRAMES,
        max=MOST_FRAMES,
        options=set(),
    )
    only_selected: BoolProperty(
        name="Only Selected Speakers",
        description="Compute the selected Speakers anew; the others keep what the last bake made of them",
        default=False,
        options=set(),
    )
    seed: IntProperty(
        name="Seed",
        description="Number that starts the random generator; the same seed gives the same sound",
        default=0,
        min=0,
        options=set(),
    )
    temperature: FloatProperty(
        name="Air (°C)",
        description="Temperature of the air in degrees Celsius",
        default=20.0,
        min=-20.0,
        max=50.0,
        soft_min=0.0,
        soft_max=40.0,
        precision=1,
        step=50,
        options=set(),
    )
    humidity: FloatProperty(
        name="Humidity",
        description="Relative humidity of the air; dry air swallows high notes over long ways",
        default=50.0,
        min=1.0,
        max=100.0,
        soft_min=10.0,
        subtype="PERCENTAGE",
        precision=0,
        options=set(),
    )
    pressure: FloatProperty(
        name="Pressure (kPa)",
        description="Pressure of the air in kilopascal; 101.325 at sea level, about 80 at 2000 m",
        default=101.325,
        min=20.0,
        max=200.0,
        soft_min=50.0,
        soft_max=110.0,
        precision=3,
        step=10,
        options=set(),
    )
    default_material: EnumProperty(
        name="Default Material",
        description="Acoustic material of surfaces whose material is not set and whose name says nothing",
        items=PRESETS,
        default=DEFAULT,
        options=set(),
    )
    detail: FloatProperty(
        name="Detail (m)",
        description=(
            "In scenes of more than 200 000 triangles, detail of fine meshes that is smaller than this is merged; "
            "0 keeps all. Sound of 1 kHz is 0.34 m long"
        ),
        default=0.1,
        min=0.0,
        max=10.0,
        soft_max=0.5,
        precision=2,
        step=1,
        options=set(),
    )
    recorded_field: StringProperty(
        name="Field",
        description=(
            "File of a room that was learned from measured impulse responses; it answers in place of the scene's "
            "geometry. Empty for none"
        ),
        subtype="FILE_PATH",
        maxlen=1024,
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    recorded_place: PointerProperty(
        name="Origin",
        description=(
            "Empty whose place and axes are those of the recordings, Z up; none for the origin of the scene. One that "
            "moves is taken as it stands when the bake starts"
        ),
        type=bpy.types.Object,
        options=set(),
    )
    # What the results were warned of (see `warned`).
    warnings: CollectionProperty(type=AcousticWarning, options={"HIDDEN"})


_CLASSES = (SilencedStrip, AcousticWarning, SceneAcoustics, ObjectAcoustics, MaterialAcoustics)


def register() -> None:
    """Register the property groups and hang them on scenes, objects and materials."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.acoustics = PointerProperty(type=SceneAcoustics)
    bpy.types.Object.acoustics = PointerProperty(type=ObjectAcoustics, override={"LIBRARY_OVERRIDABLE"})
    bpy.types.Material.acoustics = PointerProperty(type=MaterialAcoustics, override={"LIBRARY_OVERRIDABLE"})


def unregister() -> None:
    """Undo `register`."""
    del bpy.types.Material.acoustics
    del bpy.types.Object.acoustics
    del bpy.types.Scene.acoustics
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
