"""Settings of the scene, of objects and of materials, saved with the .blend file."""

# Blender reads the annotations below as they are: this file must not postpone their evaluation. No property
# has a callback (poll, update, items): with one still registered, the module of Blender 4.5 hangs at exit.

import zlib

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)
from bpy.types import PropertyGroup

from naf_core.bands import BANDS_HZ, N_BANDS
from naf_core.materials import CATALOGUE, DEFAULT, GROUPS

# Object types whose evaluated form is a surface.
SOLID_TYPES = ("MESH", "CURVE", "SURFACE", "FONT", "META")

_BAND_NAMES = ", ".join(f"{hz:g} Hz" for hz in BANDS_HZ)


def preset_items() -> list[tuple]:
    """Enum items of the catalogue under a heading for each group: key, name, source, number.

    Files store the number. It is made from the key and not from the place in the list, so that it stays when
    the catalogue grows. Blender copies the items of a list; those of a callback it would not keep alive.
    """
    items: list[tuple] = []
    for group, keys in GROUPS.items():
        items.append(("", group, ""))
        for key in keys:
            number = zlib.crc32(key.encode()) & 0x7FFFFFFF
            items.append((key, CATALOGUE[key].name, CATALOGUE[key].source, number))
    return items


PRESETS = preset_items()


class SilencedStrip(PropertyGroup):
    """An NLA sound strip that was muted for playback, named by its track and itself."""

    track: StringProperty(name="Track", description="Name of the NLA track", options=set())
    strip: StringProperty(name="Strip", description="Name of the NLA sound strip", options=set())


