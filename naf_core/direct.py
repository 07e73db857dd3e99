"""The direct sound of a moving emitter at a moving listener: delay, distance, air, hiding places and both ears."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from naf_core.air import NEAREST
from naf_core.clock import Clock, Signal, Stretch, stretches
from naf_core.delays import DelayLine, fixed_delay
from naf_core.filtering import filter_changing
from naf_core.formats import Format
from naf_core.gains import lines, sweep
from naf_core.motion import Motion, path_of_sound, rotations_at, turns
from naf_core.response import EnergyResponse
from naf_core.scene import Trajectory
from naf_core.spatial import Hrtf, shaped_filters

BLOCK_DURATION = 0.010  # s, at which directions and filters are set anew

_STEPS = 8  # from one filter to the next, at which delays are set anew
_LEAD = 0.010  # s by which an ear may hear before the centre of the head, at most


class DirectSound:
    """Direct sound of ``dry`` at the listener as ``fmt``, any part of it at a time.

    ``responses`` (K, ...) at ``response_times`` (K,) say how much of each band comes through: their
    ``direct`` times the distance squared, between keys interpolated, so that a hidden emitter fades over
    the way between two keys, which is about the width of the shadow's edge. Delay and 1 / distance follow
    the exact positions at every sample.
    """

    def __init__(
        self,
        dry: Signal,
        clock: Clock,
        emitter: Trajectory,
        listener: Trajectory,
        responses: EnergyResponse,
        response_times: np.ndarray,
        fmt: Format,
    ) -> None:
        self._dry, self._clock, self._listener, self._fmt = dry, clock, listener, fmt
        self._times, self._speed = response_times, responses.speed_of_sound
        self._amplitude, self._shape_db = transmission(responses)
        self._paths = Motion(emitter), Motion(listener)
        moves = any(path.moves for path in self._paths)
        self._steady = not (moves or turns(listener) or np.ptp(self._shape_db, axis=0).any())

    def heard(self, first: int, last: int) -> np.ndarray:
        """Samples ``first`` up to ``last`` of the clock, (channels, last - first) float32.

        They do not depend on the parts in which they are asked for.
        """
        result = np.zeros((self._fmt.channels, last - first), np.float32)
        for stretch in stretches(self._clock, self._paths):
            start, stop = max(first, stretch.first), min(last, stretch.last)
            if start < stop:
                result[:, start - first : stop - first] += self._within(stretch, start, stop)
        return result

    def _within(self, stretch: Stretch, start: int, stop: int) -> np.ndarray | float:
        """As `heard`, within one stretch."""
        hop = _hop(self._clock)
        # Filters change on a grid of the stretch, and have to have begun before the part that is asked for.
        first = stretch.first + hop * max((start - stretch.first) // hop - 1, 0)
        piece = _Piece(
            self._dry, self._clock, first, stop, self._paths, self._listener, self._speed, stretch.anchor, self._steady
        )
        gain = np.interp(piece.times, self._times, self._amplitude) * stretch.fade(piece.times)
        if not gain.any() or piece.line.silent:
            return 0.0
        shape = _rows(piece.block_times, self._times, self._shape_db)
        fmt = self._fmt
        heard = piece.waves(gain, shape, fmt) if fmt.ears is None else piece.ears(gain, shape, fmt.ears)
        return heard[:, start - first :]


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
    """The direct sound from sample ``first`` up to ``last``, between two jumps."""

    def __init__(
        self,
        dry: Signal,
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
        self.hop, self.step = _hop(clock), _hop(clock) // _STEPS
        count = 1 if steady else -(-(last - first) // self.hop) + 1
        self.blocks = first + self.hop * np.arange(count)
        self.block_times = clock.origin + self.blocks / clock.sample_rate
        self.knots = first + self.step * np.arange(-(-(last - first) // self.step) + 2)
        self.times = clock.origin + self.knots / clock.sample_rate
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
        """Distance in m at the knots (K,), or (1,) when it does not change."""
        times = self.times if self.moves else self.times[:1]
        return np.linalg.norm(path_of_sound(*self.paths, times, self.speed_of_sound, self.anchor), axis=1)

    @cached_property
    def line(self) -> DelayLine:
        """What of the dry sound may be heard, at whatever ear."""
        sent = self.knots - self.distance / self.speed_of_sound * self.clock.sample_rate
        lead = _LEAD * self.clock.sample_rate
        return DelayLine(self.dry, int(sent.min() - lead), int(min(sent.max() + lead, self.knots[-1])) + 2)

    def delayed(self, gain: np.ndarray, extra: np.ndarray) -> np.ndarray:
        """The dry sound delayed and attenuated by distance; ``extra`` is a further delay in s at the blocks."""
        rate, count = self.clock.sample_rate, self.last - self.first
        level = lines(gain / np.maximum(self.distance, NEAREST), self.step)[:count]
        if not (self.moves or np.ptp(extra)):
            delay = max(float(self.distance[0]) / self.speed_of_sound + float(extra[0]), 0.0)
            return fixed_delay(self.dry, delay * rate, self.first, self.last) * level
        delay = self.distance / self.speed_of_sound + np.interp(self.knots, self.blocks, extra)
        return self.line.swept(self.knots - rate * np.maximum(delay, 0.0), self.step)[:count] * level

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


def _hop(clock: Clock) -> int:
    """Samples from one filter to the next."""
    return _STEPS * max(round(BLOCK_DURATION * clock.sample_rate / _STEPS), 1)


def _rows(times: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rows of ``values`` (K, 8) interpolated over time; one row where they are all the same."""
    if not np.ptp(values, axis=0).any():
        return np.repeat(values[:1], len(times), axis=0)
    return np.stack([np.interp(times, known, column) for column in values.T], axis=1)
