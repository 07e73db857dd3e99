"""The sheet that wears the loudness map: what it shows, and that nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_addon import sheet
from blender_addon.floor import Floor
from blender_addon.geometry import read_scene
from naf_core.errors import UserError

# Colours of the quarters of the picture from above: ((north west, north east), (south west, south east)).
QUARTERS = (((255, 0, 0), (0, 255, 0)), ((0, 0, 255), None))


@pytest.fixture
def pictures(tmp_path: Path) -> sheet.Map:
    """A map with a colour in each quarter and nothing in the south east, and a legend."""
    pixels = np.zeros((8, 8, 4), np.float32)  # Blender's rows go up
    for row, colours in enumerate(QUARTERS):
        for column, colour in enumerate(colours):
            part = pixels[4 * (1 - row) : 4 * (2 - row), 4 * column : 4 * column + 4]
            part[:] = (0, 0, 0, 0) if colour is None else (*np.array(colour) / 255.0, 1.0)
    for name in ("map.png", "legend.png"):
        image = bpy.data.images.new("Drawn", 8, 8, alpha=True)
        image.pixels.foreach_set(pixels.ravel())
        image.filepath_raw, image.file_format = str(tmp_path / name), "PNG"
        image.save()
        bpy.data.images.remove(image)
    return sheet.Map(tmp_path / "map.png", tmp_path / "legend.png", 40.0, 70.0)


def a_floor(size: float = 4.0) -> Floor:
    corners = 0.5 * size * np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)])
    triangles = corners[[(0, 1, 2), (0, 2, 3)]]
    return Floor(("Floor",), triangles, corners[0], np.array([size, 0, 0]), np.array([0, size, 0]))


def names_of_all() -> dict[str, list[str]]:
    kinds = ("objects", "meshes", "materials", "images", "collections", "node_groups")
    return {kind: sorted(item.name for item in getattr(bpy.data, kind)) for kind in kinds}


def test_the_sheet_lies_just_above_the_floor_and_faces_up(pictures: sheet.Map) -> None:
    found = sheet.lay(bpy.context.scene, a_floor(), pictures)
    mesh = found.data
    assert len(mesh.vertices) == 4
    np.testing.assert_allclose([v.co.z for v in mesh.vertices], sheet.LIFT, atol=1e-6)
    assert all(polygon.normal.z > 0.99 for polygon in mesh.polygons)
    assert (found[sheet.LOWEST], found[sheet.HIGHEST]) == (40.0, 70.0)
    assert next(sheet.own_sheets(bpy.context.scene)) == found


def test_faces_that_looked_down_look_up(pictures: sheet.Map) -> None:
    ground = a_floor()
    flipped = Floor(ground.names, ground.triangles[:, ::-1], ground.origin, ground.u, ground.v)
    found = sheet.lay(bpy.context.scene, flipped, pictures)
    assert all(polygon.normal.z > 0.99 for polygon in found.data.polygons)


def test_texels_lie_where_the_floor_is(pictures: sheet.Map) -> None:
    mesh = sheet.lay(bpy.context.scene, a_floor(), pictures).data
    assert [layer.name for layer in mesh.uv_layers] == [sheet.UV_MAP]
    for loop, place in zip(mesh.loops, mesh.uv_layers[0].uv, strict=True):
        point = mesh.vertices[loop.vertex_index].co
        np.testing.assert_allclose(place.vector, (point.x / 4 + 0.5, point.y / 4 + 0.5), atol=1e-6)


def test_lengths_follow_the_unit(pictures: sheet.Map) -> None:
    bpy.context.scene.unit_settings.scale_length = 0.01
    found = sheet.lay(bpy.context.scene, a_floor(), pictures)
    assert found.dimensions.x == pytest.approx(400.0, rel=1e-5)


def test_sound_does_not_meet_the_sheet(pictures: sheet.Map) -> None:
    sheet.lay(bpy.context.scene, a_floor(), pictures)
    assert len(read_scene(bpy.context.evaluated_depsgraph_get()).scene.triangles) == 0


def test_the_floor_itself_is_untouched_and_clear_leaves_nothing(pictures: sheet.Map, box: Callable) -> None:
    scene = bpy.context.scene
    item = box("Floor", scale=(4, 4, 0.1))
    item.data.materials.append(bpy.data.materials.new("Oak"))
    before, updates = names_of_all(), item.data.as_pointer()
    sheet.lay(scene, a_floor(), pictures)
    assert item.material_slots[0].material.name == "Oak"
    assert len(item.data.uv_layers) == 0 and item.data.as_pointer() == updates
    assert sheet.clear(scene)
    assert names_of_all() == before
    assert not sheet.clear(scene)


def test_a_second_map_takes_the_place_of_the_first(pictures: sheet.Map) -> None:
    scene = bpy.context.scene
    first = sheet.lay(scene, a_floor(), pictures)
    first.hide_render = True
    once = names_of_all()
    second = sheet.lay(scene, a_floor(6.0), pictures)
    assert names_of_all() == once
    assert second.hide_render
    assert second.dimensions.x == pytest.approx(6.0)


def test_maps_of_two_scenes_do_not_meet(pictures: sheet.Map) -> None:
    first, second = bpy.context.scene, bpy.data.scenes.new("Second")
    sheet.lay(first, a_floor(), pictures)
    sheet.lay(second, a_floor(), pictures)
    sheet.clear(second)
    (found,) = sheet.own_sheets(first)
    assert found.data.materials[0].node_tree.nodes["Image Texture"].image.size[0] == 8
    sheet.clear(first)
    assert list(bpy.data.images) == []


def test_the_pictures_need_no_file(pictures: sheet.Map, tmp_path: Path) -> None:
    sheet.lay(bpy.context.scene, a_floor(), pictures)
    pictures.image.unlink()
    pictures.legend.unlink()
    path = str(tmp_path / "a.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    for name in (sheet.MAP_IMAGE, sheet.LEGEND_IMAGE):
        image = bpy.data.images[name]
        assert image.packed_file is not None
        assert image.has_data or image.pixels[0] >= 0.0
        assert tuple(image.size) == (8, 8)


def test_a_picture_that_cannot_be_read_changes_nothing(pictures: sheet.Map, tmp_path: Path) -> None:
    scene = bpy.context.scene
    sheet.lay(scene, a_floor(), pictures)
    before = names_of_all()
    for paths in ((tmp_path / "gone.png", pictures.legend), (pictures.image, tmp_path / "gone.png")):
        with pytest.raises(UserError, match=r"gone\.png"):
            sheet.lay(scene, a_floor(), sheet.Map(*paths, 0.0, 1.0))
    (found,) = sheet.own_sheets(scene)
    assert found.data.materials[0].node_tree.nodes["Image Texture"].image.name == before["images"][1]


def test_solid_shading_finds_the_texture(pictures: sheet.Map) -> None:
    material = sheet.lay(bpy.context.scene, a_floor(), pictures).data.materials[0]
    assert material.node_tree.nodes.active.image == bpy.data.images[sheet.MAP_IMAGE]


def test_a_render_shows_the_colours_of_the_map(pictures: sheet.Map, link: Callable, tmp_path: Path) -> None:
    scene = bpy.context.scene
    sheet.lay(scene, a_floor(), pictures)
    data = bpy.data.cameras.new("Above")
    data.type, data.ortho_scale = "ORTHO", 4.0
    scene.camera = link("Above", data, location=(0, 0, 5))
    settings = scene.render
    settings.engine = "CYCLES"
    settings.resolution_x = settings.resolution_y = 32
    settings.film_transparent = True
    settings.image_settings.file_format, settings.image_settings.color_mode = "PNG", "RGBA"
    settings.filepath = str(tmp_path / "render.png")
    scene.view_settings.view_transform = "Standard"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.device = 1, False, "CPU"
    bpy.ops.render.render(write_still=True)
    seen = bpy.data.images.load(settings.filepath)
    pixels = np.empty(32 * 32 * 4, np.float32)
    seen.pixels.foreach_get(pixels)
    pixels = np.rint(255 * pixels.reshape(32, 32, 4)[::-1]).astype(int)  # the first row on top
    for row, colours in enumerate(QUARTERS):
        for column, colour in enumerate(colours):
            middle = pixels[8 + 16 * row, 8 + 16 * column]
            if colour is None:
                assert middle[3] == 0
            else:
                np.testing.assert_allclose(middle, (*colour, 255), atol=2)


def test_settings_of_objects_do_not_pass_for_marks(pictures: sheet.Map, box: Callable) -> None:
    scene = bpy.context.scene
    item = box("Floor")
    item.acoustics.surface = "IGNORED"
    scene.acoustics.seed = 7
    sheet.lay(scene, a_floor(), pictures)
    scene.collection.children[sheet.COLLECTION].objects.link(item)
    assert sheet.clear(scene)
    assert item.name in bpy.data.objects
    assert (item.acoustics.surface, scene.acoustics.seed) == ("IGNORED", 7)
