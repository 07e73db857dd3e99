"""A rectangular room as a scene."""

from __future__ import annotations

import numpy as np

from naf_core.air import Air
from naf_core.materials import Material
from naf_core.scene import Scene

# Corners by (x, y, z) in binary, and the faces -x, +x, -y, +y, -z, +z going round.
_FACES = np.array([[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]])


def box_scene(low: np.ndarray, high: np.ndarray, wall: Material, air: Air | None = None) -> Scene:
    """A box from corner ``low`` (3,) to ``high`` (3,), in metres, with one material on its six faces."""
    corner = np.array([[k >> 2 & 1, k >> 1 & 1, k & 1] for k in range(8)], dtype=bool)
    vertices = np.where(corner, high, low)
    triangles = _FACES[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)
    return Scene(vertices, triangles, np.zeros(len(triangles), np.int64), [wall], air or Air())
