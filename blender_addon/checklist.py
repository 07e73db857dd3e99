"""The check-list: what stands in the way of a bake or is odd, each with what mends it.

Panels ask for it many times a second: it looks at properties only, never at evaluated objects.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import bpy

from naf_core.inspection import Note

from . import cautions, changes, inspection, sheet, strips
from .finding import Finding, Remedy, fix
from .folders import is_file
from .reader import frames_of
from .shell import Shown
from .speakers import always_hidden, heard_strips, sound_strips
from .surfaces import is_default

_LOOK_AGAIN_S = 3.0  # how long it is believed in which collections objects are


def findings(scene: bpy.types.Scene) -> Iterator[Finding]:
    """What is odd about a scene, the serious things first."""
    speakers = speakers_in(scene)
    yield from _listener(scene)
    yield from _speakers(scene, speakers)
    yield from _folder(scene)
    yield from cautions.hindrances(scene)
    for item in speakers:
        yield from _speaker(scene, item)
    yield from _cameras(scene)
    yield from cautions.cautions(scene, speakers)
    yield from _movers(scene)
    yield from _geometry(scene, inspection.GRAVE)
    yield from _materials(scene)
    yield from _lost_strips(scene, speakers)
    yield from _geometry(scene, inspection.HARMLESS)


def speakers_in(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The Speakers of a scene."""
    return [item for item in scene.objects if item.type == "SPEAKER"] if bpy.data.speakers else []


def why_silent(item: bpy.types.Object) -> tuple[str, Remedy | None] | None:
    """Why a bake would not hear a Speaker, and what mends it; None where it would."""
    if not item.acoustics.include:
        return "left out", fix("INCLUDE", "Include", item)
    if item.data.sound is None:
        return "no sound", _choose(item)
    if not _there(item.data.sound):
        return "its sound file is missing", _choose(item)
    if always_hidden(item):
        return "hidden in renders", fix("SHOW", "Show", item)
    if not _in_shown_collection(item):
        return "in no collection that renders show", fix("LINK", "Link to Scene", item)
    if any(sound_strips(item)) and not any(heard_strips(item)):
        return "muted in the NLA", fix("STRIPS", "Unmute", item)
    if item.data.animation_data is None:
        if item.data.muted:
            return "muted", fix("UNMUTE", "Unmute", item)
        if item.data.volume <= 0.0:
            return "its volume is 0", fix("UNMUTE", "Set to 1", item)
    return None


def _choose(item: bpy.types.Object) -> Remedy | None:
    """The choice of a sound, None for a Speaker whose data is linked."""
    return Remedy("acoustics.choose_sound", "Choose…", {"speaker": item.name}) if item.data.is_editable else None


def _in_shown_collection(item: bpy.types.Object) -> bool:
    """Whether a render of the current view layer shows a collection that an object is in; that is known for a while."""
    view_layer, now = bpy.context.view_layer, time.monotonic()
    key = bpy.data.filepath, view_layer.id_data.name, view_layer.name, item.name
    if now - _shown.get(key, -_LOOK_AGAIN_S) < _LOOK_AGAIN_S:
        return True
    layers = [view_layer.layer_collection]
    for layer in layers:  # grows while it is walked
        if layer.exclude or layer.collection.hide_render:
            continue
        if item.name in layer.collection.objects:
            if len(_shown) > 1000:
                _shown.clear()
            _shown[key] = now
            return True
        layers.extend(layer.children)
    return False


def _listener(scene: bpy.types.Scene) -> Iterator[Finding]:
    chosen = scene.acoustics.listener
    if chosen is not None and scene.objects.get(chosen.name) != chosen:
        text = f"The listener “{chosen.name}” is not in this scene"
        yield Finding(text, fix("NO_LISTENER", "Use the Camera"), True)
    if chosen is None and scene.camera is None and not _marked(scene):
        others = any(item.type == "CAMERA" for item in scene.objects)
        label = "Use a Camera" if others else "Add a Camera"
        yield Finding("Nobody listens: no camera is active", fix("CAMERA", label), True)


def _speakers(scene: bpy.types.Scene, speakers: list[bpy.types.Object]) -> Iterator[Finding]:
    if not speakers:
        yield Finding("Nothing sounds: there is no Speaker", Remedy("acoustics.add_speaker", "Add…"), True)
    elif all(why_silent(item) for item in speakers):
        yield Finding("No Speaker is heard", None, True)


def _folder(scene: bpy.types.Scene) -> Iterator[Finding]:
    directory = scene.acoustics.directory
    if not directory.strip():
        folder = fix("FOLDER", "Use //acoustics/")
        yield Finding("There is no output folder", folder, True)
    elif directory.startswith("//") and not bpy.data.filepath:
        yield Finding("Save the .blend file: its sounds go beside it", Remedy("wm.save_mainfile", "Save…"), True)


def _speaker(scene: bpy.types.Scene, item: bpy.types.Object) -> Iterator[Finding]:
    silent = why_silent(item)
    if silent is not None:
        yield Finding(f"{item.name}: {silent[0]}", silent[1])
        return
    starts = [strip.frame_start for strip in heard_strips(item)]
    if starts and min(starts) >= frames_of(scene).stop:
        yield Finding(f"{item.name}: its sound starts after the last frame", fix("START", "Move", item))
    if item.data.animation_data is None:
        yield from _cone(item)


