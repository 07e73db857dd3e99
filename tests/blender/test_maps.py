"""Settings of maps: from the scene into the job, and from the results into the file."""

from __future__ import annotations

from collections.abc import Callable

import bpy
import numpy as np
import pytest

from blender_addon import sheet
from naf_core.colours import PALETTES
from naf_core.quantities import QUANTITIES


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
