"""The shot: all that is needed to know what the listener hears of each emitter, and to render it, in any process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from naf_core import report
from naf_core.aim import power_times
from naf_core.beam import Beam
from naf_core.formats import Format, format_of
from naf_core.hearing import Hearing
from naf_core.images import Images
from naf_core.job import Job
from naf_core.motion import key_times
from naf_core.render import Rendering
from naf_core.response import EnergyResponse
from naf_core.rooms import Rooms
from naf_core.scene import Emitter
from naf_core.source import Source


def shot_times(job: Job, emitter: Emitter) -> np.ndarray:
    """Times (K,) in s at which responses of ``emitter`` are needed."""
    moving = np.union1d(key_times(emitter.trajectory, job.listener.trajectory), power_times(emitter))
    return np.union1d(moving, job.room.moments())


@dataclass(frozen=True)
class Shot:
    """The ``job`` in its ``rooms``; ``times`` (K,) of each emitter and ``sources``, its sounds by path."""

    job: Job
    rooms: Rooms
    times: list[np.ndarray]
    sources: dict[str, Source]

    @cached_property
    def fmt(self) -> Format:
        """The format of all tracks."""
        return format_of(self.job.format, self.job.order, self.job.hrtf)

    @cached_property
    def volume(self) -> float | None:
        """That of the room in m³, where it is known."""
        return report.volume(self.job.scene, self.rooms.fields[0]) if self.job.recorded is None else None

    def beam(self, number: int) -> Beam | None:
        """What the cone of an emitter makes of what is heard of it, where it has one."""
        emitter, listener = self.job.emitters[number], self.job.listener.trajectory
        return None if emitter.cone is None else Beam(emitter, listener, self.job.scene.air.speed_of_sound)

    def images(self, times: np.ndarray, here: np.ndarray, there: np.ndarray) -> Images:
        """The early reflections that are heard one by one, between an emitter and the listener at ``times``."""
        return self.rooms.images(times, here, there, self.job.reflections)

    def hearing(self, number: int, progress: Callable[[float], None]) -> Hearing:
        """What the listener hears of an emitter, with the first sound of all its keys; ``progress`` gets 0..1."""
        emitter, listener = self.job.emitters[number].trajectory, self.job.listener.trajectory
        ask, find = self._ways(number)
        return Hearing(emitter, listener, self.times[number], ask, find, self.beam(number), progress, self.volume)

    def rendering(self, number: int, hearing: Hearing) -> Rendering:
        """How an emitter is rendered, of which this is heard."""
        job, emitter = self.job, self.job.emitters[number]
        hearing, source = hearing.asking(*self._ways(number)), self.sources[emitter.sound]
        return Rendering(emitter, job.listener, hearing, source, job.duration, self.fmt, job.seed)

    def _ways(
        self, number: int
    ) -> tuple[Callable[[slice], tuple[EnergyResponse, np.ndarray, np.ndarray]], Callable[[slice], Images]]:
        """What asks, and finds images, at some keys of an emitter."""
        times = self.times[number]
        here, there = (path.at(times) for path in (self.job.emitters[number].trajectory, self.job.listener.trajectory))

        def ask(keys: slice) -> tuple[EnergyResponse, np.ndarray, np.ndarray]:
            return self.rooms.ask(times[keys], here[keys], there[keys])

        def find(keys: slice) -> Images:
            return self.images(times[keys], here[keys], there[keys])

        return ask, find
