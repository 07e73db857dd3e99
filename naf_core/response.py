"""The energy response of an emitter-listener pair, and the ISO 3382-1 parameters read from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from naf_core.bands import N_BANDS

# Frame edges in seconds after the earliest possible arrival: 5 ms up to 50 ms, 10 ms up to 80 ms (so that C50 and
# C80 fall on edges), then 27 frames growing by 17 % each up to 6 s. Every decay from 0.1 s to 10 s has frames enough.
# All edges are whole milliseconds, so that a table can find the frame of a time.
FRAME_EDGES = (
    np.concatenate(
        [np.arange(0.0, 50.0, 5.0), [50.0, 60.0, 70.0], np.round(80.0 * (6000.0 / 80.0) ** (np.arange(28) / 27.0))]
    )
    / 1000.0
)
FRAME_EDGES.setflags(write=False)
FRAME_WIDTHS = np.diff(FRAME_EDGES)
N_FRAMES = len(FRAME_WIDTHS)
FRAME_OF_MILLISECOND = np.repeat(np.arange(N_FRAMES, dtype=np.int32), np.round(1000.0 * FRAME_WIDTHS).astype(int))
FRAME_OF_MILLISECOND.setflags(write=False)
_EDGE_50, _EDGE_80 = (int(np.argmin(np.abs(FRAME_EDGES - t))) for t in (0.050, 0.080))

_NOTHING = -400.0  # dB: no energy at all
_TAIL_SECONDS = 60.0  # how far beyond the last frame decays are followed
REFERENCE_DISTANCE_GAIN_DB = 20.0  # free field at 1 m against free field at 10 m, ISO 3382-1 clause A.2.1


@dataclass(frozen=True)
class EnergyResponse:
    """Energy that arrives at a listener, by octave band, time frame and direction.

    All energies are relative to what the same emitter would give in the free field at 1 m.

    ``energy`` (..., 8 bands, N_FRAMES, 4) float32: reflected energy in each frame; channel 0 is omnidirectional (W),
    channels 1 to 3 are the x, y, z components of the intensity vector, which points from the listener towards where
    the sound comes from (a plane wave from unit direction u has W * u). In an ambisonic signal with N3D or SN3D
    normalisation, ACN order, intensity is the mean of channel 0 times channels 3, 1, 2 (SN3D).
    ``direct`` (..., 8): energy of the direct sound, 0 where the emitter is hidden; not contained in ``energy``.
    ``distance`` (...) in m; ``direct_direction`` (..., 3) unit vector at the listener towards the emitter.
    ``tail_slope`` (..., 8) in dB/s, negative: the decay beyond the last frame.
    ``speed_of_sound`` in m/s. Time is measured from distance / speed_of_sound, the earliest possible arrival.
    """

    energy: np.ndarray
    direct: np.ndarray
    distance: np.ndarray
    direct_direction: np.ndarray
    tail_slope: np.ndarray
    speed_of_sound: float = 343.2

    @property
    def delay(self) -> np.ndarray:
        """Time of the earliest possible arrival after emission, (...) in seconds."""
        return self.distance / self.speed_of_sound

    @property
    def tail_energy(self) -> np.ndarray:
        """Omnidirectional energy beyond the last frame, (..., 8): the last frame continued along the slope."""
        ratio = 10.0 ** (np.minimum(np.asarray(self.tail_slope, np.float64), -1.0) * FRAME_WIDTHS[-1] / 10.0)
        return self.energy[..., -1, 0].astype(np.float64) * ratio / (1.0 - ratio)

    @property
    def total(self) -> np.ndarray:
        """Omnidirectional energy of direct sound, all frames and tail, (..., 8) float64."""
        reflected = self.energy[..., 0].sum(axis=-1, dtype=np.float64)
        return self.direct.astype(np.float64) + reflected + self.tail_energy

    def __getitem__(self, key: object) -> EnergyResponse:
        """The responses of some pairs; ``key`` indexes the leading axes only."""
        return EnergyResponse(
            self.energy[key],
            self.direct[key],
            self.distance[key],
            self.direct_direction[key],
            self.tail_slope[key],
            self.speed_of_sound,
        )

    def schroeder(self) -> np.ndarray:
        """Backward-integrated energy at the frame edges, (..., 8, N_FRAMES + 1) float64, not logarithmic.

        The direct sound counts in the first frame (ISO 3382-1:2009, 5.3.3, with energies in place of p squared).
        """
        frames = self.energy[..., 0].astype(np.float64)
        frames[..., 0] += self.direct
        backward = np.cumsum(frames[..., ::-1], axis=-1)[..., ::-1]
        tail = self.tail_energy[..., None]
        return np.concatenate([backward + tail, tail], axis=-1)

    def parameters(self) -> dict[str, np.ndarray]:
        """ISO 3382-1 parameters, each (..., 8) float64.

        Keys: T30_s, T20_s, EDT_s (s), C50_dB, C80_dB (dB), D50 (0..1), Ts_s (s), G_dB (dB, relative to the free field
        at 10 m). NaN where a decay range is not covered or nothing is heard (ISO 3382-1:2009, 5.3 and annex A).
        """
        frames = self.energy[..., 0].astype(np.float64)
        reflected_moment = (frames * (FRAME_EDGES[:-1] + 0.5 * FRAME_WIDTHS)).sum(axis=-1)
        tail = self.tail_energy
        decay_rate = np.maximum(-np.asarray(self.tail_slope, np.float64), 1.0) * np.log(10.0) / 10.0
        moment = reflected_moment + tail * (FRAME_EDGES[-1] + 1.0 / decay_rate)
        curve = self.schroeder()
        # Decays longer than about 10 s reach -35 dB only in the tail.
        later = curve[..., -1:] * np.exp(-decay_rate * _TAIL_SECONDS)[..., None]
        decay, edges = np.concatenate([curve, later], axis=-1), np.append(FRAME_EDGES, FRAME_EDGES[-1] + _TAIL_SECONDS)
        total = curve[..., 0]
        early50, early80 = total - curve[..., _EDGE_50], total - curve[..., _EDGE_80]
        with np.errstate(divide="ignore", invalid="ignore"):
            result = {
                "T30_s": decay_time(decay, -5.0, -35.0, edges=edges),
                "T20_s": decay_time(decay, -5.0, -25.0, edges=edges),
                "EDT_s": decay_time(decay, 0.0, -10.0, edges=edges),
                "C50_dB": 10.0 * np.log10(early50 / curve[..., _EDGE_50]),
                "C80_dB": 10.0 * np.log10(early80 / curve[..., _EDGE_80]),
                "D50": early50 / total,
                "Ts_s": moment / total,
                "G_dB": 10.0 * np.log10(total) + REFERENCE_DISTANCE_GAIN_DB,
            }
        silent = total <= 0.0
        for values in result.values():
            values[silent] = np.nan
        return result


def decay_time(
    curve: np.ndarray,
    start_db: float,
    stop_db: float,
    n_points: int = 48,
    edges: np.ndarray = FRAME_EDGES,
) -> np.ndarray:
    """Time for a 60 dB decay from a regression over part of a Schroeder curve.

    ``curve`` (..., n) linear energy at ``edges`` (n,) in seconds; ``start_db`` > ``stop_db`` in dB below its start.
    Between edges the decay is taken as exponential. Returns (...) in seconds, NaN where the curve does not reach
    ``stop_db``. Least squares over uniformly spaced times (ISO 3382-1:2009, 5.3.3).
    """
    flat = curve.reshape(-1, curve.shape[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10.0 * np.log10(flat / flat[:, :1])
    level = np.maximum(np.nan_to_num(level, nan=_NOTHING, neginf=_NOTHING), _NOTHING)
    first, last = _time_at(level, start_db, edges), _time_at(level, stop_db, edges)
    times = first[:, None] + (last - first)[:, None] * np.linspace(0.0, 1.0, n_points)
    usable = np.isfinite(last) & (last > first) & (flat[:, 0] > 0)
    safe = np.where(usable[:, None], times, 0.0)
    frame = np.clip(np.searchsorted(edges, safe, side="right") - 1, 0, len(edges) - 2)
    left, right = (np.take_along_axis(level, frame + k, axis=1) for k in (0, 1))
    values = left + (right - left) * (safe - edges[frame]) / np.diff(edges)[frame]
    centred = safe - safe.mean(axis=1, keepdims=True)
    variance = (centred**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (centred * values).sum(axis=1) / variance
        result = np.where(usable & (slope < 0), -60.0 / slope, np.nan)
    return result.reshape(curve.shape[:-1])


def _time_at(level: np.ndarray, target: float, edges: np.ndarray) -> np.ndarray:
    """First time at which falling curves ``level`` (n, edges) in dB reach ``target``; NaN where they do not."""
    if target >= 0.0:
        return np.zeros(len(level))
    below = level <= target
    reached = below.any(axis=1)
    right = np.where(reached, below.argmax(axis=1), 1)
    rows = np.arange(len(level))
    high, low = level[rows, right - 1], level[rows, right]
    part = (high - target) / np.maximum(high - low, 1e-12)
    reached &= low > _NOTHING  # a fall to nothing within one frame is an end, not a decay
    return np.where(reached, edges[right - 1] + part * np.diff(edges)[right - 1], np.nan)


def empty_response(shape: tuple[int, ...], speed_of_sound: float) -> EnergyResponse:
    """A response in which nothing arrives, with leading axes ``shape``; its arrays may be filled in place."""
    return EnergyResponse(
        energy=np.zeros((*shape, N_BANDS, N_FRAMES, 4), np.float32),
        direct=np.zeros((*shape, N_BANDS), np.float32),
        distance=np.zeros(shape, np.float32),
        direct_direction=np.zeros((*shape, 3), np.float32),
        tail_slope=np.full((*shape, N_BANDS), -60.0, np.float32),
        speed_of_sound=speed_of_sound,
    )
