"""Everything that a job needs from the open .blend file: what is solid, who sounds, who hears."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from naf_core.errors import UserError
from naf_core.scene import Emitter, Listener, Scene

from .geometry import boxes, metres_per_unit, read_scene
from .motion import camera_at, cameras_of, read_motion
from .speakers import cone_of, sound_file, speakers_of, starts_of, with_sound
from .surfaces import AcousticChoice, material_of
from .visibility import as_rendered, in_view

__all__ = ["AcousticChoice", "Reading", "material_of", "read"]

Progress = Callable[[float], None]
Warnings = list[tuple[str, str | None]]

_GEOMETRY_SHARE = 0.3  # of the progress
_STILL = 0.001  # metres that something may move and count as standing still


@dataclass(frozen=True)
class Reading:
    """Everything a job needs from a scene: geometry at the first of ``frames``, motion over all of them.

    Trajectory times and starts are seconds from the first frame; lengths are metres. ``listener`` is None
    only where the caller did without. ``choices``: (name of the Blender material or "", its acoustic
    material), in the order of ``scene.materials``. ``warnings``: (message, object name or None). ``facts``:
    frame; numbers of triangles, objects, materials, emitters; bounds [[x, y, z], [x, y, z]].
    """

    scene: Scene
    emitters: tuple[Emitter, ...]
    listener: Listener | None
    choices: tuple[tuple[str, AcousticChoice], ...]
    warnings: tuple[tuple[str, str | None], ...]
    facts: dict
    frames: tuple[int, ...]
    fps: float


def read(
    context: bpy.types.Context,
    folder: Path,
    *,
    frames: Sequence[int] | None = None,
    with_listener: bool = True,
    progress: Progress | None = None,
) -> Reading:
    """Read the scene and view layer of ``context`` for one job.

    ``frames``: consecutive frames, by default those of a bake; one frame for a map. ``folder``: an existing
    folder to which packed sounds are written. Afterwards the current frame, what is visible and the active
    camera are as before, also where an error or ``progress``, which gets 0..1, ended the reading. Raises
    UserError.
    """
    scene, view_layer = context.scene, context.view_layer
    frames = tuple(frames_of(scene) if frames is None else frames)
    if not frames:
        raise UserError("There is no frame to read: set the last frame to the first one or later.")
    fps = scene.render.fps / scene.render.fps_base
    chosen = scene.acoustics.listener if with_listener else None
    follow_camera = with_listener and chosen is None
    warnings: Warnings = []

    # What can be found without stepping through frames is found first: mistakes show at once.
    view_layer.update()  # a script may have linked objects that it does not list yet
    if chosen is not None and chosen not in view_layer.objects.values():
        # The depsgraph holds it, since the settings point to it, but does not move it.
        raise UserError(
            f"The listener “{chosen.name}” is not part of the view layer “{view_layer.name}”: link it there,"
            " enable its collection, or choose another listener.",
            chosen.name,
        )
    heard = cameras_of(scene) if follow_camera else [] if chosen is None else [chosen]
    speakers = with_sound(speakers_of(scene, view_layer), warnings)

    def share(low: float, high: float) -> Progress | None:
        return None if progress is None else lambda fraction: progress(low + (high - low) * fraction)

    with _as_it_was(scene):
        # The visibility at the first frame is what `as_rendered` must find.
        scene.frame_set(frames[0])
        with as_rendered(view_layer):
            depsgraph = context.evaluated_depsgraph_get()
            reading = read_scene(depsgraph, share(0.0, _GEOMETRY_SHARE))
            warnings += reading.warnings
            warnings += _moving_geometry(scene, depsgraph, frames)
        with in_view(view_layer, [*speakers, *heard]):
            depsgraph = context.evaluated_depsgraph_get()
            motion = read_motion(
                scene,
                depsgraph,
                frames,
                speakers,
                chosen,
                follow_camera=follow_camera,
                metres_per_unit=metres_per_unit(scene),
                warnings=warnings,
                progress=share(_GEOMETRY_SHARE, 1.0),
            )

    emitters = []
    for item, path, volume, pitch in zip(speakers, motion.paths, motion.volumes, motion.pitches, strict=True):
        starts = starts_of(item, frames[0], len(frames), fps, warnings)
        if not volume.any() or not starts:
            message = f"The Speaker “{item.name}” is muted, hidden or at volume 0 throughout and left out."
            warnings.append((message, item.name))
            continue
        cone = cone_of(item, warnings)
        sound = sound_file(item, folder)
        emitters.append(Emitter(item.name, path, sound, starts, volume, item.acoustics.level, cone, pitch))
    if not emitters:
        span = f"frame {frames[0]}" if len(frames) == 1 else f"frames {frames[0]} to {frames[-1]}"
        raise UserError(
            f"No Speaker sounds at {span}, “{speakers[0].name}” for one: unmute it and its NLA strips, raise"
            " its volume and show it in renders.",
            speakers[0].name,
        )
    listener = None
    if motion.listener is not None:
        name = (chosen or camera_at(scene, frames[0])).name
        listener = Listener(name, motion.listener)
    return Reading(
        scene=reading.scene,
        emitters=tuple(emitters),
        listener=listener,
        choices=reading.choices,
        warnings=tuple(dict.fromkeys(warnings)),
        facts={**reading.facts, "emitters": len(emitters)},
        frames=frames,
        fps=fps,
    )


def frames_of(scene: bpy.types.Scene) -> range:
    """The frames of a bake."""
    settings = scene.acoustics
    if settings.bake_range == "CUSTOM":
        return range(settings.bake_start, settings.bake_end + 1)
    if settings.bake_range == "PREVIEW" and scene.use_preview_range:
        return range(scene.frame_preview_start, scene.frame_preview_end + 1)
    return range(scene.frame_start, scene.frame_end + 1)


@contextmanager
def _as_it_was(scene: bpy.types.Scene) -> Iterator[None]:
    """Set the frame and the active camera, which markers change with the frame, back when the block ends."""
    frame, subframe, camera = scene.frame_current, scene.frame_subframe, scene.camera
    try:
        yield
    finally:
        scene.frame_set(frame, subframe=subframe)
        scene.camera = camera


def _moving_geometry(
    scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, frames: Sequence[int]
) -> Iterator[tuple[str, str | None]]:
    """Warn of solid things that are elsewhere in the middle or at the end: the first frame is read."""
    if len(frames) < 2:
        return
    first = boxes(depsgraph)
    moving: dict[str, None] = {}
    for frame in sorted({frames[len(frames) // 2], frames[-1]}):
        scene.frame_set(frame)
        for key, (name, box) in boxes(depsgraph).items():
            if key in first and not np.allclose(box, first[key][1], rtol=0.0, atol=_STILL, equal_nan=True):
                moving[name] = None
    if moving:
        first_name, *others = moving
        if others:
            what, them = f"“{first_name}” and {len(others)} more move", "them where they are"
        else:
            what, them = f"“{first_name}” moves", "it where it is"
        yield f"{what}: sound meets {them} at frame {frames[0]}.", first_name
