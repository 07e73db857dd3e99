"""The Speakers of a scene: which are heard, when their sounds start, and the files that they play."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import bpy

from naf_core.clip import WHOLE, Clip
from naf_core.directivity import Cone
from naf_core.errors import UserError

from .animation import curves_of
from .visibility import render_visible

Warnings = list[tuple[str, str | None]]

_DECODED = 1 << 29  # values of a sound that Blender may decode, which it does at once: 2 GB
_WRITTEN = 1 << 20  # samples that are written at a time


def speakers_of(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer) -> list[bpy.types.Object]:
    """Speakers that take part, in the order of the view layer; some may be hidden in renders at some frames.

    Raises UserError where there is none.
    """
    everywhere = [item for item in scene.objects if item.type == "SPEAKER"]
    if not everywhere:
        raise UserError(
            f"There is no Speaker in the scene “{scene.name}”: add one with Add > Speaker and give it a sound."
        )
    found = [
        item
        for item in render_visible(view_layer)
        if item.type == "SPEAKER" and item.acoustics.include and not always_hidden(item)
    ]
    if not found:
        first = everywhere[0].name
        raise UserError(
            f"No Speaker takes part: “{first}” is excluded from the acoustics, hidden in renders, or not in a"
            f" collection that renders and the view layer “{view_layer.name}” show.",
            first,
        )
    return found


def always_hidden(item: bpy.types.Object) -> bool:
    """Whether an object is hidden in renders and nothing can change that during the animation."""
    animated = any(curve.data_path == "hide_render" for curve in curves_of(item.animation_data))
    return item.hide_render and not animated


def with_sound(speakers: Iterable[bpy.types.Object], warnings: Warnings) -> list[bpy.types.Object]:
    """Those Speakers that have a sound; the others are warned of. Raises UserError where none has one."""
    speakers = list(speakers)
    silent = [item for item in speakers if item.data.sound is None]
    if silent and len(silent) == len(speakers):
        first = silent[0].name
        raise UserError(
            f"The Speaker “{first}” has no sound: choose one in its properties (Object Data > Sound > Open).",
            first,
        )
    for item in silent:
        warnings.append((f"The Speaker “{item.name}” has no sound and is left out: choose one.", item.name))
    return [item for item in speakers if item.data.sound is not None]


def plays_of(
    item: bpy.types.Object, first_frame: int, n_frames: int, fps: float, warnings: Warnings
) -> tuple[tuple[float, Clip], ...]:
    """Seconds after ``first_frame`` at which the sound of a Speaker starts, sorted, and what of it; none where muted.

    The sound starts where an NLA sound strip starts, and plays to its end whatever the strip's length, as in Blender,
    unless the strip has a clip of its own, repeats, is scaled or runs backwards, which Blender's playback ignores.
    Strips that were muted for playback by a bake count as sounding. Raises UserError on a strip out of range.
    """
    if not any(sound_strips(item)):
        warnings.append(
            (
                f"The Speaker “{item.name}” has no NLA sound strip: it is taken to start at frame {first_frame}.",
                item.name,
            )
        )
        return ((0.0, WHOLE),)
    plays = []
    for strip in heard_strips(item):
        clip = _clip_of(item, strip, fps)
        plays.append(((strip.frame_start - first_frame) / fps, clip))
        if clip != WHOLE:
            warnings.append(
                (
                    f"The sound strip “{strip.name}” of “{item.name}” has a clip start or end, repeats, runs backwards"
                    " or at another speed: the bake follows it, but Blender's own playback does not.",
                    item.name,
                )
            )
    plays.sort(key=lambda play: play[0])
    if plays and n_frames > 1 and plays[0][0] >= n_frames / fps:
        warnings.append(
            (
                f"The sound of “{item.name}” starts after the last frame: move its NLA strip to hear it.",
                item.name,
            )
        )
    return tuple(plays)


def _clip_of(item: bpy.types.Object, strip: bpy.types.NlaStrip, fps: float) -> Clip:
    """What of a sound its NLA strip plays; raises UserError where the strip is out of range."""
    begin, end = max(strip.action_frame_start, 0.0) / fps, max(strip.action_frame_end, 0.0) / fps
    try:
        return Clip(begin, end, strip.repeat, 1.0 / max(strip.scale, 1e-6), strip.use_reverse)
    except UserError as error:
        raise UserError(
            f"The sound strip “{strip.name}” of “{item.name}” is out of range. {error.message}", item.name
        ) from error


def cone_of(item: bpy.types.Object, warnings: Warnings) -> Cone | None:
    """The cone of a Speaker, None where it does without; Blender cannot animate it. Raises UserError."""
    if not item.acoustics.use_cone:
        return None
    data = item.data
    inner, outer, volume = data.cone_angle_inner, data.cone_angle_outer, data.cone_volume_outer
    if inner > outer and volume < 1.0:
        message = f"The inner cone of “{item.name}” is wider than the outer one: it is taken to be as wide as that."
        warnings.append((message, item.name))
    try:
        return Cone(min(inner, outer), outer, volume, item.acoustics.cone_size or None)
    except UserError as error:
        raise UserError(f"The cone of “{item.name}” is out of range. {error.message}", item.name) from error


def sound_strips(item: bpy.types.Object) -> Iterator[tuple[bpy.types.NlaTrack, bpy.types.NlaStrip]]:
    """The NLA sound strips of an object, which make it sound, and their tracks."""
    if item.animation_data is not None:
        for track in item.animation_data.nla_tracks:
            yield from ((track, strip) for strip in track.strips if strip.type == "SOUND")


def heard_strips(item: bpy.types.Object) -> Iterator[bpy.types.NlaStrip]:
    """Those of the NLA sound strips of an object that sound, or would but for a bake that plays in their place."""
    noted = {(note.track, note.strip) for note in item.acoustics.silenced}
    solo = item.animation_data is not None and any(track.is_solo for track in item.animation_data.nla_tracks)
    for track, strip in sound_strips(item):
        muted = strip.mute and (track.name, strip.name) not in noted
        if not (muted or track.mute or (solo and not track.is_solo)):
            yield strip


def sound_file(item: bpy.types.Object, folder: Path) -> str:
    """Absolute path of a file with the sound of a Speaker that the worker can read.

    Packed sounds, and formats that Blender reads and the worker does not (the sound of videos, AAC), are
    written to ``folder``, which must exist. Raises UserError naming the Speaker where the file is missing,
    unreadable or without samples.
    """
    import soundfile

    sound = item.data.sound
    if sound.packed_file is not None:
        path = _in_folder(sound, folder, Path(bpy.path.basename(sound.filepath)).suffix or ".wav")
        part = path.with_name(path.name + ".part")
        part.write_bytes(sound.packed_file.data)
        os.replace(part, path)
    else:
        path = Path(bpy.path.abspath(sound.filepath, library=sound.library)).absolute()
    head = f"The sound of “{item.name}”, {path},"
    if not path.is_file():
        raise UserError(
            f"{head} is not there: choose it again, or use File > External Data > Find Missing Files.",
            item.name,
        )
    if not os.access(path, os.R_OK):
        raise UserError(f"{head} may not be read: change the permissions of the file.", item.name)
    try:
        frames = soundfile.info(str(path)).frames
    except soundfile.LibsndfileError:
        path, frames = _converted(item, path, _in_folder(sound, folder, ".converted.flac"), head)
    if not frames:
        raise UserError(f"{head} holds no samples: choose another file.", item.name)
    return str(path)


def _converted(item: bpy.types.Object, path: Path, target: Path, head: str) -> tuple[Path, int]:
    """A FLAC file of what Blender's own decoder makes of a file, and its number of samples a channel.

    Raises OSError where it cannot be written.
    """
    import aud
    import soundfile

    try:
        source = aud.Sound(str(path))
        rate, channels = round(source.specs[0]), source.specs[1]
        if source.length * channels > _DECODED:
            raise UserError(
                f"{head} is {source.length / rate / 3600.0:.1f} hours long, and its format can only be read as a whole:"
                " convert it to WAV, FLAC or Ogg.",
                item.name,
            )
        samples = source.data()
    except aud.error as error:
        raise UserError(
            f"{head} cannot be read as a sound: convert it to WAV, FLAC or Ogg. ({error})", item.name
        ) from error
    if not len(samples):
        return target, 0
    part = target.with_name(target.name + ".part")
    try:
        with soundfile.SoundFile(part, "w", rate, samples.shape[1], "PCM_24", format="FLAC") as file:
            for first in range(0, len(samples), _WRITTEN):
                file.write(samples[first : first + _WRITTEN].clip(-1.0, 1.0))
        written = soundfile.info(part).frames
    except soundfile.LibsndfileError as error:
        raise OSError(errno.EIO, str(error)) from error
    if written != len(samples):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.replace(part, target)
    return target, len(samples)


def _in_folder(sound: bpy.types.Sound, folder: Path, suffix: str) -> Path:
    """A path in ``folder`` that belongs to this sound alone."""
    return folder / f"sound-{bpy.data.sounds.values().index(sound):03d}{suffix.lower()}"
