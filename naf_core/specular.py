"""Specular sound of low order, exactly, between the pairs that a field is asked for.

A mirrored path belongs to one pair alone: a step aside it comes from elsewhere, or not at all. No probe can tell of
it, so the field finds these paths anew for each pair, as it does the direct sound, and its scan leaves them out.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from naf_core.bands import N_BANDS
from naf_core.paths import Chains, Check, EarlyPaths, ears_aside
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES, N_FRAMES
from naf_core.scene import Scene
from naf_core.sequences import Candidates, discover

SPECULAR_ORDER = 2  # reflections; what is mirrored more often counts as scattered at the last
_RAYS = 512  # from one end of each pair, that discover its mirrors
_ENDS = 64  # discovered from in one go
_CANDIDATES = 1 << 16  # paths looked at in one go


def specular_energy(
    scene: Scene,
    caster: Raycaster,
    emitters: np.ndarray,
    listeners: np.ndarray,
    of_emitter: np.ndarray,
    of_listener: np.ndarray,
) -> np.ndarray:
    """What n pairs get over 1 to SPECULAR_ORDER mirror reflections: energy (n, 8, N_FRAMES, 4) float32.

    Pair k is ``emitters[of_emitter[k]]`` (E, 3) and ``listeners[of_listener[k]]`` (L, 3), in metres and off all
    surfaces. Frames count from the earliest possible arrival.
    """
    listeners_in_all = len(listeners)
    key, rows = np.unique(of_emitter * listeners_in_all + of_listener, return_inverse=True)
    emitter, listener = np.divmod(key, listeners_in_all)
    ends, ears = emitters.astype(np.float64), listeners.astype(np.float64)
    check = Check(scene, caster, ends, ears, [ears_aside(caster, ears)])
    # Mirrors are looked for from the side that has fewer places: what is found serves all pairs of that place.
    from_ears = len(ears) < len(ends)
    places, place = (ears, listener) if from_ears else (ends, emitter)
    energy = np.zeros((len(key), N_FRAMES, 4 * N_BANDS), np.float32)
    for start in range(0, len(places), _ENDS):
        some = places[start : start + _ENDS]
        pairs = np.flatnonzero((place >= start) & (place < start + len(some)))
        for owner, mirrors in discover(caster, check.planes, some, SPECULAR_ORDER, _RAYS):
            order = np.argsort(owner, kind="stable")
            mirrors = mirrors[order, ::-1] if from_ears else mirrors[order]
            images = None if from_ears else check.images_of(some[owner[order]], mirrors)
            first = np.searchsorted(owner[order], np.arange(len(some) + 1))
            times = np.diff(first)[place[pairs] - start]
            # All that is to be looked at for one pair goes together: images of one place count once.
            for part in _parts(times):
                some_pairs, count = pairs[part], times[part]
                turn = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
                sequence = np.repeat(first[place[some_pairs] - start], count) + turn
                pair = np.repeat(some_pairs, count)
                chains = None if images is None else Chains(mirrors, images, sequence)
                found = check(Candidates(emitter[pair], listener[pair], mirrors[sequence]), chains)
                energy[some_pairs] += _in_frames(found, key[some_pairs], listeners_in_all, check)
    energy = energy.reshape(len(key), N_FRAMES, 4, N_BANDS)
    return np.moveaxis(energy, -1, 1)[rows.ravel()]


def _parts(times: np.ndarray) -> list[slice]:
    """Runs of pairs that have at most _CANDIDATES of ``times`` (n,) together, or are one pair."""
    parts, start = [], 0
    total = np.cumsum(times)
    while start < len(times):
        before = total[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(total, before + _CANDIDATES, side="right")))
        parts.append(slice(start, end))
        start = end
    return parts


def _in_frames(found: EarlyPaths, key: np.ndarray, listeners: int, check: Check) -> np.ndarray:
    """The energies of paths between the pairs ``key`` (n,), summed in their frames: (n, N_FRAMES, 4 * 8)."""
    pair = np.searchsorted(key, found.emitter * listeners + found.listener)
    straight = np.linalg.norm(check.emitters[found.emitter] - check.listeners[found.listener], axis=1)
    late = np.maximum(found.length - straight, 0.0) / check.scene.air.speed_of_sound
    frame = np.searchsorted(FRAME_EDGES, late, side="right") - 1
    in_time = np.flatnonzero(frame < N_FRAMES)
    cell = pair[in_time] * N_FRAMES + frame[in_time]
    channels = np.concatenate([np.ones((len(in_time), 1)), found.source[in_time]], axis=1)
    arriving = (channels[:, :, None] * found.energy[in_time][:, None, :]).reshape(len(in_time), 4 * N_BANDS)
    shape = (len(key) * N_FRAMES, len(in_time))
    sums = csr_matrix((np.ones(len(in_time), np.float32), (cell, np.arange(len(in_time)))), shape=shape) @ arriving
    return sums.reshape(len(key), N_FRAMES, 4 * N_BANDS)
