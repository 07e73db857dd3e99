"""Settling: noise in octave bands gets the energies that it should have, as octave filters read them.

First each band gets amplitudes, group of frames by group of frames. In the lowest bands that is not enough: 20 ms of a
band of 44 Hz hold two independent values, what is before and after rings into them, and they meet direct sound and
images in step. There the noise itself is changed, by the least change relative to its envelope that makes the energies
of all groups and bands right at once: steps of Newton's method, each a solution of least norm (A. Ben-Israel, A
Newton-Raphson method for the solution of systems of equations, J. Math. Anal. Appl. 15, 1966).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from naf_core.bands import BAND_EDGES_HZ, N_BANDS
from naf_core.carriers import octave_filters
from naf_core.span import LOW, Span, thinning

_TURNS = 3  # corrections of the amplitudes of low bands
_STEPS, _USUAL = 10, 4  # of Newton's method, at most and usually
_RIGHT, _BEARABLE = 0.015, 0.03  # of an energy: where all are as near, no step is made, nor no more than usual
_BOUNDS = 0.05  # corrections together stay within this factor of what is right for a band's own signal, up or down
_VALUES = 0.85  # independent values of a band in a group of frames, at least half as many as a real signal has
_APART = (0.020, 0.040, 0.050, 0.060, 0.080)  # s: edges of groups in all bands
_QUIET, _FAINT = 1e-5, 1e-6  # of the loudest group: what is below need not be right, and counts as no less than that
_DAMPING = 0.005  # of the diagonal: keeps changes small where nearly the same is asked for twice
_FAR = 16.0  # times its energy: where more than that is heard, noise cannot make up for it
_ALL, _LOWER, _UPPER = slice(0, N_BANDS), slice(0, LOW), slice(LOW, N_BANDS)
_MOST = 0.8, 1.0  # of what is wanted: by how much a step raises and lowers an energy at most


@dataclass(frozen=True)
class Wanted:
    """What noise has to have in F frames from the start of a `Span` on.

    ``edges`` (F + 1,) in s after the earliest arrival, with which the span begins or, where the first is not 0, before
    which more was heard; ``groups`` (8, F) of frames whose energy counts as one. ``energy`` (8, F)
    relative to that of a unit impulse is what noise has by itself; or, with ``beside`` (n_fft,), the pressure of what
    else is heard, all of it together is to have ``total`` (8, F). Noise fades in as ``fade`` at the low samples says.
    """

    edges: np.ndarray
    groups: np.ndarray
    energy: np.ndarray
    total: np.ndarray
    beside: np.ndarray | None = None
    fade: np.ndarray | float = 1.0


def settled(
    span: Span, low: np.ndarray, high: np.ndarray, power: np.ndarray, wanted: Wanted, narrow: int
) -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes (8, F) float32 for the bands ``low`` (4, m) and ``high`` (4, n) of ``span``, and a change (4, m).

    What is ``wanted`` is had by each band times its amplitudes plus, in the lowest ``narrow``, the change. ``power``
    (8,) is that of the bands of white noise.
    """
    return _Settling(span, low, high, power, wanted, narrow).settled()


