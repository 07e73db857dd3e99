"""The mix: how loud the parts, the stems and their sum become, so that nothing is clipped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyloudnorm import IIRfilter
from scipy import signal

from naf_core.sound import true_peak

PEAK_LIMIT = -1.0  # dBTP

_BLOCK, _STEP = 0.4, 0.1  # s, over which loudness is measured, three quarters overlapping
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0  # LUFS; LU below the loudness of what passes the first
_OFFSET = -0.691  # dB: a 997 Hz sine of full scale in one front channel has -3.01 LUFS


@dataclass(frozen=True)
class Mix:
    """The sum of all stems, already scaled.

    ``samples`` (n, channels) float32; ``factor`` by which it was scaled, and by which the stems must be; ``loudness``
    in LUFS, -inf for silence; ``peak`` the true peak of the loudest of the sum and the stems, in dBTP; ``held`` whether
    the peak kept it from the loudness that was wished for.
    """

    samples: np.ndarray
    factor: float
    loudness: float
    peak: float
    held: bool


def part_gains(wetness: float = 0.5, reverb_gain: float = 0.0) -> np.ndarray:
    """Gains (3,) of `render.PARTS`: 1 for all as in the room.

    ``wetness`` 0 leaves the direct sound alone, 1 takes it away, 0.5 is the room; ``reverb_gain`` in dB is added to
    the late part.
    """
    dry, wet = min(1.0, 2.0 * (1.0 - wetness)), min(1.0, 2.0 * wetness)
    return np.array([dry, wet, wet * 10.0 ** (reverb_gain / 20.0)], np.float32)


def mix(
    stems: Sequence[np.ndarray],
    sample_rate: int,
    weights: Sequence[float],
    loudness: float | None = None,
    peak: float = PEAK_LIMIT,
) -> Mix:
    """The sum of ``stems`` (n, channels), with the loudness and the true peak that are wished for.

    Shorter stems are followed by silence. ``loudness`` in LUFS is that of the sum; None keeps the stems' own levels.
    Neither the sum nor any stem exceeds ``peak`` in dBTP (ITU-R BS.1770-4, annex 2), whatever the loudness: all are
    scaled alike, so that they keep their proportions. ``weights`` (channels,) as in `loudness_of`.
    """
    length = max(len(stem) for stem in stems)
    total = np.zeros((length, stems[0].shape[1]), np.float32)
    for stem in stems:
        total[: len(stem)] += stem
    highest = max(true_peak(samples) for samples in (total, *stems))
    heard = loudness_of(total, sample_rate, weights)
    wanted = 1.0 if loudness is None or not math.isfinite(heard) else 10.0 ** ((loudness - heard) / 20.0)
    allowed = 10.0 ** (peak / 20.0) / highest if highest > 0.0 else math.inf
    factor = min(wanted, allowed)
    gain = 20.0 * math.log10(factor)
    return Mix(
        total * np.float32(factor),
        factor,
        heard + gain,
        20.0 * math.log10(highest) + gain if highest > 0.0 else -math.inf,
        loudness is not None and factor < 0.999 * wanted,
    )


def loudness_of(samples: np.ndarray, sample_rate: int, weights: Sequence[float]) -> float:
    """Integrated loudness of ``samples`` (n, channels) in LUFS, -inf for silence (ITU-R BS.1770-4, annex 1).

    ``weights`` (channels,) of the power of each channel, 0 for one that does not count (see `layouts.loudness_weights`;
    annex 3 for more than five). Sounds shorter than 0.4 s are followed by silence.
    """
    block, step = round(_BLOCK * sample_rate), round(_STEP * sample_rate)
    count = max(1 + (len(samples) - block) // step, 1)
    power = np.zeros(count)
    # The weighting K: a head's own gain at high frequencies, then a high pass.
    stages = (
        IIRfilter(4.0, 2**-0.5, 1500.0, sample_rate, "high_shelf"),
        IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass"),
    )
    for channel, weight in zip(samples.T, weights, strict=True):
        if weight and channel.any():
            heard = channel.astype(np.float64)
            for stage in stages:
                heard = stage.passband_gain * signal.lfilter(stage.b, stage.a, heard)
            total = np.concatenate([[0.0], np.cumsum(np.square(heard))])
            first = step * np.arange(count)
            power += weight * (total[np.minimum(first + block, len(heard))] - total[first]) / block
    with np.errstate(divide="ignore"):
        level = _OFFSET + 10.0 * np.log10(power)
        passed = level > _ABSOLUTE_GATE
        if not passed.any():
            return -math.inf
        gate = _OFFSET + 10.0 * math.log10(power[passed].mean()) + _RELATIVE_GATE
        return _OFFSET + 10.0 * math.log10(power[passed & (level > gate)].mean())
