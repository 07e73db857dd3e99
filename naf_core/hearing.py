"""What of one emitter reaches the listener at each key time, asked for leg by leg, so that long ways need no memory."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from naf_core.bands import N_BANDS
from naf_core.beam import Beam, StillBeam
from naf_core.firstsound import apparent_path
from naf_core.images import Images, added, no_images, without_images
from naf_core.motion import Motion
from naf_core.response import FRAME_EDGES, N_FRAMES, EnergyResponse
from naf_core.reverb import ring_out
from naf_core.scene import Trajectory
from naf_core.synthesis import Clicks

LEG = 256  # keys
_KEPT = 32  # legs whose responses are kept: 40 MB; those of longer ways are asked for twice

# Responses with their first sound, where that is heard from and along what it leaves, (n, 3), at the keys of a slice.
Ask = Callable[[slice], tuple[EnergyResponse, np.ndarray, np.ndarray]]
# The images that are heard at the keys of a slice.
Find = Callable[[slice], Images]


@dataclass(frozen=True)
class Leg:
    """The keys from ``first`` on: ``responses`` less their images, ``clicks`` of each, ``images`` at ``times`` (k,) s.

    The images have one more key at either side, where there is one, at which they are silent: so the images of one leg
    fade into those of the next, between two keys, and those that are the same go through unchanged.
    """

    first: int
    responses: EnergyResponse
    images: Images
    times: np.ndarray
    clicks: list[Clicks]


class Hearing:
    """What a ``listener`` hears of an ``emitter``, at ``times`` (K,) s.

    ``delay`` (K,) in s is that of the earliest possible arrival; ``apparent`` the path on which the first sound seems
    to move, and ``seen`` that sound at the ``seen_times``, without any energy but its own; ``opening`` is the response
    of the first key, ``ringing`` the longest time in s from emission to the end of any. ``ask`` and ``find`` take the
    keys of an emitter that sends alike in all directions; ``beam`` is what a cone makes of that. ``volume`` in m³
    is that of the room, where it is known. ``progress`` gets 0..1. What is sent to another process knows nobody whom
    to ask there, until it is told (see `asking`).
    """

    def __init__(
        self,
        emitter: Trajectory,
        listener: Trajectory,
        times: np.ndarray,
        ask: Ask,
        find: Find | None = None,
        beam: Beam | StillBeam | None = None,
        progress: Callable[[float], None] | None = None,
        volume: float | None = None,
    ) -> None:
        self.volume = volume
        self.times, self._ask, self._find, self._beam = np.asarray(times, np.float64), ask, find, beam
        self._legs: dict[int, Leg] = {}
        self._lock = Lock()  # images and reverberation ask at once
        self._known: dict[int, EnergyResponse] = {}
        parts, places, departures, self.ringing = [], [], [], 0.0
        for number in range(self.legs):
            responses, here, departure = ask(self._keys(number))
            self.ringing = max(self.ringing, ring_out(responses))
            if not number:
                opening = responses[:1] if beam is None else beam.whole(responses[:1], self.times[:1], departure[:1])
                self.opening = opening[0]
            if self.legs <= _KEPT:
                self._known[number] = responses
            parts.append(replace(responses, energy=_nothing(len(here))))
            places.append(here)
            departures.append(departure)
            if progress is not None:
                progress((number + 1) / self.legs)
        names = ("direct", "distance", "direct_direction", "tail_slope")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        first = replace(parts[0], energy=_nothing(len(self.times)), **joined)
        self.delay, self.speed_of_sound = np.asarray(first.delay, np.float64), first.speed_of_sound
        self.apparent = apparent_path(emitter, self.times, np.concatenate(places), first.direct.any(axis=1))
        # The distance is that to where the emitter seems to be.
        ends = (Motion(path).position(self.times) for path in (self.apparent, listener))
        first = replace(first, distance=np.linalg.norm(np.subtract(*ends), axis=1).astype(np.float32))
        self._first = self.seen = first
        self.seen_times = self.times
        if beam is not None:
            self.seen, self.seen_times = beam.first_sound(first, self.times, np.concatenate(departures))

    def asking(self, ask: Ask, find: Find) -> Hearing:
        """The same, asking these."""
        result = copy(self)
        result._ask, result._find, result._lock = ask, find, Lock()
        result._known, result._legs = dict(self._known), dict(self._legs)
        return result

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name not in ("_ask", "_find", "_lock")}

    @property
    def legs(self) -> int:
        """How many legs there are."""
        return -(-len(self.times) // LEG)

    def reaches(self, number: int, start: float, stop: float) -> bool:
        """Whether images of a leg may be heard between ``start`` and ``stop`` in s."""
        keys = self._keys(number)
        begin = self.times[keys.start - 1] if keys.start else -np.inf
        end = self.times[keys.stop] if keys.stop < len(self.times) else np.inf
        return begin < stop and end > start

    def response(self, key: int) -> tuple[EnergyResponse, Clicks]:
        """The response at a key less what its images take, and all that is heard beside it."""
        leg = self.leg(key // LEG)
        return leg.responses[key - leg.first], leg.clicks[key - leg.first]

    def leg(self, number: int) -> Leg:
        """A leg; the last two are kept."""
        with self._lock:
            if number not in self._legs:
                self._legs = {known: leg for known, leg in self._legs.items() if known >= number - 1}
                self._legs[number] = self._made(number)
            return self._legs[number]

    def _made(self, number: int) -> Leg:
        keys, count = self._keys(number), len(self.times)
        responses = self._known.pop(number, None) or self._ask(keys)[0]
        images = no_images(keys.stop - keys.start) if self._find is None else self._find(keys)
        rest = without_images(responses, images)
        before, after = int(keys.start > 0), int(keys.stop < count)
        padding = ((0, 0), (before, after), (0, 0))
        padded = replace(images, energy=np.pad(images.energy, padding), way=np.pad(images.way, padding, mode="edge"))
        times = self.times[keys.start - before : keys.stop + after]
        first = self._first[keys]
        if self._beam is not None:
            rest = self._beam.into_room(rest, self.times[keys])
            padded, times = self._beam.reflections(padded, times)
            at = np.searchsorted(times, self.times[keys])
            images = replace(padded, energy=padded.energy[:, at], way=padded.way[:, at])
            first = self.seen[np.searchsorted(self.seen_times, self.times[keys])]
            # What all together amounts to is known of emitters without a cone alone: it is made up of its parts.
            whole = rest.energy + added(replace(rest, direct=first.direct), images)
            responses = replace(rest, energy=np.maximum(whole, 0.0))
        clicks = [_clicks(responses[key], first[key], images.at(key)) for key in range(len(rest.distance))]
        return Leg(keys.start, rest, padded, times, clicks)

    def _keys(self, number: int) -> slice:
        return slice(number * LEG, min((number + 1) * LEG, len(self.times)))


def _clicks(response: EnergyResponse, first: EnergyResponse, images: Images) -> Clicks:
    """The ``first`` sound and the ``images`` of a key whose whole ``response`` is known."""
    away = np.append(np.linalg.norm(images.way[:, 0], axis=1), float(first.distance))
    energy = np.concatenate([images.energy[:, 0], first.direct[None]]).astype(np.float64)
    total = np.array(response.energy[..., 0], np.float64)
    # What bends round edges arrives later than the earliest sound could.
    late = float(first.delay) - float(response.delay)
    total[:, min(int(np.searchsorted(FRAME_EDGES, max(late, 0.0), side="right")) - 1, N_FRAMES - 1)] += first.direct
    return Clicks(away / response.speed_of_sound, energy, total)


def _nothing(count: int) -> np.ndarray:
    """Energies (count, 8, F, 4) that take no memory: none at all."""
    return np.broadcast_to(np.float32(0.0), (count, N_BANDS, N_FRAMES, 4))
