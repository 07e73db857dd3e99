"""Simplification: detail that is finer than a tolerance, and that no sound tells from a smooth surface, is merged.

Corners of small triangles that fall into one cell of a grid become one (J. Rossignac and P. Borrel, Multi-resolution
3D approximations for rendering complex scenes, 1993), which stands where it is closest to the planes of all triangles
around (P. Lindstrom, Out-of-core simplification of large polygonal models, 2000) and to the borders of open surfaces
(M. Garland and P. Heckbert, Surface simplification using quadric error metrics, 1997). So flat parts stay flat,
edges sharp, and surfaces that meet keep meeting.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

COARSE = 4.0  # tolerances: a triangle with a longer side is no detail, and its corners stay where they are
_FLAT = 1e-3  # of the largest eigenvalue: along directions below it the planes do not say where the corner is


class Simplified(NamedTuple):
    """What is left of a mesh: ``vertices`` (V, 3), ``triangles`` (F, 3), ``source`` (F,) the triangle that each was."""

    vertices: np.ndarray
    triangles: np.ndarray
    source: np.ndarray


def simplified(vertices: np.ndarray, triangles: np.ndarray, tolerance: float) -> Simplified:
    """Merge the detail of a mesh: no corner moves by more than ``tolerance`` (> 0), in the unit of ``vertices`` (V, 3).

    Triangles (F, 3) that shrink to a line are dropped; of those that fall onto each other the first is kept, since
    both sides of a triangle reflect. ``vertices`` must be finite.
    """
    vertices, triangles = np.asarray(vertices, np.float64), np.asarray(triangles, np.int64)
    corners = vertices[triangles]
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    held = np.zeros(len(vertices), bool)
    held[triangles[sides.max(axis=1, initial=0.0) > COARSE * tolerance]] = True
    used = np.zeros(len(vertices), bool)
    used[triangles] = True
    fine = np.flatnonzero(used & ~held)
    cluster = np.full(len(vertices), -1)
    cluster[fine], count = _cells(vertices[fine], tolerance / np.sqrt(3.0))  # whose diagonal is the tolerance
    stay = np.flatnonzero(used & held)
    cluster[stay] = count + np.arange(len(stay))

    index = cluster[triangles]
    source = np.flatnonzero((index != np.roll(index, 1, axis=1)).all(axis=1))
    source = source[_first_of_each(np.sort(index[source], axis=1), count + len(stay))]
    places = _places(vertices, triangles, cluster, count, tolerance)
    new = np.concatenate([places, vertices[stay]])
    kept, renamed = np.unique(index[source], return_inverse=True)
    return Simplified(new[kept].astype(np.float32), renamed.reshape(-1, 3).astype(np.int32), source)


def _cells(points: np.ndarray, size: float) -> tuple[np.ndarray, int]:
    """Number of the cell (n,) that each of ``points`` (n, 3) lies in, from 0 without gaps, and how many there are."""
    if not len(points):
        return np.zeros(0, np.int64), 0
    place = np.floor(points / size)
    place = (place - place.min(axis=0)).astype(np.int64)
    span = place.max(axis=0) + 1
    # In two steps, since the product of all three spans may be too large for a whole number.
    column = np.unique(place[:, 0] * span[1] + place[:, 1], return_inverse=True)[1].ravel()
    found, number = np.unique(column * span[2] + place[:, 2], return_inverse=True)
    return number.ravel(), len(found)


def _first_of_each(rows: np.ndarray, count: int) -> np.ndarray:
    """Where each row (n, 3) of numbers below ``count`` comes first, in order."""
    pair = np.unique(rows[:, 0] * count + rows[:, 1], return_inverse=True)[1].ravel()
    return np.sort(np.unique(pair * np.int64(count) + rows[:, 2], return_index=True)[1])


def _places(
    vertices: np.ndarray, triangles: np.ndarray, cluster: np.ndarray, count: int, tolerance: float
) -> np.ndarray:
    """Where the first ``count`` clusters stand, (count, 3): closest to the planes around.

    The middle of its corners where one of these would move by more than ``tolerance``.
    """
    fine = np.flatnonzero((cluster >= 0) & (cluster < count))
    size = np.bincount(cluster[fine], minlength=count)
    middle = np.stack([np.bincount(cluster[fine], axis, count) for axis in vertices[fine].T], axis=1)
    middle = middle / np.maximum(size, 1)[:, None]

    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    start, end, face = _borders(triangles)
    along = vertices[end] - vertices[start]
    # The planes through the borders, across their triangles; they weigh as much as triangles as wide as a cell.
    length = np.linalg.norm(normal[face], axis=1, keepdims=True)
    across = tolerance * np.cross(along, normal[face] / np.where(length > 0.0, length, 1.0))
    owner = np.concatenate([cluster[triangles].T.ravel(), cluster[start], cluster[end]])
    plane = np.concatenate([np.tile(normal, (3, 1)), across, across])
    point = np.concatenate([np.tile(corners[:, 0], (3, 1)), vertices[start], vertices[start]])
    mine = (owner >= 0) & (owner < count) & (size[np.clip(owner, 0, max(count - 1, 0))] > 1 if count else False)
    owner, plane, point = owner[mine], plane[mine], point[mine]
    # Weighted by area; offsets are those from the middle of the cluster, which keeps small numbers exact.
    weight = np.linalg.norm(plane, axis=1)
    plane = plane / np.where(weight > 0.0, weight, 1.0)[:, None]
    offset = np.einsum("ij,ij->i", plane, point - middle[owner]) * weight
    matrix, wanted = np.zeros((count, 3, 3)), np.zeros((count, 3))
    for i in range(3):
        wanted[:, i] = np.bincount(owner, offset * plane[:, i], count)
        for j in range(i, 3):
            matrix[:, i, j] = matrix[:, j, i] = np.bincount(owner, weight * plane[:, i] * plane[:, j], count)
    values, vectors = np.linalg.eigh(matrix)
    known = values > _FLAT * values[:, 2:]
    inverse = np.where(known, 1.0 / np.where(known, values, 1.0), 0.0)
    shift = np.einsum("nij,nj,nkj,nk->ni", vectors, inverse, vectors, wanted)
    place = middle + shift
    far = np.zeros(count)
    np.maximum.at(far, cluster[fine], np.linalg.norm(place[cluster[fine]] - vertices[fine], axis=1))
    return np.where((far <= tolerance)[:, None], place, middle)


def _borders(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sides that belong to one triangle alone: from and to which vertex each goes, and its triangle, (n,) each."""
    start, end = triangles.T.ravel(), np.roll(triangles, -1, axis=1).T.ravel()
    count = np.int64(triangles.max(initial=0) + 1)
    key = np.minimum(start, end) * count + np.maximum(start, end)
    _, first, uses = np.unique(key, return_index=True, return_counts=True)
    alone = first[uses == 1]
    return start[alone], end[alone], alone % max(len(triangles), 1)
