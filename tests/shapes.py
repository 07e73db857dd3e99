"""Simple scenes that tests of several modules share."""

from __future__ import annotations

import numpy as np

from naf_core.air import Air
from naf_core.bands import N_BANDS
from naf_core.materials import Material
from naf_core.scene import Scene

# Corners of a box by (x, y, z) in binary, and its faces: -x, +x, -y, +y, -z, +z.
_FACES = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))


def material(absorption: object = 0.1, scattering: object = 1.0, name: str = "wall") -> Material:
    """A material with one value for all bands, or one for each."""
    absorption, scattering = (np.broadcast_to(values, N_BANDS) for values in (absorption, scattering))
    return Material(name, tuple(map(float, absorption)), tuple(map(float, scattering)))


def quad(a: object, b: object, c: object, d: object) -> np.ndarray:
    """Triangles (2, 3, 3) of the quad a, b, c, d, going round."""
    corners = np.array([a, b, c, d], float)
    return corners[[[0, 1, 2], [0, 2, 3]]]


def box(low: object, high: object, without: str = "") -> np.ndarray:
    """Triangles (n, 3, 3) of an axis-aligned box; ``without`` names faces left out, as in "+z -x"."""
    low, high = np.array(low, float), np.array(high, float)
    corners = np.array([np.where([k & 4, k & 2, k & 1], high, low) for k in range(8)])
    names = [sign + axis for axis in "xyz" for sign in "-+"]
    faces = [quad(*corners[list(face)]) for name, face in zip(names, _FACES, strict=True) if name not in without]
    return np.concatenate(faces)


def scene_of(*parts: tuple[np.ndarray, Material], air: Air | None = None) -> Scene:
    """A scene of (triangles, material) parts."""
    corners = np.concatenate([triangles for triangles, _ in parts]) if parts else np.zeros((0, 3, 3))
    index = np.repeat(np.arange(len(parts)), [len(triangles) for triangles, _ in parts])
    triangles = np.arange(3 * len(corners)).reshape(-1, 3)
    return Scene(corners.reshape(-1, 3), triangles, index, [m for _, m in parts], air or Air())


def two_rooms(walls: Material | None = None, door: tuple[float, float] = (1.0, 2.0)) -> Scene:
    """Two rooms of 4 x 4 x 2.5 m joined by a doorway 2 m high, ``door`` from where to where in y, at x = 4."""
    walls = walls or material(0.2, 0.5)
    low, high = door
    partition = [
        quad([4, 0, 0], [4, low, 0], [4, low, 2.5], [4, 0, 2.5]),
        quad([4, high, 0], [4, 4, 0], [4, 4, 2.5], [4, high, 2.5]),
        quad([4, low, 2.0], [4, high, 2.0], [4, high, 2.5], [4, low, 2.5]),
    ]
    return scene_of((np.concatenate([box([0, 0, 0], [8, 4, 2.5]), *partition]), walls))
