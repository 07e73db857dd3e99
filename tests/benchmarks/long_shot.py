"""Bakes a synthetic shot of any length: python -m tests.benchmarks.long_shot FOLDER MINUTES.

Two emitters in a box, one of which walks to and fro for six seconds of every ten minutes; noise sounds all the time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile

from naf_core.bake import run
from naf_core.job import Job
from naf_core.renderers import Renderers
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.threads import process_count
from tests.fake_field import DiffuseField, boxes

RATE, FPS = 16_000, 24.0


def main(folder: Path, minutes: float) -> None:
    """Bake into ``folder``."""
    frames = round(60.0 * minutes * FPS)
    times = np.arange(frames) / FPS
    walked = 6.0 * (times // 600.0) + np.minimum(times % 600.0, 6.0)
    walk = np.stack([1.0 + np.abs((0.5 * walked) % 8.0 - 4.0), np.full(frames, 1.5), np.full(frames, 1.6)], axis=1)
    sound, rng = folder / "noise.wav", np.random.default_rng(0)
    with soundfile.SoundFile(sound, "w", RATE, 1) as file:
        for _ in range(int(minutes) + 1):
            file.write(0.1 * rng.standard_normal(60 * RATE))
    still = Trajectory(times, np.tile([1.0, 4.0, 1.0], (frames, 1)))
    emitters = Emitter("walker", Trajectory(times, walk), str(sound)), Emitter("radio", still, str(sound))
    job = Job(
        kind="bake",
        scene=boxes(((0, 0, 0), (6, 5, 3))),
        emitters=emitters,
        listener=Listener("ears", Trajectory(times, np.tile([3.0, 3.0, 1.6], (frames, 1)))),
        output=folder / "out",
        fps=FPS,
        n_frames=frames,
        sample_rate=RATE,
        format="stereo",
        reflections=2,
        loudness=-23.0,
    )
    with Renderers(process_count()) as renderers:
        run(job, lambda event: None, DiffuseField.scan, renderers)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
