"""How far answered responses are from recorded ones: spectra, decay, clarity, cepstra.

Everything is read alike from all methods and from the recordings. Decay times, early decay and clarity are read from
the whole sound, as comparisons of learned fields do, and again in octaves from 125 Hz to 4 kHz as the mean of their
errors (ISO 3382-1:2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from naf_core.measured import fit_decay, measured_parameters, schroeder
from naf_core.recordings.spectrogram import BINS, FLOOR, RATE, WINDOW, log_magnitudes, magnitudes
from naf_core.response import decay_time

# Unit of each figure, and what it is called in tables.
FIGURES = {
    "spectral": "spectral error",
    "spectral_wave": "of the waveform",
    "t60_percent": "T60 %",
    "edt_ms": "EDT ms",
    "c50_db": "C50 dB",
    "t60_octaves_percent": "T60 oct. %",
    "edt_octaves_ms": "EDT oct. ms",
    "c50_octaves_db": "C50 oct. dB",
    "mse": "MSE",
    "mfcc": "MFCC",
}

_OCTAVES = slice(1, 7)  # 125 Hz to 4 kHz
_BEFORE = 0.001  # s of the direct sound
_T60_RANGE = (-5.0, -25.0, 30.0)  # dB from, to, and what the peak has to stand above noise or end
_EDT_RANGE = (0.0, -10.0, 20.0)
_EARLY = 0.050  # s
_MEL_BANDS, _CEPSTRA = 40, 13


@dataclass(frozen=True)
class RoomFigures:
    """T60, EDT (s) and C50 (dB) of n responses: of the whole sound (n,) and in octaves (n, 6); NaN where none is."""

    t60: np.ndarray
    edt: np.ndarray
    c50: np.ndarray
    t60_octaves: np.ndarray
    edt_octaves: np.ndarray
    c50_octaves: np.ndarray


def room_figures(responses: np.ndarray, sample_rate: int, direct: np.ndarray) -> RoomFigures:
    """Read ``responses`` (n, channels, samples), whose direct sounds lie at the samples ``direct`` (n,).

    Channels are averaged. T60 is the slope from -5 to -25 dB (T20) of the noise-corrected Schroeder curve.
    """
    whole, octaves = [], []
    for response, start in zip(responses, direct, strict=True):
        rows = [_whole_sound(row, sample_rate, int(start)) for row in response]
        bands = [_in_octaves(row, sample_rate, int(start)) for row in response]
        whole.append(np.mean(rows, axis=0))
        octaves.append(np.mean(bands, axis=0))
    return RoomFigures(*np.array(whole).T, *np.array(octaves).transpose(1, 0, 2))


def _whole_sound(response: np.ndarray, sample_rate: int, direct: int) -> tuple[float, float, float]:
    """T60, EDT and C50 of one response without filters."""
    power = np.square(response[max(direct - round(_BEFORE * sample_rate), 0) :].astype(np.float64))
    decay = fit_decay(power, sample_rate)
    if decay is None:
        return (np.nan,) * 3
    curve = schroeder(power, sample_rate, decay)
    edges = np.arange(len(curve)) / sample_rate
    times = [
        float(decay_time(curve, low, high, edges=edges)) if decay.range >= needed else np.nan
        for low, high, needed in (_T60_RANGE, _EDT_RANGE)
    ]
    late = curve[min(round((_EARLY + _BEFORE) * sample_rate), len(curve) - 1)]
    early = curve[0] - late
    return *times, 10.0 * float(np.log10(early / late)) if early > 0.0 < late else np.nan


def _in_octaves(response: np.ndarray, sample_rate: int, direct: int) -> np.ndarray:
    """T20, EDT and C50 (3, 6) of one response in octaves."""
    if not response.any():
        return np.full((3, 6), np.nan)
    found = measured_parameters(response, sample_rate, direct)
    return np.stack([found[key][_OCTAVES] for key in ("T20_s", "EDT_s", "C50_dB")])


def room_errors(found: RoomFigures, true: RoomFigures) -> tuple[dict[str, float], dict[str, int]]:
    """Mean errors, and how many figures are missing in ``found`` that the recordings have.

    Missing ones are not in the means; what the recordings themselves do not have is not asked for.
    """
    errors, failures = {}, {}
    for name, unit, scale in (("t60", "percent", 100.0), ("edt", "ms", 1000.0), ("c50", "db", 1.0)):
        for part in ("", "_octaves"):
            have, want = getattr(found, name + part), getattr(true, name + part)
            difference = np.abs(have / want - 1.0) if unit == "percent" else np.abs(have - want)
            failures[f"{name}{part}_{unit}"] = int((np.isfinite(want) & ~np.isfinite(have)).sum())
            usable = np.isfinite(difference)
            errors[f"{name}{part}_{unit}"] = scale * float(difference[usable].mean()) if usable.any() else np.nan
    return errors, failures


def spectral_errors(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Errors of log-magnitudes ``found`` against ``true``, (..., BINS, frames).

    ``spectral``: mean absolute difference, natural logarithm (Luo et al. 2022); ``mse``: mean squared difference;
    ``mfcc``: mean Euclidean distance of 13 mel-cepstral coefficients, frame by frame, in dB.
    """
    difference = np.asarray(found, np.float32) - true
    distance = np.linalg.norm(cepstra(found) - cepstra(true), axis=-2)
    return {
        "spectral": float(np.abs(difference).mean(dtype=np.float64)),
        "mse": float(np.square(difference).mean(dtype=np.float64)),
        "mfcc": float(distance.mean(dtype=np.float64)),
    }


