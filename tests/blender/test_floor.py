"""Finding the floor: which level surfaces people stand on."""

from __future__ import annotations

from collections.abc import Callable

import bpy
import numpy as np
import pytest

from blender_addon import floor
from blender_addon.geometry import read_scene
from naf_core.errors import UserError

HEADS = np.array([(-1.0, 0.0, 1.6), (1.0, 0.5, 1.2)])


def find(heads: np.ndarray = HEADS, chosen: bpy.types.Object | None = None) -> floor.Floor:
    depsgraph = bpy.context.evaluated_depsgraph_get()
    return floor.find(depsgraph, read_scene(depsgraph).scene, heads, chosen)


@pytest.fixture
def plane(link: Callable) -> Callable[..., bpy.types.Object]:
    """Makes a level rectangle of ``size`` (x, y) around ``at``, facing up."""

    def make(name: str, size: tuple[float, float], at: tuple[float, float, float] = (0.0, 0.0, 0.0), **settings):
        x, y = 0.5 * size[0], 0.5 * size[1]
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata([(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0)], [], [(0, 1, 2, 3)])
        return link(name, mesh, location=at, **settings)

    return make


@pytest.fixture
def room(plane: Callable, box: Callable) -> None:
    """A room of 6 m x 4 m with a floor, walls, a ceiling and a table under the heads."""
    plane("Floor", (6, 4))
    plane("Ceiling", (6, 4), (0, 0, 2.5))
    for name, at, scale in (
        ("West", (-3, 0, 1.25), (0.1, 4, 2.5)),
        ("East", (3, 0, 1.25), (0.1, 4, 2.5)),
        ("South", (0, -2, 1.25), (6, 0.1, 2.5)),
        ("North", (0, 2, 1.25), (6, 0.1, 2.5)),
    ):
        box(name, location=at, scale=scale)
    box("Table", location=(1, 0.5, 0.7), scale=(1.2, 0.8, 0.05))


def area_of(triangles: np.ndarray) -> float:
    return 0.5 * float(np.linalg.norm(floor.crosses(triangles), axis=1).sum())


def test_the_floor_of_a_room_is_found(room: None) -> None:
    found = find()
    assert found.names == ("Floor",)
    assert area_of(found.triangles) == pytest.approx(24.0)
    np.testing.assert_allclose(found.origin, (-3, -2, 0), atol=1e-6)
    np.testing.assert_allclose(found.u, (6, 0, 0), atol=1e-6)
    np.testing.assert_allclose(found.v, (0, 4, 0), atol=1e-6)
    assert found.texels(256) == (256, 171)


def test_the_ground_around_a_house_is_not_its_floor(room: None, plane: Callable) -> None:
    plane("Ground", (200, 200), (0, 0, -0.02))
    assert find().names == ("Floor",)


def test_in_the_open_the_ground_is_the_floor_and_the_map_ends_somewhere(plane: Callable) -> None:
    plane("Ground", (2000, 2000))
    found = find()
    assert found.names == ("Ground",)
    np.testing.assert_allclose(found.origin[:2], (-1 - floor.REACH, -floor.REACH))
    np.testing.assert_allclose((found.u[0], found.v[1]), (2 + 2 * floor.REACH, 0.5 + 2 * floor.REACH))


def test_floors_of_two_rooms_at_one_height_are_one(plane: Callable) -> None:
    plane("Living room", (6, 4), (-3, 0, 0))
    plane("Kitchen", (4, 4), (2, 0, 0.01))
    plane("Gallery", (4, 4), (2, 8, 0.4))
    found = find(np.array([(-3.0, 0.0, 1.6), (2.0, 0.0, 1.6)]))
    assert set(found.names) == {"Living room", "Kitchen"}
    assert found.names[0] == "Living room"
    assert found.u[0] == pytest.approx(10.0)


