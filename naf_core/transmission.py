"""Sound through closed walls: the straight path, weakened by the transmission loss of each wall that it crosses.

The loss belongs to a wall, not to a face, and people model walls in three ways: as one sheet, as a solid with two
sides, and as the gap between the shells of two rooms. So the faces that a path crosses are gathered into walls: two
that follow each other within 0.6 m, about parallel, are sides of one wall if they belong to the same connected piece
of mesh, or if both belong to closed shells that the path crosses only once each (a room around the emitter and one
around the listener). Every other face is a wall of its own, so a curtain before a window adds to it.

Of the sides of a wall the one with the highest known loss counts: a solid whose other side is a wallpaper without
figures is as tight as its brick. A wall none of whose sides is known lets nothing pass.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from naf_core.bands import N_BANDS
from naf_core.diffraction import no_paths
from naf_core.paths import EarlyPaths
from naf_core.raycast import Raycaster
from naf_core.scene import Scene

_THICKEST = 0.6  # m: faces of one wall are no further apart
_PARALLEL = 0.5  # cosine
_MOST_FACES = 64  # a path that crosses more is given up
_WELD = 1e-4  # m: corners of triangles that are closer are one


class Pieces(NamedTuple):
    """Connected pieces of a mesh: ``piece`` (F,) of each triangle, ``closed`` (P,) whether it has no border."""

    piece: np.ndarray
    closed: np.ndarray


def find_pieces(scene: Scene) -> Pieces:
    """The pieces of a scene, found once; triangles are connected where they share a corner, to 0.1 mm."""
    if not len(scene.triangles):
        return Pieces(np.zeros(0, np.int64), np.zeros(0, bool))
    grid = np.round(scene.vertices.astype(np.float64) / _WELD).astype(np.int64)
    weld = np.unique(grid, axis=0, return_inverse=True)[1].ravel()
    corners = weld[scene.triangles.astype(np.int64)]
    count = len(grid)
    ends = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    links = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    label = connected_components(links, directed=False)[1]
    _, piece = np.unique(label[corners[:, 0]], return_inverse=True)
    piece = piece.ravel()
    _, edge, uses = np.unique(
        ends.min(axis=1) * np.int64(count) + ends.max(axis=1), return_inverse=True, return_counts=True
    )
    closed = np.ones(piece.max() + 1, bool)
    closed[np.tile(piece, 3)[uses[edge.ravel()] % 2 == 1]] = False
    return Pieces(piece, closed)


def through(scene: Scene, caster: Raycaster, pieces: Pieces, emitters: np.ndarray, listeners: np.ndarray) -> EarlyPaths:
    """The straight paths of n pairs that walls hide but do not silence, ``emitters`` and ``listeners`` (n, 3) in m.

    ``pieces`` are those of the scene (find_pieces), found once. Energy is 1/r^2, air and 10^(-loss/10) (the definition
    of the sound reduction index, ISO 10140-2:2021, 3.1, taken for the one direction of the path); ``order`` is 0.
    Visible pairs, and those behind a wall without transmission loss, have no path. Refraction, and what flanking walls
    radiate, are left out.
    """
    emitters, listeners = np.asarray(emitters, np.float64), np.asarray(listeners, np.float64)
    separation = emitters - listeners
    distance = np.linalg.norm(separation, axis=1)
    losses = scene.transmission_loss
    if not np.isfinite(losses).any():
        return no_paths()
    source = separation / np.maximum(distance, 1e-9)[:, None]
    faces = _crossed_faces(caster, listeners, source, distance)
    pairs = [pair for pair, (triangle, _) in enumerate(faces) if 0 < len(triangle) < _MOST_FACES]
    if not pairs:
        return no_paths()
    loss = np.array([_loss_of(scene, caster, pieces, losses, *faces[pair]) for pair in pairs])
    energy = 10.0 ** (-loss / 10.0) * scene.air.free_field(distance[pairs])
    heard = energy.any(axis=1)
    index = np.array(pairs)[heard]
    length, order = distance[index], np.zeros(len(index), np.int64)
    delay = length / scene.air.speed_of_sound
    return EarlyPaths(index, index, order, length, delay, source[index], -source[index], energy[heard])


def _crossed_faces(
    caster: Raycaster, origins: np.ndarray, directions: np.ndarray, distances: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Triangles (k,) that each of n paths crosses, in order, and how far along in m (k,)."""
    found: list[list[tuple[int, float]]] = [[] for _ in origins]
    step = 4.0 * caster.epsilon
    alive, travelled = np.arange(len(origins)), np.zeros(len(origins))
    for _ in range(_MOST_FACES):
        hits = caster.intersect(origins[alive] + directions[alive] * travelled[alive, None], directions[alive])
        place = travelled[alive] + hits.distance
        met = (hits.triangle >= 0) & (place < distances[alive] - caster.epsilon)
        alive, place, triangle = alive[met], place[met], hits.triangle[met]
        if not len(alive):
            break
        for path, face, where in zip(alive, triangle, place, strict=True):
            found[path].append((int(face), float(where)))
        travelled[alive] = place + step
    return [
        (np.array([face for face, _ in row], np.int64), np.array([where for _, where in row], np.float64))
        for row in found
    ]


def _loss_of(
    scene: Scene,
    caster: Raycaster,
    pieces: Pieces,
    losses: np.ndarray,
    triangle: np.ndarray,
    place: np.ndarray,
) -> np.ndarray:
    """Loss (8,) in dB of all walls on a path that crosses ``triangle`` (k,) at ``place`` (k,) m."""
    piece = pieces.piece[triangle]
    crossings = np.bincount(piece)[piece]
    shell = pieces.closed[piece] & (crossings == 1)
    normal = caster.normals[triangle]
    parallel = np.abs(np.einsum("ij,ij->i", normal[:-1], normal[1:])) > _PARALLEL
    same = (piece[:-1] == piece[1:]) | (shell[:-1] & shell[1:])
    joined = same & parallel & (np.diff(place) < _THICKEST)
    wall = np.concatenate([[0], np.cumsum(~joined)])
    total = np.zeros(N_BANDS)
    for number in range(wall[-1] + 1):
        sides = losses[scene.material_index[triangle[wall == number]]]
        # Two sides are one wall, four are two: from either end the tightest count.
        tightest = np.sort(np.where(np.isfinite(sides), sides, -1.0), axis=0)[::-1][: -(-len(sides) // 2)]
        total += np.where(tightest >= 0.0, tightest, np.inf).sum(axis=0)
    return total
