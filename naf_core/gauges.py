"""Gauges: what a map reads off the responses at its lattice, and makes of it at each texel.

Reflected sound varies slowly and is read at the lattice, into channels that can be interpolated; the direct sound is
exact at every texel. Energies are relative to the free field at 1 m, as in `EnergyResponse`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from naf_core.bands import A_WEIGHTING_DB
from naf_core.quantities import MID_BANDS
from naf_core.response import FRAME_EDGES, EnergyResponse
from naf_core.speech import MODULATION_HZ, SPEECH_BANDS, modulation, speech_intensity, transmission_index

_NOTHING_DB = -100.0
_EARLY = int(np.argmin(np.abs(FRAME_EDGES - 0.050)))  # frames before 50 ms


class Gauge(Protocol):
    """How one quantity is read and made."""

    def read(self, response: EnergyResponse) -> np.ndarray:
        """Channels (n, c) of pairs (n,), NaN where there is nothing to read."""

    def make(self, channels: np.ndarray, direct: np.ndarray, power: float) -> np.ndarray:
        """Values (m,) of the quantity from interpolated ``channels`` (m, c) and ``direct`` (m, 8) energy.

        ``power`` is 10^(dB(A)/10) of the source at 1 m.
        """


class Energy:
    """Energy weighted by band, in total: what levels are made of. ``weights`` (8,)."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = np.asarray(weights, np.float64)

    def read(self, response: EnergyResponse) -> np.ndarray:
        """As `Gauge` says."""
        return decibel(np.maximum(response.total - response.direct, 0.0) @ self.weights)[:, None]

    def make(self, channels: np.ndarray, direct: np.ndarray, power: float) -> np.ndarray:
        """As `Gauge` says."""
        return power * (10.0 ** (channels[:, 0] / 10.0) + direct @ self.weights)


class EarlyToLate:
    """C50 in dB, or with ``share`` D50, as the mean over ``bands`` (ISO 3382-1:2009, A.2.4)."""

    def __init__(self, bands: tuple[int, ...], share: bool) -> None:
        self.bands, self.share = list(bands), share

    def read(self, response: EnergyResponse) -> np.ndarray:
        """As `Gauge` says."""
        frames = response.energy[..., 0][:, self.bands].astype(np.float64)
        early = frames[..., :_EARLY].sum(axis=-1)
        late = frames[..., _EARLY:].sum(axis=-1) + response.tail_energy[:, self.bands]
        return decibel(np.concatenate([early, late], axis=1))

    def make(self, channels: np.ndarray, direct: np.ndarray, power: float) -> np.ndarray:
        """As `Gauge` says."""
        early, late = np.split(10.0 ** (channels / 10.0), 2, axis=1)
        early = early + direct[:, self.bands]
        return (early / (early + late) if self.share else 10.0 * np.log10(early / late)).mean(axis=1)


class Decay:
    """T30 in s as the mean over ``bands``, with the direct sound as it is at the lattice."""

    def __init__(self, bands: tuple[int, ...]) -> None:
        self.bands = list(bands)

    def read(self, response: EnergyResponse) -> np.ndarray:
        """As `Gauge` says."""
        return response.parameters()["T30_s"][:, self.bands].mean(axis=1, keepdims=True)

    def make(self, channels: np.ndarray, direct: np.ndarray, power: float) -> np.ndarray:
        """As `Gauge` says."""
        return channels[:, 0]


class Speech:
    """STI of a voice as loud as the source, with steady ``noise`` in dB(A) of the same spectrum, or None."""

    def __init__(self, noise: float | None) -> None:
        self.noise = 0.0 if noise is None else speech_intensity(noise)

    def read(self, response: EnergyResponse) -> np.ndarray:
        """As `Gauge` says."""
        energy, spectrum = modulation(response)
        share = (spectrum / np.maximum(energy, 1e-30)[..., None]).reshape(len(energy), -1)
        return np.concatenate([decibel(energy), share.real, share.imag], axis=1)

    def make(self, channels: np.ndarray, direct: np.ndarray, power: float) -> np.ndarray:
        """As `Gauge` says."""
        direct = direct[:, SPEECH_BANDS]
        bands = direct.shape[1]
        real, imaginary = np.split(channels[:, bands:], 2, axis=1)
        reflected = 10.0 ** (channels[:, :bands] / 10.0)
        shape = (len(channels), bands, len(MODULATION_HZ))
        spectrum = reflected[..., None] * (real + 1j * imaginary).reshape(shape)
        total = direct + reflected
        transfer = np.abs(direct[..., None] + spectrum) / np.maximum(total, 1e-30)[..., None]
        voice = speech_intensity(10.0 * np.log10(max(power, 1e-30)))
        return transmission_index(transfer, voice * total, self.noise)


def gauge_of(quantity: str, band: int | None, noise: float | None) -> Gauge | None:
    """The gauge of one of QUANTITIES in octave ``band``, or over bands; None for levels: these need the sound's."""
    bands = MID_BANDS if band is None else (band,)
    if quantity == "level":
        return None
    if quantity == "STI":
        return Speech(noise)
    return Decay(bands) if quantity == "T30" else EarlyToLate(bands, share=quantity == "D50")


def level_weights(spectrum: np.ndarray, band: int | None) -> np.ndarray:
    """Weights (8,) that make a level, in dB(A) or plainly in one octave ``band``, of a source's ``spectrum``.

    ``spectrum`` (8,) is A-weighted and adds up to 1.
    """
    if band is None:
        return spectrum
    plain = spectrum / 10.0 ** (np.array(A_WEIGHTING_DB) / 10.0)
    return np.where(np.arange(len(plain)) == band, plain, 0.0)


def decibel(energy: np.ndarray) -> np.ndarray:
    """Energy in dB, -100 dB at least."""
    return 10.0 * np.log10(np.maximum(energy, 10.0 ** (_NOTHING_DB / 10.0)))
