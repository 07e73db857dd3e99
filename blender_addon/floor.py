"""The floor: which part of a scene people stand on."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import bpy
import numpy as np

from naf_core.errors import UserError
from naf_core.scene import Scene

from .geometry import mesh_of, metres_per_unit, transformed
from .object_properties import is_solid

LEVEL = 0.9  # least |z| of the normal of a floor: slopes up to 25 degrees
STEEP = 0.5  # the same where the person chose the object: ramps up to 60 degrees
STEP = 0.25  # m: surfaces within a step of each other are one floor
FLUSH = 0.05  # m: floors of several objects join where they are as high as each other
REACH = 50.0  # m: how far around emitters and listener a floor that goes on is mapped
N_DIRECTIONS = 4096
MAX_HEADS = 12


@dataclass(frozen=True)
class Floor:
    """Triangles (n, 3, 3) in metres that one stands on, of the objects ``names``, the main one first.

    The rectangle around them has its corner at ``origin`` (3,) and the sides ``u`` and ``v``: along x and y where it
    is ``level``, else upright or tilted, across ``normal``.
    """

    names: tuple[str, ...]
    triangles: np.ndarray
    origin: np.ndarray
    u: np.ndarray
    v: np.ndarray

    def texels(self, longer: int) -> tuple[int, int]:
        """Width and height of a map with square texels and ``longer`` of them along the longer side."""
        sides = np.array([np.linalg.norm(self.u), np.linalg.norm(self.v)])
        width, height = np.maximum(1, np.rint(longer * sides / sides.max())).astype(int)
        return int(width), int(height)

    @property
    def normal(self) -> np.ndarray:
        """Unit vector (3,) off the surface, to the side where the map is seen."""
        across = np.cross(self.u, self.v)
        return across / np.linalg.norm(across)

    @property
    def level(self) -> bool:
        """Whether one can stand on it."""
        return bool(self.normal[2] > STEEP)


def find(
    depsgraph: bpy.types.Depsgraph,
    scene: Scene,
    heads: np.ndarray,
    chosen: bpy.types.Object | None,
    several: bpy.types.Collection | None = None,
) -> Floor:
    """The floor below ``heads`` (n, 3) in metres, emitters and listener in ``scene``; or the chosen object.

    ``several`` are objects that wear the map together, with the chosen one: storeys, stages, stands.

    Without a chosen object it is the one of which they see the largest level area below them, and what lies
    flush with it. Raises UserError where there is none.
    """
    if several is not None:
        return together(depsgraph, several, chosen)
    if chosen is not None:
        surfaces = level_surfaces(depsgraph, STEEP, {chosen})
        if not surfaces:
            return upright(depsgraph, chosen, heads)
        ((name, triangles),) = surfaces.items()
        # Ceilings and roofs of the same object are left out.
        ears = np.median(heads[:, 2]) if len(heads) else np.inf
        below = triangles[triangles[:, :, 2].mean(axis=1) < ears]
        return around((name,), facing_up(below if len(below) else triangles))
    return seen_floor(scene, level_surfaces(depsgraph, LEVEL), heads)


def together(depsgraph: bpy.types.Depsgraph, several: bpy.types.Collection, chosen: bpy.types.Object | None) -> Floor:
    """All that one can stand on of the objects in a collection, and of the chosen one."""
    objects = {*several.all_objects} | ({chosen} if chosen is not None else set())
    surfaces = level_surfaces(depsgraph, STEEP, objects)
    if not surfaces:
        raise UserError(
            f"Nothing in the collection “{several.name}” can be stood on: put floors, stages or stands into it, or"
            " choose none.",
            several.name,
        )
    return around(tuple(surfaces), np.concatenate([facing_up(triangles) for triangles in surfaces.values()]))


def upright(depsgraph: bpy.types.Depsgraph, chosen: bpy.types.Object, heads: np.ndarray) -> Floor:
    """The chosen object as a wall or any other plane that is not level, seen from the side of ``heads`` (n, 3)."""
    surfaces = level_surfaces(depsgraph, 0.0, {chosen})
    if not surfaces:
        raise UserError(
            f"“{chosen.name}” shows no surface in a render of this scene: choose another object for the map, or none"
            " to find the floor.",
            chosen.name,
        )
    ((name, triangles),) = surfaces.items()
    cross = crosses(triangles)
    area = np.linalg.norm(cross, axis=1)
    # The direction that most of the area faces, whichever way round its faces are.
    values, vectors = np.linalg.eigh((normals(triangles) * area[:, None]).T @ normals(triangles))
    normal = vectors[:, np.argmax(values)]
    middle = np.average(triangles.mean(axis=1), weights=area, axis=0)
    if len(heads) and (np.median(heads, axis=0) - middle) @ normal < 0.0:
        normal = -normal
    side = np.cross((0.0, 0.0, 1.0), normal)
    side = side / np.linalg.norm(side) if np.linalg.norm(side) > 1e-3 else np.array((1.0, 0.0, 0.0))
    up = np.cross(normal, side)
    facing = triangles[np.abs(normals(triangles) @ normal) >= STEEP]
    # Of a closed object, the side that faces the heads.
    depth = facing.mean(axis=1) @ normal
    facing = facing[depth >= depth.max() - max(STEP, 0.5 * np.ptp(depth))]
    points = facing.reshape(-1, 3)
    across, along = points @ side, points @ up
    origin = across.min() * side + along.min() * up + np.median(points @ normal) * normal
    if min(np.ptp(across), np.ptp(along)) <= 0.0:
        raise UserError(f"“{name}” has no area: choose another object for the map.", name)
    return Floor((name,), facing, origin, np.ptp(across) * side, np.ptp(along) * up)


def seen_floor(scene: Scene, surfaces: dict[str, np.ndarray], heads: np.ndarray) -> Floor:
    """The floor that ``heads`` (n, 3) see most of; ``surfaces`` are {name: (n, 3, 3)}. All in metres."""
    nothing = UserError("No floor is found below the Speakers and the listener: choose a floor object.")
    if not (surfaces and scene.materials and len(heads)):
        raise nothing
    names = list(surfaces)
    triangles = np.concatenate([surfaces[name] for name in names])
    owner = np.repeat(np.arange(len(names)), [len(surfaces[name]) for name in names])
    hit, height, weight = look_down(scene, triangles, heads)
    if not len(hit):
        raise nothing
    area = np.bincount(owner[hit], weight, minlength=len(names))
    main = int(area.argmax())
    mine = owner[hit] == main
    level = weighted_median(height[mine], weight[mine])
    flush = np.abs(height - level) < FLUSH
    joined = np.bincount(owner[hit[flush]], weight[flush], minlength=len(names)) > 0.02 * area[main]
    joined[main] = True
    # The faces of a slab's underside, or of a box's outside, are as level as those one stands on.
    faces_up = normals(triangles)[:, 2] > 0.0
    share = np.average(faces_up[hit[mine]], weights=weight[mine])
    sides = [side for side, part in ((True, share), (False, 1.0 - share)) if part > 0.05]
    chosen = joined[owner] & np.isin(faces_up, sides)
    chosen &= np.abs(triangles[:, :, 2].mean(axis=1) - level) < np.where(owner == main, STEP, FLUSH)
    order = [main, *(k for k in np.flatnonzero(joined) if k != main)]
    return around(tuple(names[k] for k in order), triangles[chosen], heads)


def look_down(scene: Scene, triangles: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What ``heads`` see of level ``triangles`` (n, 3, 3) below them.

    Returns for each ray that meets one: its number, the height in m, and the area in m² it stands for.
    """
    from naf_core.raycast import Raycaster, sphere_directions

    heads = heads[np.linspace(0, len(heads) - 1, min(len(heads), MAX_HEADS)).round().astype(int)]
    directions = sphere_directions(N_DIRECTIONS)
    directions = directions[directions[:, 2] < -0.1]
    origins = np.repeat(heads, len(directions), axis=0)
    directions = np.tile(directions, (len(heads), 1))
    corners = triangles.reshape(-1, 3)
    faces = np.arange(len(corners)).reshape(-1, 3)
    level_only = Scene(corners, faces, np.zeros(len(faces), int), scene.materials[:1])
    found = Raycaster(level_only).intersect(origins, directions)
    first = Raycaster(scene).intersect(origins, directions).distance
    seen = np.flatnonzero((found.triangle >= 0) & (found.distance <= first + 1e-3) & (found.distance < REACH))
    distance, steepness = found.distance[seen].astype(float), -directions[seen, 2].astype(float)
    return (
        found.triangle[seen],
        origins[seen, 2] - distance * steepness,
        4.0 * np.pi / N_DIRECTIONS * distance**2 / steepness,
    )


