"""The direct sound of a moving emitter at a moving listener: delay, distance, air, hiding places and both ears."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy import fft, signal

from naf_core.air import NEAREST
from naf_core.formats import Format
from naf_core.gains import sweep
from naf_core.motion import Motion, path_of_sound, rotations_at, turns
from naf_core.response import EnergyResponse
from naf_core.scene import Trajectory
from naf_core.spatial import Hrtf, shaped_filters

BLOCK_DURATION = 0.010  # s, at which directions and filters are set anew
_JUMP_FADE = 0.010  # s, on either side of a jump

_TAPS, _PHASES = 32, 512
_CHUNK = 1 << 14


@dataclass(frozen=True)
class Clock:
    """Samples in time: sample i of ``length`` is at ``origin`` + i / ``sample_rate`` seconds."""

    sample_rate: int
    origin: float
    length: int

    def times(self, first: int, last: int) -> np.ndarray:
        """Times (last - first,) in seconds of the samples from ``first`` up to ``last``."""
        return self.origin + np.arange(first, last) / self.sample_rate

    def sample(self, time: float) -> int:
        """The sample nearest to ``time`` in seconds, within 0..length."""
        return int(np.clip(round((time - self.origin) * self.sample_rate), 0, self.length))


def direct_sound(
    dry: np.ndarray,
    clock: Clock,
    emitter: Trajectory,
    listener: Trajectory,
    responses: EnergyResponse,
    response_times: np.ndarray,
    fmt: Format,
) -> np.ndarray:
    """Direct sound of ``dry`` (n,) at the listener as ``fmt``, (channels, length) float32.

    ``responses`` (K, ...) at ``response_times`` (K,) say how much of each band comes through: their
    ``direct`` times the distance squared, between keys interpolated, so that a hidden emitter fades over
    the way between two keys, which is about the width of the shadow's edge. Delay and 1 / distance follow
    the exact positions at every sample.
    """
    result = np.zeros((fmt.channels, clock.length), np.float32)
    amplitude, shape_db = transmission(responses)
    if not amplitude.any() or not dry.any():
        return result
    paths = Motion(emitter), Motion(listener)
    steady = not (paths[0].moves or paths[1].moves or turns(listener) or np.ptp(shape_db, axis=0).any())
    for first, last, anchor, fade in stretches(clock, paths):
        piece = _Piece(dry, clock, first, last, paths, listener, responses.speed_of_sound, anchor, steady)
        gain = np.interp(clock.times(first, last), response_times, amplitude) * fade
        shape = _rows(piece.block_times, response_times, shape_db)
        heard = piece.waves(gain, shape, fmt) if fmt.ears is None else piece.ears(gain, shape, fmt.ears)
        result[:, first:last] += heard
    return result


def stretches(
    clock: Clock, paths: tuple[Motion, Motion]
) -> Iterator[tuple[int, int, float | None, np.ndarray | float]]:
    """The time between jumps: first and last sample, a time within (None without jumps), and a gain that fades."""
    jumps = np.unique(np.concatenate([path.jumps for path in paths]))
    edges = [-np.inf, *(float(jump) for jump in jumps), np.inf]
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        first = 0 if start == -np.inf else clock.sample(start - _JUMP_FADE)
        last = clock.length if stop == np.inf else clock.sample(stop + _JUMP_FADE)
        if first >= last:
            continue
        times = clock.times(first, last)
        fade = np.clip(0.5 + 0.5 * (times - start) / _JUMP_FADE, 0.0, 1.0) if start > -np.inf else 1.0
        fade = fade * np.clip(0.5 - 0.5 * (times - stop) / _JUMP_FADE, 0.0, 1.0) if stop < np.inf else fade
        yield first, last, _inside(start, stop), fade


def transmission(responses: EnergyResponse) -> tuple[np.ndarray, np.ndarray]:
    """What comes through at each key: an amplitude (K,) from 0 to 1, and band gains (K, 8) in dB relative to it."""
    distance = np.maximum(np.asarray(responses.distance, np.float64), NEAREST)
    bands = np.minimum(np.sqrt(np.maximum(responses.direct, 0.0, dtype=np.float64)) * distance[:, None], 1.0)
    amplitude = bands.max(axis=1)
    if not amplitude.any():
        return amplitude, np.zeros_like(bands)
    # A hidden key has no colour of its own: it takes that of the nearest visible one.
    nearest = nearest_of(amplitude > 0.0)
    return amplitude, 20.0 * np.log10(np.maximum(bands[nearest] / amplitude[nearest, None], 1e-3))


def nearest_of(chosen: np.ndarray) -> np.ndarray:
    """Index (K,) of the nearest among the ``chosen`` (K,) bool, of which there is at least one."""
    known = np.flatnonzero(chosen)
    after = np.minimum(np.searchsorted(known, np.arange(len(chosen))), len(known) - 1)
    before, after = known[np.maximum(after - 1, 0)], known[after]
    keys = np.arange(len(chosen))
    return np.where(np.abs(keys - before) <= np.abs(after - keys), before, after)


class _Piece:
    """The direct sound between two jumps, from sample ``first`` up to ``last``."""

    def __init__(
        self,
        dry: np.ndarray,
        clock: Clock,
        first: int,
        last: int,
        paths: tuple[Motion, Motion],
        listener: Trajectory,
        speed_of_sound: float,
        anchor: float | None,
        steady: bool,
    ) -> None:
        self.dry, self.clock, self.first, self.last = dry, clock, first, last
        self.paths, self.speed_of_sound, self.anchor = paths, speed_of_sound, anchor
        self.moves = any(path.moves for path in paths)
        self.hop = max(round(BLOCK_DURATION * clock.sample_rate), 1)
        count = 1 if steady else -(-(last - first) // self.hop) + 1
        self.blocks = first + self.hop * np.arange(count)
        self.block_times = clock.origin + self.blocks / clock.sample_rate
        offset = path_of_sound(*paths, self.block_times, speed_of_sound, anchor)
        distance = np.linalg.norm(offset, axis=1)
        rotation = rotations_at(listener, self.block_times)
        # An emitter within the head is heard in front.
        inside = distance < 1e-3
        offset[inside], distance[inside] = rotation[inside, :, 0], 1.0
        self.world = offset / distance[:, None]
        self.head = np.einsum("kji,kj->ki", rotation, self.world)

    @cached_property
    def distance(self) -> np.ndarray:
        """Distance in m at every sample (samples,), or (1,) when it does not change."""
        if not self.moves:
            offset = path_of_sound(*self.paths, self.block_times[:1], self.speed_of_sound, self.anchor)
            return np.linalg.norm(offset, axis=1)
        result = np.empty(self.last - self.first)
        for start in range(self.first, self.last, _CHUNK):
            times = self.clock.times(start, min(start + _CHUNK, self.last))
            offset = path_of_sound(*self.paths, times, self.speed_of_sound, self.anchor)
            result[start - self.first : start - self.first + len(times)] = np.linalg.norm(offset, axis=1)
        return result

    def delayed(self, gain: np.ndarray, extra: np.ndarray) -> np.ndarray:
        """The dry sound delayed and attenuated by distance; ``extra`` is a further delay in s at the blocks."""
        rate = self.clock.sample_rate
        gain = (gain / np.maximum(self.distance, NEAREST)).astype(np.float32)
        if not (self.moves or np.ptp(extra)):
            delay = max(float(self.distance[0]) / self.speed_of_sound + float(extra[0]), 0.0)
            return fixed_delay(self.dry, delay * rate, self.first, self.last) * gain
        result = np.empty(self.last - self.first, np.float32)
        for start in range(0, len(result), _CHUNK):
            part = slice(start, min(start + _CHUNK, len(result)))
            at = np.arange(part.start, part.stop) + self.first
            delay = self.distance[part if self.moves else slice(0, 1)] / self.speed_of_sound
            delay = np.maximum(delay + np.interp(at, self.blocks, extra), 0.0)
            result[part] = variable_delay(self.dry, at - delay * rate)
        return result * gain

    def ears(self, gain: np.ndarray, shape_db: np.ndarray, hrtf: Hrtf) -> np.ndarray:
        """Both ears (2, samples) through the transfer functions of the changing direction."""
        filters, delay = hrtf.filters(self.head, self.clock.sample_rate, shape_db)
        return np.stack(
            [filter_changing(self.delayed(gain, delay[:, ear]), filters[:, ear], self.hop) for ear in (0, 1)]
        )

    def waves(self, gain: np.ndarray, shape_db: np.ndarray, fmt: Format) -> np.ndarray:
        """All channels (channels, samples) of a plane wave from the changing direction."""
        filters = shaped_filters(shape_db, self.clock.sample_rate)
        wave = filter_changing(self.delayed(gain, np.zeros(len(self.blocks))), filters, self.hop)
        gains = fmt.gains(self.head if fmt.head_locked else self.world)
        return sweep(gains.T[:, :, None], wave[None], self.hop)


def filter_changing(samples: np.ndarray, filters: np.ndarray, hop: int) -> np.ndarray:
    """``samples`` (n,) through ``filters`` (K, taps) that change: filter k holds at sample k * hop; (n,) float32.

    Between two of them the sound fades from the one to the other. One filter holds throughout.
    """
    n = len(samples)
    if len(filters) > 1 and not np.ptp(filters, axis=0).any():
        filters = filters[:1]
    if len(filters) == 1:
        return signal.oaconvolve(samples, filters[0])[:n].astype(np.float32)
    count, taps = filters.shape
    n_fft = fft.next_fast_len(2 * hop + taps - 1, real=True)
    window = (np.sin(0.5 * np.pi * np.arange(2 * hop) / hop) ** 2).astype(np.float32)
    padded = np.pad(samples, (hop, max(count * hop - n, 0)))
    result = np.zeros(hop + count * hop + n_fft, np.float32)
    segments = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
    for first in range(0, count, 256):
        part = segments[first : min(first + 256, count)] * window
        product = fft.rfft(part, n_fft) * fft.rfft(filters[first : first + len(part)], n_fft)
        for index, block in enumerate(fft.irfft(product, n_fft), start=first):
            result[index * hop : index * hop + n_fft] += block
    return result[hop : hop + n]


def variable_delay(samples: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """``samples`` (n,) read at fractional ``positions`` (m,), 0 outside; (m,) float32.

    Windowed sinc of 32 taps, flat to 0.01 dB up to 0.83 of the highest frequency (T. I. Laakso et al.,
    Splitting the unit delay, IEEE Signal Processing Magazine 13, 1996).
    """
    table = _sinc_table()
    whole = np.floor(positions).astype(np.int64)
    phase = (positions - whole) * _PHASES
    row = phase.astype(np.int64)
    part = (phase - row).astype(np.float32)[:, None]
    weights = table[row]
    weights += part * (table[row + 1] - weights)
    first, last = int(whole.min()) - _TAPS, int(whole.max()) + _TAPS
    near = np.zeros(last - first, np.float32)
    known = slice(max(first, 0), max(min(last, len(samples)), max(first, 0)))
    near[known.start - first : known.stop - first] = samples[known]
    taps = np.lib.stride_tricks.sliding_window_view(near, _TAPS)[whole - first - _TAPS // 2 + 1]
    return np.einsum("nt,nt->n", taps, weights)


def fixed_delay(samples: np.ndarray, delay: float, first: int, last: int) -> np.ndarray:
    """``samples`` delayed by ``delay`` samples, from output sample ``first`` up to ``last``; float32."""
    whole = int(np.floor(delay))
    phase = (1.0 - (delay - whole)) * _PHASES
    row = min(int(phase), _PHASES - 1)
    table = _sinc_table()
    weights = table[row] + np.float32(phase - row) * (table[row + 1] - table[row])
    result = np.zeros(last - first, np.float32)
    filtered = np.convolve(np.asarray(samples, np.float32), weights[::-1])
    # Reading at n - delay: tap t lies at floor(n - delay) - 15 + t.
    shift = whole + 1 - _TAPS // 2 - first
    source = slice(max(-shift, 0), min(len(filtered), last - first - shift))
    if source.stop > source.start:
        result[source.start + shift : source.stop + shift] = filtered[source]
    return result


@cache
def _sinc_table() -> np.ndarray:
    """Interpolation weights (513, 32) float32 for positions from 0 to 1 between taps 15 and 16."""
    position = np.arange(_TAPS) - (_TAPS // 2 - 1) - np.arange(_PHASES + 1)[:, None] / _PHASES
    edge = np.clip(1.0 - (position / (_TAPS // 2)) ** 2, 0.0, None)
    weights = np.sinc(position) * np.i0(8.0 * np.sqrt(edge)) / np.i0(8.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _rows(times: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rows of ``values`` (K, 8) interpolated over time; one row where they are all the same."""
    if not np.ptp(values, axis=0).any():
        return np.repeat(values[:1], len(times), axis=0)
    return np.stack([np.interp(times, known, column) for column in values.T], axis=1)


def _inside(start: float, stop: float) -> float | None:
    """A time between ``start`` and ``stop``, None when there are no jumps at all."""
    if start == -np.inf and stop == np.inf:
        return None
    return stop - 1e-9 if start == -np.inf else start + 1e-9
