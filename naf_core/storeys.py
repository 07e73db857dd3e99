"""Storeys: surfaces that lie above each other, told apart, so that each has a map of its own."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from naf_core.bands import N_BANDS
from naf_core.materials import Material
from naf_core.raycast import Raycaster
from naf_core.scene import Scene

MOST = 16

HEADROOM = 1.0  # m: surfaces closer above each other are steps of one storey
_RAYS = 128  # along each side, that look for what lies above what
_WELD = 1e-4  # m: corners of triangles that are closer are one


def storeys(triangles: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The storey (n,) of each of ``triangles`` (n, 3, 3) in m, counted from 0 against ``normal`` (3,).

    Pieces of mesh are kept together, so a gallery is one storey also where nothing lies below; a piece that lies above
    itself, such as a spiral ramp, is cut. At most MOST storeys are told apart.
    """
    none = np.zeros(len(triangles), int)
    if len(triangles) < 2:
        return none
    ray, triangle, height = _met(triangles, normal)
    lower, upper = _above_each_other(ray, height)
    if not len(lower):
        return none
    piece = _pieces(triangles)
    folded = np.unique(piece[triangle[lower]][piece[triangle[lower]] == piece[triangle[upper]]])
    if len(folded):
        turn = _turns(triangles, ray, triangle, height)
        part = np.where(np.isin(piece, folded), turn, 0)
        piece = np.unique(piece * (MOST + 1) + part, return_inverse=True)[1].ravel()
    mean = np.bincount(piece, (triangles.mean(axis=1) @ normal)) / np.bincount(piece)
    pairs = np.unique(np.stack([piece[triangle[lower]], piece[triangle[upper]]], axis=1), axis=0)
    result = np.zeros(len(mean), int)
    for number in np.argsort(mean, kind="stable"):
        below = pairs[(pairs[:, 1] == number) & (mean[pairs[:, 0]] < mean[number]), 0]
        result[number] = min(result[below].max(initial=-1) + 1, MOST - 1)
    return result[piece]


def _met(triangles: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rays against ``normal`` through all surfaces: the ray, the triangle and its height in m at each meeting."""
    corners = triangles.reshape(-1, 3)
    silent = Material("surface", absorption=(0.0,) * N_BANDS, scattering=(0.0,) * N_BANDS)
    faces = np.arange(len(corners)).reshape(-1, 3)
    # Flat triangles are dropped by the scene, so they are named by their place among those that stay.
    area = np.linalg.norm(np.cross(*(triangles[:, k] - triangles[:, 0] for k in (1, 2))), axis=1)
    solid = np.flatnonzero(area > 1e-12)
    caster = Raycaster(Scene(corners, faces[solid], np.zeros(len(solid), int), [silent]))
    side = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    side /= np.linalg.norm(side)
    other = np.cross(normal, side)
    places = corners @ np.stack([side, other, normal], axis=1)
    low, high = places.min(axis=0), places.max(axis=0)
    # A little off the middle, so that few rays run exactly along edges.
    steps = (np.arange(_RAYS) + 0.4637) / _RAYS
    a, b = (grid.ravel() for grid in np.meshgrid(*(low[k] + steps * (high[k] - low[k]) for k in (0, 1))))
    ray, top = np.arange(len(a)), np.full(len(a), high[2] + 1.0)
    found = []
    for _ in range(2 * MOST):
        origins = a[ray, None] * side + b[ray, None] * other + top[ray, None] * normal
        hits = caster.intersect(origins, np.tile(-normal, (len(ray), 1)))
        met = hits.triangle >= 0
        ray = ray[met]
        if not len(ray):
            break
        height = top[ray] - hits.distance[met]
        found.append((ray, solid[hits.triangle[met]], height))
        top[ray] = height - 10.0 * caster.epsilon
    if not found:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def _above_each_other(ray: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of meetings, lower and upper, that follow each other on a ray with room for a head between them."""
    order = np.lexsort([height, ray])
    first, second = order[:-1], order[1:]
    apart = (ray[first] == ray[second]) & (height[second] - height[first] > HEADROOM)
    return first[apart], second[apart]


def _pieces(triangles: np.ndarray) -> np.ndarray:
    """The connected piece (n,) of mesh that each triangle belongs to."""
    corners = np.round(triangles.reshape(-1, 3) / _WELD).astype(np.int64)
    weld = np.unique(corners, axis=0, return_inverse=True)[1].reshape(-1, 3)
    count = int(weld.max()) + 1
    ends = np.concatenate([weld[:, [0, 1]], weld[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1][weld[:, 0]]


def _turns(triangles: np.ndarray, ray: np.ndarray, triangle: np.ndarray, height: np.ndarray) -> np.ndarray:
    """How many surfaces (n,) lie below each triangle; those that no ray met do as their neighbours."""
    order = np.lexsort([height, ray])
    below = np.zeros(len(ray), int)
    count = 0
    for last, this in zip(order[:-1], order[1:], strict=True):
        count = 0 if ray[this] != ray[last] else count + (height[this] - height[last] > HEADROOM)
        below[this] = count
    met = np.unique(triangle)
    votes = np.zeros(len(triangles), int)
    np.maximum.at(votes, triangle, below)
    middles = triangles.mean(axis=1)
    return votes[met][cKDTree(middles[met]).query(middles)[1]]
