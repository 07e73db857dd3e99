"""Everything that a job needs from the open .blend file: what is solid, who sounds, who hears."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from naf_core.clip import WHOLE
from naf_core.errors import UserError
from naf_core.scene import Emitter, Listener, Scene
from naf_core.states import States, same_room

from .changes import Course, course_of
from .geometry import SceneReading, metres_per_unit, read_scene
from .motion import camera_at, cameras_of, read_motion
from .speakers import cone_of, plays_of, sound_file, speakers_of, with_sound
from .surfaces import AcousticChoice, material_of
from .visibility import as_rendered, in_view

__all__ = ["AcousticChoice", "Reading", "material_of", "read"]

Progress = Callable[[float], None]
Warnings = list[tuple[str, str | None]]

_GEOMETRY_SHARE = 0.3  # of the progress


@dataclass(frozen=True)
class Reading:
    """Everything a job needs from a scene: geometry at the first of ``frames``, motion over all of them.

    Trajectory times and starts are seconds from the first frame; lengths are metres. ``listener`` is None
    only where the caller did without. ``choices``: (name of the Blender material or "", its acoustic
    material), in the order of ``scene.materials``. ``warnings``: (message, object name or None). ``facts``:
    frame; numbers of triangles, objects, materials, emitters; bounds [[x, y, z], [x, y, z]]. ``states`` are those
    of the room over all frames, the first of them ``scene``.
    """

    scene: Scene
    emitters: tuple[Emitter, ...]
    listener: Listener | None
    choices: tuple[tuple[str, AcousticChoice], ...]
    warnings: tuple[tuple[str, str | None], ...]
    facts: dict
    frames: tuple[int, ...]
    fps: float
    states: States


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

    with as_it_was(scene):
        course = course_of(context, frames)
        # The visibility at the first frame is what `as_rendered` must find.
        scene.frame_set(frames[0])
        with as_rendered(view_layer):
            reading = read_scene(context.evaluated_depsgraph_get(), share(0.0, _GEOMETRY_SHARE))
        warnings += reading.warnings
        states = _states(context, course, reading, fps, warnings)
        warnings += _movement_warnings(course, states)
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
        plays = plays_of(item, frames[0], len(frames), fps, warnings)
        if not volume.any() or not plays:
            message = f"The Speaker “{item.name}” is muted, hidden or at volume 0 throughout and left out."
            warnings.append((message, item.name))
            continue
        cone = cone_of(item, warnings)
        sound = sound_file(item, folder)
        starts, clips = zip(*plays, strict=True)
        clips = clips if any(clip != WHOLE for clip in clips) else ()
        emitters.append(Emitter(item.name, path, sound, starts, volume, item.acoustics.level, cone, pitch, clips))
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
        states=states,
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
def as_it_was(scene: bpy.types.Scene) -> Iterator[None]:
    """Set the frame and the active camera, which markers change with the frame, back when the block ends."""
    frame, subframe, camera = scene.frame_current, scene.frame_subframe, scene.camera
    try:
        yield
    finally:
        scene.frame_set(frame, subframe=subframe)
        scene.camera = camera


def _states(context: bpy.types.Context, course: Course, first: SceneReading, fps: float, warnings: Warnings) -> States:
    """The room as it is in each state of its course; ``first`` is that of the first frame."""
    scene, scenes = context.scene, [first.scene]
    for frame in course.reads[1:]:
        scene.frame_set(frame)
        with as_rendered(context.view_layer):
            reading = read_scene(context.evaluated_depsgraph_get())
        scenes.append(reading.scene)
        warnings += reading.warnings
    if same_room(scenes):
        return States.of(first.scene)
    times = (np.array(course.frames) - course.frames[0]) / fps
    return States(tuple(scenes), times, np.array(course.numbers))


def _movement_warnings(course: Course, states: States) -> Iterator[tuple[str, str | None]]:
    """What is said of solid things that move."""
    for names, changes in ((course.movers, True), (course.small, False)):
        if not names:
            continue
        first, others = names[0], len(names) - 1
        who = f"“{first}” moves" if not others else f"“{first}” and {others} more move"
        if changes and states.change:
            yield f"{who}: {course.text}.", first
        else:
            yield f"{who} by little or is small: sound meets it as at frame {course.frames[0]}.", first
