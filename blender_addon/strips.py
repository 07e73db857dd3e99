"""Baked sounds as strips in the sequencer, and the Speakers that are silent while those play."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy

from .speakers import sound_strips

# Custom properties that say: this is ours, Clear may take it away. TAG is for strips and says which track one
# is, MARK for all else: there "acoustics" is the name of our settings, which share its storage in Blender 4.5.
TAG = "acoustics"
MARK = "acoustic_fields"
N_CHANNELS = 128  # of a Blender sequencer

Warnings = list[tuple[str, str | None]]


@dataclass(frozen=True)
class Track:
    """A sound file for the sequencer; ``key`` tells the strips of a bake apart: "mix" or "stem:<Speaker>"."""

    key: str
    name: str
    path: Path
    audible: bool


def place(scene: bpy.types.Scene, tracks: Sequence[Track], frame: int) -> Warnings:
    """Put sound strips at ``frame`` on free channels, those of an earlier bake on the channel they had."""
    editor = scene.sequence_editor
    if editor is None:
        editor = scene.sequence_editor_create()
        scene[MARK] = True  # so that Clear can take it away again
    before = {strip[TAG]: strip.channel for _, strip in own_strips(scene)}
    remove(scene)
    taken = {strip.channel for strip in editor.strips}
    kept = {track.key: before[track.key] for track in tracks if track.key in before}
    channels = {key: channel for key, channel in kept.items() if channel not in taken}
    free = iter(sorted(set(range(1, N_CHANNELS + 1)) - taken - set(channels.values())))
    warnings: Warnings = []
    for track in tracks:
        channel = channels.get(track.key) or next(free, None)
        if channel is None:
            warnings.append((f"“{track.path.name}” has no strip: all {N_CHANNELS} channels are in use.", scene.name))
            continue
        strip = editor.strips.new_sound(track.name, str(track.path), channel, frame)
        strip[TAG] = track.key
        strip.mute = not track.audible
        strip.select = False  # what the person has selected stays all that is selected
        strip.sound[MARK] = True
        strip.sound.name = track.path.name
        strip.sound.filepath = blend_path(track.path)
    show_sequencer_of(scene)
    return warnings


def remove(scene: bpy.types.Scene) -> bool:
    """Remove our strips and their sounds; returns whether there were any."""
    found = list(own_strips(scene))
    for container, strip in found:
        sound = strip.sound
        container.remove(strip)
        if sound is not None and sound.get(MARK) and sound.users == 0:
            bpy.data.sounds.remove(sound)
    return bool(found)


def clear(scene: bpy.types.Scene) -> bool:
    """Remove our strips, and the sequencer where we had made it and nothing else is in it."""
    found = remove(scene)
    if scene.get(MARK) is not None:
        if scene.sequence_editor is not None and not scene.sequence_editor.strips:
            scene.sequence_editor_clear()
        del scene[MARK]
    for workspace in bpy.data.workspaces:
        if workspace.get(MARK) is not None:
            if workspace.sequencer_scene == scene:
                workspace.sequencer_scene = None
            del workspace[MARK]
    return found


def own_strips(scene: bpy.types.Scene) -> Iterator[tuple[bpy.types.bpy_prop_collection, bpy.types.Strip]]:
    """Our strips and the collection that each lies in, also within meta strips."""
    stack = [] if scene.sequence_editor is None else [scene.sequence_editor.strips]
    while stack:
        container = stack.pop()
        for strip in container:
            if strip.type == "META":
                stack.append(strip.strips)
            elif strip.type == "SOUND" and strip.get(TAG) is not None:
                yield container, strip


def show_sequencer_of(scene: bpy.types.Scene) -> None:
    """Let sequencers that show no scene show this one (from Blender 5.0 each workspace chooses)."""
    for workspace in bpy.data.workspaces:
        if hasattr(workspace, "sequencer_scene") and workspace.sequencer_scene is None:
            workspace.sequencer_scene = scene
            workspace[MARK] = True


def blend_path(path: Path) -> str:
    """``path`` as a .blend stores it: relative once the file is saved, so that both can move together."""
    if not bpy.data.filepath:
        return str(path)
    try:
        return bpy.path.relpath(str(path))
    except ValueError:  # on another drive of a Windows machine
        return str(path)


# The Speakers. They sound by their NLA sound strips, which are muted and noted on the object: unlike
# Speaker.muted these cannot be animated and are not shared by other objects. See properties.ObjectAcoustics.


def silence(objects: Iterable[bpy.types.Object]) -> Warnings:
    """Mute the NLA sound strips of Speakers for playback and note which; warns of Speakers that cannot be."""
    warnings: Warnings = []
    for item in objects:
        sounding = [(track, strip) for track, strip in sound_strips(item) if not strip.mute]
        if sounding and not keeps_notes(item):
            message = (
                f"“{item.name}” is linked from another file and plays beside the baked sound: make it"
                " local, mute it there, or set its acoustics there once so that they can be overridden here."
            )
            warnings.append((message, item.name))
            continue
        for track, strip in sounding:
            strip.mute = True
            note = item.acoustics.silenced.add()
            note.track, note.strip = track.name, strip.name
    return warnings


def keeps_notes(item: bpy.types.Object) -> bool:
    """Whether what is noted on an object is saved with this file.

    From Blender 5.0 on an override takes over our settings only where the linked object has any of its own.
    """
    reference = None if item.override_library is None else item.override_library.reference
    if reference is None or bpy.app.version < (5, 0):
        return item.is_editable
    stored = reference.bl_system_properties_get()
    return item.is_editable and stored is not None and "acoustics" in stored


def restore(scene: bpy.types.Scene) -> Warnings:
    """Let the Speakers of a scene that `silence` muted sound again; warns of strips that are gone."""
    warnings: Warnings = []
    for item in scene.objects:
        if item.type != "SPEAKER" or not item.acoustics.silenced:
            continue
        noted = {(note.track, note.strip) for note in item.acoustics.silenced}
        for track, strip in sound_strips(item):
            if (track.name, strip.name) in noted:
                strip.mute = False
                noted.remove((track.name, strip.name))
        item.acoustics.silenced.clear()
        for _, name in sorted(noted):
            message = f"“{item.name}” has no sound strip “{name}” any more: if it is silent, unmute it in the NLA."
            warnings.append((message, item.name))
    return warnings


def any_silenced(scene: bpy.types.Scene) -> bool:
    """Whether a Speaker of the scene is silent because of us."""
    return bool(bpy.data.speakers) and any(
        item.type == "SPEAKER" and len(item.acoustics.silenced) for item in scene.objects
    )
