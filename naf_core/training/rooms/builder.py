"""What is being made: triangles, and materials drawn for them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from naf_core.air import Air
from naf_core.materials import Material
from naf_core.scene import Scene


@dataclass(frozen=True)
class Room:
    """A made scene, its kind, and points in its air at which emitters and listeners may stand, (P, 3) m."""

    kind: str
    scene: Scene
    points: np.ndarray


@dataclass
class Builder:
    """Collects the ``corners`` (3, 3) m of triangles, the ``index`` of their materials, and these."""

    rng: np.random.Generator
    corners: list[np.ndarray] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)

    def material(self, mean: float, scatter: float) -> int:
        """A new material whose absorption lies about ``mean`` and bends smoothly over the bands."""
        logit = np.log(mean / (1.0 - mean)) + self.rng.normal(0.0, 0.35)
        bend = np.interp(np.arange(8), [0, 2.5, 5, 7], np.cumsum(self.rng.normal(0.0, [0.5, 0.5, 0.5, 0.3])))
        absorption = 1.0 / (1.0 + np.exp(-(logit + bend - bend.mean())))
        slope = self.rng.uniform(0.0, 0.5)
        scattering = np.clip(scatter + slope * np.linspace(-0.5, 0.5, 8), 0.03, 0.97)
        self.materials.append(
            Material(
                name=f"material {len(self.materials)}",
                absorption=tuple(map(float, np.clip(absorption, 0.01, 0.99))),
                scattering=tuple(map(float, scattering)),
            )
        )
        return len(self.materials) - 1

    def scene(self, air: Air) -> Scene:
        """All of it as a scene."""
        corners = np.array(self.corners)
        return Scene(
            corners.reshape(-1, 3),
            np.arange(3 * len(corners)).reshape(-1, 3),
            np.array(self.index),
            self.materials,
            air,
        )
