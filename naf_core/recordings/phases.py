"""Phases for magnitudes that come without them."""

from __future__ import annotations

import numpy as np

from naf_core.recordings.evennoise import even_noise
from naf_core.recordings.spectrogram import HOP, magnitudes, spectra, waveform

PHASES = ("random", "griffin-lim", "even", "direct")
_ROUNDS = 32
_DIRECT = 20.0  # amplitude of the direct sound over that of the noise after it


def with_phases(logarithms: np.ndarray, n_samples: int, arrivals: np.ndarray, phase: str, seed: int) -> np.ndarray:
    """Responses (n, channels, n_samples) float32 of log-magnitudes (n, channels, BINS, frames).

    ``phase`` is "random": drawn for each value, as published; "griffin-lim": these, made consistent in 32 rounds (D. W.
    Griffin, J. S. Lim 1984); "even": those of even noise from the direct sounds at samples ``arrivals`` (n,) on; or
    "direct": those of an impulse there with even noise after it.
    """
    size = magnitudes(logarithms)
    rng = np.random.default_rng(seed)
    if phase in ("random", "griffin-lim"):
        turn = np.exp(1j * rng.uniform(0.0, 2.0 * np.pi, size.shape)).astype(np.complex64)
        result = waveform(size * turn, n_samples)
        for _ in range(_ROUNDS if phase == "griffin-lim" else 0):
            result = waveform(size * _turns(spectra(result)), n_samples)
        return result
    model = np.zeros((*size.shape[:2], n_samples), np.float32)
    for row, arrival in zip(model, arrivals, strict=True):
        for channel, part in enumerate(row):
            part[arrival:] = even_noise(n_samples, seed + channel)[: max(n_samples - arrival, 0)]
            if phase == "direct":
                part[arrival : arrival + 1] = _DIRECT
    result = waveform(size * _turns(spectra(model)), n_samples)
    for row, arrival in zip(result, arrivals, strict=True):
        row[:, : max(int(arrival) - HOP // 4, 0)] = 0.0  # nothing arrives before the direct sound
    return result


def _turns(spectrum: np.ndarray) -> np.ndarray:
    """``spectrum`` with all magnitudes 1."""
    return spectrum / np.maximum(np.abs(spectrum), 1e-12)
