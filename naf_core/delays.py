"""Delays between samples: sounds that are read at any place of theirs."""

from __future__ import annotations

from functools import cache

import numpy as np

from naf_core.clock import Signal

TAPS = 32  # samples that count around a place
_PHASES = 512


def variable_delay(sound: Signal, positions: np.ndarray) -> np.ndarray:
    """``sound`` read at fractional ``positions`` (m,), (m,) float32.

    Windowed sinc of 32 taps, flat to 0.01 dB up to 0.83 of the highest frequency (T. I. Laakso et al.,
    Splitting the unit delay, IEEE Signal Processing Magazine 13, 1996).
    """
    table = _sinc_table()
    whole = np.floor(positions).astype(np.int64)
    phase = (positions - whole) * _PHASES
    row = phase.astype(np.int64)
    part = (phase - row).astype(np.float32)[:, None]
    weights = table[row]
    weights += part * (table[row + 1] - weights)
    first, last = int(whole.min()) - TAPS, int(whole.max()) + TAPS
    near = sound.read(first, last)
    taps = np.lib.stride_tricks.sliding_window_view(near, TAPS)[whole - first - TAPS // 2 + 1]
    return np.einsum("nt,nt->n", taps, weights)


def fixed_delay(sound: Signal, delay: float, first: int, last: int) -> np.ndarray:
    """``sound`` delayed by ``delay`` samples, from output sample ``first`` up to ``last``; float32."""
    whole = int(np.floor(delay))
    phase = (1.0 - (delay - whole)) * _PHASES
    row = min(int(phase), _PHASES - 1)
    table = _sinc_table()
    weights = table[row] + np.float32(phase - row) * (table[row + 1] - table[row])
    # Reading at n - delay: tap t lies at floor(n - delay) - 15 + t.
    near = sound.read(first - whole - TAPS // 2, last - whole + TAPS // 2 - 1)
    return np.convolve(near, weights[::-1], "valid")


@cache
def _sinc_table() -> np.ndarray:
    """Interpolation weights (513, 32) float32 for positions from 0 to 1 between taps 15 and 16."""
    position = np.arange(TAPS) - (TAPS // 2 - 1) - np.arange(_PHASES + 1)[:, None] / _PHASES
    edge = np.clip(1.0 - (position / (TAPS // 2)) ** 2, 0.0, None)
    weights = np.sinc(position) * np.i0(8.0 * np.sqrt(edge)) / np.i0(8.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
