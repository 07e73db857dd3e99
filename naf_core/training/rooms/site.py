"""A place being made: surfaces that face its air, zones in which people may stand, and how lively it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from naf_core.air import Air
from naf_core.scene import Scene
from naf_core.training.rooms.builder import Builder

Palette = tuple[int, int, int, int, int, int]  # materials of what bounds air at its low and high x, y and z
MOST = 18_000  # triangles, beyond which nothing more is put in
DECAY = (0.13, 9.0)  # s: Eyring's T30 of no band from 125 Hz to 4 kHz is beyond
_EYRING = 24.0 * np.log(10.0)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between ``low`` and ``high``, its logarithm evenly distributed."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@dataclass(frozen=True)
class Zone:
    """A box of air, ``low`` and ``high`` (3,) m, with whatever was put into it."""

    low: np.ndarray
    high: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """Extent (3,) m."""
        return self.high - self.low

    @property
    def area(self) -> float:
        """Of the floor, square metres."""
        return float(self.size[0] * self.size[1])


@dataclass
class Site(Builder):
    """What is being made.

    ``thin`` says of each lot of triangles whether there is air on both of its sides; ``skies`` are triangles (n, 3, 3)
    through which sound leaves. ``ways`` (3,) m stand in doorways; ``clear`` are circles (x, y, radius) of the plan
    that are taken. ``mood`` is the absorption about which all surfaces lie; ``wedge`` in 1/m says how much wider, by
    the metre, x grows along y.
    """

    mood: float = 0.1
    wedge: float = 0.0
    count: int = 0
    thin: list[np.ndarray] = field(default_factory=list)
    skies: list[np.ndarray] = field(default_factory=list)
    zones: list[Zone] = field(default_factory=list)
    ways: list[np.ndarray] = field(default_factory=list)
    clear: list[tuple[float, float, float]] = field(default_factory=list)

    def add(self, corners: np.ndarray, material: int, thin: bool = False) -> None:
        """Add triangles, ``corners`` (n, 3, 3), that face the air; ``thin`` ones have air on both sides."""
        self.corners.append(corners)
        self.index.append(np.full(len(corners), material))
        self.thin.append(np.full(len(corners), thin))
        self.count += len(corners)

    def sky(self, corners: np.ndarray) -> None:
        """Let sound leave through ``corners`` (n, 3, 3), which face the air."""
        self.skies.append(corners)

    def surface(self, low: float, high: float) -> int:
        """A new material between ``low`` and ``high`` times as absorbing as all of the place is."""
        mean = float(np.clip(self.mood * between(self.rng, low, high), 0.01, 0.95))
        return self.material(mean, self.rng.uniform(0.05, 0.7))

    def palette(self) -> Palette:
        """Materials of a room: walls often alike, its ceiling or floor sometimes much more absorbing."""
        wall = self.surface(0.4, 1.6)
        walls = [wall if self.rng.random() < 0.75 else self.surface(0.4, 3.0) for _ in range(4)]
        floor = self.surface(2.0, 8.0) if self.rng.random() < 0.2 else self.surface(0.5, 2.0)
        ceiling = self.surface(3.0, 12.0) if self.rng.random() < 0.15 else self.surface(0.5, 2.5)
        return (walls[0], walls[1], walls[2], walls[3], floor, ceiling)

    def plain(self, low: float, high: float) -> Palette:
        """One new material all around."""
        material = self.surface(low, high)
        return (material,) * 6

    def zone(self, low: object, high: object) -> Zone:
        """A new zone, its corners on whole centimetres."""
        zone = Zone(*(np.round(np.array(c, np.float64), 2) for c in (low, high)))
        self.zones.append(zone)
        return zone

    def moved(self, points: np.ndarray) -> np.ndarray:
        """Where ``points`` (..., 3) of the plan come to lie: upright walls stay plane, none need be parallel."""
        result = np.array(points, np.float64)
        result[..., 0] *= 1.0 + self.wedge * result[..., 1]
        return result

    @property
    def solid(self) -> np.ndarray:
        """Which triangles (F,) have no air behind them."""
        return ~np.concatenate(self.thin)

    def volume(self) -> float:
        """Of the air, cubic metres, by Gauss's theorem over all that bounds it."""
        corners = np.concatenate(self.corners)[self.solid]
        a, b, c = np.moveaxis(self.moved(np.concatenate([corners, *self.skies])), 1, 0)
        return float(-np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)

    def decay(self, air: Air, shifts: object = 0.0) -> np.ndarray:
        """Eyring's reverberation time (..., 8) s, with the logits of all absorption raised by ``shifts`` (...)."""
        corners = self.moved(np.concatenate([*self.corners, *self.skies]))
        area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        faces = area[: self.count] * (2.0 - self.solid)
        of = np.bincount(np.concatenate(self.index), faces, len(self.materials))
        open_area = area[self.count :].sum()
        total, volume = of.sum() + open_area, self.volume()
        absorption = np.array([m.absorption for m in self.materials])
        absorbed = of @ _raised(absorption, np.asarray(shifts)[..., None, None]) + open_area
        exponent = -np.log1p(-np.minimum(absorbed / total, 0.999))
        return _EYRING / air.speed_of_sound * volume / (total * exponent + 4.0 * volume * air.absorption())

    def temper(self, air: Air) -> None:
        """Change all absorption alike where the reverberation would be longer or shorter than `DECAY`."""
        shifts = np.array(sorted(np.linspace(-4.0, 4.0, 81), key=abs))
        spans = self.decay(air, shifts)[:, 1:7]
        outside = np.maximum(np.maximum(DECAY[0] / spans.min(axis=1), spans.max(axis=1) / DECAY[1]), 1.0)
        shift = shifts[np.argmin(outside)]  # the least change of those that are as good
        if shift:
            self.materials = [
                replace(m, absorption=tuple(map(float, _raised(np.array(m.absorption), shift)))) for m in self.materials
            ]

    def scene(self, air: Air) -> Scene:
        """All of it as a scene."""
        corners = self.moved(np.concatenate(self.corners))
        order = np.arange(3 * len(corners)).reshape(-1, 3)
        return Scene(corners.reshape(-1, 3), order, np.concatenate(self.index), self.materials, air)


def _raised(absorption: np.ndarray, shift: object) -> np.ndarray:
    logit = np.log(absorption / (1.0 - absorption)) + shift
    return np.clip(1.0 / (1.0 + np.exp(-logit)), 0.005, 0.995)
