"""The noise that reverberation is cut from: independent carriers in octave bands, one more than ambisonic channels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft

from naf_core.ambisonics import degrees, encode
from naf_core.bands import BAND_EDGES_HZ
from naf_core.span import LOW, Span, thinning

_CROSSOVER = 0.25  # octaves over which a band passes into the next
_LOW_CUT = (14.0, 26.0)  # Hz
_HIGH_CUT = (18000.0, 21000.0)  # Hz, lower at low sample rates

# Reflections become dense as in the room: 4 pi c^3 t^2 / V of them arrive a second, a time t after emission (H.
# Kuttruff, Room Acoustics, 6th ed. 2016, section 4.1). Up to the first rate the noise is single pulses, from the second
# on it is Gaussian. Never fewer than the least rate: what walls scatter is dense from the start, and bands have to hold
# their energy; for that reason no room counts as larger than the largest.
_DENSE_RATES = 2000.0, 4000.0  # 1/s
_LEAST_RATE = 1000.0  # 1/s
_SPARSE = 5  # octave band, the first that resolves so many
_LARGEST = 5000.0  # m³
_USUAL = 200.0  # m³, of a room whose volume is not known
_SPEED = 343.2  # m/s at 20 degrees

# The carriers: the omnidirectional one, one more along the direction of the intensity, then one for what comes from
# everywhere in each ambisonic channel but W.
OMNI, ALONG, AROUND = range(3)


def band_filters(n_fft: int, sample_rate: int) -> np.ndarray:
    """Zero-phase gains (8, n_fft // 2 + 1) of the octave bands; their sum is 1 from 26 Hz to 18 kHz.

    The lowest band reaches down to 14 Hz and the highest up to 21 kHz or the highest frequency that there is.
    Neighbours pass into each other over a quarter of an octave.
    """
    frequency = fft.rfftfreq(n_fft, 1.0 / sample_rate)
    octave = np.log2(np.maximum(frequency, 1e-3))
    nyquist = 0.5 * sample_rate
    high = min(_HIGH_CUT[0], 0.86 * nyquist), min(_HIGH_CUT[1], 0.98 * nyquist)

    def above(position: np.ndarray) -> np.ndarray:  # 0 before position 0, 1 after 1
        return np.sin(0.5 * np.pi * np.clip(position, 0.0, 1.0)) ** 2

    steps = [above((frequency - _LOW_CUT[0]) / (_LOW_CUT[1] - _LOW_CUT[0]))]
    steps += [above((octave - np.log2(edge)) / _CROSSOVER + 0.5) for edge in BAND_EDGES_HZ[1:-1]]
    steps.append(np.zeros_like(frequency))
    return -np.diff(steps, axis=0) * (1.0 - above((frequency - high[0]) / (high[1] - high[0])))


def octave_filters(n_fft: int, sample_rate: int) -> np.ndarray:
    """Zero-phase gains (8, n_fft // 2 + 1) that measure octave bands: their squares sum to 1 between the outer edges.

    They pass into each other where those of `band_filters` do, and the outer ones end as steeply.
    """
    octave = np.log2(np.maximum(fft.rfftfreq(n_fft, 1.0 / sample_rate), 1e-3))
    steps = [
        np.sin(0.5 * np.pi * np.clip((octave - np.log2(edge)) / _CROSSOVER + 0.5, 0.0, 1.0)) ** 2
        for edge in BAND_EDGES_HZ
    ]
    return np.sqrt(-np.diff(steps, axis=0))


def split_bands(signals: np.ndarray, sample_rate: int, bands: slice = slice(None), thin: int = 1) -> np.ndarray:
    """Octave ``bands`` (..., 8, n) of ``signals`` (..., n), whose sum is the signal; the signal is taken as periodic.

    Of ``thin`` samples one is left, where the bands end below half the rate of these.
    """
    n = signals.shape[-1]
    bins = n // thin // 2 + 1
    filters = _filters(n, sample_rate)[bands, :bins]
    return fft.irfft(fft.rfft(signals)[..., None, :bins] * filters, n // thin) * np.float32(1.0 / thin)


@lru_cache(maxsize=2)
def _filters(n_fft: int, sample_rate: int) -> np.ndarray:
    """As `band_filters`, float32: those of an emitter serve for all its carriers."""
    return band_filters(n_fft, sample_rate).astype(np.float32)


class Carriers:
    """The noise from which all impulse responses of one emitter are cut, in octave bands.

    ``sample_rate`` in Hz; ``duration`` in seconds from emission to the last arrival; ``seed`` any integer; ``volume``
    of the room in m³, None where it is not known. Responses of neighbouring positions take the same noise at the same
    time after emission and differ only in their envelopes, so that one fades into the next without cancellation.
    ``low`` (carriers, 4, n / thin) are the bands up to 500 Hz at the low rate (see `Span`), ``high`` (carriers, 4, n)
    those from 1 kHz on; from 2 kHz on they begin as single pulses, which lower bands cannot resolve. All are float32
    and have unit power as white noise; the carriers are OMNI, ALONG, and from AROUND on one for each channel of
    ambisonics of ``order`` (1 to 3) but W. Those of a lower order are the same, so W, Y, Z and X do not depend on it.
    """

    def __init__(
        self, sample_rate: int, duration: float, seed: int, order: int = 1, volume: float | None = None
    ) -> None:
        self.sample_rate, self.order = sample_rate, order
        rng = np.random.default_rng(seed)
        thin = thinning(sample_rate)
        sparse, dense = (_time_of(rate, volume) for rate in _DENSE_RATES)
        n, m = (
            thin * fft.next_fast_len(max(int(np.ceil(seconds * sample_rate)), 4096) // thin + 1, real=True)
            for seconds in (duration, dense)
        )
        channels = (order + 1) ** 2
        noise = rng.standard_normal((5, n), dtype=np.float32)
        more = np.random.default_rng((seed, 1)).standard_normal((channels - 4, n), dtype=np.float32)
        noise = np.concatenate([noise, more])
        noise[OMNI] = _even(noise[OMNI], sample_rate)
        self.low = np.stack([split_bands(row, sample_rate, slice(LOW), thin) for row in noise])
        self.high = np.stack([split_bands(row, sample_rate, slice(LOW, None)) for row in noise])
        self.power = np.square(_filters(n, sample_rate), dtype=np.float64).mean(axis=1)
        pulses = np.stack([split_bands(row, sample_rate, slice(_SPARSE, None)) for row in self._pulses(m, volume, rng)])
        early = min(int(dense * sample_rate), n)
        mix = 0.5 * np.pi * np.clip((np.arange(early) / sample_rate - sparse) / (dense - sparse), 0.0, 1.0)
        begin = self.high[:, _SPARSE - LOW :, :early]
        begin *= np.sin(mix).astype(np.float32)
        begin += np.cos(mix).astype(np.float32) * pulses[:, :, :early]

    @property
    def channels(self) -> int:
        """How many ambisonic channels there are."""
        return (self.order + 1) ** 2

    def cut(self, span: Span) -> tuple[np.ndarray, np.ndarray]:
        """Carriers within a ``span``, at the low rate (carriers, 4, m) and at the full one (carriers, 4, n)."""
        return self.low[:, :, span.low].copy(), self.high[:, :, span.start : span.start + span.length].copy()

    def _pulses(self, n: int, volume: float | None, rng: np.random.Generator) -> np.ndarray:
        """Sparse carriers (carriers, n) of unit power: single plane waves at random times (velvet noise).

        One pulse falls into each cell between the times of `arrivals`, the louder the longer the cell (H. Järveläinen
        and M. Karjalainen, Reverberation modeling using velvet noise, AES 30th Conference, 2007). Their directions come
        in sixes, along both ways of three axes, so that even a few of them are evenly around.
        """
        edges = arrivals(n / self.sample_rate, volume) * self.sample_rate
        first, cell = edges[:-1], np.diff(edges)
        count = len(cell)
        omni, along = (np.minimum((first + cell * rng.random(count)).astype(int), n - 1) for _ in range(2))
        axes = np.linalg.qr(rng.standard_normal((count // 6 + 1, 3, 3)))[0]
        direction = np.stack([axes, -axes], axis=2).reshape(-1, 3)[:count]
        result = np.zeros((self.channels + 1, n), np.float32)
        sign = np.sqrt(cell) * rng.choice([-1.0, 1.0], count)
        np.add.at(result[OMNI], omni, sign)
        np.add.at(result[ALONG], along, np.sqrt(cell) * rng.choice([-1.0, 1.0], count))
        waves = encode(direction, self.order)[1:] * np.sqrt(2.0 * degrees(self.order)[1:, None] + 1.0)
        for carrier, wave in zip(result[AROUND:], waves, strict=True):
            np.add.at(carrier, omni, sign * wave)
        return result


def _growth(volume: float | None) -> float:
    """How the rate of reflections grows with the square of time in a room of ``volume`` m³, in 1/s³."""
    return 4.0 * np.pi * _SPEED**3 / min(volume or _USUAL, _LARGEST)


def _time_of(rate: float, volume: float | None) -> float:
    """Seconds after emission at which reflections arrive at a ``rate`` in 1/s."""
    return float(np.sqrt(rate / _growth(volume)))


def arrivals(until: float, volume: float | None) -> np.ndarray:
    """Times (n,) in s after emission, up to ``until``, between which single reflections arrive (see `Carriers`)."""
    least, begin = _LEAST_RATE, _time_of(_LEAST_RATE, volume)  # from there on there are more than at least
    before = least * begin
    third = _growth(volume) / 3.0
    count = least * until if until < begin else before + third * (until**3 - begin**3)
    number = np.arange(int(count) + 1)
    return np.where(number < before, number / least, np.cbrt(begin**3 + np.maximum(number - before, 0.0) / third))


def _even(noise: np.ndarray, sample_rate: int) -> np.ndarray:
    """White noise (n,) whose octave bands fluctuate less than by chance, so that short frames hold their energy.

    Each band is divided by its own envelope and the spectrum made white again, three times (after J.
    Pumplin, Low-noise noise, J. Acoust. Soc. Am. 78, 1985). Only the bands up to 1 kHz, where frames are
    short for the band.
    """
    n = len(noise)
    filters = _filters(n, sample_rate)
    bins = np.arange(n // 2 + 1)
    low = np.floor(bins * 2.0 ** (-1 / 24)).astype(int)
    high = np.minimum(np.ceil(bins * 2.0 ** (1 / 24)).astype(int), bins[-1]) + 1
    for _ in range(3):
        spectrum = fft.rfft(noise)
        changed = fft.irfft(spectrum * filters[5:].sum(axis=0), n)
        for band in range(5):
            analytic = np.zeros(n, np.complex64)
            analytic[: n // 2 + 1] = 2.0 * spectrum * filters[band]
            analytic = fft.ifft(analytic)
            envelope = np.abs(analytic)
            envelope /= max(np.sqrt(np.mean(envelope**2)), 1e-12)
            changed += analytic.real / np.maximum(envelope, 0.1)
        spectrum = fft.rfft(changed)
        total = np.concatenate([[0.0], np.cumsum(np.abs(spectrum) ** 2, dtype=np.float64)])
        power = (total[high] - total[low]) / (high - low) / n
        noise = fft.irfft(spectrum / np.sqrt(np.maximum(power, 1e-3)).astype(np.float32), n)
    return noise
