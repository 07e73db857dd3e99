"""Speed, memory and precision of the rendering of sound."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from scipy import fft

from naf_core.bake import run
from naf_core.carriers import Carriers
from naf_core.clock import Clock, Held
from naf_core.field import Field
from naf_core.job import Job
from naf_core.renderers import Renderers
from naf_core.response import FRAME_EDGES, EnergyResponse, empty_response
from naf_core.reverb import Reverberation, ring_out
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.threads import process_count
from tests.benchmarks.figure import Figure
from tests.benchmarks.process import measure
from tests.fake_field import DiffuseField, boxes

RATE = 48_000
LONG = 60.0  # minutes
TIMEOUT = 3600.0  # s
WALK = 30.0  # s of a walk that stand for ten minutes

Seconds = Callable[..., float]  # how long some work takes


def sound_figures(job: Job, field: Field, seconds: Seconds, root: Path) -> Iterator[Figure]:
    """All of them; ``job`` and ``field`` are those of the demo, ``seconds`` measures time.

    A bake is warm where its processes run, after another shot, and the scene was scanned for a map: all else, from what
    bends the first sound to the files, is done within the time that is measured, and nothing was rendered before.
    """
    with tempfile.TemporaryDirectory(prefix="sound-") as name:
        folder = Path(name)
        mapped = replace(job, kind="map", output=folder / "map", cache=folder / "cache")
        run(mapped, lambda event: None, lambda *_, **__: field)  # keeps the scan for the bake, as a map does
        warm = replace(mapped, kind="bake", output=folder / "warm", map=None)
        walk = walking_job(folder, WALK)
        with Renderers(process_count()) as renderers:
            took = seconds(lambda: run(walk, lambda event: None, DiffuseField.scan, renderers))
            yield Figure("walk with 4 emitters, of its duration", took / WALK, "", 1.0, f"{WALK:g} s, binaural")
            took = seconds(lambda: run(warm, lambda event: None, renderers=renderers))
        note = f"{len(job.emitters)} emitters, {job.duration:g} s, {job.format}"
        yield Figure("demo bake, warm, of its duration", took / job.duration, "", 0.2, note)
        yield static_figure(seconds)
        command = [sys.executable, "-m", "tests.benchmarks.long_shot", folder, str(LONG)]
        shot = measure(command, os.environ, root, TIMEOUT)
        if shot.code:
            raise SystemExit(f"the long shot failed with code {shot.code}:\n{shot.output}")
        yield Figure(f"shot of {LONG:g} min, peak memory", shot.peak / 1e6, "MB", 1000.0, f"in {shot.seconds:.0f} s")


def walking_job(folder: Path, duration: float) -> Job:
    """A listener who walks through a hall past four emitters that sound all the time."""
    frames, sound = round(24.0 * duration), folder / "noise.flac"
    soundfile.write(sound, 0.1 * np.random.default_rng(0).standard_normal(round(duration * RATE)).clip(-9, 9), RATE)
    times = np.arange(frames) / 24.0
    path = np.stack([1.0 + np.abs((1.4 * times) % 36.0 - 18.0), 3.0 + np.sin(0.5 * times), 0 * times + 1.6], axis=1)
    still = [np.tile([x, y, 1.5], (frames, 1)) for x, y in ((2, 1), (8, 6), (14, 1), (18, 6))]
    return Job(
        kind="bake",
        scene=boxes(((0, 0, 0), (20, 7, 4))),
        emitters=[Emitter(f"{number}", Trajectory(times, place), str(sound)) for number, place in enumerate(still)],
        listener=Listener("walker", Trajectory(times, path)),
        output=folder / "walk",
        n_frames=frames,
        sample_rate=RATE,
    )


def static_figure(seconds: Seconds) -> Figure:
    """Reverberation of something that does not move, against the transforms that it needs at the least."""
    response = decaying()
    dry = Held(np.random.default_rng(0).standard_normal(30 * RATE))
    carriers = Carriers(RATE, 2.0, 0)
    clock = Clock(RATE, 0.0, 30 * RATE)

    def made() -> Reverberation:
        result = Reverberation(dry, clock, lambda _: (response[0], None), np.zeros(1), response.delay, carriers)
        result.until(4 * RATE)  # the response itself is not what is measured
        return result

    ready = [made() for _ in range(3)]

    def render() -> None:
        sound = ready.pop()
        for end in range(6, 31, 2):
            sound.until(end * RATE)

    took = seconds(render, times=3)
    taps = round((ring_out(response) - float(response.delay[0])) * RATE)
    block = 2 * RATE // -(-2 * RATE // max(taps, 1 << 16))
    n_fft = fft.next_fast_len(block + taps - 1, real=True)
    part, four = np.ones(block, np.float32), np.ones((4, n_fft // 2 + 1), np.complex64)
    count = -(-26 * RATE // block)

    def bare() -> None:
        for _ in range(count):
            fft.rfft(part, n_fft)
            fft.irfft(four, n_fft)

    ratio = took / seconds(bare, times=3)
    return Figure("still reverberation, of its bare transforms", ratio, "", 1.5, f"{taps} taps, 4 channels, 26 s")


def decaying() -> EnergyResponse:
    """One response that decays by 60 dB in 1.2 s."""
    response = empty_response((1,), 343.2)
    curve = np.exp(-np.log(1e6) / 1.2 * FRAME_EDGES)
    response.energy[..., 0] = 0.3 * (curve[:-1] - curve[1:])
    response.tail_slope[...], response.distance[...] = -50.0, 3.0
    return response
