"""Where the ears are of somebody who stands where the probe points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import bpy
from mathutils import Matrix, Vector

from . import floor, jobs
from .geometry import metres_per_unit

# What is narrower and lower than this in metres is furniture: people stand beside it, not on it. Stairs are higher.
WIDEST, HIGHEST = 2.5, 1.3
_DEEPEST = 2.0  # m below furniture to the floor: where there is none, it stands on what cannot be seen
_ASIDE = 100  # surfaces of what a view does not show that are looked through
_STACKED = 4  # things on each other that are looked through for the floor
_ABOVE = 1e-3  # m over a surface from which a ray starts that is not to meet it
_DOWN, _UP = Vector((0.0, 0.0, -1.0)), Vector((0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Met:
    """A surface that a ray has met: where, its normal and whether that was met from behind, and its object."""

    place: Vector
    normal: Vector
    behind: bool
    item: bpy.types.Object
    matrix: Matrix


def meet(context: bpy.types.Context, origin: Vector, way: Vector) -> Met | None:
    """The first surface along a ray; None where there is none."""
    scene = context.scene
    hit, place, normal, _, item, matrix = scene.ray_cast(context.evaluated_depsgraph_get(), origin, way)
    behind = normal.dot(way) > 0.0
    return Met(place, -normal if behind else normal, behind, item, matrix) if hit else None


def see(
    context: bpy.types.Context, origin: Vector, way: Vector, shown: Callable[[bpy.types.Object], bool]
) -> Met | None:
    """The first surface along a ray of what is ``shown``: a ceiling that was set aside hides nothing."""
    met = meet(context, origin, way)
    for _ in range(_ASIDE):
        if met is None or shown(met.item):
            break
        met = meet(context, met.place + way * (_ABOVE / metres_per_unit(context.scene)), way)
    return met


def shown_in(context: bpy.types.Context, space: bpy.types.SpaceView3D) -> Callable[[bpy.types.Object], bool]:
    """What tells of an object whether a 3D view shows it, as far as that view has set anything aside."""
    objects = context.view_layer.objects  # what is but instanced is not among them, and follows its instancer
    return lambda item: space.local_view is None or objects.get(item.name) != item or item.visible_get(viewport=space)


def ears_at(context: bpy.types.Context, met: Met) -> Vector:
    """The ears of somebody at a surface: as high over the floor as those of a map, and close before walls.

    Furniture is no floor, what is below counts. Where there is less air than that, in its middle.
    """
    unit = metres_per_unit(context.scene)
    close, height = jobs.CLOSE / unit, context.scene.acoustics.ear_height / unit
    if met.normal.z <= floor.STEEP:
        return met.place + met.normal * close
    ears = max(_floor_below(context, met, unit) + height - met.place.z, close)
    over = meet(context, met.place + _UP * (_ABOVE / unit), _UP)
    if over is not None and over.place.z - met.place.z < ears + close and not _furniture(over, unit):
        ears = 0.5 * (over.place.z - met.place.z)
    return met.place + _UP * ears


def _floor_below(context: bpy.types.Context, met: Met, unit: float) -> float:
    """The height of the floor on which the furniture stands that was met, or of what was met itself."""
    for _ in range(_STACKED):
        if not _furniture(met, unit):
            break
        low, _ = _bounds(met)
        below = met
        for aside in (_ABOVE, -_ABOVE):  # from within it, and then from below its own underside
            if below is not None and below.item == met.item:
                below = meet(context, Vector((met.place.x, met.place.y, low.z + aside / unit)), _DOWN)
        if below is None or below.item == met.item or low.z - below.place.z > _DEEPEST / unit:
            return low.z
        ground = low.z if below.behind else below.place.z  # behind: from within what it stands on
        met = replace(below, place=Vector((met.place.x, met.place.y, ground)))
    return met.place.z


def _furniture(met: Met, unit: float) -> bool:
    low, high = _bounds(met)
    size = (high - low) * unit
    return min(size.x, size.y) < WIDEST and size.z < HIGHEST


def _bounds(met: Met) -> tuple[Vector, Vector]:
    """The lowest and the highest corner of the object that was met, in the world."""
    corners = [met.matrix @ Vector(corner) for corner in met.item.bound_box]
    axes = list(zip(*corners, strict=True))
    return Vector(map(min, axes)), Vector(map(max, axes))
