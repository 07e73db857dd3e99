"""The edges of a mesh around which sound bends: convex corners and the free borders of thin sheets."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from naf_core.raycast import Raycaster
from naf_core.scene import Scene

SHORTEST = 0.1  # m; shorter edges bend no octave band that matters
LIFT = 5e-3  # m off the edge at which rays check what is open
_WELD = 1e-4  # m: corners of triangles that are closer are one
_SAME = 2e-3  # lines (unit direction, m) and faces (unit normals) that differ by less are one
_FLAT = np.radians(5.0)  # an air angle must exceed 180 degrees by this much
_SMOOTH, _ROUNDED = np.radians([0.3, 31.0])  # between facets of a rounded surface it does so by that much
_FACET = 0.5  # m: facets are narrower
_SAMPLES = 64  # at most along one edge
_STEP = 0.1  # m between them


class Edges(NamedTuple):
    """N straight edges with more than 180 degrees of air around them.

    ``start`` (N, 3) m, ``along`` (N, 3) unit vectors, ``length`` (N,) m. Air lies from face 0 to face 1: ``tangent``
    (N, 2, 3) unit vectors in each face, away from the edge; ``normal`` (N, 2, 3) of each face into the air;
    ``outward`` (N, 3) half-way between them. ``air_angle`` (N,) rad, pi to 2 pi (a thin sheet). ``face_width`` (N, 2)
    m: how far each face reaches. ``closed`` (N, 2) bool: whether the edge ends at a surface (a floor, say), which
    continues it like a mirror.
    """

    start: np.ndarray
    along: np.ndarray
    length: np.ndarray
    tangent: np.ndarray
    normal: np.ndarray
    outward: np.ndarray
    air_angle: np.ndarray
    face_width: np.ndarray
    closed: np.ndarray


def find_edges(scene: Scene, caster: Raycaster) -> Edges:
    """All diffracting edges of a scene, found once; the winding of the triangles does not matter.

    Triangles are welded by position; around each edge they leave gaps of air, and where one exceeds 180 degrees sound
    can bend. Rays then find which stretches of an edge are open: seams between objects that touch and borders that end
    at a neighbour's face drop out. What is left is joined along lines.
    """
    start, stop, tangent, width = _gaps(scene)
    edges = _assemble(start, stop, tangent, width)
    edges = _open_stretches(edges, caster)
    edges = _joined(edges)
    edges = _take(edges, edges.length >= SHORTEST)
    return edges._replace(closed=_closed_ends(edges, caster))


def round_faces(caster: Raycaster, scene: Scene) -> np.ndarray:
    """Which triangles of ``scene``, which is that of ``caster``, are facets of a round body: (F,) int8.

    Narrow ones that bulge towards a neighbour by no more than 31 degrees, as those of a column of 12 sides: 1 where the
    normal points out of the body, -1 where it points into it, 0 for all other triangles. Found once.
    """
    if caster not in _ROUND:
        fans, side = _fans(scene), np.zeros(len(scene.triangles), np.int8)
        before = np.flatnonzero(_bulges(fans))
        along = fans.points[fans.stop[before]] - fans.points[fans.start[before]]
        for rows, turn in ((before, 1.0), (fans.following[before], -1.0)):
            triangle = fans.whole[fans.triangle[rows]]
            out = turn * np.cross(along, fans.inward[rows])
            side[triangle] = np.sign(_dot(out, caster.normals[triangle].astype(np.float64)))
        _ROUND[caster] = side
    return _ROUND[caster]


_ROUND: WeakKeyDictionary[Raycaster, np.ndarray] = WeakKeyDictionary()


class _Fans(NamedTuple):
    """The m sides of triangles, sorted by the edge that they lie at and round it.

    ``points`` (P, 3) are welded, ``whole`` (T,) the rows of the triangles between different ones and ``corners`` (T, 3)
    theirs. ``edge`` (m,); ``triangle`` (m,) of T; ``start`` and ``stop`` (m,) of P; ``inward`` (m, 3) unit vectors in
    the triangle, away from the edge, and how far it reaches there, ``reach`` (m,) m; ``following`` (m,) is the next
    side at the edge, behind a ``gap`` (m,) rad of air.
    """

    points: np.ndarray
    whole: np.ndarray
    corners: np.ndarray
    edge: np.ndarray
    triangle: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    inward: np.ndarray
    reach: np.ndarray
    following: np.ndarray
    gap: np.ndarray


def _bulges(fans: _Fans) -> np.ndarray:
    """Which gaps (m,) are those of a rounded surface: hardly more than 180 degrees, between narrow facets."""
    turn = fans.gap - np.pi
    narrow = np.maximum(fans.reach, fans.reach[fans.following]) < _FACET
    return (turn > _SMOOTH) & (turn < _ROUNDED) & narrow


def _fans(scene: Scene) -> _Fans:
    points = scene.vertices.astype(np.float64)
    _, first, weld = np.unique(
        np.round(points / _WELD).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    corners = weld.ravel()[scene.triangles.astype(np.int64)]
    points = points[first]
    whole = np.flatnonzero(
        (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    )
    corners = corners[whole]
    sides = np.concatenate([corners[:, [0, 1, 2]], corners[:, [1, 2, 0]], corners[:, [2, 0, 1]]])
    triangle = np.tile(np.arange(len(corners)), 3)
    low, high = sides[:, :2].min(axis=1), sides[:, :2].max(axis=1)
    _, edge = np.unique(low * np.int64(len(points)) + high, return_inverse=True)
    edge = edge.ravel()
    along = _unit(points[high] - points[low])
    inward = points[sides[:, 2]] - points[low]
    inward = inward - _dot(inward, along)[:, None] * along
    reach = np.linalg.norm(inward, axis=1)
    inward = _unit(inward)
    across = _unit(np.cross(along, np.eye(3)[np.abs(along).argmin(axis=1)]))
    angle = np.arctan2(_dot(inward, np.cross(along, across)), _dot(inward, across))

    order = np.lexsort((angle, edge))
    edge, angle = edge[order], angle[order]
    begins = np.flatnonzero(np.diff(edge, prepend=-1))
    following = np.arange(1, len(edge) + 1)
    following[np.append(begins, len(edge))[1:] - 1] = begins  # the last is followed by the first, a turn later
    gap = angle[following] - angle
    gap = np.where(following <= np.arange(len(edge)), gap + 2.0 * np.pi, gap)
    sides = triangle[order], low[order], high[order], inward[order], reach[order]
    return _Fans(points, whole, corners, edge, *sides, following, gap)


def _gaps(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ends (N, 3), tangents (N, 2, 3) and face widths (N, 2) of the edges with more than 180 degrees of air."""
    points, _, corners, edge, triangle, low, high, inward, _, following, gap = fans = _fans(scene)
    wide = np.flatnonzero((gap > np.pi + _FLAT) & ~_bulges(fans))
    # The gap opens from face 0 through the air to face 1, turning about the edge.
    faces = np.stack([triangle[wide], triangle[following[wide]]], axis=1)
    tangent = np.stack([inward[wide], inward[following[wide]]], axis=1)
    start, stop = points[low[wide]], points[high[wide]]
    flat = np.flatnonzero((np.bincount(edge)[edge] == 2) & (np.abs(gap - np.pi) < _FLAT))
    joined = coo_matrix((np.ones(len(flat)), (triangle[flat], triangle[following[flat]])), shape=(len(corners),) * 2)
    _, patch = connected_components(joined, directed=False)
    return start, stop, tangent, _face_widths(points, corners, patch, faces, start, tangent)


