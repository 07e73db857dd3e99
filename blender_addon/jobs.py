"""A job: one bake, loudness map or refinement, from reading the scene to writing its results into the .blend."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from naf_core.errors import UserError
from naf_core.floormap import FloorMap
from naf_core.job import Job

from . import floor, preferences, reader, sheet, strips, warned, worker
from .folders import make_folder, output_folder, remove_empty
from .map_properties import band_of
from .recorded_room import placement_of
from .visibility import as_rendered
from .words import said

Warnings = list[tuple[str, str | None]]

CLOSE = 0.05  # m from walls and the like at which their map is taken
# Formats that Blender plays right, by two loudspeakers or headphones.
PLAYABLE = ("binaural", "stereo", "stereo-ortf", "stereo-ab", "mono")


@dataclass(frozen=True)
class Wish:
    """What a person asks for.

    ``kind`` is "bake", "map" or "refine", ``scene`` the session_uid of the scene, which outlasts undo and new names,
    ``output`` the absolute folder for the files, ``map_frame`` the frame of the map or None for no map,
    ``map_step`` the frames from one map to the next where there are several, else 0.
    """

    kind: str
    scene: int
    output: Path
    map_frame: int | None
    map_step: int = 0

    @classmethod
    def of(cls, scene: bpy.types.Scene, kind: str, output: Path | None = None) -> Wish:
        """The wish that the settings of a scene make; ``output`` overrides their folder. Raises UserError."""
        settings = scene.acoustics
        frame = scene.frame_current if settings.map_current_frame else settings.map_frame
        wants_map = kind == "map" or (kind == "bake" and settings.map_with_bake)
        step = 0 if settings.map_time == "FRAME" else settings.map_step
        return cls(kind, scene.session_uid, output or output_folder(scene), frame if wants_map else None, step)

    @property
    def frames(self) -> tuple[int, ...] | None:
        """The frames that are read, None for the range of a bake."""
        return (self.map_frame,) if self.kind == "map" and not self.map_step else None


class Running(worker.Followed):
    """A job whose worker is running; it holds nothing of the .blend but session_uids, since undo may replace all.

    ``speakers`` are the session_uids of those that are heard, ``clean`` removes what only the work needs.
    """

    def __init__(
        self,
        wish: Wish,
        job: Job,
        ground: floor.Floor | None,
        speakers: frozenset[int],
        warnings: Warnings,
        work: worker.Worker,
        clean: Callable[[], None],
    ) -> None:
        super().__init__(work)
        self.wish, self.job, self.ground, self.warnings = wish, job, ground, warnings
        self.speakers, self.message = speakers, "Starting"
        self._start, self._clean = time.monotonic(), clean

    @property
    def text(self) -> str:
        """How far the job is, what goes on, and how long it will still take."""
        text = f"{self.fraction:.0%}  {said(self.message)}"
        left = time_left(time.monotonic() - self._start, self.fraction)
        return text if left is None else f"{text}, {said(left)}"

    def note(self, event: dict[str, Any]) -> None:
        """Take in one event of the worker."""
        super().note(event)
        if event["event"] == "progress":
            self.message = str(event.get("message") or event.get("stage") or self.message)
        elif event["event"] == "warning":
            self.warnings.append((event["message"], event.get("object")))

    def finish(self) -> None:
        """Write the results into the .blend; raises UserError, with nothing changed, where that fails."""
        try:
            scene = next((scene for scene in bpy.data.scenes if scene.session_uid == self.wish.scene), None)
            if scene is None:
                raise UserError(f"The scene “{self.job.scene_name}” is gone: the files are in {self.wish.output}.")
            if self.job.kind == "refine":
                return  # its results are scans that the worker has kept
            speakers = [item for item in scene.objects if item.session_uid in self.speakers]
            write_results(scene, self.job, self.ground, speakers, self.worker.result, self.warnings)
        finally:
            self.close()

    def close(self) -> None:
        """End the work where it still runs, and remove what only it needed."""
        self.worker.cancel()
        self._clean()


def time_left(elapsed: float, fraction: float) -> str | None:
    """How long a job will still take in words, from the seconds it took for ``fraction`` of it; None too early."""
    if elapsed < 2.0 or fraction < 0.03:
        return None
    left = elapsed * (1.0 - fraction) / fraction
    if left < 60.0:
        return f"{5 * math.ceil(left / 5.0)} s left"
    return f"{math.ceil(left / 60.0)} min left"


def begin(context: bpy.types.Context, wish: Wish, progress: Callable[[float], None] | None = None) -> Running:
    """Read the scene and start the worker; raises UserError with nothing left behind."""
    scene = context.scene
    with ExitStack() as stack:
        made = make_folder(wish.output)
        if made is not None:
            stack.callback(remove_empty, made)
        with writing_temporary_files():
            folder = Path(tempfile.mkdtemp(prefix="acoustics-", dir=bpy.app.tempdir or None))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            bake = wish.kind == "bake"
            reading = reader.read(context, folder, frames=wish.frames, with_listener=bake, progress=progress)
        warnings = list(reading.warnings)
        ground = None
        if wish.map_frame is not None:
            ground = find_floor(context, wish, reading, warnings)
        job = job_of(scene, wish, reading, ground, warnings)
        with writing_temporary_files():
            job.save(folder)
        speakers = frozenset(scene.objects[emitter.name].session_uid for emitter in job.emitters)
        work = worker.start(folder, wish.output, preferences.python(), preferences.current().threads)
        return Running(wish, job, ground, speakers, warnings, work, stack.pop_all().close)


@contextmanager
def writing_temporary_files() -> Iterator[None]:
    """Tell people what to do where the folder for temporary files cannot be written to."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The folder for temporary files cannot be written to ({error.strerror or error}): free some space, or"
            " choose another in Edit > Preferences > File Paths."
        ) from error


