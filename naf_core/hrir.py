"""Measured head-related impulse responses: a person's own ears from a SOFA file.

Each response becomes a magnitude and a delay, as in the bundled set: see weights/make_hrtf.py for the sources of each
step.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import fft
from scipy.spatial import SphericalVoronoi

from naf_core.errors import UserError
from naf_core.spatial import MAX_DIRECTIONS, Hrtf
from naf_core.store import DAMAGE, read_array

_CONVENTION = "SimpleFreeFieldHRIR"
_MAX_TAPS = 65_536
_MAX_SAMPLES = 1 << 27  # of all responses: 1 GB
_RATES = (8000.0, 384_000.0)  # Hz
_BINS = 512  # of the transform from which magnitudes are taken, at 48 kHz
_OVERSAMPLING, _MARGIN = 8, 16
_SMOOTHING = 1.0 / 6.0  # octaves
_SILENT = (80.0, 250.0)  # Hz: below the first a small head does nothing, and loudspeakers give little


@lru_cache(maxsize=2)
def read_sofa(path: str | Path) -> Hrtf:
    """The ears in a SOFA file of the convention SimpleFreeFieldHRIR (AES69-2022), equalised for a diffuse field.

    Raises UserError when the file is missing, of another convention, damaged, or does not surround the head.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise UserError(f"The HRTF file {path} is missing: choose another SOFA file, or the bundled ears.")
    try:
        with h5py.File(path, "r") as file:
            kind = _text(file.attrs.get("SOFAConventions"))
            if kind != _CONVENTION:
                raise UserError(f"{path} is not a SOFA file of ears ({_CONVENTION}): choose another.")
            rate = read_array(file, "Data.SamplingRate", (1,), 1).astype(np.float64)[0]
            responses = read_array(file, "Data.IR", (None, 2, None), max(MAX_DIRECTIONS, _MAX_TAPS))
            count, _, taps = responses.shape
            if count > MAX_DIRECTIONS or taps > _MAX_TAPS or responses.size > _MAX_SAMPLES or taps < 16:
                raise ValueError(f"Data.IR has the shape {responses.shape}")
            rows = count if len(file["Data.Delay"]) > 1 else 1
            extra = read_array(file, "Data.Delay", (rows, 2), count)
            place = read_array(file, "SourcePosition", (count, 3), count).astype(np.float64)
            cartesian = _text(file["SourcePosition"].attrs.get("Type")) == "cartesian"
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read as a SOFA file: {error}") from error
    responses, extra = responses.astype(np.float64), np.broadcast_to(extra, (count, 2)).astype(np.float64)
    finite = all(np.isfinite(x).all() for x in (responses, extra, place))
    if not (finite and _RATES[0] <= rate <= _RATES[1] and np.abs(extra).max() < _MAX_TAPS):
        raise UserError(f"{path} holds values that are no responses of ears: choose another SOFA file.")
    if not np.abs(responses).max(axis=2).all():
        raise UserError(f"{path} holds silent responses: choose another SOFA file.")
    return _hrtf(_directions(place, cartesian, path), responses, extra / rate, float(rate))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _directions(place: np.ndarray, cartesian: bool, path: Path) -> np.ndarray:
    """Unit vectors (M, 3) to measured sources, in metres or as azimuth, elevation in degrees and distance."""
    if not cartesian:
        azimuth, elevation = np.radians(place[:, :2]).T
        place = np.stack(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], axis=1
        )
    length = np.linalg.norm(place, axis=1, keepdims=True)
    if (length < 1e-6).any():
        raise UserError(f"{path} has a source within the head: choose another SOFA file.")
    return place / length


