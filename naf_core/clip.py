"""What of a sound is played at one start: a part of it, how often, how fast and which way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from naf_core.errors import UserError

FASTEST = 16.0  # times its own speed, and as much slower
MOST = 100_000.0  # times that a part is repeated
_FADE = 0.005  # s, where a clip cuts into its sound
_HELD = 1 << 18  # samples of a part that is held as a whole, to be repeated


@dataclass(frozen=True)
class Clip:
    """From ``begin`` to ``end`` (0: its end) in s of the sound, ``repeat`` times, at ``speed``, ``backwards`` or not.

    The part is repeated without a gap, also by a fraction of it; where the whole cuts into the sound, it fades within
    5 ms. Of another speed the pitch is other, too. Raises UserError on values out of range.
    """

    begin: float = 0.0
    end: float = 0.0
    repeat: float = 1.0
    speed: float = 1.0
    backwards: bool = False

    def __post_init__(self) -> None:
        if not np.isfinite([self.begin, self.end, self.repeat, self.speed]).all():
            raise UserError("A clip of a sound has a value that is not a finite number.")
        if self.begin < 0.0 or (self.end and self.end <= self.begin):
            raise UserError(
                f"A clip of a sound goes from {self.begin:g} to {self.end:g} s: let it end after its start."
            )
        if not 0.0 < self.repeat <= MOST:
            raise UserError(f"A clip of a sound is repeated {self.repeat:g} times: set it above 0, up to {MOST:g}.")
        if not 1.0 / FASTEST <= self.speed <= FASTEST:
            raise UserError(
                f"A clip of a sound plays at {self.speed:g} times its speed: set it between {1.0 / FASTEST:g} and"
                f" {FASTEST:g}."
            )

    def seconds(self, whole: float) -> float:
        """How long it plays, in s, where the ``whole`` sound lasts so long."""
        return max((self.end or whole) - self.begin, 0.0) * self.repeat / self.speed


WHOLE = Clip()


class Sound(Protocol):
    """Samples at a ``sample_rate``, ``length`` of them."""

    sample_rate: int
    length: int

    def read(self, first: int, last: int) -> np.ndarray:
        """Samples ``first`` up to ``last``, (last - first,) float32; silence where there are none."""


class Clipped:
    """What a ``clip`` plays of a ``sound``, at the sound's own speed: a `Sound` itself."""

    def __init__(self, sound: Sound, clip: Clip) -> None:
        self.sample_rate, self._sound, self._backwards = sound.sample_rate, sound, clip.backwards
        self._begin = round(clip.begin * sound.sample_rate)
        end = round(clip.end * sound.sample_rate) or sound.length
        self._part = max(end - self._begin, 0)
        self.length = round(self._part * clip.repeat)
        # Whether there is sound beyond either end of what is played.
        cut = self._begin > 0, end < sound.length
        first, last = cut[::-1] if clip.backwards else cut
        fade = min(round(_FADE * sound.sample_rate), self.length // 2)
        self._fades = fade * first, fade * (last or self.length % max(self._part, 1) > 0)
        self._held = self._played(0, self._part) if 0 < self._part <= _HELD else None

    def read(self, first: int, last: int) -> np.ndarray:
        """As `Sound.read`."""
        result = np.zeros(max(last - first, 0), np.float32)
        start, stop = max(first, 0), min(last, self.length)
        if start >= stop:
            return result
        at = np.arange(start, stop)
        if self._held is not None:
            made = self._held[at % self._part]
        else:
            made = np.empty(stop - start, np.float32)
            for turn in range(start // self._part, (stop - 1) // self._part + 1):
                origin = turn * self._part
                low, high = max(start, origin), min(stop, origin + self._part)
                made[low - start : high - start] = self._played(low - origin, high - origin)
        rise, fall = self._fades
        if rise:
            made = made * np.minimum((at + 0.5) / rise, 1.0).astype(np.float32)
        if fall:
            made = made * np.minimum((self.length - at - 0.5) / fall, 1.0).astype(np.float32)
        result[start - first : stop - first] = made
        return result

    def _played(self, first: int, last: int) -> np.ndarray:
        """Samples of the part, in the order in which they are played."""
        if not self._backwards:
            return self._sound.read(self._begin + first, self._begin + last)
        end = self._begin + self._part
        return self._sound.read(end - last, end - first)[::-1]
