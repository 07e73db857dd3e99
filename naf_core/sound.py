"""Sound files, and how loud a sound is: samples are sound pressure in pascals.

A sample value of 1 is a sound pressure of 1 Pa, so a signal whose root mean square is 1 has 94 dB
(FULL_SCALE_SPL). A voice of 70 dB(A) at 1 m thus lies 24 dB below full scale.
"""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from scipy import fft

from naf_core.bands import BAND_EDGES_HZ, N_BANDS, a_weighting
from naf_core.errors import UserError

REFERENCE_PRESSURE = 20e-6  # Pa
FULL_SCALE_SPL = 20.0 * math.log10(1.0 / REFERENCE_PRESSURE)  # dB of a signal with root mean square 1: 93.98

SAMPLE_RATES = (4000, 384_000)  # Hz, of files that are read
ACTIVE_MARGIN = 15.9  # dB, ITU-T P.56
BLOCK = 0.125  # s, the time weighting "fast"

_SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
_MOST_WAV = 2**32 - 2**16  # bytes of samples; sizes in a WAV file have 32 bits
_WRITE_BLOCK = 1 << 18
_PEAK_MARGIN = 64  # samples that are looked at again with the next
_PEAK_TAPS, _PEAK_BLOCK = 10, 16  # samples to either side that make what lies between two; samples done at once
_MAX_BOOST = 50.0  # dB by which the level of a sound may exceed its A-weighted level


def write_sound(
    path: str | Path, samples: np.ndarray, sample_rate: int, subtype: str = "PCM_24", mask: int = 0
) -> None:
    """Write ``samples`` (n,) or (n, channels) to ``path`` (see `SoundWriter`)."""
    samples = np.asarray(samples)
    samples = samples[:, None] if samples.ndim == 1 else samples
    with SoundWriter(Path(path), sample_rate, samples.shape[1], len(samples), subtype, mask) as writer:
        for start in range(0, len(samples), _WRITE_BLOCK):
            writer.add(samples[start : start + _WRITE_BLOCK])


class SoundWriter:
    """A sound file of ``channels`` that is written block by block to ``path``, whose suffix names the format.

    ``subtype`` is PCM_16 (with triangular dither), PCM_24 or FLOAT. A WAV file of more than two channels says where
    they belong (``mask``, see `layouts.Layout`; 0 for nowhere), and one of more than 4 GB becomes RF64 (EBU Tech 3306),
    so ``length`` in samples has to be known before. The file appears under its name when the ``with`` block ends well;
    otherwise nothing stays behind. Raises UserError when the folder cannot be written or is full, when libsndfile
    cannot write such a file, and when samples beyond ±1 would be clipped (see `mixing`).
    """

    def __init__(
        self, path: Path, sample_rate: int, channels: int, length: int, subtype: str = "PCM_24", mask: int = 0
    ) -> None:
        self.path, self._part = path, path.with_name(path.name + ".part")
        self._clips, self._mask = subtype not in ("FLOAT", "DOUBLE"), mask
        self._dither = np.random.default_rng(0) if subtype == "PCM_16" else None
        kind = path.suffix.lstrip(".").upper()
        if kind == "WAV":
            size = length * channels * _SAMPLE_BYTES.get(subtype, 8)
            kind = "RF64" if size > _MOST_WAV else "WAVEX" if channels > 2 else "WAV"
        self._masked = kind in ("WAVEX", "RF64") and channels > 2
        try:
            self._file = soundfile.SoundFile(self._part, "w", sample_rate, channels, subtype, format=kind)
        except (soundfile.SoundFileError, OSError, ValueError) as error:
            self._part.unlink(missing_ok=True)
            raise self._unwritable(error) from error

    def __enter__(self) -> SoundWriter:
        return self

    def add(self, samples: np.ndarray) -> None:
        """Write the next ``samples`` (n, channels)."""
        if not np.isfinite(samples).all():
            raise ValueError("samples that are not finite numbers cannot be written")
        peak = float(np.abs(samples).max(initial=0.0))
        if peak > 1.0 and self._clips:
            raise UserError(
                f"{self.path.name} would be clipped: its peak is {20.0 * math.log10(peak):+.1f} dB over full scale."
                " Scale the sound down, or write 32-bit floating point."
            )
        try:
            self._file.write(samples if self._dither is None else _dithered(samples, self._dither))
        except (soundfile.SoundFileError, OSError) as error:
            raise self._unwritable(error) from error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            frames = self._file.frames
            self._file.close()
            if kind is None:
                if soundfile.info(self._part).frames != frames:
                    raise OSError("the disk is full")
                if self._masked:
                    _set_mask(self._part, self._mask)
                os.replace(self._part, self.path)
        except (soundfile.SoundFileError, OSError, ValueError) as error:
            if kind is None:
                raise self._unwritable(error) from error
        finally:
            self._part.unlink(missing_ok=True)

    def _unwritable(self, error: Exception) -> UserError:
        return UserError(
            f"{self.path} cannot be written ({error}): make room on the disk, or choose another folder or file name."
        )