def find_floor(
    context: bpy.types.Context, wish: Wish, reading: reader.Reading, warnings: Warnings
) -> floor.Floor | None:
    """The floor to paint; a bake does without one, with a warning, where none is found."""
    settings = context.scene.acoustics
    paths = [emitter.trajectory for emitter in reading.emitters]
    if reading.listener is not None:
        paths.append(reading.listener.trajectory)
    heads = np.concatenate([path.positions[[0, len(path.times) // 2, -1]] for path in paths])
    with as_rendered(context.view_layer):
        depsgraph = context.evaluated_depsgraph_get()
        try:
            return floor.find(depsgraph, reading.scene, heads, settings.floor, settings.map_collection)
        except UserError as error:
            if wish.kind == "map":
                raise
            warnings.append((f"There is no loudness map. {error.message}", error.object_name))
            return None


def job_of(
    scene: bpy.types.Scene,
    wish: Wish,
    reading: reader.Reading,
    ground: floor.Floor | None,
    warnings: Warnings,
) -> Job:
    """The job that the settings of a scene make of what was read; raises UserError."""
    settings = scene.acoustics
    frames = reading.frames
    loudness = None
    if ground is not None:
        shown = min(max(wish.map_frame, frames[0]), frames[-1])
        if shown != wish.map_frame and not wish.map_step:
            message = f"Frame {wish.map_frame} is outside the frame range: the map shows frame {shown}."
            warnings.append((message, scene.name))
        width, height = ground.texels(settings.map_resolution)
        fixed = settings.map_range == "FIXED"
        maximum = settings.map_time == "MAXIMUM"
        loudness = FloorMap(
            width=width,
            height=height,
            origin=ground.origin,
            u=ground.u,
            v=ground.v,
            triangles=ground.triangles,
            ear_height=settings.ear_height if ground.level else CLOSE,
            frame_index=shown - frames[0],
            range=(settings.map_minimum, settings.map_maximum) if fixed else None,
            step=wish.map_step,
            maximum=maximum,
            quantity=settings.map_quantity,
            band=band_of(settings),
            noise=settings.map_noise if settings.map_use_noise else None,
            palette=settings.map_palette,
            lines=settings.map_lines,
        )
    hrtf = bpy.path.abspath(settings.hrtf) if settings.format == "BINAURAL" and settings.hrtf else ""
    return Job(
        kind=wish.kind,
        scene=reading.scene,
        emitters=reading.emitters,
        listener=reading.listener,
        output=wish.output,
        fps=reading.fps,
        frame_start=frames[0],
        n_frames=len(frames),
        sample_rate=int(settings.sample_rate),
        format=settings.format.lower(),
        mix=settings.mix,
        seed=settings.seed,
        map=loudness,
        scene_name=scene.name,
        order=settings.order,
        hrtf=hrtf,
        reflections=settings.reflections,
        wetness=settings.wetness,
        reverb_gain=settings.reverb_gain,
        loudness=settings.loudness if settings.normalise else None,
        peak=settings.peak,
        file_type=settings.file_type.lower(),
        sample_type=settings.sample_type.lower(),
        parts=settings.parts,
        impulse_frames=impulse_frames(scene, wish, frames),
        impulse_type=settings.impulse_type.lower(),
        impulse_spacing=settings.impulse_spacing if settings.impulses else 0.0,
        cache=preferences.cache_of(wish.output),
        kept=kept_speakers(scene, wish, reading),
        states=reading.states,
        recorded=placement_of(scene),
        quality=settings.quality.lower(),
    )


def impulse_frames(scene: bpy.types.Scene, wish: Wish, frames: Sequence[int]) -> tuple[int, ...]:
    """The frames whose impulse responses are written; raises UserError where the current one is not baked."""
    if wish.kind != "bake" or not scene.acoustics.impulses:
        return ()
    if not frames[0] <= scene.frame_current <= frames[-1]:
        raise UserError(
            f"Impulse responses are those of the current frame, and frame {scene.frame_current} is outside the"
            " range of the bake: go to a frame within.",
            scene.name,
        )
    return (scene.frame_current,)


def kept_speakers(scene: bpy.types.Scene, wish: Wish, reading: reader.Reading) -> tuple[str, ...]:
    """The Speakers that stay as they were baked; raises UserError where that would be all of them."""
    if wish.kind != "bake" or not scene.acoustics.only_selected:
        return ()
    names = [emitter.name for emitter in reading.emitters]
    kept = tuple(name for name in names if not scene.objects[name].select_get())
    if len(kept) == len(names):
        raise UserError("Only selected Speakers are to be baked, and none is: select some, or bake all (Range).")
    return kept


def write_results(
    scene: bpy.types.Scene,
    job: Job,
    ground: floor.Floor | None,
    speakers: Sequence[bpy.types.Object],
    result: dict[str, Any],
    warnings: Warnings,
) -> None:
    """Put the sounds into the sequencer, silence the ``speakers`` that they replace and paint the floor."""
    for path in result_files(result):
        if not path.is_file():
            raise UserError(f"“{path}” was removed before it could be used: bake again.")
    painted = result["map"]
    if painted is not None:
        # The pictures first: these alone can fail, and leave the scene as it was then.
        image, legend = Path(painted["image"]), Path(painted["legend"])
        limits = float(painted["min"]), float(painted["max"])
        first, last = (int(frame) for frame in painted["frames"])
        shown = job.map.quantity, job.map.palette, range(first, last + 1), job.map, scene.acoustics.map_opacity
        sheet.lay(scene, ground, sheet.Map(image, legend, *limits, job.map.unit, *shown))
    if job.kind == "bake":
        warnings += place_sounds(scene, job, speakers, result)
    warned.keep(scene, warnings)


def place_sounds(
    scene: bpy.types.Scene, job: Job, speakers: Sequence[bpy.types.Object], result: dict[str, Any]
) -> Warnings:
    """Put the mix and the stems into the sequencer and silence the Speakers that they replace."""
    warnings: Warnings = []
    mix = result["mix"]
    playable = job.format in PLAYABLE
    mix_sounds = playable and mix is not None and scene.acoustics.playback == "MIX"
    tracks = [strips.Track("mix", "Mix", Path(mix), mix_sounds)] if mix else []
    for stem in result["stems"]:
        name = stem["emitter"]
        tracks.append(strips.Track(f"stem:{name}", name, Path(stem["file"]), playable and not mix_sounds))
    warnings += strips.place(scene, tracks, job.frame_start)
    warnings += strips.restore(scene)
    if playable:
        warnings += strips.silence(speakers)
    else:
        message = (
            "The strips are muted and the Speakers play on, since Blender would play the channels of this format"
            " by the wrong loudspeakers: play the files with a decoder, or on a system of that layout."
        )
        warnings.append((message, scene.name))
    return warnings


def result_files(result: dict[str, Any]) -> list[Path]:
    """The files that a worker's result names."""
    painted = result["map"] or {}
    names = [result["mix"], *(stem["file"] for stem in result["stems"])]
    names += [painted.get("legend"), painted.get("image"), result["report"]]
    names += [part["file"] for part in result.get("parts", ())] + list(result.get("impulse_responses", ()))
    return [Path(name) for name in names if name]
