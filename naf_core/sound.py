"""Sound files, and how loud a sound is: samples are sound pressure in pascals.

A sample value of 1 is a sound pressure of 1 Pa, so a signal whose root mean square is 1 has 94 dB
(FULL_SCALE_SPL). A voice of 70 dB(A) at 1 m thus lies 24 dB below full scale.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy import fft, signal

from naf_core.bands import BAND_EDGES_HZ, N_BANDS, a_weighting
from naf_core.errors import UserError

REFERENCE_PRESSURE = 20e-6  # Pa
FULL_SCALE_SPL = 20.0 * math.log10(1.0 / REFERENCE_PRESSURE)  # dB of a signal with root mean square 1: 93.98

MAX_MINUTES = 30.0  # mono at 48 kHz this is 350 MB
SAMPLE_RATES = (4000, 384_000)  # Hz, of files that are read
ACTIVE_MARGIN = 15.9  # dB, ITU-T P.56
BLOCK = 0.125  # s, the time weighting "fast"

_SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
_MOST_WAV = 2**32 - 2**16  # bytes of samples; sizes in a WAV file have 32 bits
_WRITE_BLOCK = 1 << 18
_MAX_BOOST = 50.0  # dB by which the level of a sound may exceed its A-weighted level


def read_sound(path: str | Path, sample_rate: int, object_name: str | None = None) -> np.ndarray:
    """Read an audio file as one channel, (n,) float32, at ``sample_rate`` in Hz.

    Any format, rate and number of channels that libsndfile reads; channels are averaged. ``object_name`` is
    who needs the file, for messages. Raises UserError when the file is missing, unreadable, empty, longer
    than MAX_MINUTES, or has samples that are not finite numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"The sound file {path} is missing: choose another file, or put it back.", object_name)
    try:
        with soundfile.SoundFile(path) as file:
            rate, frames = file.samplerate, file.frames
            if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
                raise UserError(f"The sound file {path} has {rate} samples a second: convert it to 48000.", object_name)
            if frames > MAX_MINUTES * 60.0 * rate:
                raise UserError(
                    f"The sound file {path} lasts {frames / rate / 60.0:.0f} minutes: cut it to"
                    f" {MAX_MINUTES:g} minutes or less.",
                    object_name,
                )
            limit = int(MAX_MINUTES * 60.0 * rate)
            parts, count = [], 0
            while len(block := file.read(1 << 18, dtype="float32", always_2d=True)):
                count += len(block)
                if count > limit:  # the header may have claimed less
                    raise UserError(
                        f"The sound file {path} is longer than {MAX_MINUTES:g} minutes: cut it.", object_name
                    )
                parts.append(block.mean(axis=1, dtype=np.float32))
    except (soundfile.SoundFileError, OSError) as error:
        raise UserError(
            f"The sound file {path} cannot be read ({error}): convert it to WAV or FLAC.", object_name
        ) from error
    if not count:
        raise UserError(f"The sound file {path} is empty: choose a file with sound in it.", object_name)
    samples = np.concatenate(parts)
    if not np.isfinite(samples).all():
        raise UserError(f"The sound file {path} has samples that are not finite numbers: export it again.", object_name)
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate, quality="VHQ")
    return np.ascontiguousarray(samples, dtype=np.float32)


def write_sound(
    path: str | Path, samples: np.ndarray, sample_rate: int, subtype: str = "PCM_24", mask: int = 0
) -> None:
    """Write ``samples`` (n,) or (n, channels) to ``path``, whose suffix names the format (.wav, .flac).

    ``subtype`` is PCM_16 (with triangular dither), PCM_24 or FLOAT. A WAV file of more than two channels says where
    they belong (``mask``, see `layouts.Layout`; 0 for nowhere), and one of more than 4 GB becomes RF64 (EBU Tech 3306).
    The file appears under its name only when it is complete. Raises UserError when the folder cannot be
    written, when libsndfile cannot write such a file, and when samples beyond ±1 would be clipped (see
    `mixing.mix`).
    """
    path = Path(path)
    samples = np.asarray(samples)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if not np.isfinite(samples).all():
        raise ValueError("samples that are not finite numbers cannot be written")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > 1.0 and subtype not in ("FLOAT", "DOUBLE"):
        raise UserError(
            f"{path.name} would be clipped: its peak is {20.0 * math.log10(peak):+.1f} dB over full scale."
            " Scale the sound down, or write 32-bit floating point."
        )
    kind = path.suffix.lstrip(".").upper()
    channels = samples.shape[1]
    if kind == "WAV":
        size = len(samples) * channels * _SAMPLE_BYTES.get(subtype, 8)
        kind = "RF64" if size > _MOST_WAV else "WAVEX" if channels > 2 else "WAV"
    part = path.with_name(path.name + ".part")
    dither = np.random.default_rng(0) if subtype == "PCM_16" else None
    try:
        with soundfile.SoundFile(part, "w", sample_rate, channels, subtype, format=kind) as file:
            for start in range(0, len(samples), _WRITE_BLOCK):
                block = samples[start : start + _WRITE_BLOCK]
                file.write(block if dither is None else _dithered(block, dither))
        if kind in ("WAVEX", "RF64") and channels > 2:
            _set_mask(part, mask)
        os.replace(part, path)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written ({error}): choose another folder or file name.") from error


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


