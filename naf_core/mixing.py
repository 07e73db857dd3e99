"""The mix: how loud the parts, the stems and their sum become, so that nothing is clipped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyloudnorm import IIRfilter
from scipy import signal

from naf_core.sound import PeakMeter

PEAK_LIMIT = -1.0  # dBTP

_STEP = 0.1  # s, of which four are a block of loudness, three quarters overlapping
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0  # LUFS; LU below the loudness of what passes the first
_OFFSET = -0.691  # dB: a 997 Hz sine of full scale in one front channel has -3.01 LUFS


def part_gains(wetness: float = 0.5, reverb_gain: float = 0.0) -> np.ndarray:
    """Gains (3,) of `stemfile.PARTS`: 1 for all as in the room.

    ``wetness`` 0 leaves the direct sound alone, 1 takes it away, 0.5 is the room; ``reverb_gain`` in dB is added to
    the late part.
    """
    dry, wet = min(1.0, 2.0 * (1.0 - wetness)), min(1.0, 2.0 * wetness)
    return np.array([dry, wet, wet * 10.0 ** (reverb_gain / 20.0)], np.float32)


@dataclass(frozen=True)
class Balance:
    """How the mix is scaled, and all stems with it, so that they keep their proportions.

    ``factor`` scales them; ``loudness`` in LUFS is then that of the mix, -inf for silence; ``peak`` the true peak of
    the loudest of the mix and the stems, in dBTP; ``held`` whether the peak kept it from the loudness that was wished
    for.
    """

    factor: float
    loudness: float
    peak: float
    held: bool


def balance(highest: float, heard: float, loudness: float | None = None, peak: float = PEAK_LIMIT) -> Balance:
    """The scale of a mix whose loudness is ``heard`` LUFS and whose true peak, or that of a stem, is ``highest``.

    ``loudness`` in LUFS is what is wished for; None keeps the stems' own levels. Nothing exceeds ``peak`` in dBTP
    (ITU-R BS.1770-4, annex 2), whatever the loudness.
    """
    wanted = 1.0 if loudness is None or not math.isfinite(heard) else 10.0 ** ((loudness - heard) / 20.0)
    allowed = 10.0 ** (peak / 20.0) / highest if highest > 0.0 else math.inf
    factor = min(wanted, allowed)
    gain = 20.0 * math.log10(factor)
    level = 20.0 * math.log10(highest) + gain if highest > 0.0 else -math.inf
    return Balance(factor, heard + gain, level, loudness is not None and factor < 0.999 * wanted)


class MixMeter:
    """Measures stems that are mixed, block by block: `add` all of them in order."""

    def __init__(self, stems: int, sample_rate: int, weights: Sequence[float]) -> None:
        self._loudness = LoudnessMeter(sample_rate, weights)
        self._peaks = [PeakMeter() for _ in range(stems + 1)]

    def add(self, stems: Sequence[np.ndarray]) -> None:
        """The next samples of all stems, each (n, channels)."""
        total = sum(stems)
        self._loudness.add(total)
        for meter, samples in zip(self._peaks, (*stems, total), strict=True):
            meter.add(samples)

    def balance(self, loudness: float | None = None, peak: float = PEAK_LIMIT) -> Balance:
        """As the function, of all that was added."""
        return balance(max(meter.finish() for meter in self._peaks), self._loudness.finish(), loudness, peak)


class LoudnessMeter:
    """Integrated loudness (ITU-R BS.1770-4, annex 1): `add` all samples in order, then `finish`.

    ``weights`` (channels,) of the power of each channel, 0 for one that does not count (see `layouts.loudness_weights`;
    annex 3 for more than five). Sounds shorter than 0.4 s are followed by silence.
    """

    def __init__(self, sample_rate: int, weights: Sequence[float]) -> None:
        self._step, self._weights = round(_STEP * sample_rate), np.asarray(weights, np.float64)
        self._counts = np.flatnonzero(self._weights)
        # The weighting K: a head's own gain at high frequencies, then a high pass.
        stages = (
            IIRfilter(4.0, 2**-0.5, 1500.0, sample_rate, "high_shelf"),
            IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass"),
        )
        self._sections = np.array([[*(stage.passband_gain * stage.b), *stage.a] for stage in stages])
        self._state = np.zeros((len(stages), 2, len(self._counts)))
        self._left = np.zeros(0)  # weighted power of the samples that fill no step yet
        self._steps: list[np.ndarray] = []  # energies of the steps

    def add(self, samples: np.ndarray) -> None:
        """The next ``samples`` (n, channels)."""
        heard, self._state = signal.sosfilt(
            self._sections, samples[:, self._counts].astype(np.float64), axis=0, zi=self._state
        )
        power = np.concatenate([self._left, np.square(heard) @ self._weights[self._counts]])
        count = len(power) // self._step
        self._steps.append(power[: count * self._step].reshape(count, self._step).sum(axis=1))
        self._left = power[count * self._step :]

    def finish(self) -> float:
        """Loudness in LUFS of all that was added, -inf for silence."""
        steps = np.concatenate([*self._steps, np.zeros(0)])
        if len(steps) < 4:
            steps = np.pad(np.append(steps, self._left.sum()), (0, 4))[:4]
        power = np.convolve(steps, np.ones(4), "valid") / (4 * self._step)
        with np.errstate(divide="ignore"):
            level = _OFFSET + 10.0 * np.log10(power)
            passed = level > _ABSOLUTE_GATE
            if not passed.any():
                return -math.inf
            gate = _OFFSET + 10.0 * math.log10(power[passed].mean()) + _RELATIVE_GATE
            return _OFFSET + 10.0 * math.log10(power[passed & (level > gate)].mean())
