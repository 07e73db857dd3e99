"""Lines along which the early sound goes from an emitter to a listener: straight, round edges and by reflections."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from naf_core.bands import EXACT_BANDS_HZ
from naf_core.bends import WaySearch
from naf_core.edges import Edges
from naf_core.paths import early_paths
from naf_core.raycast import Raycaster
from naf_core.scene import Scene

ORDER = 3  # reflections
MOST = 32  # lines
MAX_ORDER = 6

_ROUND = 4  # ways round edges
_FAINT_DB = 20.0  # below the strongest of these, a way round an edge is left out
_MISS = 0.05  # m by which a line that is followed back may pass the emitter


class Line(NamedTuple):
    """One way of sound: its corners ``points`` (n, 3) in m from emitter to listener, and ``level`` in dB.

    ``order`` is the number of reflections; ``edges`` that of the edges it goes round. The level is the mean over bands
    of the energy that arrives, relative to the free field at 1 m.
    """

    points: np.ndarray
    order: int
    edges: int
    level: float

    @property
    def length(self) -> float:
        """Length in m."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


def sound_lines(
    scene: Scene,
    caster: Raycaster,
    edges: Edges,
    emitter: np.ndarray,
    listener: np.ndarray,
    order: int = ORDER,
    most: int = MOST,
) -> list[Line]:
    """The ``most`` strongest lines from ``emitter`` (3,) to ``listener`` (3,) in m, the shortest first.

    Reflections are those of `early_paths` up to ``order`` (0..6); a hidden emitter has instead of its direct sound the
    strongest ways round ``edges``, those of the scene (see `bends`).
    """
    ends = caster.off_surfaces(np.stack([emitter, listener])).astype(np.float64)
    paths = early_paths(scene, ends[:1], ends[1:], order=min(order, MAX_ORDER), raycaster=caster)
    lines = []
    for count, source, length, energy in zip(paths.order, paths.source, paths.length, paths.energy, strict=True):
        points = _followed(caster, ends[1], source, int(count), float(length))
        if points is not None and np.linalg.norm(points[0] - ends[0]) < _MISS * (1 + count):
            points[0] = ends[0]
            lines.append(Line(points, int(count), 0, _decibel(energy)))
    if not (paths.order == 0).any():
        lines += _round_edges(scene, caster, edges, *ends)
    lines = sorted(lines, key=lambda line: -line.level)[:most]
    return sorted(lines, key=lambda line: line.length)


def _followed(
    caster: Raycaster, listener: np.ndarray, towards: np.ndarray, order: int, length: float
) -> np.ndarray | None:
    """Corners (order + 2, 3) of a mirror path, followed from the listener; None where it is lost."""
    points, place, way, left = [listener], listener, towards.astype(np.float64), length
    for _ in range(order):
        hit = caster.intersect(place[None] + 2.0 * caster.epsilon * way, way[None])
        distance = float(hit.distance[0]) + 2.0 * caster.epsilon
        if not distance < left:
            return None
        place = place + distance * way
        normal = caster.facing_normals(hit.triangle, way[None])[0].astype(np.float64)
        way = way - 2.0 * (way @ normal) * normal
        place = place + 2.0 * caster.epsilon * normal
        left -= distance
        points.append(place)
    points.append(place + left * way)
    return np.array(points[::-1])


def _round_edges(
    scene: Scene, caster: Raycaster, edges: Edges, emitter: np.ndarray, listener: np.ndarray
) -> list[Line]:
    """The strongest ways round one edge or two between points that do not see each other."""
    bands = 2.0 * np.pi / scene.air.speed_of_sound * np.array(EXACT_BANDS_HZ)
    ways = WaySearch(caster, edges, emitter, listener, False, bands).ways()
    levels = np.array([_decibel(np.abs(amplitude) ** 2) for amplitude in ways.amplitude])
    lines = []
    for row in np.argsort(-levels, kind="stable")[:_ROUND]:
        if ways.bends[row] and levels[row] > levels.max() - _FAINT_DB:
            apexes = [ways.first[row], ways.last[row]][: int(ways.order[row])]
            lines.append(Line(np.array([emitter, *apexes, listener]), 0, int(ways.order[row]), float(levels[row])))
    return lines


def _decibel(energy: np.ndarray) -> float:
    return float(10.0 * np.log10(max(float(np.mean(energy)), 1e-12)))
