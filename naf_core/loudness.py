"""Loudness: emitters at one moment, and the A-weighted levels that they cause at points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from naf_core.aim import pattern_at
from naf_core.bands import A_WEIGHTING_DB, N_BANDS
from naf_core.directivity import Directivity
from naf_core.response import EnergyResponse
from naf_core.scene import Emitter


class Predictor(Protocol):
    """What is asked of a field."""

    def predict(self, emitters: np.ndarray, listeners: np.ndarray) -> EnergyResponse:
        """Responses of pairs of ``emitters`` (N, 3) and ``listeners`` (N, 3), in metres."""


@dataclass(frozen=True)
class Source:
    """An emitter at one moment: ``position`` (3,) in m; ``energy`` (8,) A-weighted, 10^(dB(A)/10) at 1 m.

    With a ``directivity`` that is the energy along its axis; None sends alike in all directions.
    """

    name: str
    position: np.ndarray
    energy: np.ndarray
    directivity: Directivity | None = None

    @property
    def power(self) -> float:
        """10^(dB(A)/10) at 1 m, 0 for silence."""
        return float(self.energy.sum())

    @property
    def spectrum(self) -> np.ndarray:
        """Share (8,) of each band in the A-weighted level; for a silent source as well."""
        return self.energy / self.power if self.power > 0.0 else np.full(N_BANDS, 1.0 / N_BANDS)

    @property
    def sent(self) -> np.ndarray:
        """Mean energy (8,) float32 over all directions, relative to that along the axis: what reflections are of."""
        found = np.ones(N_BANDS) if self.directivity is None else self.directivity.cone.power
        return found.astype(np.float32)

    def gain(self, directions: np.ndarray) -> np.ndarray:
        """Energy (n, 8) that leaves along unit ``directions`` (n, 3), relative to that along the axis."""
        return np.ones((len(directions), N_BANDS)) if self.directivity is None else self.directivity.gain(directions)


def source_at(emitter: Emitter, spectrum: np.ndarray, time: float) -> Source:
    """The emitter at ``time`` in seconds, sounding steadily with the mean ``spectrum`` (8,) of its sound.

    ``spectrum`` is energy by octave band in any unit; it is scaled so that all bands together give the emitter's
    A-weighted level at 1 m in the free field, times its gain.
    """
    position = emitter.trajectory.at(np.array([time]))[0]
    gain = float(np.interp(time, emitter.trajectory.times, emitter.gain))
    weighted = np.asarray(spectrum, np.float64) * 10.0 ** (np.array(A_WEIGHTING_DB) / 10.0)
    total = weighted.sum()
    energy = weighted / total * 10.0 ** (emitter.level / 10.0) * gain**2 if total > 0.0 else np.zeros(N_BANDS)
    return Source(emitter.name, position, energy, pattern_at(emitter, time))


def levels(field: Predictor, sources: Sequence[Source], points: np.ndarray) -> np.ndarray:
    """A-weighted level of all ``sources`` together at ``points`` (n, 3) in metres: (n,) dB(A), -inf for silence."""
    points = np.asarray(points, np.float64).reshape(-1, 3)
    total = np.zeros(len(points))
    for source in sources:
        if source.power > 0.0 and len(points):
            found = field.predict(np.broadcast_to(source.position, points.shape), points)
            direct = found.direct * source.gain(-found.direct_direction)
            total += np.maximum((found.total - found.direct) * source.sent + direct, 0.0) @ source.energy
    with np.errstate(divide="ignore"):
        return 10.0 * np.log10(total)
