"""Delays between samples: sounds that are read at any place of theirs."""

from __future__ import annotations

from functools import cache, cached_property

import numpy as np

from naf_core.clock import Signal

TAPS = 32  # samples that count around a place
_CELLS = 4  # polynomials from one sample to the next
_DEGREE = 3
_TOGETHER = 16  # samples whose polynomials are made at once
_CHUNK = 16_384  # samples read at a time: all that is needed for them stays in the cache of a core


class DelayLine:
    """A ``sound`` from sample ``first`` up to ``last`` that is read between its samples.

    What lies between is a windowed sinc of 32 taps, flat to 0.01 dB up to 0.83 of the highest frequency (T. I. Laakso
    et al., Splitting the unit delay, IEEE Signal Processing Magazine 13, 1996). All that is read comes from the same
    polynomials, four cubics from one sample to the next (C. W. Farrow, A continuously variable digital delay element,
    IEEE International Symposium on Circuits and Systems, 1988): they stray from the sinc by -90 dB at 16 kHz.
    ``silent`` says whether there is nothing to be read.
    """

    def __init__(self, sound: Signal, first: int, last: int) -> None:
        self._first, count = first, -(-(last - first) // _TOGETHER) + 1
        self._near = sound.read(first - TAPS // 2 + 1, first + count * _TOGETHER + TAPS // 2)
        self.silent = not self._near.any()

    @cached_property
    def _cells(self) -> np.ndarray:
        """The four terms of each polynomial in turn, as one item that is copied as a whole."""
        windows = np.lib.stride_tricks.sliding_window_view(self._near, _TOGETHER + TAPS - 1)[::_TOGETHER]
        return (np.ascontiguousarray(windows) @ _matrix()).view(np.complex128).ravel()

    def read(self, places: np.ndarray) -> np.ndarray:
        """The sound at ``places`` (m,) in samples, (m,) float32."""
        start = int(np.floor(places[0])) if len(places) else 0
        return self._read(np.int64(start), np.asarray(places - start))

    def swept(self, places: np.ndarray, hop: int) -> np.ndarray:
        """The sound where ``places`` (K,) in samples, at every ``hop`` samples, pass: ((K - 1) hop,) float32.

        Between them runs a cubic with continuous speed, so that nothing buzzes at their rate.
        """
        speed = np.gradient(places) if len(places) > 1 else np.zeros(1)
        start = np.floor(places[:-1])
        ends = np.stack([places[:-1] - start, speed[:-1], places[1:] - start, speed[1:]], axis=1).astype(np.float32)
        whole, step = start.astype(np.int64)[:, None], max(_CHUNK // hop, 1)
        result = np.empty((len(start), hop), np.float32)
        for first in range(0, len(start), step):
            part = slice(first, first + step)
            result[part] = self._read(whole[part], ends[part] @ _hermite(hop)).reshape(-1, hop)
        return result.ravel()

    def _read(self, start: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """The sound at ``start`` + ``beyond``, (n,) float32: whole samples, and fractional ones that are few."""
        if self.silent:
            return np.zeros(beyond.size, np.float32)
        part = _CELLS * beyond
        cell = np.floor(part)
        part = (part - cell).astype(np.float32, copy=False).ravel()
        index = cell.astype(np.int64) + _CELLS * (start - self._first)
        terms = self._cells.take(index.ravel(), mode="clip").view(np.float32).reshape(-1, _DEGREE + 1)
        result = terms[:, _DEGREE] * part
        for degree in range(_DEGREE - 1, 0, -1):
            result += terms[:, degree]
            result *= part
        result += terms[:, 0]
        return result


def variable_delay(sound: Signal, positions: np.ndarray) -> np.ndarray:
    """``sound`` read at fractional ``positions`` (m,), (m,) float32, as `DelayLine` does."""
    return DelayLine(sound, int(np.floor(positions.min())), int(np.floor(positions.max())) + 2).read(positions)


def fixed_delay(sound: Signal, delay: float, first: int, last: int) -> np.ndarray:
    """``sound`` delayed by ``delay`` samples, from output sample ``first`` up to ``last``; float32."""
    whole = int(np.floor(delay))
    place = (1.0 - (delay - whole)) * _CELLS
    cell = min(int(place), _CELLS - 1)
    weights = (place - cell) ** np.arange(_DEGREE + 1) @ _polynomials()[cell]
    # Reading at n - delay: tap t lies at floor(n - delay) - 15 + t.
    near = sound.read(first - whole - TAPS // 2, last - whole + TAPS // 2 - 1)
    return np.convolve(near, weights.astype(np.float32)[::-1], "valid")


@cache
def _polynomials() -> np.ndarray:
    """Terms (cells, 4, 32) of the weights of the taps, which are those of the windowed sinc at four places of a cell.

    Places run from 0 at tap 15 to 1 at tap 16, the ends of each cell among those at which the weights are exact: so
    whole samples are, and nothing jumps from one cell to the next.
    """
    nodes = 0.5 - 0.5 * np.cos(np.pi * np.arange(_DEGREE + 1) / _DEGREE)
    place = (np.arange(_CELLS)[:, None] + nodes) / _CELLS
    distance = np.arange(TAPS) - (TAPS // 2 - 1) - place[..., None]
    edge = np.clip(1.0 - (distance / (TAPS // 2)) ** 2, 0.0, None)
    weights = np.sinc(distance) * np.i0(8.0 * np.sqrt(edge)) / np.i0(8.0)
    return np.linalg.inv(np.vander(nodes, increasing=True)) @ (weights / weights.sum(axis=2, keepdims=True))


@cache
def _matrix() -> np.ndarray:
    """What takes samples to the polynomials from each of some of them on, (samples, samples x cells x 4) float32."""
    result = np.zeros((_TOGETHER + TAPS - 1, _TOGETHER, _CELLS, _DEGREE + 1), np.float32)
    for sample in range(_TOGETHER):
        result[sample : sample + TAPS, sample] = _polynomials().transpose(2, 0, 1)
    return result.reshape(len(result), -1)


@cache
def _hermite(hop: int) -> np.ndarray:
    """Weights (4, hop) float32 of value and slope a hop, at both ends, in the cubic between them."""
    u = np.arange(hop) / hop
    weights = (1 + 2 * u) * (1 - u) ** 2, u * (1 - u) ** 2, u * u * (3 - 2 * u), u * u * (u - 1)
    return np.stack(weights).astype(np.float32)
