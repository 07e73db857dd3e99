"""What the decoder is told of an emitter-listener pair, made from the scan and the pair's geometry.

Everything that describes the two ends enters as mean and absolute difference, so that exchanging emitter and listener
changes nothing: reciprocity holds by construction.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from naf_core.pairs import Pairs, Sight
from naf_core.probes import N_DEPTHS, Scan, Surroundings
from naf_core.response import FRAME_EDGES, N_FRAMES

_OWN_FRAMES = 17  # of the self-responses, the first 150 ms: later ones are the room's, which the exchange tells better
_RADIAL_FRAMES = 16  # frames whose intensity along the line between the ends is told: the first 130 ms
_LEAST_SHARE = 0.01  # a frame counts at least as this share of the loudest later one
_LEAST_ENERGY = 1e-12
N_FEATURES = N_FRAMES + 4 * _OWN_FRAMES + 2 * _RADIAL_FRAMES + 2 * (N_DEPTHS + 3) + 12
N_BASES = 4  # vectors in which a direction is given


@dataclass(frozen=True)
class Ends:
    """What is known at n points.

    ``energy`` (n, 8, N_FRAMES, 4): the self-response there; ``wide`` (n, 8, N_FRAMES): its mean over all that is in
    view, in which the late decay stands out of the noise; ``around`` their Surroundings.
    """

    energy: np.ndarray
    wide: np.ndarray
    around: Surroundings

    def __getitem__(self, rows: np.ndarray) -> Ends:
        return Ends(
            self.energy[rows],
            self.wide[rows],
            Surroundings(*(getattr(self.around, f.name)[rows] for f in fields(Surroundings))),
        )


def read_ends(found: Scan, seen: Sight) -> Ends:
    """Features at points, read from the grid by the Gaussian kernels of ``seen``: energies, not their logarithms."""
    around, own = found.around, found.energy
    view = np.where(seen.lost[:, None], seen.weight, seen.sees.astype(np.float32))
    view /= np.maximum(view.sum(axis=1, keepdims=True), 1e-30)
    count = len(view)
    return Ends(
        (seen.weight @ own.reshape(len(own), -1)).reshape(count, *own.shape[1:]),
        (view @ own[..., 0].reshape(len(own), -1)).reshape(count, *own.shape[1:3]),
        Surroundings(
            seen.weight @ around.depths,
            seen.weight @ around.absorption,
            seen.weight @ around.scattering,
            seen.weight @ around.escape,
        ),
    )


@dataclass(frozen=True)
class PairFeatures:
    """Decoder input for n pairs.

    ``inputs`` (n, 8, N_FEATURES) float32; ``base_level`` (n, 8, N_FRAMES) dB, what is said without a network: what
    the probes heard of each other; ``bases`` (n, 8, N_FRAMES, N_BASES, 3): vectors (axis -2) in which the decoder gives
    directions at the listener: along the way to the emitter, straight to it, as the self-response's, and as the probes
    heard it.
    """

    inputs: np.ndarray
    base_level: np.ndarray
    bases: np.ndarray


def later(energy: np.ndarray, delay: np.ndarray) -> np.ndarray:
    """Energy (n, 8, N_FRAMES, c) in frames that start ``delay`` (n,) seconds later than those given.

    Energy is taken as spread evenly over each frame; nothing is known beyond the last.
    """
    # Summed from the end, so that the weak late frames are not lost beside the strong early ones.
    remaining = np.zeros((*energy.shape[:2], N_FRAMES + 1, energy.shape[3]), np.float32)
    np.cumsum(energy[:, :, ::-1], axis=2, out=remaining[:, :, -2::-1])
    times = FRAME_EDGES[None] + np.asarray(delay, np.float64)[:, None]
    frame = np.clip(np.searchsorted(FRAME_EDGES, times, side="right") - 1, 0, N_FRAMES - 1)
    part = np.minimum((times - FRAME_EDGES[frame]) / (FRAME_EDGES[frame + 1] - FRAME_EDGES[frame]), 1.0)
    part = part.astype(np.float32)[:, None, :, None]
    rows = np.arange(len(energy))[:, None]
    left = remaining[rows, :, frame].transpose(0, 2, 1, 3)
    right = remaining[rows, :, frame + 1].transpose(0, 2, 1, 3)
    return -np.diff(left + (right - left) * part, axis=2)


def floored_level(energy: np.ndarray) -> np.ndarray:
    """Level in dB of energies (..., N_FRAMES), no frame lower than 20 dB below the loudest later one.

    The first frames of a self-response are empty wherever no surface is near: their logarithm would say nothing and
    shout it.
    """
    loudest_later = np.maximum.accumulate(energy[..., ::-1], axis=-1)[..., ::-1]
    return 10.0 * np.log10(np.maximum(np.maximum(energy, _LEAST_SHARE * loudest_later), _LEAST_ENERGY))


def intensity_ratio(energy: np.ndarray) -> np.ndarray:
    """Intensity over energy (..., 3), components within -1..1, of energies (..., 4)."""
    return np.clip(energy[..., 1:] / np.maximum(energy[..., :1], _LEAST_ENERGY), -1.0, 1.0)


def pair_features(
    emitter: Ends,
    listener: Ends,
    exchanged: np.ndarray,
    pairs: Pairs,
    air: np.ndarray,
    speed_of_sound: float,
    height: np.ndarray,
) -> PairFeatures:
    """Features of n pairs from both ends and what probes there ``exchanged``, energy (n, 8, N_FRAMES, 4).

    ``air`` (8,) absorption in 1/m; ``height`` (n,) m between the ends.
    """
    delay = pairs.distance / speed_of_sound
    energies = [later(end.energy, delay) for end in (emitter, listener)]
    wides = [later(end.wide[..., None], delay)[..., 0] for end in (emitter, listener)]
    levels, wide_levels = [floored_level(e[..., 0]) for e in energies], [floored_level(w) for w in wides]
    heard = later(exchanged, delay)
    base_level = floored_level(heard[..., 0])
    ratios = [intensity_ratio(e) for e in energies]
    outward = (-pairs.direction, pairs.direction)  # at each end, towards the other
    radial = [
        np.einsum("nbfk,nk->nbf", ratio[:, :, :_RADIAL_FRAMES], towards)
        for ratio, towards in zip(ratios, outward, strict=True)
    ]
    overall = 10.0 * np.log10(np.maximum((10.0 ** (base_level / 10.0)).sum(axis=-1, keepdims=True), _LEAST_ENERGY))
    n = len(pairs.distance)

    def every_band(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values[:, None, :], (n, 8, values.shape[1]))

    columns: list[np.ndarray] = []

    def both_ends(one: np.ndarray, other: np.ndarray) -> None:
        columns.extend([0.5 * (one + other), np.abs(one - other)])

    columns.append(base_level - overall)
    for pair in (levels, wide_levels):
        both_ends(*(level[..., :_OWN_FRAMES] - overall for level in pair))
    both_ends(*radial)
    a, b = emitter.around, listener.around
    both_ends(every_band(np.log(a.depths + 0.05)), every_band(np.log(b.depths + 0.05)))
    both_ends(a.absorption[..., None], b.absorption[..., None])
    both_ends(a.scattering[..., None], b.scattering[..., None])
    both_ends(every_band(a.escape[:, None]), every_band(b.escape[:, None]))
    distance, detour = pairs.distance, pairs.way - pairs.distance
    shared = [
        np.log(distance + 0.1),
        distance / 10.0,
        1.0 / (distance + 0.3),
        np.log(pairs.way + 0.1),
        np.log(detour + 0.1),
        pairs.visible.astype(np.float32),
        pairs.soft,
        pairs.common[:, 0],
        pairs.common[:, 1],
        np.abs(height),
    ]
    columns.append(every_band(np.stack(shared, axis=1)))
    columns.append(np.broadcast_to((100.0 * air)[None, :, None], (n, 8, 1)))
    columns.append(overall)
    inputs = np.concatenate(columns, axis=-1).astype(np.float32)
    bases = np.empty((n, 8, N_FRAMES, N_BASES, 3), np.float32)
    bases[..., 0, :] = pairs.way_direction[:, None, None]
    bases[..., 1, :] = pairs.direction[:, None, None]
    bases[..., 2, :] = ratios[1]
    bases[..., 3, :] = intensity_ratio(heard)
    return PairFeatures(inputs, base_level.astype(np.float32), bases)
