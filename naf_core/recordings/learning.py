"""From the energies of recordings to a recorded field: what is common, and a regression on what changes.

Energies of noise in short frames and low bands scatter widely, and the mean of their logarithms lies below the
logarithm of their mean, by as much as their degrees of freedom say: so much is added.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import fft, special

from naf_core.bands import BAND_EDGES_HZ, N_BANDS
from naf_core.prior import Prior
from naf_core.recorded import (
    DIRECT,
    LATE,
    LEVEL,
    N_CHANGES,
    N_EARLY,
    SLOPE,
    Kernel,
    RecordedField,
    distances_of,
    foretold,
    in_frames,
)
from naf_core.recordings.decays import Decays, usable_bands
from naf_core.recordings.fittedroom import fitted_absorption
from naf_core.recordings.method import Tell
from naf_core.recordings.recordingset import RecordingSet
from naf_core.recordings.regression import Places, choose, drawn, solve, told
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS
from naf_core.scene import Scene

_FREEDOM = 1.0  # half the degrees of freedom of one energy, at least: octave filters ring
_LOST = 0.15  # of the error at left-out places, that may be lost to keep fewer numbers
_MARGIN = 1.0  # m from the outermost positions to the walls, where no box is known
_HIDDEN = -7.0  # natural logarithm of direct energy over the free field, where no recording tells
_USED, _LATEST = 0.9, 0.5  # of the length of a response, and s: later, the decay that was fitted is read
_LEAST_LATE = 4  # frames from which level and slope are read
# Frames between which left-out energies are compared: from 0, 10, 50, 94, 207 and 530 ms on.
_SPANS = np.searchsorted(FRAME_EDGES, (0.0, 0.010, 0.050, 0.090, 0.200, 0.500))
_DECIBEL = 10.0 / np.log(10.0)


@dataclass(frozen=True)
class Learned:
    """A field, and how well it predicts left-out recordings.

    ``error`` is the mean absolute error of their energies in dB in five spans of time: of the whole sound, and in
    octaves from 125 Hz on.
    """

    field: RecordedField
    error: float


def learn(
    train: RecordingSet,
    decays: Decays,
    scene: Scene | None,
    prior: Prior | None,
    seed: int,
    progress: Tell,
) -> Learned:
    """The field of ``decays`` at the places of ``train``, over what the ``prior`` foretells where there is one.

    ``scene`` is the room around it, ``progress`` gets 0..1.
    """
    pairs = np.concatenate([train.emitters, train.listeners], axis=1)
    distance, speed = distances_of(pairs), train.speed_of_sound
    rate = np.median(decays.rate, axis=0)
    direct, reflected, sees = foretold(prior, np.zeros(N_BANDS), pairs, rate, speed)
    hidden = None
    if sees is not None:
        hidden = _hidden(np.log(decays.direct) - direct, sees)
        direct = direct + np.where(sees[:, None], 0.0, hidden)
    base = _joined(direct, reflected)
    heard = np.concatenate([decays.direct[..., None], decays.reflected], axis=-1)
    ending = min(_USED * train.responses.shape[-1] / train.sample_rate, _LATEST)
    late = 1 + max(int(np.sum(FRAME_EDGES[1:] <= ending)), N_EARLY + _LEAST_LATE)
    # A prior knows what distance does.
    places = Places(pairs, sees, np.log(distance) if prior is None else np.zeros(len(pairs)))
    rows = drawn(len(pairs), seed)
    kernels = _kernels(train, sees is not None and 0 < sees.sum() < len(sees))
    over = np.log(heard) + _short_of_mean(train.sample_rate) - base
    common = over.mean(axis=0)
    values = _turned(_changes(over - common, late))
    kernel, amplitudes = choose(kernels, places[rows], values[rows], progress)
    guess = told(kernel, amplitudes, places[rows], values[rows])
    errors = np.abs(values[rows] - guess).mean(axis=0)
    guess = _turned(guess, back=True)
    expected = base[rows] + common + _joined(guess[..., DIRECT], in_frames(guess))
    weights, trend, constant = solve(kernel, amplitudes, places, values)
    left_part, right_part = _fewer(weights, places.like(kernel, places), errors)
    right_part, trend, constant = (_turned(part, back=True) for part in (right_part, trend, constant))
    emitters, of_e = np.unique(train.emitters, axis=0, return_inverse=True)
    listeners, of_l = np.unique(train.listeners, axis=0, return_inverse=True)
    box = _box(train, scene)
    absorption = fitted_absorption(rate, box, speed)
    if prior is not None and prior.boxed:
        absorption = np.array(prior.scene.materials[0].absorption)
    field = RecordedField(
        emitters,
        listeners,
        np.stack([of_e.ravel(), of_l.ravel()], axis=1),
        kernel,
        left_part,
        right_part,
        trend,
        common[:, 1:] + in_frames(constant),
        rate,
        common[:, 0] + constant[:, DIRECT],
        box,
        absorption,
        speed,
        scene,
        prior,
        hidden,
    )
    return Learned(field, _error(heard[rows], np.exp(expected), train.sample_rate))


def _short_of_mean(sample_rate: int) -> np.ndarray:
    """By how much the mean logarithm of energies of noise lies below the logarithm of their mean, (8, 1 + N_FRAMES).

    Those of a band in a frame are gamma-distributed with width times length as their shape, and the mean of their
    logarithms is digamma(shape) - log(shape) where their own mean is 1. The direct sound, which is first, is no noise.
    """
    shape = np.maximum(_widths(sample_rate) * FRAME_WIDTHS, _FREEDOM)
    return _joined(np.zeros(N_BANDS), np.log(shape) - special.digamma(shape))


def _error(heard: np.ndarray, expected: np.ndarray, sample_rate: int) -> float:
    """Mean absolute difference in dB of energies ``heard`` and ``expected``, see `Learned`."""
    bands = usable_bands(sample_rate) & (np.arange(N_BANDS) > 0)

    def spans(energies: np.ndarray) -> np.ndarray:
        frames = energies[..., 1:].copy()
        frames[..., 0] += energies[..., 0]
        frames = np.add.reduceat(frames, _SPANS, axis=-1)[..., :-1]
        return np.concatenate([frames[:, bands], (frames * _widths(sample_rate)).sum(axis=1, keepdims=True)], axis=1)

    *octaves, whole = np.abs(np.log(spans(heard) / spans(expected))).mean(axis=(0, 2))
    return _DECIBEL * float(np.mean(octaves) + whole) / 2.0


def _hidden(over: np.ndarray, sees: np.ndarray) -> np.ndarray:
    """How much more direct sound than others, against what was foretold, those hear that see no emitter, (8,)."""
    if not (~sees).any():
        return np.full(N_BANDS, _HIDDEN)
    return over[~sees].mean(axis=0) - (over[sees].mean(axis=0) if sees.any() else 0.0)


def _widths(sample_rate: int) -> np.ndarray:
    """Hz of each band that the responses have, (8, 1)."""
    return np.diff(np.minimum(BAND_EDGES_HZ, 0.5 * sample_rate))[:, None]


def _joined(direct: np.ndarray, reflected: np.ndarray) -> np.ndarray:
    """``direct`` (N, 8) and ``reflected`` (N, 8, N_FRAMES) in one array, (N, 8, 1 + N_FRAMES)."""
    return np.concatenate([direct[..., None], reflected], axis=-1)


def _changes(over: np.ndarray, late: int) -> np.ndarray:
    """Changes (N, 8, N_CHANGES) in logarithms ``over`` (N, 8, 1 + N_FRAMES), the direct sound first.

    Level and slope of the late decay are a straight line through its frames, of the first ``late``, weighted by their
    length: long ones hold more sound.
    """
    values = np.empty((*over.shape[:-1], N_CHANGES))
    values[..., DIRECT], reflected = over[..., 0], over[..., 1:]
    values[..., :N_EARLY] = reflected[..., :N_EARLY]
    count = late - 1 - N_EARLY
    line = np.stack([np.ones(count), LATE[:count]], axis=1)
    weight = FRAME_WIDTHS[N_EARLY:, None][:count]
    solved = np.linalg.solve(line.T @ (weight * line), (weight * line).T)
    values[..., [LEVEL, SLOPE]] = reflected[..., N_EARLY : N_EARLY + count] @ solved.T
    return values


def _turned(changes: np.ndarray, back: bool = False) -> np.ndarray:
    """``changes`` (..., 8, N_CHANGES) with the early frames as their cosine transform, and ``back``.

    What early frames have in common changes more smoothly from place to place than each of them.
    """
    result = changes.copy()
    transform = fft.idct if back else fft.dct
    result[..., :N_EARLY] = transform(changes[..., :N_EARLY], norm="ortho", axis=-1)
    return result


def _kernels(train: RecordingSet, some_hidden: bool) -> list[Kernel]:
    """Kernels to choose from: mirror planes of the box, exchange where no emitter is directional, and sight.

    The last where ``some_hidden`` pairs do not see each other.
    """
    mirrors: list[tuple[int, ...]] = [()]
    centre = (0.0, 0.0, 0.0)
    if train.box is not None:
        mirrors = [axes for k in range(3) for axes in itertools.combinations((0, 1), k)]
        centre = tuple(round(float(x), 3) for x in train.box.mean(axis=0))
    swaps = [False] if np.isfinite(train.facings).any() else [False, True]
    sights = [False, True] if some_hidden else [False]
    return [Kernel(axes, swap, centre, sight) for axes, swap, sight in itertools.product(mirrors, swaps, sights)]


def _fewer(weights: np.ndarray, like: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``weights`` (N, 8, C) as a product (N, K) and (K, 8, C), of few K.

    As few as lose no more than a part _LOST of the ``errors`` (8, C) at left-out places, in the mean, of what they tell
    at the recorded ones.
    """
    scale = np.maximum(errors.ravel(), 1e-9)
    flat = weights.reshape(len(weights), -1) / scale
    told = like @ flat
    columns = np.linalg.svd(told, full_matrices=False)[2]
    k = 1
    while k < len(columns) and np.abs(told - told @ columns[:k].T @ columns[:k]).mean() > _LOST:
        k += 1
    right = columns[:k] * scale
    most = np.abs(right).max(axis=1)
    return flat @ columns[:k].T * most, (right / most[:, None]).reshape(k, *weights.shape[1:])


def _box(train: RecordingSet, scene: Scene | None) -> np.ndarray:
    """The box (2, 3) that stands for the room: that of the recordings, of the mesh, or one around the positions."""
    if train.box is not None:
        return train.box
    if scene is not None and len(scene.triangles):
        return scene.bounds
    places = np.concatenate([train.emitters, train.listeners])
    return np.stack([places.min(axis=0) - _MARGIN, places.max(axis=0) + _MARGIN])
