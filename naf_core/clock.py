"""Time as samples: the clock of a track, the stretches between jumps, and sounds that are read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from naf_core.motion import Motion

_JUMP_FADE = 0.010  # s, on either side of a jump


class Signal(Protocol):
    """A sound of one channel, of which any part can be read."""

    def read(self, first: int, last: int) -> np.ndarray:
        """Samples from ``first`` up to ``last``, (last - first,) float32; silence where there are none."""


class Held:
    """A `Signal` that is held in memory: ``samples`` (n,) from sample 0 on."""

    def __init__(self, samples: np.ndarray) -> None:
        self._samples = np.asarray(samples, np.float32)

    def read(self, first: int, last: int) -> np.ndarray:
        """As `Signal.read`."""
        result = np.zeros(max(last - first, 0), np.float32)
        start, stop = max(first, 0), min(last, len(self._samples))
        if start < stop:
            result[start - first : stop - first] = self._samples[start:stop]
        return result


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


@dataclass(frozen=True)
class Stretch:
    """The time between two jumps: samples ``first`` up to ``last``; the jumps at ``start`` and ``stop`` in s."""

    first: int
    last: int
    start: float
    stop: float

    @property
    def anchor(self) -> float | None:
        """A time within, None when there are no jumps at all (see `Motion.position`)."""
        if self.start == -np.inf:
            return None if self.stop == np.inf else self.stop - 1e-9
        return self.start + 1e-9

    def fade(self, times: np.ndarray) -> np.ndarray | float:
        """A gain at ``times`` (n,) in s that rises over the first jump and falls over the second."""
        rise = np.clip(0.5 + 0.5 * (times - self.start) / _JUMP_FADE, 0.0, 1.0) if self.start > -np.inf else 1.0
        fall = np.clip(0.5 - 0.5 * (times - self.stop) / _JUMP_FADE, 0.0, 1.0) if self.stop < np.inf else 1.0
        return rise * fall


def stretches(clock: Clock, paths: tuple[Motion, Motion]) -> Iterator[Stretch]:
    """The stretches of a track between the jumps of both ``paths``; at each jump one fades into the next."""
    jumps = np.unique(np.concatenate([path.jumps for path in paths]))
    edges = [-np.inf, *(float(jump) for jump in jumps), np.inf]
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        first = 0 if start == -np.inf else clock.sample(start - _JUMP_FADE)
        last = clock.length if stop == np.inf else clock.sample(stop + _JUMP_FADE)
        if first < last:
            yield Stretch(first, last, start, stop)