def _dithered(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``samples`` with triangular noise of one step of 16 bits to either side, so that fading tails do not crackle.

    Silence stays silent (S. P. Lipshitz, R. A. Wannamaker and J. Vanderkooy, Quantization and dither: a theoretical
    survey, J. Audio Eng. Soc. 40, 1992).
    """
    noise = (rng.random(samples.shape) - rng.random(samples.shape)) * 2.0**-15
    return np.clip(samples + np.where(samples != 0.0, noise, 0.0), -1.0, 1.0 - 2.0**-15)


def _set_mask(path: Path, mask: int) -> None:
    """Write where the channels belong into the format chunk of a WAV or RF64 file, which libsndfile only guesses."""
    with path.open("r+b") as file:
        head = file.read(4096)
        chunk = head.index(b"fmt ") + 8
        if head[chunk : chunk + 2] != b"\xfe\xff":
            raise ValueError("the file has no place for the positions of its channels")
        file.seek(chunk + 20)
        file.write(mask.to_bytes(4, "little"))


class Content:
    """What a sound holds, gathered block by block: `add` all of it in order, then `finish`.

    Power is taken in blocks of 125 ms, half overlapping, under a sine window, whose squares add up to 1: so every
    sample counts the same.
    """

    def __init__(self, sample_rate: int) -> None:
        self._hop = max(round(0.5 * BLOCK * sample_rate), 8)
        self._frequency = fft.rfftfreq(2 * self._hop, 1.0 / sample_rate)
        self._window = np.sin(np.pi * (np.arange(2 * self._hop) + 0.5) / (2 * self._hop)).astype(np.float32)
        self._weight = 10.0 ** (a_weighting(np.maximum(self._frequency, 1.0)) / 10.0)
        self._left = np.zeros(self._hop, np.float32)  # samples that have not been in two blocks yet
        self._power = np.zeros(len(self._frequency))
        self._energies: list[np.ndarray] = []  # A-weighted, of the blocks
        self._square, self._count = 0.0, 0

    def add(self, samples: np.ndarray) -> None:
        """The next ``samples`` (n,) in pascals."""
        self._count += len(samples)
        exact = np.asarray(samples, np.float64)
        self._square += float(exact @ exact)
        self._take(samples)

    def finish(self) -> None:
        """No more samples come."""
        self._take(np.zeros(-self._count % self._hop + self._hop, np.float32))

    def _take(self, samples: np.ndarray) -> None:
        """Blocks of what is left over from before and ``samples``; a block's sum is its energy over the hop."""
        hop = self._hop
        samples = np.concatenate([self._left, np.asarray(samples, np.float32)])
        count = max(len(samples) // hop - 1, 0)
        scale = np.full(hop + 1, 1.0 / hop**2)
        scale[[0, -1]] *= 0.5
        for first in range(0, count, 256):
            last = min(first + 256, count)
            blocks = np.lib.stride_tricks.sliding_window_view(samples[first * hop : (last + 1) * hop], 2 * hop)[::hop]
            found = fft.rfft(blocks * self._window, axis=1)
            power = np.square(found.real, dtype=np.float64)
            power += np.square(found.imag, dtype=np.float64)
            power *= scale
            self._power += np.ones(len(power)) @ power
            self._energies.append(power @ self._weight)
        self._left = samples[count * hop :]

    @property
    def silent(self) -> bool:
        """Whether nothing is heard at all."""
        return self._square <= 0.0

    @property
    def spectrum(self) -> np.ndarray:
        """Share of the energy in each octave band, (8,) float64 with the sum 1; equal shares of silence.

        Bands have ideal edges (IEC 61260-1:2014); what lies outside them does not count.
        """
        # Power is spread over the width of each bin, so that a band edge may fall within one.
        width = self._frequency[1]
        cumulative = np.concatenate([[0.0], np.cumsum(self._power)])
        edges = np.append(self._frequency - 0.5 * width, self._frequency[-1] + 0.5 * width)
        bands = np.diff(np.interp(BAND_EDGES_HZ, edges, cumulative))
        total = bands.sum()
        return bands / total if total > 0.0 else np.full(N_BANDS, 1.0 / N_BANDS)

    @property
    def level(self) -> float:
        """A-weighted level in dB re 20 µPa while it is active, -inf for silence.

        Blocks of 125 ms count when they lie at most 15.9 dB below the level of those that count, as the speech level of
        ITU-T P.56 (2011) is defined; so pauses do not lower the level.
        """
        energy = np.concatenate(self._energies)
        duration = self._coverage()
        level = energy / duration
        # The more of the loudest blocks count, the lower their level: take the most for which the margin still
        # holds.
        order = np.argsort(-level)
        mean = np.cumsum(energy[order]) / np.cumsum(duration[order])
        active = level[order] >= mean * 10.0 ** (-ACTIVE_MARGIN / 10.0)
        mean_square = mean[np.flatnonzero(active)[-1]]
        return 10.0 * math.log10(mean_square) + FULL_SCALE_SPL if mean_square > 0.0 else -math.inf

    def _coverage(self) -> np.ndarray:
        """Part (blocks,) of each block that lies within the sound."""
        hop = self._hop
        covered = np.concatenate([[0.0], np.cumsum(np.square(self._window, dtype=np.float64))]) / hop
        first = (np.arange(-(-self._count // hop) + 1) - 1) * hop
        return covered[np.clip(self._count - first, 0, 2 * hop)] - covered[np.clip(-first, 0, 2 * hop)]

    def calibration(self, level: float) -> float:
        """Factor that gives the sound the active A-weighted level ``level`` in dB re 20 µPa, 0 for a silent sound.

        The plain level ends at most 50 dB above ``level``, so that a sound of next to nothing but infrasound stays
        within reason.
        """
        if self.silent:
            return 0.0
        plain = 10.0 * math.log10(self._square / self._count) + FULL_SCALE_SPL
        return 10.0 ** ((level - max(self.level, plain - _MAX_BOOST)) / 20.0)


def content_of(samples: np.ndarray, sample_rate: int) -> Content:
    """What ``samples`` (n,), n at least 1, hold."""
    content = Content(sample_rate)
    content.add(samples)
    content.finish()
    return content


class PeakMeter:
    """The largest absolute value of sound between its samples too, by fourfold oversampling.

    ITU-R BS.1770-5 (2023), annex 2, with a longer filter. `add` all of it in order; ``peak`` counts all but the last 64
    samples until `finish`.
    """

    def __init__(self) -> None:
        self.peak = 0.0
        self._before: np.ndarray | None = None

    def add(self, samples: np.ndarray) -> None:
        """The next ``samples`` (n, channels)."""
        self._look(np.asarray(samples, np.float32))

    def finish(self) -> float:
        """No more samples come; returns the peak."""
        if self._before is not None:
            self._look(np.zeros((2 * _PEAK_MARGIN, self._before.shape[1]), np.float32))
        return self.peak

    def _look(self, samples: np.ndarray) -> None:
        margin = _PEAK_MARGIN
        if self._before is None:
            self._before = np.zeros((2 * margin, samples.shape[1]), np.float32)
        part = np.concatenate([self._before, samples])
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0.0)))
        self._before = part[len(part) - 2 * margin :]
        # Fourfold oversampling rarely adds 6 dB: quiet blocks cannot hold the peak.
        if 2.0 * np.abs(part).max(initial=0.0) > self.peak:
            inner = part[margin - _PEAK_TAPS : len(part) - margin + _PEAK_TAPS]
            short = -(len(inner) - 2 * _PEAK_TAPS) % _PEAK_BLOCK
            padded = np.pad(inner, ((0, short), (0, 0))).T
            windows = np.lib.stride_tricks.sliding_window_view(padded, _PEAK_BLOCK + 2 * _PEAK_TAPS, axis=1)
            between = (np.ascontiguousarray(windows[:, ::_PEAK_BLOCK]) @ _between()).reshape(len(padded), -1, 3)
            between = between[:, : len(part) - 2 * margin]  # what follows is not known yet
            self.peak = max(self.peak, float(np.abs(between).max(initial=0.0)))


@cache
def _between() -> np.ndarray:
    """What takes samples, some at both ends beside, to the three places after each: (samples, places) float32."""
    place = np.arange(-4 * _PEAK_TAPS, 4 * _PEAK_TAPS + 1)
    taps = np.sinc(0.25 * place) * np.kaiser(len(place), 5.0)
    taps = (4.0 * taps / taps.sum()).astype(np.float32)
    result = np.zeros((_PEAK_BLOCK + 2 * _PEAK_TAPS, _PEAK_BLOCK, 3), np.float32)
    for place in range(_PEAK_BLOCK):
        for phase in (1, 2, 3):
            own = taps[phase::4][::-1]  # from the ninth sample before to the tenth after
            result[place + 1 : place + 1 + len(own), place, phase - 1] = own
    return result.reshape(len(result), -1)


def true_peak(samples: np.ndarray) -> float:
    """As `PeakMeter`, of (n,) or (n, channels) samples."""
    samples = np.asarray(samples, dtype=np.float32)
    samples = samples[:, None] if samples.ndim == 1 else samples
    meter = PeakMeter()
    for start in range(0, len(samples), _WRITE_BLOCK):
        meter.add(samples[start : start + _WRITE_BLOCK])
    return meter.finish()
