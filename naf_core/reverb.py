"""The reverberation of a moving emitter at a moving listener: convolution with a response that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy import fft

from naf_core.carriers import Carriers
from naf_core.direct import Clock
from naf_core.response import EnergyResponse
from naf_core.synthesis import ambisonic_response, duration

_BLOCK = 1 << 16


def ring_out(responses: EnergyResponse) -> float:
    """Longest time in seconds from emission to the end of any of ``responses`` (K, ...)."""
    ends = [duration(responses[index]) for index in range(len(responses.distance))]
    return float((np.asarray(responses.delay, np.float64) + ends).max(initial=0.0))


def reverberation(
    dry: np.ndarray,
    clock: Clock,
    responses: EnergyResponse,
    response_times: np.ndarray,
    seed: int,
    follows_listener: bool = False,
    progress: Callable[[float], None] | None = None,
    order: int = 1,
) -> np.ndarray:
    """Reverberation of ``dry`` (n,) in ambisonics ((order + 1)², length) float32, ACN, SN3D, world axes.

    ``responses`` (K, ...) hold at ``response_times`` (K,) s, increasing; between two of them the sound
    fades linearly from the one to the other. What fades is the sound as it is emitted, so that a tail keeps
    the place where it was made; with ``follows_listener`` it is the sound as it is heard, so that a tail
    changes with the place where it is heard. The first is exact when only the emitter moves, the second
    when only the listener does.

    All responses are cut from the same noise at the same time after emission, whatever their distance: two
    keys with different delays therefore add up without a comb filter, and reverberation has no Doppler
    shift, which in a diffuse field is zero in the mean.
    """
    result = np.zeros(((order + 1) ** 2, clock.length), np.float32)
    if not (dry.any() and responses.energy.any()):
        return result
    rate = clock.sample_rate
    latest = float(np.max(responses.delay)) + 0.01
    carriers = Carriers(rate, ring_out(responses) + 0.1, seed, latest, order)
    starts = np.round(np.asarray(responses.delay, np.float64) * rate).astype(int)
    count = len(response_times)
    for key in range(count):
        before = float(response_times[key - 1]) if key else -np.inf
        after = float(response_times[key + 1]) if key + 1 < count else np.inf
        first = 0 if before == -np.inf else clock.sample(before - 1.0 / rate)
        last = clock.length if after == np.inf else clock.sample(after + 1.0 / rate)
        heard = follows_listener or dry[first:last].any()
        impulse = ambisonic_response(responses[key], carriers, int(starts[key])) if heard and last > first else None
        if impulse is not None and impulse.shape[1]:
            weights = _hat(clock.times(first, last), before, float(response_times[key]), after)
            if follows_listener:
                for at, block in _heard(dry, impulse, first - starts[key], last - starts[key]):
                    at += int(starts[key])
                    part = slice(at - first, at - first + block.shape[1])
                    result[:, at : at + block.shape[1]] += block * weights[part]
            else:
                segment = dry[first : min(last, len(dry))]
                for at, block in _emitted(segment * weights[: len(segment)], impulse):
                    at += first + int(starts[key])
                    room = max(clock.length - at, 0)
                    result[:, at : at + block.shape[1]] += block[:, :room]
        if progress is not None:
            progress((key + 1) / count)
    return result


def _hat(times: np.ndarray, before: float, key: float, after: float) -> np.ndarray:
    """Weights that rise from 0 at ``before`` to 1 at ``key`` and fall to 0 at ``after``; all keys sum to 1."""
    rise = np.ones_like(times) if before == -np.inf else np.clip((times - before) / (key - before), 0.0, 1.0)
    fall = np.ones_like(times) if after == np.inf else np.clip((after - times) / (after - key), 0.0, 1.0)
    return np.minimum(rise, fall).astype(np.float32)


def _emitted(samples: np.ndarray, impulse: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """``samples`` (n,) convolved with ``impulse`` (C, m): blocks (C, ...) to add up, each with its start."""
    block, n_fft, spectrum = _plan(len(samples), impulse)
    for at in range(0, len(samples), block):
        part = samples[at : at + block]
        if part.any():
            whole = fft.irfft(fft.rfft(part, n_fft) * spectrum, n_fft)
            yield at, whole[:, : len(part) + impulse.shape[1] - 1]


def _heard(samples: np.ndarray, impulse: np.ndarray, first: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
    """Samples ``first`` up to ``last`` of ``samples`` (n,) convolved with ``impulse`` (C, m), block after block."""
    block, n_fft, spectrum = _plan(last - first, impulse)
    reach = impulse.shape[1] - 1
    for at in range(first, last, block):
        stop = min(at + block, last)
        part = np.zeros(stop - at + reach, np.float32)
        low, high = max(at - reach, 0), min(stop, len(samples))
        if low < high and samples[low:high].any():
            part[low - at + reach : high - at + reach] = samples[low:high]
            whole = fft.irfft(fft.rfft(part, n_fft) * spectrum, n_fft)
            yield at, whole[:, reach : reach + stop - at]


def _plan(length: int, impulse: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Samples a block, the length of its transform and the transformed ``impulse``."""
    taps = impulse.shape[1]
    block = max(min(length, max(taps, _BLOCK)), 1)
    n_fft = fft.next_fast_len(block + taps - 1, real=True)
    return block, n_fft, fft.rfft(impulse, n_fft)
