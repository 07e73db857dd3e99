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

# The first reflections are single events, later ones a dense field: up to the first time the noise is sparse,
# from the second it is dense. In a room of 100 m³ a thousand reflections a second arrive after 14 ms.
_DENSE = (0.010, 0.050)  # s
_PULSE_RATE = 1000.0  # 1/s

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

    ``sample_rate`` in Hz; ``duration`` in seconds from emission to the last arrival; ``latest_onset`` in
    seconds from emission to the latest of the earliest arrivals, at most ``duration``, its default;
    ``seed`` any integer. Responses of neighbouring positions take the same noise at the same time after
    emission and differ only in their envelopes, so that one fades into the next without cancellation.
    ``low`` (carriers, 4, n / thin) are the bands up to 500 Hz at the low rate (see `Span`), ``dense`` (carriers, 4, n)
    those from 1 kHz on, ``sparse`` (carriers, 4, m) the same for first reflections: below 1 kHz a band cannot resolve
    the pulses. All are float32 and have unit power as white noise; the carriers are OMNI, ALONG, and from AROUND on
    one for each channel of ambisonics of ``order`` (1 to 3) but W. Those of a lower order are the same, so W, Y, Z and
    X do not depend on ``order``.
    """

    def __init__(
        self, sample_rate: int, duration: float, seed: int, latest_onset: float | None = None, order: int = 1
    ) -> None:
        self.sample_rate, self.order = sample_rate, order
        rng = np.random.default_rng(seed)
        thin = thinning(sample_rate)
        n, m = (
            thin * fft.next_fast_len(max(int(np.ceil(seconds * sample_rate)), 4096) // thin + 1, real=True)
            for seconds in (duration, min(duration if latest_onset is None else latest_onset, duration) + _DENSE[1])
        )
        channels = (order + 1) ** 2
        noise = rng.standard_normal((5, n), dtype=np.float32)
        more = np.random.default_rng((seed, 1)).standard_normal((channels - 4, n), dtype=np.float32)
        noise = np.concatenate([noise, more])
        noise[OMNI] = _even(noise[OMNI], sample_rate)
        self.low = np.stack([split_bands(row, sample_rate, slice(LOW), thin) for row in noise])
        self.dense = np.stack([split_bands(row, sample_rate, slice(LOW, None)) for row in noise])
        pulses = _pulses(m, sample_rate, order, rng)
        self.sparse = np.stack([split_bands(row, sample_rate, slice(LOW, None)) for row in pulses])
        self.power = np.square(_filters(n, sample_rate), dtype=np.float64).mean(axis=1)

    @property
    def channels(self) -> int:
        """How many ambisonic channels there are."""
        return (self.order + 1) ** 2

    def cut(self, span: Span, arrival: int) -> tuple[np.ndarray, np.ndarray]:
        """Carriers within a ``span``, at the low rate (carriers, 4, m) and at the full one (carriers, 4, n).

        They are those of a response whose earliest possible arrival is at the sample ``arrival``.
        """
        start = span.start
        high = self.dense[:, :, start : start + span.length].copy()
        sparse = max(min(span.length, arrival + int(_DENSE[1] * self.sample_rate) - start), 0)
        time = (start - arrival + np.arange(sparse)) / self.sample_rate
        mix = 0.5 * np.pi * np.clip((time - _DENSE[0]) / (_DENSE[1] - _DENSE[0]), 0.0, 1.0)
        early = high[:, :, : len(mix)]
        early *= np.sin(mix).astype(np.float32)
        early += np.cos(mix).astype(np.float32) * self.sparse[:, :, start : start + len(mix)]
        return self.low[:, :, span.low].copy(), high


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


def _pulses(n: int, sample_rate: int, order: int, rng: np.random.Generator) -> np.ndarray:
    """Sparse carriers ((order + 1)² + 1, n) of unit power: single plane waves at random times (velvet noise).

    One pulse falls into each of equal cells (H. Järveläinen and M. Karjalainen, Reverberation modeling
    using velvet noise, AES 30th Conference, 2007). Their directions come in sixes, along both ways of three
    axes, so that even a few of them are evenly around.
    """
    cell = sample_rate / _PULSE_RATE
    count = int(n / cell)
    first = np.arange(count) * cell
    omni, along = (np.minimum((first + cell * rng.random(count)).astype(int), n - 1) for _ in range(2))
    axes = np.linalg.qr(rng.standard_normal((count // 6 + 1, 3, 3)))[0]
    direction = np.stack([axes, -axes], axis=2).reshape(-1, 3)[:count]
    result = np.zeros(((order + 1) ** 2 + 1, n), np.float32)
    sign = np.sqrt(cell) * rng.choice([-1.0, 1.0], count)
    np.add.at(result[OMNI], omni, sign)
    np.add.at(result[ALONG], along, np.sqrt(cell) * rng.choice([-1.0, 1.0], count))
    waves = encode(direction, order)[1:] * np.sqrt(2.0 * degrees(order)[1:, None] + 1.0)
    for carrier, wave in zip(result[AROUND:], waves, strict=True):
        np.add.at(carrier, omni, sign * wave)
    return result
