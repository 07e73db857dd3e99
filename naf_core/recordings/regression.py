"""Regression of changes on recorded places: Gaussian processes in closed form, chosen by leaving recordings out.

C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press 2006, equations 2.25 and 5.12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from naf_core.recorded import Kernel

# Variance of what changes smoothly over that of what does not.
AMPLITUDES = (0.0, *(0.1, 0.3, 1.0, 3.0), *(10.0, 30.0, 100.0, 300.0))
_TREND = 1.0  # variance of the slope over the logarithm of distance
_MEAN = 100.0  # variance of the mean: it is not known
_MOST_LEFT_OUT = 800  # recordings among which kernels are chosen
_LEAST = 1e-24  # squared error


def left_out(covariance: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Errors (n, k) of predicting each row of ``values`` (n, k) from the others, with their ``covariance`` (n, n)."""
    inverse = np.linalg.inv(covariance)
    return (inverse @ values) / np.diag(inverse)[:, None]


@dataclass(frozen=True)
class Places:
    """Where recordings were made: ``pairs`` (N, 6) of emitter and listener in m; ``sees`` (N,), which see each other.

    ``far`` (N,) is the logarithm of their distance in m, or 0 where distance does not count by itself. ``sees`` is None
    where no geometry is known.
    """

    pairs: np.ndarray
    sees: np.ndarray | None
    far: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Places:
        return Places(self.pairs[rows], None if self.sees is None else self.sees[rows], self.far[rows])

    def like(self, kernel: Kernel, others: Places) -> np.ndarray:
        """Likeness (N, M) to ``others``."""
        return kernel.between(self.pairs, others.pairs, self.sees, others.sees)


def drawn(count: int, seed: int) -> np.ndarray:
    """Those of ``count`` recordings that are left out in turn."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:_MOST_LEFT_OUT])


def choose(
    candidates: Sequence[Kernel], places: Places, values: np.ndarray, progress: Callable[[float], None] | None = None
) -> tuple[Kernel, np.ndarray]:
    """The kernel, and for each change its amplitude (C,), that predict left-out ``values`` (N, 8, C) best.

    That is with the least squared errors in proportion: bands scatter differently, and logarithms let none outweigh the
    others. An amplitude is common to all bands.
    """
    fixed = _fixed(places)
    flat = values.reshape(len(values), -1)

    def error(covariance: np.ndarray) -> np.ndarray:
        squares = np.square(left_out(covariance, flat)).mean(axis=0).reshape(values.shape[1:])
        return np.log(np.maximum(squares, _LEAST)).mean(axis=0)

    without = error(fixed)
    best, least = (candidates[0], np.zeros(values.shape[2])), np.inf
    for number, kernel in enumerate(candidates):
        like = places.like(kernel, places)
        errors = np.stack([error(fixed + a * like) if a else without for a in AMPLITUDES])
        left = float(errors.min(axis=0).mean())
        if left < least:
            best, least = (kernel, np.take(AMPLITUDES, errors.argmin(axis=0))), left
        if progress is not None:
            progress((number + 1) / len(candidates))
    return best


def told(kernel: Kernel, amplitudes: np.ndarray, places: Places, values: np.ndarray) -> np.ndarray:
    """What all other recordings tell of each of ``values`` (N, 8, C)."""
    like, fixed = places.like(kernel, places), _fixed(places)
    result = np.empty(values.shape)
    for amplitude in np.unique(amplitudes):
        which = amplitudes == amplitude
        part = values[..., which]
        errors = left_out(fixed + amplitude * like, part.reshape(len(part), -1)).reshape(part.shape)
        result[..., which] = part - errors
    return result


def solve(
    kernel: Kernel, amplitudes: np.ndarray, places: Places, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (N, 8, C) of the likeness to each recording, trend (8, C) and constant (8, C) that predict ``values``."""
    like, fixed = places.like(kernel, places), _fixed(places)
    found = np.empty(values.shape)
    for amplitude in np.unique(amplitudes):
        which = amplitudes == amplitude
        covariance = fixed + amplitude * like
        found[..., which] = np.linalg.solve(covariance, values[..., which].reshape(len(values), -1)).reshape(
            *values.shape[:2], -1
        )
    trend = _TREND * np.einsum("n,nbc->bc", places.far, found)
    return found * amplitudes, trend, _MEAN * found.sum(axis=0)


def _fixed(places: Places) -> np.ndarray:
    """Covariance (N, N) of what is not smooth, of the unknown mean and of the trend with distance."""
    return np.eye(len(places.far)) + _MEAN + _TREND * np.outer(places.far, places.far)
