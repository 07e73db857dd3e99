"""What a bake would refuse for its settings, and what is bound to be heard wrong though nothing is broken.

Panels ask for it many times a second: it looks at properties only, never at evaluated objects.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import bpy
from mathutils import Vector

from naf_core.job import FLAC_CHANNELS
from naf_core.layouts import channel_count
from naf_core.quantities import QUANTITIES

from . import sheet, strips
from .finding import Finding, Remedy, fix
from .folders import is_file
from .geometry import metres_per_unit
from .mending import listener_of
from .object_properties import SOLID_TYPES
from .reader import frames_of
from .speakers import heard_strips
from .surfaces import default_name

HEAD = 0.1  # m: who sounds closer to the ears sounds within the head
SOFT = 0.5  # amplitude outside a cone from which on it matters little where it points
_LOOK_AGAIN_S = 3.0  # how long the objects without a material are believed
_bare: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}


def hindrances(scene: bpy.types.Scene) -> Iterator[Finding]:
    """Settings with which a bake would end before it begins."""
    settings = scene.acoustics
    frames = frames_of(scene)
    if not frames:
        text = "No frame is baked: the last one of the range comes before the first"
        yield Finding(text, fix("FRAMES", "Use the Scene's"), True)
    elif settings.impulses and scene.frame_current not in frames:
        yield Finding("Impulse responses: the current frame is not baked", fix("GO", "Go to the First"), True)
    if settings.only_selected and not any(item.type == "SPEAKER" for item in bpy.context.selected_objects):
        yield Finding("Only selected Speakers are baked, and none is selected", fix("ALL", "Bake All"), True)
    if settings.file_type == "FLAC":
        channels = channel_count(settings.format.lower(), settings.order)
        if channels > FLAC_CHANNELS:
            text = f"FLAC files hold {FLAC_CHANNELS} channels, and this format has {channels}"
            yield Finding(text, fix("WAV", "Write WAV"), True)
        elif settings.sample_type == "FLOAT":
            yield Finding("FLAC files hold no floating-point samples", fix("WAV", "Write WAV"), True)
    if settings.format == "BINAURAL" and settings.hrtf and not is_file(bpy.path.abspath(settings.hrtf)):
        yield Finding("The SOFA file of the ears is missing", fix("EARS", "Use the Bundled Ears"), True)
    if settings.recorded_field.strip() and not is_file(bpy.path.abspath(settings.recorded_field)):
        yield Finding("The file of the recorded room is missing", fix("MODELLED", "Use the Modelled Room"), True)
    yield from _fixed_range(scene)


def _fixed_range(scene: bpy.types.Scene) -> Iterator[Finding]:
    """A range of the map that is none, or that belongs to another quantity."""
    settings = scene.acoustics
    if settings.map_range != "FIXED":
        return
    lowest, highest, name = settings.map_minimum, settings.map_maximum, settings.map_quantity
    of_level = not settings.is_property_set("map_minimum") and not settings.is_property_set("map_maximum")
    usual = fix("RANGE", "Set a Usual One")
    if lowest >= highest:
        yield Finding(f"The fixed range of the map ends where it begins: {lowest:g} to {highest:g}", usual, True)
    elif name != "level" and (of_level or lowest >= QUANTITIES[name].most):
        yield Finding(f"The fixed range of the map, {lowest:g} to {highest:g}, is none of {name}", usual)


def cautions(scene: bpy.types.Scene, speakers: Sequence[bpy.types.Object]) -> Iterator[Finding]:
    """What is bound to be heard wrong."""
    listener = listener_of(scene)
    for item in speakers if listener is not None else ():
        yield from _towards(scene, item, listener)
    yield from _playback(scene)
    render = scene.render
    if render.frame_map_old != render.frame_map_new:
        text = "Time stretching changes how long a render lasts, and not its sound"
        yield Finding(text, fix("STRETCH", "Turn Off"))
    yield from _without_material(scene)


def _towards(scene: bpy.types.Scene, item: bpy.types.Object, listener: bpy.types.Object) -> Iterator[Finding]:
    """How a Speaker that is heard stands to the listener, as far as both stand still."""
    data = item.data
    if item == listener or not item.acoustics.include or not (any(heard_strips(item)) and data.sound):
        return
    way = listener.matrix_world.translation - item.matrix_world.translation
    if way.length * metres_per_unit(scene) < HEAD:
        text = f"“{item.name}” is less than {100.0 * HEAD:.0f} cm from the listener, and so very loud"
        yield Finding(text)
    elif _still(item) and _still(listener) and item.acoustics.use_cone and data.cone_volume_outer < SOFT:
        axis = item.matrix_world.to_quaternion() @ Vector((0.0, 0.0, -1.0))
        if axis.angle(way) > math.radians(0.5 * data.cone_angle_outer):
            text = f"“{item.name}” looks away from the listener, who hears little of it but the room"
            yield Finding(text, fix("AIM", "Aim", item))


def _still(item: bpy.types.Object) -> bool:
    """Whether an object surely stands as it stands now."""
    animation = item.animation_data
    moves = animation is not None and (animation.action is not None or len(animation.drivers))
    return item.parent is None and not item.constraints and not moves


def _playback(scene: bpy.types.Scene) -> Iterator[Finding]:
    """What keeps baked strips from being heard as they are."""
    if not any(strips.own_strips(scene)):
        return
    if not scene.use_audio or scene.audio_volume <= 0.0:
        yield Finding("Playback is mute", fix("PLAYBACK", "Unmute"))
    elif scene.sync_mode != "AUDIO_SYNC":
        yield Finding("Playback may fall behind the sound", fix("SYNC", "Sync to Audio"))


def _without_material(scene: bpy.types.Scene) -> Iterator[Finding]:
    names = _bare_objects(scene)
    if names:
        who = f"“{names[0]}” has" if len(names) == 1 else f"“{names[0]}” and {len(names) - 1} more have"
        text = f"{who} no material: sound meets {default_name(scene.acoustics)}"
        yield Finding(text, Remedy("acoustics.find_material", "Choose…", {"default": True}))


def _bare_objects(scene: bpy.types.Scene) -> tuple[str, ...]:
    """Names of solid objects without any material; that is known for a while, since there may be very many."""
    key, now = (bpy.data.filepath, scene.name), time.monotonic()
    asked, names = _bare.get(key, (-_LOOK_AGAIN_S, ()))
    if now - asked >= _LOOK_AGAIN_S:
        names = tuple(item.name for item in scene.objects if _is_bare(item))
        if len(_bare) > 100:
            _bare.clear()
        _bare[key] = now, names
    return names


def _is_bare(item: bpy.types.Object) -> bool:
    if item.type not in SOLID_TYPES or item.hide_render or item.acoustics.surface == "IGNORED":
        return False
    if item.get(sheet.MARK) or item.display_type in ("BOUNDS", "WIRE"):
        return False
    return not any(slot.material for slot in item.material_slots)
