"""The scene as sound meets it: triangles and acoustic materials, from the evaluated depsgraph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import bpy
import numpy as np

from naf_core.air import Air
from naf_core.errors import UserError
from naf_core.scene import MAX_REACH, MAX_TRIANGLES, Scene, areas_of
from naf_core.simplification import simplified

from .object_properties import is_solid
from .surfaces import AcousticChoice, material_of

Warnings = list[tuple[str, str | None]]

# Types that a render shows and that have no surface, with their names in the interface.
_NOT_SOLID = {"VOLUME": "a volume", "CURVES": "hair curves", "POINTCLOUD": "a point cloud"}
# Scenes with more triangles are simplified, as far as their meshes have at least so many each.
MANY_TRIANGLES, DETAILED = 200_000, 1000
# Rooms beyond these lengths are more likely a wrong unit scale, in metres.
_SMALLEST, _LARGEST = 0.5, 5000.0


@dataclass(frozen=True)
class SceneReading:
    """A scene that was read. Lengths in ``scene`` and ``facts`` are metres.

    ``choices``: (name of the Blender material, "" for surfaces without one; its acoustic material), in the
    order of ``scene.materials``. ``warnings``: (message, object name or None). ``facts``: frame; numbers of
    triangles, of those that were ``modelled`` before simplification, of objects (instances counted each) and
    materials; bounds [[x, y, z], [x, y, z]]. ``owners``: (object name, first triangle, how many) of each instance
    in ``scene``; ``flat``: how many more each had, without area, that `Scene` has dropped.
    """

    scene: Scene
    choices: tuple[tuple[str, AcousticChoice], ...]
    warnings: tuple[tuple[str, str | None], ...]
    facts: dict
    owners: tuple[tuple[str, int, int], ...] = ()
    flat: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Mesh:
    """Arrays of one mesh: ``vertices`` (V, 3), ``triangles`` (F, 3), ``slots`` (F,) material slots."""

    vertices: np.ndarray
    triangles: np.ndarray
    slots: np.ndarray

    def finer_than(self, tolerance: float) -> _Mesh:
        """The mesh without detail finer than ``tolerance``, a length of its own; itself where it has none."""
        # Vertices that are no places are told of later, by the name of their object.
        if len(self.triangles) < DETAILED or not np.abs(self.vertices).max() <= MAX_REACH * tolerance:
            return self
        found = simplified(self.vertices, self.triangles, tolerance)
        return _Mesh(found.vertices, found.triangles, self.slots[found.source])


@dataclass(frozen=True)
class _Part:
    """An instance: the key of its mesh, its matrix (4, 4), and its acoustic material by slot (S,)."""

    name: str
    mesh: tuple[int, bool]
    matrix: np.ndarray
    materials: np.ndarray


@dataclass
class _Surfaces:
    """Acoustic materials in the order in which surfaces were met."""

    settings: bpy.types.PropertyGroup
    index: dict[int, int] = field(default_factory=dict)  # from a Blender material's address; 0 for none
    choices: list[tuple[str, AcousticChoice]] = field(default_factory=list)

    def index_of(self, material: bpy.types.Material | None) -> int:
        material = None if material is None else material.original
        address = 0 if material is None else material.as_pointer()
        if address not in self.index:
            self.index[address] = len(self.choices)
            name = "" if material is None else material.name
            self.choices.append((name, material_of(material, self.settings)))
        return self.index[address]


def metres_per_unit(scene: bpy.types.Scene) -> float:
    """Length of one Blender unit in metres; without a unit system it is one, whatever the scale says."""
    settings = scene.unit_settings
    return 1.0 if settings.system == "NONE" else settings.scale_length


def air_of(scene: bpy.types.Scene) -> Air:
    """The air that the scene's settings describe."""
    settings = scene.acoustics
    return Air(settings.temperature, settings.humidity, settings.pressure)


