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
    a, b, c = (vertices[corner] for corner in triangles.T)
    longest = np.max([np.einsum("ni,ni->n", side, side) for side in (b - a, c - b, a - c)], axis=0)
    held = np.zeros(len(vertices), bool)
    held[triangles[longest > (COARSE * tolerance) ** 2]] = True
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
    owner = cluster[fine]
    size = np.maximum(np.bincount(owner, minlength=count), 1)
    middle = np.stack([np.bincount(owner, axis, count) for axis in vertices[fine].T], axis=1) / size[:, None]

    a, b, c = (vertices[corner] for corner in triangles.T)
    normal = _cross(b - a, c - a)
    start, end, face = _borders(triangles)
    # The planes through the borders, across their triangles; they weigh as much as triangles as wide as a cell.
    length = np.linalg.norm(normal[face], axis=1, keepdims=True)
    across = tolerance * _cross(vertices[end] - vertices[start], normal[face] / np.where(length > 0.0, length, 1.0))
    faces = _quadrics(normal, a, cluster[triangles], count)
    borders = _quadrics(across, vertices[start], cluster[np.stack([start, end], axis=1)], count)
    matrix, wanted = (face + border for face, border in zip(faces, borders, strict=True))
    values, vectors = np.linalg.eigh(matrix)
    known = values > _FLAT * values[:, 2:]
    inverse = np.where(known, 1.0 / np.where(known, values, 1.0), 0.0)
    missing = wanted - np.einsum("nij,nj->ni", matrix, middle)
    shift = np.einsum("nij,nj,nkj,nk->ni", vectors, inverse, vectors, missing)
    place = middle + np.where(size[:, None] > 1, shift, 0.0)
    far = np.zeros(count)
    np.maximum.at(far, owner, np.linalg.norm(place[owner] - vertices[fine], axis=1))
    return np.where((far <= tolerance)[:, None], place, middle)


def _quadrics(normal: np.ndarray, point: np.ndarray, owner: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the planes of each of ``count`` clusters: x is closest to them where (count, 3, 3) @ x = (count, 3).

    A plane goes through ``point`` (n, 3) across ``normal`` (n, 3), whose length is its weight, and belongs to the
    clusters ``owner`` (n, k); those from ``count`` on do not matter.
    """
    weight = np.linalg.norm(normal, axis=1)
    unit = (normal / np.where(weight > 0.0, weight, 1.0)[:, None]).T
    normal = normal.T
    offset = np.einsum("in,ni->n", unit, point)
    owner = np.minimum(owner, count).T

    def total(values: np.ndarray) -> np.ndarray:
        return sum(np.bincount(column, values, count + 1)[:count] for column in owner)

    matrix, wanted = np.empty((count, 3, 3)), np.empty((count, 3))
    for i in range(3):
        wanted[:, i] = total(normal[i] * offset)
        for j in range(i, 3):
            matrix[:, i, j] = matrix[:, j, i] = total(normal[i] * unit[j])
    return matrix, wanted


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products (n, 3), several times as fast as NumPy's for many."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)


def _borders(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sides that belong to one triangle alone: from and to which vertex each goes, and its triangle, (n,) each."""
    start, end = triangles.T.ravel(), np.roll(triangles, -1, axis=1).T.ravel()
    count = np.int64(triangles.max(initial=0) + 1)
    key = np.minimum(start, end) * count + np.maximum(start, end)
    _, first, uses = np.unique(key, return_index=True, return_counts=True)
    alone = first[uses == 1]
    return start[alone], end[alone], alone % max(len(triangles), 1)
