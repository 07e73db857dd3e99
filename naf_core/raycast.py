"""Rays against the triangles of a scene: the only file that knows Embree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from naf_core.scene import Scene


class Hits(NamedTuple):
    """First hits of n rays: ``distance`` (n,) in m, inf for none; ``triangle`` (n,), -1 for none."""

    distance: np.ndarray
    triangle: np.ndarray


class Raycaster:
    """Finds what rays meet in a scene; both sides of every triangle count.

    ``normals`` (F, 3) float32 are the triangles' unit normals; ``epsilon`` in m is the step off a surface that keeps
    a ray from meeting the surface it starts on.
    """

    def __init__(self, scene: Scene) -> None:
        corners = scene.vertices[scene.triangles]
        cross = np.cross(
            (corners[:, 1] - corners[:, 0]).astype(np.float64), (corners[:, 2] - corners[:, 0]).astype(np.float64)
        )
        length = np.linalg.norm(cross, axis=1, keepdims=True)
        self.normals = (cross / np.maximum(length, 1e-300)).astype(np.float32)
        extent = float(np.abs(scene.bounds).max(initial=1.0))
        self.epsilon = max(1e-4, 4e-6 * extent)  # float32 resolution at the edge of the scene
        self._embree = EmbreeScene() if len(corners) else None
        if self._embree is not None:
            TriangleMesh(self._embree, np.ascontiguousarray(corners, dtype=np.float32))

    def intersect(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """First triangle met by rays from ``origins`` (n, 3) along unit ``directions`` (n, 3)."""
        n = len(origins)
        if self._embree is None or n == 0:
            return Hits(np.full(n, np.inf, np.float32), np.full(n, -1, np.int32))
        found = self._embree.run(
            np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32), output=1
        )
        distance = np.where(found["primID"] < 0, np.float32(np.inf), found["tfar"])
        return Hits(distance, found["primID"])

    def blocked(self, origins: np.ndarray, directions: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """Whether anything stands within ``distances`` (n,) along unit ``directions`` (n, 3): (n,) bool."""
        n = len(origins)
        if self._embree is None or n == 0:
            return np.zeros(n, bool)
        reach = np.maximum(np.asarray(distances, np.float32) - np.float32(self.epsilon), np.float32(0.0))
        hit = self._embree.run(
            np.ascontiguousarray(origins, np.float32),
            np.ascontiguousarray(directions, np.float32),
            np.ascontiguousarray(reach),
            query="OCCLUDED",
        )
        return hit == 0

    def occluded(self, origins: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Whether anything stands between ``origins`` (n, 3) and ``targets`` (n, 3): (n,) bool."""
        separation = np.asarray(targets, np.float32) - np.asarray(origins, np.float32)
        distance = np.linalg.norm(separation, axis=1)
        return self.blocked(origins, separation / np.maximum(distance, 1e-9)[:, None], distance)


def sphere_directions(n: int) -> np.ndarray:
    """Unit vectors spread evenly over the sphere, (n, 3) float32: the Fibonacci lattice (Gonzalez 2010)."""
    k = np.arange(n) + 0.5
    z = 1.0 - 2.0 * k / n
    azimuth = np.pi * (1.0 + np.sqrt(5.0)) * k
    radius = np.sqrt(1.0 - z * z)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1).astype(np.float32)
