"""Settling: noise in octave bands gets the energies that it should have, as octave filters read them.

First each band gets amplitudes, group of frames by group of frames. In the lowest bands that is not enough: 20 ms of a
band of 44 Hz hold two independent values, what is before and after rings into them, and they meet direct sound and
images in step. There the noise itself is changed, by the least change relative to its envelope that makes the energies
of all groups and bands right at once: steps of Newton's method, each a solution of least norm (A. Ben-Israel, A
Newton-Raphson method for the solution of systems of equations, J. Math. Anal. Appl. 15, 1966).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from naf_core.bands import BAND_EDGES_HZ, N_BANDS
from naf_core.carriers import octave_filters
from naf_core.span import LOW, Span, thinning

_TURNS = 3  # corrections of the amplitudes of low bands
_STEPS = 4  # of Newton's method, at most
_RIGHT = 0.015  # of an energy: where all are as near, no step is made
_BOUNDS = 0.05  # corrections together stay within this factor of what is right for a band's own signal, up or down
_VALUES = 0.85  # independent values of a band in a group of frames, at least half as many as a real signal has
_APART = (0.020, 0.040, 0.050, 0.060, 0.080)  # s: edges of groups in all bands
_QUIET, _FAINT = 1e-5, 1e-6  # of the loudest group: what is below need not be right, and counts as no less than that
_DAMPING = 0.02  # of the diagonal: keeps changes small where nearly the same is asked for twice
_FAR = 4.0  # times its energy: where more than that is heard, noise cannot make up for it
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
        self.at = np.minimum(np.round(edges * rate).astype(int), span.length)
        self.filters = _filters(span.n_fft, rate)
        self.reference = [2.0 / span.n_fft * float(np.square(f, dtype=np.float64).sum()) for f in self.filters]
        own = [np.bincount(self.inside, np.square(band), frames) * span.thin for band in low]
        own += [np.add.reduceat(np.square(band), self.at[:-1]) for band in high]
        self.square = np.stack(
            [_ratio(g, w * p, o)[g] for g, w, p, o in zip(wanted.groups, wanted.energy, power, own, strict=True)]
        )
        self.bounds = _BOUNDS * self.square, self.square / _BOUNDS
        self.change = np.zeros((LOW, low.shape[1]), np.float32)
        self.beside = None if wanted.beside is None else fft.rfft(wanted.beside)
        self.goal = [
            energy * reference * span.n_fft / (2 * (len(gains) - 1))
            for energy, reference, gains in zip(wanted.total, self.reference, self.filters, strict=True)
        ]
        if self.beside is not None:
            self.heard = [self.read(self.beside, band) for band in range(N_BANDS)]
            for band, heard in enumerate(self.heard):
                self.goal[band] = self.goal[band] - self.summed(np.square(heard), band)

    def settled(self) -> tuple[np.ndarray, np.ndarray]:
        """As the function of this name."""
        self.correct(range(LOW, N_BANDS), self.joined(self.high_spectrum(), self.low_spectrum()))
        high = self.high_spectrum()

        def low_part() -> np.ndarray:
            return self.joined(high, self.low_spectrum())[: self.span.n_low // 2 + 1]

        for _ in range(_TURNS):
            self.correct(range(LOW), low_part())
        for _ in range(_STEPS):
            if self.step(low_part()):
                break
            self.correct(range(self.narrow, LOW), low_part())
        self.correct(range(LOW, N_BANDS), self.joined(high, self.low_spectrum()))
        return np.sqrt(self.square).astype(np.float32), self.change

    def high_spectrum(self) -> np.ndarray:
        signal = np.zeros(self.span.n_fft, np.float32)
        weights = np.sqrt(self.square[LOW:]).astype(np.float32)
        for frame, (first, last) in enumerate(zip(self.at[:-1], self.at[1:], strict=True)):
            part = slice(self.span.onset + first, self.span.onset + last)
            signal[part] = weights[:, frame] @ self.high[:, first:last]
        return fft.rfft(signal)

    def low_spectrum(self) -> np.ndarray:
        weights = np.sqrt(self.square[:LOW, self.inside]).astype(np.float32)
        return self.span.low_spectrum(np.einsum("bt,bt->t", weights, self.low) + self.change.sum(axis=0))

    def joined(self, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        result = high.copy()
        result[: len(low)] += low
        return result

    def correct(self, bands: range, spectrum: np.ndarray) -> None:
        """Correct the amplitudes of ``bands`` by what octave filters read of a noise with this ``spectrum``."""
        for band in bands:
            noise, group = self.read(spectrum, band), self.wanted.groups[band]
            own, goal = self.summed(np.square(noise), band), self.goal[band]
            if self.beside is None:
                factor = _ratio(group, goal, own)
            else:
                meeting = np.bincount(group, self.summed(noise * self.heard[band], band))
                factor = _share(np.bincount(group, own), meeting, np.bincount(group, goal))
            self.square[band] = np.clip(self.square[band] * factor[group], self.bounds[0][band], self.bounds[1][band])

    def read(self, spectrum: np.ndarray, band: int) -> np.ndarray:
        """What an octave filter passes, at the lowest rate that holds the band."""
        gains = self.filters[band]
        return fft.irfft(spectrum[: len(gains)] * gains, 2 * (len(gains) - 1))

    def summed(self, values: np.ndarray, band: int) -> np.ndarray:
        """Sums (F,) over the frames of ``values`` as `read` gives them."""
        if band < LOW:
            return np.bincount(self.frame, values[self.first :], len(self.wanted.edges) - 1)
        thin = self.span.n_fft // len(values)
        begin = self.span.onset if self.first else 0
        return np.add.reduceat(values, np.append(begin, self.span.onset + self.at[1:-1]) // thin)

    def step(self, spectrum: np.ndarray) -> bool:
        """Change the noise of the narrow bands, of which all together have the ``spectrum``; whether all was right."""
        size, within = self.span.n_low, slice(self.span.lead, self.span.lead + len(self.inside))
        bands, slopes, errors, envelopes, widths = [], [], [], [], []
        for band in range(self.narrow):
            group = self.wanted.groups[band]
            energy, width = (np.bincount(group, x) for x in (self.wanted.total[band], np.diff(self.wanted.edges)))
            if not energy.any():
                continue
            heard, which = self.read(spectrum, band), group[self.frame]
            if self.beside is not None:
                heard = heard + self.heard[band]
            has = np.bincount(which, np.square(heard[self.first :]), len(energy))
            energy = np.maximum(energy, _FAINT * energy.max())
            goal = self.reference[band] * self.span.thin * energy
            chosen = (energy > _QUIET * energy.max()) & (has < _FAR * goal)
            chosen[-1] = False  # it rings on into silence, or into what is not made here
            if not chosen.any():
                continue
            bands.append(band)
            errors.append(np.clip(1.0 - has / goal, -_MOST[1], _MOST[0])[chosen])
            # How the energy of each group grows with the noise: what the filter makes of what it has passed there.
            parts = np.zeros((len(goal), size), np.float32)
            parts[which, np.arange(self.first, size)] = 2.0 * self.span.thin * heard[self.first :]
            slope = fft.irfft(fft.rfft(parts[chosen]) * self.filters[band], size)[:, within]
            slopes.append(slope / goal[chosen, None].astype(np.float32))
            middle = np.cumsum(width) - 0.5 * width
            envelopes.append(np.interp(self.span.low_times, middle, np.log(energy / width)))
            widths.append(width[chosen])
        if not bands or np.abs(np.concatenate(errors)).max() < _RIGHT:
            return True
        counts, widths, slopes = [len(part) for part in widths], np.concatenate(widths), np.concatenate(slopes)
        free = (np.exp(np.stack(envelopes) - np.max(envelopes)) * np.square(self.wanted.fade)).astype(np.float32)
        changes = slopes * np.repeat(free, counts, axis=0)
        matrix = (slopes @ changes.T).astype(np.float64)
        own = matrix.diagonal()
        # A group that noise cannot reach, since it fades in later, must not ask for much of it.
        matrix[np.diag_indices_from(matrix)] += _DAMPING * np.maximum(own, np.median(own * widths) / widths)
        amounts = np.linalg.solve(matrix, np.concatenate(errors)).astype(np.float32)
        for band, rows in zip(bands, np.split(np.arange(len(amounts)), np.cumsum(counts)[:-1]), strict=True):
            self.change[band] += amounts[rows] @ changes[rows]
        return False


def _share(own: np.ndarray, meeting: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Squares of the factors x with which x² ``own`` + 2 x ``meeting`` is the ``rest``, or as near as it gets."""
    root = np.sqrt(np.maximum(np.square(meeting) + own * rest, 0.0))
    factor = np.divide(root - meeting, own, out=np.zeros(len(own)), where=own > 0.0)
    return np.square(np.maximum(factor, 0.0))


def _ratio(group: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Ratio of the sums over each group, 0 where the divisor is 0."""
    above, below = np.bincount(group, above), np.bincount(group, below)
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0.0)


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
def _filters(n_fft: int, sample_rate: int) -> tuple[np.ndarray, ...]:
    """Gains of the octave filters, up to half the lowest rate that holds each: for low bands the low rate."""
    gains = octave_filters(n_fft, sample_rate).astype(np.float32)
    result = []
    for band, row in enumerate(gains):
        thin = thinning(sample_rate)
        while thin > 1 and (row[n_fft // thin // 2 + 1 :].any() or (band >= LOW and n_fft % (2 * thin))):
            thin //= 2
        result.append(np.ascontiguousarray(row[: n_fft // thin // 2 + 1]))
    return tuple(result)
