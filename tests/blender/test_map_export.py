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


def test_a_render_gets_the_legend_of_its_map(mapped, tmp_path: Path) -> None:
    found = next(sheet.own_sheets(mapped))
    with pytest.raises(RuntimeError, match="no render"):
        bpy.ops.acoustics.export_map(filepath=str(tmp_path / "early.png"), picture="RENDER")
    render = mapped.render
    render.engine, render.resolution_x, render.resolution_y, mapped.cycles.samples = "CYCLES", 200, 120, 1
    render.resolution_percentage = 100
    render.image_settings.file_format = "JPEG"
    bpy.ops.render.render()
    path = tmp_path / "render.png"
    assert bpy.ops.acoustics.export_map(filepath=str(path), picture="RENDER") == {"FINISHED"}
    assert render.image_settings.file_format == "JPEG"
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # The bar holds the colours of the palette from the highest to the lowest value of the map.
    ramp = colours(np.linspace(found[sheet.HIGHEST], found[sheet.LOWEST], 120), (40.0, 70.0)).astype(int)
    column = next(x for x in range(pixels.shape[1]) if np.array_equal(pixels[112:232, x], ramp))
    assert column > 200
