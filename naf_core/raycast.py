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

    ``normals`` (F, 3) float32 are the triangles' unit normals, ``areas`` (F,) float64 in m2; ``epsilon`` in m is the
    step off a surface that keeps a ray from meeting the surface it starts on. Another process makes its own.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        corners = scene.vertices[scene.triangles]
        cross = np.cross(
            (corners[:, 1] - corners[:, 0]).astype(np.float64), (corners[:, 2] - corners[:, 0]).astype(np.float64)
        )
        length = np.sqrt(np.einsum("ij,ij->i", cross, cross))[:, None]
        self.areas = 0.5 * length[:, 0]
        self.normals = (cross / np.maximum(length, 1e-300)).astype(np.float32)
        extent = float(np.abs(scene.bounds).max(initial=1.0))
        self.epsilon = max(1e-4, 4e-6 * extent)  # float32 resolution at the edge of the scene
        self._embree = EmbreeScene() if len(corners) else None
        if self._embree is not None:
            # embreex copies number by number, so what triangles share is better given once.
            shared = len(scene.vertices) < 2 * len(corners)
            TriangleMesh(self._embree, *((scene.vertices, scene.triangles) if shared else (corners,)))

    def __reduce__(self) -> tuple[type[Raycaster], tuple[Scene]]:
        return Raycaster, (self._scene,)

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

    def facing_normals(self, triangle: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Normals (n, 3) float32 of the hit ``triangle`` (n,), on the side that ``direction`` (n, 3) came from."""
        normal = self.normals[triangle]
        return np.where(np.einsum("ij,ij->i", normal, direction)[:, None] > 0, -normal, normal)

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

    def off_surfaces(self, points: np.ndarray, gap: float = 0.01) -> np.ndarray:
        """``points`` (n, 3) with those that lie within ``gap`` metres of a surface moved off it, to the roomier side.

        A Speaker that stands exactly on the floor would otherwise send half of its sound below it.
        """
        moved = np.array(points, dtype=np.float32)
        for axis in range(3):
            step = np.zeros(3, np.float32)
            step[axis] = 2.0 * gap
            along = np.broadcast_to(step / np.linalg.norm(step), moved.shape)
            hits = self.intersect(moved - step, along)
            near = np.flatnonzero(hits.distance < 4.0 * gap)
            if not len(near):
                continue
            on_surface = moved[near] + along[near] * (hits.distance[near, None] - 2.0 * gap)
            normal = self.normals[hits.triangle[near]]
            above = np.einsum("ij,ij->i", moved[near] - on_surface, normal)
            close = np.abs(above) < gap
            near, on_surface, normal, above = near[close], on_surface[close], normal[close], above[close]
            sides = [on_surface + side * gap * normal for side in (1.0, -1.0)]
            room = [self.intersect(s, side * normal).distance for s, side in zip(sides, (1.0, -1.0), strict=True)]
            # A point clearly on one side stays there; one on the surface itself goes into the room rather than out
            # of the scene, else where there is more air, else up.
            room = [
                np.where(np.isfinite(r), r, 1e-6 * (1.0 + side * normal[:, 2]))
                for r, side in zip(room, (1, -1), strict=True)
            ]
            keeps = np.where(np.abs(above) > 20.0 * self.epsilon, above > 0.0, room[0] >= room[1])
            lifted = np.where(keeps[:, None], sides[0], sides[1]) - on_surface
            moved[near] += lifted - above[:, None] * normal
        return moved

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
