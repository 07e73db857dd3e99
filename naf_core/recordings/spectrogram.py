"""Short-time spectra of impulse responses as log-magnitudes, as the published neural acoustic field takes them.

A. Luo, Y. Du, M. Tarr, J. Tenenbaum, A. Torralba, C. Gan, "Learning Neural Acoustic Fields", NeurIPS 2022.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

RATE = 22_050  # Hz
WINDOW = 512  # samples
HOP = 128
BINS = WINDOW // 2 + 1
FLOOR = 1e-3  # added to magnitudes before the logarithm

_BATCH = 64  # responses a step: their spectra stay small
_HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def frame_count(n_samples: int) -> int:
    """Frames of the spectrogram of a response of ``n_samples``; the first is centred on sample 0."""
    return n_samples // HOP + 1


def spectra(responses: np.ndarray) -> np.ndarray:
    """Short-time Fourier transform of ``responses`` (..., n): (..., BINS, frames) complex64.

    Periodic Hann window of WINDOW samples, HOP apart; what lies before and after a response is silence.
    """
    responses = np.asarray(responses, np.float32)
    flat = responses.reshape(-1, responses.shape[-1])
    frames = frame_count(flat.shape[1])
    result = np.empty((len(flat), BINS, frames), np.complex64)
    for start in range(0, len(flat), _BATCH):
        part = np.pad(flat[start : start + _BATCH], ((0, 0), (WINDOW // 2, WINDOW // 2)))
        blocks = np.lib.stride_tricks.sliding_window_view(part, WINDOW, axis=1)[:, ::HOP][:, :frames]
        result[start : start + _BATCH] = fft.rfft(blocks * _HANN, axis=-1).swapaxes(1, 2)
    return result.reshape(*responses.shape[:-1], BINS, frames)


def log_magnitudes(responses: np.ndarray) -> np.ndarray:
    """Natural logarithm of the short-time magnitudes plus FLOOR of ``responses`` (..., n): (..., BINS, frames)."""
    return np.log(np.abs(spectra(responses)) + np.float32(FLOOR))


def magnitudes(logarithms: np.ndarray) -> np.ndarray:
    """Magnitudes of which `log_magnitudes` are ``logarithms``, not negative."""
    return np.maximum(np.exp(np.asarray(logarithms, np.float32)) - np.float32(FLOOR), 0.0)


def waveform(spectrum: np.ndarray, n_samples: int) -> np.ndarray:
    """The signal (..., n_samples) float32 whose spectra come nearest to ``spectrum`` (..., BINS, frames).

    Least squares over the overlapping blocks (D. W. Griffin, J. S. Lim, "Signal estimation from modified short-time
    Fourier transform", IEEE Trans. Acoust. Speech Signal Process. 32, 1984, equation 6). Raises ValueError when the
    frames are not those of so many samples.
    """
    spectrum = np.asarray(spectrum)
    frames = frame_count(n_samples)
    if spectrum.shape[-2:] != (BINS, frames):
        raise ValueError(f"{n_samples} samples have {BINS} x {frames} spectral values, not {spectrum.shape[-2:]}")
    flat = spectrum.reshape(-1, BINS, frames)
    # The last frame reaches half a window beyond the last sample but one hop: every sample has weight.
    weight = np.zeros((frames - 1) * HOP + WINDOW)
    for frame in range(frames):
        weight[frame * HOP : frame * HOP + WINDOW] += _HANN.astype(np.float64) ** 2
    inside = slice(WINDOW // 2, WINDOW // 2 + n_samples)
    result = np.empty((len(flat), n_samples), np.float32)
    for start in range(0, len(flat), _BATCH):
        blocks = fft.irfft(flat[start : start + _BATCH].swapaxes(1, 2), WINDOW, axis=-1) * _HANN
        signal = np.zeros((len(blocks), len(weight)), np.float32)
        for frame in range(frames):
            signal[:, frame * HOP : frame * HOP + WINDOW] += blocks[:, frame]
        result[start : start + _BATCH] = signal[:, inside] / weight[inside]
    return result.reshape(*spectrum.shape[:-2], n_samples)
