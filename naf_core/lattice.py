"""A lattice over a floor map: values at some texels, and from them smooth values at all that see them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from naf_core.raycast import Raycaster

_CHUNK = 1 << 16  # texels worked on at a time


class Lattice:
    """Every so-many-th texel of those in the open, and the way back to all of them.

    ``ears`` (h, w, 3) in m are the places of the texels; ``open_air`` (h, w) says which of them count; about
    ``n_nodes`` of them are chosen. ``nodes`` (n,) are the flat indices of those, ``step`` their distance in texels.
    """

    def __init__(self, caster: Raycaster, ears: np.ndarray, open_air: np.ndarray, n_nodes: int) -> None:
        self._caster, self._ears, self.shape = caster, ears.reshape(-1, 3), open_air.shape
        self._texels = np.flatnonzero(open_air)
        self.step = max(2, int(np.ceil(np.sqrt(len(self._texels) / n_nodes))))
        axes = [np.arange(min(self.step // 2, n - 1), n, self.step) for n in self.shape]
        grid = np.arange(open_air.size).reshape(self.shape)[np.ix_(*axes)]
        self._node_of = np.where(open_air.ravel()[grid], np.cumsum(open_air.ravel()[grid]).reshape(grid.shape) - 1, -1)
        self.nodes = grid[self._node_of >= 0]
        self._splines = [
            _spline((np.arange(n) - axis[0]) / self.step) for n, axis in zip(self.shape, axes, strict=True)
        ]

    def parts(self) -> Iterator[tuple[np.ndarray, csr_matrix]]:
        """Some texels at a time: their flat indices (m,), and the weight of each node for each of them (m, n).

        Only nodes that a texel sees have weights; these do not add up to 1.
        """
        for start in range(0, len(self._texels), _CHUNK):
            texels = self._texels[start : start + _CHUNK]
            yield texels, self.weights(texels)

    def weights(self, texels: np.ndarray) -> csr_matrix:
        """The weight of each node for each of ``texels`` (m,), as `parts` says: (m, n)."""
        place = np.unravel_index(texels, self.shape)
        (near_i, part_i), (near_j, part_j) = (
            (near[at], part[at]) for (near, part), at in zip(self._splines, place, strict=True)
        )
        rows, columns = self._node_of.shape
        inside = ((near_i >= 0) & (near_i < rows))[:, :, None] & ((near_j >= 0) & (near_j < columns))[:, None, :]
        node = self._node_of[np.clip(near_i, 0, rows - 1)[:, :, None], np.clip(near_j, 0, columns - 1)[:, None, :]]
        weight = np.where(inside & (node >= 0), part_i[:, :, None] * part_j[:, None, :], 0.0).reshape(len(texels), 16)
        node = np.maximum(node, 0).reshape(len(texels), 16)
        doubtful = ~self._clear[near_i[:, 1] + 1, near_j[:, 1] + 1]
        rays = np.nonzero(weight * doubtful[:, None])
        hidden = self._caster.occluded(self._ears[texels[rays[0]]], self._ears[self.nodes[node[rays]]])
        weight[rays[0][hidden], rays[1][hidden]] = 0.0
        ends = np.arange(len(texels) + 1) * node.shape[1]
        return csr_matrix((weight.ravel(), node.ravel(), ends), (len(texels), len(self.nodes)))

    @cached_property
    def _clear(self) -> np.ndarray:
        """Which cells (rows + 1, columns + 1), from one node before the first, have no wall among their 16 nodes.

        Each of the four nodes at the corners of the cell sees all of them that there are: so do the texels between,
        unless something stands there that is smaller than the cell.
        """
        node_of = np.pad(self._node_of, 2, constant_values=-1)
        rows, columns = node_of.shape[0] - 3, node_of.shape[1] - 3
        near = np.stack([node_of[a : a + rows, b : b + columns] for a in range(4) for b in range(4)], axis=-1)
        clear = (near[..., [5, 6, 9, 10]] >= 0).all(axis=-1)
        cells = near[clear]
        one, other = cells[:, [5, 6, 9, 10], None], cells[:, None, :]
        one, other = (np.broadcast_to(index, (len(cells), 4, 16)) for index in (one, other))
        rays = np.nonzero((other >= 0) & (one != other))
        ends = (self._ears[self.nodes[index[rays]]] for index in (one, other))
        hidden = self._caster.occluded(*ends)
        free = np.ones(len(cells), bool)
        free[rays[0][hidden]] = False
        clear[clear] = free
        return clear


def blend(weight: csr_matrix, values: np.ndarray) -> np.ndarray:
    """Means (m, c) of ``values`` (n, c) at the nodes by ``weight`` (m, n).

    Nodes with a NaN in any column count as unknown; NaN where nothing is known.
    """
    known = np.isfinite(values).all(axis=1)
    total = weight @ known.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weight @ np.where(known[:, None], values, 0.0)) / np.where(total > 0.0, total, np.nan)[:, None]


def _spline(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four lattice points around each ``position`` (n,), counted in steps, and their weights: (n, 4) each.

    Cubic B-splines: positive, and so smooth that contours have no corners.
    """
    base = np.floor(position).astype(int)
    t = (position - base)[:, None]
    weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    # None of the four is quite without weight: beside a wall it may be the only one that is seen.
    return base[:, None] + np.arange(-1, 3), np.concatenate(weights, axis=1) / 6.0 + 1e-4
