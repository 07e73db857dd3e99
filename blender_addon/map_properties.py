"""Settings of a scene on its maps."""

# Blender reads the annotations below as they are: see properties.py, also on callbacks.

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty

from naf_core.bands import BANDS_HZ

MOST_FRAMES = 1048574  # of a Blender scene

BAND_ITEMS = (
    ("ALL", "All", "A-weighted levels; the mean of 500 Hz and 1 kHz for reverberation, clarity and definition"),
    *((str(band), f"{hz:g} Hz", f"The octave around {hz:g} Hz alone") for band, hz in enumerate(BANDS_HZ)),
)


def _show_opacity(self, _context):
    from . import sheet  # only now: it needs these settings

    sheet.set_opacity(self.id_data, self.map_opacity)


class MapSettings:
    """What a map shows: part of `SceneAcoustics`."""

    map_with_bake: BoolProperty(
        name="Map",
        description="Paint the floor along with a bake, which has scanned the rooms anyway",
        default=True,
        options=set(),
    )
    map_quantity: EnumProperty(
        name="Quantity",
        description="What the map shows",
        items=(
            ("level", "Level", "How loud all Speakers together are, in dB(A), or in dB in one octave band"),
            ("T30", "Reverberation T30", "Seconds in which sound dies away by 60 dB (ISO 3382-1)"),
            ("C50", "Clarity C50", "Early to late energy in dB: above 0 speech is clear (ISO 3382-1)"),
            ("D50", "Definition D50", "Share of the energy that comes within 50 ms, 0 to 1 (ISO 3382-1)"),
            ("STI", "Speech Transmission STI", "How well speech is understood: 0.45 poor, 0.6 good, 0.75 excellent"),
        ),
        default="level",
        options=set(),
    )
    map_band: EnumProperty(
        name="Band",
        description="Octave band in which the quantity is taken",
        items=BAND_ITEMS,
        default="ALL",
        options=set(),
    )
    map_use_noise: BoolProperty(
        name="Background Noise",
        description="Let steady noise make speech harder to understand",
        default=False,
        options=set(),
    )
    map_noise: FloatProperty(
        name="Noise (dB(A))",
        description="Level of the background noise in dB(A), with the spectrum of speech: 35 an office, 60 a café",
        default=40.0,
        min=-50.0,
        max=150.0,
        soft_min=0.0,
        soft_max=90.0,
        precision=1,
        step=100,
        options=set(),
    )
    floor: PointerProperty(
        name="Surface",
        description="Object that wears the map: a floor, a stand, a wall or any plane; empty finds the floor by itself",
        type=bpy.types.Object,
        options=set(),
    )
    map_collection: PointerProperty(
        name="Surfaces",
        description="Collection of objects that wear the map together: storeys, stages, stands; empty takes Surface",
        type=bpy.types.Collection,
        options=set(),
    )
    # In metres whatever the scene's unit scale: a property with unit LENGTH would be stored in Blender units.
    ear_height: FloatProperty(
        name="Ear Height (m)",
        description="Height above the floor in metres at which the map is taken; on walls and the like it lies close",
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
        description="Pixels along the longer side of the map",
        default=256,
        min=16,
        max=2048,
        soft_min=64,
        soft_max=1024,
        subtype="PIXEL",
        options=set(),
    )
    map_time: EnumProperty(
        name="Time",
        description="When the map is taken",
        items=(
            ("FRAME", "Frame", "At one frame"),
            ("MAXIMUM", "Maximum", "The highest value over the frames of the bake's range"),
            ("SEQUENCE", "Sequence", "A map every few frames of the bake's range, which plays along with the timeline"),
        ),
        default="FRAME",
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
        description="Frame that is mapped when it is not the current one",
        default=1,
        min=-MOST_FRAMES,
        max=MOST_FRAMES,
        options=set(),
    )
    map_step: IntProperty(
        name="Step",
        description="Frames from one map to the next",
        default=6,
        min=1,
        max=10000,
        soft_max=50,
        options=set(),
    )
    map_range: EnumProperty(
        name="Range",
        description="Values that the colours of the map span",
        items=(
            ("AUTO", "Automatic", "From the lowest to the highest value of the map"),
            ("FIXED", "Fixed", "Between two values of your own, so that maps can be compared"),
        ),
        default="AUTO",
        options=set(),
    )
    map_minimum: FloatProperty(
        name="Lowest",
        description="Value of the lowest colour in the unit of the quantity, for a fixed range",
        default=40.0,
        min=-200.0,
        max=300.0,
        soft_min=0.0,
        soft_max=100.0,
        precision=2,
        step=100,
        options=set(),
    )
    map_maximum: FloatProperty(
        name="Highest",
        description="Value of the highest colour in the unit of the quantity, for a fixed range",
        default=80.0,
        min=-200.0,
        max=300.0,
        soft_min=0.0,
        soft_max=120.0,
        precision=2,
        step=100,
        options=set(),
    )
    map_palette: EnumProperty(
        name="Colours",
        description="Colours of the map; all are told apart by people who do not see red or green",
        items=(
            ("viridis", "Viridis", "From violet over green to yellow"),
            ("cividis", "Cividis", "From blue to yellow: the same for all eyes"),
            ("inferno", "Inferno", "From black over red to light yellow"),
        ),
        default="viridis",
        options=set(),
    )
    map_lines: BoolProperty(
        name="Contours",
        description="Draw lines of equal value",
        default=True,
        options=set(),
    )
    map_opacity: FloatProperty(
        name="Opacity",
        description="How much the map hides what lies below: 1 shows the map alone (Solid shading always does)",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        options=set(),
        update=_show_opacity,
    )
    probe_emitters: EnumProperty(
        name="Probe Hears",
        description="Whom the probe reads",
        items=(
            ("ALL", "All Speakers", "The level of all together; the rest of the one that is loudest there"),
            ("NEAREST", "The Nearest", "The Speaker that is nearest to the place"),
        ),
        default="ALL",
        options=set(),
    )


def band_of(settings: bpy.types.PropertyGroup) -> int | None:
    """The octave band of a map, 0 to 7, or None for the number over bands."""
    if settings.map_band == "ALL" or settings.map_quantity == "STI":
        return None
    return int(settings.map_band)
