"""A furnished room whose number of triangles can be chosen, its shape staying the same."""

from __future__ import annotations

import numpy as np

from naf_core.materials import Material
from naf_core.scene import Scene
from naf_core.truth.box import box_scene

SIZE = np.array([9.0, 7.0, 3.2])
EMITTER = np.array([1.8, 0.7, 1.5])
LISTENER = np.array([7.1, 5.6, 1.2])
_PIECES = (6, 4)
_MATERIALS = (
    Material("wall", (0.1, 0.1, 0.08, 0.08, 0.09, 0.1, 0.1, 0.1), (0.1, 0.1, 0.15, 0.2, 0.2, 0.25, 0.25, 0.25)),
    Material("floor", (0.05, 0.08, 0.12, 0.2, 0.3, 0.35, 0.4, 0.4), (0.1, 0.1, 0.15, 0.2, 0.2, 0.2, 0.25, 0.25)),
    Material("ceiling", (0.2, 0.3, 0.45, 0.5, 0.5, 0.5, 0.45, 0.4), (0.1, 0.1, 0.15, 0.2, 0.2, 0.2, 0.25, 0.25)),
    Material("furniture", (0.1, 0.15, 0.25, 0.35, 0.45, 0.5, 0.5, 0.5), (0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6, 0.6)),
)


def furnished_room(triangles: int) -> Scene:
    """A room of 9 x 7 x 3.2 m with 24 rounded seats, of about ``triangles`` triangles in all."""
    rng = np.random.default_rng(3)
    shell = box_scene(np.zeros(3), SIZE, _MATERIALS[0])
    vertices, faces = [shell.vertices], [shell.triangles]
    material = [np.repeat([0, 0, 0, 0, 1, 2], 2)]
    # Each seat has 4 r (r - 1) triangles.
    rings = max(2, round(0.5 + np.sqrt(0.25 + triangles / (4 * _PIECES[0] * _PIECES[1]))))
    for place in np.ndindex(_PIECES):
        centre = np.array([1.2 + 1.3 * place[0], 1.2 + 1.5 * place[1], 0.45])
        centre[:2] += rng.uniform(-0.2, 0.2, 2)
        half = rng.uniform([0.25, 0.25, 0.4], [0.5, 0.4, 0.4])
        points, corners = _cushion(half, rng.uniform(0.0, np.pi), rings)
        faces.append(corners + sum(map(len, vertices)))
        vertices.append(points + centre)
        material.append(np.full(len(corners), 3))
    return Scene(np.concatenate(vertices), np.concatenate(faces), np.concatenate(material), _MATERIALS)


def _cushion(half: np.ndarray, turn: float, rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) and triangles of a superellipsoid with half axes ``half`` (3,), turned about z."""

    def root(values: np.ndarray) -> np.ndarray:
        return np.sign(values) * np.sqrt(np.abs(values))

    around, up = np.meshgrid(
        np.linspace(0.0, 2.0 * np.pi, 2 * rings + 1), np.linspace(-np.pi / 2, np.pi / 2, rings + 1), indexing="ij"
    )
    flat = root(np.cos(up))
    points = np.stack([root(np.cos(around)) * flat, root(np.sin(around)) * flat, root(np.sin(up))], axis=-1) * half
    cosine, sine = np.cos(turn), np.sin(turn)
    points = points @ np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    number = np.arange(points[..., 0].size).reshape(points.shape[:2])
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    return points.reshape(-1, 3), np.concatenate([np.stack(three, axis=1) for three in ((a, b, c), (a, c, d))])
