"""Measures what the tracer takes for answers as good as the field's, and what the network takes in other hands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np

from naf_core.decoder import forward
from naf_core.features import N_FEATURES
from naf_core.field import Field
from naf_core.job import Job
from naf_core.refinement import far_apart, mean_errors
from naf_core.response import EnergyResponse
from naf_core.tracer import trace
from tests.benchmarks.figure import Figure

LISTENERS = 8
PAIRS = 1000  # as many as the field is asked for at a time
REFERENCE = 60_000  # rays, several times as many as come to equal errors
ROWS = 8000  # of the network's input: eight bands of 1000 pairs
_JND = {"T30 %": 5.0, "EDT ms": 25.0, "C50 dB": 1.0, "G dB": 1.0}  # ISO 3382-1 annex A; EDT 5 % of half a second


def equal_error_figures(job: Job, field: Field, seconds: Callable[..., float]) -> Iterator[Figure]:
    """Time of a pair by field and tracer, at equal mean error in the demo in just noticeable differences."""
    emitters = np.stack([emitter.trajectory.positions[0] for emitter in job.emitters])
    way = job.listener.trajectory.positions
    listeners = way[far_apart(way, LISTENERS)]
    count = len(emitters) * len(listeners)
    who, ear = (index.ravel() for index in np.indices((len(emitters), len(listeners))))

    def traced(rays: int, seed: int) -> EnergyResponse:
        return trace(field.scene, emitters, listeners, rays=rays, seed=seed, raycaster=field.caster)[who, ear]

    meant = traced(REFERENCE, 1)

    def score(said: EnergyResponse) -> float:
        return sum(error / _JND[name] for name, error in mean_errors(said, meant).items())

    mine = score(field.predict(emitters[who], listeners[ear]))
    many = np.arange(PAIRS) % count
    asked = seconds(lambda: field.predict(emitters[who[many]], listeners[ear[many]]), times=3) / PAIRS
    for rays in (250 * 2**k for k in range(8)):
        start = time.perf_counter()
        said = traced(rays, 2)
        took = (time.perf_counter() - start) / count
        if score(said) <= mine:
            break
    note = f"{1e3 * took:.0f} ms a pair with {rays} rays, {count} pairs at once"
    yield Figure("field, of the tracer's time at equal error", 100.0 * asked / took, "%", 0.2, note)
    yield Figure("field, mean error in the demo", mine / len(_JND), "JND", note="T30, EDT, C50 and G together")


def network_figures(field: Field, seconds: Callable[..., float]) -> Iterator[Figure]:
    """How much longer the network takes on NumPy, with which a scene is baked, than on torch."""
    inputs = np.random.default_rng(0).normal(size=(ROWS, N_FEATURES)).astype(np.float32)
    took = seconds(lambda: forward(field.parameters, inputs), times=5)
    if find_spec("torch") is None:
        yield Figure("network on NumPy, of its time on torch", float("nan"), "times", note="torch is not installed")
        return
    import torch

    parameters = {name: torch.from_numpy(values) for name, values in field.parameters.items()}
    given = torch.from_numpy(inputs)
    with torch.inference_mode():
        other = seconds(lambda: forward(parameters, given), times=5)
    yield Figure("network on NumPy, of its time on torch", took / other, "times", 2.0, f"{1e3 * took:.0f} ms")
