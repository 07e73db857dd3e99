"""Shade: how much of the free field of a source its first sound leaves at each texel of a map.

The first sound (naf_core.firstsound) bends round edges and passes walls, which takes milliseconds a place. Relative to
the free field it is smooth except near the border of a shadow, so it is found on a coarse grid and then, from step to
half a step, where what was interpolated turned out wrong: the surpluses of a hierarchical basis (H.-J. Bungartz and M.
Griebel, Sparse grids, Acta Numerica 13, 2004, sections 3 and 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from naf_core.air import Air
from naf_core.bands import N_BANDS
from naf_core.firstsound import FirstSound
from naf_core.lattice import blend
from naf_core.loudness import Source
from naf_core.raycast import Raycaster

TOLERANCE = 0.2  # dB of what is heard in all, by which an interpolated level may be off before more places are asked

_COARSE = 40  # places of the coarsest grid
_FINEST = 2  # texels between those of the finest
_EVEN = 0.2  # dB: nodes of the coarsest grid that differ by less are alike
_LEAST = -80.0  # dB: as good as nothing
_DIM = 0.01  # of a source's mean power: less straight sound than that is no measure for what comes round edges
_WITHOUT = -20.0  # dB, taken in shadows in which no place of the coarsest grid lies, and which are not looked into

Reflected = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Drawn:
    """What was found of one source: dB (n, 8) on the coarsest grid, NaN unknown, then what each finer one adds.

    ``straight`` (h * w,) bool: the texels that see the source. Neither these nor those in its shadow tell of the other.
    """

    straight: np.ndarray
    coarse: np.ndarray
    surpluses: tuple[np.ndarray, ...]


class Shade:
    """Grids over the texels of a map, each with half the step of the one before, and what was found on them.

    ``ears`` (h, w, 3) in m are the places of the texels, ``open_air`` (h, w) says which of them count.
    """

    def __init__(self, first: FirstSound, air: Air, caster: Raycaster, ears: np.ndarray, open_air: np.ndarray) -> None:
        self._first, self._air, self._caster = first, air, caster
        self._ears, self._open = ears.reshape(-1, 3), open_air
        count = max(int(open_air.sum()), 1)
        coarsest = 2 ** max(int(np.ceil(0.5 * np.log2(count / _COARSE))), 1)
        self._steps = [coarsest >> level for level in range(coarsest.bit_length() - _FINEST + 1)]
        self._offset = tuple(min(coarsest // 2, n - 1) for n in open_air.shape)

    def draw(self, source: Source, wanted: np.ndarray, weights: np.ndarray, reflected: Reflected, most: int) -> Drawn:
        """Find the shade of ``source`` where ``wanted`` (h, w), at about ``most`` places.

        ``reflected`` tells the energy (n,) of reflected sound at texels (n,), relative to the free field at 1 m and
        weighted by ``weights`` (8,): where it is louder, less accuracy is needed.
        """
        useful = (wanted & self._open).ravel()
        straight = np.zeros(useful.shape, bool)
        here = self._ears[useful]
        straight[useful] = ~self._caster.occluded(np.broadcast_to(source.position, here.shape), here)
        levels = [self._nodes(level) for level in range(len(self._steps))]
        asked = useful[levels[0]]
        coarse = np.full((len(levels[0]), N_BANDS), np.nan)
        coarse[asked] = self._exact(source, levels[0][asked])
        left = most - int(asked.sum())
        surpluses: list[np.ndarray] = []
        change = self._unevenness(source, coarse, levels[0], weights, reflected)
        for level in range(1, len(levels)):
            nodes = levels[level]
            surplus = np.zeros((len(nodes), N_BANDS))
            old = np.isin(nodes, levels[level - 1])
            urgency = self._nearby(level, change)
            chosen = np.flatnonzero(useful[nodes] & ~old & (urgency > TOLERANCE))
            chosen = chosen[np.argsort(-urgency[chosen], kind="stable")][: max(left, 0) * 2 // 3]
            left -= len(chosen)
            change = np.zeros(len(nodes))
            if len(chosen):
                at = nodes[chosen]
                guess = self._sum(Drawn(straight, coarse, tuple(surpluses)), at)
                exact = self._exact(source, at)
                surplus[chosen] = exact - guess
                free = self._free(source, at)
                rest = reflected(at) + 1e-30
                told, true = ((rest + (10.0 ** (x / 10.0) * free) @ weights) for x in (guess, exact))
                change[chosen] = np.abs(10.0 * np.log10(true / told))
            surpluses.append(surplus)
        while surpluses and not surpluses[-1].any():
            surpluses.pop()
        return Drawn(straight, coarse, tuple(surpluses))

    def energy(self, source: Source, drawn: Drawn, texels: np.ndarray) -> np.ndarray:
        """Energy (m, 8) of the first sound at ``texels`` (m,), relative to the free field at 1 m."""
        return 10.0 ** (self._sum(drawn, texels) / 10.0) * self._free(source, texels)

    def _nodes(self, level: int) -> np.ndarray:
        """Flat indices of the texels on the grid of a level."""
        axes = self._axes(level)
        return (axes[0][:, None] * self._open.shape[1] + axes[1]).ravel()

    def _axes(self, level: int) -> list[np.ndarray]:
        step = self._steps[level]
        return [np.arange(offset % step, n, step) for offset, n in zip(self._offset, self._open.shape, strict=True)]

    def _weights(
        self, level: int, texels: np.ndarray, straight: np.ndarray, values: np.ndarray | None = None
    ) -> csr_matrix:
        """Weights (m, n) of the nodes of a level at ``texels`` (m,): bilinear among those in the open that are seen.

        Only nodes count that see the source or do not, as the texel. They add up to one, or to zero where none does.
        Where the ``values`` (n, 8) around a texel are as good as equal it does not matter which are seen.
        """
        node, weight = self._around(level, texels)
        target = self._nodes(level)[node]
        weight *= self._open.ravel()[target] & (straight[target] == straight[texels, None])
        looked = weight * (target != texels[:, None])
        if values is not None:
            looked *= ~self._even(level, values)[node[:, 0], None]
        pairs = np.nonzero(looked)
        hidden = self._caster.occluded(self._ears[texels[pairs[0]]], self._ears[target[pairs]])
        weight[pairs[0][hidden], pairs[1][hidden]] = 0.0
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
        ends = np.arange(len(texels) + 1) * 4
        return csr_matrix((weight.ravel(), node.ravel(), ends), (len(texels), len(self._nodes(level))))

    def _around(self, level: int, texels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The four nodes (m, 4) of a level around each of ``texels`` (m,), and their bilinear weights."""
        sides, columns = [], len(self._axes(level)[1])
        for axis, count in zip(self._axes(level), self._open.shape, strict=True):
            place = np.clip((np.arange(count) - axis[0]) / self._steps[level], 0.0, len(axis) - 1.0)
            below = np.minimum(place.astype(int), max(len(axis) - 2, 0))
            above = np.minimum(below + 1, len(axis) - 1)
            sides.append((below, above, place - below))
        row, column = np.divmod(texels, self._open.shape[1])
        (low_i, high_i, part_i), (low_j, high_j, part_j) = (
            [side[at] for side in axis] for axis, at in zip(sides, (row, column), strict=True)
        )
        node, weight = np.empty((len(texels), 4), int), np.empty((len(texels), 4))
        for corner, (i, j, share_i, share_j) in enumerate(
            (
                (low_i, low_j, 1.0 - part_i, 1.0 - part_j),
                (low_i, high_j, 1.0 - part_i, part_j),
                (high_i, low_j, part_i, 1.0 - part_j),
                (high_i, high_j, part_i, part_j),
            )
        ):
            node[:, corner], weight[:, corner] = i * columns + j, share_i * share_j
        return node, weight

    def _even(self, level: int, values: np.ndarray) -> np.ndarray:
        """Whether the ``values`` (n, 8) of the four nodes around each cell, named by its first, are alike: (n,)."""
        rows, columns = map(len, self._axes(level))
        grid = np.pad(values.reshape(rows, columns, -1), ((0, 1), (0, 1), (0, 0)), mode="edge")
        corners = np.stack([grid[a : a + rows, b : b + columns] for a in (0, 1) for b in (0, 1)])
        return (np.ptp(corners, axis=0).max(axis=-1) < _EVEN).ravel()  # not where any is unknown

    def _sum(self, drawn: Drawn, texels: np.ndarray) -> np.ndarray:
        """Level (m, 8) in dB of the free field at ``texels`` (m,), from all that has been found."""
        found = blend(self._weights(0, texels, drawn.straight, drawn.coarse), drawn.coarse)
        lost = np.flatnonzero(np.isnan(found[:, 0]))
        found[lost] = np.where(drawn.straight[texels[lost]], 0.0, _WITHOUT)[:, None]
        for level, surplus in enumerate(drawn.surpluses, start=1):
            near = np.flatnonzero(self._beside(level, surplus.any(axis=1), texels))
            if len(near):
                found[near] += self._weights(level, texels[near], drawn.straight) @ surplus
        return found

    def _beside(self, level: int, marked: np.ndarray, texels: np.ndarray) -> np.ndarray:
        """Whether any ``marked`` (n,) node of a level is among the four around each of ``texels`` (m,)."""
        step, axes = self._steps[level], self._axes(level)
        grid = np.pad(marked.reshape(len(axes[0]), len(axes[1])), 1)
        i, j = (
            np.clip((at - axis[0]) // step, -1, len(axis) - 1) + 1
            for at, axis in zip(np.unravel_index(texels, self._open.shape), axes, strict=True)
        )
        return grid[i, j] | grid[i + 1, j] | grid[i, j + 1] | grid[i + 1, j + 1]

    def _nearby(self, level: int, change: np.ndarray) -> np.ndarray:
        """The largest ``change`` (n,) on the grid before, among the nodes next to each node of a level."""
        before, axes = self._axes(level - 1), self._axes(level)
        grid = np.pad(change.reshape(len(before[0]), len(before[1])), 1)
        lows = [
            np.floor((axis - old[0]) / self._steps[level - 1]).astype(int) + 1
            for axis, old in zip(axes, before, strict=True)
        ]
        around = [grid[np.ix_(lows[0] + a, lows[1] + b)] for a in (0, 1) for b in (0, 1)]
        return np.max(around, axis=0).ravel()

    def _unevenness(
        self, source: Source, coarse: np.ndarray, nodes: np.ndarray, weights: np.ndarray, reflected: Reflected
    ) -> np.ndarray:
        """How much the level (n,) in dB would change at each coarse node with the shade of one of its neighbours."""
        axes = self._axes(0)
        shape = (len(axes[0]), len(axes[1]))
        result = np.zeros(len(nodes))
        known = np.flatnonzero(np.isfinite(coarse[:, 0]))
        if not len(known):
            return result
        free, rest = self._free(source, nodes[known]), reflected(nodes[known]) + 1e-30
        own = 10.0 * np.log10(rest + (10.0 ** (coarse[known] / 10.0) * free) @ weights)
        padded = np.pad(coarse.reshape(*shape, N_BANDS), ((1, 1), (1, 1), (0, 0)), constant_values=np.nan)
        i, j = np.unravel_index(known, shape)
        for a in (0, 1, 2):
            for b in (0, 1, 2):
                other = padded[i + a, j + b]
                told = 10.0 * np.log10(rest + (10.0 ** (np.nan_to_num(other) / 10.0) * free) @ weights)
                there = np.isfinite(other[:, 0])
                result[known[there]] = np.maximum(result[known[there]], np.abs(told - own)[there])
                # What lies beyond a wall or the edge of the map says nothing, so that place is looked at.
                result[known[~there]] = np.maximum(result[known[~there]], 2.0 * TOLERANCE)
        return result

    def _free(self, source: Source, texels: np.ndarray) -> np.ndarray:
        """Energy (m, 8) at ``texels`` (m,) of the free field, which is never quite without sound behind a cone."""
        way = self._ears[texels] - source.position
        distance = np.linalg.norm(way, axis=1)
        straight = source.gain(way / np.maximum(distance, 1e-9)[:, None])
        return self._air.free_field(distance) * np.maximum(straight, _DIM * source.sent)

    def _exact(self, source: Source, texels: np.ndarray) -> np.ndarray:
        """The first sound at ``texels`` (m,) in dB of the free field, (m, 8)."""
        places = self._ears[texels]
        found = self._first.energy(np.broadcast_to(source.position, places.shape), places, source.directivity)
        share = found / np.maximum(self._free(source, texels), 1e-300)
        return np.maximum(10.0 * np.log10(np.maximum(share, 1e-30)), _LEAST)