def _hrtf(directions: np.ndarray, responses: np.ndarray, extra: np.ndarray, rate: float) -> Hrtf:
    """Magnitudes and delays of ``responses`` (M, 2, taps), which ``extra`` (M, 2) in s delays further."""
    # Sets repeat a direction at the poles or at several distances: the first of each counts.
    _, first = np.unique(np.round(directions, 4), axis=0, return_index=True)
    first = np.sort(first)
    directions, responses, extra = directions[first], responses[first], extra[first]
    directions, responses, extra = _closed(directions, responses, extra)
    count, taps = len(directions), responses.shape[2]
    n_fft = fft.next_fast_len(max(4 * taps, round(_BINS * rate / 48_000.0)), real=True)
    onset = _onsets(responses.reshape(-1, taps), rate).reshape(count, 2)

    bins = 2 * round(_BINS * rate / 96_000.0)
    power = np.abs(fft.rfft(responses, n_fft)) ** 2
    power = _smoothed(power.reshape(2 * count, -1), _SMOOTHING).reshape(power.shape)
    frequency = fft.rfftfreq(bins, 1.0 / rate)
    known = fft.rfftfreq(n_fft, 1.0 / rate)
    position = np.interp(frequency, known, np.arange(len(known)))
    low = np.minimum(position.astype(int), len(known) - 2)
    power = power[..., low] * (1.0 - (position - low)) + power[..., low + 1] * (position - low)
    try:
        area = SphericalVoronoi(directions).calculate_areas()
    except ValueError as error:
        raise UserError("The directions of the HRTF set do not surround the head.") from error
    diffuse = np.einsum("n,nef->f", area / area.sum(), power) / 2.0
    decibel = 10.0 * np.log10(np.maximum(power / np.maximum(diffuse, 1e-30), 1e-5))
    octaves = np.log(np.maximum(frequency, 1.0) / _SILENT[0]) / np.log(_SILENT[1] / _SILENT[0])
    decibel *= 0.5 - 0.5 * np.cos(np.pi * np.clip(octaves, 0.0, 1.0))
    # The centre of the head hears at the mean time of all directions.
    delay = onset + extra
    return Hrtf(directions, decibel, delay - np.einsum("n,ne->", area / area.sum(), delay) / 2.0, frequency)


def _closed(
    directions: np.ndarray, responses: np.ndarray, extra: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The set, with one more direction straight below where the floor kept that from being measured.

    It gets the response of the lowest direction: a gap of 60 degrees or more would leave no triangle there.
    """
    if directions[:, 2].min() < -0.95:
        return directions, responses, extra
    lowest = int(directions[:, 2].argmin())
    below = np.array([[0.0, 0.0, -1.0]])
    return (
        np.concatenate([directions, below]),
        np.concatenate([responses, responses[lowest : lowest + 1].mean(axis=1, keepdims=True).repeat(2, axis=1)]),
        np.concatenate([extra, extra[lowest : lowest + 1].mean(axis=1, keepdims=True).repeat(2, axis=1)]),
    )


def _onsets(responses: np.ndarray, rate: float) -> np.ndarray:
    """Delay (n,) in s of each response (n, taps) against its minimum-phase version, up to 3 kHz (Nam et al. 2008)."""
    n = fft.next_fast_len(4 * responses.shape[1], real=True)
    result = np.empty(len(responses))
    frequency = fft.rfftfreq(n, 1.0 / rate)
    band = np.clip((frequency - 100.0) / 200.0, 0.0, 1.0) * np.clip((4000.0 - frequency) / 2000.0, 0.0, 1.0)
    for start in range(0, len(responses), 64):
        spectrum = fft.rfft(responses[start : start + 64], n)
        floor = 1e-5 * np.abs(spectrum).max(axis=1, keepdims=True)
        cepstrum = fft.irfft(np.log(np.maximum(np.abs(spectrum), floor)), n)
        cepstrum[:, 1 : (n + 1) // 2] *= 2.0
        cepstrum[:, n // 2 + 1 :] = 0.0
        reference = np.exp(fft.rfft(cepstrum))
        # Moved by a few samples, so that a response that starts at once has its peak within.
        correlation = fft.irfft(band * spectrum * np.conj(reference), _OVERSAMPLING * n)
        correlation = np.roll(correlation, _MARGIN * _OVERSAMPLING, axis=1)
        peak = correlation[:, 1 : _OVERSAMPLING * (responses.shape[1] + _MARGIN)].argmax(axis=1) + 1
        rows = np.arange(len(peak))
        left, centre, right = (correlation[rows, peak + k] for k in (-1, 0, 1))
        vertex = 0.5 * (left - right) / np.minimum(left - 2.0 * centre + right, -1e-30)
        result[start : start + len(peak)] = ((peak + vertex) / _OVERSAMPLING - _MARGIN) / rate
    return result


def _smoothed(power: np.ndarray, width: float) -> np.ndarray:
    """Power spectra (n, bins) averaged over ``width`` octaves around each bin."""
    bins = np.arange(power.shape[1])
    low = np.floor(bins * 2.0 ** (-0.5 * width)).astype(int)
    high = np.minimum(np.ceil(bins * 2.0 ** (0.5 * width)).astype(int), bins[-1])
    total = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    return (total[:, high + 1] - total[:, low]) / (high + 1 - low)
