"""A kitchen with two Speakers, and baking it with a field that is quick."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from naf_core.bake import run
from naf_core.floormap import FloorMap
from naf_core.job import Job
from naf_core.scene import Emitter, Listener, Trajectory
from tests.fake_field import DiffuseField, boxes

RATE = 16000
ROOM = ((0, 0, 0), (6, 5, 3))


def sound(path: Path, seconds: float = 0.5, silent: bool = False) -> str:
    samples = np.random.default_rng(1).normal(scale=0.0 if silent else 0.1, size=round(seconds * RATE))
    soundfile.write(path, samples.astype(np.float32), RATE)
    return str(path)


def still(*position: float, frames: int = 12) -> Trajectory:
    return Trajectory(np.arange(frames) / 24.0, np.tile(position, (frames, 1)))


def job(folder: Path, **changes: object) -> Job:
    folder.mkdir(exist_ok=True)
    noise = sound(folder / "noise.wav")
    values = {
        "kind": "bake",
        "scene": boxes(ROOM),
        "emitters": (Emitter("Talker", still(1, 1, 1.5), noise), Emitter("Music", still(5, 4, 1), noise)),
        "listener": Listener("Camera", still(3, 2, 1.6)),
        "output": folder / "out",
        "n_frames": 12,
        "sample_rate": RATE,
        "map": FloorMap(24, 20, (0, 0, 0), (6, 0, 0), (0, 5, 0), np.zeros((0, 3, 3))),
        "scene_name": "Kitchen",
    }
    return Job(**(values | changes))


def bake(work: Job) -> tuple[dict, list[dict]]:
    events: list[dict] = []
    return run(work, events.append, scan=DiffuseField.scan), events


def warnings(events: list[dict]) -> list[str]:
    return [event["message"] for event in events if event["event"] == "warning"]
