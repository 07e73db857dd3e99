"""A floor map as a job asks for it: where its texels lie, and what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from naf_core.bands import N_BANDS
from naf_core.colours import PALETTES
from naf_core.errors import UserError
from naf_core.quantities import QUANTITIES, unit_of

MAX_TEXELS = 4096
ONE_STOREY = 1.0  # m: surfaces that rise by no more are one storey, see storeys.HEADROOM
STOREY_GAP = 2  # rows of texels between two storeys in the picture: they do not shine into each other


@dataclass(frozen=True)
class FloorMap:
    """A rectangle of texels over a floor, or any other plane, and how to paint it.

    Texel (i, j) of ``width`` x ``height`` (1..4096 each) has its centre at origin + (i + 0.5) / width * u +
    (j + 0.5) / height * v on the surface; ears are ``ear_height`` metres (0..100) off it along ``normal``. ``origin``,
    ``u``, ``v`` (3,) in metres. ``triangles`` (n, 3, 3) in metres are the surface itself: texels outside stay empty,
    and n = 0 takes the whole rectangle. Surfaces above each other are storeys, each with the same rectangle and
    its own part of the picture. ``frame_index`` counts from the first frame of the job; with ``step`` > 0 the
    map is made at every so-many-th frame instead, one picture each, or with ``maximum`` one of the highest values.
    ``quantity`` is one of QUANTITIES, in octave ``band`` (0..7) or None for the number over bands. ``noise`` is the
    level of steady background noise in dB(A) with the spectrum of speech, for STI; None for silence. ``palette`` is
    one of PALETTES; ``lines`` draws contours. ``range`` is the lowest and highest value of the colours, or None to fit
    them. Raises UserError on other values.
    """

    width: int
    height: int
    origin: np.ndarray
    u: np.ndarray
    v: np.ndarray
    triangles: np.ndarray
    ear_height: float = 1.6
    frame_index: int = 0
    range: tuple[float, float] | None = None
    step: int = 0
    maximum: bool = False
    quantity: str = "level"
    band: int | None = None
    noise: float | None = None
    palette: str = "viridis"
    lines: bool = True

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            texels = getattr(self, name)
            if not 1 <= texels <= MAX_TEXELS:
                raise UserError(f"The map's {name} is {texels} texels: set it between 1 and {MAX_TEXELS}.")
        if not 0.0 <= self.ear_height <= 100.0:
            raise UserError(f"The map's ear height is {self.ear_height} m: set it between 0 and 100.")
        for name, shape in (("origin", (3,)), ("u", (3,)), ("v", (3,)), ("triangles", (-1, 3, 3))):
            value = np.asarray(getattr(self, name), dtype=np.float64).reshape(shape)
            if not np.isfinite(value).all():
                raise UserError(f"The floor's {name} has values that are not finite numbers: repair its mesh.")
            object.__setattr__(self, name, value)
        if np.linalg.norm(np.cross(self.u, self.v)) < 1e-9:
            raise UserError("The floor has no area: choose another floor, or give it a size.")
        for name, allowed in (("quantity", QUANTITIES), ("palette", PALETTES)):
            if getattr(self, name) not in allowed:
                raise UserError(f"The map's {name} is “{getattr(self, name)}”: use one of {', '.join(allowed)}.")
        if self.band is not None and not 0 <= self.band < N_BANDS:
            raise UserError(f"The map's octave band is {self.band}: use 0 to {N_BANDS - 1}, or none.")
        if self.noise is not None and not -50.0 <= self.noise <= 150.0:
            raise UserError(f"The map's noise is {self.noise} dB(A): set it between -50 and 150.")
        if not 0 <= self.step <= 1_000_000:
            raise UserError(f"The map is asked for at every {self.step} frames: set 1 or more.")
        if self.range is not None:
            low, high = (float(x) for x in self.range)
            if not (-200.0 <= low < high <= 300.0):
                raise UserError(f"The map's range is {low:g} to {high:g} {self.unit}: set the first value lower.")
            object.__setattr__(self, "range", (low, high))

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return unit_of(self.quantity, self.band)

    @property
    def normal(self) -> np.ndarray:
        """The direction (3,) in which ears lie: across u and v, upwards on floors whichever way round these run."""
        across = np.cross(self.u, self.v)
        across /= np.linalg.norm(across)
        return -across if across[2] < -0.5 else across

    @property
    def picture_shape(self) -> tuple[int, int]:
        """Height and width of the picture of all storeys, in texels."""
        count = int(self.storey_of_triangles.max(initial=0)) + 1
        return count * self.height + (count - 1) * STOREY_GAP, self.width

    @cached_property
    def storey_of_triangles(self) -> np.ndarray:
        """The storey (n,) of each triangle, the lowest first."""
        heights = self.triangles @ self.normal
        if heights.size and np.ptp(heights) <= ONE_STOREY:  # most floors, found without half a second of imports
            return np.zeros(len(heights), int)
        from naf_core.storeys import storeys  # only now: it brings the ray caster along

        return storeys(self.triangles, self.normal)

    def storeys(self) -> list[FloorMap]:
        """A map for each storey, the lowest first; in the picture they lie one above the other, see `joined`."""
        found = self.storey_of_triangles
        if not found.any():
            return [self]
        return [replace(self, triangles=self.triangles[found == k]) for k in range(found.max() + 1)]

    def indices(self, n_frames: int) -> list[int]:
        """The frames of a job of ``n_frames`` that are mapped, counted from its first."""
        return list(range(0, n_frames, self.step)) if self.step else [self.frame_index]

    def centres(self) -> np.ndarray:
        """Texel centres on the plane, (height, width, 3) float64 in metres; row 0 lies at ``origin``."""
        i = (np.arange(self.width) + 0.5) / self.width
        j = (np.arange(self.height) + 0.5) / self.height
        return self.origin + i[None, :, None] * self.u + j[:, None, None] * self.v


def joined(parts: Sequence[np.ndarray], between: float | bool) -> np.ndarray:
    """Pictures (h, w) of storeys one above the other, the lowest first; what lies ``between`` them fills the gaps."""
    gap = np.full((STOREY_GAP, parts[0].shape[1]), between, parts[0].dtype)
    rows = [piece for part in parts for piece in (gap, part)]
    return np.concatenate(rows[1:])
