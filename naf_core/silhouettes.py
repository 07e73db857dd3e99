"""Sound about round bodies, which have no edges: what passes all round their silhouette.

A round body hides what a screen with its outline would hide. With the straight line from emitter to listener as the
axis, Fresnel's diffraction integral leaves, of the free field, the mean over all directions about the axis of
exp(-j k detour) at its border, if it covers the axis: Poisson's bright spot behind a disc is the simplest case. If it
does not, of the free field is taken what the directions in which it lies bring from where it begins, less that from
where it ends (Born and Wolf, "Principles of Optics", 8.9, on Rubinowicz 1917). The detour is that of a way of two
straight parts that just clears the body, as in the equivalent knife edge of Bullington 1947 ("Radio propagation at
frequencies above 30 megacycles", Proc. IRE 35).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from naf_core.raycast import Raycaster

_DIRECTIONS = 96  # about the axis
_PLACES = 7  # along the axis, at which a way may turn
_STEPS = 24  # of the detour
_HALVINGS = 10
LONGEST = 3.0  # m: no detour round a body is longer
BESIDE = 0.5  # m: bodies that are passed by more detour leave the sound alone


class Outline(NamedTuple):
    """Terms of the field about round bodies, relative to the free field: sum of share * exp(-j k detour).

    ``share`` (n,) and ``detour`` (n,) m; ``apex`` (n, 3) m is where the way of each turns.
    """

    share: np.ndarray
    detour: np.ndarray
    apex: np.ndarray


class Silhouette:
    """What round bodies leave of the sound from ``emitter`` (3,) to ``listener`` (3,), in m.

    ``round_side`` (F,) are the triangles' `edges.round_faces`. Swapping the ends changes nothing.
    """

    def __init__(self, caster: Raycaster, round_side: np.ndarray, emitter: np.ndarray, listener: np.ndarray) -> None:
        self.caster, self.round_side, self.ends = caster, round_side, (emitter, listener)
        axis = listener - emitter
        self.distance = max(float(np.linalg.norm(axis)), 1e-6)
        self.axis = axis / self.distance
        across = np.cross(self.axis, np.eye(3)[np.abs(self.axis).argmin()])
        across /= np.linalg.norm(across)
        phi = 2.0 * np.pi * (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS
        self.side = np.cos(phi)[:, None] * across + np.sin(phi)[:, None] * np.cross(self.axis, across)
        self.place = np.sin(0.5 * np.pi * (np.arange(_PLACES) + 0.5) / _PLACES) ** 2

    def hides(self) -> bool:
        """Whether a round body is the first thing that either end meets on the way to the other."""
        here, there = self.ends
        return any(
            round_between(self.caster, self.round_side, one, other[None])[0]
            for one, other in ((here, there), (there, here))
        )

    def behind(self) -> Outline:
        """The field where a round body stands between the ends."""
        row, place = (grid.ravel() for grid in np.meshgrid(np.arange(_DIRECTIONS), self.place, indexing="ij"))
        low, high = np.zeros(len(row)), np.full(len(row), LONGEST)
        passes = ~self._blocked(self._apex(row, place, high))
        for _ in range(_HALVINGS):
            middle = 0.25 * (np.sqrt(low) + np.sqrt(high)) ** 2
            free = ~self._blocked(self._apex(row, place, middle))
            passes |= free
            low, high = np.where(free, low, middle), np.where(free, middle, high)
        detour = np.where(passes, high, np.inf).reshape(_DIRECTIONS, _PLACES)
        best = detour.argmin(axis=1)
        rows = np.flatnonzero(np.isfinite(detour.min(axis=1)))
        best, detour = best[rows], detour[rows, best[rows]]
        return Outline(np.full(len(rows), 1.0 / _DIRECTIONS), detour, self._apex(rows, self.place[best], detour))

    def beside(self) -> Outline:
        """The field where the ends see each other, round bodies standing beside the axis."""
        nothing = Outline(np.ones(1), np.zeros(1), self.ends[0][None])
        coarse = BESIDE * (np.arange(1, 5) / 4.0) ** 2
        row, place, detour = (
            grid.ravel() for grid in np.meshgrid(np.arange(1, _DIRECTIONS, 4), self.place, coarse, indexing="ij")
        )
        hidden = self._round_before(self._apex(row, place, detour))
        if not hidden.any():
            return nothing
        # The screen stands where the body comes nearest to the axis.
        first = np.where(hidden, detour, np.inf).reshape(-1, _PLACES, len(coarse)).min(axis=(0, 2))
        where = float(self.place[first == first.min()].mean())
        steps = LONGEST * (np.arange(_STEPS + 1) / _STEPS) ** 2
        row, low = (grid.ravel() for grid in np.meshgrid(np.arange(_DIRECTIONS), steps[:-1], indexing="ij"))
        high = np.tile(steps[1:], _DIRECTIONS)
        inside = self._round_before(self._apex(row, where, high))
        before = np.where(low > 0.0, np.roll(inside, 1), False)
        changes = np.flatnonzero(inside != before)
        row, low, high, enters = row[changes], low[changes], high[changes], inside[changes]
        for _ in range(_HALVINGS):
            middle = 0.25 * (np.sqrt(low) + np.sqrt(high)) ** 2
            past = self._round_before(self._apex(row, where, middle)) == enters
            low, high = np.where(past, low, middle), np.where(past, middle, high)
        near = np.cos(0.5 * np.pi * min(float(high.min(initial=BESIDE)) / BESIDE, 1.0)) ** 2
        share = np.where(enters, -near, near) / _DIRECTIONS
        return Outline(
            np.append(nothing.share, share),
            np.append(nothing.detour, high),
            np.concatenate([nothing.apex, self._apex(row, where, high)]),
        )

    def _apex(self, row: np.ndarray, place: np.ndarray | float, detour: np.ndarray) -> np.ndarray:
        """Points (n, 3) in directions ``row`` (n,) at ``place`` (n,) of the axis, ``detour`` (n,) m from either end."""
        half = 0.5 * (self.distance + detour)  # the ellipse with the ends as its foci
        along = (place - 0.5) * self.distance
        aside = np.sqrt(np.maximum((half**2 - 0.25 * self.distance**2) * (1.0 - (along / half) ** 2), 0.0))
        foot = 0.5 * (self.ends[0] + self.ends[1]) + np.multiply.outer(along, self.axis)
        return foot + aside[:, None] * self.side[row]

    def _blocked(self, apex: np.ndarray) -> np.ndarray:
        return np.any([self.caster.occluded(np.broadcast_to(end, apex.shape), apex) for end in self.ends], axis=0)

    def _round_before(self, apex: np.ndarray) -> np.ndarray:
        """Whether a round body is the first thing between one of the ends and points (n, 3), (n,) bool."""
        return np.any([round_between(self.caster, self.round_side, end, apex) for end in self.ends], axis=0)


def round_between(caster: Raycaster, round_side: np.ndarray, origin: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether a round body, from outside, is the first thing from ``origin`` (3,) to ``points`` (n, 3): (n,) bool."""
    way = points - origin
    reach = np.linalg.norm(way, axis=1)
    way = way / np.maximum(reach, 1e-9)[:, None]
    hits = caster.intersect(np.broadcast_to(origin, points.shape), way)
    met = (hits.triangle >= 0) & (hits.distance < reach - caster.epsilon)
    triangle = hits.triangle[met]
    facing = -np.einsum("ij,ij->i", caster.normals[triangle], way[met])
    met[met] = facing * round_side[triangle] > 0.0
    return met


def energy_of(outline: Outline, borders: np.ndarray) -> np.ndarray:
    """Energy (bands,) relative to the free field, each band's mean between ``borders`` (bands + 1,) in 1/m."""
    difference, step = (outline.detour[:, None] - outline.detour)[..., None], np.diff(borders)
    coherence = np.cos(difference * (borders[:-1] + 0.5 * step)) * np.sinc(difference * step / (2.0 * np.pi))
    return np.maximum(np.einsum("i,j,ijb->b", outline.share, outline.share, coherence), 0.0)
