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
from scipy.spatial import ConvexHull, QhullError, SphericalVoronoi

from naf_core.bands import EXACT_BANDS_HZ
from naf_core.bundled import HRTF, bundled_file
from naf_core.errors import UserError

_FORMAT = "acoustic-fields hrtf 1"
_MAX_DIRECTIONS, _MAX_FREQUENCIES = 20_000, 5_000
_FILTER_DURATION = 256 / 48000  # s, of a minimum-phase filter

_DECODER_DURATION = 512 / 48000  # s
_PHASE_LIMIT = 1500.0  # Hz, above which the ear goes by level and a decoder may choose the phase


class Hrtf:
    """A set of head-related transfer functions as magnitudes and delays, symmetrical between the ears.

    ``directions`` (N, 3) unit vectors all around; ``magnitude_db`` (N, F) of the left ear at ``frequency``
    (F,) in Hz; ``delay`` (N,) in s of the left ear against the centre of the head. The phase is that of a
    minimum-phase system and the delay (D. J. Kistler and F. L. Wightman, A model of head-related transfer
    functions based on principal components analysis and minimum-phase reconstruction, J. Acoust. Soc. Am.
    91, 1992). Raises UserError on values that cannot be such a set.
    """

    def __init__(
        self, directions: np.ndarray, magnitude_db: np.ndarray, delay: np.ndarray, frequency: np.ndarray
    ) -> None:
        directions, magnitude_db, delay, frequency = (
            np.asarray(x, dtype=np.float64) for x in (directions, magnitude_db, delay, frequency)
        )
        count, bins = len(directions), len(frequency)
        if not (4 <= count <= _MAX_DIRECTIONS and 2 <= bins <= _MAX_FREQUENCIES):
            raise UserError(f"An HRTF set of {count} directions and {bins} frequencies is of no use here.")
        shapes = directions.shape, magnitude_db.shape, delay.shape, frequency.shape
        if shapes != ((count, 3), (count, bins), (count,), (bins,)):
            raise UserError(f"The HRTF set has arrays of shapes that do not match: {shapes}.")
        if not all(np.isfinite(x).all() for x in (directions, magnitude_db, delay, frequency)):
            raise UserError("The HRTF set has values that are not finite numbers.")
        if (np.diff(frequency) <= 0).any() or np.abs(magnitude_db).max() > 200 or np.abs(delay).max() > 0.01:
            raise UserError("The HRTF set has frequencies, magnitudes or delays out of range.")
        if np.abs(np.linalg.norm(directions, axis=1) - 1.0).max() > 1e-3:
            raise UserError("The directions of the HRTF set are not unit vectors.")
        self.directions, self.magnitude_db, self.delay, self.frequency = directions, magnitude_db, delay, frequency
        mirrored = directions * (1.0, -1.0, 1.0)
        self._opposite = np.argmax(mirrored @ directions.T, axis=1)
        try:
            hull = ConvexHull(directions)
        except QhullError as error:
            raise UserError("The directions of the HRTF set do not surround the head.") from error
        self._triangles = hull.simplices
        try:
            self._inverse = np.linalg.inv(directions[hull.simplices].transpose(0, 2, 1))
        except np.linalg.LinAlgError as error:
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
                return cls(*(file.get_tensor(name) for name in names))
        except (SafetensorError, OSError, ValueError, TypeError, struct.error) as error:
            raise UserError(f"{path} cannot be read as an HRTF set ({error}): install the tool again.") from error

    def weights(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The three neighbours (n, 3) of each direction (n, 3), and their weights (n, 3), which sum to 1.

        Barycentric in the triangle that the direction passes through (V. Pulkki, Virtual sound source
        positioning using vector base amplitude panning, J. Audio Eng. Soc. 45, 1997), so continuous over
        the sphere.
        """
        directions = np.asarray(directions, dtype=np.float64)
        chosen = np.empty(len(directions), int)
        for start in range(0, len(directions), 512):
            parts = np.einsum("tij,nj->nti", self._inverse, directions[start : start + 512])
            chosen[start : start + 512] = parts.min(axis=2).argmax(axis=1)
        weights = np.maximum(np.einsum("nij,nj->ni", self._inverse[chosen], directions), 0.0)
        return self._triangles[chosen], weights / weights.sum(axis=1, keepdims=True)

    def at(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Magnitudes (n, 2, F) in dB and delays (n, 2) in s at any ``directions`` (n, 3), left and right ear."""
        index, weights = self.weights(directions)
        ears = np.stack([index, self._opposite[index]], axis=1)  # (n, 2, 3)
        delay = np.einsum("nk,nek->ne", weights, self.delay[ears])
        return np.einsum("nk,nekf->nef", weights, self.magnitude_db[ears]), delay

    def filters(
        self, directions: np.ndarray, sample_rate: int, band_db: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Minimum-phase filters (n, 2, taps) float32 and the delays (n, 2) in s that go with them.

        ``band_db`` (n, 8): a further gain by octave band, in dB.
        """
        magnitude, delay = self.at(directions)
        n_fft = filter_length(sample_rate)
        target = fft.rfftfreq(2 * n_fft, 1.0 / sample_rate)
        flat = magnitude.reshape(-1, magnitude.shape[-1])
        magnitude = _resample_spectrum(flat, self.frequency, target).reshape(*magnitude.shape[:2], -1)
        if band_db is not None:
            magnitude = magnitude + (band_db @ band_interpolation(target))[:, None, :]
        return minimum_phase(magnitude, n_fft), delay

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
        taps = 2 * round(0.5 * _DECODER_DURATION * sample_rate)
        frequency = fft.rfftfreq(2 * taps, 1.0 / sample_rate)
        # Magnitude and minimum phase at the decoder's own frequencies, left and right.
        responses, delay = self.filters(self.directions, sample_rate)
        shift = np.exp(-2j * np.pi * frequency * delay[..., None])
        target = np.moveaxis(fft.rfft(responses.astype(np.float64), 2 * taps) * shift, -1, 0)  # (F, N, 2)
        harmonics = encode(self.directions).T  # (N, 4)
        weighted = harmonics * self.areas[:, None]
        solve = np.linalg.solve(weighted.T @ harmonics, weighted.T)  # least squares over the sphere
        field = np.diag([1.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0])  # covariance of a diffuse field
        result = np.empty((len(frequency), 4, 2), complex)
        phase = np.angle(target[0])
        for index, wanted in enumerate(target):
            if frequency[index] > _PHASE_LIMIT:
                wanted = np.abs(wanted) * np.exp(1j * phase)
            weights = solve @ wanted
            phase = np.angle(harmonics @ weights)
            result[index] = weights
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


def encode(directions: np.ndarray) -> np.ndarray:
    """Gains (4, n) of plane waves from ``directions`` (n, 3) in first-order ambisonics (ACN W, Y, Z, X, SN3D)."""
    directions = np.asarray(directions)
    return np.stack([np.ones(len(directions)), directions[:, 1], directions[:, 2], directions[:, 0]])


def filter_length(sample_rate: int) -> int:
    """Taps of a minimum-phase filter at ``sample_rate``: 256 at 48 kHz."""
    return 2 * round(0.5 * _FILTER_DURATION * sample_rate)


def minimum_phase(magnitude_db: np.ndarray, taps: int) -> np.ndarray:
    """Minimum-phase filters (..., taps) float32 from magnitudes (..., taps + 1) in dB at equally spaced frequencies.

    Folds the cepstrum (A. V. Oppenheim and R. W. Schafer, Discrete-Time Signal Processing, section 12.2);
    the last eighth of the filter is faded out.
    """
    magnitude = np.asarray(magnitude_db, dtype=np.float32) * np.float32(np.log(10.0) / 20.0)
    cepstrum = fft.irfft(magnitude, 2 * taps)
    cepstrum[..., 1:taps] *= 2.0
    cepstrum[..., taps + 1 :] = 0.0
    result = fft.irfft(np.exp(fft.rfft(cepstrum)), 2 * taps)[..., :taps]
    edge = taps // 8
    result[..., -edge:] *= np.cos(0.5 * np.pi * (np.arange(edge) + 0.5) / edge).astype(np.float32) ** 2
    return result


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


@lru_cache(maxsize=4)
def bundled_decoder(sample_rate: int) -> tuple[np.ndarray, int]:
    """`Hrtf.decoder` of the bundled set."""
    return bundled_hrtf().decoder(sample_rate)


@lru_cache(maxsize=1)
def bundled_hrtf() -> Hrtf:
    """The bundled set: KEMAR, Gardner and Martin 1994."""
    return Hrtf.load()