def _face_widths(
    points: np.ndarray,
    corners: np.ndarray,
    patch: np.ndarray,
    faces: np.ndarray,
    start: np.ndarray,
    tangent: np.ndarray,
) -> np.ndarray:
    """How far (N, 2) in m the flat patch of each of ``faces`` (N, 2) reaches from its edge along ``tangent``."""
    # The points of each patch, each once.
    count = max(len(points), 1)
    own = np.unique(np.repeat(patch, corners.shape[1]) * np.int64(count) + corners.ravel())
    of, point = np.divmod(own, count)
    bounds = np.searchsorted(of, np.arange(patch.max(initial=-1) + 2))
    wanted = patch[faces].ravel()
    origin, towards = np.repeat(start, 2, axis=0), tangent.reshape(-1, 3)
    width = np.zeros(len(wanted))
    order = np.argsort(wanted, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(wanted[order])) + 1) if len(order) else []
    base = _dot(origin, towards)
    for rows in groups:
        mine = wanted[rows[0]]
        seen = points[point[bounds[mine] : bounds[mine + 1]]]
        for part in np.array_split(rows, len(rows) * len(seen) // 4_000_000 + 1) if len(rows) > 1 else [rows]:
            width[part] = (towards[part] @ seen.T).max(axis=1) - base[part]
    return width.reshape(-1, 2)


def _assemble(start: np.ndarray, stop: np.ndarray, tangent: np.ndarray, width: np.ndarray) -> Edges:
    """Edges from their ends and faces; a turn about ``along`` leads from face 0 through the air to face 1."""
    along = _unit(stop - start)
    first, last = tangent[:, 0], tangent[:, 1]
    normal_0 = np.cross(along, first)
    normal_1 = -np.cross(along, last)
    angle = np.arctan2(_dot(last, normal_0), _dot(last, first))
    angle = np.where(angle <= 1e-6, angle + 2.0 * np.pi, angle)
    half = 0.5 * angle[:, None]
    return Edges(
        start,
        along,
        np.linalg.norm(stop - start, axis=1),
        tangent,
        np.stack([normal_0, normal_1], axis=1),
        np.cos(half) * first + np.sin(half) * normal_0,
        angle,
        width,
        np.zeros((len(start), 2), bool),
    )


def _open_stretches(edges: Edges, caster: Raycaster) -> Edges:
    """The stretches of each edge around which a short way from face to face is free."""
    lift = max(LIFT, 20.0 * caster.epsilon)
    count = np.clip(np.ceil(edges.length / _STEP), 3, _SAMPLES).astype(np.int64)
    owner = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    place = (number + 0.5) / count[owner]
    point = edges.start[owner] + (place * edges.length[owner])[:, None] * edges.along[owner]
    middle = point + lift * edges.outward[owner]
    across = lift * np.cross(edges.along, edges.outward)[owner]  # a sheet that touches has ``middle`` on itself
    is_open = ~caster.occluded(middle - across, middle + across)
    for face in (0, 1):
        is_open &= ~caster.occluded(point + lift * edges.normal[owner, face], middle)
    # Each run of open samples is a stretch.
    before = np.concatenate([[False], is_open[:-1]]) & (number > 0)
    after = np.concatenate([is_open[1:], [False]]) & (number < count[owner] - 1)
    begin, end = np.flatnonzero(is_open & ~before), np.flatnonzero(is_open & ~after)
    who = owner[begin]
    low = number[begin] / count[who] * edges.length[who]
    high = (number[end] + 1) / count[who] * edges.length[who]
    return _take(edges, who)._replace(start=edges.start[who] + low[:, None] * edges.along[who], length=high - low)


def _joined(edges: Edges) -> Edges:
    """Edges that continue each other along one line, with the same faces, as one."""
    if not len(edges.length):
        return edges
    # A skew reference gives a line and its reverse the same direction; the faces then change places.
    turned = edges.along @ [0.801, 0.513, 0.309] < 0.0
    along = np.where(turned[:, None], -edges.along, edges.along)
    start = np.where(turned[:, None], edges.start + edges.length[:, None] * edges.along, edges.start)
    swap = np.where(turned[:, None], [[1, 0]], [[0, 1]])
    rows = np.arange(len(turned))[:, None]
    edges = edges._replace(
        start=start,
        along=along,
        tangent=edges.tangent[rows, swap],
        normal=edges.normal[rows, swap],
        face_width=edges.face_width[rows, swap],
    )
    begin = _dot(start, along)
    foot = start - begin[:, None] * along
    line = np.concatenate([along, foot, edges.tangent.reshape(-1, 6)], axis=1)
    coarse, group = np.unique(np.round(line / (0.1 * _SAME)), axis=0, return_inverse=True)
    near = cKDTree(coarse * (0.1 * _SAME)).query_pairs(_SAME, output_type="ndarray")
    links = coo_matrix((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(coarse), len(coarse)))
    group = connected_components(links, directed=False)[1][group.ravel()]

    order = np.lexsort((begin, group))
    group, begin, end = group[order], begin[order], (begin + edges.length)[order]
    # The furthest end so far within the group: a stretch that begins beyond it begins a new edge.
    span = np.ptp(np.concatenate([begin, end])) + 1.0
    reach = np.maximum.accumulate(end + group * 2.0 * span) - group * 2.0 * span
    fresh = np.ones(len(order), bool)
    fresh[1:] = (group[1:] != group[:-1]) | (begin[1:] > reach[:-1] + 2.0 * _WELD)
    first = np.flatnonzero(fresh)
    joined = _take(edges, order[first])
    return joined._replace(
        length=np.maximum.reduceat(end, first) - begin[first],
        face_width=np.maximum.reduceat(edges.face_width[order], first, axis=0),
    )


def _closed_ends(edges: Edges, caster: Raycaster) -> np.ndarray:
    """Whether a surface crosses each edge (N, 2) at its start and at its end, before both of its faces."""
    result = np.ones((len(edges.length), 2), bool)
    lift = max(LIFT, 20.0 * caster.epsilon)
    for end, sign in ((0, -1.0), (1, 1.0)):
        tip = edges.start + (edges.length * end - sign * 2.0 * lift)[:, None] * edges.along
        for face in (0, 1):
            aside = tip + 2.0 * lift * (edges.normal[:, face] + 0.1 * edges.outward)
            result[:, end] &= caster.blocked(aside, sign * edges.along, np.full(len(tip), 2.0 * lift + 0.5 * _STEP))
    return result


def _take(edges: Edges, rows: np.ndarray) -> Edges:
    """Some of the edges."""
    return Edges(*(column[rows] for column in edges))


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, 3) of length one; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", a, b)
