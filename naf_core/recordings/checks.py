"""What looks wrong with recordings before anything is learned from them: said in sentences, never mended silently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations

import numpy as np

from naf_core.measured import find_direct
from naf_core.recordings.recordingset import RecordingSet, direct_found, places

_SILENT = 1e-4  # of the loudest response
_CLIPPED, _TOPS = 4, 8  # samples at the peak, one after the other, or anywhere
_ALIKE = 1e-4  # relative difference below which two responses are one file
_FEET = 0.3048  # m
_FIT = 0.6  # a scale or an order of axes that leaves less than this share of the error is suspected
_MISPLACED = 0.5  # m by which the direct sound may miss its distance
_SHADOW = 1.0  # dB by which the ear that is turned to the source may be quieter
_TIGHT = 0.3  # m: delays that fit distances so well hold them
_LEAST = 5  # responses, for what is read from many
_LOWEST = 2.5  # m: something stands lower than that in most rooms


def suspicions(recordings: RecordingSet, names: Sequence[str] | None = None) -> list[str]:
    """Sentences on what looks wrong, each with the remedy; none where nothing does.

    Looks for silent responses, the same response at two places, channels swapped, positions in feet, axes swapped,
    single positions that the delay contradicts, responses that end too soon, and sets of one place. ``names`` (N,) are
    those of the files, where there are any. `clipped` looks at what was not resampled yet.
    """
    names = np.array([f"Response {row}" for row in range(len(recordings))] if names is None else names)
    peaks = np.abs(recordings.responses).max(axis=2)
    if not peaks.any():
        return ["All responses are silent: import the files again."]
    heard = (peaks >= _SILENT * peaks.max()).all(axis=1)
    result = [*_levels(recordings, heard, names), *_repeated(recordings, names), *_channels(recordings)]
    # Silence has no delay, which would be taken for a wrong place.
    return [*result, *_positions(recordings[heard], names[heard])]


def _levels(recordings: RecordingSet, heard: np.ndarray, names: np.ndarray) -> Iterator[str]:
    if not heard.all():
        yield f"{_listed(names[~heard])} silent in a channel: record again, or leave out."


def clipped(responses: Iterable[np.ndarray], names: Sequence[str]) -> list[str]:
    """A sentence on those ``responses`` (channels, samples), as they were recorded, that are clipped; or none.

    At another sample rate the flat tops would no longer be flat. ``names`` are those of the files.
    """
    rows = [row for row, response in enumerate(responses) if any(map(_is_clipped, response))]
    if not rows:
        return []
    return [f"{_listed(np.array(names)[rows])} clipped: the peak stays at one value. Record again with less gain."]


def _is_clipped(samples: np.ndarray) -> bool:
    """Whether the largest value is held for several samples, or reached by many."""
    size = np.abs(samples)
    top = size >= 0.9999 * size.max(initial=0.0)
    if not size.any():
        return False
    same = np.convolve(top, np.ones(_CLIPPED), "valid")
    return bool(same.max(initial=0.0) >= _CLIPPED or top.sum() >= _TOPS)


def _repeated(recordings: RecordingSet, names: np.ndarray) -> Iterator[str]:
    number = places(recordings)
    energy = np.square(recordings.responses, dtype=np.float64).sum(axis=(1, 2))
    order = np.argsort(energy)
    for one, other in zip(order[:-1], order[1:], strict=True):
        if energy[one] <= 0.0 or number[one] == number[other] or energy[other] > energy[one] * (1.0 + _ALIKE):
            continue
        difference = np.square(recordings.responses[one] - recordings.responses[other], dtype=np.float64).sum()
        if difference < _ALIKE**2 * energy[one]:
            yield f"{names[one]} and {names[other]} are one sound at two places: one file was probably named twice."


def _channels(recordings: RecordingSet) -> Iterator[str]:
    """Of two ears, the one turned to the source hears it first and louder."""
    if recordings.responses.shape[1] != 2:
        return
    way = recordings.emitters - recordings.listeners
    left = np.einsum("nij,ni->nj", recordings.rotations, way)[:, 1] / np.maximum(recordings.distances, 1e-6)
    beside = np.flatnonzero(np.abs(left) > 0.5)
    rate, votes = recordings.sample_rate, []
    for row in beside:
        first = [find_direct(channel, rate) for channel in recordings.responses[row]]
        if abs(first[0] - first[1]) < 1e-3 * rate:  # more is no head
            start = max(min(first) - round(0.0005 * rate), 0)
            energy = np.square(recordings.responses[row, :, start : start + round(0.003 * rate)]).sum(axis=1)
            level = 10.0 * np.log10((energy[0] + 1e-30) / (energy[1] + 1e-30)) * np.sign(left[row])
            if abs(level) > _SHADOW:
                votes.append(level > 0.0)
    if len(votes) < min(_LEAST, max(len(beside), 1)):
        return
    right = np.mean(votes)
    if right < 0.3:
        yield (
            "The channels seem to be swapped: sources on the left are louder in the second channel."
            " Swap them, or turn the listener's rotation."
        )
    elif right < 0.7:
        yield "In part of the responses the channels seem to be swapped, or the listener looks elsewhere than is said."


def _positions(recordings: RecordingSet, names: np.ndarray) -> Iterator[str]:
    """Whether delays fit distances as they are, with another unit, or with other axes of one end."""
    if not places(recordings).any():
        yield "All sound is of one place, from which nothing is learned of others: record at some six places or more."
    if (recordings.distances < 0.01).any():
        yield f"{_listed(names[recordings.distances < 0.01])} of an emitter and a listener at one place: check it."
    if len(recordings) < _LEAST or np.ptp(recordings.distances) < 0.2:
        return
    heard = direct_found(recordings) / recordings.sample_rate * recordings.speed_of_sound
    error = _scatter(heard, recordings.distances)
    # What fits has to tell more of the delays than that they are all alike, as they are where they were cut off.
    explained = _FIT * min(error, _scatter(heard, np.zeros(len(heard))))
    for scale, unit in ((_FEET, "feet"), (0.01, "centimetres"), (0.001, "millimetres"), (0.0254, "inches")):
        if _absolute(heard, scale * recordings.distances) < _FIT * _absolute(heard, recordings.distances) and (
            _scatter(heard, scale * recordings.distances) < explained
        ):
            yield f"Positions seem to be in {unit}: delays fit {scale:g} times the distances. Convert them to metres."
            return
    if error > _TIGHT:
        best = min(permutations(range(3)), key=lambda axes: _scatter(heard, _with_axes(recordings, axes)))
        if _scatter(heard, _with_axes(recordings, best)) < explained:
            names = "".join("xyz"[axis] for axis in best)
            yield (
                "Axes of emitters and listeners seem to be swapped: with the emitters'"
                f" {names} for xyz the delays fit. Give both in the same axes, z up."
            )
            return
    height = np.concatenate([recordings.emitters[:, 2], recordings.listeners[:, 2]])
    across = np.ptp(np.concatenate([recordings.emitters, recordings.listeners]), axis=0)
    if np.ptp(height) > 3.0 and across[2] > 2.0 * max(min(across[:2]), 0.5):
        yield f"Positions span {across[2]:.1f} m in height and {min(across[:2]):.1f} m across: is z up, and in metres?"
    if height.min() > _LOWEST and _absolute(heard, recordings.distances) > _TIGHT:
        yield f"Nothing stands lower than {height.min():.1f} m: are positions in metres, and is the floor at 0?"
    late = recordings.direct_samples >= recordings.responses.shape[-1]
    if late.any():
        yield (
            f"{_listed(names[late])} too short for the distance: the direct sound comes after the end. Check the"
            " position, or cut less off."
        )
        return
    offset = np.median(heard - recordings.distances)
    missed = np.abs(heard - recordings.distances - offset)
    if np.median(missed) > 0.5 * _MISPLACED:
        yield (
            f"The direct sounds do not arrive when the positions say: half are off by {np.median(missed):.1f} m or"
            " more. The delays were cut off, or the positions are wrong. Import with alignment on the onset."
        )
        return
    wrong = np.flatnonzero(missed > _MISPLACED)
    if len(wrong):
        miss = ", ".join(f"{missed[row]:.1f} m" for row in wrong[:5])
        yield f"{_listed(names[wrong])} seemingly misplaced: the delay is off by {miss}. Check where it was recorded."


def _with_axes(recordings: RecordingSet, axes: tuple[int, ...]) -> np.ndarray:
    """Distances when the coordinates of the emitters are taken in another order."""
    return np.linalg.norm(recordings.emitters[:, list(axes)] - recordings.listeners, axis=1)


def _scatter(heard: np.ndarray, distances: np.ndarray) -> float:
    """Median distance in m between ``heard`` and ``distances`` when both may begin elsewhere."""
    difference = heard - distances
    return float(np.median(np.abs(difference - np.median(difference)))) + 1e-3


def _absolute(heard: np.ndarray, distances: np.ndarray) -> float:
    """Median distance in m between ``heard`` and ``distances``."""
    return float(np.median(np.abs(heard - distances))) + 1e-3


def _listed(names: np.ndarray) -> str:
    """These responses as the subject of a sentence."""
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"