class SceneAcoustics(PropertyGroup):
    """What a bake of this scene makes, in which air, and what the loudness map shows."""

    format: EnumProperty(
        name="Format",
        description="Channels of the baked sound",
        items=(
            ("BINAURAL", "Binaural", "Two channels for headphones, with a head's own filtering"),
            ("STEREO", "Stereo", "Two channels for loudspeakers, as from a coincident pair of microphones"),
            ("AMBIX", "Ambisonic (AmbiX)", "Four channels W, Y, Z, X in SN3D, for any playback system"),
        ),
        default="BINAURAL",
        options=set(),
    )
    sample_rate: EnumProperty(
        name="Sample Rate",
        description="Samples per second of the baked sound",
        items=(
            ("44100", "44.1 kHz", "As on a compact disc"),
            ("48000", "48 kHz", "As in film and video"),
            ("96000", "96 kHz", "Twice the rate of film and video"),
        ),
        default="48000",
        options=set(),
    )
    directory: StringProperty(
        name="Output",
        description="Folder for the baked sounds and maps; // is the folder of the .blend file",
        subtype="DIR_PATH",
        default="//acoustics/",
        maxlen=1024,
        options={"OUTPUT_PATH", "PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    mix: BoolProperty(
        name="Mix",
        description="Add a track with all Speakers together, beside one track for each",
        default=True,
        options=set(),
    )
    playback: EnumProperty(
        name="Playback",
        description="Which of the baked strips sound in the sequencer; the others are muted",
        items=(
            ("MIX", "Mix", "The track with all Speakers together"),
            ("STEMS", "Speakers", "The tracks of the single Speakers, to balance them by their strips"),
        ),
        default="MIX",
        options=set(),
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
    seed: IntProperty(
        name="Seed",
        description="Number that starts the random generator; the same seed gives the same sound",
        default=0,
        min=0,
        options=set(),
    )
    temperature: FloatProperty(
        name="Temperature (°C)",
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
    map_with_bake: BoolProperty(
        name="Loudness Map",
        description="Paint the floor along with a bake, which has scanned the rooms anyway",
        default=True,
        options=set(),
    )
    floor: PointerProperty(
        name="Floor",
        description="Object that wears the loudness map; empty finds the floor by itself",
        type=bpy.types.Object,
        options=set(),
    )
    # In metres whatever the scene's unit scale: a property with unit LENGTH would be stored in Blender units.
    ear_height: FloatProperty(
        name="Ear Height (m)",
        description="Height above the floor in metres at which the loudness is taken",
        default=1.6,
        min=0.0,
        max=100.0,
        soft_min=0.5,
        soft_max=2.5,
        precision=2,
        step=10,
        options=set(),
    )
    map_resolution: IntProperty(
        name="Resolution",
        description="Pixels along the longer side of the loudness map",
        default=256,
        min=16,
        max=2048,
        soft_min=64,
        soft_max=1024,
        subtype="PIXEL",
        options=set(),
    )
    map_range: EnumProperty(
        name="Range",
        description="Levels that the colours of the loudness map span",
        items=(
            ("AUTO", "Automatic", "From the quietest to the loudest level on the floor"),
            ("FIXED", "Fixed", "Between two levels of your own, so that maps can be compared"),
        ),
        default="AUTO",
        options=set(),
    )
    map_minimum: FloatProperty(
        name="Lowest (dB(A))",
        description="Level of the lowest colour in dB(A), for a fixed range",
        default=40.0,
        min=-50.0,
        max=150.0,
        soft_min=0.0,
        soft_max=100.0,
        precision=1,
        step=100,
        options=set(),
    )
    map_maximum: FloatProperty(
        name="Highest (dB(A))",
        description="Level of the highest colour in dB(A), for a fixed range",
        default=80.0,
        min=-50.0,
        max=150.0,
        soft_min=0.0,
        soft_max=120.0,
        precision=1,
        step=100,
        options=set(),
    )
    map_current_frame: BoolProperty(
        name="Current Frame",
        description="Map the frame that is shown when the map is made, instead of a frame of your own",
        default=True,
        options=set(),
    )
    map_frame: IntProperty(
        name="Frame",
        description="Frame at which the loudness is mapped when it is not the current one",
        default=1,
        min=-1048574,
        max=1048574,
        options=set(),
    )


class ObjectAcoustics(PropertyGroup):
    """Whether an object takes part in the sound, and how loud a Speaker is."""

    include: BoolProperty(
        name="Include",
        description="Speakers: heard in the bake. Other objects: solid to sound, reflecting and blocking it",
        default=True,
        options=set(),
    )
    level: FloatProperty(
        name="Level (dB(A) at 1 m)",
        description=(
            "Average loudness of the sound in dB(A), 1 m away in the open at full volume. A calm voice has "
            "55, a raised one 70, an orchestra 90"
        ),
        default=70.0,
        min=0.0,
        max=150.0,
        soft_min=30.0,
        soft_max=110.0,
        precision=1,
        step=100,
        options=set(),
    )
    # A bake mutes the strips of its Speakers for playback and notes them here. The reader takes the noted
    # ones as sounding, so that a second bake hears what the first one heard.
    silenced: CollectionProperty(type=SilencedStrip, options={"HIDDEN"})


class MaterialAcoustics(PropertyGroup):
    """What a Blender material is made of for sound."""

    mode: EnumProperty(
        name="Acoustics",
        description="Where the acoustic material comes from",
        items=(
            ("GUESS", "From Name", "Guessed from the name of the material, else the scene's default"),
            ("PRESET", "Preset", "Measured values from the catalogue"),
            ("CUSTOM", "Custom", "Absorption and scattering of your own"),
        ),
        default="GUESS",
        options=set(),
    )
    preset: EnumProperty(
        name="Preset",
        description="Material of the catalogue",
        items=PRESETS,
        default=DEFAULT,
        options=set(),
    )
    absorption: FloatVectorProperty(
        name="Absorption",
        description=f"Share of the arriving energy that is not reflected, in the octave bands {_BAND_NAMES}",
        size=N_BANDS,
        default=CATALOGUE[DEFAULT].absorption,
        min=0.0,
        max=1.0,
        subtype="NONE",
        precision=2,
        step=1,
        options=set(),
    )
    scattering: FloatVectorProperty(
        name="Scattering",
        description=(
            "Share of the reflected energy that leaves in all directions instead of mirrored, in the octave "
            f"bands {_BAND_NAMES}"
        ),
        size=N_BANDS,
        default=CATALOGUE[DEFAULT].scattering,
        min=0.0,
        max=1.0,
        subtype="NONE",
        precision=2,
        step=1,
        options=set(),
    )


_CLASSES = (SilencedStrip, SceneAcoustics, ObjectAcoustics, MaterialAcoustics)


def register() -> None:
    """Register the property groups and hang them on scenes, objects and materials."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.acoustics = PointerProperty(type=SceneAcoustics)
    bpy.types.Object.acoustics = PointerProperty(type=ObjectAcoustics)
    bpy.types.Material.acoustics = PointerProperty(type=MaterialAcoustics)


def unregister() -> None:
    """Undo `register`."""
    del bpy.types.Material.acoustics
    del bpy.types.Object.acoustics
    del bpy.types.Scene.acoustics
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
