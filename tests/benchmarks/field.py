"""Measures the field: scans, answers and maps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from naf_core.field import Field
from naf_core.job import Job
from naf_core.loudness import source_at
from naf_core.source import Source
from naf_core.survey import Survey
from naf_core.truth.furnished import furnished_room
from tests.benchmarks.figure import Figure

MAP_TEXELS = 512
PAIRS = 1000  # some Speakers at the frames of a shot: what a bake may ask


def field_figures(job: Job, field: Field, seconds: Callable[..., float]) -> Iterator[Figure]:
    """Scans of furnished rooms and the demo; answers and a loudness map of the demo from its ``field``."""
    cores = os.cpu_count() or 1
    for triangles, bar in ((5000, 5.0), (200_000, 15.0)):
        scene = furnished_room(triangles)
        took = seconds(lambda scene=scene: Field.scan(scene, processes=cores))
        yield Figure(f"scan of a furnished room, {triangles // 1000} k triangles", took, "s", bar, f"{cores} cores")
    took = seconds(lambda: Field.scan(job.scene, seed=job.seed, processes=cores))
    count = len(field.scan_.positions)
    yield Figure("scan of the demo", took, "s", 15.0, f"{count} probes, {len(job.scene.triangles)} triangles")

    emitters = np.stack([emitter.trajectory.positions[0] for emitter in job.emitters])
    emitters = np.repeat(emitters, -(-PAIRS // len(emitters)), axis=0)[:PAIRS]
    listeners = job.listener.trajectory.positions
    listeners = listeners[np.arange(PAIRS) % len(listeners)]
    took = seconds(lambda: field.predict(emitters, listeners), times=3)
    yield Figure(f"field, a pair of {PAIRS}", 1e3 * took / PAIRS, "ms", 0.25, "8 bands, all frames and directions")
    took = seconds(lambda: field.predict(emitters[0], listeners[0]), times=10)
    yield Figure("field, one pair alone", 1e3 * took, "ms")

    floor = replace(job.map, width=MAP_TEXELS, height=MAP_TEXELS)
    start = floor.frame_index / job.fps
    spectra = [Source(emitter.sound, job.sample_rate).content.spectrum for emitter in job.emitters]
    sources = [source_at(e, spectrum, start) for e, spectrum in zip(job.emitters, spectra, strict=True)]
    took = seconds(lambda: Survey(field, job.scene, floor, field.caster).at(sources))
    name = f"loudness map, {MAP_TEXELS} x {MAP_TEXELS} after the scan"
    yield Figure(name, took, "s", 2.0, f"{len(sources)} emitters")
