"""The scan: acoustic probes on a grid through the walkable space, and what they hear of each other.

A probe needs no knowledge of any emitter or listener: it is scanned once a scene. It knows what stands around it, which
other probes it sees and how far, around corners, it is to each of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from scipy.sparse.csgraph import dijkstra

from naf_core.exchange import Exchange, trace_exchange
from naf_core.raycast import Raycaster, sphere_directions
from naf_core.scene import Scene

EAR_HEIGHT = 1.3  # m above the floor: between a seated and a standing head
_LOWEST_GAP = 0.9  # m: lower spaces (under a table) hold no probe
_LEVEL_STEP = 2.5  # m between probes above each other in high rooms
_MAX_LAYERS = 64  # surfaces met by one vertical ray
_LEAST_PATHS, _MOST_PATHS = 200_000, 1_500_000  # sent by all probes of a scan together
_SEGMENTS = 2e7  # what a scan may take: where paths end soon there are more of them, since late sound has few left
_PATH_END_DB = 60.0  # a path counts as long as this is left of it
N_DEPTHS = 8  # quantiles of the distance to the first surface
DEPTH_RAYS = 256
_MOST_RAYS = 50_000  # of one probe


@dataclass(frozen=True)
class Surroundings:
    """What stands around n points: the geometry that a probe's first rays meet.

    ``depths`` (n, N_DEPTHS) quantiles in m of the distance to the first surface (escaping rays count as 100 m);
    ``absorption`` and ``scattering`` (n, 8) means over the first hits, an escaping ray counting as absorbed;
    ``escape`` (n,) share of rays that meet nothing.
    """

    depths: np.ndarray
    absorption: np.ndarray
    scattering: np.ndarray
    escape: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Surroundings:
        return Surroundings(*(getattr(self, f.name)[rows] for f in fields(self)))


def surroundings(scene: Scene, caster: Raycaster, points: np.ndarray) -> Surroundings:
    """Look around from ``points`` (n, 3) in DEPTH_RAYS evenly spread directions."""
    directions = np.tile(sphere_directions(DEPTH_RAYS), (len(points), 1))
    hits = caster.intersect(np.repeat(np.asarray(points, np.float32), DEPTH_RAYS, axis=0), directions)
    missed = hits.triangle < 0
    if len(scene.triangles):
        material = scene.material_index[hits.triangle]
        absorption = np.where(missed[:, None], 1.0, scene.absorption[material])
        scattering = np.where(missed[:, None], 1.0, scene.scattering[material])
    else:
        absorption = scattering = np.ones((len(missed), 8), np.float32)
    depth = np.minimum(hits.distance, 100.0).reshape(len(points), DEPTH_RAYS)
    quantiles = (np.arange(N_DEPTHS) + 0.5) / N_DEPTHS
    return Surroundings(
        depths=np.quantile(depth, quantiles, axis=1).T.astype(np.float32),
        absorption=absorption.reshape(len(points), DEPTH_RAYS, 8).mean(axis=1, dtype=np.float32),
        scattering=scattering.reshape(len(points), DEPTH_RAYS, 8).mean(axis=1, dtype=np.float32),
        escape=missed.reshape(len(points), DEPTH_RAYS).mean(axis=1, dtype=np.float32),
    )


def place_probes(scene: Scene, caster: Raycaster, spacing: float = 0.8, limit: int = 400) -> np.ndarray:
    """Positions (P, 3) float32 of probes on a horizontal grid of ``spacing`` metres through the walkable space.

    Every column of air at least 0.9 m high holds one probe 1.3 m above its floor (or in its middle when lower), and
    more above it in high rooms. The spacing widens until at most ``limit`` probes are needed. A column open to the
    sky counts only where there is nothing else, so that no probe stands on a roof. P is 0 without geometry.
    """
    if not len(scene.triangles):
        return np.zeros((0, 3), np.float32)
    while True:
        probes = _columns(scene, caster, spacing)
        if len(probes) <= limit:
            return probes
        spacing *= max(1.05, (len(probes) / limit) ** 0.5)


def _columns(scene: Scene, caster: Raycaster, spacing: float) -> np.ndarray:
    low, high = scene.bounds
    count = np.maximum(1, np.round((high[:2] - low[:2]) / spacing).astype(int))
    axes = [low[k] + (np.arange(count[k]) + 0.5) * (high[k] - low[k]) / count[k] for k in (0, 1)]
    x, y = (a.ravel() for a in np.meshgrid(*axes, indexing="ij"))
    top = high[2] + 1.0
    heights = np.full((_MAX_LAYERS, len(x)), np.nan)
    level = np.full(len(x), top)
    falling = np.arange(len(x))
    down = np.tile(np.array([0.0, 0.0, -1.0], np.float32), (len(x), 1))
    for layer in range(_MAX_LAYERS):
        origins = np.stack([x[falling], y[falling], level[falling]], axis=1).astype(np.float32)
        distance = caster.intersect(origins, down[falling]).distance
        met = np.isfinite(distance)
        falling = falling[met]
        if not len(falling):
            break
        heights[layer, falling] = level[falling] - distance[met]
        level[falling] = heights[layer, falling] - 10.0 * caster.epsilon
    probes = []
    for column in range(len(x)):
        surfaces = heights[:, column][np.isfinite(heights[:, column])]
        if len(surfaces) == 0:
            continue
        gaps = [(low_z, high_z) for high_z, low_z in zip(surfaces[:-1], surfaces[1:], strict=True)]
        gaps = [g for g in gaps if g[1] - g[0] >= _LOWEST_GAP]
        if not gaps:
            gaps = [(surfaces[0], surfaces[0] + 2.0 * EAR_HEIGHT)]
        for floor, ceiling in gaps:
            height = min(floor + EAR_HEIGHT, 0.5 * (floor + ceiling))
            while True:
                probes.append((x[column], y[column], height))
                height += _LEVEL_STEP
                if height > ceiling - 0.5:
                    break
    return np.array(probes, np.float32).reshape(-1, 3)


def visibility(caster: Raycaster, points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of ``others`` (m, 3) each of ``points`` (n, 3) sees: (n, m) bool."""
    n, m = len(points), len(others)
    if n * m == 0:
        return np.zeros((n, m), bool)
    step = max(1, (1 << 19) // m)
    rows = [
        ~caster.occluded(np.repeat(points[k : k + step], m, axis=0), np.tile(others, (len(points[k : k + step]), 1)))
        for k in range(0, n, step)
    ]
    return np.concatenate(rows).reshape(n, m)


def walking_distance(probes: np.ndarray, sees: np.ndarray) -> np.ndarray:
    """Shortest way between all probes along lines of sight, (P, P) float32 in m, inf where there is none."""
    if not len(probes):
        return np.zeros((0, 0), np.float32)
    straight = np.linalg.norm(probes[:, None] - probes[None], axis=2)
    return dijkstra(np.where(sees | sees.T, straight, 0.0), directed=False).astype(np.float32)


def path_length(around: Surroundings) -> float:
    """How many surfaces a path meets until 60 dB less is left of it, mean over the bands.

    At each a share is absorbed, or leaves: as much as of the first rays, ``around`` some places of the scene.
    """
    kept = np.clip(1.0 - around.absorption.mean(axis=0, dtype=np.float64), 0.01, 0.999)
    return float((-_PATH_END_DB / (10.0 * np.log10(kept))).mean())


def enough_paths(around: Surroundings) -> int:
    """How many paths probes share whose Surroundings are ``around``: the more, the sooner they end."""
    if not len(around.escape):
        return _LEAST_PATHS
    return int(np.clip(_SEGMENTS / path_length(around), _LEAST_PATHS, _MOST_PATHS))


@dataclass(frozen=True)
class Scan:
    """Probes and what they know.

    ``positions`` (P, 3) m; ``around`` their Surroundings; ``sees`` (P, P) bool; ``walking`` (P, P) m; ``exchange``
    what they hear of each other.
    """

    positions: np.ndarray
    around: Surroundings
    sees: np.ndarray
    walking: np.ndarray
    exchange: Exchange


def scan(
    scene: Scene,
    caster: Raycaster,
    *,
    spacing: float = 0.8,
    limit: int = 400,
    paths: int | None = None,
    effort: float = 1.0,
    seed: int = 0,
    processes: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Scan:
    """Place probes in ``scene`` and let them share in sending ``paths``: all paths tell of all pairs.

    By default these are ``effort`` times `enough_paths`. ``processes`` at most work side by side. ``progress`` gets
    0..1 and may raise to cancel.
    """
    positions = place_probes(scene, caster, spacing, limit)
    sees = visibility(caster, positions, positions)
    around = surroundings(scene, caster, positions)
    paths = round(effort * enough_paths(around)) if paths is None else paths
    rays = max(1, min(paths // max(len(positions), 1), _MOST_RAYS))
    exchange = trace_exchange(scene, caster, positions, rays=rays, seed=seed, processes=processes, progress=progress)
    return Scan(
        positions=positions,
        around=around,
        sees=sees,
        walking=walking_distance(positions, sees),
        exchange=exchange,
    )
