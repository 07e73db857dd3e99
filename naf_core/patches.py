"""Patches: the surfaces of a scene in pieces of which each lies before one probe and faces one way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from naf_core.raycast import Raycaster, sphere_directions

_RAYS = 1024  # a probe, that look for surfaces
_CELL = 0.25  # m: surface points closer than this, and facing one way, belong to one patch
_MOST_CELLS = 1_000_000
_PLACES = 4  # points that stand for a patch
_WIDEST = 50.0  # square metres over steradians: a grazing ray stands for no more surface than this
_BATCH = 1 << 18  # rays at a time


@dataclass(frozen=True)
class Patches:
    """N patches of the surfaces that some probes see.

    ``places`` and ``normals`` (N, K, 3): points that stand for a patch, just off the surface, and the way it faces
    there; ``probe`` (N, 3): the one before which it lies. ``low`` (3,), ``cell`` in m and ``table`` (6, x, y, z): the
    patch of what lies in a cell and faces along one of the half-axes +x, -x, +y, -y, +z, -z; ``behind``, alike: the
    patch of what ``probe`` of the first does not see of the cell, since a wall stands in it, -1 where there is no wall.
    """

    places: np.ndarray
    normals: np.ndarray
    probe: np.ndarray
    low: np.ndarray
    cell: float
    table: np.ndarray
    behind: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def at(self, caster: Raycaster, positions: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """The patch (n,) of points ``positions`` (n, 3) in m, just off surfaces that face ``normals`` (n, 3)."""
        cells = _cells(positions, normals, self.low, self.cell, self.table.shape[1:])
        patch, behind = self.table[cells], self.behind[cells]
        walled = np.flatnonzero(behind >= 0)
        hidden = walled[caster.occluded(positions[walled], self.probe[patch[walled]])]
        patch[hidden] = behind[hidden]
        return patch


def look_for_patches(caster: Raycaster, probes: np.ndarray, seed: int) -> Patches:
    """Divide the surfaces around ``probes`` (P, 3): each point belongs to the nearest probe that sees it.

    So what lies behind a wall is never one patch with what lies before it. What no probe sees belongs with what sees
    it, as far as rays find it. Without anything to be seen there is none.
    """
    found = [_look(caster, probes[start : start + _BATCH // _RAYS], start) for start in _steps(len(probes))]
    probe, position, normal, distance, cosine = (np.concatenate(column) for column in zip(*found, strict=True))
    if not len(probe):
        none, nowhere = np.zeros((0, _PLACES, 3), np.float32), np.zeros((6, 1, 1, 1), np.int32)
        return Patches(none, none, none[:, 0], np.zeros(3, np.float32), 1.0, nowhere, nowhere - 1)
    low = position.min(axis=0) - 1e-3
    extent = position.max(axis=0) + 1e-3 - low
    cell = _CELL
    while np.prod(np.ceil(extent / cell)) > _MOST_CELLS:
        cell *= 1.25
    shape = tuple(np.ceil(extent / cell).astype(int))
    cells = _cells(position, normal, low, cell, shape)
    owner = _nearest(cells, distance, probe, shape)[cells]
    others = np.flatnonzero(owner != probe)
    walled = others[caster.occluded(position[others], probes[owner[others]])]
    beyond = tuple(axis[walled] for axis in cells)
    behind = _nearest(beyond, distance[walled], probe[walled], shape)
    owner[walled] = behind[beyond]
    known, patch = np.unique(6 * owner + cells[0], return_inverse=True)
    number = np.full(6 * len(probes), -1, np.int32)
    number[known] = np.arange(len(known))
    table = np.full((6, *shape), -1, np.int32)
    before = np.ones(len(patch), bool)
    before[walled] = False
    table[tuple(axis[before] for axis in cells)] = patch[before]
    behind = np.where(behind < 0, -1, number[6 * behind + np.arange(6)[:, None, None, None]])
    # Of the hits in a patch some are drawn, each as likely as the surface that it stands for is large.
    rng = np.random.default_rng(seed)
    area = np.clip(distance**2 / np.maximum(cosine, 0.05), 1e-6, _WIDEST)
    chosen = np.empty((len(known), _PLACES), np.int64)
    for k in range(_PLACES):
        lot = np.log(np.maximum(rng.random(len(patch)), 1e-300)) / area
        ranked = np.lexsort((lot, patch))
        chosen[:, k] = ranked[np.searchsorted(patch[ranked], np.arange(len(known)), side="right") - 1]
    _look_on(caster, (position, normal, owner, patch), number, (table, low, cell), rng)
    _fill(table)
    places, normals = position[chosen], normal[chosen]
    return Patches(places, normals, probes[known // 6], low.astype(np.float32), cell, table, behind)


def _nearest(
    cells: tuple[np.ndarray, ...], distance: np.ndarray, probe: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """The nearest ``probe`` (n,) that has met something in each of ``cells``: (6, *shape), -1 where there is none."""
    result = np.full((6, *shape), -1, np.int32)
    order = np.argsort(-distance, kind="stable")  # the nearest is written last, and stays
    result[tuple(axis[order] for axis in cells)] = probe[order]
    return result


def _look_on(
    caster: Raycaster,
    hits: tuple[np.ndarray, ...],
    number: np.ndarray,
    where: tuple[np.ndarray, np.ndarray, float],
    rng: np.random.Generator,
) -> None:
    """Enter into the table what no probe sees but is seen from ``hits``, by which paths get there.

    It belongs to the probe of these, and where that has no patch which faces this way, to the patch that sees it.
    """
    (position, normal, owner, patch), (table, low, cell) = hits, where
    scattered = rng.normal(size=normal.shape).astype(np.float32)
    scattered /= np.linalg.norm(scattered, axis=1, keepdims=True)
    direction = scattered + (1.0 + 1e-4) * normal  # Lambert's law
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    met = caster.intersect(position, direction)
    order = np.argsort(-met.distance, kind="stable")
    order = order[met.triangle[order] >= 0]
    position = position[order] + direction[order] * met.distance[order, None]
    cells = _cells(position, caster.facing_normals(met.triangle[order], direction[order]), low, cell, table.shape[1:])
    unknown = table[cells] < 0
    cells, order = tuple(axis[unknown] for axis in cells), order[unknown]
    same = number[6 * owner[order] + cells[0]]
    table[cells] = np.where(same < 0, patch[order], same)


def _fill(table: np.ndarray) -> None:
    """Let the nearest patch stand in where nothing is known; one that faces another way where there is no other."""
    faced = [facing for facing in range(6) if (table[facing] >= 0).any()]
    known = table.copy()
    for facing in range(6):
        source = known[facing if facing in faced else faced[0]]
        nearest = ndimage.distance_transform_edt(source < 0, return_distances=False, return_indices=True)
        table[facing] = source[tuple(nearest)]


def _steps(count: int) -> range:
    return range(0, max(count, 1), _BATCH // _RAYS)


def _look(caster: Raycaster, probes: np.ndarray, first: int) -> tuple[np.ndarray, ...]:
    """What rays from ``probes`` (n, 3) meet: number of the probe, position, normal, distance and cosine of each hit."""
    directions = np.tile(sphere_directions(_RAYS), (len(probes), 1))
    origins = np.repeat(np.asarray(probes, np.float32), _RAYS, axis=0)
    hits = caster.intersect(origins, directions)
    met = hits.triangle >= 0
    directions, distance = directions[met], hits.distance[met]
    normal = caster.facing_normals(hits.triangle[met], directions)
    position = origins[met] + directions * distance[:, None] + normal * np.float32(caster.epsilon)
    probe = first + np.repeat(np.arange(len(probes), dtype=np.int32), _RAYS)[met]
    return probe, position, normal, distance, -np.einsum("ij,ij->i", directions, normal)


def _cells(
    positions: np.ndarray, normals: np.ndarray, low: np.ndarray, cell: float, shape: tuple[int, ...]
) -> tuple[np.ndarray, ...]:
    """Index of surface points in a table (6, *shape)."""
    axis = np.abs(normals).argmax(axis=1)
    facing = 2 * axis + (np.take_along_axis(normals, axis[:, None], axis=1)[:, 0] < 0.0)
    place = np.clip(((positions - low) / cell).astype(np.int32), 0, np.array(shape) - 1)
    return facing, place[:, 0], place[:, 1], place[:, 2]