class _Settling:
    def __init__(
        self, span: Span, low: np.ndarray, high: np.ndarray, power: np.ndarray, wanted: Wanted, narrow: int
    ) -> None:
        self.span, self.low, self.high, self.wanted, self.narrow = span, low, high, wanted, narrow
        frames, rate = len(wanted.edges) - 1, span.sample_rate
        edges = wanted.edges - wanted.edges[0]
        # The frame of each low sample, within and in the transform: what rings beyond the ends counts with these, but
        # for where more was heard before.
        self.inside = np.clip(np.searchsorted(edges, span.low_times + 1e-9, "right") - 1, 0, frames - 1)
        self.first = span.lead if wanted.edges[0] else 0
        after = span.n_low - span.lead - len(self.inside)
        self.frame = np.pad(self.inside, (span.lead - self.first, after), constant_values=(0, frames - 1))
        at = np.round(wanted.edges * rate).astype(int)  # as the span begins at the first of them
        self.at = np.minimum(at - at[0], span.length)
        self.low_filters, self.high_filters, power_passed = _filters(span.n_fft, rate)
        self.reference = 2.0 / span.n_fft * power_passed
        own = [np.bincount(self.inside, np.square(band), frames) * span.thin for band in low]
        own += [np.add.reduceat(np.square(band), self.at[:-1]) for band in high]
        group = self.groups(_ALL)
        has, due = _sums(group, np.stack(own)), _sums(group, wanted.energy * power[:, None])
        self.square = np.divide(due, has, out=np.zeros_like(has), where=has > 0.0)[group]
        self.bounds = _BOUNDS * self.square, self.square / _BOUNDS
        # What rings into the last group from before may be far above it: more noise would not make up for that.
        last = group == group[:, -1:]
        self.bounds[1][last] = self.square[last]
        self.change = np.zeros((LOW, low.shape[1]), np.float32)
        self.goal = wanted.total * self.reference[:, None]
        self.goal[:LOW] *= span.thin
        self.goal[LOW:] *= [[span.n_fft / (2 * (len(gains) - 1))] for gains in self.high_filters]
        self.heard = None
        if wanted.beside is not None:
            beside = fft.rfft(wanted.beside)
            self.heard = [*self.read(beside, _LOWER), *self.read(beside, _UPPER)]
            for bands in (_LOWER, _UPPER):
                self.goal[bands] -= self.summed([np.square(sound) for sound in self.heard[bands]], bands)
        self.aims = _Aims.of(self)

    def settled(self) -> tuple[np.ndarray, np.ndarray]:
        """As the function of this name."""
        self.correct(_UPPER, self.joined(self.high_spectrum(), self.low_spectrum()))
        high = self.high_spectrum()

        def low_part() -> np.ndarray:
            return self.joined(high[: self.span.n_low // 2 + 1], self.low_spectrum())

        for _ in range(_TURNS):
            self.correct(_LOWER, low_part())
        for number in range(_STEPS):
            if self.step(low_part(), _RIGHT if number < _USUAL else _BEARABLE):
                break
            self.correct(slice(self.narrow, LOW), low_part())
        self.correct(slice(self.narrow, LOW), low_part())  # where the band below has ended up reaches into it
        self.correct(_UPPER, self.joined(high, self.low_spectrum()))
        if not self.first:  # in the early part short windows count, and each of these reaches into the next
            high = self.high_spectrum()
            self.step(low_part(), _BEARABLE)
            self.correct(_UPPER, self.joined(high, self.low_spectrum()))
        return np.sqrt(self.square).astype(np.float32), self.change

    def groups(self, bands: slice) -> np.ndarray:
        """The groups (B, F) of the frames of ``bands``, numbered through all of them."""
        groups = self.wanted.groups[bands]
        return groups + groups.shape[1] * np.arange(len(groups))[:, None]

    def high_spectrum(self) -> np.ndarray:
        signal = np.zeros(self.span.n_fft, np.float32)
        weights = np.sqrt(self.square[LOW:]).astype(np.float32)
        part = slice(self.span.onset, self.span.onset + self.at[-1])
        signal[part] = np.einsum("bt,bt->t", np.repeat(weights, np.diff(self.at), axis=1), self.high[:, : self.at[-1]])
        return fft.rfft(signal)

    def low_spectrum(self) -> np.ndarray:
        weights = np.sqrt(self.square[:LOW]).astype(np.float32)[:, self.inside]
        return self.span.low_spectrum(np.einsum("bt,bt->t", weights, self.low) + self.change.sum(axis=0))

    def joined(self, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        result = high.copy()
        result[: len(low)] += low
        return result

    def correct(self, bands: slice, spectrum: np.ndarray) -> None:
        """Correct the amplitudes of ``bands``, if any, by what octave filters read of noise with this ``spectrum``."""
        if bands.start == bands.stop:
            return
        noise, group = self.read(spectrum, bands), self.groups(bands)
        own = _sums(group, self.summed([np.square(sound) for sound in noise], bands))
        meeting = np.zeros_like(own)
        if self.heard is not None:
            together = [one * other for one, other in zip(noise, self.heard[bands], strict=True)]
            meeting = _sums(group, self.summed(together, bands))
        factor = _share(own, meeting, _sums(group, self.goal[bands]))
        self.square[bands] = np.clip(self.square[bands] * factor[group], self.bounds[0][bands], self.bounds[1][bands])

    def read(self, spectrum: np.ndarray, bands: slice) -> np.ndarray | list[np.ndarray]:
        """What octave filters pass of ``bands``, low or high ones, each at the lowest rate that holds it."""
        if bands.stop <= LOW:
            gains = self.low_filters[bands]
            return fft.irfft(spectrum[: gains.shape[1]] * gains, self.span.n_low)
        return [fft.irfft(spectrum[: len(gains)] * gains, 2 * (len(gains) - 1)) for gains in self.high_filters]

    def summed(self, values: Iterable[np.ndarray], bands: slice) -> np.ndarray:
        """Sums (B, F) over the frames of ``values`` as `read` gives them."""
        if bands.stop <= LOW:
            count = len(self.wanted.edges) - 1
            return np.stack([np.bincount(self.frame, row[self.first :], count) for row in values])
        starts = np.append(self.span.onset if self.first else 0, self.span.onset + self.at[1:-1])
        return np.stack([np.add.reduceat(row, starts * len(row) // self.span.n_fft) for row in values])

    def step(self, spectrum: np.ndarray, right: float) -> bool:
        """Change the noise of the narrow bands, which all together have the ``spectrum``; whether all was ``right``."""
        aims, size = self.aims, self.span.n_low
        heard = self.read(spectrum, slice(0, self.narrow))
        if self.heard is not None:
            heard = heard + self.heard[: self.narrow]
        values = heard.ravel()[aims.source]
        has = np.bincount(aims.row, np.square(values), len(aims.goal))
        chosen = has < _FAR * aims.goal
        errors, goal, band = 1.0 - (has / aims.goal)[chosen], aims.goal[chosen], aims.band[chosen]
        if np.abs(errors).max(initial=0.0) < right:
            return True
        # How the energy of each group grows with the noise: what the filter makes of what it has passed there.
        parts = np.zeros((len(aims.goal), size), np.float32)
        parts.ravel()[aims.place] = 2.0 * self.span.thin * values
        slopes = fft.irfft(fft.rfft(parts[chosen]) * self.low_filters[band], size)
        slopes = slopes[:, self.span.lead : self.span.lead + len(self.inside)] / goal[:, None].astype(np.float32)
        changes = slopes * aims.free[band]
        matrix = (slopes @ changes.T).astype(np.float64)
        own, width = matrix.diagonal(), aims.width[chosen]
        # A group that noise cannot reach, since it fades in later, must not ask for much of it.
        matrix[np.diag_indices_from(matrix)] += _DAMPING * np.maximum(own, np.median(own * width) / width)
        amounts = np.linalg.solve(matrix, np.clip(errors, -_MOST[1], _MOST[0]))
        share = np.where(band == np.arange(self.narrow)[:, None], amounts, 0.0).astype(np.float32)
        self.change[: self.narrow] += share @ changes
        return False


@dataclass(frozen=True)
class _Aims:
    """The R groups of frames of all narrow bands whose energies `_Settling.step` makes right.

    ``band`` (R,), ``goal`` (R,) and ``width`` (R,) in s of each. The samples of all narrow bands at ``source`` (n,)
    belong to the groups ``row`` (n,), and stand at ``place`` (n,) where each group has a row of its own. Noise is free
    to change as ``free`` (bands, m) says, at the low samples.
    """

    band: np.ndarray
    goal: np.ndarray
    width: np.ndarray
    source: np.ndarray
    row: np.ndarray
    place: np.ndarray
    free: np.ndarray

    @classmethod
    def of(cls, settling: _Settling) -> _Aims:
        """Those of what is wanted."""
        span, wanted, first = settling.span, settling.wanted, settling.first
        kept, samples, envelopes, count = [], [], np.full((settling.narrow, len(span.low_times)), -np.inf), 0
        for band in range(settling.narrow):
            group = wanted.groups[band]
            energy, width = (np.bincount(group, x) for x in (wanted.total[band], np.diff(wanted.edges)))
            if not energy.any():
                continue
            energy = np.maximum(energy, _FAINT * energy.max())
            chosen = energy > _QUIET * energy.max()
            chosen[-1] = False  # it rings on into silence, or into what is not made here
            goal = settling.reference[band] * span.thin * energy
            kept.append(np.stack([np.full(len(goal), band), goal, width])[:, chosen])
            row = np.where(chosen, count + np.cumsum(chosen) - 1, -1)[group[settling.frame]]
            at = np.flatnonzero(row >= 0)
            samples.append(np.stack([band * span.n_low + first + at, row[at], row[at] * span.n_low + first + at]))
            count += int(chosen.sum())
            middle = np.cumsum(width) - 0.5 * width
            envelopes[band] = np.interp(span.low_times, middle, np.log(energy / width))
        band, goal, width = np.concatenate(kept, axis=1) if kept else np.zeros((3, 0))
        source, row, place = np.concatenate(samples, axis=1) if samples else np.zeros((3, 0), int)
        free = np.exp(envelopes - max(envelopes.max(initial=-np.inf), -1e9)) * np.square(wanted.fade)
        return cls(band.astype(int), goal, width, source, row, place, free.astype(np.float32))


def _sums(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums of ``values`` (B, F) over each ``group`` (B, F) of their numbers, (B F,)."""
    return np.bincount(group.ravel(), values.ravel(), group.size)


def _share(own: np.ndarray, meeting: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Squares of the factors x with which x² ``own`` + 2 x ``meeting`` is the ``rest``, or as near as it gets."""
    root = np.sqrt(np.maximum(np.square(meeting) + own * rest, 0.0))
    factor = np.divide(root - meeting, own, out=np.zeros(len(own)), where=own > 0.0)
    return np.square(np.maximum(factor, 0.0))


def groups_of(edges: np.ndarray) -> np.ndarray:
    """Groups (8, F) of neighbouring frames, between ``edges`` (F + 1,) in s, in which a band can hold a given energy.

    A group of frames is at least 0.85 / bandwidth long, but for those parted at 50 ms, where clarity is measured, and
    at whole 20 ms up to 80.
    """
    apart = np.isclose(edges[:, None], _APART).any(axis=1)
    result = np.zeros((N_BANDS, len(edges) - 1), int)
    for band, width in enumerate(np.diff(BAND_EDGES_HZ)):
        begin, group = edges[0], 0
        for frame in range(1, len(edges) - 1):
            if apart[frame] or edges[frame] - begin >= _VALUES / width - 1e-9:
                begin, group = edges[frame], group + 1
            result[band, frame] = group
    return result


@lru_cache(maxsize=16)
def _filters(n_fft: int, sample_rate: int) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Gains of the octave filters, of low bands (4, n) up to half the low rate, of the others up to half the lowest.

    And the sum (8,) of the squares of each.
    """
    gains, thin = octave_filters(n_fft, sample_rate).astype(np.float32), thinning(sample_rate)
    power = np.square(gains, dtype=np.float64).sum(axis=1)
    low, high = np.ascontiguousarray(gains[:LOW, : n_fft // thin // 2 + 1]), []
    for row in gains[LOW:]:
        thin = thinning(sample_rate)
        while thin > 1 and (row[n_fft // thin // 2 + 1 :].any() or n_fft % (2 * thin)):
            thin //= 2
        high.append(np.ascontiguousarray(row[: n_fft // thin // 2 + 1]))
    return low, high, power
