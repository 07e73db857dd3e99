"""Acoustic settings of objects and of Speakers."""

# Blender reads the annotations below as they are: see properties.py, also on callbacks.

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, FloatProperty, StringProperty
from bpy.types import PropertyGroup

# Object types whose evaluated form is a surface.
SOLID_TYPES = ("MESH", "CURVE", "SURFACE", "FONT", "META")
SURFACES = (
    ("SOLID", "Solid", "The object as it is modelled reflects and blocks sound"),
    (
        "SIMPLIFIED",
        "Simplified",
        "The convex hull of the object, of the material with the most faces: for plants, chairs and other "
        "things whose detail is finer than a hand",
    ),
    ("IGNORED", "Ignored", "Sound passes through, also through what the object instances"),
)


class SilencedStrip(PropertyGroup):
    """An NLA sound strip that was muted for playback, named by its track and itself."""

    track: StringProperty(
        name="Track", description="Name of the NLA track", options=set(), override={"LIBRARY_OVERRIDABLE"}
    )
    strip: StringProperty(
        name="Strip", description="Name of the NLA sound strip", options=set(), override={"LIBRARY_OVERRIDABLE"}
    )


class ObjectAcoustics(PropertyGroup):
    """What sound meets of an object; whether a Speaker is heard, and how loud."""

    include: BoolProperty(
        name="Include",
        description="The bake and the maps hear this Speaker",
        default=True,
        options=set(),
        override={"LIBRARY_OVERRIDABLE"},
    )
    surface: EnumProperty(
        name="Surface",
        description="What sound meets where this object is",
        items=SURFACES,
        default="SOLID",
        options=set(),
        override={"LIBRARY_OVERRIDABLE"},
    )
    level: FloatProperty(
        name="Level (dB(A))",
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
        override={"LIBRARY_OVERRIDABLE"},
    )
    use_cone: BoolProperty(
        name="Use Cone",
        description=(
            "Follow the cone of the Speaker (Cone in its data), which looks along its local -Z: the level holds on "
            "its axis, and less is sent aside. The room then gets less, too: 9 dB less reverberation for a cone of "
            "60° to 120° without volume outside. Off sends alike in all directions"
        ),
        default=True,
        options=set(),
        override={"LIBRARY_OVERRIDABLE"},
    )
    cone_size: FloatProperty(
        name="Cone Size (m)",
        description=(
            "Radius of what sounds: low notes bend around it, so that the cone holds for high notes only. A mouth "
            "has 0.05 m, a loudspeaker 0.15 m; 0 lets the cone hold for all notes, as in Blender's playback"
        ),
        default=0.0,
        min=0.0,
        max=100.0,
        soft_max=1.0,
        precision=3,
        step=1,
        options=set(),
        override={"LIBRARY_OVERRIDABLE"},
    )
    # A bake mutes the strips of its Speakers for playback and notes them here. The reader takes the noted
    # ones as sounding, so that a second bake hears what the first one heard.
    silenced: CollectionProperty(
        type=SilencedStrip, options={"HIDDEN"}, override={"LIBRARY_OVERRIDABLE", "USE_INSERTION"}
    )


def is_solid(item: bpy.types.Object) -> bool:
    """Whether sound meets an object, or what it instances."""
    return item.type == "SPEAKER" or item.acoustics.surface != "IGNORED"


def has_surface(item: bpy.types.Object) -> bool:
    """Whether an object may be solid: it has a surface, or instances things that may."""
    return item.type in SOLID_TYPES or (item.type == "EMPTY" and item.instance_collection is not None)
