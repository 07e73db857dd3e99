"""Scenes of very many triangles or instances: detail is merged, meshes are read once, and all of it is said."""

from __future__ import annotations

from collections.abc import Callable

import bpy
import numpy as np
import pytest

from blender_addon import geometry, shell
from blender_addon.geometry import read_scene
from naf_core.scene import Scene

Make = Callable[..., bpy.types.Object]


def ball(name: str, divisions: int = 48, radius: float = 1.0) -> bpy.types.Mesh:
    """A ball of about 2 x ``divisions``² triangles, its upper half of another material."""
    around, up = np.meshgrid(
        np.linspace(0.0, 2.0 * np.pi, 2 * divisions + 1)[:-1], np.linspace(-1.5, 1.5, divisions // 2)
    )
    places = radius * np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], axis=-1)
    index = np.arange(around.size).reshape(around.shape)
    ring = np.roll(index, -1, axis=1)
    quads = np.stack([index[:-1], ring[:-1], ring[1:], index[1:]], axis=-1).reshape(-1, 4)
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(places.reshape(-1, 3).tolist(), [], quads.tolist())
    for number, kind in enumerate(("Concrete", "Curtain")):
        mesh.materials.append(bpy.data.materials.get(kind) or bpy.data.materials.new(kind))
        upper = np.repeat([number == 1], len(quads)) & (quads.mean(axis=1) > index.size / 2)
        mesh.polygons.foreach_set("material_index", upper.astype(np.int32))
    return mesh


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "MANY_TRIANGLES", 2000)


def read() -> geometry.SceneReading:
    return read_scene(bpy.context.evaluated_depsgraph_get())


def absorption_area(scene: Scene) -> np.ndarray:
    """A = sum of alpha S, (8,) m²."""
    return scene.absorption[scene.material_index].T @ scene.triangle_areas


def test_detail_is_merged_and_the_absorption_area_kept(box: Make, link: Make) -> None:
    box("Room", scale=(6, 4, 3))
    link("Ball", ball("Ball"))
    settings = bpy.context.scene.acoustics
    settings.detail = 0.0
    whole = read()
    settings.detail = 0.15
    merged = read()
    assert whole.facts["triangles"] == whole.facts["modelled"] == merged.facts["modelled"]
    assert merged.facts["triangles"] < 0.6 * whole.facts["triangles"]
    assert absorption_area(merged.scene) == pytest.approx(absorption_area(whole.scene), rel=0.03)
    assert whole.warnings == ()
    ((message, _),) = merged.warnings
    assert "15 cm" in message and f"{merged.facts['triangles']:,}".replace(",", " ") in message
    # The walls are as they were.
    np.testing.assert_array_equal(merged.scene.vertices[:8], whole.scene.vertices[:8])
    assert merged.owners[0] == ("Room", 0, 12)
    assert sum(count for _, _, count in merged.owners) == merged.facts["triangles"]


def test_small_scenes_keep_all_their_detail(link: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "MANY_TRIANGLES", 1_000_000)
    link("Ball", ball("Ball"))
    assert read().facts["triangles"] == read().facts["modelled"]


def test_the_tolerance_is_one_of_the_world(link: Make) -> None:
    """A ball of 1 mm that is shown a thousand times larger is as fine as one of 1 m."""
    settings = bpy.context.scene.acoustics
    settings.detail = 0.15
    item = link("Ball", ball("Ball"))
    large = read().facts["triangles"]
    item.data = ball("Tiny", radius=0.001)
    item.scale = (1000.0,) * 3
    assert read().facts["triangles"] == pytest.approx(large, rel=0.03)
    bpy.context.scene.unit_settings.scale_length = 0.01
    item.scale = (100_000.0,) * 3
    assert read().facts["triangles"] == pytest.approx(large, rel=0.03)


def test_the_largest_instance_says_how_much_is_merged(link: Make) -> None:
    bpy.context.scene.acoustics.detail = 0.15
    mesh = ball("Ball")
    large = link("Large", mesh)
    alone = read().facts["triangles"]
    link("Small", mesh, scale=(0.01,) * 3)
    assert read().facts["triangles"] == 2 * alone
    large.scale = (100.0,) * 3
    assert read().facts["triangles"] == read().facts["modelled"]


def test_broken_meshes_are_still_named(link: Make) -> None:
    mesh = ball("Broken")
    mesh.vertices[3].co = (float("nan"), 0.0, 0.0)
    link("Broken", mesh)
    link("Ball", ball("Ball"))
    reading = read()
    assert any("Broken" in message for message, _ in reading.warnings)
    assert {name for name, _, _ in reading.owners} == {"Ball"}


def test_instances_by_the_thousand_are_read_once_a_mesh(link: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    forest = bpy.data.collections.new("Forest")
    tree = ball("Tree", 24)
    for number in range(40):
        link(f"Tree {number}", tree, forest, location=(3.0 * number, 0.0, 0.0))
    for number in range(25):
        link(f"Grove {number}", None, location=(0, 3.0 * number, 0)).instance_type = "COLLECTION"
        bpy.data.objects[f"Grove {number}"].instance_collection = forest
    calls = []
    original = geometry.mesh_of
    monkeypatch.setattr(geometry, "mesh_of", lambda item: calls.append(item.name) or original(item))
    reading = read()
    assert reading.facts["objects"] == 1000
    assert len(calls) == 1
    assert reading.facts["materials"] == 2


def test_the_shell_is_counted_and_its_sides_are_those_of_the_triangles(box: Make, link: Make) -> None:
    bpy.context.scene.acoustics.detail = 0.15
    box("Room", scale=(6, 4, 3), hide_viewport=True)
    link("Ball", ball("Ball"))
    assert bpy.ops.acoustics.show_geometry() == {"FINISHED"}
    found = shell.Shown.of(bpy.context.scene)
    assert found.triangles < found.modelled
    assert "triangles of" in shell.text_of(found)
    # A closed surface has three sides for two triangles.
    assert len(found.lines) >= 3 * found.triangles
    assert found.lines.max(axis=0) == pytest.approx((3.0, 2.0, 1.5))
    bpy.ops.acoustics.show_geometry()
    assert shell.Shown.of(bpy.context.scene) is None


def test_another_file_shows_no_shell_of_this_one(box: Make) -> None:
    box()
    bpy.ops.acoustics.show_geometry()
    assert shell.Shown.of(bpy.context.scene) is not None
    bpy.context.scene.name = "Other"
    assert shell.Shown.of(bpy.context.scene) is None
