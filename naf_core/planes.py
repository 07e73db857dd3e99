"""Mirrors of a scene: triangles that lie in one plane, however finely they divide it."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from scipy.spatial import cKDTree

from naf_core.raycast import Raycaster
from naf_core.scene import Scene

SAME_PLANE = 1e-3  # normals and offsets (in m) that differ by less are one plane


class Planes(NamedTuple):
    """The planes of a scene, Q of them.

    ``of_triangle`` (F,) plane of each triangle; ``normal`` (Q, 3) unit, either side; ``offset`` (Q,) m: points x of a
    plane have normal . x = offset; ``low`` and ``high`` (Q, 3) m, the box around its triangles; ``area`` (Q,) m2.
    """

    of_triangle: np.ndarray
    normal: np.ndarray
    offset: np.ndarray
    low: np.ndarray
    high: np.ndarray
    area: np.ndarray

    def distance(self, plane: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Signed distance (n,) in m of ``points`` (n, 3) from ``plane`` (n,)."""
        return np.einsum("ij,ij->i", self.normal[plane], points) - self.offset[plane]

    def mirrored(self, plane: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Images (n, 3) of ``points`` (n, 3) in ``plane`` (n,)."""
        return points - 2.0 * self.distance(plane, points)[:, None] * self.normal[plane]


# A fifth of a second for 200 000 triangles, as often as the same scene is asked for paths.
_KNOWN: WeakKeyDictionary[Raycaster, Planes] = WeakKeyDictionary()


def planes(caster: Raycaster, scene: Scene) -> Planes:
    """Group the triangles of ``scene``, which is that of ``caster``, by the planes they lie in, float64.

    Each group has a large triangle that all others differ from by less than SAME_PLANE, so that a finely divided curve
    stays a row of many mirrors, as exact as that, and a wall with rounding errors is one. Found once for each caster.
    """
    if caster not in _KNOWN:
        _KNOWN[caster] = _grouped(caster, scene)
    return _KNOWN[caster]


def _grouped(caster: Raycaster, scene: Scene) -> Planes:
    if not len(scene.triangles):
        none = np.zeros((0, 3))
        return Planes(np.zeros(0, np.int64), none, np.zeros(0), none, none, np.zeros(0))
    # (axis, 3, F): fast along rows.
    corners = np.take(scene.vertices.T.astype(np.float64), scene.triangles.T, axis=1)
    area = caster.areas
    normal = caster.normals.astype(np.float64)
    # A skew reference gives a plane and its reverse the same normal, with no tie for axis-aligned or 45 degree walls.
    normal = np.where((normal @ [0.801, 0.513, 0.309])[:, None] < 0.0, -normal, normal)
    # Offsets from the middle of the scene: there a normal's rounding error moves a plane least.
    middle = scene.bounds.mean(axis=0)
    offset = np.einsum("ij,ji->i", normal, corners.sum(axis=1) / 3.0 - middle[:, None])
    leader, label = _leaders(np.concatenate([normal, offset[:, None]], axis=1), area)
    count = len(leader)
    total = np.bincount(label, area, count)
    mean = np.stack([np.bincount(label, area * column, count) for column in (*normal.T, offset)], axis=1)
    mean /= np.linalg.norm(mean[:, :3], axis=1, keepdims=True)
    low, high = np.full((3, count), np.inf), np.full((3, count), -np.inf)
    for axis, along in enumerate(corners):
        np.minimum.at(low[axis], label, along.min(axis=0))
        np.maximum.at(high[axis], label, along.max(axis=0))
    return Planes(
        of_triangle=label,
        normal=mean[:, :3],
        offset=mean[:, 3] + mean[:, :3] @ middle,
        low=np.ascontiguousarray(low.T),
        high=np.ascontiguousarray(high.T),
        area=total,
    )


def _leaders(rows: np.ndarray, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leaders (Q,) among ``rows`` (n, 4), no two alike, and for each row the leader (n,) that it is alike.

    In each turn those lead whose area no other row nearby exceeds. Areas count by the octave, and chance decides
    within one: else a row of ever larger triangles would take as many turns as it has members.
    """
    chance = np.random.default_rng(0).random(len(rows))
    by_rank = np.argsort(chance - 2.0 * np.floor(np.log2(np.maximum(area, 1e-30))), kind="stable")
    label = np.full(len(rows), -1, np.int64)
    leaders: list[np.ndarray] = []
    left = by_rank
    while len(left):
        # Of each cell the best, so that few need to be compared; whoever shares its cell is alike.
        _, first, cell = np.unique(_cells(rows[left]), return_index=True, return_inverse=True)
        by_first = np.argsort(first)
        rank = np.empty_like(by_first)
        rank[by_first] = np.arange(len(first))
        place, best = rank[cell.ravel()], left[first[by_first]]
        pairs = cKDTree(rows[best], balanced_tree=False).query_pairs(SAME_PLANE, output_type="ndarray")
        leads = np.ones(len(best), bool)
        leads[pairs.max(axis=1, initial=0)[: len(pairs)]] = False
        number = sum(map(len, leaders)) + np.cumsum(leads) - 1
        led = leads[place]
        label[left[led]] = number[place[led]]
        leaders.append(best[leads])
        left = left[~led]
        near = np.unique(pairs)
        near = near[leads[near]]
        if len(left) and len(near):
            distance, nearest = cKDTree(rows[best[near]]).query(rows[left], distance_upper_bound=SAME_PLANE)
            alike = np.isfinite(distance)
            label[left[alike]] = number[near[nearest[alike]]]
            left = left[~alike]
    return np.concatenate(leaders), label


def _cells(rows: np.ndarray) -> np.ndarray:
    """One number for each cell of a grid, half of SAME_PLANE wide, that ``rows`` (n, 4) lie in."""
    cell = np.floor(rows / (0.5 * SAME_PLANE)).astype(np.int64)
    return cell @ np.array([1, 2_147_483_659, 4_611_686_014_132_420_609, 1_000_000_007 * 31], np.int64)
