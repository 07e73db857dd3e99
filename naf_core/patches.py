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
    there. ``low`` (3,), ``cell`` in m and ``table`` (6, x, y, z): the patch of all that lies in a cell and faces along
    one of the half-axes +x, -x, +y, -y, +z, -z.
    """

    places: np.ndarray
    normals: np.ndarray
    low: np.ndarray
    cell: float
    table: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def at(self, positions: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """The patch (n,) of surface points ``positions`` (n, 3) in m that face ``normals`` (n, 3)."""
        return self.table[_cells(positions, normals, self.low, self.cell, self.table.shape[1:])]


def look_for_patches(caster: Raycaster, probes: np.ndarray, seed: int) -> Patches:
    """Divide the surfaces around ``probes`` (P, 3): each point belongs to the nearest probe that sees it.

    So what lies behind a wall is never one patch with what lies before it. Without anything to be seen there is none.
    """
    found = [_look(caster, probes[start : start + _BATCH // _RAYS], start) for start in _steps(len(probes))]
    probe, position, normal, distance, cosine = (np.concatenate(column) for column in zip(*found, strict=True))
    if not len(probe):
        none = np.zeros((0, _PLACES, 3), np.float32)
        return Patches(none, none, np.zeros(3, np.float32), 1.0, np.zeros((6, 1, 1, 1), np.int32))
    low = position.min(axis=0) - 1e-3
    extent = position.max(axis=0) + 1e-3 - low
    cell = _CELL
    while np.prod(np.ceil(extent / cell)) > _MOST_CELLS:
        cell *= 1.25
    shape = tuple(np.ceil(extent / cell).astype(int))
    cells = _cells(position, normal, low, cell, shape)
    # The nearest probe is written last, and stays.
    nearest = np.full((6, *shape), -1, np.int32)
    order = np.argsort(-distance, kind="stable")
    nearest[tuple(axis[order] for axis in cells)] = probe[order]
    names = np.empty_like(nearest)
    faced = [facing for facing in range(6) if (nearest[facing] >= 0).any()]
    for facing in range(6):
        # Where nothing was seen the nearest of what was seen stands in; another facing where there was none of this.
        known = facing if facing in faced else faced[0]
        source = ndimage.distance_transform_edt(nearest[known] < 0, return_distances=False, return_indices=True)
        names[facing] = 6 * nearest[known][tuple(source)] + known
    patch = names[cells]
    known, patch = np.unique(patch, return_inverse=True)
    number = np.zeros(6 * len(probes), np.int32)
    number[known] = np.arange(len(known))
    # Of the hits in a patch some are drawn, each as likely as the surface that it stands for is large.
    rng = np.random.default_rng(seed)
    area = np.clip(distance**2 / np.maximum(cosine, 0.05), 1e-6, _WIDEST)
    chosen = np.empty((len(known), _PLACES), np.int64)
    for k in range(_PLACES):
        lot = np.log(np.maximum(rng.random(len(patch)), 1e-300)) / area
        ranked = np.lexsort((lot, patch))
        chosen[:, k] = ranked[np.searchsorted(patch[ranked], np.arange(len(known)), side="right") - 1]
    return Patches(position[chosen], normal[chosen], low.astype(np.float32), cell, number[names])


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
