"""Whether a mesh is sound: what is doubled, flipped, without area or cut through, and where a room is open.

Sound meets both sides of every triangle and the nearer of two, so most faults change nothing that is heard. Each
message says what does, and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from naf_core.bands import N_BANDS
from naf_core.materials import Material
from naf_core.raycast import Raycaster, sphere_directions
from naf_core.scene import Scene

_FIRST = 5  # places that are named
_WELD = 1e-5  # m: corners closer than this are one
_NO_HEIGHT = 1e-6  # m: triangles less high than this have no area that sound could meet
_TOUCHING = 2e-4  # m: coplanar triangles closer than this lie on each other, and what enters no deeper only touches
_PASSES = 4  # triangles along an edge that are looked at
_LEAK_RAYS = 1 << 19  # in all
_MOST_RAYS = 1 << 16  # from one point
_HOLE = 0.5  # m: ways out closer than this are one opening
_MOST_WAYS = 4000  # out that are sorted into openings
_FLAT = ("{} no area: no sound meets {}.", ("has", "it"), ("have", "them"))
_OUTDOORS = 0.8  # a point that sees more of the open than this stands in no room that could have a hole
_FLIGHTS = 16


@dataclass(frozen=True)
class Fault:
    """What may surprise about a mesh: ``kind`` is "zero-area", "duplicate", "flipped" or "intersecting".

    ``triangles`` (n,) are the rows of the mesh that have it, ``places`` (k, 3) m the middles of the first few;
    ``message`` is one sentence for people.
    """

    kind: str
    triangles: np.ndarray
    places: np.ndarray
    message: str

    @property
    def count(self) -> int:
        """How many triangles have it."""
        return len(self.triangles)


@dataclass(frozen=True)
class Opening:
    """A hole through which sound leaves: ``place`` (3,) m about its middle, ``share`` of all rays that leave there.

    ``material`` names what is most seen around it, empty where nothing is.
    """

    place: np.ndarray
    share: float
    material: str


@dataclass(frozen=True)
class Leaks:
    """How open a scene is, as seen from n points.

    ``seen`` (n,) share of the directions from each point that lead outside; ``reflected`` share of the ways between
    two diffuse reflections that do; ``openings`` the largest first; ``message`` one sentence for people.
    """

    seen: np.ndarray
    reflected: float
    openings: tuple[Opening, ...]
    message: str


def faults(vertices: np.ndarray, triangles: np.ndarray, material_index: np.ndarray | None = None) -> list[Fault]:
    """What is wrong with the mesh ``vertices`` (V, 3) m, ``triangles`` (F, 3), ``material_index`` (F,): empty if sound.

    The mesh is as it was before `Scene` dropped what has no area. A thin wall with two sides is sound. Duplicates are
    found for certain, other triangles that lie on each other where a ray tells them apart, and crossings where an edge
    passes through a triangle.
    """
    vertices = np.asarray(vertices, np.float32).reshape(-1, 3)
    triangles = np.asarray(triangles, np.int64).reshape(-1, 3)
    material = np.zeros(len(triangles), np.int64) if material_index is None else np.asarray(material_index)
    corners = vertices[triangles].astype(np.float64)
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1, initial=0.0)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    flat = area <= _NO_HEIGHT * longest
    solid = np.flatnonzero(~flat)
    middles, corners = corners.mean(axis=1), corners[solid]
    wall = Material("", (0.0,) * N_BANDS, (0.0,) * N_BANDS)
    scene = Scene(corners.reshape(-1, 3), np.arange(3 * len(solid)).reshape(-1, 3), np.zeros(len(solid)), [wall])
    caster = Raycaster(scene)
    if not len(solid):
        return [_fault("zero-area", np.flatnonzero(flat), middles, *_FLAT)] if flat.any() else []
    corner = _welded(corners)
    upper, lower = _lying_on(caster, corners, corner)
    doubled = np.zeros(len(solid), bool)
    doubled[upper] = True
    unlike = len(np.unique(upper[material[solid[upper]] != material[solid[lower]]]))
    which = f" ({unlike} of another material, and rounding decides which of the two is heard)" if unlike else ""
    found = (
        ("zero-area", np.flatnonzero(flat), *_FLAT),
        ("duplicate", solid[doubled], "{} exactly on {}" + which + ".", ("lies", "another"), ("lie", "others")),
        (
            "flipped",
            solid[_flipped(corner, ~doubled)],
            "{} the other way than {} surface: sound meets both sides alike, so nothing changes.",
            ("faces", "the rest of its"),
            ("face", "the rest of their"),
        ),
        (
            "intersecting",
            solid[_crossed(caster, corners, corner)],
            "{} cut through by the edges of {}: harmless, unless a room was to be closed there.",
            ("is", "others"),
            ("are", "others"),
        ),
    )
    return [_fault(kind, rows, middles, *words) for kind, rows, *words in found if len(rows)]


def leaks(scene: Scene, points: np.ndarray, *, seed: int = 0, raycaster: Raycaster | None = None) -> Leaks:
    """Where a scene is open, as seen from ``points`` (n, 3) m, and how much of the sound leaves there.

    Openings are found that are seen from a point and wider than its rays are apart (of one point 1.4 cm at 1 m).
    """
    caster = raycaster or Raycaster(scene)
    points = np.asarray(points, np.float32).reshape(-1, 3)
    rays = min(_MOST_RAYS, _LEAK_RAYS // max(1, len(points)))
    looks = sphere_directions(rays)
    seen, places, materials, distances = np.zeros(len(points)), [], [], []
    for k, point in enumerate(points):
        hits = caster.intersect(np.broadcast_to(point, looks.shape), looks)
        out = hits.triangle < 0
        seen[k] = out.mean()
        if 0.0 < seen[k] < _OUTDOORS:
            # A way out leads through a hole about as far off as what is seen around it.
            _, around = cKDTree(looks[~out]).query(looks[out], k=min(4, int((~out).sum())))
            frame = np.flatnonzero(~out)[around].reshape(int(out.sum()), -1)
            distances.append(np.median(hits.distance[frame], axis=1))
            places.append(point + looks[out] * distances[-1][:, None])
            materials.append(scene.material_index[hits.triangle[frame[:, 0]]])
    reflected = _leaving_after_reflection(caster, points, np.random.default_rng(seed))
    widest = 3.0 * np.sqrt(4.0 * np.pi / rays) * max((np.median(d) for d in distances), default=0.0)
    openings = _openings(scene, places, materials, rays * len(points), max(_HOLE, widest))
    return Leaks(seen, reflected, openings, _said_of_leaks(seen, reflected, openings))


def _fault(kind: str, rows: np.ndarray, middles: np.ndarray, text: str, *words: tuple[str, str]) -> Fault:
    count = "1 triangle" if len(rows) == 1 else f"{len(rows)} triangles"
    verb, whom = words[len(rows) > 1]
    places = middles[rows[:_FIRST]]
    return Fault(kind, rows, places, f"{text.format(f'{count} {verb}', whom)[:-1]} (first at {_at(places[0])}).")


def _at(place: np.ndarray) -> str:
    return "({:.2f}, {:.2f}, {:.2f}) m".format(*place)


def _welded(corners: np.ndarray) -> np.ndarray:
    """A number (F, 3) for each of ``corners`` (F, 3, 3), the same for those in one place."""
    cell = np.round(corners.reshape(-1, 3) / _WELD).astype(np.int64)
    key = cell @ np.array([1, 2_147_483_659, 4_611_686_014_132_420_609], np.int64)
    return np.unique(key, return_inverse=True)[1].reshape(-1, 3)


def _lying_on(caster: Raycaster, corners: np.ndarray, corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of triangles of which the first, the smaller one, lies on the second (n,), (n,)."""
    rows = np.arange(len(corners))
    names = np.sort(corner, axis=1).astype(np.int64) @ [1, 2_147_483_659, 4_611_686_014_132_420_609]
    _, first, same = np.unique(names, return_index=True, return_inverse=True)
    twin = first[same.ravel()]
    pairs = [np.stack([rows, twin])[:, twin != rows]]
    # Others in the same place are met by rays on the middle from either side, unless both times rounding is against it.
    normal, middle = caster.normals.astype(np.float64), corners.mean(axis=1)
    for side in (normal, -normal):
        hits = caster.intersect(middle + 2.0 * _TOUCHING * side, -side)
        met = hits.triangle
        gap = np.einsum("ij,ij->i", normal[met], middle - corners[met, 0])
        alike = np.abs(np.einsum("ij,ij->i", normal[met], normal)) > 1.0 - 1e-6
        on = (hits.distance < 4.0 * _TOUCHING) & (met != rows) & (met != twin) & (np.abs(gap) < _TOUCHING) & alike
        pairs.append(np.stack([rows[on], met[on]]))
    one, other = np.concatenate(pairs, axis=1)
    area = _areas(corners)
    smaller = (area[one] < area[other]) | ((area[one] == area[other]) & (one > other))
    return np.where(smaller, one, other), np.where(smaller, other, one)


