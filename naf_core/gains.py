"""Gains that change with time: straight lines from knot to knot."""

from __future__ import annotations

import numpy as np

_KNOTS = 128  # mixed at a time


def lines(values: np.ndarray, hop: int) -> np.ndarray:
    """What runs straight between ``values`` (K,) that hold at every ``hop`` samples, ((K - 1) hop,) float32."""
    values = np.asarray(values, np.float32)
    ramp = np.arange(hop, dtype=np.float32) / np.float32(hop)
    return (values[:-1, None] + np.diff(values)[:, None] * ramp).ravel()


def sweep(gains: np.ndarray, waves: np.ndarray, hop: int) -> np.ndarray:
    """``waves`` (inputs, n) mixed to (outputs, n) float32 by ``gains`` (K, outputs, inputs) that change.

    Gain k holds at sample k * ``hop``, and in between they run straight; the last is held. One holds throughout.
    """
    gains, waves = np.asarray(gains, np.float32), np.asarray(waves, np.float32)
    n = waves.shape[1]
    if len(gains) == 1:
        return gains[0] @ waves
    count = -(-n // hop)
    gains = gains[np.minimum(np.arange(count + 1), len(gains) - 1)]
    ramp = np.arange(hop, dtype=np.float32) / np.float32(hop)
    result = np.empty((gains.shape[1], n), np.float32)
    for first in range(0, count, _KNOTS):
        last = min(first + _KNOTS, count)
        part = waves[:, first * hop : last * hop]
        padded = np.pad(part, ((0, 0), (0, (last - first) * hop - part.shape[1])))
        blocks = padded.reshape(len(waves), last - first, hop).transpose(1, 0, 2)
        mixed = gains[first:last] @ blocks + (gains[first + 1 : last + 1] - gains[first:last]) @ (blocks * ramp)
        result[:, first * hop : last * hop] = mixed.transpose(1, 0, 2).reshape(len(result), -1)[:, : part.shape[1]]
    return result
