"""Places for emitters and listeners: anywhere in the air that hangs together, near ones and hidden ones among them."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

from naf_core.raycast import Raycaster, sphere_directions
from naf_core.scene import Scene
from naf_core.training.rooms.site import Site

GAP = 0.05  # m: nothing stands nearer to a surface
NEAR = 0.5  # m: two points of every room are no farther apart
_POOL = 96  # places among which some are chosen, and along which all must hang together
_LOOKS = 48
_BATCH = 64


def choose_points(site: Site, scene: Scene, count: int) -> np.ndarray:
    """``count`` points (count, 3) float32 m in the air of ``site``, whose scene is ``scene``.

    If there are two or more, the second is near the first. If there are three or more, the third is hidden from the
    first where anything is.
    """
    caster = Raycaster(scene)
    looks = sphere_directions(_LOOKS)
    corners = scene.vertices[scene.triangles].astype(np.float64)
    solid = site.solid
    is_open = bool(site.skies)
    weight = np.sqrt([np.prod(zone.size) for zone in site.zones])
    rng = site.rng

    def in_air(points: np.ndarray) -> np.ndarray:
        hits = caster.intersect(np.repeat(points, _LOOKS, axis=0), np.tile(looks, (len(points), 1)))
        met = hits.triangle >= 0
        behind = np.einsum("ij,ij->i", caster.normals[hits.triangle], np.tile(looks, (len(points), 1))) > 0.0
        wrong = np.where(met, behind & solid[hits.triangle], not is_open).reshape(-1, _LOOKS)
        return ~wrong.any(axis=1) & met.reshape(-1, _LOOKS).any(axis=1)

    def usable(points: np.ndarray) -> np.ndarray:
        points = points[in_air(points)]
        return points[_clearance(points.astype(np.float64), corners, 1.1 * GAP) > 1.1 * GAP]

    def draw() -> np.ndarray:
        chosen = rng.choice(len(site.zones), _BATCH, p=weight / weight.sum())
        low, size = (np.array([getattr(site.zones[k], name) for k in chosen]) for name in ("low", "size"))
        share = rng.random((_BATCH, 3))
        place = low + size * share
        ears = rng.random(_BATCH) < 0.6  # where people sit, stand and talk; the others anywhere
        place[ears, 2] = low[ears, 2] + np.minimum(0.7 + 1.2 * share[ears, 2], share[ears, 2] * size[ears, 2])
        return site.moved(place).astype(np.float32)

    ways = site.moved(np.array(site.ways).reshape(-1, 3)).astype(np.float32)
    ways = ways[in_air(ways)] if len(ways) else ways
    pool = ways
    while len(pool) < len(ways) + _POOL:
        pool = np.concatenate([pool, usable(draw())])
    pool = pool[: len(ways) + _POOL]
    i, j = np.triu_indices(len(pool), 1)
    sees = np.zeros((len(pool), len(pool)), bool)
    sees[i, j] = ~caster.occluded(pool[i], pool[j])
    sees |= sees.T
    label = connected_components(sees, directed=False)[1]
    main = np.bincount(label[len(ways) :]).argmax()
    kept = np.flatnonzero((label == main) & (np.arange(len(pool)) >= len(ways)))
    points, rows = [pool[kept[0]]], [int(kept[0])]
    hidden = [int(k) for k in kept[1:] if not sees[kept[0], k]]
    others = [int(k) for k in kept[1:]]

    def apart(point: np.ndarray) -> bool:
        return min(float(np.linalg.norm(point - other)) for other in points) > GAP

    while len(points) < count:
        by = 0 if len(points) == 1 else int(rng.integers(len(points)))
        if len(points) == 1 or rng.random() < 0.15:
            step = rng.normal(size=(8, 3))
            step *= np.exp(rng.uniform(np.log(0.06), np.log(0.95 * NEAR), (8, 1))) / np.linalg.norm(
                step, axis=1, keepdims=True
            )
            near = usable((points[by] + step).astype(np.float32))
            near = near[~caster.occluded(near, np.broadcast_to(points[by], near.shape))]
            if len(near) and apart(near[0]):
                points.append(near[0])
        else:
            row = hidden[0] if len(points) == 2 and hidden else others[int(rng.integers(len(others)))]
            if row not in rows and apart(pool[row]):
                rows.append(row)
                points.append(pool[row])
    return np.array(points, np.float32)


def _clearance(points: np.ndarray, corners: np.ndarray, reach: float) -> np.ndarray:
    """Distance (n,) in m from ``points`` (n, 3) to the nearest triangle of ``corners`` (F, 3, 3), inf beyond reach."""
    low, high = corners.min(axis=1) - reach, corners.max(axis=1) + reach
    near = np.ones((len(points), len(corners)), bool)
    for axis in range(3):
        at = points[:, axis, None]
        near &= (at >= low[:, axis]) & (at <= high[:, axis])
    row, triangle = np.nonzero(near)
    result = np.full(len(points), np.inf)
    np.minimum.at(result, row, _distance(points[row], corners[triangle]))
    return np.where(result <= reach, result, np.inf)


def _distance(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Distance (n,) from each of ``points`` (n, 3) to its triangle (n, 3, 3)."""
    sides = np.roll(corners, -1, axis=1) - corners
    away = points[:, None] - corners
    along = np.einsum("nij,nij->ni", away, sides) / np.maximum(np.einsum("nij,nij->ni", sides, sides), 1e-30)
    rim = np.linalg.norm(away - np.clip(along, 0.0, 1.0)[..., None] * sides, axis=2).min(axis=1)
    normal = np.cross(sides[:, 0], sides[:, 1])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    inside = (np.einsum("nij,nj->ni", np.cross(sides, away), normal) > 0.0).all(axis=1)
    return np.where(inside, np.abs(np.einsum("ij,ij->i", away[:, 0], normal)), rim)
