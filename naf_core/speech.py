"""How well speech is understood: the speech transmission index from an energy response."""

from __future__ import annotations

import numpy as np

from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, EnergyResponse

# IEC 60268-16:2020 in the seven octave bands 125 Hz to 8 kHz, which are the last seven of ours.
SPEECH_BANDS = slice(1, 8)
MODULATION_HZ = np.array([0.63, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0, 10.0, 12.5])
# Level of speech in each band relative to its A-weighted level, dB (male speech, table A.2).
SPEECH_DB = np.array([2.9, 2.9, -0.8, -6.8, -12.8, -18.8, -24.8])
# Weights of the bands, and of what two neighbours tell alike (table A.1).
ALPHA = np.array([0.085, 0.127, 0.230, 0.233, 0.309, 0.224, 0.173])
BETA = np.array([0.085, 0.078, 0.065, 0.011, 0.047, 0.095])
# What a band must have to be heard at all, dB (A.2.4).
THRESHOLD_DB = np.array([46.0, 27.0, 12.0, 6.5, 7.5, 8.0, 12.0])

_RANGE_DB = 15.0  # a band tells everything at this ratio of signal to noise, and nothing at its negative


def modulation(response: EnergyResponse) -> tuple[np.ndarray, np.ndarray]:
    """Reflected energy (n, 7) and its modulation spectrum (n, 7, 14) complex of pairs (n,), without the direct sound.

    The spectrum is the Fourier transform of the energy over time, which starts with the earliest possible arrival
    (M. R. Schroeder, Modulation transfer functions: definition and measurement, Acustica 49, 1981, eq. 6), not
    divided by the energy: with the direct sound D, m = |D + spectrum| / (D + energy).
    """
    omega = 2.0 * np.pi * MODULATION_HZ
    ends = np.exp(-1j * omega[:, None] * FRAME_EDGES)
    # Energy is spread evenly over each frame, and dies away exponentially after the last.
    mean = (ends[:, :-1] - ends[:, 1:]) / (1j * omega[:, None] * FRAME_WIDTHS)
    frames = response.energy[..., SPEECH_BANDS, :, 0].astype(np.float64)
    tail = response.tail_energy[..., SPEECH_BANDS]
    rate = np.maximum(-np.asarray(response.tail_slope[..., SPEECH_BANDS], np.float64), 1.0) * np.log(10.0) / 10.0
    spectrum = frames @ mean.T + tail[..., None] * ends[:, -1] / (1.0 + 1j * omega / rate[..., None])
    return frames.sum(axis=-1) + tail, spectrum


def transmission_index(transfer: np.ndarray, signal: np.ndarray, noise: np.ndarray | float = 0.0) -> np.ndarray:
    """Speech transmission index (n,), 0..1.

    ``transfer`` (n, 7, 14) is the modulation transfer of the room, 0..1; ``signal`` (n, 7) the intensity of speech in
    each band, 10^(dB/10), reflections included; ``noise`` (n, 7) that of steady noise. Masking by the band below and
    the threshold of hearing count (IEC 60268-16:2020, A.2.3 to A.2.6).
    """
    total = signal + noise
    masking = np.zeros_like(total)
    masking[:, 1:] = total[:, :-1] * 10.0 ** (_masking_db(total[:, :-1]) / 10.0)
    threshold = 10.0 ** (THRESHOLD_DB / 10.0)
    heard = transfer * (signal / (total + masking + threshold))[..., None]
    heard = np.clip(heard, 1e-9, 1.0 - 1e-9)
    ratio = np.clip(10.0 * np.log10(heard / (1.0 - heard)), -_RANGE_DB, _RANGE_DB)
    index = ((ratio + _RANGE_DB) / (2.0 * _RANGE_DB)).mean(axis=-1)
    shared = np.sqrt(index[:, :-1] * index[:, 1:])
    return np.clip(index @ ALPHA - shared @ BETA, 0.0, 1.0)


def speech_intensity(level: np.ndarray | float) -> np.ndarray:
    """Intensity (..., 7) of speech, 10^(dB/10) in each band, at the A-weighted ``level`` (...) in dB."""
    return 10.0 ** ((np.asarray(level, np.float64)[..., None] + SPEECH_DB) / 10.0)


def _masking_db(intensity: np.ndarray) -> np.ndarray:
    """How far a band's sound masks the next one, in dB relative to its own level (IEC 60268-16:2020, table A.3)."""
    level = 10.0 * np.log10(np.maximum(intensity, 1e-12))
    slopes = [0.5 * level - 65.0, 1.8 * level - 146.9, 0.5 * level - 59.8]
    return np.select([level < 63.0, level < 67.0, level < 100.0], slopes, -10.0)
