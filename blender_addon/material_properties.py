"""Acoustic settings of materials, and the catalogue as a choice."""

# Blender reads the annotations below as they are: see properties.py, also on callbacks.

import zlib

from bpy.props import BoolProperty, EnumProperty, FloatVectorProperty
from bpy.types import PropertyGroup

from naf_core.bands import BANDS_HZ, N_BANDS
from naf_core.materials import CATALOGUE, DEFAULT, GROUPS

_BAND_NAMES = ", ".join(f"{hz:g} Hz" for hz in BANDS_HZ)
_KEPT = {"options": set(), "override": {"LIBRARY_OVERRIDABLE"}}  # not animated, and can be changed where it is linked
# A share of energy in each band.
_SHARE = {"size": N_BANDS, "min": 0.0, "max": 1.0, "subtype": "NONE", "precision": 2, "step": 1, **_KEPT}


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
# The same without headings, for the search.
FOUND = [item for item in PRESETS if item[0]]


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
        **_KEPT,
    )
    preset: EnumProperty(
        name="Preset",
        description="Material of the catalogue",
        items=PRESETS,
        default=DEFAULT,
        **_KEPT,
    )
    absorption: FloatVectorProperty(
        name="Absorption",
        description=f"Share of the arriving energy that is not reflected, in the octave bands {_BAND_NAMES}",
        default=CATALOGUE[DEFAULT].absorption,
        **_SHARE,
    )
    scattering: FloatVectorProperty(
        name="Scattering",
        description=(
            "Share of the reflected energy that leaves in all directions instead of mirrored, in the octave "
            f"bands {_BAND_NAMES}"
        ),
        default=CATALOGUE[DEFAULT].scattering,
        **_SHARE,
    )
    transmits: BoolProperty(
        name="Lets Sound Through",
        description="Some of the sound passes through walls of this material, as its transmission loss says",
        default=False,
        **_KEPT,
    )
    transmission_loss: FloatVectorProperty(
        name="Transmission Loss",
        description=(
            "How much softer sound is behind a wall of this material, in dB (sound reduction index), in the octave "
            f"bands {_BAND_NAMES}"
        ),
        size=N_BANDS,
        default=(20.0, 22.0, 25.0, 28.0, 31.0, 34.0, 37.0, 40.0),
        min=0.0,
        max=120.0,
        soft_max=70.0,
        subtype="NONE",
        precision=0,
        step=100,
        **_KEPT,
    )
