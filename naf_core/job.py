"""The job folder: all that a bake or a loudness map needs, written by one process and read by another.

A job folder holds ``scene.h5`` (see `Scene.save`), ``motion.h5`` (see `motionfile`) and
``job.json`` (what to make of it). It comes from outside the worker, so `Job.load` checks every value.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from naf_core import motionfile
from naf_core.errors import UserError
from naf_core.fields import Fields, read_json
from naf_core.floormap import FloorMap
from naf_core.layouts import FORMATS, ORDERS, channel_count
from naf_core.motionfile import MAX_FRAMES
from naf_core.placement import Placement
from naf_core.scene import Emitter, Listener, Scene
from naf_core.states import States
from naf_core.store import CHECKED, DAMAGE, read_array

if TYPE_CHECKING:
    import h5py

VERSION = 1
KINDS = ("bake", "map", "refine", "answers")
FILE_TYPES = ("wav", "flac")
SAMPLE_TYPES = ("16", "24", "float")
IMPULSE_TYPES = ("wav", "sofa", "both")
# What `Field.scan` is told by each quality: metres between probes, and paths, times as many as by default.
QUALITIES: dict[str, dict[str, float]] = {
    "draft": {"spacing": 1.2, "effort": 0.25},
    "standard": {},
    "high": {"effort": 4.0},
}


def effort_of(quality: str) -> float:
    """How many times the default paths a scan of one of QUALITIES sends."""
    return QUALITIES[quality].get("effort", 1.0)


SCENE_FILE, MOTION_FILE, JOB_FILE = "scene.h5", "motion.h5", "job.json"
STATE_FILE = "state_{}.h5"  # scenes of a changing room, from 1 on

# Beyond these a file is taken for damaged: they bound what a hostile file can make the worker allocate.
MAX_EMITTERS = 1000
MAX_REFLECTIONS = 64
MAX_IMPULSES = 10_000
MAX_FLOOR_TRIANGLES = 5_000_000
MAX_MAPS = 2000
FLAC_CHANNELS = 8


@dataclass(frozen=True)
class Job:
    """One bake or loudness map: the scene, who sounds and who hears, and what to write.

    ``kind`` "bake" (sound files, and a map where ``map`` is given), "map", "refine" (only scans are kept, see
    `refine`), or "answers" (nothing is written, see `Answers`); ``output`` an absolute folder.
    All trajectories share their times, in seconds from the first frame; ``n_frames`` (1..1 000 000) frames at
    ``fps`` (0.1..1000) set the duration. ``sample_rate`` 16 000..192 000 Hz; ``mix`` adds the sum of all stems. Only a
    bake needs a listener. ``states`` says how the room changes, of which ``scene`` is the first; by default it
    does not. A ``recorded`` room answers in place of the scene. ``quality`` is one of QUALITIES: how the rooms are
    scanned.

    What is heard: ``format`` is one of `layouts.FORMATS`, ``order`` (1..3) that of ambisonics, ``hrtf`` a SOFA file
    with the ears of "binaural" ("" for the bundled ones). Up to ``reflections`` (0..64) early reflections of each
    emitter are images of their own. ``wetness`` (0..1) is 0 for direct sound alone, 0.5 as in the room, 1 for
    reflections alone; ``reverb_gain`` (-60..20) in dB is added to late reverberation. ``loudness`` (-60..0) in LUFS is
    that of the mix, None for the levels that the room has; ``peak`` (-20..0) in dBTP is never exceeded.

    What is written: files of ``file_type`` "wav" or "flac" with samples of ``sample_type`` "16", "24" or "float";
    ``parts`` adds each stem's direct, early and late part. ``impulse_frames`` are frames, as the scene counts them,
    whose impulse responses are written as ``impulse_type`` "wav", "sofa" or "both"; with an ``impulse_spacing``
    (0.1..100 m, 0 for none) also those of a level grid of places around the listener at the first of these frames, or
    at the first frame of all. Emitters named in ``kept`` stay as the last bake rendered them, where it did. ``cache``
    is the absolute folder in which what was rendered is kept for the next bake, by default one in ``output``. Raises
    UserError on other values.
    """

    kind: str
    scene: Scene
    emitters: tuple[Emitter, ...]
    listener: Listener | None
    output: Path
    fps: float = 24.0
    frame_start: int = 1
    n_frames: int = 1
    sample_rate: int = 48000
    format: str = "binaural"
    mix: bool = True
    seed: int = 0
    map: FloorMap | None = None
    scene_name: str = ""
    order: int = 1
    hrtf: str = ""
    reflections: int = 16
    wetness: float = 0.5
    reverb_gain: float = 0.0
    loudness: float | None = None
    peak: float = -1.0
    file_type: str = "wav"
    sample_type: str = "24"
    parts: bool = False
    impulse_frames: tuple[int, ...] = ()
    impulse_type: str = "wav"
    impulse_spacing: float = 0.0
    kept: tuple[str, ...] = ()
    cache: Path | None = None
    states: States | None = None
    recorded: Placement | None = None
    quality: str = "standard"

    def __post_init__(self) -> None:
        object.__setattr__(self, "emitters", tuple(self.emitters))
        object.__setattr__(self, "impulse_frames", tuple(self.impulse_frames))
        object.__setattr__(self, "kept", tuple(self.kept))
        object.__setattr__(self, "output", Path(self.output))
        object.__setattr__(self, "cache", None if self.cache is None else Path(self.cache))
        for name, allowed in (
            ("kind", KINDS),
            ("format", FORMATS),
            ("file_type", FILE_TYPES),
            ("sample_type", SAMPLE_TYPES),
            ("impulse_type", IMPULSE_TYPES),
            ("quality", tuple(QUALITIES)),
        ):
            value = getattr(self, name)
            if value not in allowed:
                label = name.replace("_", " ")
                raise UserError(f"The job's {label} is “{value}”: use one of {', '.join(allowed)}.")
        for name, low, high, unit in (
            ("fps", 0.1, 1000.0, " frames a second"),
            ("frame_start", -10_000_000, 10_000_000, ""),
            ("n_frames", 1, MAX_FRAMES, ""),
            ("sample_rate", 16_000, 192_000, " Hz"),
            ("seed", 0, 2**63 - 1, ""),
            ("order", ORDERS[0], ORDERS[-1], ""),
            ("reflections", 0, MAX_REFLECTIONS, ""),
            ("wetness", 0.0, 1.0, ""),
            ("reverb_gain", -60.0, 20.0, " dB"),
            *([("loudness", -60.0, 0.0, " LUFS")] if self.loudness is not None else []),
            ("peak", -20.0, 0.0, " dBTP"),
            *([("impulse_spacing", 0.1, 100.0, " m")] if self.impulse_spacing else []),
        ):
            value, label = getattr(self, name), name.replace("_", " ")
            if not low <= value <= high:
                raise UserError(f"The job's {label} is {value}: set it between {low} and {high}{unit}.")
        if not self.output.is_absolute():
            raise UserError(f"The output folder “{self.output}” is not an absolute path: give the full path.")
        if self.cache is not None and not self.cache.is_absolute():
            raise UserError(f"The folder “{self.cache}” for what is kept is not an absolute path: give the full path.")
        if self.states is not None and self.states.scenes[0] is not self.scene:
            raise ValueError("the first of the states must be the scene")
        if not self.emitters:
            raise UserError("There is nothing to hear: add a Speaker with a sound to the scene.")
        if len(self.emitters) > MAX_EMITTERS:
            raise UserError(f"The job has {len(self.emitters)} Speakers: use {MAX_EMITTERS} at most.")
        channels = channel_count(self.format, self.order)
        if self.file_type == "flac" and channels > FLAC_CHANNELS:
            raise UserError(
                f"FLAC holds {FLAC_CHANNELS} channels at most, and {self.format} has {channels}: write WAV, or choose"
                " another format."
            )
        if self.file_type == "flac" and self.sample_type == "float":
            raise UserError("FLAC has no floating-point samples: write 24 bits, or WAV.")
        if len(self.impulse_frames) > MAX_IMPULSES:
            raise UserError(f"Impulse responses of {len(self.impulse_frames)} frames: choose {MAX_IMPULSES} at most.")
        for frame in self.impulse_frames:
            if not 0 <= frame - self.frame_start < self.n_frames:
                raise UserError(f"The impulse response of frame {frame} lies outside the frame range: choose another.")
        if self.kind == "bake" and self.listener is None:
            raise UserError("There is no listener: set a camera or choose a listener object.")
        if self.kind == "map" and self.map is None:
            raise UserError("There is no floor to paint: choose a floor object.")
        if self.map is not None and not 0 <= self.map.frame_index < self.n_frames:
            raise UserError(f"The map's frame {self.map.frame_index} is outside the {self.n_frames} frames of the job.")
        if self.map is not None and len(self.map.indices(self.n_frames)) > MAX_MAPS:
            raise UserError(f"The map is asked for at more than {MAX_MAPS} frames: set a larger step.")
        for name in self.kept:
            if name not in {emitter.name for emitter in self.emitters}:
                raise UserError(f"“{name}” is to be kept as it was baked, but it is no Speaker of the job.", name)
        times = self.times
        for thing in (*self.emitters, *([self.listener] if self.listener else [])):
            if not np.array_equal(thing.trajectory.times, times):
                raise UserError(f"“{thing.name}” has other times than “{self.emitters[0].name}”.", thing.name)

    @property
    def room(self) -> States:
        """How the room changes: one state where it does not."""
        return self.states or States.of(self.scene)

    @property
    def scan_effort(self) -> float:
        """Paths of a scan, times as many as by default: so much longer it takes."""
        return effort_of(self.quality)

    @property
    def times(self) -> np.ndarray:
        """Times of all trajectories, (T,) seconds from the first frame."""
        return self.emitters[0].trajectory.times

    @property
    def duration(self) -> float:
        """Length of the frame range in seconds."""
        return self.n_frames / self.fps

    def save(self, folder: str | Path) -> None:
        """Write the job folder, making it where needed; job.json comes last: a folder with one is whole."""
        import h5py

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for number, scene in enumerate(self.room.scenes):
            scene.save(folder / (STATE_FILE.format(number) if number else SCENE_FILE))
        motion = folder / (MOTION_FILE + ".part")
        with h5py.File(motion, "w", libver=CHECKED) as file:
            motionfile.write(file, self.room, self.emitters, self.listener)
            if self.map is not None:
                for name in ("origin", "u", "v", "triangles"):
                    file[f"floor/{name}"] = getattr(self.map, name)
        os.replace(motion, folder / MOTION_FILE)
        # ASCII: paths may hold bytes that are no text, which only escapes can carry.
        text = json.dumps(self._description(), indent=1, allow_nan=False)
        part = folder / (JOB_FILE + ".part")
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, folder / JOB_FILE)

    def _description(self) -> dict[str, Any]:
        """What job.json says."""
        keys = ("fps", "frame_start", "n_frames", "sample_rate", "format", "mix", "seed", "scene_name")
        floor = self.map
        return {
            "version": VERSION,
            "kind": self.kind,
            **{key: getattr(self, key) for key in (*keys, *_SOUND_SETTINGS)},
            "output": str(self.output),
            "cache": None if self.cache is None else str(self.cache),
            "recorded": None if self.recorded is None else self.recorded.description(),
            "emitters": [
                {
                    "name": e.name,
                    "sound": str(e.sound),
                    "starts": list(e.starts),
                    "level": float(e.level),
                    **({} if e.cone is None else {"cone_radius": e.cone.radius}),
                }
                for e in self.emitters
            ],
            "listener": None if self.listener is None else {"name": self.listener.name},
            "map": None
            if floor is None
            else {
                "width": floor.width,
                "height": floor.height,
                "ear_height": floor.ear_height,
                "frame_index": floor.frame_index,
                "range": None if floor.range is None else list(floor.range),
                **{key: getattr(floor, key) for key in _MAP_SETTINGS},
            },
        }

    @classmethod
    def load(cls, folder: str | Path) -> Job:
        """Read a job folder written by `save`; raises UserError when it is missing, foreign or damaged."""
        import h5py

        folder = Path(folder)
        text = Fields(read_json(folder / JOB_FILE), folder / JOB_FILE)
        if text.number("version") != VERSION:
            raise UserError(f"{folder} was written by another version of this tool: write the job again.")
        scene, recorded = Scene.load(folder / SCENE_FILE), text.part("recorded")
        path = folder / MOTION_FILE
        try:
            with h5py.File(path, "r") as file:
                states = motionfile.read_states(
                    file, lambda number: Scene.load(folder / STATE_FILE.format(number)), scene
                )
                times = read_array(file, "times", (None,), MAX_FRAMES)
                emitters = tuple(
                    motionfile.read_emitter(file, number, entry, times)
                    for number, entry in enumerate(text.entries("emitters", MAX_EMITTERS))
                )
                listener = text.part("listener")
                if listener is not None:
                    listener = Listener(listener.text("name"), motionfile.read_trajectory(file, "listener", times))
                floor = text.part("map")
                if floor is not None:
                    floor = _read_floor(file, floor)
        except DAMAGE as error:
            raise UserError(f"{path} cannot be read as the motion of a job: {error}") from error
        return cls(
            kind=text.text("kind"),
            scene=scene,
            emitters=emitters,
            listener=listener,
            output=Path(text.text("output")),
            fps=text.number("fps"),
            frame_start=text.whole("frame_start"),
            n_frames=text.whole("n_frames"),
            sample_rate=text.whole("sample_rate"),
            format=text.text("format"),
            mix=text.flag("mix"),
            seed=text.whole("seed"),
            map=floor,
            scene_name=text.text("scene_name"),
            cache=Path(text.text("cache")) if text.has("cache") else None,
            states=states,
            recorded=None if recorded is None else Placement.read(recorded),
            # Settings that a job may leave out: it then gets their defaults.
            **{key: read(text, key) for key, read in _SOUND_SETTINGS.items() if text.has(key)},
        )


# How the settings of the sound are read that have defaults.
_SOUND_SETTINGS = {
    "order": Fields.whole,
    "hrtf": Fields.text,
    "reflections": Fields.whole,
    "wetness": Fields.number,
    "reverb_gain": Fields.number,
    "loudness": Fields.number,
    "peak": Fields.number,
    "file_type": Fields.text,
    "sample_type": Fields.text,
    "parts": Fields.flag,
    "impulse_frames": lambda fields, key: fields.wholes(key, MAX_IMPULSES),
    "impulse_type": Fields.text,
    "impulse_spacing": Fields.number,
    "quality": Fields.text,
    "kept": lambda fields, key: fields.texts(key, MAX_EMITTERS),
}
# How those of a map are read.
_MAP_SETTINGS = {
    "step": Fields.whole,
    "maximum": Fields.flag,
    "quantity": Fields.text,
    "band": Fields.whole,
    "noise": Fields.number,
    "palette": Fields.text,
    "lines": Fields.flag,
}


def _read_floor(file: h5py.File, entry: Fields) -> FloorMap:
    limits = entry.numbers("range", 2) if entry.has("range") else None
    if limits is not None and len(limits) != 2:
        raise UserError("The map's range needs a lowest and a highest value.")
    return FloorMap(
        width=entry.whole("width"),
        height=entry.whole("height"),
        ear_height=entry.number("ear_height"),
        frame_index=entry.whole("frame_index"),
        range=limits,
        **{key: read(entry, key) for key, read in _MAP_SETTINGS.items() if entry.has(key)},
        triangles=read_array(file, "floor/triangles", (None, 3, 3), MAX_FLOOR_TRIANGLES),
        **{name: read_array(file, f"floor/{name}", (3,), 3) for name in ("origin", "u", "v")},
    )
