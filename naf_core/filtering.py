"""Filters that change with time: from one to the next the sound fades."""

from __future__ import annotations

import numpy as np
from scipy import fft

from naf_core.spatial import convolved

_ROWS = 32  # transformed at a time


class Blend:
    """Sounds that each pass filters which change, summed as spectra, so that one transform takes all of them back.

    The sum has ``count`` knots, one at every ``hop`` samples; filters have at most ``taps``.
    """

    def __init__(self, count: int, hop: int, taps: int) -> None:
        self._hop, self._n_fft = hop, fft.next_fast_len(2 * hop + taps - 1, real=True)
        self._spectra = np.zeros((count, self._n_fft // 2 + 1), np.complex64)
        self._window = (np.sin(0.5 * np.pi * np.arange(2 * hop) / hop) ** 2).astype(np.float32)

    def add(self, samples: np.ndarray, filters: np.ndarray, knot: int = 0) -> None:
        """Add ``samples`` (n,), which begin at a ``knot``, through ``filters`` (K, taps), one at each from there on.

        Between two of them the sound fades from the one to the other; beyond the last is nothing.
        """
        hop, count = self._hop, min(len(filters), len(self._spectra) - knot)
        padded = np.zeros((count + 1) * hop, np.float32)
        part = samples[: count * hop]
        padded[hop : hop + len(part)] = part
        segments = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
        for first in range(0, count, _ROWS):
            rows = slice(first, min(first + _ROWS, count))
            product = fft.rfft(segments[rows] * self._window, self._n_fft)
            product *= fft.rfft(filters[rows], self._n_fft)
            self._spectra[knot + rows.start : knot + rows.stop] += product

    def heard(self, n: int) -> np.ndarray:
        """The first ``n`` samples of the sum, from knot 0 on, (n,) float32."""
        hop, count = self._hop, len(self._spectra)
        pieces = -(-self._n_fft // hop)
        result = np.zeros((max(count + pieces, -(-n // hop) + 1), hop), np.float32)
        for first in range(0, count, _ROWS):
            rows = fft.irfft(self._spectra[first : first + _ROWS], self._n_fft)
            for piece in range(pieces):
                part = rows[:, piece * hop : (piece + 1) * hop]
                result[first + piece : first + piece + len(rows), : part.shape[1]] += part
        return result.ravel()[hop : hop + n]


def filter_changing(samples: np.ndarray, filters: np.ndarray, hop: int) -> np.ndarray:
    """``samples`` (n,) through ``filters`` (K, taps) that change: filter k holds at sample k * hop; (n,) float32.

    Between two of them the sound fades from the one to the other. One filter holds throughout.
    """
    n = len(samples)
    if len(filters) == 1 or not np.ptp(filters, axis=0).any():
        return convolved(np.asarray(samples, np.float32)[None], np.asarray(filters[:1], np.float32))
    blend = Blend(len(filters), hop, filters.shape[1])
    blend.add(samples, filters)
    return blend.heard(n)
