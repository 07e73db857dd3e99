"""A recorded room in a scene: what bakes and maps ask in place of a field of the scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from naf_core.directivity import Directivity
from naf_core.field import Field
from naf_core.firstsound import FirstSound
from naf_core.job import Job
from naf_core.placement import Placement
from naf_core.raycast import Raycaster
from naf_core.recorded import RecordedField
from naf_core.response import EnergyResponse
from naf_core.scene import Scene

_LOOKS = 200  # moments at which the places of emitters and listener are checked


class PlacedField:
    """A recorded field standing in a scene as a `Placement` says; answers as `Field` does.

    ``scene`` has the air and no geometry: the recordings hold every reflection, and none may be added. ``caster`` is
    that of the scene's own geometry, at whose walls a map ends.
    """

    escape = 0.0
    scan_ = None  # no probe was needed

    def __init__(self, scene: Scene, recorded: RecordedField, placement: Placement) -> None:
        self._recorded, self._placement = recorded, placement
        self.scene = replace(scene, triangles=scene.triangles[:0], material_index=scene.material_index[:0])
        self.caster = Raycaster(scene)

    @classmethod
    def load(cls, scene: Scene, placement: Placement) -> PlacedField:
        """Read the file of ``placement``; raises UserError when it is missing, foreign or damaged."""
        return cls(scene, RecordedField.load(placement.file), placement)

    def covers(self, points: np.ndarray) -> np.ndarray:
        """Whether each of ``points`` (n, 3) lies within the recorded area, (n,) bool."""
        return self._recorded.covers(self._placement.to_recorded(points))

    def predict(
        self, emitters: np.ndarray, listeners: np.ndarray, progress: Callable[[float], None] | None = None
    ) -> EnergyResponse:
        """Energy responses of n pairs, ``emitters`` (n, 3) and ``listeners`` (n, 3) in metres of the scene."""
        place = self._placement
        found = self._recorded.predict(place.to_recorded(emitters), place.to_recorded(listeners), progress)
        energy = found.energy.copy()
        energy[..., 1:] = place.to_scene(energy[..., 1:])
        return replace(found, energy=energy, direct_direction=place.to_scene(found.direct_direction))


class RecordedFirstSound:
    """The direct sound of the recordings, in place of `FirstSound`: straight, and as loud as it was recorded."""

    n_edges = 0

    def __init__(self, field: PlacedField) -> None:
        self._field = field

    def energy(self, emitters: np.ndarray, listeners: np.ndarray, directivity: Directivity | None = None) -> np.ndarray:
        """Energy (n, 8) of the direct sound of n pairs, of emitters that all have the same ``directivity``."""
        found = self._field.predict(emitters, listeners)
        gain = 1.0 if directivity is None else directivity.gain(-found.direct_direction.astype(np.float64))
        return found.direct * gain

    def passes(self, emitters: np.ndarray, listeners: np.ndarray) -> np.ndarray:
        """Whether any sound of n pairs is heard that do not see each other, (n,) bool: recordings know of no wall."""
        return np.ones(len(emitters), bool)

    def put_into(
        self, responses: EnergyResponse, emitters: np.ndarray, listeners: np.ndarray
    ) -> tuple[EnergyResponse, np.ndarray, np.ndarray]:
        """The ``responses`` as they are, where they are heard from, (n, 3) in m, and departures (n, 3): straight."""
        return responses, np.asarray(emitters, np.float64), -np.asarray(responses.direct_direction, np.float64)


def first_sound_of(field: Field | PlacedField) -> FirstSound | RecordedFirstSound:
    """The first sound of a scene as its ``field`` has it."""
    return RecordedFirstSound(field) if isinstance(field, PlacedField) else FirstSound(field.scene, field.caster)


def outside(job: Job, field: PlacedField) -> Iterator[tuple[str, str | None]]:
    """Messages on who stands outside the recorded area, and on a map that reaches beyond it."""
    for thing in (*job.emitters, *([job.listener] if job.listener else [])):
        times = thing.trajectory.times
        looked = np.unique(np.linspace(0, len(times) - 1, _LOOKS).astype(int))
        lost = ~field.covers(thing.trajectory.positions[looked])
        if lost.any():
            when = ""
            if not lost.all():
                when = f" at frame {job.frame_start + round(times[looked[int(np.argmax(lost))]] * job.fps)}"
            yield (
                f"“{thing.name}” is outside the recorded area{when}, so what is heard is a guess: move it there, or"
                " check the Empty that places the recorded room.",
                thing.name,
            )
    if job.map is not None:
        floor = job.map
        share = (np.arange(8) + 0.5) / 8.0
        u, v = (share[:, None] * side for side in (floor.u, floor.v))
        ears = floor.origin + floor.ear_height * floor.normal + (u[:, None] + v).reshape(-1, 3)
        known = field.covers(ears).mean()
        if known < 0.99:
            yield f"Only {100.0 * known:.0f} % of the map lie within the recorded area: the rest is a guess.", None