def read_scene(depsgraph: bpy.types.Depsgraph, progress: Callable[[float], None] | None = None) -> SceneReading:
    """Read what is solid in a depsgraph, as it shows the scene now.

    A viewport depsgraph lacks what is hidden in the viewport: see `visibility.as_rendered`. ``progress`` gets
    0..1 and may raise to cancel. Raises UserError where there are more than MAX_TRIANGLES triangles.
    """
    scene = depsgraph.scene
    scale, settings = metres_per_unit(scene), scene.original.acoustics
    warnings: Warnings = []
    surfaces = _Surfaces(settings)
    meshes, parts = _meshes_and_parts(depsgraph, surfaces, warnings, progress)
    modelled = sum(len(meshes[part.mesh].triangles) for part in parts)
    if modelled > MANY_TRIANGLES and settings.detail > 0.0:
        meshes = _without_detail(meshes, parts, settings.detail, scale)

    vertices, triangles, material_index, owners = [], [], [], []
    n_vertices = n_triangles = 0
    for part in parts:
        mesh = meshes[part.mesh]
        if not len(mesh.triangles):
            continue
        if n_triangles + len(mesh.triangles) > MAX_TRIANGLES:
            raise UserError(
                f"The scene has more than {MAX_TRIANGLES} triangles, counted up to “{part.name}”: exclude objects"
                " with fine detail from the acoustics, or lower their modifiers.",
                part.name,
            )
        world = transformed(mesh.vertices, part.matrix, scale)
        problem = _problem(part.name, world, mesh.triangles)
        if problem:
            warnings.append((problem, part.name))
            continue
        vertices.append(world)
        triangles.append(mesh.triangles + n_vertices)
        material_index.append(part.materials[np.clip(mesh.slots, 0, len(part.materials) - 1)])
        owners.append((part.name, n_triangles, len(mesh.triangles)))
        n_vertices += len(world)
        n_triangles += len(mesh.triangles)
    if n_triangles < modelled and modelled > MANY_TRIANGLES and settings.detail > 0.0:
        warnings.append((_merged(modelled, n_triangles, settings.detail), None))

    corners, faces = _joined(vertices, (0, 3), np.float32), _joined(triangles, (0, 3), np.int32)
    solid = Scene(
        corners,
        faces,
        _joined(material_index, (0,), np.int32),
        [choice.material for _, choice in surfaces.choices],
        air_of(scene.original),
    )
    flat = [0] * len(owners)
    if len(solid.triangles) < n_triangles:
        owners, flat = _without_flat(owners, areas_of(corners, faces) > 0.0)
    bounds = solid.bounds
    warnings.extend(_size_warnings(solid, bounds))
    facts = {
        "frame": scene.frame_current,
        "triangles": len(solid.triangles),
        "modelled": modelled,
        "objects": len(owners),
        "materials": len(surfaces.choices),
        "bounds": bounds.tolist(),
    }
    return SceneReading(
        solid, tuple(surfaces.choices), tuple(dict.fromkeys(warnings)), facts, tuple(owners), tuple(flat)
    )


def _without_flat(
    owners: list[tuple[str, int, int]], solid: np.ndarray
) -> tuple[list[tuple[str, int, int]], list[int]]:
    """The ``owners`` when only the triangles that are ``solid`` (n,) bool are left, and how many each has lost."""
    kept = np.concatenate([[0], np.cumsum(solid)]).tolist()
    left = [(name, kept[first], kept[first + count] - kept[first]) for name, first, count in owners]
    return left, [before[2] - after[2] for before, after in zip(owners, left, strict=True)]


