"""ISO 3382-1 parameters of measured impulse responses: octave filters, noise, decay.

What `EnergyResponse.parameters` reads from a simulation, read here from a recording, whose decay ends in noise.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from naf_core.bands import BAND_EDGES_HZ, N_BANDS
from naf_core.errors import UserError
from naf_core.response import decay_time

# Start and end in dB of what each time is read from, and the peak above the noise that this needs, in dB: the noise is
# to lie 10 dB below the end (ISO 3382-1:2009, 5.3.3).
_RANGES = {"T30_s": (-5.0, -35.0, 45.0), "T20_s": (-5.0, -25.0, 35.0), "EDT_s": (0.0, -10.0, 20.0)}

_FILTER_ORDER = 3
_BEFORE_DIRECT = 0.001  # s: integration starts this long before the direct sound
_BLOCKS_PER_DECADE = 5  # blocks in 10 dB of decay; Lundeby et al. take 3 to 10
_MOST_ROUNDS = 12
_QUIETEST = 1e-10  # noise power over that of the peak: no recording is quieter, and silence has no logarithm
_REGRESSION_POINTS = 400


class Decay(NamedTuple):
    """An exponential decay that ends in noise.

    ``noise`` power; ``crossing`` in s, where the decay meets the noise; ``rate`` in 1/s and ``power`` at time 0 of
    the decay, power * exp(-rate * t); ``range`` in dB, peak above the noise or above the end of the record.
    """

    noise: float
    crossing: float
    rate: float
    power: float
    range: float


def octave_bands(responses: np.ndarray, sample_rate: float) -> np.ndarray:
    """Filter ``responses`` (..., n) at ``sample_rate`` Hz into octave bands, (..., 8, n) float64.

    Butterworth band-passes of third order between the edges of IEC 61260-1:2014; NaN in bands that reach beyond half
    the sample rate.
    """
    from scipy import signal  # takes a third of a second, and who renders needs none of it

    responses = np.asarray(responses, dtype=np.float64)
    result = np.full((*responses.shape[:-1], N_BANDS, responses.shape[-1]), np.nan)
    for band, edges in enumerate(pairwise(BAND_EDGES_HZ)):
        if edges[1] < 0.5 * sample_rate:
            sections = signal.butter(_FILTER_ORDER, edges, "bandpass", fs=sample_rate, output="sos")
            result[..., band, :] = signal.sosfilt(sections, responses)
    return result


def find_direct(response: np.ndarray, sample_rate: float) -> int:
    """Sample at which the direct sound of ``response`` (n,) arrives.

    The first to come within 20 dB of the largest, as ISO 3382-1:2009, A.2.1 has it, then on to the top of that wave,
    1 ms at most.
    """
    size = np.abs(response)
    first = int(np.argmax(size >= 0.1 * size.max(initial=0.0)))
    return first + int(np.argmax(size[first : first + max(round(0.001 * sample_rate), 1)]))


def fit_decay(power: np.ndarray, sample_rate: float) -> Decay | None:
    """Noise and late decay of ``power`` (n,), a squared band from the direct sound on; None where there is no decay.

    Iterates between noise, slope and crossing point as A. Lundeby, T. E. Vigran, H. Bietz, M. Vorländer,
    "Uncertainties of measurements in room acoustics", Acustica 81 (1995), 344-355. The slope is taken over the last
    20 dB that lie more than 5 dB above the noise.
    """
    n = len(power)
    block = max(round(0.01 * sample_rate), 1)
    if n < 3 * block:
        return None
    loudest = float(_blocks(power, block)[0].max())
    if loudest <= 0.0:
        return None
    least = _QUIETEST * loudest
    noise = max(float(power[-max(n // 10, 1) :].mean()), least)
    crossing, fit = n, None
    for _ in range(_MOST_ROUNDS):
        floor = 10.0 * np.log10(noise)
        level, middle = _blocks(power, block)
        level = 10.0 * np.log10(np.maximum(level, 1e-300))
        first = int(level.argmax())
        quiet = np.flatnonzero(level[first:] < floor + 5.0)
        last = first + int(quiet[0]) if len(quiet) else len(level)
        lowest = max(floor + 5.0, level[max(last - 1, first)])
        loud = np.flatnonzero(level[first:last] > lowest + 20.0)
        start = first + (int(loud[-1]) if len(loud) else 0)
        if last - start < 3:
            break
        clear = 10.0 * np.log10(10.0 ** (level[start:last] / 10.0) - noise)  # 5 dB above the noise at least
        slope, offset = np.polyfit(middle[start:last] / sample_rate, clear, 1)
        if slope >= 0.0:
            break
        fit = slope, offset
        before, crossing = crossing, int(np.clip((floor - offset) / slope * sample_rate, 1, n))
        block = int(np.clip(10.0 / -slope / _BLOCKS_PER_DECADE * sample_rate, 1, max(n // 20, 1)))
        # From 10 dB of decay beyond the crossing on, the last tenth at least, less what the decay itself has left
        # there: in a record that ends before the noise begins that is all.
        beyond = min(crossing + round(10.0 / -slope * sample_rate), n - max(n // 10, 1))
        left = 10.0 ** ((offset + slope * np.arange(beyond, n) / sample_rate) / 10.0)
        noise = max(float(power[beyond:].mean() - left.mean()), least)
        if abs(crossing - before) < 0.002 * n:
            break
    if fit is None:
        return None
    slope, offset = fit
    end = max(10.0 * np.log10(noise), offset + slope * n / sample_rate)
    rate = -slope * np.log(10.0) / 10.0
    peak = 10.0 * np.log10(loudest)
    return Decay(noise, crossing / sample_rate, float(rate), float(10.0 ** (offset / 10.0)), float(peak - end))


def schroeder(power: np.ndarray, sample_rate: float, decay: Decay) -> np.ndarray:
    """Backward-integrated energy of ``power`` (n,) at each sample up to the crossing, and once beyond; float64.

    Noise is subtracted; beyond the crossing stands the energy of the fitted decay (ISO 3382-1:2009, 5.3.3).
    """
    last = max(int(decay.crossing * sample_rate), 1)
    clean = power[:last] - decay.noise
    tail = decay.power * np.exp(-decay.rate * decay.crossing) / decay.rate * sample_rate
    backward = np.cumsum(clean[::-1])[::-1] + tail
    return np.append(backward, tail)


@cache
def filter_delays(sample_rate: float) -> tuple[float, ...]:
    """Centre of gravity in s of the energy with which the octave filters answer an impulse, by band."""
    impulse = np.zeros(round(sample_rate))
    impulse[0] = 1.0
    power = octave_bands(impulse, sample_rate) ** 2
    return tuple(power @ np.arange(len(impulse)) / power.sum(axis=1) / sample_rate)


def measured_parameters(response: np.ndarray, sample_rate: float, direct: int | None = None) -> dict[str, np.ndarray]:
    """ISO 3382-1 parameters of an impulse ``response`` (n,) at ``sample_rate`` Hz, each (8,) float64.

    ``direct`` is the sample of the direct sound, found where it is None. Keys as in `EnergyResponse.parameters`
    without the level: T30_s, T20_s, EDT_s, C50_dB, C80_dB, D50, Ts_s; and range_dB, the peak above noise or end. NaN
    where the range does not suffice. Raises UserError on a response that is empty, silent or not finite.
    """
    response = np.asarray(response, dtype=np.float64)
    if response.ndim != 1 or not np.isfinite(response).all() or not response.any():
        raise UserError("The impulse response is empty, silent or not of finite numbers: give one row of samples.")
    direct = find_direct(response, sample_rate) if direct is None else direct
    start = max(direct - round(_BEFORE_DIRECT * sample_rate), 0)
    result = {name: np.full(N_BANDS, np.nan) for name in (*_RANGES, "C50_dB", "C80_dB", "D50", "Ts_s", "range_dB")}
    # Cut in time before the filter, whose ringing would carry early energy past the limit (ISO 3382-1:2009, A.2.3).
    limits = [direct + round(seconds * sample_rate) for seconds in (0.05, 0.08)]
    parts = [np.where(np.arange(len(response)) < limit, 0.0, response) for limit in (0, *limits)]
    powers = octave_bands(np.stack(parts), sample_rate)[..., start:] ** 2
    for band, (whole, *afterwards) in enumerate(powers.swapaxes(0, 1)):
        decay = fit_decay(whole, sample_rate) if np.isfinite(whole).all() else None
        if decay is None:
            continue
        result["range_dB"][band] = decay.range
        # What the filter delays counts as arriving at time 0, or short decays would begin with a plateau.
        curve = schroeder(whole, sample_rate, decay)
        shift = direct - start + round(filter_delays(sample_rate)[band] * sample_rate)
        fall = np.append(curve[0], curve[min(shift + 1, len(curve) - 1) :])
        edges = np.arange(len(fall)) / sample_rate
        for name, (low, high, needed) in _RANGES.items():
            if decay.range >= needed:
                result[name][band] = decay_time(fall, low, high, _REGRESSION_POINTS, edges)
        if decay.range < _RANGES["EDT_s"][2]:
            continue
        late = np.empty(2)
        for k, (limit, part) in enumerate(zip(limits, afterwards, strict=True)):
            later = schroeder(part, sample_rate, decay)
            late[k] = later[min(limit - start, len(later) - 1)]
        with np.errstate(divide="ignore", invalid="ignore"):
            result["C50_dB"][band], result["C80_dB"][band] = 10.0 * np.log10((curve[0] - late) / late)
        result["D50"][band] = 1.0 - late[0] / curve[0]
        # By parts, the mean of the time is the integral of the curve.
        result["Ts_s"][band] = (curve[1:].sum() / curve[0] - shift) / sample_rate
    return result


def _blocks(power: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of ``power`` over blocks of ``length`` samples, and the sample in the middle of each."""
    count = len(power) // length
    return power[: count * length].reshape(count, length).mean(axis=1), (np.arange(count) + 0.5) * length