def around(names: tuple[str, ...], triangles: np.ndarray, heads: np.ndarray | None = None) -> Floor:
    """The floor of these triangles; its rectangle ends REACH beyond the ``heads`` where these are given."""
    low, high = triangles.reshape(-1, 3).min(axis=0), triangles.reshape(-1, 3).max(axis=0)
    if heads is not None:
        low[:2] = np.maximum(low[:2], heads[:, :2].min(axis=0) - REACH)
        high[:2] = np.minimum(high[:2], heads[:, :2].max(axis=0) + REACH)
    size = high - low
    if min(size[:2]) <= 0.0:
        raise UserError(f"The floor “{names[0]}” has no area: choose another object as floor.", names[0])
    low[2] = weighted_median(triangles[:, :, 2].mean(axis=1), np.linalg.norm(crosses(triangles), axis=1))
    return Floor(names, triangles, low, np.array([size[0], 0.0, 0.0]), np.array([0.0, size[1], 0.0]))


def level_surfaces(
    depsgraph: bpy.types.Depsgraph, least: float, only: Container[bpy.types.Object] | None = None
) -> dict[str, np.ndarray]:
    """Triangles (n, 3, 3) in metres, at least ``least`` of their normal along z, by name of their object."""
    scale = metres_per_unit(depsgraph.scene)
    local: dict[int, np.ndarray] = {}
    found: dict[str, list[np.ndarray]] = {}
    for instance in depsgraph.object_instances:
        item = instance.object
        original = item.original
        # Curves and the like come twice, as themselves and as the mesh that they make.
        if item.type != "MESH" or not instance.show_self:
            continue
        if original not in only if only is not None else not is_solid(original):
            continue
        address = item.data.as_pointer()
        if address not in local:
            mesh = mesh_of(item)
            local[address] = mesh.vertices[mesh.triangles].reshape(-1, 3)
        world = transformed(local[address], np.array(instance.matrix_world, dtype=np.float64), scale)
        triangles = world.astype(np.float64).reshape(-1, 3, 3)
        triangles = triangles[np.isfinite(triangles).all(axis=(1, 2))]
        triangles = triangles[np.abs(normals(triangles)[:, 2]) >= least]
        if len(triangles):
            found.setdefault(original.name, []).append(triangles)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def normals(triangles: np.ndarray) -> np.ndarray:
    """Unit normals (n, 3) of triangles (n, 3, 3); zero where a triangle has no area."""
    cross = crosses(triangles)
    return cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-12)


def crosses(triangles: np.ndarray) -> np.ndarray:
    """Vectors (n, 3) along the normals of triangles (n, 3, 3) and twice as long as their area."""
    return np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])


def facing_up(triangles: np.ndarray) -> np.ndarray:
    """Those of the triangles (n, 3, 3) that face up, or all where none does."""
    up = triangles[normals(triangles)[:, 2] > 0.0]
    return up if len(up) else triangles


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value with half of the weight below it."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, 0.5 * total[-1])])
