"""A field that needs no weights, for the tests of what is built upon fields."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from naf_core.materials import Material
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES, EnergyResponse, empty_response
from naf_core.scene import Scene
from tests.shapes import box, scene_of

PLASTER = Material("plaster", absorption=(0.1,) * 8, scattering=(0.2,) * 8, source="for tests")


def boxes(*spans: tuple[tuple[float, ...], tuple[float, ...]]) -> Scene:
    """A scene of closed boxes, each from its lowest to its highest corner in metres."""
    return scene_of(*((box(low, high), PLASTER) for low, high in spans))


class DiffuseField:
    """What every room would be like if its reverberation were the same everywhere.

    ``level_db``: reflected energy relative to the free field at 1 m, in all bands; ``slope_db`` more for each metre
    along x at which the listener stands. The direct sound is exact.
    """

    def __init__(self, scene: Scene, level_db: float = -10.0, slope_db: float = 0.0, decay: float = 0.5) -> None:
        self.scene, self.caster = scene, Raycaster(scene)
        self.level_db, self.slope_db, self.decay = level_db, slope_db, decay
        self.scan_ = SimpleNamespace(positions=np.zeros((7, 3)))
        self.escape = 0.0 if len(scene.triangles) else 1.0
        self.calibration = None
        self.pairs = 0

    @classmethod
    def scan(
        cls,
        scene: Scene,
        *,
        seed: int = 0,
        processes: int = 1,
        progress: Callable[[float], None] | None = None,
        **_options: float,
    ) -> DiffuseField:
        """Stands in for Field.scan."""
        for fraction in (0.0, 0.5, 1.0):
            if progress is not None:
                progress(fraction)
        return cls(scene)

    def covers(self, points: np.ndarray) -> np.ndarray:
        """Points within the bounds of the scene are covered."""
        low, high = self.scene.bounds
        return ((points >= low) & (points <= high)).all(axis=1)

    def predict(self, emitters: np.ndarray, listeners: np.ndarray) -> EnergyResponse:
        """As Field.predict."""
        emitters, listeners = (np.asarray(p, np.float64) for p in (emitters, listeners))
        response = empty_response((len(emitters),), self.scene.air.speed_of_sound)
        self.pairs += len(emitters)
        way = emitters - listeners
        distance = np.linalg.norm(way, axis=1)
        response.distance[:] = distance
        response.direct_direction[:] = way / np.maximum(distance, 1e-9)[:, None]
        seen = ~self.caster.occluded(listeners, emitters)
        air = np.exp(-distance[:, None] * self.scene.air.absorption())
        response.direct[:] = seen[:, None] * air / np.maximum(distance, 0.1)[:, None] ** 2
        rate = 6.0 * np.log(10.0) / self.decay
        frames = np.exp(-rate * FRAME_EDGES[:-1]) - np.exp(-rate * FRAME_EDGES[1:])
        level = self.level_db + self.slope_db * listeners[:, 0]
        response.energy[..., 0] = (10.0 ** (level / 10.0))[:, None, None] * frames
        response.tail_slope[:] = -60.0 / self.decay
        return response


class FreeField(DiffuseField):
    """No geometry, no reflections."""

    def __init__(self) -> None:
        super().__init__(boxes(), level_db=-400.0)
