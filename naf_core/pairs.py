"""The geometry between emitter and listener, as a scan's probes see it: lines of sight, ways around corners."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from naf_core.probes import visibility
from naf_core.raycast import Raycaster

BANDWIDTH = 0.6  # m: width of the Gaussian kernels, before training sets it
_CANDIDATES = 24  # nearest visible probes that share in a point's features
DETOUR_LIMIT = 30.0  # m: a detour longer than this, or none at all, counts as this long
_SOFTNESS = 0.25  # m: ways longer than the shortest by this still share in the direction
_BATCH = 1 << 22


@dataclass(frozen=True)
class Sight:
    """What n points see of P probes.

    ``sees`` (n, P) bool; ``distance`` (n, P) m, inf for probes that are out of reach; ``weight`` (n, P) float32
    normalised Gaussian kernels over the nearest visible probes. A point that sees no probe takes the nearest
    ones, as if it saw them, and is marked in ``lost`` (n,).
    """

    sees: np.ndarray
    distance: np.ndarray
    weight: np.ndarray
    lost: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """Geometry of n emitter-listener pairs.

    ``distance`` (n,) m and ``direction`` (n, 3) from listener to emitter; ``visible`` (n,) bool; ``soft`` (n,) share
    of each one's surroundings that the other sees, 0..1; ``way`` (n,) m length of the shortest way along lines of
    sight and ``way_direction`` (n, 3) its direction at the listener; ``common`` (n, 2) probes seen by both, as a
    share of those seen by either, and of those seen by the one that sees fewer.
    """

    distance: np.ndarray
    direction: np.ndarray
    visible: np.ndarray
    soft: np.ndarray
    way: np.ndarray
    way_direction: np.ndarray
    common: np.ndarray

    def __getitem__(self, rows: object) -> Pairs:
        return Pairs(*(getattr(self, f.name)[rows] for f in fields(self)))


def sight(caster: Raycaster, probes: np.ndarray, points: np.ndarray, bandwidth: float = BANDWIDTH) -> Sight:
    """Which ``probes`` (P, 3) are seen from ``points`` (n, 3), and the kernel weights for reading features there."""
    separation = np.linalg.norm(points[:, None] - probes[None], axis=2).astype(np.float32)
    sees = visibility(caster, points, probes)
    lost = ~sees.any(axis=1)
    usable = np.where(sees | lost[:, None], separation, np.float32(np.inf))
    keep = min(_CANDIDATES, probes.shape[0])
    limit = np.partition(usable, keep - 1, axis=1)[:, keep - 1 : keep] if keep else usable
    nearest = usable.min(axis=1, initial=np.inf, keepdims=True)
    near = (usable <= limit) & np.isfinite(usable)
    # Relative to the nearest probe, so that far from all of them the weights do not vanish together.
    exponent = np.where(near, nearest**2 - np.where(near, usable, 0.0) ** 2, -np.inf) / (2.0 * bandwidth**2)
    weight = np.exp(exponent)
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-30)
    known = sees | (lost[:, None] & near)
    return Sight(sees, np.where(known, separation, np.float32(np.inf)), weight.astype(np.float32), lost)


def pair_geometry(
    caster: Raycaster,
    probes: np.ndarray,
    walking: np.ndarray,
    emitters: np.ndarray,
    listeners: np.ndarray,
    emitter_sight: Sight,
    listener_sight: Sight,
    emitter_of: np.ndarray,
    listener_of: np.ndarray,
) -> Pairs:
    """Geometry of the pairs (emitters[emitter_of[k]], listeners[listener_of[k]]); ``walking`` (P, P) m of the scan."""
    ends, ears = emitters[emitter_of], listeners[listener_of]
    separation = (ends - ears).astype(np.float32)
    distance = np.linalg.norm(separation, axis=1)
    direction = separation / np.maximum(distance, 1e-6)[:, None]
    visible = ~caster.occluded(ears, ends)
    n, count = len(ends), len(probes)
    soft, way = visible.astype(np.float32), distance.copy()
    way_direction = direction.copy()
    common = np.ones((n, 2), np.float32)
    if count == 0:
        return Pairs(distance, direction, visible, soft, way, way_direction, common)
    # Shortest way from each emitter to every probe, around corners.
    reach = np.empty((len(emitters), count), np.float32)
    step = max(1, _BATCH // (count * count))
    for start in range(0, len(emitters), step):
        part = slice(start, start + step)
        reach[part] = (emitter_sight.distance[part][:, :, None] + walking[None]).min(axis=1)
    step = max(1, _BATCH // count)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        who, ear = emitter_of[rows], listener_of[rows]
        seen_e, seen_l = emitter_sight.sees[who], listener_sight.sees[ear]
        both = (seen_e & seen_l).sum(axis=1)
        common[rows, 0] = both / np.maximum((seen_e | seen_l).sum(axis=1), 1)
        common[rows, 1] = both / np.maximum(np.minimum(seen_e.sum(axis=1), seen_l.sum(axis=1)), 1)
        soft[rows] = 0.5 * (
            (listener_sight.weight[ear] * seen_e).sum(axis=1) + (emitter_sight.weight[who] * seen_l).sum(axis=1)
        )
        hidden = np.flatnonzero(~visible[rows])
        ways = reach[who[hidden]] + listener_sight.distance[ear[hidden]]
        shortest = ways.min(axis=1)
        found = np.isfinite(shortest)
        hidden, ways, shortest = hidden[found], ways[found], shortest[found]
        share = np.exp((shortest[:, None] - ways) / _SOFTNESS)
        towards = probes[None] - ears[rows][hidden][:, None]
        towards /= np.maximum(np.linalg.norm(towards, axis=2, keepdims=True), 1e-6)
        mean = np.einsum("np,npk->nk", share, towards)
        index = start + hidden
        way_direction[index] = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-6)
        way[index] = np.maximum(shortest, distance[index])
        lost = start + np.flatnonzero(~visible[rows])[~found]
        way[lost] = distance[lost] + DETOUR_LIMIT
    way = np.minimum(way, distance + DETOUR_LIMIT)
    return Pairs(distance, direction, visible, soft, way, way_direction, common)