@pytest.mark.parametrize("flip", (False, True))
def test_a_box_is_a_room_whichever_way_its_faces_look(box: Callable, flip: bool) -> None:
    item = box("Room", location=(0, 0, 1.25), scale=(6, 4, 2.5))
    if flip:
        item.data.flip_normals()
    found = find()
    np.testing.assert_allclose(found.triangles[:, :, 2], 0.0, atol=1e-6)
    assert area_of(found.triangles) == pytest.approx(24.0)


def test_the_underside_of_a_slab_is_not_part_of_the_floor(box: Callable) -> None:
    box("Slab", location=(0, 0, -0.1), scale=(6, 4, 0.2))
    found = find()
    np.testing.assert_allclose(found.triangles[:, :, 2], 0.0, atol=1e-6)
    assert len(found.triangles) == 2


def test_furniture_of_the_same_mesh_is_not_part_of_the_floor(room: None) -> None:
    names = [item.name for item in bpy.context.scene.objects]
    for name in names:
        bpy.data.objects[name].select_set(True)
    bpy.context.view_layer.objects.active = bpy.data.objects["Floor"]
    bpy.ops.object.join()
    found = find()
    # The walls stand on the floor with their undersides.
    assert area_of(found.triangles) == pytest.approx(24.0, rel=0.1)
    np.testing.assert_allclose(found.triangles[:, :, 2], 0.0, atol=1e-6)


def test_the_chosen_object_is_taken(room: None) -> None:
    found = find(chosen=bpy.data.objects["Table"])
    assert found.names == ("Table",)
    assert area_of(found.triangles) == pytest.approx(1.2 * 0.8)
    np.testing.assert_allclose(found.triangles[:, :, 2], 0.725, atol=1e-6)


def test_a_chosen_ramp_may_be_steep(plane: Callable) -> None:
    ramp = plane("Ramp", (4, 4), rotation_euler=(0.8, 0, 0))
    assert area_of(find(chosen=ramp).triangles) == pytest.approx(16.0)


def test_instances_and_modifiers_count(plane: Callable) -> None:
    tile = plane("Tile", (1, 1))
    modifier = tile.modifiers.new("Array", "ARRAY")
    modifier.count = 4
    assert area_of(find(np.array([(0.5, 0.0, 1.0)])).triangles) == pytest.approx(4.0)


def test_lengths_are_metres_whatever_the_unit(plane: Callable) -> None:
    bpy.context.scene.unit_settings.scale_length = 0.01
    plane("Floor", (600, 400))
    assert find().u[0] == pytest.approx(6.0)


def test_excluded_objects_are_no_floor(room: None) -> None:
    bpy.data.objects["Floor"].acoustics.surface = "IGNORED"
    assert find().names == ("Table",)


def test_no_floor_is_an_error(box: Callable) -> None:
    box("Wall", location=(0, 3, 0), scale=(4, 0.1, 20))
    with pytest.raises(UserError, match="choose a floor object"):
        find()


def test_a_chosen_wall_is_upright_and_faces_the_heads(box: Callable) -> None:
    mesh = bpy.data.meshes.new("Wall")
    mesh.from_pydata([(0, 2, 0), (3, 2, 0), (3, 2, 1), (0, 2, 1)], [], [(0, 1, 2, 3)])
    wall = bpy.data.objects.new("Wall", mesh)
    bpy.context.scene.collection.objects.link(wall)
    found = find(chosen=wall)
    assert not found.level
    np.testing.assert_allclose(np.abs(found.normal), (0, 1, 0), atol=1e-6)
    assert sorted((np.linalg.norm(found.u), np.linalg.norm(found.v))) == pytest.approx([1.0, 3.0])
    assert abs(found.v[2]) == pytest.approx(1.0)  # up on the picture is up in the room


def test_an_object_without_surface_is_an_error() -> None:
    line = bpy.data.objects.new("Line", bpy.data.meshes.new("Line"))
    bpy.context.scene.collection.objects.link(line)
    with pytest.raises(UserError, match="“Line”") as caught:
        find(chosen=line)
    assert caught.value.object_name == "Line"


def test_weighted_median() -> None:
    assert floor.weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 5.0])) == 2.0
