"""Pictures of maps for people: what is in them, and what is never overwritten."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from PIL import Image

from blender_addon import sheet
from naf_core.colours import colours


@pytest.fixture
def mapped(scene) -> bpy.types.Scene:
    bpy.ops.acoustics.loudness_map()
    return scene


def test_the_picture_with_the_legend_is_written(mapped, tmp_path: Path) -> None:
    path = tmp_path / "map"
    assert bpy.ops.acoustics.export_map(filepath=str(path)) == {"FINISHED"}
    assert [file.name for file in tmp_path.glob("map*")] == ["map.png"]
    assert path.with_suffix(".png").read_bytes() == bytes(sheet.legend_of(mapped).packed_file.data)


def test_nothing_is_overwritten_unasked(mapped, tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    path.write_bytes(b"mine")
    with pytest.raises(RuntimeError, match="there already"):
        bpy.ops.acoustics.export_map(filepath=str(path))
    assert path.read_bytes() == b"mine"
    assert bpy.ops.acoustics.export_map(filepath=str(path), overwrite=True) == {"FINISHED"}
    assert path.read_bytes() != b"mine"


def test_without_a_file_or_a_folder_nothing_is_left(mapped, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no file"):
        bpy.ops.acoustics.export_map()
    with pytest.raises(RuntimeError, match="cannot be written"):
        bpy.ops.acoustics.export_map(filepath=str(tmp_path / "nowhere" / "map.png"))
    assert not list(tmp_path.glob("**/*.part"))


def test_without_a_map_it_cannot_be_used(scene) -> None:
    assert not bpy.ops.acoustics.export_map.poll()


def test_before_a_render_there_is_none(mapped, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no render"):
        bpy.ops.acoustics.export_map(filepath=str(tmp_path / "early.png"), picture="RENDER")


@pytest.mark.parametrize("transform", ["Standard", "AgX"])
def test_a_render_gets_a_legend_of_the_colours_that_it_shows(mapped, transform: str, tmp_path: Path) -> None:
    """AgX, which new files have, shifts the colours of the map: the legend has to be shifted, too."""
    scene, (found,) = mapped, sheet.own_sheets(mapped)
    scene.world, scene.view_settings.view_transform = None, transform
    for item in scene.objects:
        item.hide_render = item.type == "MESH"
    # One colour all over, which some value of the legend has.
    ramp = bpy.data.images.new("Ramp", 1, 1)
    shade = colours(np.array([55.0]), (40.0, 70.0))[0] / 255.0
    ramp.pixels.foreach_set(np.r_[shade, 1.0].astype(np.float32))
    ramp.pack()
    corners = [(-9, -9, 0), (9, -9, 0), (9, 9, 0), (-9, 9, 0)]
    mesh = bpy.data.meshes.new("Map")
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    mesh.uv_layers.new(name=sheet.UV_MAP).uv.foreach_set("vector", np.full(8, 0.5, np.float32))
    mesh.materials.append(sheet.glowing(ramp, range(1)))
    scene.collection.objects.link(bpy.data.objects.new("Map", mesh))
    scene.camera.location, scene.camera.rotation_euler = (0, 0, 2), (0, 0, 0)
    render = scene.render
    render.engine, render.resolution_x, render.resolution_y, scene.cycles.samples = "CYCLES", 200, 120, 1
    render.resolution_percentage = 100
    render.image_settings.file_format = "JPEG"
    scene.cycles.use_denoising = False
    images = len(bpy.data.images)
    bpy.ops.render.render()
    path = tmp_path / "render.png"
    assert bpy.ops.acoustics.export_map(filepath=str(path), picture="RENDER") == {"FINISHED"}
    assert render.image_settings.file_format == "JPEG" and len(bpy.data.images) <= images + 1
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # The page: a margin of 56 pixels, the render, 44 pixels, the bar, whose lowest row is the lowest value.
    seen = pixels[112:232, 60:250].reshape(-1, 3)
    assert np.ptp(seen, axis=0).max() <= 2
    assert (found[sheet.LOWEST], found[sheet.HIGHEST]) == (40.0, 70.0)
    beside = pixels[112:232, 56 + 200 + 44 + 11]
    np.testing.assert_allclose(beside[59:61].mean(axis=0), seen[0], atol=3)
    plain = colours(np.linspace(70.0, 40.0, 120), (40.0, 70.0)).astype(int)
    assert (np.abs(beside - plain).max() > 20) == (transform == "AgX")
