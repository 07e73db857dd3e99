"""Colours of levels: a perceptually even, colour-blind safe map and the range that it spans."""

from __future__ import annotations

import numpy as np

# Every eighth entry of viridis (van der Walt and Smith 2015, CC0): lightness grows evenly, also for readers who do
# not tell red from green. Between the entries colours are interpolated, within 2 of 255 of the full table.
_VIRIDIS = (
    "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c"
    "1f978b1f9f8821a68527ad8131b57b3dbc744cc26c5cc8636ece5881d34d95d840aadc32c0df25d5e21aeae51afde725"
)
_STEPS = np.frombuffer(bytes.fromhex(_VIRIDIS), np.uint8).reshape(-1, 3).astype(np.float64)

TICK_DB = 5.0
_SMALLEST_SPAN, _LARGEST_SPAN = 10.0, 60.0


def colours(levels: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Colours (..., 3) uint8 of ``levels`` (...) in dB, from ``limits`` lowest to highest; NaN gets the lowest."""
    low, high = limits
    place = np.clip((np.nan_to_num(levels, nan=low) - low) / (high - low), 0.0, 1.0) * (len(_STEPS) - 1)
    return (
        np.stack([np.interp(place, np.arange(len(_STEPS)), _STEPS[:, channel]) for channel in range(3)], axis=-1)
        .round()
        .astype(np.uint8)
    )


def fit_range(levels: np.ndarray) -> tuple[float, float]:
    """Lowest and highest level of the colours for ``levels`` in dB, any shape, NaN left out.

    Multiples of 5 dB, 10 to 60 dB apart. The loudest half percent may lie above, since close to an emitter the level
    grows without bound.
    """
    known = levels[np.isfinite(levels)]
    if not len(known):
        return 40.0, 70.0
    low, high = np.percentile(known, (0.5, 99.5))
    high = TICK_DB * np.ceil(high / TICK_DB)
    low = TICK_DB * np.floor(max(low, high - _LARGEST_SPAN) / TICK_DB)
    if high - low < _SMALLEST_SPAN:
        low = high - _SMALLEST_SPAN
    return float(low), float(high)
