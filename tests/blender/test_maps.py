"""Settings of maps: from the scene into the job, and from the results into the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_addon import overlay, sheet
from blender_addon.floor import Floor
from naf_core.colours import PALETTES, colours
from naf_core.floormap import STOREY_GAP, FloorMap
from naf_core.picture import write_texels
from naf_core.quantities import QUANTITIES
from naf_core.survey import FloorValues


def test_all_settings_reach_the_job(scene, acoustics) -> None:
    settings = scene.acoustics
    settings.map_quantity, settings.map_use_noise, settings.map_noise = "STI", True, 45.0
    settings.map_time, settings.map_step = "MAXIMUM", 5
    settings.map_palette, settings.map_lines, settings.map_band = "cividis", False, "3"
    bpy.ops.acoustics.loudness_map()
    (job,) = acoustics["jobs"]
    found = job.map
    assert (found.quantity, found.noise, found.band) == ("STI", 45.0, None)  # speech has its own bands
    assert (found.step, found.maximum, found.palette, found.lines) == (5, True, "cividis", False)
    assert (job.frame_start, job.n_frames) == (11, 12)
    settings.map_quantity, settings.map_use_noise = "C50", False
    bpy.ops.acoustics.loudness_map()
    assert (acoustics["jobs"][1].map.band, acoustics["jobs"][1].map.noise) == (3, None)


def test_choices_are_those_of_the_core(scene) -> None:
    known = scene.acoustics.bl_rna.properties
    assert [item.identifier for item in known["map_quantity"].enum_items] == list(QUANTITIES)
    assert [item.identifier for item in known["map_palette"].enum_items] == list(PALETTES)


def test_a_sequence_plays_with_the_timeline(scene, acoustics) -> None:
    scene.acoustics.map_time, scene.acoustics.map_step = "SEQUENCE", 4
    bpy.ops.acoustics.bake()
    (found,) = sheet.own_sheets(scene)
    (texture,) = [n for n in found.data.materials[0].node_tree.nodes if n.type == "TEX_IMAGE"]
    user = texture.image_user
    assert (texture.image.source, user.frame_start, user.frame_duration) == ("SEQUENCE", 11, 12)
    assert user.use_auto_refresh and texture.image.packed_file is None
    assert texture.image.filepath == "//acoustics/loudness_maps/map_00001.png"
    bpy.ops.acoustics.clear()
    assert not [image for image in bpy.data.images if image.get(sheet.MARK)]


def test_the_range_of_a_map_can_be_kept(scene) -> None:
    bpy.ops.acoustics.loudness_map()
    assert bpy.ops.acoustics.keep_range() == {"FINISHED"}
    settings = scene.acoustics
    assert (settings.map_range, settings.map_minimum, settings.map_maximum) == ("FIXED", 40.0, 70.0)


def test_a_map_is_shown_again(scene) -> None:
    with pytest.raises(RuntimeError, match="no map"):
        bpy.ops.acoustics.show_map()
    bpy.ops.acoustics.loudness_map()
    (found,) = sheet.own_sheets(scene)
    found.hide_viewport = True
    assert bpy.ops.acoustics.show_map() == {"FINISHED"}
    assert not found.hide_viewport


def test_a_wall_wears_a_map_on_the_listeners_side(scene, acoustics, link: Callable) -> None:
    mesh = bpy.data.meshes.new("Wall")
    mesh.from_pydata([(-1, 1.5, 0.5), (1, 1.5, 0.5), (1, 1.5, 2.0), (-1, 1.5, 2.0)], [], [(0, 1, 2, 3)])
    wall = link("Wall", mesh)
    scene.acoustics.floor = wall
    bpy.ops.acoustics.loudness_map()
    found = acoustics["jobs"][0].map
    # The Speakers stand before it, at smaller y.
    np.testing.assert_allclose(found.normal, (0, -1, 0), atol=1e-6)
    assert sorted((np.linalg.norm(found.u), np.linalg.norm(found.v))) == pytest.approx([1.5, 2.0])
    assert found.ear_height < 0.1
    (laid,) = sheet.own_sheets(scene)
    assert all(polygon.normal.y < -0.99 for polygon in laid.data.polygons)
    places = np.array([tuple(entry.vector) for entry in laid.data.uv_layers[0].uv])
    np.testing.assert_allclose(np.sort(np.unique(places.round(4))), [0.0, 1.0], atol=1e-4)


def test_a_surface_without_faces_is_told(scene, link: Callable) -> None:
    scene.acoustics.floor = link("Line", bpy.data.meshes.new("Line"))
    with pytest.raises(RuntimeError, match="shows no surface"):
        bpy.ops.acoustics.loudness_map()


def level(name: str, z: float, link: Callable, size: float = 2.0, **settings: object) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    x = 0.5 * size
    mesh.from_pydata([(-x, -x, z), (x, -x, z), (x, x, z), (-x, x, z)], [], [(0, 1, 2, 3)])
    return link(name, mesh, **settings)


def test_several_storeys_wear_one_map(scene, acoustics, link: Callable) -> None:
    storeys = bpy.data.collections.new("Storeys")
    scene.collection.children.link(storeys)
    for name, z in (("Upper", 3.0), ("Lower", 0.1)):
        level(name, z, link, collection=storeys)
    scene.acoustics.map_collection = storeys
    bpy.ops.acoustics.loudness_map()
    found = acoustics["jobs"][0].map
    assert found.storey_of_triangles.tolist() == [1, 1, 0, 0]
    assert found.ear_height == pytest.approx(1.6)
    rows = 2 * found.height + STOREY_GAP
    (laid,) = sheet.own_sheets(scene)
    mesh = laid.data
    for polygon in mesh.polygons:
        up = mesh.vertices[polygon.vertices[0]].co.z > 2.0
        heights = {round(mesh.uv_layers[0].uv[loop].vector.y * rows) for loop in polygon.loop_indices}
        assert heights == ({found.height + STOREY_GAP, rows} if up else {0, found.height})


def test_a_stand_and_stairs_are_followed(scene, acoustics, link: Callable) -> None:
    steps = bpy.data.meshes.new("Stairs")
    corners, faces = [], []
    for k in range(5):
        base = len(corners)
        corners += [
            (-1, 0.3 * k, 0.2 * k),
            (1, 0.3 * k, 0.2 * k),
            (1, 0.3 * k + 0.3, 0.2 * k),
            (-1, 0.3 * k + 0.3, 0.2 * k),
        ]
        faces.append(tuple(range(base, base + 4)))
        faces.append((base + 3, base + 2, base + 5, base + 4) if k < 4 else (base, base + 1, base + 2))
    steps.from_pydata(corners, [], faces[:-1])
    scene.acoustics.floor = link("Stairs", steps)
    bpy.ops.acoustics.loudness_map()
    treads = acoustics["jobs"][0].map.triangles
    assert sorted(set(treads[:, :, 2].ravel().round(3))) == [0.0, 0.2, 0.4, 0.6, 0.8]
    assert not acoustics["jobs"][0].map.storey_of_triangles.any()


def test_a_collection_without_floors_is_told(scene) -> None:
    empty = bpy.data.collections.new("Nothing")
    scene.collection.children.link(empty)
    scene.acoustics.map_collection = empty
    with pytest.raises(RuntimeError, match="Nothing in the collection"):
        bpy.ops.acoustics.loudness_map()


def test_the_map_lets_the_floor_shine_through(scene) -> None:
    scene.acoustics.map_opacity = 0.25
    bpy.ops.acoustics.loudness_map()
    (found,) = sheet.own_sheets(scene)
    share = found.data.materials[0].node_tree.nodes[sheet.OPACITY].inputs[1]
    assert share.default_value == pytest.approx(0.25)
    scene.acoustics.map_opacity = 0.75  # while it is shown
    assert share.default_value == pytest.approx(0.75)


# What shows a map in each way of looking at it: Solid shading is drawn by Workbench, Material Preview by EEVEE.
ENGINES = {
    "Solid": "BLENDER_WORKBENCH",
    "EEVEE": "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT",
    "Cycles": "CYCLES",
}


def rendered(scene: bpy.types.Scene, path: Path) -> np.ndarray:
    """A picture (40, 40, 3) as written to the file, rows from below."""
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    pixels = np.empty(40 * 40 * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return 255.0 * pixels.reshape(40, 40, 4)[..., :3]


def from_above(scene: bpy.types.Scene, engine: str) -> None:
    """Have a scene render 4 m x 4 m from straight above, 10 pixels a metre."""
    camera = bpy.data.cameras.new("Above")
    camera.type, camera.ortho_scale = "ORTHO", 4.0
    above = bpy.data.objects.new("Above", camera)
    above.location = (0, 0, 5)
    scene.collection.objects.link(above)
    scene.camera, render = above, scene.render
    render.engine, render.resolution_x, render.resolution_y, render.resolution_percentage = engine, 40, 40, 100
    render.image_settings.file_format, scene.view_settings.view_transform = "PNG", "Standard"
    # What is seen at the middle of each pixel.
    render.filter_size, scene.eevee.taa_render_samples = 0.0, 1
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.pixel_filter_type = 16, False, "BOX"
    shading = scene.display.shading
    shading.light, shading.color_type, scene.display.render_aa = "FLAT", "TEXTURE", "OFF"


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_seen_has_the_colour_that_the_legend_gives_its_value(engine: str, tmp_path: Path) -> None:
    bpy.context.scene.world = None  # black
    scene, limits = bpy.context.scene, (43.0, 68.0)
    values = np.broadcast_to(np.linspace(44.0, 67.0, 40), (40, 40))
    ground = FloorMap(40, 40, (-2, -2, 0), (4, 0, 0), (0, 4, 0), np.zeros((0, 3, 3)), palette="cividis", lines=False)
    for name in ("map.png", "legend.png"):
        write_texels(tmp_path / name, FloorValues(values, np.zeros((40, 40), bool)), limits, ground)
    corners = np.array([(-2.0, -2, 0), (2, -2, 0), (2, 2, 0), (-2, 2, 0)])
    floor = Floor(("Floor",), corners[[(0, 1, 2), (0, 2, 3)]], corners[0], ground.u, ground.v)
    laid = sheet.lay(scene, floor, sheet.Map(tmp_path / "map.png", tmp_path / "legend.png", *limits, palette="cividis"))
    # Where the legend in the view has its numbers, the picture has the values.
    (low, text), *_, (high, last) = overlay.marks(laid[sheet.LOWEST], laid[sheet.HIGHEST], "level")
    assert (low, text, high, last) == (pytest.approx(0.08), "45", pytest.approx(0.88), "65")
    column = np.interp(45.0, values[0], np.arange(40)), np.interp(65.0, values[0], np.arange(40))
    full = colours(np.array([45.0, 65.0]), limits, "cividis").astype(float)
    linear = np.where(full > 10.31, ((full / 255 + 0.055) / 1.055) ** 2.4, full / 255 / 12.92)
    half = 255 * np.where(linear > 0.0062616, 1.055 * (0.5 * linear) ** (1 / 2.4) - 0.055, 12.92 * 0.5 * linear)
    from_above(scene, ENGINES[engine])
    # Half of the light, over black; Solid shading knows no opacity. Cycles takes random samples.
    for opacity, expected in ((1.0, full), (0.5, full if engine == "Solid" else half)):
        sheet.set_opacity(scene, opacity)
        found = rendered(scene, tmp_path / "seen.png")[4:36].mean(axis=0)
        seen = np.stack([[np.interp(x, np.arange(40), found[:, c]) for c in range(3)] for x in column])
        allowed = 2.0 if engine != "Cycles" else 4.0 if opacity == 1.0 else 12.0
        assert np.abs(seen - expected).max() < allowed, opacity