def cepstra(logarithms: np.ndarray) -> np.ndarray:
    """Mel-cepstral coefficients (..., 13, frames) in dB of log-magnitudes (..., BINS, frames), without the level.

    40 triangular bands of equal width in mel (S. Davis, P. Mermelstein, IEEE Trans. Acoust. Speech Signal Process. 28,
    1980), logarithm of their power, orthonormal cosine transform; coefficients 1 to 13.
    """
    power = np.square(magnitudes(logarithms))
    bands = np.einsum("mb,...bf->...mf", _mel_bands(), power)
    return fft.dct(10.0 * np.log10(bands + FLOOR**2), axis=-2, norm="ortho")[..., 1 : _CEPSTRA + 1, :]


def _mel_bands() -> np.ndarray:
    """Weights (40, BINS) of triangular mel bands from 0 Hz to half the sample rate; each has a bin at least."""
    top = 2595.0 * np.log10(1.0 + 0.5 * RATE / 700.0)
    corners = 700.0 * (10.0 ** (np.linspace(0.0, top, _MEL_BANDS + 2) / 2595.0) - 1.0)
    frequency = np.arange(BINS) * RATE / WINDOW
    # Low bands are narrower than a bin: triangles are widened to its width.
    half = np.maximum(np.stack([np.diff(corners)[:-1], np.diff(corners)[1:]]), RATE / WINDOW)
    below = (frequency - corners[1:-1, None]) / half[0][:, None]
    above = (frequency - corners[1:-1, None]) / half[1][:, None]
    return np.clip(np.where(below < 0.0, 1.0 + below, 1.0 - above), 0.0, None).astype(np.float32)


def level_free(responses: np.ndarray) -> np.ndarray:
    """``responses`` (n, channels, samples) with the energy 1 each, for sets whose levels are lost."""
    energy = np.square(responses, dtype=np.float64).sum(axis=(1, 2), keepdims=True)
    return (responses / np.sqrt(np.maximum(energy, 1e-30))).astype(np.float32)


def level_free_logarithms(logarithms: np.ndarray) -> np.ndarray:
    """Log-magnitudes (n, channels, BINS, frames) as of responses with the energy 1 each."""
    size = magnitudes(logarithms)
    # Twice the bins but those at the ends, over the energy that each sample has in all windows together.
    bins = np.full((BINS, 1), 2.0)
    bins[[0, -1]] = 1.0
    energy = (np.square(size, dtype=np.float64) * bins).sum(axis=(1, 2, 3), keepdims=True) / _SPECTRAL_ENERGY
    return np.log(size / np.sqrt(np.maximum(energy, 1e-30)) + FLOOR).astype(np.float32)


def spectrogram_of(responses: np.ndarray, levels_known: bool) -> np.ndarray:
    """Log-magnitudes of ``responses``, of the energy 1 each where levels are not known."""
    return log_magnitudes(responses if levels_known else level_free(responses))


# Energy of the spectra of a signal over that of the signal: WINDOW times the sum of squares of overlapping windows.
_SPECTRAL_ENERGY = WINDOW * 1.5
