"""The reverberation of a moving emitter at a moving listener: convolution with a response that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from scipy import fft

from naf_core.carriers import Carriers
from naf_core.clock import Clock, Signal
from naf_core.response import EnergyResponse
from naf_core.synthesis import Clicks, ambisonic_response, duration
from naf_core.threads import ahead

_BLOCK = 1 << 16


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

    All responses are cut from the same noise at the same time after emission, whatever their distance: two
    keys with different delays therefore add up without a comb filter, and reverberation has no Doppler
    shift, which in a diffuse field is zero in the mean.
    """

    def __init__(
        self,
        dry: Signal,
        clock: Clock,
        response: Callable[[int], tuple[EnergyResponse, Clicks | None]],
        times: np.ndarray,
        delays: np.ndarray,
        carriers: Carriers,
        follows_listener: bool = False,
    ) -> None:
        self._dry, self._clock, self._response, self._carriers = dry, clock, response, carriers
        self._times, self._follows = np.asarray(times, np.float64), follows_listener
        self._starts = np.round(np.asarray(delays, np.float64) * clock.sample_rate).astype(int)
        edge = 1.0 / clock.sample_rate
        inner = [clock.sample(float(time) - edge) for time in self._times[:-1]]
        outer = [clock.sample(float(time) + edge) for time in self._times[1:]]
        # From where to where each key is heard, beside its neighbours; the ends are held for ever.
        self._spans = list(zip([-np.inf, *inner], [*outer, np.inf], strict=True))
        self._kernels: dict[int, _Kernel] = {}
        self._at = 0  # what comes next
        self._pending = np.zeros(((carriers.order + 1) ** 2, 0), np.float32)  # what rings on from there

    def until(self, last: int) -> np.ndarray:
        """The samples from where the last part ended, 0 at first, up to ``last``: (channels, ...) float32."""
        first, self._at = self._at, last
        keys = [key for key, (start, stop) in enumerate(self._spans) if start < last and stop > first]
        self._kernels = {key: kernel for key, kernel in self._kernels.items() if key in keys}
        self._grow(last - first)
        for key, kernel in self._kernels_of(keys, first, last):
            start, stop = int(max(self._spans[key][0], first)), int(min(self._spans[key][1], last))
            weights = self._weights(key, start, stop)
            if self._follows:
                begin = start - self._starts[key]
                for at, block in kernel.heard(self._dry, begin, stop - self._starts[key]):
                    place = at - begin
                    part = block * weights[place : place + block.shape[1]]
                    self._add(start - first + place, part)
            else:
                for at, block in kernel.emitted(self._dry.read(start, stop) * weights):
                    self._add(start - first + int(self._starts[key]) + at, block)
        result, self._pending = self._pending[:, : last - first], self._pending[:, last - first :]
        return result

    def _kernels_of(self, keys: Sequence[int], first: int, last: int) -> Iterator[tuple[int, _Kernel]]:
        """The impulse responses of those ``keys`` of which anything sounds."""
        reach = self._carriers.dense.shape[-1] if self._follows else 0
        sounding = [
            key
            for key in keys
            if self._dry.read(int(max(self._spans[key][0], first)) - reach, int(min(self._spans[key][1], last))).any()
        ]
        new = [key for key in sounding if key not in self._kernels]
        made = ahead(lambda wanted: wanted[1](), ((key, self._maker(key)) for key in new))
        for key in sounding:
            if key not in self._kernels:
                self._kernels[key] = _Kernel(next(made))
            if self._kernels[key].taps:
                yield key, self._kernels[key]
            if self._spans[key][1] <= last:
                del self._kernels[key]

    def _maker(self, key: int) -> Callable[[], np.ndarray]:
        """What makes the impulse response of a key; the response itself is asked for at once."""
        response, clicks = self._response(key)
        return partial(ambisonic_response, response, self._carriers, int(self._starts[key]), clicks)

    def _weights(self, key: int, first: int, last: int) -> np.ndarray:
        """How much of a key is heard at the samples: rises from the key before it, falls to the key after it."""
        times, keys = self._clock.times(first, last), self._times
        weights = np.ones(last - first)
        if key:
            weights = np.clip((times - keys[key - 1]) / (keys[key] - keys[key - 1]), 0.0, 1.0)
        if key + 1 < len(keys):
            fall = np.clip((keys[key + 1] - times) / (keys[key + 1] - keys[key]), 0.0, 1.0)
            weights = np.minimum(weights, fall)
        return weights.astype(np.float32)

    def _add(self, at: int, block: np.ndarray) -> None:
        self._grow(at + block.shape[1])
        self._pending[:, at : at + block.shape[1]] += block

    def _grow(self, length: int) -> None:
        """Make room for ``length`` pending samples."""
        short = length - self._pending.shape[1]
        if short > 0:
            self._pending = np.pad(self._pending, ((0, 0), (0, short)))


class _Kernel:
    """An impulse response (C, m) that sounds are convolved with, its spectrum kept."""

    def __init__(self, impulse: np.ndarray) -> None:
        self._impulse, self.taps = impulse, impulse.shape[1]
        self._n_fft = 0

    def emitted(self, samples: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """``samples`` (n,) convolved: blocks (C, ...) to add up, each with its start."""
        block = self._plan(len(samples))
        for at in range(0, len(samples), block):
            part = samples[at : at + block]
            if part.any():
                whole = self._passed(part)
                yield at, whole[:, : len(part) + self.taps - 1]

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
