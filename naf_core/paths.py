"""Mirror paths of low order, found exactly: the strong early reflections that random paths would meet by luck.

Rays discover which sequences of planes can be mirrored in; each sequence gives an image of the emitter (Allen and
Berkley 1979), and each image is checked against the geometry for every listener (Vorländer 2008, "Auralization", 11.3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from naf_core.raycast import Raycaster, sphere_directions
from naf_core.scene import Scene

_SAME_PLANE = 2e-3  # planes whose normals and offsets (in m) differ by less are one mirror
_BATCH = 1 << 20  # candidate paths checked at a time


class MirrorPaths(NamedTuple):
    """The mirror paths found, n of them.

    ``emitter`` and ``listener`` indices (n,); ``length`` (n,) m; ``source`` (n, 3) unit direction at the listener
    towards the image; ``energy`` (n, 8) relative to the free field at 1 m.
    """

    emitter: np.ndarray
    listener: np.ndarray
    length: np.ndarray
    source: np.ndarray
    energy: np.ndarray


def planes(caster: Raycaster, scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group triangles that lie in one plane: (F,) plane of each triangle, (Q, 3) unit normals, (Q,) offsets in m."""
    if not len(scene.triangles):
        return np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0)
    normal = caster.normals.astype(np.float64)
    # A skew reference gives a plane and its reverse the same normal, with no tie for axis-aligned or 45 degree walls.
    normal = np.where((normal @ [0.801, 0.513, 0.309])[:, None] < 0.0, -normal, normal)
    offset = np.einsum("ij,ij->i", normal, scene.vertices[scene.triangles[:, 0]].astype(np.float64))
    rows = np.concatenate([normal, offset[:, None]], axis=1)
    coarse, group = np.unique(np.round(rows / (0.1 * _SAME_PLANE)), axis=0, return_inverse=True)
    near = cKDTree(coarse * (0.1 * _SAME_PLANE)).query_pairs(_SAME_PLANE, output_type="ndarray")
    joined = coo_matrix((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(coarse), len(coarse)))
    count, label = connected_components(joined, directed=False)
    plane = label[group.ravel()]
    first = np.zeros(count, np.int64)
    first[plane[::-1]] = np.arange(len(plane))[::-1]
    return plane.astype(np.int64), normal[first], offset[first]


def mirror_paths(
    scene: Scene,
    caster: Raycaster,
    emitters: np.ndarray,
    listeners: np.ndarray,
    *,
    order: int,
    rays: int,
    own: bool = False,
) -> MirrorPaths:
    """All mirror paths of 1 to ``order`` reflections from ``emitters`` (E, 3) to ``listeners`` (L, 3).

    ``rays`` discover the sequences of planes, from every emitter. With ``own``, emitter i is only paired with
    listener i. Energies include absorption, the unscattered share and air.
    """
    plane, normal, offset = planes(caster, scene)
    found: list[MirrorPaths] = []
    share = (1.0 - scene.absorption) * (1.0 - scene.scattering)
    owner, sequence = _discover(caster, plane, emitters, order, rays)
    for depth in range(1, order + 1):
        rows = (sequence >= 0).sum(axis=1) == depth
        who, mirrors = owner[rows], sequence[rows, :depth]
        images = [emitters[who].astype(np.float64)]
        for k in range(depth):
            n, d = normal[mirrors[:, k]], offset[mirrors[:, k]]
            images.append(images[-1] - 2.0 * (np.einsum("ij,ij->i", images[-1], n) - d)[:, None] * n)
        partners = 1 if own else len(listeners)
        step = max(1, _BATCH // partners)
        for start in range(0, len(who), step):
            part = slice(start, start + step)
            count = len(who[part])
            candidate = np.repeat(np.arange(count), partners)
            listener = who[part] if own else np.tile(np.arange(len(listeners)), count)
            found.append(
                _check(
                    scene,
                    caster,
                    plane,
                    share,
                    who[part][candidate],
                    listener,
                    mirrors[part][candidate],
                    [image[part][candidate] for image in images],
                    listeners[listener].astype(np.float64),
                )
            )
    if not found:
        none = np.zeros(0, np.int64)
        return MirrorPaths(none, none, np.zeros(0), np.zeros((0, 3)), np.zeros((0, 8)))
    return MirrorPaths(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _discover(
    caster: Raycaster, plane: np.ndarray, emitters: np.ndarray, order: int, rays: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of planes met by mirrored rays: emitter (n,), planes (n, order) padded with -1, each once."""
    owner = np.repeat(np.arange(len(emitters)), rays)
    position = np.repeat(emitters.astype(np.float32), rays, axis=0)
    direction = np.tile(sphere_directions(rays), (len(emitters), 1))
    sequence = np.full((len(owner), order), -1, np.int64)
    count = int(plane.max(initial=-1)) + 2
    owners, sequences = [], []
    for k in range(order):
        hits = caster.intersect(position, direction)
        met = hits.triangle >= 0
        owner, position, direction, sequence = owner[met], position[met], direction[met], sequence[met]
        triangle, distance = hits.triangle[met], hits.distance[met]
        sequence = sequence.copy()
        sequence[:, k] = plane[triangle]
        key = owner.astype(np.int64)
        for column in range(order):
            key = key * count + sequence[:, column] + 1
        _, first = np.unique(key, return_index=True)
        owners.append(owner[first])
        sequences.append(sequence[first])
        facing = caster.facing_normals(triangle, direction)
        position = position + direction * distance[:, None] + facing * np.float32(caster.epsilon)
        direction = direction - 2.0 * np.einsum("ij,ij->i", direction, facing)[:, None] * facing
    return np.concatenate(owners), np.concatenate(sequences)


def _check(
    scene: Scene,
    caster: Raycaster,
    plane: np.ndarray,
    share: np.ndarray,
    emitter: np.ndarray,
    listener: np.ndarray,
    mirrors: np.ndarray,
    images: list[np.ndarray],
    ear: np.ndarray,
) -> MirrorPaths:
    """Keep the candidates whose path from the ear to each image in turn meets just the planes it mirrors in."""
    separation = images[-1] - ear
    length = np.linalg.norm(separation, axis=1)
    source = separation / np.maximum(length, 1e-9)[:, None]
    energy = np.exp(-length[:, None] * scene.air.absorption()) / np.maximum(length, 0.1)[:, None] ** 2
    here = ear
    alive = np.arange(len(emitter))
    for k in range(mirrors.shape[1], 0, -1):
        towards = images[k][alive] - here
        reach = np.linalg.norm(towards, axis=1)
        towards = towards / np.maximum(reach, 1e-9)[:, None]
        hits = caster.intersect(here, towards)
        met = (hits.triangle >= 0) & (hits.distance < reach)
        met[met] = plane[hits.triangle[met]] == mirrors[alive[met], k - 1]
        alive = alive[met]
        energy[alive] *= share[scene.material_index[hits.triangle[met]]]
        facing = caster.facing_normals(hits.triangle[met], towards[met]).astype(np.float64)
        here = here[met] + towards[met] * hits.distance[met, None] + facing * caster.epsilon
    alive = alive[~caster.occluded(here, images[0][alive])]
    return MirrorPaths(emitter[alive], listener[alive], length[alive], source[alive], energy[alive])
