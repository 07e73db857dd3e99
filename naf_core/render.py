"""Rendering: what a listener hears of an emitter over time, block after block, in three parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from zlib import crc32

import numpy as np

from naf_core.ambisonics import turn
from naf_core.beam import StillBeam
from naf_core.carriers import Carriers
from naf_core.clock import Clock, Held, Signal
from naf_core.direct import BLOCK_DURATION, DirectSound
from naf_core.early import EarlyReflections
from naf_core.errors import UserError
from naf_core.formats import Format, format_of
from naf_core.hearing import Hearing
from naf_core.images import Images, no_images
from naf_core.motion import rotations_at, turns
from naf_core.response import EnergyResponse
from naf_core.reverb import Reverberation, ring_out
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.source import CUT_FADE, Dry, Source
from naf_core.stemfile import PARTS
from naf_core.threads import together

Heard = Callable[[int, int], np.ndarray]

MAX_TAIL = 10.0  # s
SAMPLE_RATES = (16_000, 192_000)  # Hz

_SEGMENT = 4.0  # s that are rendered at a time
_END_FADE = 0.030  # s
_SILENCE = 10.0 ** (-90.0 / 20.0)  # of the peak: what is below at the end is left away


class Rendering:
    """What ``listener`` hears of ``emitter``; a sample of 1 is 1 pascal (see `sound`).

    ``hearing`` says what reaches the listener; ``source`` is the emitter's sound file at the wanted rate. ``duration``
    in s is the length of the shot; the sound stops there and rings out for ``tail`` seconds, or, by default, until it
    is silent, at most MAX_TAIL. A sound that started before time 0 is already in the room by then. ``fmt`` is that for
    two ears by default. The same ``seed`` gives the same samples. Raises UserError on values out of range.
    """

    def __init__(
        self,
        emitter: Emitter,
        listener: Listener,
        hearing: Hearing,
        source: Source,
        duration: float,
        fmt: Format | None = None,
        seed: int = 0,
        tail: float | None = None,
    ) -> None:
        rate = source.sample_rate
        if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
            raise UserError(f"The sample rate is {rate} Hz: set it between {SAMPLE_RATES[0]} and {SAMPLE_RATES[1]}.")
        if not duration > 0.0:
            raise UserError(f"The shot lasts {duration} s: set a frame range with at least one frame.")
        ringing = hearing.ringing
        preroll = min(ringing, max(0.0, -min(emitter.starts, default=0.0)))
        self._preroll = int(np.ceil(preroll * rate))
        self._shot = self._preroll + round(duration * rate)
        rest = round((min(ringing + 0.02, MAX_TAIL) if tail is None else tail) * rate)
        self._rate, self._trims = rate, tail is None
        self._clock = Clock(rate, -self._preroll / rate, self._shot + rest)
        dry = Dry(emitter, source, self._clock, self._shot)
        self._parts = _Parts(
            dry, self._clock, emitter.trajectory, listener.trajectory, hearing, fmt or format_of("binaural"),
            _own_seed(seed, emitter),
        )  # fmt: skip

    def group(self, parts: tuple[str, ...], progress: Callable[[float], None]) -> Iterator[np.ndarray]:
        """One of GROUPS by itself, to be put into `blocks`: (n, parts, channels), ``progress`` as there."""
        for first, last in self._segments():
            yield self._parts.group(parts, first, last)
            progress(last / self._clock.length)

    def blocks(
        self, progress: Callable[[float], None] | None = None, heard: Heard | None = None
    ) -> Iterator[np.ndarray]:
        """All samples in order, (n, 3, channels) float32: direct sound, early reflections, the rest (see PARTS).

        ``progress`` gets 0..1 and may raise to cancel. ``heard`` gives what the groups brought, (n, 3, channels) from a
        first sample up to a last, where they were rendered elsewhere.
        """
        end, peak, kept = self._clock.length, 0.0, []
        heard = heard or self._parts.heard
        for first, last in self._segments():
            block = heard(first, last)
            first, block = max(first, self._preroll), block[max(self._preroll - first, 0) :]
            fade = round(CUT_FADE * self._rate)
            if self._preroll and first < self._preroll + fade:
                at = np.arange(first, last) - self._preroll
                block *= np.clip(at / max(fade - 1, 1), 0.0, 1.0).astype(np.float32)[:, None, None]
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
            # What rings on after the shot is kept until it is known where it can be cut off.
            if first < self._shot:
                yield block[: self._shot - first]
            if last > self._shot:
                kept.append(block[max(self._shot - first, 0) :])
            if progress is not None:
                progress(last / end)
        tail = np.concatenate(kept) if kept else block[:0]
        if self._trims:
            loud = np.flatnonzero(np.abs(tail).max(axis=(1, 2), initial=0.0) > _SILENCE * peak)
            tail = tail[: int(loud[-1]) + 1 if len(loud) else 0]
        fade = min(round(_END_FADE * self._rate), len(tail))
        if fade:
            tail[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)[:, None, None]
            yield tail

    def _segments(self) -> Iterator[tuple[int, int]]:
        """The samples that are rendered at a time."""
        step = round(_SEGMENT * self._rate)
        for first in range(0, self._clock.length, step):
            yield first, min(first + step, self._clock.length)


def impulse_response(
    response: EnergyResponse,
    sample_rate: int = 48000,
    fmt: Format | None = None,
    seed: int = 0,
    images: Images | None = None,
    rotation: np.ndarray | None = None,
    beam: StillBeam | None = None,
    volume: float | None = None,
) -> np.ndarray:
    """Impulse response of one pair from emission on, direct sound included, (n, channels) float32.

    The head has the ``rotation`` (3, 3), world = R @ local, and looks along x by default. Free-field sound at 1 m would
    be a unit impulse. ``images`` are those of the pair at one key (see `Images.at`), ``beam`` what a cone makes of
    them and it; ``volume`` in m³ is that of the room; ``fmt`` and ``seed`` as in `Rendering`.
    """
    batch, fmt, images = response[None], fmt or format_of("binaural"), images or no_images(1)
    direction = np.asarray(response.direct_direction, np.float64).reshape(1, 3)
    norm = np.linalg.norm(direction)
    direction = direction / norm if norm > 0.0 else np.array([[1.0, 0.0, 0.0]])
    reach = np.linalg.norm(images.way, axis=-1).max(initial=0.0) / response.speed_of_sound
    clock = Clock(sample_rate, 0.0, round((max(ring_out(batch), reach) + 0.02) * sample_rate))
    here = Trajectory([0.0], np.zeros((1, 3)), None if rotation is None else np.asarray(rotation)[None])
    emitter = Trajectory([0.0], direction * float(response.distance))
    # Here the listener is the origin and nothing moves: an image lies where its way leads, whatever it mirrors.
    images = Images(np.zeros_like(images.turn), images.way[:, 0], images.energy, images.way)
    hearing = Hearing(
        emitter,
        here,
        np.zeros(1),
        lambda keys: (batch, emitter.positions, -direction),
        lambda keys: images,
        beam,
        volume=volume,
    )
    return _Parts(Held(np.ones(1)), clock, emitter, here, hearing, fmt, seed).heard(0, clock.length).sum(axis=1)


class _Parts:
    """The parts of what is heard of ``dry``."""

    def __init__(
        self,
        dry: Signal,
        clock: Clock,
        emitter: Trajectory,
        listener: Trajectory,
        hearing: Hearing,
        fmt: Format,
        seed: int,
    ) -> None:
        self._dry, self._clock, self._emitter, self._listener = dry, clock, emitter, listener
        self._hearing, self._fmt, self._seed = hearing, fmt, seed
        self._early: dict[int, EarlyReflections] = {}

    def heard(self, first: int, last: int) -> np.ndarray:
        """Samples ``first`` up to ``last``, which follow on those asked for before: (last - first, 3, channels)."""
        late, *others = together(*(lambda part=part: self._heard(part, first, last) for part in reversed(PARTS)))
        return np.stack([*reversed(others), late], axis=1)

    def group(self, parts: tuple[str, ...], first: int, last: int) -> np.ndarray:
        """As `heard`, of some ``parts``: (last - first, parts, channels)."""
        return np.stack([self._heard(part, first, last) for part in parts], axis=1)

    def _heard(self, part: str, first: int, last: int) -> np.ndarray:
        """One part, (last - first, channels) float32."""
        if part == "direct":
            return self._direct.heard(first, last).T
        if part == "late":
            return self._late.heard(first, last).T
        silence = np.zeros((self._fmt.channels, last - first), np.float32)
        return sum((early.heard(first, last) for early in self._reflections(first, last)), silence).T

    # Each part is made when it is heard: who renders one group needs nothing of the other.
    @cached_property
    def _direct(self) -> DirectSound:
        hearing = self._hearing
        return DirectSound(
            self._dry, self._clock, hearing.apparent, self._listener, hearing.seen, hearing.seen_times, self._fmt
        )

    @cached_property
    def _late(self) -> _Late:
        return _Late(self._dry, self._clock, self._emitter, self._listener, self._hearing, self._fmt, self._seed)

    def _reflections(self, first: int, last: int) -> list[EarlyReflections]:
        """Those of the legs that are heard at the samples."""
        rate, hearing = self._clock.sample_rate, self._hearing
        start, stop = self._clock.origin + first / rate, self._clock.origin + last / rate
        numbers = [number for number in range(hearing.legs) if hearing.reaches(number, start, stop)]
        self._early = {number: self._early.get(number) or self._of(number) for number in numbers}
        return list(self._early.values())

    def _of(self, number: int) -> EarlyReflections:
        leg, speed = self._hearing.leg(number), self._hearing.speed_of_sound
        return EarlyReflections(
            self._dry, self._clock, self._emitter, self._listener, leg.images, leg.times, speed, self._fmt
        )


class _Late:
    """Reverberation, turned with the head and decoded."""

    def __init__(
        self,
        dry: Signal,
        clock: Clock,
        emitter: Trajectory,
        listener: Trajectory,
        hearing: Hearing,
        fmt: Format,
        seed: int,
    ) -> None:
        self._clock, self._listener, self._fmt = clock, listener, fmt
        way = [np.linalg.norm(np.diff(path.positions, axis=0), axis=1).sum() for path in (emitter, listener)]
        # Whole seconds: a little more of reverberation takes the same noise.
        carriers = Carriers(clock.sample_rate, np.ceil(hearing.ringing + 0.1), seed, fmt.order, hearing.volume)
        self._waves = Reverberation(
            dry, clock, hearing.response, hearing.times, hearing.delay, carriers, bool(way[1] > way[0])
        )
        filters, self._latency = (None, 0) if fmt.ears is None else fmt.ears.decoder(clock.sample_rate)
        self._memory = 0 if filters is None else filters.shape[2]  # samples of waves that a decoded one is made of
        self._start, self._held = 0, np.zeros(((fmt.order + 1) ** 2, 0), np.float32)  # waves, and where they begin

    def heard(self, first: int, last: int) -> np.ndarray:
        """The channels (channels, last - first) at samples that follow on those asked for before."""
        begin = self._start + self._held.shape[1]
        self._held = np.concatenate([self._held, self._turned(begin, last + self._latency)], axis=1)
        decoded = self._fmt.decode(self._held, self._clock.sample_rate)[:, first - self._start : last - self._start]
        start = max(last - self._memory, self._start)
        self._held, self._start = self._held[:, start - self._start :], start
        return decoded

    def _turned(self, first: int, last: int) -> np.ndarray:
        """The waves that come next, in the axes of the head where that counts."""
        waves = self._waves.until(last)
        if not self._fmt.head_locked:
            return waves
        if not turns(self._listener):
            return turn(waves, rotations_at(self._listener, np.zeros(1)), 1)
        hop = max(round(BLOCK_DURATION * self._clock.sample_rate), 1)
        knots = hop * np.arange(first // hop, -(-last // hop) + 1)
        rotations = rotations_at(self._listener, self._clock.origin + knots / self._clock.sample_rate)
        lead = first - knots[0]
        return turn(np.pad(waves, ((0, 0), (lead, 0))), rotations, hop)[:, lead:]


def _own_seed(seed: int, emitter: Emitter) -> int:
    """A seed of the emitter's own, so that two emitters in one place do not share their noise."""
    return ((seed & 0xFFFFFFFF) << 32) | crc32(emitter.name.encode())
