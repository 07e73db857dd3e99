"""The reverberation of a moving emitter at a moving listener: convolution with a response that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from scipy import fft

from naf_core.carriers import Carriers
from naf_core.clock import Clock, Signal
from naf_core.response import FRAME_EDGES, EnergyResponse
from naf_core.synthesis import LATE_START, Clicks, ambisonic_response, duration, early_response, late_response
from naf_core.threads import ahead

_BLOCK = 1 << 16
_LEG = 256  # keys among which those of late reverberation are chosen at a time
_KEPT = 64  # early parts of responses, which are needed again for the late ones: 5 MB

# Late reverberation is made anew where it would else be off by more than this, between two keys at which it was made:
# a band as a whole and in any frame that counts, in dB (1 dB is just heard: ISO 3382-1, table A.1); its intensity, as
# a part of its energy; and its beginning, in s.
_BAND_DB, _FRAME_DB, _COUNTS = 0.25, 0.5, 1e-4
_INTENSITY = 0.1
_SHIFT = 0.005

Respond = Callable[[int], tuple[EnergyResponse, Clicks | None]]


def ring_out(responses: EnergyResponse) -> float:
    """Longest time in seconds from emission to the end of any of ``responses`` (K, ...)."""
    ends = [duration(responses[index]) for index in range(len(responses.distance))]
    return float((np.asarray(responses.delay, np.float64) + ends).max(initial=0.0))


class Reverberation:
    """Reverberation of ``dry`` in ambisonics of the ``carriers``' order, ACN, SN3D, world axes, part after part.

    ``response`` gives that of each key, and what else is heard (see `Clicks`); they hold at ``times`` (K,) s,
    increasing, with their earliest arrivals ``delays`` (K,) s after emission. Between two of them the sound fades
    linearly from the one to the other. What fades is the sound as it is emitted, so that a tail keeps the place where
    it was made; with ``follows_listener`` it is the sound as it is heard, so that a tail changes with the place where
    it is heard. The first is exact when only the emitter moves, the second when only the listener does.

    The early part of each response is made anew at every key, the late one (see `synthesis.late_response`) only where
    it has changed.

    All responses are cut from the same noise at the same time after emission, whatever their distance: two
    keys with different delays therefore add up without a comb filter, and reverberation has no Doppler
    shift, which in a diffuse field is zero in the mean.
    """

    def __init__(
        self,
        dry: Signal,
        clock: Clock,
        response: Respond,
        times: np.ndarray,
        delays: np.ndarray,
        carriers: Carriers,
        follows_listener: bool = False,
    ) -> None:
        self._dry, self._clock, self._follows = dry, clock, follows_listener
        self._reach = carriers.high.shape[-1] if follows_listener else 0
        times = np.asarray(times, np.float64)
        starts = np.round(np.asarray(delays, np.float64) * clock.sample_rate).astype(int)

        def whole(key: int) -> Callable[[], np.ndarray]:
            found, clicks = response(key)  # asked for at once: only the work is done ahead
            return lambda: ambisonic_response(found, carriers, int(starts[key]), clicks)

        @lru_cache(maxsize=_KEPT)
        def early(key: int) -> Callable[[], np.ndarray]:
            found, clicks = response(key)
            return cache(lambda: early_response(found, carriers, int(starts[key]), clicks))

        def late(key: int) -> Callable[[], np.ndarray]:
            found, clicks = response(key)
            before = early(key)
            return lambda: late_response(found, carriers, int(starts[key]), before(), clicks)

        if len(times) == 1:
            self._layers = [_Layer(clock, times, starts, whole)]
        else:
            then = starts + round(LATE_START * clock.sample_rate)
            chosen = _Changes(response, times, starts / clock.sample_rate)
            self._layers = [_Layer(clock, times, starts, early), _Layer(clock, times, then, late, chosen)]
        self._at = 0  # what comes next
        self._pending = np.zeros((carriers.channels, 0), np.float32)  # what rings on from there

    def until(self, last: int) -> np.ndarray:
        """The samples from where the last part ended, 0 at first, up to ``last``: (channels, ...) float32."""
        first, self._at = self._at, last
        self._grow(last - first + self._pending.shape[1])  # as much will ring on as before
        for layer in self._layers:
            for turn, onset, kernel in layer.kernels(first, last, self._sounds):
                start, stop = max(turn.start, first), min(turn.stop, last)
                weights = turn.weights(self._clock, start, stop)
                if self._follows:
                    begin = start - onset
                    for at, block in kernel.heard(self._dry, begin, stop - onset):
                        place = at - begin
                        self._add(start - first + place, block * weights[place : place + block.shape[1]])
                else:
                    for at, block in kernel.emitted(self._dry.read(start, stop) * weights):
                        self._add(start - first + onset + at, block)
        result, self._pending = self._pending[:, : last - first], self._pending[:, last - first :]
        return result

    def _sounds(self, first: int, last: int) -> bool:
        """Whether anything is heard of what sounds between two samples, or there at all."""
        return bool(self._dry.read(first - self._reach, last).any())

    def _add(self, at: int, block: np.ndarray) -> None:
        self._grow(at + block.shape[1])
        self._pending[:, at : at + block.shape[1]] += block

    def _grow(self, length: int) -> None:
        """Make room for ``length`` pending samples."""
        short = length - self._pending.shape[1]
        if short > 0:
            before, self._pending = self._pending, np.zeros((len(self._pending), length), np.float32)
            self._pending[:, : before.shape[1]] = before


@dataclass(frozen=True)
class _Turn:
    """When a ``key`` is heard: it holds at ``time``, has risen from ``before`` and falls until ``after``, in s.

    These are the times of its neighbours, infinite where it has none. It is heard from sample ``start`` up to ``stop``.
    """

    key: int
    before: float
    time: float
    after: float
    start: int
    stop: int

    def weights(self, clock: Clock, start: int, stop: int) -> np.ndarray:
        """How much of it is heard at the samples ``start`` to ``stop``, (stop - start,) float32 from 0 to 1."""
        if self.before == -np.inf and self.after == np.inf:
            return np.ones(stop - start, np.float32)
        times = clock.times(start, stop)
        weights = np.ones(len(times))
        if self.before > -np.inf:
            weights = np.clip((times - self.before) / (self.time - self.before), 0.0, 1.0)
        if self.after < np.inf:
            weights = np.minimum(weights, np.clip((self.after - times) / (self.after - self.time), 0.0, 1.0))
        return weights.astype(np.float32)


class _Layer:
    """A part of all responses: those of the keys that are ``chosen`` leg by leg, all by default.

    ``make`` gives what makes the part (C, m) of a key, which begins ``onsets`` (K,) samples after emission. The first
    and the last key of a leg have to be among those chosen of it.
    """

    def __init__(
        self,
        clock: Clock,
        times: np.ndarray,
        onsets: np.ndarray,
        make: Callable[[int], Callable[[], np.ndarray]],
        chosen: Callable[[range], Sequence[int]] = lambda keys: keys,
    ) -> None:
        self._clock, self._onsets, self._make, self._chosen = clock, onsets, make, chosen
        self._times = [-np.inf, *times.tolist(), np.inf]  # that of a key comes after that of the key before
        self._turns: dict[int, list[_Turn]] = {}
        self._kernels: dict[int, _Kernel] = {}

    def kernels(
        self, first: int, last: int, sounds: Callable[[int, int], bool]
    ) -> Iterator[tuple[_Turn, int, _Kernel]]:
        """What is heard between two samples, where anything ``sounds``: when, how long after emission, and what."""
        turns = [
            turn
            for turn in self._of(first, last, sounds)
            if turn.start < last and turn.stop > first and sounds(max(turn.start, first), min(turn.stop, last))
        ]
        self._kernels = {turn.key: self._kernels[turn.key] for turn in turns if turn.key in self._kernels}
        new = [turn.key for turn in turns if turn.key not in self._kernels]
        made = ahead(lambda make: make(), (self._make(key) for key in new))
        for turn in turns:
            if turn.key not in self._kernels:
                self._kernels[turn.key] = _Kernel(next(made))
            if self._kernels[turn.key].taps:
                yield turn, int(self._onsets[turn.key]), self._kernels[turn.key]
            if turn.stop <= last:
                del self._kernels[turn.key]

    def _of(self, first: int, last: int, sounds: Callable[[int, int], bool]) -> list[_Turn]:
        """The turns of all legs that may be heard between two samples."""
        found, count = [], len(self._times) - 2
        for leg, begin in enumerate(range(0, count, _LEG)):
            keys = range(begin, min(begin + _LEG, count))
            start, stop = self._span(self._times[begin], self._times[keys[-1] + 2])
            if start < last and stop > first and sounds(max(start, first), min(stop, last)):
                if leg not in self._turns:
                    self._turns = {known: turns for known, turns in self._turns.items() if known >= leg - 1}
                    self._turns[leg] = self._made(keys)
                found += self._turns[leg]
        return found

    def _made(self, keys: range) -> list[_Turn]:
        """The turns of those keys that are chosen."""
        chosen = [keys[0] - 1, *self._chosen(keys), keys[-1] + 1]
        times = [self._times[key + 1] for key in chosen]
        return [
            _Turn(key, before, time, after, *self._span(before, after))
            for key, before, time, after in zip(chosen[1:-1], times, times[1:], times[2:], strict=False)
        ]

    def _span(self, before: float, after: float) -> tuple[int, int]:
        """The samples between two times; the ends of the track where there are none."""
        edge = 1.0 / self._clock.sample_rate
        start = 0 if before == -np.inf else self._clock.sample(before - edge)
        return start, self._clock.length if after == np.inf else self._clock.sample(after + edge)


class _Changes:
    """Chooses the keys at which late reverberation has to be made anew: between them it runs straight in amplitude."""

    def __init__(self, response: Respond, times: np.ndarray, delays: np.ndarray) -> None:
        self._response, self._times, self._delays = response, times, delays

    def __call__(self, keys: range) -> list[int]:
        """Those of the ``keys`` that are needed, the first and the last among them."""
        first = int(np.searchsorted(FRAME_EDGES, LATE_START - 1e-6))
        energy = np.stack([self._response(key)[0].energy[:, first:] for key in keys]).astype(np.float64)
        floor = 1e-30 + 1e-9 * energy[..., 0].max(initial=0.0)
        amplitude = np.sqrt(np.maximum(energy[..., 0], 0.0) + floor)  # (K, 8, F)
        whole = energy.sum(axis=2)  # (K, 8, 4)
        direction = whole[..., 1:] / (whole[..., :1] + floor)
        times, delays = self._times[keys.start : keys.stop], self._delays[keys.start : keys.stop]

        def straight(begin: int, end: int) -> bool:
            if np.ptp(delays[begin : end + 1]) > _SHIFT:
                return False
            inner = slice(begin + 1, end)
            part = (times[inner] - times[begin]) / (times[end] - times[begin])
            part = part[:, None, None]
            between = amplitude[begin] + part * (amplitude[end] - amplitude[begin])
            pointed = direction[begin] + part * (direction[end] - direction[begin])
            true, square = np.square(amplitude[inner]), np.square(between)
            band = 10.0 * np.log10(square.sum(axis=2) / true.sum(axis=2))
            frame = 10.0 * np.log10(square / true)[true > _COUNTS * true.sum(axis=2, keepdims=True)]
            aside = np.linalg.norm(pointed - direction[inner], axis=-1)
            off = (np.abs(band) > _BAND_DB).any() or (np.abs(frame) > _FRAME_DB).any() or (aside > _INTENSITY).any()
            return not off

        chosen = [0]
        while chosen[-1] < len(times) - 1:
            good = chosen[-1] + 1
            while good + 1 < len(times) and straight(chosen[-1], good + 1):
                good += 1
            chosen.append(good)
        return [keys[index] for index in chosen]


class _Kernel:
    """An impulse response (C, m) that sounds are convolved with, its spectrum kept."""

    def __init__(self, impulse: np.ndarray) -> None:
        self._impulse, self.taps = impulse, impulse.shape[1]
        self._n_fft = 0

    def emitted(self, samples: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """``samples`` (n,) convolved: blocks (C, ...) to add up, each with its start."""
        block = self._plan(len(samples))
        for at in range(0, len(samples), block):
            sounding = samples[at : at + block] != 0.0
            if sounding.any():
                begin, end = int(sounding.argmax()), len(sounding) - int(sounding[::-1].argmax())
                whole = self._passed(samples[at + begin : at + end])
                yield at + begin, whole[:, : end - begin + self.taps - 1]

    def heard(self, dry: Signal, first: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
        """Samples ``first`` up to ``last`` of ``dry`` convolved, block after block (C, ...), each with its start."""
        block = self._plan(last - first)
        reach = self.taps - 1
        for at in range(first, last, block):
            stop = min(at + block, last)
            part = dry.read(at - reach, stop)
            if part.any():
                whole = self._passed(part)
                yield at, whole[:, reach : reach + stop - at]

    def _passed(self, part: np.ndarray) -> np.ndarray:
        """``part`` (n,) through the filter, (C, ...)."""
        np.multiply(fft.rfft(part, self._n_fft), self._spectrum, out=self._product)
        return fft.irfft(self._product, self._n_fft, overwrite_x=True)

    def _plan(self, length: int) -> int:
        """Samples a block; the impulse response is transformed for it."""
        count = -(-length // max(self.taps, _BLOCK))
        block = max(-(-length // max(count, 1)), 1)
        n_fft = fft.next_fast_len(block + self.taps - 1, real=True)
        if n_fft != self._n_fft:
            self._n_fft, self._spectrum = n_fft, fft.rfft(self._impulse, n_fft)
            self._product = np.empty_like(self._spectrum)
        return block
