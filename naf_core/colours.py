"""Colours of values: perceptually even, colour-blind safe palettes and the range that they span."""

from __future__ import annotations

import numpy as np

from naf_core.quantities import QUANTITIES

# Each palette as 32 steps, between which colours are interpolated: within 2 of 255 of the full tables. Lightness grows
# evenly in all of them, also for readers who do not tell red from green. viridis and inferno: van der Walt and Smith
# 2015; cividis, which looks the same to them: Nunez, Anderton and Renslow 2018; all CC0.
_TABLES = {
    "viridis": (
        "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c"
        "1f978b1f9f8821a68527ad8131b57b3dbc744cc26c5cc8636ece5881d34d95d840aadc32c0df25d5e21aeae51afde725"
    ),
    "cividis": (
        "00224e00285b002e6a0833701c396f293f6e33446d3d4a6c45506c4d556c555b6d5c616e6467706b6d72727274787877807f78"
        "888578908b78979177a09875a89e73b0a571b9ab6dc1b26acbb965d3c05fdcc859e5cf52efd748f8df3cfee838"
    ),
    "inferno": (
        "0000040403120b0724160b39230c4c310a5c3e09664d0d6c5a116e67166e741a6e801f6c8f24699b2964a82e5fb43359c13a50"
        "cc4248d74b3fe05536e9612bef6e21f57b17f8890cfb9706fca80dfbb81df9c72ff6d746f2e865f3f586fcffa4"
    ),
}
_STEPS = {
    name: np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, 3).astype(np.float64)
    for name, text in _TABLES.items()
}
PALETTES = tuple(_TABLES)


def colours(values: np.ndarray, limits: tuple[float, float], palette: str = "viridis") -> np.ndarray:
    """Colours (..., 3) uint8 of ``values`` (...), from ``limits`` lowest to highest; NaN gets the lowest."""
    low, high = limits
    steps = _STEPS[palette]
    place = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0.0, 1.0) * (len(steps) - 1)
    return (
        np.stack([np.interp(place, np.arange(len(steps)), steps[:, channel]) for channel in range(3)], axis=-1)
        .round()
        .astype(np.uint8)
    )


def fit_range(values: np.ndarray, quantity: str = "level") -> tuple[float, float]:
    """Lowest and highest value of the colours for ``values``, any shape, NaN left out.

    Multiples of the quantity's tick, for levels 5 dB, and 10 to 60 dB apart. The highest half percent may lie above,
    since close to an emitter the level grows without bound.
    """
    scale = QUANTITIES[quantity]
    known = values[np.isfinite(values)]
    if not len(known):
        return scale.usual
    low, high = np.percentile(known, (0.5, 99.5)) / scale.tick
    # Counted in ticks, since multiples of a tenth are not whole numbers; a hair's breadth over a tick is that tick.
    top = np.ceil(high - 1e-9)
    bottom = np.floor(max(low, top - scale.most / scale.tick) + 1e-9)
    bottom = min(bottom, top - round(scale.least / scale.tick))
    return float(round(bottom * scale.tick, 6)), float(round(top * scale.tick, 6))
