"""Where Speakers and the listener are at each frame, how they are turned, and how Speakers play."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from naf_core.errors import UserError
from naf_core.scene import Trajectory

Warnings = list[tuple[str, str | None]]

# These look along their local -Z with +Y up; all others face local -Y with +Z up.
_LOOK_ALONG_Z = ("CAMERA", "SPEAKER", "LIGHT")


@dataclass(frozen=True)
class Motion:
    """Paths over the frames that were read: ``paths``, ``volumes`` and so on in the order of the Speakers.

    ``volumes`` (T,) are linear, 0 while a Speaker is muted or hidden in renders; ``pitches`` (T,) are how fast
    Speakers play. ``listener`` is the path of the listener, or None where none was asked for.
    """

    paths: tuple[Trajectory, ...]
    volumes: tuple[np.ndarray, ...]
    pitches: tuple[np.ndarray, ...]
    listener: Trajectory | None


@dataclass(frozen=True)
class _Samples:
    """What is gathered of one object: (T, 3) in Blender units, (T, 3, 3) NaN where it has no direction."""

    positions: np.ndarray
    rotations: np.ndarray


def cameras_of(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The cameras through which the scene is seen: those of markers, else the active one.

    Raises UserError where there is none.
    """
    cameras = [marker.camera for marker in _camera_markers(scene)]
    if not cameras and scene.camera is not None:
        cameras = [scene.camera]
    if not cameras:
        raise UserError(
            f"The scene “{scene.name}” has no listener: add a camera and make it active (View > Cameras > Set"
            " Active Object as Camera), or choose a listener object."
        )
    return list(dict.fromkeys(cameras))


def camera_at(scene: bpy.types.Scene, frame: int) -> bpy.types.Object | None:
    """The camera at a frame: of the last marker up to it, else of the first marker, else the active one."""
    markers = sorted(_camera_markers(scene), key=lambda marker: marker.frame)
    if not markers:
        return scene.camera
    passed = [marker for marker in markers if marker.frame <= frame]
    return (passed[-1] if passed else markers[0]).camera


def _camera_markers(scene: bpy.types.Scene) -> list[bpy.types.TimelineMarker]:
    """Markers that switch cameras; Blender passes over those whose camera is hidden in renders."""
    return [m for m in scene.timeline_markers if m.camera is not None and not m.camera.hide_render]


def read_motion(
    scene: bpy.types.Scene,
    depsgraph: bpy.types.Depsgraph,
    frames: Sequence[int],
    speakers: Sequence[bpy.types.Object],
    listener: bpy.types.Object | None,
    *,
    follow_camera: bool,
    metres_per_unit: float,
    warnings: Warnings,
    progress: Callable[[float], None] | None = None,
) -> Motion:
    """Step through ``frames`` once and gather where everything is. The scene stays at the last frame.

    With ``follow_camera`` the listener is the camera of each frame, else ``listener``, which may be None.
    ``depsgraph`` must hold all of them (see `visibility.in_view`). Raises UserError where an object is not
    part of the view layer, has a position that is not finite, or where the listener never has a direction.
    """
    n_frames, fps = len(frames), scene.render.fps / scene.render.fps_base
    hears = listener is not None or follow_camera
    gathered = [_Samples(np.empty((n_frames, 3)), np.empty((n_frames, 3, 3))) for _ in range(len(speakers) + hears)]
    volumes, pitches = np.empty((2, len(speakers), n_frames))
    heard_from = listener
    for item in speakers:
        item.data.update_tag()  # setting Speaker.muted does not tell the depsgraph
    for place, frame in enumerate(frames):
        scene.frame_set(frame)
        for index, item in enumerate(speakers):
            evaluated = _evaluated(item, depsgraph)
            _gather(gathered[index], place, evaluated.matrix_world, looks_along_z=True)
            data = evaluated.data
            volumes[index, place] = 0.0 if data.muted or evaluated.hide_render else data.volume
            pitches[index, place] = data.pitch
        if hears:
            # A camera of the scene is looked through along -Z, whatever its type.
            heard_from = camera_at(scene, frame) if follow_camera else listener
            looks_along_z = follow_camera or heard_from.type in _LOOK_ALONG_Z
            evaluated = _evaluated(heard_from, depsgraph)
            _gather(gathered[-1], place, evaluated.matrix_world, looks_along_z=looks_along_z)
        if progress is not None:
            progress((place + 1) / n_frames)

    times = np.arange(n_frames) / fps
    paths = [
        _path(times, samples, frames, item.name, metres_per_unit, warnings)
        for item, samples in zip(speakers, gathered, strict=False)
    ]
    ears = None
    if hears:
        if np.isnan(gathered[-1].rotations).any(axis=(1, 2)).all():
            raise UserError(
                f"The listener “{heard_from.name}” has a scale of zero and no direction: set its scale to 1.",
                heard_from.name,
            )
        ears = _path(times, gathered[-1], frames, heard_from.name, metres_per_unit, warnings)
    return Motion(tuple(paths), tuple(volumes), tuple(pitches), ears)


def _evaluated(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bpy.types.Object:
    evaluated = item.evaluated_get(depsgraph)
    if not evaluated.is_evaluated:
        layer = depsgraph.view_layer.name
        raise UserError(
            f"“{item.name}” is not part of the view layer “{layer}”: link it, or enable its collection.",
            item.name,
        )
    return evaluated


def _gather(samples: _Samples, place: int, matrix: object, *, looks_along_z: bool) -> None:
    world = np.array(matrix, dtype=np.float64)
    samples.positions[place] = world[:3, 3]
    samples.rotations[place] = _rotation(world[:3, :3], looks_along_z=looks_along_z)


def _rotation(matrix: np.ndarray, *, looks_along_z: bool) -> np.ndarray:
    """Rotation with the columns forward, left, up from the matrix (3, 3) of an object.

    The matrix may scale, shear and mirror: the direction of view is kept, then as much of "up" as stands
    across it. NaN where it has none.
    """
    forward, up = (-matrix[:, 2], matrix[:, 1]) if looks_along_z else (-matrix[:, 1], matrix[:, 2])
    with np.errstate(invalid="ignore", divide="ignore"):
        forward = forward / np.linalg.norm(forward)
        up = up / np.linalg.norm(up)
        up = up - forward * (up @ forward)
        length = np.linalg.norm(up)
        if not length > 1e-6:
            return np.full((3, 3), np.nan)
        up = up / length
    return np.stack([forward, np.cross(up, forward), up], axis=1)


def _path(
    times: np.ndarray,
    samples: _Samples,
    frames: Sequence[int],
    name: str,
    metres_per_unit: float,
    warnings: Warnings,
) -> Trajectory:
    """The trajectory of what was gathered; frames without a direction keep that of the frame before."""
    astray = ~np.isfinite(samples.positions).all(axis=1)
    if astray.any():
        frame = frames[int(np.argmax(astray))]
        raise UserError(
            f"The position of “{name}” is not a finite number at frame {frame}: check its animation, drivers"
            " and constraints.",
            name,
        )
    lost = np.isnan(samples.rotations).any(axis=(1, 2))
    rotations = samples.rotations.copy()
    if lost.any():
        frame = frames[int(np.argmax(lost))]
        warnings.append((f"“{name}” has a scale of zero at frame {frame}: its direction is guessed.", name))
        known = np.flatnonzero(~lost)
        if len(known):
            before = np.searchsorted(known, np.arange(len(times)), side="right") - 1
            rotations = rotations[known[np.maximum(before, 0)]]
        else:
            rotations[:] = np.eye(3)
    return Trajectory(times, samples.positions * metres_per_unit, rotations)
