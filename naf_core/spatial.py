"""Hearing with two ears: head-related transfer functions at any direction, and decoding ambisonics with them.

Directions are unit vectors in the head's axes: x forward, y left, z up. Time counts from the arrival at the
centre of the head. The transfer functions are diffuse-field equalised: averaged over all directions each
ear hears the power that would be there without a head, so that neither the direct sound nor the
reverberation is coloured.
"""

from __future__ import annotations

import struct
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from scipy import fft
from scipy.spatial import SphericalVoronoi

from naf_core.ambisonics import encode
from naf_core.bands import EXACT_BANDS_HZ
from naf_core.bundled import HRTF, bundled_file
from naf_core.errors import UserError
from naf_core.panning import Triangulation

_FORMAT = "acoustic-fields hrtf 1"
MAX_DIRECTIONS, _MAX_FREQUENCIES = 20_000, 5_000
_FILTER_DURATION = 256 / 48000  # s, of a minimum-phase filter

_DECODER_DURATION = 512 / 48000  # s
_PHASE_LIMIT = 1500.0  # Hz, above which the ear goes by level and a decoder may choose the phase
_PAIR_DIRECTIONS = 800
_SPEED = 343.2  # m/s at 20 degrees


class Hrtf:
    """A set of head-related transfer functions as magnitudes and delays of both ears.

    ``directions`` (N, 3) unit vectors all around; ``magnitude_db`` (N, 2, F) of the left and right ear at ``frequency``
    (F,) in Hz; ``delay`` (N, 2) in s against the centre of the head. The phase is that of a minimum-phase system and
    the delay (D. J. Kistler and F. L. Wightman, A model of head-related transfer functions based on principal
    components analysis and minimum-phase reconstruction, J. Acoust. Soc. Am. 91, 1992). Two microphones side by side
    are such a set too. Above ``phase_limit`` in Hz a decoder keeps no phase. Raises UserError on values that cannot be
    one.
    """

    def __init__(
        self,
        directions: np.ndarray,
        magnitude_db: np.ndarray,
        delay: np.ndarray,
        frequency: np.ndarray,
        phase_limit: float = _PHASE_LIMIT,
    ) -> None:
        directions, magnitude_db, delay, frequency = (
            np.asarray(x, dtype=np.float64) for x in (directions, magnitude_db, delay, frequency)
        )
        count, bins = len(directions), len(frequency)
        if not (4 <= count <= MAX_DIRECTIONS and 2 <= bins <= _MAX_FREQUENCIES):
            raise UserError(f"An HRTF set of {count} directions and {bins} frequencies is of no use here.")
        shapes = directions.shape, magnitude_db.shape, delay.shape, frequency.shape
        if shapes != ((count, 3), (count, 2, bins), (count, 2), (bins,)):
            raise UserError(f"The HRTF set has arrays of shapes that do not match: {shapes}.")
        if not all(np.isfinite(x).all() for x in (directions, magnitude_db, delay, frequency)):
            raise UserError("The HRTF set has values that are not finite numbers.")
        if (np.diff(frequency) <= 0).any() or np.abs(magnitude_db).max() > 200 or np.abs(delay).max() > 0.01:
            raise UserError("The HRTF set has frequencies, magnitudes or delays out of range.")
        if np.abs(np.linalg.norm(directions, axis=1) - 1.0).max() > 1e-3:
            raise UserError("The directions of the HRTF set are not unit vectors.")
        self.directions, self.magnitude_db, self.delay, self.frequency = directions, magnitude_db, delay, frequency
        self._phase_limit = phase_limit
        self._decoders: dict[int, tuple[np.ndarray, int]] = {}
        self._known_spectra: dict[int, np.ndarray] = {}
        try:
            self._triangulation = Triangulation(directions)
        except ValueError as error:
            raise UserError("The directions of the HRTF set do not surround the head.") from error

    @classmethod
    def load(cls, path: str | Path | None = None) -> Hrtf:
        """Read a set written by weights/make_hrtf.py, the bundled one by default; raises UserError when damaged."""
        path = bundled_file(HRTF) if path is None else Path(path)
        try:
            with safe_open(path, framework="numpy") as file:
                if (file.metadata() or {}).get("format") != _FORMAT:
                    raise UserError(f"{path} is not an HRTF set of this tool.")
                names = "directions", "magnitude_db", "delay", "frequency"
                directions, magnitude_db, delay, frequency = (file.get_tensor(name) for name in names)
        except (SafetensorError, OSError, ValueError, TypeError, struct.error) as error:
            raise UserError(f"{path} cannot be read as an HRTF set ({error}): install the tool again.") from error
        if directions.ndim != 2 or not len(directions) == len(magnitude_db) == len(delay):
            raise UserError(f"The HRTF set {path} has arrays of shapes that do not match: install the tool again.")
        # The file holds the left ear of a symmetrical head: the right ear is its mirror image.
        opposite = np.argmax((directions * (1.0, -1.0, 1.0)) @ directions.T, axis=1)
        pairs = (np.stack([left, left[opposite]], axis=1) for left in (magnitude_db, delay))
        return cls(directions, *pairs, frequency)

    def weights(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The three neighbours (n, 3) of each direction (n, 3), and their weights (n, 3), which sum to 1."""
        index, weights = self._triangulation.weights(directions)
        return index, weights / weights.sum(axis=1, keepdims=True)

    def delays(self, directions: np.ndarray) -> np.ndarray:
        """Delays (n, 2) in s of both ears at any ``directions`` (n, 3)."""
        index, weights = self.weights(directions)
        return np.einsum("nk,nke->ne", weights, self.delay[index])

    def at(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Magnitudes (n, 2, F) in dB and delays (n, 2) in s at any ``directions`` (n, 3), left and right ear."""
        index, weights = self.weights(directions)
        delay = np.einsum("nk,nke->ne", weights, self.delay[index])
        return np.einsum("nk,nkef->nef", weights, self.magnitude_db[index]), delay

    def filters(
        self, directions: np.ndarray, sample_rate: int, band_db: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Minimum-phase filters (n, 2, taps) float32 and the delays (n, 2) in s that go with them.

        ``band_db`` (n, 8): a further gain by octave band, in dB.
        """
        index, weights = self.weights(directions)
        spectrum = self._spectra(sample_rate)
        wanted = sum(
            weights[:, corner, None, None].astype(np.float32) * spectrum[index[:, corner]] for corner in range(3)
        )
        if band_db is not None:
            wanted += (np.asarray(band_db, np.float32) @ _band_spectra(sample_rate))[:, None]
        return _impulses(wanted), np.einsum("nk,nke->ne", weights, self.delay[index])

    def _spectra(self, sample_rate: int) -> np.ndarray:
        """Minimum-phase spectra (N, 2, taps + 1) of the set (see `_minimum_phase_spectra`), made once for a rate."""
        if sample_rate not in self._known_spectra:
            target = fft.rfftfreq(2 * filter_length(sample_rate), 1.0 / sample_rate)
            flat = self.magnitude_db.reshape(-1, len(self.frequency))
            spectra = _minimum_phase_spectra(_resample_spectrum(flat, self.frequency, target))
            self._known_spectra[sample_rate] = spectra.reshape(*self.magnitude_db.shape[:2], -1)
        return self._known_spectra[sample_rate]

    @cached_property
    def areas(self) -> np.ndarray:
        """Share (N,) of the sphere that belongs to each direction."""
        area = SphericalVoronoi(self.directions / np.linalg.norm(self.directions, axis=1)[:, None]).calculate_areas()
        return area / area.sum()

    def decoder(self, sample_rate: int) -> tuple[np.ndarray, int]:
        """Filters (2, 4, taps) float32 from first-order ambisonics (ACN, SN3D) to both ears, and their latency.

        The latency, in samples, is the tap at which time 0 lies. Up to 1.5 kHz the filters fit the transfer
        functions in magnitude and phase, above in magnitude only (C. Schörkhuber, M. Zaunschirm and R.
        Höldrich, Binaural rendering of Ambisonic signals via magnitude least squares, DAGA 2018). Then the
        power in each ear and the coherence between them are made right for a diffuse field (M. Zaunschirm,
        C. Schörkhuber and R. Höldrich, Binaural rendering of Ambisonic signals by head-related impulse
        response time alignment and a diffuseness constraint, J. Acoust. Soc. Am. 143, 2018).
        """
        if sample_rate not in self._decoders:
            self._decoders[sample_rate] = self._decoder(sample_rate)
        return self._decoders[sample_rate]

    def _decoder(self, sample_rate: int) -> tuple[np.ndarray, int]:
        taps = 2 * round(0.5 * _DECODER_DURATION * sample_rate)
        frequency = fft.rfftfreq(2 * taps, 1.0 / sample_rate)
        # Magnitude and minimum phase at the decoder's own frequencies, left and right.
        responses, delay = self.filters(self.directions, sample_rate)
        shift = np.exp(-2j * np.pi * frequency * delay[..., None])
        target = np.moveaxis(fft.rfft(responses.astype(np.float64), 2 * taps) * shift, -1, 0)  # (F, N, 2)
        harmonics = encode(self.directions).T  # (N, 4)
        weighted = harmonics * self.areas[:, None]
        solve = np.linalg.solve(weighted.T @ harmonics, weighted.T)  # least squares over the sphere
        result = np.empty((len(frequency), 4, 2), complex)
        phase = np.angle(target[0])
        for index, wanted in enumerate(target):
            if frequency[index] > self._phase_limit:
                wanted = np.abs(wanted) * np.exp(1j * phase)
            result[index] = solve @ wanted
            phase = np.angle(harmonics @ result[index])
        # Two microphones that hear alike from everywhere need a difference that the coherence can be made of: a trace
        # of the gradient between them, as it is at low frequencies.
        result[:, 1] += 0.03j * np.array([1.0, -1.0])
        field = np.diag([1.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0])  # covariance of a diffuse field
        for index, wanted in enumerate(target):
            weights = result[index]
            should = np.linalg.cholesky((wanted.T * self.areas) @ wanted.conj() + 1e-9 * np.eye(2))
            has = np.linalg.cholesky(weights.T @ field @ weights.conj() + 1e-9 * np.eye(2))
            u, _, vh = np.linalg.svd(has.conj().T @ should)
            mixing = should @ (u @ vh).conj().T @ np.linalg.inv(has)
            result[index] = weights @ mixing.T
        latency = taps // 4
        result *= np.exp(-2j * np.pi * frequency * latency / sample_rate)[:, None, None]
        impulse = fft.irfft(result, 2 * taps, axis=0)[:taps]
        edge = taps // 8
        fade = np.sin(0.5 * np.pi * (np.arange(edge) + 0.5) / edge) ** 2
        impulse[:edge] *= fade[:, None, None]
        impulse[-edge:] *= fade[::-1, None, None]
        return np.ascontiguousarray(impulse.transpose(2, 1, 0), np.float32), latency


def microphone_pair(distance: float, angle: float | None) -> Hrtf:
    """Two microphones ``distance`` metres apart: cardioids at ``angle`` degrees to both sides, or alike all around.

    A plane wave from the front has its power in the two together.
    """
    directions = sphere_grid(_PAIR_DIRECTIONS)
    side = np.array([1.0, -1.0])
    delay = -0.5 * distance / _SPEED * directions[:, 1:2] * side
    gain = np.ones_like(delay)
    if angle is not None:
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        gain = (1.0 + cosine * directions[:, :1] + sine * directions[:, 1:2] * side) / (1.0 + cosine)
    decibel = 20.0 * np.log10(np.maximum(gain, 1e-2)) - 10.0 * np.log10(2.0)
    # First order holds the phase between two points up to half a wave of distance.
    limit = min(_PHASE_LIMIT, 0.5 * _SPEED / distance)
    return Hrtf(directions, np.repeat(decibel[..., None], 2, axis=2), delay, np.array([0.0, 96_000.0]), limit)


def sphere_grid(count: int) -> np.ndarray:
    """Unit vectors (count, 3) spread evenly over the sphere (Fibonacci lattice), front and back alike."""
    k = np.arange(count) + 0.5
    x, angle = 1.0 - 2.0 * k / count, np.pi * (1.0 + np.sqrt(5.0)) * k
    radius = np.sqrt(1.0 - x * x)
    return np.stack([x, radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def convolved(waves: np.ndarray, filters: np.ndarray, latency: int = 0) -> np.ndarray:
    """Sum (n,) float32 of ``waves`` (C, n) through ``filters`` (C, taps), moved back by ``latency`` samples."""
    taps, n = filters.shape[1], waves.shape[1]
    n_fft = fft.next_fast_len(max(16 * taps, 4096), real=True)
    block = n_fft - taps + 1
    spectrum = fft.rfft(filters, n_fft)
    result = np.zeros(n + taps - 1 + block, np.float32)
    for first in range(0, n, block):
        part = waves[:, first : first + block]
        result[first : first + n_fft] += fft.irfft((fft.rfft(part, n_fft) * spectrum).sum(axis=0), n_fft)[
            : len(result) - first
        ]
    return result[latency : latency + n]


def filter_length(sample_rate: int) -> int:
    """Taps of a minimum-phase filter at ``sample_rate``: 256 at 48 kHz."""
    return 2 * round(0.5 * _FILTER_DURATION * sample_rate)


def minimum_phase(magnitude_db: np.ndarray, taps: int) -> np.ndarray:
    """Minimum-phase filters (..., taps) float32 from magnitudes (..., taps + 1) in dB at equally spaced frequencies.

    The last eighth of the filter is faded out.
    """
    if np.shape(magnitude_db)[-1] != taps + 1:
        raise ValueError(f"{taps} taps need {taps + 1} frequencies")
    return _impulses(_minimum_phase_spectra(magnitude_db))


def _minimum_phase_spectra(magnitude_db: np.ndarray) -> np.ndarray:
    """Natural logarithms (..., n + 1) complex64 of the spectra of minimum-phase filters from magnitudes in dB.

    Folds the cepstrum (A. V. Oppenheim and R. W. Schafer, Discrete-Time Signal Processing, section 12.2), which is
    linear: the logarithm of a mean magnitude is the mean of the logarithms.
    """
    magnitude = np.asarray(magnitude_db, dtype=np.float32) * np.float32(np.log(10.0) / 20.0)
    taps = magnitude.shape[-1] - 1
    cepstrum = fft.irfft(magnitude, 2 * taps)
    cepstrum[..., 1:taps] *= 2.0
    cepstrum[..., taps + 1 :] = 0.0
    return fft.rfft(cepstrum)


def _impulses(spectra: np.ndarray) -> np.ndarray:
    """Filters (..., taps) float32 from the logarithms (..., taps + 1) of their spectra."""
    taps = spectra.shape[-1] - 1
    level, phase = np.exp(spectra.real), spectra.imag
    made = np.empty_like(spectra)
    made.real, made.imag = level * np.cos(phase), level * np.sin(phase)  # far faster than the complex exponential
    result = fft.irfft(made, 2 * taps)[..., :taps]
    edge = taps // 8
    result[..., -edge:] *= np.cos(0.5 * np.pi * (np.arange(edge) + 0.5) / edge).astype(np.float32) ** 2
    return result


def shaped_filters(band_db: np.ndarray, sample_rate: int) -> np.ndarray:
    """Minimum-phase filters (..., taps) float32 with gains ``band_db`` (..., 8) in dB by octave band.

    Minimum phase, because what air and walls take comes with no warning: nothing may ring before the onset.
    """
    return _impulses(np.asarray(band_db, np.float32) @ _band_spectra(sample_rate))


@lru_cache(maxsize=4)
def _band_spectra(sample_rate: int) -> np.ndarray:
    """Minimum-phase spectra (8, taps + 1) of one decibel in each octave band."""
    return _minimum_phase_spectra(band_interpolation(fft.rfftfreq(2 * filter_length(sample_rate), 1.0 / sample_rate)))


def band_interpolation(frequency: np.ndarray) -> np.ndarray:
    """Matrix (8, F) that takes values in the octave bands to ``frequency`` (F,) in Hz, straight over log frequency."""
    octave = np.log2(np.maximum(frequency, 1.0))
    return np.stack([np.interp(octave, np.log2(EXACT_BANDS_HZ), row) for row in np.eye(len(EXACT_BANDS_HZ))])


def _resample_spectrum(values: np.ndarray, known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows of ``values`` (n, known) interpolated at the frequencies ``wanted``, held at the ends."""
    position = np.interp(wanted, known, np.arange(len(known)))
    low = np.minimum(position.astype(int), len(known) - 2)
    part = position - low
    return values[:, low] * (1.0 - part) + values[:, low + 1] * part


@lru_cache(maxsize=1)
def bundled_hrtf() -> Hrtf:
    """The bundled set: KEMAR, Gardner and Martin 1994."""
    return Hrtf.load()
