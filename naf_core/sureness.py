"""How sure the field is of what a job asks of it, and whether refining the room is worth while."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from naf_core.accuracy import JUDGED_BANDS, MEASURES
from naf_core.field import Field
from naf_core.job import Job
from naf_core.uncertainty import mean_expected

_PAIRS = 48  # that are asked
_LISTENERS = 12  # places of the floor or of the way that are asked about for each of few emitters
NOTICEABLE = {"C50 dB": 1.0, "EDT %": 5.0}  # just noticeable differences, ISO 3382-1:2009, table A.1


@dataclass(frozen=True)
class Sureness:
    """Mean ``errors`` that are to be expected of ``pairs`` of a job, by `accuracy.MEASURES` and as "EDT %"."""

    errors: dict[str, float]
    pairs: int

    @property
    def noticeable(self) -> bool:
        """Whether they are more than can just be heard."""
        return any(self.errors[name] > limit for name, limit in NOTICEABLE.items())

    def words(self) -> str:
        """A warning for people."""
        return (
            f"The field is unsure of this room: it may be wrong by {self.errors['C50 dB']:.1f} dB of C50 and"
            f" {self.errors['EDT %']:.0f} % of EDT on average, which can be heard. Refine the room, and bake again."
        )

    def facts(self) -> dict[str, object]:
        """What a report tells."""
        errors = {name: round(value, 2) if np.isfinite(value) else None for name, value in self.errors.items()}
        return {"expected_errors": errors, "pairs": self.pairs, "noticeable": self.noticeable}


def sureness(job: Job, field: Field) -> Sureness | None:
    """How sure ``field`` is of the pairs of a ``job``; None where none can tell, or nothing reflects."""
    if job.recorded is not None or field.calibration is None or not len(field.scan_.positions) or not job.emitters:
        return None
    emitters, listeners = _pairs(job, field)
    if not len(listeners):
        return None
    expected = field.uncertainty(emitters, listeners)
    decay = field.predict(emitters, listeners).parameters()["EDT_s"][:, JUDGED_BANDS]
    expected["EDT %"] = 0.1 * expected["EDT ms"] / decay
    return Sureness(mean_expected({name: expected[name] for name in (*MEASURES, "EDT %")}), len(emitters))


def _pairs(job: Job, field: Field) -> tuple[np.ndarray, np.ndarray]:
    """Places of emitters and of who hears them, (n, 3) each: along the way of the listener, else over the floor."""
    if job.listener is None:
        places = job.map.centres().reshape(-1, 3) + job.map.ear_height * job.map.normal if job.map else np.zeros((0, 3))
        places = _some(places, 4 * _LISTENERS)
        places = _some(places[field.covers(places)], _LISTENERS)
        moments = np.full(len(places), job.map.frame_index / job.fps if job.map else 0.0)
    else:
        times = job.listener.trajectory.times
        moments = _some(times, _LISTENERS)
        places = job.listener.trajectory.at(moments)
    emitters = _some(np.arange(len(job.emitters)), max(1, _PAIRS // max(len(places), 1)))
    here = [job.emitters[row].trajectory.at(moments) for row in emitters]
    return np.concatenate(here), np.tile(places, (len(emitters), 1))


def _some(values: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of ``values`` (n, ...), evenly from first to last."""
    return values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))] if len(values) else values
