"""Solid things that move: which states of the room are read, when each holds, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from blender_addon import changes, checklist, reader, shell
from blender_addon.changes import Course, course_of
from tests.blender.file_data import data_of_file

Make = Callable[..., bpy.types.Object]


@pytest.fixture
def door(scene: bpy.types.Scene, box: Make) -> bpy.types.Object:
    """A leaf 0.8 m wide on its hinge, in a shot of 48 frames at 24 a second."""
    scene.frame_start, scene.frame_end = 1, 48
    leaf = box("Door", scale=(0.8, 0.05, 2.0))
    leaf.data.transform(Matrix.Translation((0.5, 0.0, 0.5)))
    return leaf


def read(tmp_path: Path) -> reader.Reading:
    return reader.read(bpy.context, tmp_path)


def course(first: int = 1, last: int = 48) -> Course:
    found = course_of(bpy.context, range(first, last + 1))
    assert len(found.frames) == len(found.numbers) and len(found.reads) <= changes.MOST
    assert sorted(set(found.numbers)) == list(range(len(found.reads)))
    return found


def test_a_room_in_which_nothing_moves_has_one_state(scene, tmp_path: Path) -> None:
    reading = read(tmp_path)
    assert not reading.states.change and reading.states.scenes == (reading.scene,)
    assert not changes.may_move(bpy.context.view_layer)


def test_speakers_and_cameras_that_move_change_no_room(scene, key: Callable, tmp_path: Path) -> None:
    key(bpy.data.objects["Talker"], "location", {11: (-1, 0, 1.5), 22: (1, 0, 1.5)})
    key(scene.camera, "location", {11: (0, -1, 1.6), 22: (0, 1, 1.6)})
    assert not changes.may_move(bpy.context.view_layer)
    assert not read(tmp_path).states.change


def test_a_door_that_opens(door, key: Callable, tmp_path: Path) -> None:
    key(door, "rotation_euler", {12: (0, 0, 0), 24: (0, 0, np.pi / 2)})
    bpy.context.scene.frame_set(1)
    before = data_of_file()
    reading = read(tmp_path)
    states = reading.states
    assert 3 <= len(states.scenes) <= 6
    assert states.scenes[0] is reading.scene
    # Shut until frame 12, open from 24 on, in order between.
    closed, opened = (12 - 1) / 24, (24 - 1) / 24
    shares = states.shares(np.array([0.0, closed - 0.1, opened + 0.1, 2.0]))
    np.testing.assert_allclose(shares[:2, 0], 1.0, atol=0.15)
    np.testing.assert_allclose(shares[2:, -1], 1.0)
    tips = [scene.vertices[:, 1].max() for scene in states.scenes]
    assert tips == sorted(tips)
    assert any(
        message.startswith("“Door” moves: ") and "states of the room" in message for message, _ in reading.warnings
    )
    assert data_of_file() == before


def test_a_door_that_shuts_again_is_the_same_room_again(door, key: Callable) -> None:
    key(door, "rotation_euler", {8: (0, 0, 0), 16: (0, 0, 1.5), 30: (0, 0, 1.5), 38: (0, 0, 0)})
    found = course()
    assert found.numbers[0] == found.numbers[-1] == 0
    assert len(found.numbers) > len(found.reads)
    assert found.movers == ("Door",)


def test_what_swings_all_the_time_has_a_bounded_number_of_states(door, key: Callable) -> None:
    key(door, "rotation_euler", {frame: (0, 0, 3.0 * (frame % 3)) for frame in range(1, 49)})
    key(door, "location", {1: (0, 0, 0), 48: (40, 0, 0)})
    assert 2 <= len(course().reads) <= changes.MOST


def test_small_things_and_small_ways_change_no_room(door, box: Make, key: Callable, tmp_path: Path) -> None:
    key(box("Cup", scale=(0.1, 0.1, 0.1)), "location", {1: (0, 0, 1), 48: (2, 0, 1)})
    key(door, "location", {1: (0, 0, 0), 48: (0.02, 0, 0)})
    reading = read(tmp_path)
    assert not reading.states.change
    assert any("“Cup” and 1 more move" in message for message, _ in reading.warnings)


def test_what_comes_and_goes_with_the_render(door, key: Callable, tmp_path: Path) -> None:
    key(door, "hide_render", {1: True, 20: False, 30: True})
    states = read(tmp_path).states
    assert [len(scene.triangles) for scene in states.scenes] == [12, 24]
    assert [states.at((frame - 1) / 24) for frame in (5, 18, 21, 28, 32)] == [0, 0, 1, 1, 0]


def test_what_carries_something_and_what_bends_is_noticed(door, link: Make, key: Callable) -> None:
    empty = link("Hinge", None)
    door.parent = empty
    key(empty, "rotation_euler", {1: (0, 0, 0), 48: (0, 0, 1.5)})
    assert len(course().reads) > 1
    empty.animation_data_clear()
    assert len(course().reads) == 1
    door.shape_key_add(name="Basis")
    block = door.shape_key_add(name="Long")
    for point in block.data:
        point.co *= 2.0
    for frame, value in ((1, 0.0), (48, 1.0)):
        block.value = value
        block.keyframe_insert("value", frame=frame)
    assert len(course().reads) > 1


def test_a_carried_instance_is_noticed(scene, box: Make, link: Make, key: Callable) -> None:
    held = bpy.data.collections.new("Held")
    box("Wall", held, scale=(1, 0.1, 2))
    lift = link("Lift", None, instance_type="COLLECTION")
    lift.instance_collection = held
    key(lift, "location", {1: (0, 0, 0), 48: (0, 0, 3)})
    assert len(course().reads) > 1


def test_a_short_opening_in_a_long_shot_is_found(door, key: Callable) -> None:
    key(door, "rotation_euler", {500: (0, 0, 0), 520: (0, 0, 1.5)})
    found = course(1, 2000)
    changed = [frame for frame, number in zip(found.frames, found.numbers, strict=True) if number]
    assert 500 <= changed[0] <= 512 and changed[-1] <= 524
    held = max(frame for frame, number in zip(found.frames, found.numbers, strict=True) if not number)
    assert 490 <= held <= 505


def test_the_cost_stands_in_the_check_list_before_the_bake(door, key: Callable) -> None:
    def said() -> list[str]:
        changes._known.clear()
        return [finding.text for finding in checklist.findings(bpy.context.scene) if "Door" in finding.text]

    assert said() == []
    key(door, "rotation_euler", {12: (0, 0, 0), 24: (0, 0, np.pi / 2)})
    assert said() == ["“Door” moves: the room is scanned in up to 8 states, 5 s each"]
    bpy.context.scene.frame_set(7)
    assert bpy.ops.acoustics.show_geometry() == {"FINISHED"}
    assert bpy.context.scene.frame_current == 7
    states = len(course().reads)
    bpy.context.scene.frame_set(7)
    assert said() == [f"“Door” moves: {states} states of the room, about {5 * states} s of scanning"]
    bpy.context.scene.acoustics.quality = "HIGH"
    bpy.ops.acoustics.show_geometry()
    bpy.ops.acoustics.show_geometry()
    assert said() == [f"“Door” moves: {states} states of the room, about {20 * states} s of scanning"]
    assert shell.text_of(shell.Shown.of(bpy.context.scene)).endswith("s of scanning")
    door.acoustics.surface = "IGNORED"
    assert said() == []
    door.acoustics.surface = "SOLID"
    shell.Shown.shell = None
    door.scale *= 0.3
    bpy.context.view_layer.update()
    assert said() == []  # smaller than a metre


def test_the_job_has_the_states(door, key: Callable, acoustics: dict) -> None:
    key(door, "rotation_euler", {12: (0, 0, 0), 24: (0, 0, np.pi / 2)})
    assert bpy.ops.acoustics.bake() == {"FINISHED"}
    (job,) = acoustics["jobs"]
    assert len(job.room.scenes) == len(course().reads)


def test_a_map_of_one_frame_shows_the_room_of_that_frame(door, key: Callable, tmp_path: Path) -> None:
    key(door, "rotation_euler", {12: (0, 0, 0), 24: (0, 0, np.pi / 2)})
    reading = reader.read(bpy.context, tmp_path, frames=(30,), with_listener=False)
    assert not reading.states.change
    assert reading.scene.vertices[8:, 1].max() == pytest.approx(0.8, abs=0.05)