def _meshes_and_parts(
    depsgraph: bpy.types.Depsgraph,
    surfaces: _Surfaces,
    warnings: Warnings,
    progress: Callable[[float], None] | None,
) -> tuple[dict[tuple[int, bool], _Mesh], list[_Part]]:
    """What is solid: each mesh once, however often it is shown, and where it is shown with which materials."""
    meshes: dict[tuple[int, bool], _Mesh] = {}
    used: dict[tuple[int, bool], list[int]] = {}  # slots
    parts = []
    n_instances = len(depsgraph.object_instances)
    for count, (instance, name) in enumerate(_instances(depsgraph, warnings)):
        if progress is not None and count % 64 == 0:
            progress(min(count / n_instances, 1.0))
        item = instance.object
        simple = item.original.acoustics.surface == "SIMPLIFIED"
        key = item.data.as_pointer(), simple
        if key not in meshes:
            meshes[key] = hull(mesh_of(item)) if simple else mesh_of(item)
            used[key] = np.unique(meshes[key].slots).tolist()
        if used[key]:
            matrix = np.array(instance.matrix_world, dtype=np.float64)
            parts.append(_Part(name, key, matrix, _material_table(item, used[key], surfaces)))
    return meshes, parts


def _without_detail(
    meshes: dict[tuple[int, bool], _Mesh], parts: list[_Part], detail: float, scale: float
) -> dict[tuple[int, bool], _Mesh]:
    """The meshes without what is finer than ``detail`` metres where they are shown largest."""
    largest: dict[tuple[int, bool], float] = {}
    for part in parts:
        if len(meshes[part.mesh].triangles) >= DETAILED and np.isfinite(part.matrix).all():
            stretch = scale * float(np.linalg.norm(part.matrix[:3, :3], ord=2))
            largest[part.mesh] = max(stretch, largest.get(part.mesh, 0.0))
    found = {key: meshes[key].finer_than(detail / stretch) for key, stretch in largest.items() if stretch > 0.0}
    return {**meshes, **found}


def _merged(modelled: int, left: int, detail: float) -> str:
    """What a person is told of simplification."""
    return (
        f"Detail finer than {100.0 * detail:.3g} cm is merged: {modelled:,} triangles become {left:,} (Geometry in the"
        " Acoustics tab)."
    ).replace(",", " ")


def boxes(depsgraph: bpy.types.Depsgraph) -> dict[tuple, tuple[str, np.ndarray]]:
    """Name and bounding box, (8, 3) in metres in the world, of each solid instance, to see what moves."""
    scale = metres_per_unit(depsgraph.scene)
    local: dict[int, np.ndarray] = {}
    found = {}
    for instance, name in _instances(depsgraph, []):
        item = instance.object
        address = item.data.as_pointer()
        if address not in local:
            local[address] = np.array([tuple(corner) for corner in item.bound_box])
        world = transformed(local[address], np.array(instance.matrix_world, dtype=np.float64), scale)
        found[name, item.name, tuple(instance.persistent_id)] = (name, world)
    return found


def _instances(
    depsgraph: bpy.types.Depsgraph, warnings: Warnings
) -> Iterator[tuple[bpy.types.DepsgraphObjectInstance, str]]:
    """Each instance that is solid, with the name of its object; it is valid until the next one is asked for.

    Curves, surfaces, texts and metaballs come twice, as themselves and as the mesh that they make: only
    meshes are taken. What geometry nodes make of other types comes as meshes, too.
    """
    for instance in depsgraph.object_instances:
        item = instance.object
        source = item.original
        name = source.name
        if not is_solid(source) or (instance.is_instance and not is_solid(instance.parent.original)):
            continue
        if item.type == "SPEAKER" and instance.is_instance:
            by = instance.parent.name
            warnings.append((f"The Speaker “{name}” is instanced by “{by}”: instances are not heard.", name))
        if item.type in _NOT_SOLID:
            warnings.append((f"“{name}” is {_NOT_SOLID[item.type]}: sound passes through it.", name))
        elif _has_strands(item) and not instance.is_instance:
            warnings.append((f"“{name}” has hair: sound passes through the hair.", name))
        if item.type == "MESH" and instance.show_self:
            yield instance, name


def _has_strands(item: bpy.types.Object) -> bool:
    return any(
        system.settings.type == "HAIR" and system.settings.render_type == "PATH" for system in item.particle_systems
    )


