"""From energies to a waveform and to expected spectrograms: even noise under envelopes, and the direct sound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft, special

from naf_core.bands import BANDS_HZ, N_BANDS
from naf_core.carriers import band_filters, octave_filters
from naf_core.recordings.decays import AFTER, BEFORE, direct_window, usable_bands
from naf_core.recordings.evennoise import even_noise
from naf_core.recordings.spectrogram import BINS, FLOOR, HOP, WINDOW, spectra
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, N_FRAMES

_MIDDLES = FRAME_EDGES[:-1] + 0.5 * FRAME_WIDTHS
_EXACT = (0.5, 2.0)  # amplitude by which a frame of noise may be put right
SETTLED = 24  # frames whose energy is put right, up to half a second
LARGEST_STEP = 0.7  # natural logarithm of energy by which they are
COLOURS = (-6.3, 2.0)  # natural logarithm of amplitude
_STEP = {"colour": 0.05, "background": 0.15, "settling": LARGEST_STEP / 127.0}  # in which they are stored
_LONGEST, _MOST_CHANNELS = 3_000_000, 64
_STEPS = int(np.argmin(np.abs(FRAME_EDGES - 0.08)))  # frames that are too short to have a slope
_STEEPEST = 200.0  # 1/s, of decays within a frame
_RINGING = 1024  # samples around the direct sound over which its bands ring
_LEAST = 1e-20
_EARLY, _LATE = 0.03, 0.25  # s after emission, between which colour changes


@dataclass(frozen=True)
class Voice:
    """How energies sound: what all responses of a room, as it was recorded, have in common.

    ``colour`` (2, BINS) is the logarithmic gain of amplitudes over frequency within the octaves, early and late (see
    `lateness`). ``sound`` (channels, m) is the direct sound at 1 m, which arrives round(BEFORE * sample_rate) samples
    after its first. ``settling`` (8, frames) is the logarithm by which energies of the first frames are raised so that
    octave filters read what is wanted. ``background`` (BINS,) is the logarithm of the short-time magnitudes of the
    recordings' noise. Responses have ``n_samples`` at ``sample_rate`` Hz.
    """

    n_samples: int
    sample_rate: int
    colour: np.ndarray
    sound: np.ndarray
    settling: np.ndarray
    background: np.ndarray
    seed: int = 0

    def respond(
        self, direct: np.ndarray, reflected: np.ndarray, arrivals: np.ndarray, noisy: bool = False
    ) -> np.ndarray:
        """Responses (n, channels, n_samples) with energies ``direct`` (n, 8) and ``reflected`` (n, 8, N_FRAMES).

        Float32. The direct sound is at the samples ``arrivals`` (n,), from which frames count; ``noisy`` adds the
        background.
        """
        result = self.direct_sounds(direct, arrivals)
        for row, energy, arrival in zip(result, reflected, arrivals, strict=True):
            if arrival < self.n_samples:
                envelope = self._envelope(energy, self.n_samples - int(arrival))
                for channel, carrier in enumerate(self._carriers):
                    row[channel, arrival:] += self._exact(carrier[..., arrival:], envelope)
        return result + self._noise if noisy else result

    def log_magnitudes(
        self, direct: np.ndarray, reflected: np.ndarray, arrivals: np.ndarray, noisy: bool = False
    ) -> np.ndarray:
        """Median of `spectrogram.log_magnitudes` of recordings with these energies, (n, channels, BINS, frames).

        Reflected sound and noise are taken as Gaussian, so a magnitude with the direct sound in it is Rice-distributed.
        """
        known, chance = self.powers(direct, reflected, arrivals)
        noise = np.exp(2.0 * self.background)[:, None] if noisy else 0.0
        return np.log(_median(known, (chance + noise)[:, None]) + FLOOR).astype(np.float32)

    def powers(self, direct: np.ndarray, reflected: np.ndarray, arrivals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Short-time power of direct sound (n, channels, BINS, frames) and of what is reflected (n, BINS, frames)."""
        known = np.square(np.abs(spectra(self.direct_sounds(direct, arrivals))))
        colour = np.exp(2.0 * self._colours(lateness(np.arange(known.shape[-1]) * HOP / self.sample_rate)))
        window = np.square(np.hanning(WINDOW + 1)[:-1]).astype(np.float32)
        chance = np.full((len(known), BINS, known.shape[-1]), _LEAST)
        for row, energy, arrival in zip(chance, reflected, arrivals, strict=True):
            if arrival < self.n_samples:
                power = np.zeros((N_BANDS, self.n_samples + WINDOW), np.float32)
                envelope = np.square(self._envelope(energy, self.n_samples - int(arrival)))
                power[:, WINDOW // 2 + arrival : WINDOW // 2 + self.n_samples] = envelope
                blocks = np.lib.stride_tricks.sliding_window_view(power, WINDOW, axis=1)[:, ::HOP]
                row += np.einsum("bft,bt->ft", colour, blocks[:, : row.shape[-1]] @ window)
        return known, chance

    def direct_sounds(self, direct: np.ndarray, arrivals: np.ndarray) -> np.ndarray:
        """The direct sounds alone, (n, channels, n_samples) float32."""
        bands, power = self._sound_bands
        gains = np.sqrt(direct / power).astype(np.float32)
        sounds = np.einsum("nb,bcm->ncm", gains, bands)
        result = np.zeros((len(direct), len(self.sound), self.n_samples), np.float32)
        for row, sound, arrival in zip(result, sounds, arrivals, strict=True):
            first = int(arrival) - round(BEFORE * self.sample_rate) - _RINGING
            start, stop = max(first, 0), min(first + sound.shape[-1], self.n_samples)
            if stop > start:
                row[:, start:stop] = sound[:, start - first : stop - first]
        return result

    def _envelope(self, energy: np.ndarray, length: int) -> np.ndarray:
        """Amplitudes (8, length) float32 of noise that has unit power as white noise, from the direct sound on."""
        energy = energy.astype(np.float64).copy()
        energy[:, : self.settling.shape[1]] *= np.exp(self.settling)
        level = np.log(np.maximum(energy / FRAME_WIDTHS / self.sample_rate, _LEAST))
        slope = np.zeros_like(level)
        late = _STEPS
        slope[:, late:] = np.clip(np.gradient(level[:, late - 1 :], _MIDDLES[late - 1 :], axis=1)[:, 1:], -_STEEPEST, 0)
        half = 0.5 * np.maximum(-slope * FRAME_WIDTHS, 1e-6)
        level -= np.log(np.sinh(half) / half)  # so that the frame holds its energy whatever the slope
        frame, since = self._clock
        frame, since = frame[:length], since[:length]
        result = np.exp(0.5 * (level.astype(np.float32)[:, frame] + slope.astype(np.float32)[:, frame] * since))
        # Nothing is reflected while the direct sound lasts: the rest of the first frame holds its energy.
        quiet = round(AFTER * self.sample_rate)
        result[:, :quiet] = 0.0
        result[:, frame == 0] *= np.float32(np.sqrt(1.0 / (1.0 - AFTER / FRAME_WIDTHS[0])))
        return result

    def _exact(self, carrier: np.ndarray, envelope: np.ndarray) -> np.ndarray:
        """Sum (length,) of ``carrier`` (8, length) under ``envelope``, whose energy each frame gets exactly."""
        shaped = carrier * envelope
        frame = self._clock[0][: shaped.shape[1]]
        starts = np.flatnonzero(np.diff(frame, prepend=-1))
        has = np.add.reduceat(np.square(shaped), starts, axis=1)
        wants = np.add.reduceat(np.square(envelope), starts, axis=1) * self._power[:, None]
        gain = np.clip(np.sqrt(wants / np.maximum(has, _LEAST)), *_EXACT)
        return (shaped * np.repeat(gain, np.diff(np.append(starts, shaped.shape[1])), axis=1)).sum(axis=0)

    def packed(self) -> tuple[dict[str, int], dict[str, np.ndarray]]:
        """What `unpacked` makes the voice of: numbers, and small arrays."""
        settings = {"n_samples": self.n_samples, "sample_rate": self.sample_rate, "seed": self.seed}
        arrays = {name: np.round(getattr(self, name) / step) for name, step in _STEP.items()}
        arrays = {name: np.clip(values, -127, 127).astype(np.int8) for name, values in arrays.items()}
        return settings, arrays | {"sound": self.sound.astype(np.float16)}

    @classmethod
    def unpacked(cls, settings: dict[str, int], arrays: dict[str, np.ndarray]) -> Voice:
        """The voice that `packed` gave; raises KeyError, TypeError or ValueError when it is something else."""
        values = {name: arrays[name].astype(np.float32) * np.float32(step) for name, step in _STEP.items()}
        sound = arrays["sound"].astype(np.float32)
        numbers = [settings[name] for name in ("n_samples", "sample_rate", "seed")]
        for number, (low, high) in zip(numbers, ((1, _LONGEST), (1000, 400_000), (0, 2**32)), strict=True):
            if not isinstance(number, int) or not low <= number <= high:
                raise ValueError(f"{number!r} is not {low} to {high}")
        shapes = {"colour": (2, BINS), "settling": (N_BANDS, SETTLED), "background": (BINS,)}
        if any(values[name].shape != shape for name, shape in shapes.items()) or sound.ndim != 2:
            raise ValueError("its arrays have other shapes")
        if not 0 < len(sound) <= _MOST_CHANNELS or not np.isfinite(sound).all():
            raise ValueError("its direct sound is not of some channels of finite numbers")
        return cls(
            numbers[0], numbers[1], values["colour"], sound, values["settling"], values["background"], numbers[2]
        )

    @cached_property
    def _clock(self) -> tuple[np.ndarray, np.ndarray]:
        """Frame of each sample after the direct sound, and its time in s from the frame's middle."""
        time = np.arange(self.n_samples) / self.sample_rate
        frame = np.minimum(np.searchsorted(FRAME_EDGES, time, side="right") - 1, N_FRAMES - 1)
        return frame, (time - _MIDDLES[frame]).astype(np.float32)

    @cached_property
    def _power(self) -> np.ndarray:
        """Power (8,) of a band of white noise of unit power."""
        return np.square(bands_of_all(self.n_samples, self.sample_rate)).mean(axis=1).astype(np.float32)

    @cached_property
    def _carriers(self) -> np.ndarray:
        """Bands of coloured even noise (channels, 8, n_samples) float32, of the power of white noise throughout."""
        filters = bands_of_all(self.n_samples, self.sample_rate)
        bins = np.linspace(0.0, BINS - 1.0, filters.shape[1])
        late = lateness(np.arange(self.n_samples) / self.sample_rate).astype(np.float32)
        result = np.zeros((len(self.sound), N_BANDS, self.n_samples), np.float32)
        for channel, bands in enumerate(result):
            spectrum = fft.rfft(even_noise(self.n_samples, self.seed + channel))
            for share, colour in zip((1.0 - late, late), self.colour, strict=True):
                gain = np.exp(np.interp(bins, np.arange(BINS), colour))
                coloured = fft.irfft(spectrum * (filters * gain).astype(np.float32), self.n_samples)
                power = np.square(coloured).mean(axis=1)
                bands += share * coloured * np.sqrt(self._power / np.maximum(power, _LEAST))[:, None]
        return result

    @cached_property
    def _noise(self) -> np.ndarray:
        """The background as noise, (channels, n_samples) float32."""
        bins = np.linspace(0.0, BINS - 1.0, self.n_samples // 2 + 1)
        gain = np.exp(np.interp(bins, np.arange(BINS), self.background))
        noise = [even_noise(self.n_samples, self.seed + len(self.sound) + k) for k in range(len(self.sound))]
        gain = gain / np.sqrt(np.square(np.hanning(WINDOW + 1)).sum())
        return fft.irfft(fft.rfft(np.stack(noise)) * gain, self.n_samples).astype(np.float32)

    def _colours(self, late: np.ndarray) -> np.ndarray:
        """Half the logarithm of a band's power over that of white noise, (8, BINS, n), where `lateness` is ``late``."""
        filters = np.square(bands_of_all(WINDOW, self.sample_rate))
        coloured = filters * np.exp(2.0 * self.colour)[:, None]
        coloured *= filters.sum(axis=1)[:, None] / np.maximum(coloured.sum(axis=2, keepdims=True), _LEAST)
        early, end = (0.5 * np.log(np.maximum(c, _LEAST))[..., None] for c in coloured)
        return early + (end - early) * late

    @cached_property
    def _sound_bands(self) -> tuple[np.ndarray, np.ndarray]:
        """Octave bands (8, channels, m + 2 * _RINGING) of the direct sound, and the energies (8,) that filters read."""
        sound = np.pad(self.sound.astype(np.float64), ((0, 0), (_RINGING, _RINGING)))
        length = sound.shape[1]
        spectrum = fft.rfft(sound)
        bands = fft.irfft(spectrum * bands_of_all(length, self.sample_rate)[:, None], length)
        filters = octave_filters(length, self.sample_rate)
        unit = np.maximum(2.0 / length * np.square(filters).sum(axis=1), _LEAST)
        read = np.square(fft.irfft(spectrum * filters[:, None], length)).sum(axis=-1).mean(axis=1) / unit
        return bands.astype(np.float32), np.maximum(read, _LEAST)


def lateness(time: np.ndarray) -> np.ndarray:
    """How far on ``time`` in s after emission is between early, 0, and late, 1."""
    return np.clip((time - _EARLY) / (_LATE - _EARLY), 0.0, 1.0)


def bands_of_all(n_fft: int, sample_rate: int) -> np.ndarray:
    """Gains (8, n_fft // 2 + 1) of the octave bands, the outer ones going on to the ends: their sum is 1 everywhere."""
    filters = band_filters(n_fft, sample_rate)
    rest = 1.0 - filters.sum(axis=0)
    low = fft.rfftfreq(n_fft, 1.0 / sample_rate) < BANDS_HZ[0]
    top = int(np.flatnonzero(usable_bands(sample_rate))[-1])
    filters[0] += np.where(low, rest, 0.0)
    filters[top] += np.where(low, 0.0, rest) + filters[top + 1 :].sum(axis=0)
    filters[top + 1 :] = 0.0
    return filters


def _median(known: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Median magnitude of a sum of a known spectrum and a Gaussian one, of powers ``known`` and ``chance``.

    The mean of the logarithm of such a power is log(known) + E1(known / chance); by chance alone the median lies above.
    """
    ratio = np.maximum(known / chance, 1e-6)
    mean = np.log(ratio * chance) + special.exp1(ratio)
    return np.exp(0.5 * (mean + (np.euler_gamma + np.log(np.log(2.0))) / (1.0 + ratio)))


def mean_sound(responses: np.ndarray, arrivals: np.ndarray, distances: np.ndarray, sample_rate: int) -> np.ndarray:
    """The direct sound at 1 m, (channels, m): the mean of what arrives in ``responses`` (N, channels, n)."""
    window, before = direct_window(sample_rate), round(BEFORE * sample_rate)
    padded = np.pad(responses, ((0, 0), (0, 0), (before, len(window))))
    parts = [row[:, a : a + len(window)] * d for row, a, d in zip(padded, arrivals, distances, strict=True)]
    return (np.mean(parts, axis=0) * window).astype(np.float32)
