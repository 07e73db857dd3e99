"""How an emitter's sound depends on direction: the cone of a Blender Speaker, less so at low frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naf_core.bands import BANDS_HZ, N_BANDS
from naf_core.errors import UserError

_SPEED_OF_SOUND = 343.2  # m/s; a few per cent of it are nothing in a pattern
_REACH_WORDS = "0 to 360 degrees, the inner one at most the outer"


@dataclass(frozen=True)
class Directivity:
    """A cone: full sound inside, less outside.

    ``axis`` (3,) is where the emitter looks, of any length. Within ``inner`` degrees (the whole opening, 0..360) the
    sound is full, beyond ``outer`` degrees its amplitude is ``outer_gain`` (0..1), between them it goes linearly with
    the angle, as Blender plays a Speaker. ``radius`` in m is that of the sounding body: sound of wavelengths beyond
    2 pi ``radius`` bends around it, so of the cone's effect on energy the share (k r)^2 / (1 + (k r)^2) is left in
    each band (the first-order step of a loudspeaker's box, Olson 1951, "Direct Radiator Loudspeaker Enclosures");
    None keeps the cone in all bands. Raises UserError on values out of range.
    """

    axis: tuple[float, float, float]
    inner: float = 360.0
    outer: float = 360.0
    outer_gain: float = 1.0
    radius: float | None = None

    def __post_init__(self) -> None:
        axis = np.asarray(self.axis, dtype=np.float64).reshape(-1)
        length = float(np.linalg.norm(axis)) if axis.shape == (3,) else np.nan
        if not (np.isfinite(length) and length > 0.0):
            raise UserError(f"The axis of a cone is {self.axis}: give three numbers that are not all zero.")
        if not 0.0 <= self.inner <= self.outer <= 360.0:
            raise UserError(f"A cone has the angles {self.inner} and {self.outer}: give {_REACH_WORDS}.")
        if not 0.0 <= self.outer_gain <= 1.0:
            raise UserError(f"The gain outside a cone is {self.outer_gain}: give 0 to 1.")
        if self.radius is not None and not (np.isfinite(self.radius) and self.radius > 0.0):
            raise UserError(f"The radius of an emitter is {self.radius} m: give more than 0, or None.")
        object.__setattr__(self, "axis", tuple(float(x) for x in axis / length))

    @property
    def band_share(self) -> np.ndarray:
        """How much of the cone's effect on energy is left in each band, (8,), 0..1."""
        if self.radius is None:
            return np.ones(N_BANDS)
        size2 = (2.0 * np.pi * np.asarray(BANDS_HZ) / _SPEED_OF_SOUND * self.radius) ** 2
        return size2 / (1.0 + size2)

    def gain(self, direction: np.ndarray) -> np.ndarray:
        """Energy sent along unit ``direction`` (n, 3), (n, 8) float32, relative to that along the axis."""
        angle = 2.0 * np.degrees(np.arccos(np.clip(direction @ np.asarray(self.axis), -1.0, 1.0)))
        outside = np.clip((angle - self.inner) / max(self.outer - self.inner, 1e-6), 0.0, 1.0)
        amplitude = 1.0 + (self.outer_gain - 1.0) * outside
        return (1.0 + (amplitude**2 - 1.0)[:, None] * self.band_share).astype(np.float32)


def gains(directivity: Sequence[Directivity | None], emitter: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Energy gain (n, 8) float32 of what each ``emitter`` (n,) sends along ``direction`` (n, 3); None: all."""
    result = np.ones((len(emitter), N_BANDS), np.float32)
    for index, pattern in enumerate(directivity):
        rows = np.flatnonzero(emitter == index)
        if pattern is not None and len(rows):
            result[rows] = pattern.gain(direction[rows])
    return result