def mesh_of(item: bpy.types.Object) -> _Mesh:
    """Arrays of an evaluated object, by a temporary mesh: it holds GPU subdivision and edit mode, too."""
    mesh = item.to_mesh()
    try:
        n_vertices, n_triangles = len(mesh.vertices), len(mesh.loop_triangles)
        vertices = np.empty((n_vertices, 3), dtype=np.float32)
        triangles = np.empty((n_triangles, 3), dtype=np.int32)
        slots = np.zeros(n_triangles, dtype=np.int32)
        if n_triangles:
            mesh.attributes["position"].data.foreach_get("vector", vertices.reshape(-1))
            mesh.loop_triangles.foreach_get("vertices", triangles.reshape(-1))
            mesh.loop_triangles.foreach_get("material_index", slots)
    finally:
        item.to_mesh_clear()
    return _Mesh(vertices, triangles, slots)


def hull(mesh: _Mesh) -> _Mesh:
    """The convex hull of a mesh, of the material slot with the most triangles; the mesh itself where it is flat."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        found = ConvexHull(mesh.vertices.astype(np.float64))
    except (QhullError, ValueError):  # flat, or fewer than four points
        return mesh
    slot = np.bincount(mesh.slots).argmax() if len(mesh.slots) else 0
    return _Mesh(mesh.vertices, found.simplices.astype(np.int32), np.full(len(found.simplices), slot, np.int32))


def transformed(points: np.ndarray, matrix: np.ndarray, scale: float) -> np.ndarray:
    """Points (n, 3) of an object in the world, in metres, float32."""
    # A matrix of NaN or of vast numbers is noticed by the caller, by its result.
    with np.errstate(invalid="ignore", over="ignore"):
        return ((points @ matrix[:3, :3].T + matrix[:3, 3]) * scale).astype(np.float32)


def _problem(name: str, world: np.ndarray, triangles: np.ndarray) -> str | None:
    """What makes the object of that name unusable, and the remedy, or None."""
    reach = float(np.abs(world).max())
    if not np.isfinite(reach):
        return f"“{name}” has vertices or a transform that are not finite numbers and is left out: repair or delete it."
    if reach > MAX_REACH:
        return f"“{name}” reaches beyond {MAX_REACH:g} m from the origin and is left out: move or repair it."
    # A few triangles tell it of nearly all objects.
    if not (_has_area(world[triangles[:64]]) or _has_area(world[triangles])):
        return f"“{name}” has no area (its scale is zero, or its faces are) and is left out: give it a size."
    return None


def _has_area(corners: np.ndarray) -> bool:
    """Whether any of the triangles (n, 3, 3) has an area."""
    corners = corners.astype(np.float64)
    return bool(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).any())


def _material_table(item: bpy.types.Object, used: list[int], surfaces: _Surfaces) -> np.ndarray:
    """Index (S,) into ``surfaces`` of the material in each slot, 0 where it is not among those that are ``used``.

    As Blender does: a slot linked to the object beats the mesh's; faces beyond the last slot take the last.
    """
    slots, materials = item.material_slots, item.data.materials
    count = max(len(slots), len(materials), 1)
    table = np.zeros(count, dtype=np.int32)
    for place in sorted({min(max(slot, 0), count - 1) for slot in used}):
        material = None
        if place < len(slots) and slots[place].link == "OBJECT":
            material = slots[place].material
        elif place < len(materials):
            material = materials[place]
        table[place] = surfaces.index_of(material)
    return table


def _joined(parts: list[np.ndarray], empty: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(empty, dtype=dtype)


def _size_warnings(scene: Scene, bounds: np.ndarray) -> Warnings:
    if not len(scene.triangles):
        return [("Nothing in the scene is solid: it sounds as in the open air.", None)]
    size = float(np.ptp(bounds, axis=0).max())
    if not _SMALLEST <= size <= _LARGEST:
        return [(f"The scene is {size:.3g} m large: check the unit scale in the scene's properties.", None)]
    return []
