"""Regression of changes on recorded places: Gaussian processes in closed form, chosen by leaving recordings out.

C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press 2006, equations 2.25 and 5.12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from naf_core.recorded import Kernel

SHAPES = (*((m, True) for m in (0.5, 0.8, 1.3, 2.0)), *((m, False) for m in (1.0, 2.0, 4.0, 8.0)))  # length, smooth
AMPLITUDES = (
    0.0,
    0.1,
    0.3,
    1.0,
    3.0,
    10.0,
    30.0,
    100.0,
    300.0,
)  # variance of what changes smoothly over that of what does not
_TREND = 1.0  # variance of the slope over the logarithm of distance
_MEAN = 100.0  # variance of the mean: it is not known
_MOST_LEFT_OUT = 1500  # recordings among which kernels are chosen


def left_out(covariance: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Errors (n, k) of predicting each row of ``values`` (n, k) from the others, with their ``covariance`` (n, n)."""
    inverse = np.linalg.inv(covariance)
    return (inverse @ values) / np.diag(inverse)[:, None]


def choose(
    candidates: Sequence[Kernel],
    pairs: np.ndarray,
    distance: np.ndarray,
    values: np.ndarray,
    seed: int,
    progress: Callable[[float], None] | None = None,
) -> tuple[Kernel, np.ndarray, float]:
    """The kernel, and for each change its amplitude (C,), that predict left-out recordings best.

    ``pairs`` (N, 6), ``distance`` (N,) m, ``values`` (N, 8, C). The last is the error that is left, over that without
    any kernel: the mean over the changes of the ratio of absolute errors.
    """
    rows = _drawn(len(pairs), seed)
    pairs, values = pairs[rows], values[rows]
    count, _, changes = values.shape
    fixed = _fixed(distance[rows])
    flat = values.reshape(count, -1)

    def error(covariance: np.ndarray) -> np.ndarray:
        errors = np.abs(left_out(covariance, flat)).reshape(values.shape)
        return errors.mean(axis=(0, 1))

    without = np.maximum(error(fixed), 1e-12)
    best = candidates[0], np.zeros(changes), 1.0
    for number, kernel in enumerate(candidates):
        like = kernel.between(pairs, pairs)
        errors = np.stack([error(fixed + a * like) if a else without for a in AMPLITUDES]) / without
        left = float(errors.min(axis=0).mean())
        if left < best[2]:
            best = kernel, np.take(AMPLITUDES, errors.argmin(axis=0)), left
        if progress is not None:
            progress((number + 1) / len(candidates))
    return best


def left_out_changes(
    kernel: Kernel, amplitudes: np.ndarray, pairs: np.ndarray, distance: np.ndarray, values: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The recordings (n,) that `choose` has left out in turn, and the errors (n, 8, C) of what is told of each then."""
    rows = _drawn(len(pairs), seed)
    pairs, values = pairs[rows], values[rows]
    like, fixed = kernel.between(pairs, pairs), _fixed(distance[rows])
    errors = np.empty(values.shape)
    for amplitude in np.unique(amplitudes):
        which = amplitudes == amplitude
        part = values[..., which]
        errors[..., which] = left_out(fixed + amplitude * like, part.reshape(len(part), -1)).reshape(part.shape)
    return rows, errors


def solve(
    kernel: Kernel, amplitudes: np.ndarray, pairs: np.ndarray, distance: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (N, 8, C) of the likeness to each recording, trend (8, C) and constant (8, C) that predict ``values``."""
    like, fixed = kernel.between(pairs, pairs), _fixed(distance)
    found = np.empty(values.shape)
    for amplitude in np.unique(amplitudes):
        which = amplitudes == amplitude
        covariance = fixed + amplitude * like
        found[..., which] = np.linalg.solve(covariance, values[..., which].reshape(len(values), -1)).reshape(
            *values.shape[:2], -1
        )
    trend = _TREND * np.einsum("n,nbc->bc", np.log(distance), found)
    return found * amplitudes, trend, _MEAN * found.sum(axis=0)


def _drawn(count: int, seed: int) -> np.ndarray:
    """Those of ``count`` recordings among which kernels are chosen."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:_MOST_LEFT_OUT])


def _fixed(distance: np.ndarray) -> np.ndarray:
    """Covariance (N, N) of what is not smooth, of the unknown mean and of the trend with distance."""
    far = np.log(distance)
    return np.eye(len(far)) + _MEAN + _TREND * np.outer(far, far)
