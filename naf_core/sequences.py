"""Sequences of mirrors that may join two ends: discovered by rays from both, so that the ends may change places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from naf_core.planes import Planes
from naf_core.raycast import Raycaster, sphere_directions

_BATCH = 1 << 18  # candidates, or rays, in one go
_MOST_RAYS = 1 << 20  # of all ends together

# Of k mirrors, from one end of each: the end (n,), which rises, and mirrors (n, k).
Found = tuple[np.ndarray, np.ndarray]


class Candidates(NamedTuple):
    """Paths to be looked at: ``emitter`` and ``listener`` (n,), ``mirrors`` (n, order) from the emitter on."""

    emitter: np.ndarray
    listener: np.ndarray
    mirrors: np.ndarray

    def take(self, rows: np.ndarray | slice) -> Candidates:
        """Those of ``rows``."""
        return Candidates(*(column[rows] for column in self))


class Sequences:
    """What rays from ``emitters`` (E, 3) and from ``listeners`` (L, 3) met, up to ``order`` mirrors.

    With no ``listeners`` every emitter hears itself alone. ``rays`` leave each end, fewer where there are many ends.
    """

    def __init__(
        self,
        caster: Raycaster,
        mirrors: Planes,
        emitters: np.ndarray,
        listeners: np.ndarray | None,
        order: int,
        rays: int,
    ) -> None:
        self.count, self.mirror_of, self.own = len(mirrors.offset), mirrors.of_triangle, listeners is None
        self.ends = len(emitters), len(emitters if listeners is None else listeners)
        self.rays = max(1, min(rays, _MOST_RAYS // max(1, sum(self.ends))))
        self.outward = _from_all(caster, mirrors, emitters, order, self.rays)
        self.inward = self.outward if listeners is None else _from_all(caster, mirrors, listeners, order, self.rays)
        # Sorted, to be looked up: from the emitter on, and for the listener's from the listener on.
        self._outward, self._inward = (
            [np.sort(numbered([end, *sequence.T], self.count)) for end, sequence in found]
            for found in (self.outward, self.inward)
        )

    def candidates(self) -> Iterator[Candidates]:
        """All pairs, each with what either of its ends found, each sequence once, in blocks."""
        emitters, listeners = self.ends
        together = max(1, _BATCH // (2 * self.rays))  # pairs
        heard = min(listeners, together)
        heard_by = max(1, together // max(1, heard))
        for (owner, away), (ear, back) in zip(self.outward, self.inward, strict=True):
            back = back[:, ::-1]
            if self.own:
                yield from self._once(Candidates(*2 * (np.append(owner, ear),), np.concatenate([away, back])))
                continue
            for first in range(0, emitters, heard_by):
                some = np.arange(first, min(first + heard_by, emitters))
                mine = slice(*np.searchsorted(owner, (some[0], some[-1] + 1)))
                for other in range(0, listeners, heard):
                    ears = np.arange(other, min(other + heard, listeners))
                    theirs = slice(*np.searchsorted(ear, (ears[0], ears[-1] + 1)))
                    emitter = np.append(np.repeat(owner[mine], len(ears)), np.tile(some, len(ear[theirs])))
                    listener = np.append(np.tile(ears, len(owner[mine])), np.repeat(ear[theirs], len(some)))
                    mirrors = [np.repeat(away[mine], len(ears), axis=0), np.repeat(back[theirs], len(some), axis=0)]
                    yield from self._once(Candidates(emitter, listener, np.concatenate(mirrors)))

    def _once(self, candidates: Candidates) -> Iterator[Candidates]:
        number = numbered([candidates.emitter, candidates.listener, *candidates.mirrors.T], self.count)
        rows = np.sort(np.unique(number, return_index=True)[1])
        for start in range(0, len(rows), _BATCH):
            yield candidates.take(rows[start : start + _BATCH])

    def known_from_emitter(self, emitter: np.ndarray, mirrors: Sequence[np.ndarray]) -> np.ndarray:
        """Whether ``emitter`` (n,) found the sequences ``mirrors``, one (n,) each from the emitter on: (n,) bool."""
        return _among(numbered([emitter, *mirrors], self.count), self._outward[len(mirrors) - 1])

    def known_from_listener(self, listener: np.ndarray, mirrors: Sequence[np.ndarray]) -> np.ndarray:
        """Whether ``listener`` (n,) found the sequences ``mirrors``, one (n,) each from the emitter on: (n,) bool."""
        return _among(numbered([listener, *mirrors[::-1]], self.count), self._inward[len(mirrors) - 1])


def numbered(columns: Sequence[np.ndarray], count: int) -> np.ndarray:
    """One number (n,) for the rows of ``columns``, of which all but the first are below ``count``.

    Beyond 64 bits it wraps round: two of some thousand rows then have one number with a chance of 1 in 10^12.
    """
    number = columns[0].astype(np.int64)
    for column in columns[1:]:
        number = number * count + column
    return number


def discover(caster: Raycaster, mirrors: Planes, ends: np.ndarray, order: int, rays: int) -> list[Found]:
    """Sequences of mirrors met by ``rays`` from each of ``ends`` (m, 3), each once: the end (n,) and mirrors (n, k).

    There is one pair of them for each k up to ``order``. Those that most rays met come first.
    """
    owner = np.repeat(np.arange(len(ends)), rays)
    position = np.repeat(ends.astype(np.float32), rays, axis=0)
    direction = np.tile(sphere_directions(rays), (len(ends), 1))
    sequence = np.zeros((len(owner), 0), np.int64)
    found = []
    for _ in range(order):
        hits = caster.intersect(position, direction)
        met = hits.triangle >= 0
        owner, position, direction = owner[met], position[met], direction[met]
        triangle, distance = hits.triangle[met], hits.distance[met]
        sequence = np.column_stack([sequence[met], mirrors.of_triangle[triangle]])
        number = numbered([owner, *sequence.T], len(mirrors.offset))
        _, once, rays_in = np.unique(number, return_index=True, return_counts=True)
        once = once[np.argsort(-rays_in, kind="stable")]
        found.append((owner[once], sequence[once]))
        facing = caster.facing_normals(triangle, direction)
        position = position + direction * distance[:, None] + facing * np.float32(caster.epsilon)
        direction = direction - 2.0 * np.einsum("ij,ij->i", direction, facing)[:, None] * facing
    return found


def _from_all(caster: Raycaster, mirrors: Planes, ends: np.ndarray, order: int, rays: int) -> list[Found]:
    """As `discover`, for any number of ends, in their order."""
    parts: list[list[Found]] = [[] for _ in range(order)]
    step = max(1, _BATCH // rays)
    for first in range(0, max(1, len(ends)), step):
        for part, (end, sequence) in zip(
            parts, discover(caster, mirrors, ends[first : first + step], order, rays), strict=True
        ):
            rows = np.argsort(end, kind="stable")
            part.append((first + end[rows], sequence[rows]))
    return [tuple(np.concatenate(column) for column in zip(*part, strict=True)) for part in parts]


def _among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which ``values`` (n,) are in ``known`` (m,), which rises."""
    if not len(known):
        return np.zeros(len(values), bool)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