def _areas(corners: np.ndarray) -> np.ndarray:
    return 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)


def _flipped(corner: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Triangles (n,) of those ``used`` (F,) that face another way than most of the surface that they belong to.

    Neighbours that share just one edge belong together. They face one way when they run along it in opposite senses.
    """
    rows = np.flatnonzero(used)
    count = len(rows)
    start, end = corner[rows].ravel(), np.roll(corner[rows], -1, axis=1).ravel()
    key = np.minimum(start, end) * (int(corner.max(initial=0)) + 1) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    _, begin, size = np.unique(key[order], return_index=True, return_counts=True)
    pair = begin[size == 2]
    one, other = order[pair], order[pair + 1]
    unlike = (start[one] < end[one]) == (start[other] < end[other])
    one, other = one // 3, other // 3
    # Each triangle as it is, and turned over: those that face alike hang together.
    ends = np.concatenate([one, one + count]), np.concatenate([other + unlike * count, other + ~unlike * count])
    graph = coo_matrix((np.ones(2 * len(one), bool), ends), shape=(2 * count, 2 * count))
    label = connected_components(graph, directed=False)[1].reshape(2, count)
    surface, turned = label.min(axis=0), label[0] > label[1]
    size = np.bincount(surface, minlength=2 * count)
    over = np.bincount(surface, turned, minlength=2 * count)
    fewer = np.where((2.0 * over <= size)[surface], turned, ~turned)
    return rows[fewer & (label[0] != label[1]) & (over > 0)[surface] & (over < size)[surface]]


def _crossed(caster: Raycaster, corners: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Triangles (n,) that an edge of another one passes through."""
    start, end = corners.reshape(-1, 3), np.roll(corners, -1, axis=1).reshape(-1, 3)
    names = np.sort(np.stack([corner, np.roll(corner, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    _, once = np.unique(names[:, 0] * (int(corner.max(initial=0)) + 1) + names[:, 1], return_index=True)
    start, end, names = start[once], end[once], names[once]
    length = np.linalg.norm(end - start, axis=1)
    along = (end - start) / np.maximum(length, 1e-12)[:, None]
    travelled, crossed = np.full(len(start), _TOUCHING), []
    rows = np.flatnonzero(length > 3.0 * _TOUCHING)
    for _ in range(_PASSES):
        hits = caster.intersect(start[rows] + along[rows] * travelled[rows, None], along[rows])
        at = travelled[rows] + hits.distance
        within = at < length[rows] - _TOUCHING
        rows, met, at = rows[within], hits.triangle[within], at[within]
        normal = caster.normals[met].astype(np.float64)
        before, behind = (np.einsum("ij,ij->i", p[rows] - corners[met, 0], normal) for p in (start, end))
        deep = (before * behind < 0.0) & (np.minimum(np.abs(before), np.abs(behind)) > _TOUCHING)
        apart = (corner[met][:, :, None] != names[rows][:, None, :]).all(axis=(1, 2))
        inner = _inside(corners[met], normal, start[rows] + along[rows] * at[:, None])
        crossed.append(met[deep & apart & inner])
        travelled[rows] = at + _TOUCHING
    return np.unique(np.concatenate(crossed))


def _inside(corners: np.ndarray, normal: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which ``points`` (n, 3) lie in their triangle (n, 3, 3) and not just at its border."""
    result = np.ones(len(points), bool)
    for k in range(3):
        side = corners[:, (k + 1) % 3] - corners[:, k]
        across = np.cross(normal, side) / np.linalg.norm(side, axis=1, keepdims=True)
        result &= np.einsum("ij,ij->i", points - corners[:, k], across) > _TOUCHING
    return result


def _leaving_after_reflection(caster: Raycaster, points: np.ndarray, rng: np.random.Generator) -> float:
    """Share of the ways of diffusely reflected sound that end nowhere."""
    directions = sphere_directions(4096)
    position = np.repeat(points, max(1, len(directions) // max(1, len(points))), axis=0)
    direction = directions[rng.permutation(len(directions))[np.arange(len(position)) % len(directions)]]
    left = total = 0
    for flight in range(_FLIGHTS):
        hits = caster.intersect(position, direction)
        met = hits.triangle >= 0
        if flight:
            left, total = left + int((~met).sum()), total + len(met)
        normal = caster.facing_normals(hits.triangle[met], direction[met])
        position = position[met] + direction[met] * hits.distance[met, None] + normal * np.float32(caster.epsilon)
        scattered = rng.normal(size=normal.shape)
        direction = normal + scattered / np.linalg.norm(scattered, axis=1, keepdims=True)
        direction = direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)
    return left / max(1, total)


def _openings(
    scene: Scene, places: list[np.ndarray], materials: list[np.ndarray], rays: int, radius: float
) -> tuple[Opening, ...]:
    """The ways out at ``places``, each with a material beside it; those within ``radius`` m are one opening."""
    if not places:
        return ()
    place, material = np.concatenate(places), np.concatenate(materials)
    step = -(-len(place) // _MOST_WAYS)
    place, material = place[::step], material[::step]
    near = cKDTree(place).query_pairs(radius, output_type="ndarray")
    graph = coo_matrix((np.ones(len(near), bool), near.T), shape=(len(place), len(place)))
    count, label = connected_components(graph, directed=False)
    openings = [
        Opening(
            place=place[label == k].mean(axis=0).astype(np.float64),
            share=float((label == k).sum() * step / rays),
            material=scene.materials[np.bincount(material[label == k]).argmax()].name,
        )
        for k in range(count)
    ]
    return tuple(sorted(openings, key=lambda opening: -opening.share))


def _said_of_leaks(seen: np.ndarray, reflected: float, openings: tuple[Opening, ...]) -> str:
    if not seen.any() and reflected == 0.0:
        return "The scene is closed: nothing leaves it."
    if not openings:
        outdoors = seen.max(initial=0.0) >= _OUTDOORS
        where = "the points stand in the open" if outdoors else "through openings that cannot be seen from there"
        return f"{_percent(max(seen.max(initial=0.0), reflected))} of the sound leaves the scene: {where}."
    most = openings[0]
    others = f" and {len(openings) - 1} more" if len(openings) > 1 else ""
    return (
        f"{_percent(seen.mean())} of the sound leaves the scene at once, through an opening about {_at(most.place)}"
        f" beside {most.material!r}{others}; between two reflections {_percent(reflected)}."
    )


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %" if share > 0.1 else f"{100.0 * share:.2g} %"