def _cone(item: bpy.types.Object) -> Iterator[Finding]:
    data = item.data
    if data.cone_angle_inner >= 360.0 and data.cone_angle_outer >= 360.0:
        return
    if data.cone_volume_outer >= 1.0:
        text = f"{item.name}: its cone changes nothing, since the volume outside is 1"
        yield Finding(text, fix("CONE_VOLUME", "Set to 0", item))
    elif not item.acoustics.use_cone:
        yield Finding(f"{item.name}: its cone is set but not used", fix("CONE", "Use Cone", item))
    elif data.cone_angle_inner > data.cone_angle_outer:
        text = f"{item.name}: its inner cone is wider than the outer one, and taken to be as wide as that"
        yield Finding(text, fix("CONE_ANGLE", "Set Inner to Outer", item))


def _cameras(scene: bpy.types.Scene) -> Iterator[Finding]:
    if scene.acoustics.listener is not None or scene.camera is None:
        return
    cameras = sum(item.type == "CAMERA" for item in scene.objects)
    if cameras > 1 and not _marked(scene):
        name = scene.camera.name
        keep = fix("KEEP_CAMERA", f"Keep “{name}”")
        yield Finding(f"{cameras} cameras: “{name}” listens, since it is the active one", keep)


def _marked(scene: bpy.types.Scene) -> bool:
    return any(marker.camera is not None for marker in scene.timeline_markers)


def _geometry(scene: bpy.types.Scene, kinds: tuple[str, ...]) -> Iterator[Finding]:
    """What of these ``kinds`` the last look at the geometry has found (see `inspection`)."""
    for note in inspection.Notes.of(scene) or ():
        if note.kind not in kinds:
            continue
        item = scene.objects.get(note.name or "")
        yield Finding(note.text, None if item is None else _note_remedy(note, item))


def _note_remedy(note: Note, item: bpy.types.Object) -> Remedy:
    if note.kind == "surface" and item.is_editable:
        return Remedy("acoustics.move_off", "Move Off", {"target": note.name, "way": note.way})
    other = bpy.data.objects.get(note.other or "")
    if note.kind == "inside" and other is not None and other.is_editable:
        return Remedy("acoustics.ignore_object", f"Ignore “{note.other}”", {"target": note.other})
    place = {} if note.place is None else {"place": note.place, "has_place": True}
    return Remedy("acoustics.show_place", "Show", {"target": note.name, **place})


def _movers(scene: bpy.types.Scene) -> Iterator[Finding]:
    """What changes the room, and what that costs: counted where the geometry is shown, else the most it may be."""
    names = changes.movers_of(scene)
    if not names or len(frames_of(scene)) < 2:
        return
    shell = Shown.of(scene)
    text = f"“{names[0]}” moves" if len(names) == 1 else f"“{names[0]}” and {len(names) - 1} more move"
    if shell is None:
        most, seconds = changes.MOST, changes.scan_seconds(scene)
        reason = f"the room is scanned in up to {most} states, {seconds:.0f} s each"
        yield Finding(f"{text}: {reason}", Remedy("acoustics.show_geometry", "Count"))
    else:
        yield Finding(f"{text}: {shell.course or 'one state of the room'}")


def _materials(scene: bpy.types.Scene) -> Iterator[Finding]:
    unknown = [material for material in materials_of(scene) if is_default(material)]
    if unknown:
        unknown.sort(key=lambda material: not material.is_editable)  # what is linked is set in its own file
        first = unknown[0].name
        text = f"“{first}” is no name of an acoustic material"
        if len(unknown) > 1:
            text = f"“{first}” and {len(unknown) - 1} more materials are not recognised"
        choice = Remedy("acoustics.find_material", "Choose…", {"material": first})
        yield Finding(text, choice if unknown[0].is_editable else None)


def _lost_strips(scene: bpy.types.Scene, speakers: list[bpy.types.Object]) -> Iterator[Finding]:
    silenced = any(len(item.acoustics.silenced) for item in speakers)
    if silenced and not any(strips.own_strips(scene)):
        text = "Speakers are silent for baked strips that are gone"
        yield Finding(text, fix("RESTORE", "Let Them Sound"))


def materials_of(scene: bpy.types.Scene) -> list[bpy.types.Material]:
    """Materials in use, without our own, those of Grease Pencil and linked ones that are overridden here."""
    overridden = {m.override_library.reference for m in bpy.data.materials if m.override_library is not None}
    return [
        m
        for m in bpy.data.materials
        if m.users and not m.is_grease_pencil and not m.get(sheet.MARK) and m not in overridden
    ]


_shown: dict[tuple[str, ...], float] = {}  # when objects were last seen in a collection that renders show


def _there(sound: bpy.types.Sound) -> bool:
    """Whether the file of a sound is there."""
    return sound.packed_file is not None or is_file(bpy.path.abspath(sound.filepath, library=sound.library))
