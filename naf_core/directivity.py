"""How an emitter's sound depends on direction: the cone of a Blender Speaker, less so at low frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from naf_core.bands import BANDS_HZ, N_BANDS
from naf_core.errors import UserError

_SPEED_OF_SOUND = 343.2  # m/s; a few per cent of it are nothing in a pattern
_REACH_WORDS = "0 to 360 degrees, the inner one at most the outer"
_EDGE = 1e-3  # rad: a slope narrower than this is a step


@dataclass(frozen=True)
class Cone:
    """Full sound inside a cone, less outside: one, or one after the other at T times.

    Within ``inner`` degrees (the whole opening, 0..360) the sound is full, beyond ``outer`` degrees its amplitude is
    ``outer_gain`` (0..1), between them it goes linearly with the angle, as Blender plays a Speaker; each is a number
    or (T,). ``radius`` in m is that of the sounding body: sound of wavelengths beyond 2 pi ``radius`` bends around it,
    so of the cone's effect on energy the share (k r)^2 / (1 + (k r)^2) is left in each band (the first-order step of a
    loudspeaker's box, Olson 1951, "Direct Radiator Loudspeaker Enclosures"); None keeps the cone in all bands. Raises
    UserError on values out of range.
    """

    inner: np.ndarray | float = 360.0
    outer: np.ndarray | float = 360.0
    outer_gain: np.ndarray | float = 1.0
    radius: float | None = None

    def __post_init__(self) -> None:
        inner, outer, gain = np.broadcast_arrays(
            *(np.asarray(values, np.float64) for values in (self.inner, self.outer, self.outer_gain))
        )
        wrong = ~((inner >= 0.0) & (inner <= outer) & (outer <= 360.0))  # also of NaN
        if wrong.any():
            raise UserError(f"A cone has the angles {inner[wrong][0]} and {outer[wrong][0]}: give {_REACH_WORDS}.")
        wrong = ~((gain >= 0.0) & (gain <= 1.0))
        if wrong.any():
            raise UserError(f"The gain outside a cone is {gain[wrong][0]}: give 0 to 1.")
        if self.radius is not None and not (np.isfinite(self.radius) and self.radius > 0.0):
            raise UserError(f"The radius of an emitter is {self.radius} m: give more than 0, or None.")
        for name, values in (("inner", inner), ("outer", outer), ("outer_gain", gain)):
            object.__setattr__(self, name, values)

    @property
    def even(self) -> bool:
        """Whether it sends alike in all directions at all times."""
        return bool(((self.outer_gain == 1.0) | (self.inner == 360.0)).all())

    @property
    def band_share(self) -> np.ndarray:
        """How much of the cone's effect on energy is left in each band, (8,), 0..1."""
        if self.radius is None:
            return np.ones(N_BANDS)
        size2 = (2.0 * np.pi * np.asarray(BANDS_HZ) / _SPEED_OF_SOUND * self.radius) ** 2
        return size2 / (1.0 + size2)

    @property
    def power(self) -> np.ndarray:
        """Mean over the sphere of the energy that is sent, (..., 8), relative to that along the axis.

        It is 1 / directivity factor, the share of what an even emitter as loud on its axis would give a diffuse field
        (T. E. Vigran, Building Acoustics, 2008, eq. 4.48).
        """
        a, b, g = np.radians(self.inner) / 2.0, np.radians(self.outer) / 2.0, self.outer_gain
        # The integral of amplitude^2 sin between the cones, where the amplitude is 1 + m (angle - a).
        m = (g - 1.0) / np.maximum(b - a, _EDGE)
        slope = (1.0 - 2.0 * m**2) * np.cos(a) - (g**2 - 2.0 * m**2) * np.cos(b) + 2.0 * m * (g * np.sin(b) - np.sin(a))
        step = (1.0 + g + g**2) / 3.0 * (np.cos(a) - np.cos(b))
        between = np.where(b - a > _EDGE, slope, step)
        mean = 0.5 * ((1.0 - np.cos(a)) + between + g**2 * (1.0 + np.cos(b)))
        return 1.0 + (mean - 1.0)[..., None] * self.band_share

    def gain(self, cosine: np.ndarray) -> np.ndarray:
        """Energy sent at an angle of ``cosine`` (n,) to the axis, (n, 8) float32, relative to that along the axis."""
        angle = 2.0 * np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
        outside = np.clip((angle - self.inner) / np.maximum(self.outer - self.inner, 1e-6), 0.0, 1.0)
        amplitude = 1.0 + (self.outer_gain - 1.0) * outside
        return (1.0 + (amplitude**2 - 1.0)[..., None] * self.band_share).astype(np.float32)


@dataclass(frozen=True)
class Directivity:
    """A `Cone`, which is ``cone``, and where it points: ``axis`` (3,), of any length. Raises UserError as that does."""

    axis: tuple[float, float, float]
    inner: float = 360.0
    outer: float = 360.0
    outer_gain: float = 1.0
    radius: float | None = None
    cone: Cone = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        axis = np.asarray(self.axis, dtype=np.float64).reshape(-1)
        length = float(np.linalg.norm(axis)) if axis.shape == (3,) else np.nan
        if not (np.isfinite(length) and length > 0.0):
            raise UserError(f"The axis of a cone is {self.axis}: give three numbers that are not all zero.")
        object.__setattr__(self, "cone", Cone(self.inner, self.outer, self.outer_gain, self.radius))
        object.__setattr__(self, "axis", tuple(float(x) for x in axis / length))

    def gain(self, direction: np.ndarray) -> np.ndarray:
        """Energy sent along unit ``direction`` (n, 3), (n, 8) float32, relative to that along the axis."""
        return self.cone.gain(direction @ np.asarray(self.axis))


def gains(directivity: Sequence[Directivity | None], emitter: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Energy gain (n, 8) float32 of what each ``emitter`` (n,) sends along ``direction`` (n, 3); None: all."""
    result = np.ones((len(emitter), N_BANDS), np.float32)
    for index, pattern in enumerate(directivity):
        rows = np.flatnonzero(emitter == index)
        if pattern is not None and len(rows):
            result[rows] = pattern.gain(direction[rows])
    return result
