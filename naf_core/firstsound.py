"""The first sound of an emitter: straight, bent round edges where nothing is seen, or through a wall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from naf_core.bands import N_BANDS
from naf_core.diffraction import around, first_sound
from naf_core.direct import nearest_of
from naf_core.directivity import Directivity
from naf_core.edges import find_edges, round_faces
from naf_core.paths import EarlyPaths
from naf_core.raycast import Raycaster
from naf_core.response import EnergyResponse
from naf_core.scene import Scene, Trajectory
from naf_core.transmission import find_pieces, through

_ROUND = 2000  # edges that cost as much as to look about round bodies


class FirstSound:
    """What the first sound of a scene may bend around and pass through, found once."""

    def __init__(self, scene: Scene, caster: Raycaster) -> None:
        self._scene, self._caster = scene, caster
        self._edges, self._pieces = find_edges(scene, caster), find_pieces(scene)

    @property
    def n_edges(self) -> int:
        """Number of edges that sound may bend around, a round body counting for many: a pair costs as much."""
        return len(self._edges.length) + _ROUND * bool(round_faces(self._caster, self._scene).any())

    def energy(self, emitters: np.ndarray, listeners: np.ndarray, directivity: Directivity | None = None) -> np.ndarray:
        """Energy (n, 8) of the first sound of n pairs, of emitters that all have the same ``directivity``."""
        total = np.zeros((len(emitters), N_BANDS))
        for paths in self._paths(emitters, listeners):
            gain = 1.0 if directivity is None else directivity.gain(paths.departure)
            np.add.at(total, paths.listener, paths.energy * gain)
        return total

    def passes(self, emitters: np.ndarray, listeners: np.ndarray) -> np.ndarray:
        """Whether any sound of n pairs that do not see each other comes straight through walls, (n,) bool."""
        here, there = (self._caster.off_surfaces(points).astype(np.float64) for points in (emitters, listeners))
        heard = through(self._scene, self._caster, self._pieces, here, there).listener
        return np.isin(np.arange(len(here)), heard)

    def put_into(
        self, responses: EnergyResponse, emitters: np.ndarray, listeners: np.ndarray
    ) -> tuple[EnergyResponse, np.ndarray, np.ndarray]:
        """The ``responses`` of n pairs with their first sound, where that is heard from, (n, 3) in m, and departures.

        ``direct`` and ``direct_direction`` are replaced: what bends round edges (see `around`) and what passes walls
        (see `through`) add up. A hidden emitter seems to stand where the way round the last edge points to, as far off
        as that way is long; a visible one, or one that is heard through a wall or not at all, where it is. The sound
        leaves the emitter along the departures (n, 3), the mean of all its ways; straight where nothing is heard.
        """
        emitters, listeners = np.asarray(emitters, np.float64), np.asarray(listeners, np.float64)
        count = len(emitters)
        bent, walls = self._paths(emitters, listeners)
        length, direction, energy = first_sound(bent, count)
        passed = np.zeros_like(energy)
        np.add.at(passed, walls.listener, walls.energy)
        hidden = ~(np.asarray(responses.direct) > 0.0).any(axis=1)
        bends = hidden & np.isfinite(length) & (energy.sum(axis=1) > passed.sum(axis=1))
        straight = np.asarray(responses.direct_direction, np.float64)
        way = np.where(bends[:, None], direction, straight)
        places = np.where(bends[:, None], listeners + direction * np.where(bends, length, 0.0)[:, None], emitters)
        result = replace(
            responses,
            direct=(energy + passed).astype(np.float32),
            direct_direction=way.astype(np.float32),
        )
        return result, places, _departures(emitters, listeners, bent, walls)

    def _paths(self, emitters: np.ndarray, listeners: np.ndarray) -> tuple[EarlyPaths, EarlyPaths]:
        """What bends round edges, and what passes walls."""
        here, there = (self._caster.off_surfaces(points).astype(np.float64) for points in (emitters, listeners))
        return (
            around(self._scene, self._caster, self._edges, here, there),
            through(self._scene, self._caster, self._pieces, here, there),
        )


def _departures(emitters: np.ndarray, listeners: np.ndarray, bent: EarlyPaths, walls: EarlyPaths) -> np.ndarray:
    """Unit vectors (n, 3) along which the first sound leaves: the mean of its ways by energy, straight without any."""
    departure = np.zeros((len(emitters), 3))
    for paths in (bent, walls):
        np.add.at(departure, paths.listener, paths.departure * paths.energy.sum(axis=1)[:, None])
    straight = listeners - emitters
    heard = np.linalg.norm(departure, axis=1, keepdims=True) > 0.0
    departure = np.where(heard, departure, straight)
    return departure / np.maximum(np.linalg.norm(departure, axis=1, keepdims=True), 1e-300)


def apparent_path(emitter: Trajectory, times: np.ndarray, places: np.ndarray, heard: np.ndarray) -> Trajectory:
    """Where an ``emitter`` seems to be over time, if at ``times`` (K,) s it is heard from ``places`` (K, 3) in m.

    Where it is not ``heard`` (K,) it stays as far from its true place as when it was, or will be, heard next. The
    emitter's own path where it is always heard from its own place.
    """
    offset = places - emitter.at(times)
    if not heard.any() or np.abs(offset[heard]).max() < 1e-6:
        return emitter
    moments = np.union1d(emitter.times, times)
    return Trajectory(moments, emitter.at(moments) + Trajectory(times, offset[nearest_of(heard)]).at(moments))
