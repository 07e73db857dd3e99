"""Rooms drawn as a floor plan and a height, which every simulator can be given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from naf_core.air import Air
from naf_core.materials import Material
from naf_core.scene import Scene


@dataclass(frozen=True)
class Plan:
    """A room over the polygon ``corners`` (n, 2) m, counterclockwise, ``height`` m high, where sounds are heard.

    ``absorption`` and ``scattering`` are those of all bands, of walls, floor and ceiling in turn.
    """

    name: str
    corners: np.ndarray
    height: float
    absorption: tuple[float, float, float]
    scattering: float
    emitter: np.ndarray
    listeners: np.ndarray

    def scene(self, air: Air) -> Scene:
        """The room as triangles."""
        materials = [
            Material(name, (a,) * 8, (self.scattering,) * 8)
            for name, a in zip(("walls", "floor", "ceiling"), self.absorption, strict=True)
        ]
        n = len(self.corners)
        low = np.column_stack([self.corners, np.zeros(n)])
        vertices = np.concatenate([low, low + [0.0, 0.0, self.height]])
        here, after = np.arange(n), np.roll(np.arange(n), -1)
        walls = np.concatenate(
            [np.column_stack([here, after, after + n]), np.column_stack([here, after + n, here + n])]
        )
        floor = ear_clipped(self.corners)
        index = np.repeat([0, 1, 2], [len(walls), len(floor), len(floor)])
        return Scene(vertices, np.concatenate([walls, floor, floor + n]), index, materials, air)


def ear_clipped(corners: np.ndarray) -> np.ndarray:
    """Triangles (n - 2, 3) of a simple polygon ``corners`` (n, 2), counterclockwise (Meisters 1975)."""
    left, triangles = list(range(len(corners))), []

    def turn(a: int, b: int, c: int) -> float:
        (ux, uy), (vx, vy) = corners[b] - corners[a], corners[c] - corners[b]
        return ux * vy - uy * vx

    while len(left) > 2:
        for k in range(len(left)):
            a, b, c = left[k - 1], left[k], left[(k + 1) % len(left)]
            others = (p for p in left if p not in (a, b, c))
            if turn(a, b, c) > 0.0 and not any(min(turn(a, b, p), turn(b, c, p), turn(c, a, p)) >= 0.0 for p in others):
                triangles.append((a, b, c))
                left.pop(k)
                break
        else:
            raise ValueError("The corners of a plan do not go round a simple polygon counterclockwise.")
    return np.array(triangles)


def _points(*places: tuple[float, float, float]) -> np.ndarray:
    return np.array(places)


PLANS = (
    Plan(
        "diffuse box",
        np.array([[0, 0], [6, 0], [6, 4.5], [0, 4.5]], float),
        3.2,
        (0.15, 0.15, 0.15),
        1.0,
        np.array([1.7, 1.3, 1.1]),
        _points((4.4, 3.1, 1.9), (2.5, 3.5, 1.2), (5.2, 1.0, 2.2), (3.1, 2.1, 0.6)),
    ),
    Plan(
        "mirroring box",
        np.array([[0, 0], [5, 0], [5, 4], [0, 4]], float),
        3.0,
        (0.2, 0.3, 0.3),
        0.0,
        np.array([1.3, 1.1, 1.2]),
        _points((3.8, 2.9, 1.7), (2.2, 3.1, 1.2), (4.3, 0.9, 2.1), (2.9, 1.8, 0.7)),
    ),
    Plan(
        "L-shaped room",
        np.array([[0, 0], [7, 0], [7, 3], [3.5, 3], [3.5, 6], [0, 6]], float),
        2.7,
        (0.12, 0.2, 0.3),
        0.3,
        np.array([1.2, 1.4, 1.5]),
        _points((6.0, 1.5, 1.2), (1.8, 5.1, 1.2), (3.0, 3.6, 1.6), (4.5, 2.2, 1.2)),
    ),
    Plan(
        "two rooms and a passage",
        np.array(
            [
                [0, 0],
                [5, 0],
                [5, 1],
                [5.3, 1],
                [5.3, 0],
                [9, 0],
                [9, 4],
                [5.3, 4],
                [5.3, 2.2],
                [5, 2.2],
                [5, 4],
                [0, 4],
            ],
            float,
        ),
        2.6,
        (0.15, 0.15, 0.2),
        0.5,
        np.array([1.5, 1.2, 1.5]),
        _points((3.9, 2.8, 1.2), (6.6, 1.6, 1.2), (7.8, 2.9, 1.4), (2.2, 3.3, 1.6)),
    ),
    Plan(
        "five-sided hall",
        np.array([[0, 0], [12, 1], [14, 7], [6, 11], [-1, 6]], float),
        5.0,
        (0.15, 0.3, 0.1),
        0.2,
        np.array([3.0, 3.0, 1.6]),
        _points((9.5, 5.0, 1.2), (5.5, 8.4, 1.2), (11.0, 3.0, 2.0), (6.0, 4.5, 1.2)),
    ),
)
