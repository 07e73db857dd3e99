"""A survey: one quantity over all texels of a floor, at one moment after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from naf_core.air import NEAREST
from naf_core.airspace import reached_by, regions, roomy_regions, sees, without_gaps
from naf_core.bands import N_BANDS
from naf_core.floormap import FloorMap
from naf_core.gauges import Energy, Gauge, gauge_of, level_weights
from naf_core.lattice import Lattice, blend
from naf_core.loudness import Predictor, Source
from naf_core.materials import Material
from naf_core.raycast import Raycaster
from naf_core.scene import Scene

PAIRS = 3000  # emitter-point pairs that one map may ask of the field
_BATCH = 512  # pairs predicted at a time: bounds memory, and lets a person cancel
_STILL = 1e-3  # m within which a source counts as standing where it stood

Progress = Callable[[float], None]


@dataclass(frozen=True)
class FloorValues:
    """Values over a floor: ``values`` (height, width), NaN off the floor and where nobody can hear.

    ``solid`` (height, width) bool: what stands at the height of the ears, on the floor and beside it.
    """

    values: np.ndarray
    solid: np.ndarray


@dataclass(frozen=True)
class _Reach:
    """Where the sound of some sources gets to, and what the gauges read there at the lattice.

    ``seen``, ``reached`` (S, h, w) bool; ``share`` (S, h, w) of the direct sound; ``channels`` one (n, c) a source.
    """

    sources: tuple[Source, ...]
    reached: np.ndarray
    share: np.ndarray
    open_air: np.ndarray
    lattice: Lattice
    channels: list[np.ndarray]

    def serves(self, sources: Sequence[Source]) -> bool:
        """Whether ``sources`` stand where these do, with the same spectra."""
        return len(sources) == len(self.sources) and all(
            new.name == old.name
            and np.abs(new.position - old.position).max() < _STILL
            and np.allclose(new.spectrum, old.spectrum)
            for new, old in zip(sources, self.sources, strict=True)
        )


class Survey:
    """Values of the quantity that ``floor`` asks for over all its texels; ``pairs`` of field queries a map.

    The direct sound is exact at every texel. Reflected sound, which varies slowly, is predicted on a lattice and
    interpolated between the lattice points that see the texel, so that walls and doorways stay sharp. Levels add up
    over the sources; any other quantity is that of the source which is loudest at the texel.
    """

    def __init__(
        self, field: Predictor, scene: Scene, floor: FloorMap, caster: Raycaster | None = None, pairs: int = PAIRS
    ) -> None:
        self._field, self._floor, self._pairs = field, floor, pairs
        self._air = scene.air.absorption()
        self._caster = caster or Raycaster(scene)
        self._gauge = gauge_of(floor.quantity, floor.band, floor.noise)
        self._ears, self._covered = _ears(floor)
        self._texel = max(np.linalg.norm(floor.u) / floor.width, np.linalg.norm(floor.v) / floor.height)
        self._region, self._wall = regions(self._caster, self._ears, self._texel)
        self._roomy = roomy_regions(self._region, self._texel)
        self._reach: _Reach | None = None

    def at(self, sources: Sequence[Source], progress: Progress | None = None) -> FloorValues:
        """The values that ``sources`` cause; sources that stand still are not asked for twice."""
        sources = [source for source in sources if source.power > 0.0]
        if self._reach is None or not self._reach.serves(sources):
            self._reach = self._reach_of(sources, progress)
        reach = self._reach
        size = self._covered.size
        total, loudest, chosen = np.zeros(size), np.zeros(size), np.full(size, np.nan)
        for texels, weight in reach.lattice.parts():
            for number, source in enumerate(sources):
                level, value = self._made(number, source, reach, texels, weight)
                total[texels] += level
                ahead = np.isfinite(value) & (level > loudest[texels])
                chosen[texels[ahead]], loudest[texels[ahead]] = value[ahead], level[ahead]
        with np.errstate(divide="ignore"):
            values = 10.0 * np.log10(total) if self._gauge is None else chosen
        heard = reach.open_air & (total > 0.0).reshape(self._shape)
        values = np.where(heard, values.reshape(self._shape), np.nan)
        solid = np.where(self._covered, ~reach.open_air, self._wall | ~self._roomy)
        return FloorValues(values, solid)

    @property
    def _shape(self) -> tuple[int, ...]:
        return self._covered.shape

    def _gauges(self, source: Source) -> list[Gauge]:
        """What is read for a source: its level, and the quantity where that is another."""
        band = self._floor.band if self._gauge is None else None
        level = Energy(level_weights(source.spectrum, band))
        return [level] if self._gauge is None else [level, self._gauge]

    def _reach_of(self, sources: Sequence[Source], progress: Progress | None) -> _Reach:
        seen = np.array([sees(self._caster, self._ears, s.position) for s in sources]).reshape(-1, *self._shape)
        reached = reached_by(self._region, seen, self._roomy)
        open_air = without_gaps(self._covered & ~self._wall & reached.any(axis=0), self._texel)
        reached &= open_air
        share = np.array(
            [self._share_seen(seen[k], reached[k], source.position) for k, source in enumerate(sources)]
        ).reshape(seen.shape)
        lattice = Lattice(self._caster, self._ears, open_air, max(16, self._pairs // max(1, len(sources))))
        places = self._ears.reshape(-1, 3)[lattice.nodes]
        channels = []
        for number, source in enumerate(sources):

            def report(fraction: float, before: int = number) -> None:
                if progress is not None:
                    progress((before + fraction) / len(sources))

            wanted = reached[number].ravel()[lattice.nodes]
            read = self._read(source, places[wanted], report)
            rows = np.full((len(places), read.shape[1]), np.nan)
            rows[wanted] = read
            channels.append(rows)
        return _Reach(tuple(sources), reached, share, open_air, lattice, channels)

    def _read(self, source: Source, points: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """The channels of all gauges of a source at ``points`` (n, 3): (n, c)."""
        gauges = self._gauges(source)
        parts = []
        for start in range(0, max(len(points), 1), _BATCH):
            part = points[start : start + _BATCH]
            response = self._field.predict(np.broadcast_to(source.position, part.shape), part)
            parts.append(np.concatenate([gauge.read(response) for gauge in gauges], axis=1))
            if progress is not None:
                progress(min(1.0, (start + _BATCH) / max(len(points), 1)))
        return np.concatenate(parts)

    def _made(
        self, number: int, source: Source, reach: _Reach, texels: np.ndarray, weight: object
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energy and value (m,) of one source at some texels; 0 and NaN where its sound does not get to."""
        level, value = np.zeros(len(texels)), np.full(len(texels), np.nan)
        wanted = np.flatnonzero(reach.reached[number].ravel()[texels])
        if not len(wanted):
            return level, value
        here = texels[wanted]
        places = self._ears.reshape(-1, 3)[here]
        # Apart, since the quantity may be unknown where the level is not.
        parts = reach.channels[number][:, :1], reach.channels[number][:, 1:]
        channels = np.concatenate([blend(weight[wanted], part) for part in parts], axis=1)
        self._fill_nooks(source, reach.lattice, here, places, channels)
        direct = reach.share[number].ravel()[here][:, None] * self._direct(source, places)
        energy, *others = self._gauges(source)
        level[wanted] = energy.make(channels[:, :1], direct, source.power)
        for gauge in others:
            value[wanted] = gauge.make(channels[:, 1:], direct, source.power)
        return level, value

    def _fill_nooks(
        self, source: Source, lattice: Lattice, here: np.ndarray, places: np.ndarray, channels: np.ndarray
    ) -> None:
        """Fill into ``channels`` (m, c) what nooks hear from which no lattice point is seen: they get their own."""
        left = np.flatnonzero(np.isnan(channels[:, 0]))
        if not len(left):
            return
        row, column = np.unravel_index(here[left], self._shape)
        cell = row // lattice.step * self._shape[1] + column // lattice.step
        first = left[np.unique(cell, return_index=True)[1]]
        read = self._read(source, places[first])
        channels[left] = read[cKDTree(places[first]).query(places[left])[1]]

    def _direct(self, source: Source, points: np.ndarray) -> np.ndarray:
        """Energy (n, 8) of the direct sound at ``points`` (n, 3) that nothing hides."""
        distance = np.maximum(np.linalg.norm(points - source.position, axis=-1), NEAREST)[:, None]
        return np.exp(-distance * self._air) / distance**2

    def _share_seen(self, seen: np.ndarray, wanted: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Share of each texel (h, w) from which ``position`` (3,) is seen: fractions along the edges of shadows."""
        floor, share = self._floor, seen.astype(np.float32)
        edge = np.flatnonzero((ndimage.maximum_filter(seen, 3) != ndimage.minimum_filter(seen, 3)) & wanted)
        parts = (np.arange(4) + 0.5) / 4.0 - 0.5
        hits = np.zeros(len(edge))
        for a in parts:
            for b in parts:
                points = self._ears.reshape(-1, 3)[edge] + a * floor.u / floor.width + b * floor.v / floor.height
                hits += sees(self._caster, points, position)
        share.ravel()[edge] = hits / len(parts) ** 2
        return share


def _ears(floor: FloorMap) -> tuple[np.ndarray, np.ndarray]:
    """Ear positions over all texels (h, w, 3), and which texels the floor's triangles cover (h, w) bool."""
    ears, up = floor.centres(), floor.normal
    covered = np.ones(ears.shape[:2], bool)
    if len(floor.triangles):
        silent = Material("floor", absorption=(0.0,) * N_BANDS, scattering=(0.0,) * N_BANDS)
        corners = floor.triangles.reshape(-1, 3)
        faces = np.arange(len(corners)).reshape(-1, 3)
        caster = Raycaster(Scene(corners, faces, np.zeros(len(faces), int), [silent]))
        # Rays come down along the normal from above all of it.
        start = (corners @ up).max() + 1.0
        covered[:] = False
        # A ray may slip between two triangles along their common edge: a second one, a little beside, does not.
        for shift in (0.0, 0.013, -0.029):
            missing = np.flatnonzero(~covered)
            origins = ears.reshape(-1, 3)[missing] + shift * (floor.u / floor.width + floor.v / floor.height)
            origins += (start - origins @ up)[:, None] * up
            distance = caster.intersect(origins, np.tile(-up, (len(missing), 1))).distance
            hit = np.isfinite(distance)
            covered.ravel()[missing[hit]] = True
            places = ears.reshape(-1, 3)[missing[hit]]
            places += (start - distance[hit] - places @ up)[:, None] * up
            ears.reshape(-1, 3)[missing[hit]] = places
    return ears + floor.ear_height * up, covered