def octave_spectrum(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Share of a sound's energy in each octave band, (8,) float64 with the sum 1.

    ``samples`` (n,). Bands have ideal edges (IEC 61260-1:2014); what lies outside them does not count. A
    silent sound has equal shares.
    """
    frequency, power = _frequencies(sample_rate), 0.0
    for blocks in _power_blocks(samples, sample_rate):
        power = power + blocks.sum(axis=0)
    # Power is spread over the width of each bin, so that a band edge may fall within one.
    width = frequency[1]
    cumulative = np.concatenate([[0.0], np.cumsum(power)])
    edges = np.append(frequency - 0.5 * width, frequency[-1] + 0.5 * width)
    bands = np.diff(np.interp(BAND_EDGES_HZ, edges, cumulative))
    total = bands.sum()
    return bands / total if total > 0.0 else np.full(N_BANDS, 1.0 / N_BANDS)


def active_level(samples: np.ndarray, sample_rate: int) -> float:
    """A-weighted level in dB re 20 µPa of a sound while it is active, -inf for silence.

    ``samples`` (n,) in pascals, n at least 1. Blocks of 125 ms count when they lie at most 15.9 dB below
    the level of those that count, as the speech level of ITU-T P.56 (2011) is defined; so pauses do not
    lower the level.
    """
    weight = 10.0 ** (a_weighting(np.maximum(_frequencies(sample_rate), 1.0)) / 10.0)
    energy = np.concatenate([blocks @ weight for blocks in _power_blocks(samples, sample_rate)])
    duration = _coverage(len(samples), sample_rate)
    level = energy / duration
    # The more of the loudest blocks count, the lower their level: take the most for which the margin still
    # holds.
    order = np.argsort(-level)
    mean = np.cumsum(energy[order]) / np.cumsum(duration[order])
    active = level[order] >= mean * 10.0 ** (-ACTIVE_MARGIN / 10.0)
    mean_square = mean[np.flatnonzero(active)[-1]]
    return 10.0 * math.log10(mean_square) + FULL_SCALE_SPL if mean_square > 0.0 else -math.inf


def a_weighted_calibration(samples: np.ndarray, sample_rate: int, level: float) -> float:
    """Factor that gives a sound the active A-weighted level ``level`` in dB re 20 µPa, 0 for a silent sound.

    ``samples`` (n,) in any unit. The plain level ends at most 50 dB above ``level``, so that a sound of
    next to nothing but infrasound stays within reason.
    """
    heard = active_level(samples, sample_rate)
    mean_square = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    if mean_square <= 0.0:
        return 0.0
    plain = 10.0 * math.log10(mean_square) + FULL_SCALE_SPL
    return 10.0 ** ((level - max(heard, plain - _MAX_BOOST)) / 20.0)


def true_peak(samples: np.ndarray) -> float:
    """Largest absolute value of (n,) or (n, channels) between the samples too, by fourfold oversampling.

    ITU-R BS.1770-5 (2023), annex 2, with a longer filter.
    """
    samples = np.asarray(samples, dtype=np.float32)
    samples = samples[:, None] if samples.ndim == 1 else samples
    peak = float(np.abs(samples).max(initial=0.0))
    block, margin = 1 << 16, 64
    for start in range(0, len(samples), block):
        part = samples[max(start - margin, 0) : start + block + margin]
        # Fourfold oversampling rarely adds 6 dB: quiet blocks cannot hold the peak.
        if 2.0 * np.abs(part).max() > peak:
            peak = max(peak, float(np.abs(signal.resample_poly(part, 4, 1, axis=0)).max()))
    return peak


def _hop(sample_rate: int) -> int:
    return max(round(0.5 * BLOCK * sample_rate), 8)


def _frequencies(sample_rate: int) -> np.ndarray:
    """Frequencies (bins,) in Hz of `_power_blocks`."""
    return fft.rfftfreq(2 * _hop(sample_rate), 1.0 / sample_rate)


def _window(sample_rate: int) -> np.ndarray:
    """A sine window, whose squares add up to 1 at half overlap, so that every sample counts the same."""
    hop = _hop(sample_rate)
    return np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)).astype(np.float32)


def _coverage(count: int, sample_rate: int) -> np.ndarray:
    """Part (blocks,) of each block of `_power_blocks` that lies within a sound of ``count`` samples."""
    hop = _hop(sample_rate)
    covered = np.concatenate([[0.0], np.cumsum(np.square(_window(sample_rate), dtype=np.float64))]) / hop
    first = (np.arange(-(-count // hop) + 1) - 1) * hop
    return covered[np.clip(count - first, 0, 2 * hop)] - covered[np.clip(-first, 0, 2 * hop)]


def _power_blocks(samples: np.ndarray, sample_rate: int) -> Iterator[np.ndarray]:
    """Power spectra (blocks, bins) in blocks of 125 ms, half overlapping; a block's sum is its energy over the hop."""
    hop, window = _hop(sample_rate), _window(sample_rate)
    scale = np.full(hop + 1, 1.0 / hop**2)
    scale[[0, -1]] *= 0.5
    count = -(-len(samples) // hop) + 1
    for first in range(0, count, 256):
        start, stop = (first - 1) * hop, min(first + 256, count) * hop
        chunk = np.asarray(samples[max(start, 0) : stop], dtype=np.float32)
        chunk = np.pad(chunk, (max(-start, 0), stop - max(start, 0) - len(chunk)))
        blocks = np.lib.stride_tricks.sliding_window_view(chunk, 2 * hop)[::hop]
        yield np.square(np.abs(fft.rfft(blocks * window, axis=1)), dtype=np.float64) * scale
