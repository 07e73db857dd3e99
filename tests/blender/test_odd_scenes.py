"""Scenes as people have them: linked, overridden, in several scenes and layers, tiny, huge, outdoors, in any script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_addon import reader, strips, warned
from tests.blender.file_data import data_of_file

Make = Callable[..., bpy.types.Object]


@pytest.fixture
def library(scene: bpy.types.Scene, box: Make, tmp_path: Path) -> Path:
    """The room, its Speakers and a screen in a file to be linked, in the collection “Set”."""
    box("Screen", location=(1, 1, 1), scale=(0.1, 2, 2))
    bpy.data.objects["Talker"].acoustics.level = 61.0
    bpy.data.objects["Screen"].acoustics.surface = "SOLID"
    held = bpy.data.collections.new("Set")
    for item in list(scene.objects):
        if item.type != "CAMERA":
            held.objects.link(item)
            scene.collection.objects.unlink(item)
    scene.collection.children.link(held)
    path = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return path


def linked(path: Path, camera: Make, overridden: bool = False) -> None:
    """A new, saved file that shows the collection “Set”, linked or overridden."""
    with bpy.data.libraries.load(str(path), link=True) as (_, wanted):
        wanted.collections = ["Set"]
    scene = bpy.context.scene
    if overridden:
        wanted.collections[0].override_hierarchy_create(scene, bpy.context.view_layer)
    else:
        scene.collection.children.link(wanted.collections[0])
    camera(location=(0, -1, 1.6))
    scene.frame_start, scene.frame_end = 1, 12
    scene.acoustics.map_resolution = 16
    bpy.ops.wm.save_as_mainfile(filepath=str(path.with_name("shot.blend")))


def test_a_linked_collection_is_read_and_heard(library: Path, camera: Make, acoustics: dict) -> None:
    linked(library, camera)
    assert bpy.ops.acoustics.bake() == {"FINISHED"}
    (job,) = acoustics["jobs"]
    assert len(job.scene.triangles) == 24
    assert {emitter.name: emitter.level for emitter in job.emitters} == {"Talker": 61.0, "Music": 70.0}
    # They cannot be silenced from here, and it is said.
    assert sum("linked from another file" in message for message, _ in warned.warnings_of(bpy.context.scene)) == 2


def test_overrides_are_read_as_overridden_and_remember_what_a_bake_did(
    library: Path, camera: Make, acoustics: dict
) -> None:
    linked(library, camera, overridden=True)
    mine = {item.name: item for item in bpy.data.objects if item.override_library is not None}
    mine["Screen"].acoustics.surface = "IGNORED"
    mine["Talker"].acoustics.level = 55.0
    mine["Talker"].location.x = 0.25
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    for _ in range(2):
        assert bpy.ops.acoustics.bake() == {"FINISHED"}
        job = acoustics["jobs"][-1]
        assert len(job.scene.triangles) == 12
        (talker,) = (emitter for emitter in job.emitters if emitter.name == "Talker")
        assert talker.level == 55.0 and talker.trajectory.positions[0, 0] == pytest.approx(0.25)
        # What the bake silenced it hears again after saving and opening.
        bpy.ops.wm.save_mainfile()
        bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    assert bpy.ops.acoustics.clear() == {"FINISHED"}
    assert not strips.any_silenced(bpy.context.scene)


def test_each_scene_and_each_view_layer_is_read_alone(scene: bpy.types.Scene, box: Make, acoustics: dict) -> None:
    away = bpy.data.collections.new("Away")
    scene.collection.children.link(away)
    box("Screen", away, location=(1, 1, 1))
    other = bpy.data.scenes.new("Other")
    other.collection.objects.link(bpy.data.objects["Screen"])
    bpy.ops.acoustics.bake()
    layer = scene.view_layers.new("Bare")
    layer.layer_collection.children["Away"].exclude = True
    with bpy.context.temp_override(view_layer=layer):
        bpy.ops.acoustics.bake()
    assert [len(job.scene.triangles) for job in acoustics["jobs"]] == [24, 12]
    assert {job.scene_name for job in acoustics["jobs"]} == {scene.name}
    # The results belong to the scene that was baked.
    assert other.sequence_editor is None and any(strips.own_strips(scene))


def test_cuts_between_cameras_move_the_listener(scene: bpy.types.Scene, camera: Make, acoustics: dict) -> None:
    far = camera("Far", location=(2, 1, 1))
    for frame, item in ((11, scene.camera), (17, far)):
        scene.timeline_markers.new("Cut", frame=frame).camera = item
    bpy.ops.acoustics.bake()
    positions = acoustics["jobs"][0].listener.trajectory.positions
    np.testing.assert_allclose(positions[[0, 5, 6, 11]], [[0, -1, 1.6]] * 2 + [[2, 1, 1]] * 2, atol=1e-6)
    assert scene.camera.name == "Camera"


@pytest.mark.parametrize("metres", [0.001, 0.01, 0.3048, 1000.0])
def test_a_room_is_the_same_whatever_the_unit(scene: bpy.types.Scene, acoustics: dict, metres: float) -> None:
    bpy.ops.acoustics.bake()
    scene.unit_settings.scale_length = metres
    for item in scene.objects:
        item.location = item.location / metres
        if item.type == "MESH":
            item.scale = item.scale / metres
    bpy.context.view_layer.update()
    bpy.ops.acoustics.bake()
    one, other = acoustics["jobs"]
    np.testing.assert_allclose(other.scene.vertices, one.scene.vertices, atol=1e-5)
    for mine, theirs in zip((*one.emitters, one.listener), (*other.emitters, other.listener), strict=True):
        np.testing.assert_allclose(theirs.trajectory.positions, mine.trajectory.positions, atol=1e-5)
    np.testing.assert_allclose(other.map.triangles, one.map.triangles, atol=1e-5)
    assert other.map.ear_height == one.map.ear_height
    assert not any("unit scale" in message for message, _ in warned.warnings_of(bpy.context.scene))


def test_outdoors_without_any_floor(acoustics: dict, speaker: Make, camera: Make, tmp_path: Path) -> None:
    speaker("Talker", location=(0, 0, 1.5))
    camera(location=(3, 0, 1.5))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "field.blend"))
    bpy.context.scene.frame_end = 12
    assert bpy.ops.acoustics.bake() == {"FINISHED"}
    (job,) = acoustics["jobs"]
    assert len(job.scene.triangles) == 0 and job.map is None
    said = [message for message, _ in warned.warnings_of(bpy.context.scene)]
    assert any("open air" in message for message in said) and any("no loudness map" in message for message in said)


NAMES = ("Küche & Flur", "台所のスピーカー", "Кухня", "مطبخ", "🎺 Trompete/1", "a" * 60)


def test_names_of_any_script(scene: bpy.types.Scene, speaker: Make, acoustics: dict, tmp_path: Path) -> None:
    for name in NAMES:
        speaker(name, location=(0, 0, 1))
    bpy.data.objects["Room"].name = "Зал"
    bpy.data.objects["Зал"].data.materials.append(bpy.data.materials.new("Beton Wände"))
    scene.name = "Сцена 🎬"
    folder = tmp_path / "фильм 映画"
    folder.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "öffnen.blend"))
    before = data_of_file()
    assert bpy.ops.acoustics.bake() == {"FINISHED"}
    (job,) = acoustics["jobs"]
    assert {emitter.name for emitter in job.emitters} == {"Talker", "Music", *(bpy.data.objects[n].name for n in NAMES)}
    assert job.scene.materials[0].source and job.scene_name == scene.name
    tags = {strip[strips.TAG] for _, strip in strips.own_strips(scene)}
    assert tags == {"mix", *(f"stem:{emitter.name}" for emitter in job.emitters)}
    bpy.ops.acoustics.clear()
    assert data_of_file() == before


def test_reading_alone_changes_nothing_of_an_odd_file(scene: bpy.types.Scene, library: Path, camera: Make) -> None:
    linked(library, camera)
    bpy.context.view_layer.update()
    before = data_of_file()
    reader.read(bpy.context, library.parent)
    assert data_of_file() == before
