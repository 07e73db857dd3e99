"""The span of a response in time, at the full rate and at the low one at which its low octave bands are made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft

from naf_core.bands import BAND_EDGES_HZ

LOW = 4  # octave bands, the lowest ones, that are made at the low rate
PAD = 0.1  # s around a response in which octave filters may ring
_FAR = 4  # times that, after a late part

_LOWEST_RATE = 3.8 * BAND_EDGES_HZ[LOW]  # Hz: its bands end an eighth of an octave beyond their edge
_STEPS = 128, 512  # low samples by which short and long transforms grow: what belongs to each length is kept
_LONG = 2048  # low samples


def thinning(sample_rate: int) -> int:
    """How many samples at ``sample_rate`` Hz come to one low sample: a power of two."""
    return 1 << int(np.log2(sample_rate / _LOWEST_RATE))


@dataclass(frozen=True)
class Span:
    """``length`` samples at ``sample_rate`` from sample ``start`` after emission on, and the low samples among them.

    The low samples of all responses lie at the same times after emission, ``thin`` samples apart. ``before`` samples
    before it something else may be heard.
    """

    sample_rate: int
    start: int
    length: int
    before: int = 0

    @cached_property
    def thin(self) -> int:
        """Samples from one low sample to the next."""
        return thinning(self.sample_rate)

    @cached_property
    def low(self) -> slice:
        """The low samples within, counted from emission."""
        return slice(-(-self.start // self.thin), -(-(self.start + self.length) // self.thin))

    @cached_property
    def low_times(self) -> np.ndarray:
        """Times (m,) of the low samples in s after the start."""
        return (np.arange(self.low.start, self.low.stop) * self.thin - self.start) / self.sample_rate

    @cached_property
    def lead(self) -> int:
        """Low samples before those within, in a transform."""
        return self._pad + round(self.before / self.thin)

    @property
    def _pad(self) -> int:
        return round(PAD * self.sample_rate / self.thin)

    @cached_property
    def n_low(self) -> int:
        """Low samples of a transform, with room to ring at both ends."""
        # What is heard before a late part rings to the other end of a transform, where little else is left.
        count = self.lead + len(self.low_times) + (_FAR if self.before else 1) * self._pad
        step = _STEPS[count > _LONG]
        return -(-count // step) * step

    @cached_property
    def n_fft(self) -> int:
        """Samples of the same transform at the full rate."""
        return self.thin * self.n_low

    @cached_property
    def onset(self) -> int:
        """Samples of the transform before the start."""
        return self.start - (self.low.start - self.lead) * self.thin

    def low_spectrum(self, low: np.ndarray) -> np.ndarray:
        """Spectra (..., n_low // 2 + 1) of ``low`` (..., m) as those of the same sound at the full rate."""
        padded = np.zeros((*low.shape[:-1], self.n_low), low.dtype)
        padded[..., self.lead : self.lead + low.shape[-1]] = low
        return fft.rfft(padded) * np.float32(self.thin)

    def full(self, low: np.ndarray) -> np.ndarray:
        """``low`` (..., m) at the full rate, (..., length)."""
        return fft.irfft(self.low_spectrum(low), self.n_fft)[..., self.onset : self.onset + self.length]
