"""What mends the findings of the check-list: small steps on a scene and its Speakers."""

from __future__ import annotations

from collections.abc import Callable

import bpy
from bpy.types import Context
from mathutils import Matrix, Vector

from naf_core.quantities import QUANTITIES

from . import strips
from .geometry import metres_per_unit
from .motion import camera_at
from .reader import frames_of
from .speakers import sound_strips

EARS_M = 1.6  # height of a new camera above the 3D cursor


def listener_of(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """Who listens at the current frame."""
    return scene.acoustics.listener or camera_at(scene, scene.frame_current)


def _unmute(_context: Context, item: bpy.types.Object) -> None:
    item.data.muted = False
    item.data.volume = item.data.volume or 1.0


def _show(_context: Context, item: bpy.types.Object) -> None:
    item.hide_render = False


def _include(_context: Context, item: bpy.types.Object) -> None:
    item.acoustics.include = True


def _link(context: Context, item: bpy.types.Object) -> None:
    if item.name not in context.scene.collection.objects:
        context.scene.collection.objects.link(item)


def _strips(_context: Context, item: bpy.types.Object) -> None:
    for track, strip in sound_strips(item):
        track.mute = strip.mute = False
    for track in item.animation_data.nla_tracks:
        track.is_solo = False


def _cone(_context: Context, item: bpy.types.Object) -> None:
    item.acoustics.use_cone = True


def _cone_volume(_context: Context, item: bpy.types.Object) -> None:
    item.data.cone_volume_outer = 0.0


def _cone_angle(_context: Context, item: bpy.types.Object) -> None:
    item.data.cone_angle_inner = item.data.cone_angle_outer


def _start(context: Context, item: bpy.types.Object) -> None:
    found = [strip for _, strip in sound_strips(item)]
    first = min(found, key=lambda strip: strip.frame_start)
    shift = frames_of(context.scene).start - first.frame_start
    for strip in sorted(found, key=lambda strip: strip.frame_start):
        strip.frame_start += shift


def _camera(context: Context, _item: None) -> None:
    scene = context.scene
    camera = next((item for item in scene.objects if item.type == "CAMERA"), None)
    if camera is None:
        camera = bpy.data.objects.new("Listener", bpy.data.cameras.new("Listener"))
        camera.location = scene.cursor.location + Vector((0.0, 0.0, EARS_M / metres_per_unit(scene)))
        camera.rotation_euler.x = 1.5707963  # level, towards +Y
        scene.collection.objects.link(camera)
    scene.camera = camera


def _keep_camera(context: Context, _item: None) -> None:
    context.scene.acoustics.listener = context.scene.camera


def _no_listener(context: Context, _item: None) -> None:
    context.scene.acoustics.listener = None


def _folder(context: Context, _item: None) -> None:
    context.scene.acoustics.property_unset("directory")


def _aim(context: Context, item: bpy.types.Object) -> None:
    listener = listener_of(context.scene)
    way = listener.matrix_world.translation - item.matrix_world.translation
    place, _, scale = item.matrix_world.decompose()
    item.matrix_world = Matrix.LocRotScale(place, way.to_track_quat("-Z", "Y"), scale)


def _all_frames(context: Context, _item: None) -> None:
    context.scene.acoustics.bake_range = "SCENE"


def _all_speakers(context: Context, _item: None) -> None:
    context.scene.acoustics.only_selected = False


def _wav(context: Context, _item: None) -> None:
    context.scene.acoustics.file_type = "WAV"


def _ears(context: Context, _item: None) -> None:
    context.scene.acoustics.hrtf = ""


def _modelled(context: Context, _item: None) -> None:
    context.scene.acoustics.recorded_field = ""


def _usual_range(context: Context, _item: None) -> None:
    settings = context.scene.acoustics
    settings.map_minimum, settings.map_maximum = QUANTITIES[settings.map_quantity].usual


def _go(context: Context, _item: None) -> None:
    context.scene.frame_set(frames_of(context.scene).start)


def _playback(context: Context, _item: None) -> None:
    context.scene.use_audio = True
    context.scene.audio_volume = context.scene.audio_volume or 1.0


def _sync(context: Context, _item: None) -> None:
    context.scene.sync_mode = "AUDIO_SYNC"


def _stretch(context: Context, _item: None) -> None:
    context.scene.render.frame_map_new = context.scene.render.frame_map_old


def _restore(context: Context, _item: None) -> None:
    strips.restore(context.scene)


# Kind: (name, description, what does it, whether it needs an object of the scene)
FIXES: dict[str, tuple[str, str, Callable, bool]] = {
    "UNMUTE": ("Unmute", "Unmute the Speaker, with a volume of 1 where it was 0", _unmute, True),
    "SHOW": ("Show", "Show the Speaker in renders, so that it is heard", _show, True),
    "INCLUDE": ("Include", "Let bakes and maps hear the Speaker", _include, True),
    "LINK": ("Link", "Link the Speaker to the scene itself, which renders show", _link, True),
    "STRIPS": ("Strips", "Unmute the NLA sound strips of the Speaker", _strips, True),
    "CONE": ("Cone", "Let the sound of the Speaker follow its cone", _cone, True),
    "CONE_VOLUME": ("Cone Volume", "Set the volume outside the cone of the Speaker to 0", _cone_volume, True),
    "CONE_ANGLE": ("Cone Angle", "Make the inner cone of the Speaker as wide as the outer one", _cone_angle, True),
    "START": ("Start", "Move the sound strips of the Speaker to the first frame of the bake", _start, True),
    "AIM": ("Aim", "Turn the Speaker towards the listener, as both stand now", _aim, True),
    "CAMERA": ("Camera", "Let a camera of the scene listen, or a new one at the 3D cursor", _camera, False),
    "KEEP_CAMERA": ("Keep Camera", "Let the active camera listen whichever is active later", _keep_camera, False),
    "NO_LISTENER": ("No Listener", "Let the active camera listen instead of the chosen object", _no_listener, False),
    "FOLDER": ("Folder", "Write to the folder “acoustics” beside the .blend file", _folder, False),
    "FRAMES": ("Frames", "Bake the frame range of the scene", _all_frames, False),
    "ALL": ("All Speakers", "Bake all Speakers, whichever are selected", _all_speakers, False),
    "WAV": ("WAV", "Write the sounds as WAV files", _wav, False),
    "EARS": ("Ears", "Take the bundled head for binaural sound", _ears, False),
    "MODELLED": ("Modelled Room", "Let the geometry of the scene answer in place of a recording", _modelled, False),
    "RANGE": ("Range", "Let the colours of maps span what is usual for this quantity", _usual_range, False),
    "GO": ("Go There", "Go to the first frame of the bake", _go, False),
    "PLAYBACK": ("Playback", "Let the scene sound in playback again", _playback, False),
    "SYNC": ("Sync", "Let playback skip frames rather than fall behind the sound", _sync, False),
    "STRETCH": ("Stretching", "Turn time stretching off, so that frames last as long as they do here", _stretch, False),
    "RESTORE": ("Restore", "Let Speakers sound again that were silenced for baked strips", _restore, False),
}
