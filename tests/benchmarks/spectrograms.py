"""Draws the demo's sound before and after its bake: python -m tests.benchmarks.spectrograms MIX.wav PICTURE.png."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import soundfile
from PIL import Image
from scipy import signal

from naf_core.clock import Clock
from naf_core.job import Job
from naf_core.source import Dry, Source

mpl.use("Agg")
from matplotlib import pyplot

FLOOR_DB, LOWEST = -70.0, 60.0  # below the loudest; Hz
COLOURS = 24  # of the picture, which keeps it small


def dry_sum(job: Job) -> np.ndarray:
    """All Speakers of a ``job`` at 1 m, without a room, (n,) float32."""
    length = round(job.duration * job.sample_rate)
    clock = Clock(job.sample_rate, 0.0, length)
    return sum(Dry(e, Source(e.sound, job.sample_rate, e.name), clock, length).read(0, length) for e in job.emitters)


def draw(axis: pyplot.Axes, samples: np.ndarray, rate: int, title: str) -> None:
    """One spectrogram, its loudest place at 0 dB."""
    window = round(0.04 * rate)
    frequency, time, power = signal.spectrogram(samples, rate, "hann", window, window // 4)
    level = 10.0 * np.log10(np.maximum(power, power.max() * 10.0 ** (FLOOR_DB / 10.0)) / power.max())
    axis.pcolormesh(time, frequency, level, cmap="magma", vmin=FLOOR_DB, vmax=0.0, shading="auto", rasterized=True)
    axis.set(yscale="log", ylim=(LOWEST, 0.45 * rate), xlim=(0.0, 11.0), title=title, ylabel="Hz")


def main(mix: Path, picture: Path) -> None:
    """Draw both, one above the other."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
        subprocess.run([sys.executable, "-m", "tests.benchmarks.demo_job", folder], env=environment, check=True)
        job = Job.load(folder)
        before = dry_sum(job)
    after, rate = soundfile.read(mix)
    figure, axes = pyplot.subplots(2, 1, figsize=(8.0, 5.5), sharex=True, layout="constrained")
    draw(axes[0], before, job.sample_rate, "The three sounds of the demo, as they leave the Speakers")
    draw(axes[1], after.mean(axis=1), rate, "The same in the living room: the baked mix, both ears")
    axes[1].set_xlabel("s")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=80)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(picture, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
