"""The first sound of an emitter: straight, bent round edges where nothing is seen, or through a wall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from naf_core.diffraction import around, first_sound
from naf_core.direct import nearest_of
from naf_core.edges import find_edges
from naf_core.raycast import Raycaster
from naf_core.response import EnergyResponse
from naf_core.scene import Scene, Trajectory
from naf_core.transmission import find_pieces, through


class FirstSound:
    """What the first sound of a scene may bend around and pass through, found once."""

    def __init__(self, scene: Scene, caster: Raycaster) -> None:
        self._scene, self._caster = scene, caster
        self._edges, self._pieces = find_edges(scene, caster), find_pieces(scene)

    def put_into(
        self, responses: EnergyResponse, emitters: np.ndarray, listeners: np.ndarray
    ) -> tuple[EnergyResponse, np.ndarray]:
        """The ``responses`` of n pairs with their first sound, and from where each is heard, (n, 3) in m.

        ``direct`` and ``direct_direction`` are replaced: what bends round edges (see `around`) and what passes walls
        (see `through`) add up. A hidden emitter seems to stand where the way round the last edge points to, as far off
        as that way is long; a visible one, or one that is heard through a wall or not at all, where it is.
        """
        emitters, listeners = np.asarray(emitters, np.float64), np.asarray(listeners, np.float64)
        here, there = (self._caster.off_surfaces(points).astype(np.float64) for points in (emitters, listeners))
        count = len(emitters)
        bent = around(self._scene, self._caster, self._edges, here, there)
        length, direction, energy = first_sound(bent, count)
        walls = through(self._scene, self._caster, self._pieces, here, there)
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
        return result, places


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
