"""A survey: one quantity over all texels of a floor, at one moment after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from naf_core.airspace import reached_by, regions, roomy_regions, sees, without_gaps
from naf_core.bands import N_BANDS
from naf_core.firstsound import FirstSound
from naf_core.floormap import FloorMap
from naf_core.gauges import Energy, Gauge, gauge_of, level_weights
from naf_core.lattice import Lattice, blend
from naf_core.loudness import Predictor, Source
from naf_core.materials import Material
from naf_core.raycast import Raycaster
from naf_core.response import EnergyResponse
from naf_core.scene import Scene
from naf_core.shade import Drawn, Shade

PAIRS = 3000  # emitter-point pairs that one map may ask of the field
_EDGES = 600_000  # that one map may look at to find the first sound at some places, shared among its sources
_SHADES = (200, 1000)  # places, few where there are many edges
_SHADES_EACH = 48  # at least, for each of many sources
_LOOKS = 12  # places of a closed room at which sound through its walls is looked for
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
class _Heard:
    """What is known of one source: where its sound gets to, what its gauges read at the lattice, and its shade.

    ``reached`` (h, w) bool; ``channels`` (n, c) at the nodes of the lattice, NaN where it is not heard.
    """

    source: Source
    reached: np.ndarray
    channels: np.ndarray
    drawn: Drawn

    def serves(self, source: Source) -> bool:
        """Whether ``source`` stands where this one does, with the same spectrum, aimed alike."""
        return (
            source.name == self.source.name
            and np.abs(source.position - self.source.position).max() < _STILL
            and np.allclose(source.spectrum, self.source.spectrum)
            and source.directivity == self.source.directivity
        )


@dataclass(frozen=True)
class _Ground:
    """The part of the map where anything is heard at all, and what is asked there."""

    open_air: np.ndarray
    lattice: Lattice
    shade: Shade


class Survey:
    """Values of the quantity that ``floor`` asks for over all its texels; ``pairs`` of field queries a map.

    The first sound is that of a bake (see `FirstSound`): exact where it is straight, and found at as many places as it
    needs where it bends round edges or passes walls (see `Shade`). Reflected sound, which varies slowly, is predicted
    on a lattice and interpolated between the lattice points that see the texel, so that walls and doorways stay sharp.
    Levels add up over the sources; any other quantity is that of the source which is loudest at the texel.
    """

    def __init__(
        self,
        field: Predictor,
        scene: Scene,
        floor: FloorMap,
        caster: Raycaster | None = None,
        first: FirstSound | None = None,
        pairs: int = PAIRS,
    ) -> None:
        self._field, self._floor, self._pairs, self._air = field, floor, pairs, scene.air
        self._caster = caster or Raycaster(scene)
        self._first = first or FirstSound(scene, self._caster)
        self._gauge = gauge_of(floor.quantity, floor.band, floor.noise)
        self._ears, self._covered = _ears(floor)
        texel = max(np.linalg.norm(floor.u) / floor.width, np.linalg.norm(floor.v) / floor.height)
        self._region, self._wall = regions(self._caster, self._ears, texel)
        self._roomy, self._texel = roomy_regions(self._region, texel), texel
        self._ground: _Ground | None = None
        self._heard: list[_Heard] = []

    def at(self, sources: Sequence[Source], progress: Progress | None = None) -> FloorValues:
        """The values that ``sources`` cause; those that stand still are not asked for twice."""
        sources = [source for source in sources if source.power > 0.0]
        self._heard = self._hear(sources, progress)
        ground, size = self._ground, self._covered.size
        total, loudest, chosen = np.zeros(size), np.zeros(size), np.full(size, np.nan)
        for texels, weight in ground.lattice.parts():
            for heard, source in zip(self._heard, sources, strict=True):
                level, value = self._made(heard, source.power, texels, weight)
                total[texels] += level
                ahead = np.isfinite(value) & (level > loudest[texels])
                chosen[texels[ahead]], loudest[texels[ahead]] = value[ahead], level[ahead]
        with np.errstate(divide="ignore"):
            values = 10.0 * np.log10(total) if self._gauge is None else chosen
        heard = ground.open_air & (total > 0.0).reshape(self._shape)
        values = np.where(heard, values.reshape(self._shape), np.nan)
        solid = np.where(self._covered, ~ground.open_air, self._wall | ~self._roomy)
        return FloorValues(values, solid)

    @property
    def _shape(self) -> tuple[int, ...]:
        return self._covered.shape

    @property
    def _places(self) -> np.ndarray:
        return self._ears.reshape(-1, 3)

    def _gauges(self, source: Source) -> list[Gauge]:
        """What is read for a source: its level, and the quantity where that is another."""
        band = self._floor.band if self._gauge is None else None
        level = Energy(level_weights(source.spectrum, band))
        return [level] if self._gauge is None else [level, self._gauge]

    def _hear(self, sources: Sequence[Source], progress: Progress | None) -> list[_Heard]:
        """What is heard of ``sources``, for those that have changed anew."""
        known = [next((heard for heard in self._heard if heard.serves(source)), None) for source in sources]
        if self._ground is not None and len(sources) == len(self._heard) and None not in known:
            return known
        reached = np.array([self._reached(source) for source in sources], bool).reshape(-1, *self._shape)
        open_air = without_gaps(self._covered & ~self._wall & reached.any(axis=0), self._texel)
        if self._ground is None or not np.array_equal(open_air, self._ground.open_air):
            lattice = Lattice(self._caster, self._ears, open_air, max(16, self._pairs // max(1, len(sources))))
            self._ground = _Ground(open_air, lattice, Shade(self._first, self._air, self._caster, self._ears, open_air))
            known = [None] * len(sources)
        places = int(np.clip(_EDGES // max(1, self._first.n_edges), *_SHADES)) // max(1, len(sources))
        result = []
        for number, source in enumerate(sources):

            def report(fraction: float, before: int = number) -> None:
                if progress is not None:
                    progress((before + fraction) / len(sources))

            most = max(_SHADES_EACH, places)
            result.append(known[number] or self._listen(source, reached[number] & open_air, most, report))
            report(1.0)
        return result

    def _reached(self, source: Source) -> np.ndarray:
        """Which texels (h, w) the sound of a source gets to: through the air, or through walls that let some pass."""
        reached = reached_by(self._region, sees(self._caster, self._ears, source.position)[None], self._roomy)[0]
        for region in np.unique(self._region[self._covered & self._roomy & ~reached]):
            texels = np.flatnonzero(((self._region == region) & self._covered).ravel())
            asked = self._places[texels[np.linspace(0, len(texels) - 1, _LOOKS).astype(int)]]
            if self._first.passes(np.broadcast_to(source.position, asked.shape), asked).any():
                reached |= self._region == region
        return reached

    def _listen(self, source: Source, reached: np.ndarray, most: int, progress: Progress) -> _Heard:
        """Ask the field at the lattice, and the first sound at ``most`` places."""
        level, *others = self._gauges(source)
        ground = self._ground
        asked = np.flatnonzero(reached.ravel()[ground.lattice.nodes])
        nodes = ground.lattice.nodes[asked]
        response = self._respond(source, self._places[nodes], lambda fraction: progress(0.5 * fraction))
        rows = np.full((len(ground.lattice.nodes), 1), np.nan)
        rows[asked] = level.read(response)

        def reflected(texels: np.ndarray) -> np.ndarray:
            found = blend(ground.lattice.weights(texels), rows)[:, 0]
            return np.where(np.isnan(found), 0.0, 10.0 ** (found / 10.0))

        drawn = ground.shade.draw(source, reached, level.weights, reflected, most)
        response = replace(response, direct=ground.shade.energy(source, drawn, nodes))
        read = np.concatenate([rows[asked], *(gauge.read(response) for gauge in others)], axis=1)
        channels = np.full((len(rows), read.shape[1]), np.nan)
        channels[asked] = read
        return _Heard(source, reached, channels, drawn)

    def _respond(self, source: Source, points: np.ndarray, progress: Progress | None = None) -> EnergyResponse:
        """What the field says at ``points`` (n, 3), its reflections as strong as what the source sends in all."""
        parts = []
        for start in range(0, max(len(points), 1), _BATCH):
            part = points[start : start + _BATCH]
            parts.append(self._field.predict(np.broadcast_to(source.position, part.shape), part))
            if progress is not None:
                progress(min(1.0, (start + _BATCH) / max(len(points), 1)))
        names = ("energy", "direct", "distance", "direct_direction", "tail_slope")
        found = EnergyResponse(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in names), parts[0].speed_of_sound
        )
        return replace(found, energy=found.energy * source.sent[:, None, None])

    def _made(
        self, heard: _Heard, power: float, texels: np.ndarray, weight: csr_matrix
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energy and value (m,) of one source at some texels; 0 and NaN where its sound does not get to."""
        level, value = np.zeros(len(texels)), np.full(len(texels), np.nan)
        wanted = np.flatnonzero(heard.reached.ravel()[texels])
        if not len(wanted):
            return level, value
        here = texels[wanted]
        # Apart, since the quantity may be unknown where the level is not.
        parts = heard.channels[:, :1], heard.channels[:, 1:]
        channels = np.concatenate([blend(weight[wanted], part) for part in parts], axis=1)
        direct = self._ground.shade.energy(heard.source, heard.drawn, here)
        self._fill_nooks(heard.source, here, direct, channels)
        energy, *others = self._gauges(heard.source)
        level[wanted] = energy.make(channels[:, :1], direct, power)
        for gauge in others:
            value[wanted] = gauge.make(channels[:, 1:], direct, power)
        return level, value

    def _fill_nooks(self, source: Source, here: np.ndarray, direct: np.ndarray, channels: np.ndarray) -> None:
        """Fill into ``channels`` (m, c) what nooks hear from which no lattice point is seen: they get their own."""
        left = np.flatnonzero(np.isnan(channels[:, 0]))
        if not len(left):
            return
        row, column = np.unravel_index(here[left], self._shape)
        step = self._ground.lattice.step
        first = left[np.unique(row // step * self._shape[1] + column // step, return_index=True)[1]]
        places = self._places[here]
        response = replace(self._respond(source, places[first]), direct=direct[first])
        read = np.concatenate([gauge.read(response) for gauge in self._gauges(source)], axis=1)
        channels[left] = read[cKDTree(places[first]).query(places[left])[1]]


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
