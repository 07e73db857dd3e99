"""Where an emitter with a cone aims over time, and how much it sends each way."""

from __future__ import annotations

import numpy as np

from naf_core.directivity import Cone, Directivity
from naf_core.motion import knots, rotations_at
from naf_core.scene import Emitter, Trajectory

_STEP = 0.010  # s between the moments that are looked at
_TURN = np.radians(1.5)  # that an emitter turns, about, from one moment that is kept to the next
_GAIN_STEP = 0.06  # of the amplitude of what fills a room: half a decibel


def cone_at(emitter: Emitter, times: np.ndarray) -> Cone:
    """The cone of an ``emitter`` that has one at ``times`` (n,) s, straight between the frames."""
    cone, known = emitter.cone, emitter.trajectory.times
    values = (np.broadcast_to(value, known.shape) for value in (cone.inner, cone.outer, cone.outer_gain))
    return Cone(*(np.interp(times, known, value) for value in values), cone.radius)


def axis_at(emitter: Emitter, times: np.ndarray) -> np.ndarray:
    """Unit vectors (n, 3) along which an ``emitter`` looks at ``times`` (n,) s."""
    return rotations_at(emitter.trajectory, times)[:, :, 0]


def pattern_at(emitter: Emitter, time: float) -> Directivity | None:
    """The directivity of an ``emitter`` at a ``time`` in s, None where it has none."""
    if emitter.cone is None:
        return None
    moment = np.array([time])
    cone = cone_at(emitter, moment)
    shape = (float(value[0]) for value in (cone.inner, cone.outer, cone.outer_gain))
    return Directivity(tuple(axis_at(emitter, moment)[0]), *shape, cone.radius)


def sent(emitter: Emitter, times: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Energy (n, 8) that an ``emitter`` with a cone sends at ``times`` (n,) s along unit ``directions`` (n, 3)."""
    return cone_at(emitter, times).gain(np.einsum("ni,ni->n", axis_at(emitter, times), directions))


def power_times(emitter: Emitter) -> np.ndarray:
    """Times (n,) in s at which the mean power of an ``emitter`` has to be known; none where it is always the same."""
    times = emitter.trajectory.times
    if emitter.cone is None or emitter.cone.inner.ndim == 0:
        return times[:0]
    amplitude = np.sqrt(emitter.cone.power)
    return times[knots(times, amplitude[..., None], _GAIN_STEP)] if np.ptp(amplitude, axis=0).any() else times[:0]


def turning_times(emitter: Emitter, listener: Trajectory) -> np.ndarray:
    """Times (n,) in s between which what an ``emitter`` with a cone sends to the ``listener`` goes about straight."""
    path = emitter.trajectory
    frames = np.union1d(path.times, listener.times)
    times = np.union1d(frames, np.arange(frames[0], frames[-1], _STEP))
    rotation = rotations_at(path, times)
    way = listener.at(times) - path.at(times)
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
    cone = cone_at(emitter, times)
    shape = np.stack([np.radians(cone.inner) / 2.0, np.radians(cone.outer) / 2.0, cone.outer_gain], axis=1)
    values = np.stack([np.einsum("nji,nj->ni", rotation, way), rotation[:, :, 0], shape], axis=1)
    return times[knots(times, values, _TURN)] if np.ptp(values, axis=0).any() else times[:1]
