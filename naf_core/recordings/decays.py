"""What recordings hold, as energies: of the direct sound and, by octave band and frame, of what is reflected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft

from naf_core.bands import BANDS_HZ, N_BANDS
from naf_core.carriers import octave_filters
from naf_core.errors import UserError
from naf_core.measured import fit_decay
from naf_core.response import FRAME_EDGES, N_FRAMES

BEFORE, AFTER, FADE = 0.001, 0.0025, 0.0005  # s around its arrival that count as direct sound, and fade out
_RINGING = 0.2  # s that octave filters may ring before and after
_LEAST = 1e-12


@dataclass(frozen=True)
class Decays:
    """Energies of N recordings relative to a unit impulse, by octave band.

    ``direct`` (N, 8), ``reflected`` (N, 8, N_FRAMES) in the frames after the direct sound, and ``rate`` (N, 8) of the
    late decay in 1/s. What noise hides continues the decay before it.
    """

    direct: np.ndarray
    reflected: np.ndarray
    rate: np.ndarray


def direct_window(sample_rate: int) -> np.ndarray:
    """Weights (n,) of the direct sound: its arrival lies round(BEFORE * sample_rate) samples after the first."""
    flat, fade = round((BEFORE + AFTER) * sample_rate), max(round(FADE * sample_rate), 1)
    return np.append(np.ones(flat, np.float32), np.cos(0.5 * np.pi * (np.arange(fade) + 0.5) / fade) ** 2)


def usable_bands(sample_rate: int) -> np.ndarray:
    """Whether the centre of each octave band, (8,) bool, lies below half the sample rate."""
    return np.asarray(BANDS_HZ) < 0.45 * sample_rate


def read_decays(
    responses: np.ndarray, direct: np.ndarray, sample_rate: int, progress: Callable[[float], None] | None = None
) -> Decays:
    """Energies of ``responses`` (N, channels, n), the mean of their channels, with direct sounds at samples ``direct``.

    Bands above half the sample rate take after the highest below it. Raises UserError when no decay is found.
    """
    count, _, samples = responses.shape
    pad = round(_RINGING * sample_rate)
    n_fft = fft.next_fast_len(samples + 2 * pad, real=True)
    filters = octave_filters(n_fft, sample_rate).astype(np.float32)
    unit = 2.0 / n_fft * np.square(filters, dtype=np.float64).sum(axis=1)
    unit = np.where(usable_bands(sample_rate), unit, np.inf)
    energy_direct, rate = np.zeros((count, N_BANDS)), np.full((count, N_BANDS), np.nan)
    reflected = np.zeros((count, N_BANDS, N_FRAMES))
    for row in range(count):
        weights = _direct_and_reflected(samples, int(direct[row]), sample_rate)
        parts = responses[row][:, None] * weights  # channels, 2, n
        spectrum = fft.rfft(np.pad(parts, ((0, 0), (0, 0), (pad, n_fft - samples - pad))))
        power = np.square(fft.irfft(spectrum[:, :, None] * filters, n_fft), dtype=np.float64).mean(axis=0)
        power /= unit[:, None]
        energy_direct[row] = power[0].sum(axis=-1)
        first = pad + int(direct[row])
        for band in np.flatnonzero(usable_bands(sample_rate)):
            reflected[row, band], rate[row, band] = _frames(power[1, band], first, pad + samples, sample_rate)
        if progress is not None:
            progress((row + 1) / count)
    return _completed(energy_direct, reflected, rate)


def read_whole(responses: np.ndarray, direct: np.ndarray, sample_rate: int) -> np.ndarray:
    """Energies (N, N_FRAMES) of the whole reflected sound, without filters, as `read_decays` has those of bands.

    In sums of squared samples, the mean of the channels.
    """
    samples, result = responses.shape[-1], []
    for response, start in zip(responses, direct, strict=True):
        reflected = _direct_and_reflected(samples, int(start), sample_rate)[1]
        power = np.square(response * reflected, dtype=np.float64).mean(axis=0)
        result.append(_frames(power, int(start), samples, sample_rate)[0])
    return np.maximum(result, _LEAST)


def _direct_and_reflected(samples: int, direct: int, sample_rate: int) -> np.ndarray:
    """Weights (2, samples) float32 of a direct sound that arrives at the sample ``direct``, and of what follows."""
    window, before = direct_window(sample_rate), round(BEFORE * sample_rate)
    start = max(direct - before, 0)
    weights = np.zeros((2, samples), np.float32)
    inside = window[max(before - direct, 0) :][: samples - start]
    weights[0, start : start + len(inside)] = inside
    weights[1, start:] = 1.0 - weights[0, start:]
    return weights


def _frames(power: np.ndarray, first: int, end: int, sample_rate: int) -> tuple[np.ndarray, float]:
    """Energies (N_FRAMES,) of one band from sample ``first`` on, and the rate of its decay, NaN where there is none.

    What rings before the first sample counts as the first frame. Noise is subtracted up to the crossing; beyond it
    stands the fitted decay.
    """
    decay = fit_decay(power[first:end], sample_rate)
    total = np.concatenate([[0.0], np.cumsum(power)])
    edge = np.minimum(FRAME_EDGES, (end - first) / sample_rate if decay is None else decay.crossing)
    at = np.minimum(first + np.round(edge * sample_rate).astype(int), len(power))
    found = np.diff(total[at])
    found[0] = total[at[1]]
    if decay is None:
        return found, np.nan
    clear = np.maximum(found - decay.noise * np.diff(edge) * sample_rate, 1e-3 * found)
    late = np.exp(-decay.rate * np.maximum(FRAME_EDGES, decay.crossing))
    return clear + decay.power * sample_rate / decay.rate * -np.diff(late), decay.rate


def _completed(direct: np.ndarray, reflected: np.ndarray, rate: np.ndarray) -> Decays:
    """The decays with what is missing taken from the band's other recordings, and from the band below."""
    known = np.isfinite(rate)
    if not known.any():
        raise UserError("No decay was found in the recordings: they are noise, or hold the direct sound only.")
    for band in range(N_BANDS):
        if known[:, band].any():
            rate[:, band] = np.where(known[:, band], rate[:, band], np.median(rate[known[:, band], band]))
    for band in np.flatnonzero(~known.any(axis=0)):
        like = np.flatnonzero(known.any(axis=0))
        like = like[np.abs(like - band).argmin()]
        rate[:, band], reflected[:, band], direct[:, band] = rate[:, like], reflected[:, like], direct[:, like]
    return Decays(np.maximum(direct, _LEAST), np.maximum(reflected, _LEAST), rate)
