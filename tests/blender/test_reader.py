from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_addon.reader import Reading, read
from naf_core.errors import UserError

Make = Callable[..., bpy.types.Object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "job"
    made.mkdir()
    return made


@pytest.fixture
def room(box: Make, speaker: Make, camera: Make) -> None:
    """A room of 4 m x 4 m x 4 m with a Speaker and a camera, over ten frames."""
    box("Room", scale=(4.0, 4.0, 4.0)).data.materials.append(bpy.data.materials.new("Concrete"))
    speaker(location=(1.0, 0.0, 0.0))
    camera(location=(-1.0, 0.0, 0.0))
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, 10


def read_it(folder: Path, **options: object) -> Reading:
    return read(bpy.context, folder, **options)


def test_everything_of_a_room(room: None, folder: Path, sound_path: Path) -> None:
    bpy.data.objects["Speaker"].acoustics.level = 85.0
    reading = read_it(folder)
    (emitter,) = reading.emitters
    assert (emitter.name, emitter.starts, emitter.level) == ("Speaker", (0.0,), 85.0)
    assert Path(emitter.sound) == sound_path
    assert emitter.gain.tolist() == [1.0] * 10
    assert emitter.trajectory.positions.tolist() == [[1.0, 0.0, 0.0]] * 10
    assert reading.listener.name == "Camera"
    assert reading.listener.trajectory.positions.tolist() == [[-1.0, 0.0, 0.0]] * 10
    assert reading.frames == tuple(range(1, 11)) and reading.fps == 24.0
    assert reading.scene.triangle_areas.sum() == pytest.approx(96.0)
    assert [(name, choice.how) for name, choice in reading.choices] == [("Concrete", "guessed")]
    assert reading.facts["emitters"] == 1 and reading.facts["triangles"] == 12
    assert reading.warnings == ()


def test_cones_and_keyed_pitch_are_read(room: None, folder: Path, key: Callable) -> None:
    data = bpy.data.objects["Speaker"].data
    data.cone_angle_inner, data.cone_angle_outer, data.cone_volume_outer = 90.0, 180.0, 0.25
    key(data, "pitch", {1: 1.0, 10: 1.9})
    (emitter,) = read_it(folder).emitters
    assert (emitter.cone.inner, emitter.cone.outer, emitter.cone.outer_gain) == (90.0, 180.0, 0.25)
    np.testing.assert_allclose(emitter.pitch, np.linspace(1.0, 1.9, 10), atol=1e-5)
    # Unturned, it looks down.
    np.testing.assert_allclose(emitter.trajectory.rotations[0][:, 0], [0, 0, -1], atol=1e-6)


def test_a_cone_that_is_no_number_is_named(room: None, folder: Path, tmp_path: Path) -> None:
    bpy.data.objects["Speaker"].data.cone_angle_inner = float("nan")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "nan.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "nan.blend"))
    with pytest.raises(UserError, match="cone of “Speaker” is out of range"):
        read_it(folder)


def test_a_plain_speaker_has_no_cone(room: None, folder: Path) -> None:
    assert read_it(folder).emitters[0].cone is None


def test_one_frame_for_a_map_needs_no_camera(room: None, folder: Path, key: Callable) -> None:
    bpy.context.scene.camera = None
    key(bpy.data.objects["Speaker"], "location", {1: (0.0, 0.0, 0.0), 11: (10.0, 0.0, 0.0)})
    reading = read_it(folder, frames=(6,), with_listener=False)
    assert reading.listener is None and reading.frames == (6,)
    assert reading.emitters[0].trajectory.positions == pytest.approx(np.array([[5.0, 0.0, 0.0]]))
    with pytest.raises(UserError, match="no listener"):
        read_it(folder)


def test_a_range_of_one_frame(room: None, folder: Path) -> None:
    bpy.context.scene.frame_end = 1
    assert read_it(folder).emitters[0].trajectory.times.tolist() == [0.0]


def test_no_frames_are_refused(room: None, folder: Path) -> None:
    with pytest.raises(UserError, match="no frame to read"):
        read_it(folder, frames=())


def test_frames_and_starts_count_from_the_first_frame(room: None, folder: Path) -> None:
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 25, 48
    reading = read_it(folder)
    assert reading.emitters[0].starts == (-1.0,)
    assert reading.emitters[0].trajectory.times[0] == 0.0
    assert len(reading.emitters[0].trajectory.times) == 24


def test_a_chosen_listener(room: None, folder: Path, link: Make) -> None:
    ears = link("Ears", None, location=(0.0, 1.0, 0.0), hide_viewport=True, hide_render=True)
    bpy.context.scene.acoustics.listener = ears
    reading = read_it(folder)
    assert reading.listener.name == "Ears"
    assert reading.listener.trajectory.rotations[0][:, 0] == pytest.approx([0.0, -1.0, 0.0])


def test_a_listener_of_another_scene_is_refused(room: None, folder: Path) -> None:
    bpy.context.scene.acoustics.listener = bpy.data.objects.new("Lost", None)
    with pytest.raises(UserError, match="listener “Lost” is not part of the view layer “ViewLayer”"):
        read_it(folder)


def test_units_hold_for_everything(room: None, folder: Path) -> None:
    bpy.context.scene.unit_settings.scale_length = 0.1
    reading = read_it(folder)
    assert reading.scene.bounds == pytest.approx(np.array([[-0.2] * 3, [0.2] * 3]))
    assert reading.emitters[0].trajectory.positions[0] == pytest.approx([0.1, 0.0, 0.0])
    assert reading.listener.trajectory.positions[0] == pytest.approx([-0.1, 0.0, 0.0])


def test_what_only_the_viewport_hides_is_read(room: None, folder: Path, key: Callable) -> None:
    for name in ("Room", "Speaker", "Camera"):
        bpy.data.objects[name].hide_viewport = True
    for name in ("Speaker", "Camera"):
        key(bpy.data.objects[name], "location", {1: (0.0, 0.0, 0.0), 10: (9.0, 0.0, 0.0)})
    reading = read_it(folder)
    assert reading.facts["triangles"] == 12
    for path in (reading.emitters[0].trajectory, reading.listener.trajectory):
        assert path.positions[:, 0] == pytest.approx(np.arange(10.0), abs=1e-5)


def test_visibility_is_that_of_the_first_frame(room: None, folder: Path, box: Make, key: Callable) -> None:
    key(box("Appears", location=(0.0, 0.0, 1.0)), "hide_render", {1: True, 5: False})
    key(box("Vanishes", location=(0.0, 0.0, -1.0)), "hide_render", {1: False, 5: True})
    bpy.context.scene.frame_set(8)
    assert read_it(folder).facts["objects"] == 2
    assert read_it(folder, frames=(6,)).facts["objects"] == 2
    assert read_it(folder, frames=(6,)).scene.vertices[:, 2].min() == -2.0


def test_what_an_animation_hides_in_the_viewport_alone_is_read(
    room: None, folder: Path, box: Make, key: Callable
) -> None:
    keyed, driven = box("Keyed"), box("Driven")
    key(keyed, "hide_viewport", {1: True, 5: True})
    driven.driver_add("hide_viewport").driver.expression = "frame > 0"
    bpy.context.scene.frame_set(3)
    assert keyed.hide_viewport and driven.hide_viewport
    assert read_it(folder).facts["objects"] == 3


def test_geometry_that_moves_is_said(room: None, folder: Path, box: Make, key: Callable) -> None:
    door = box("Door", location=(0.0, 0.0, 5.0))
    swing = {1: (0.0, 0.0, 0.0), 6: (0.0, 0.0, 1.5), 10: (0.0, 0.0, 0.0)}  # back where it was at the end
    key(door, "rotation_euler", swing)
    ((message, name),) = read_it(folder).warnings
    assert message.startswith("“Door” moves: ") and "states of the room" in message and name == "Door"
    bend = box("Balloon", location=(0.0, 0.0, 9.0))
    for name in ("Basis", "Blown"):
        bend.shape_key_add(name=name)
    bend.data.shape_keys.key_blocks["Blown"].data[0].co.x = -3.0
    key(bend.data.shape_keys.key_blocks["Blown"], "value", {1: 0.0, 10: 1.0})
    ((message, name),) = read_it(folder).warnings
    assert "and 1 more move: " in message


def test_the_scene_is_as_it_was(room: None, folder: Path, camera: Make, key: Callable) -> None:
    scene = bpy.context.scene
    key(camera("Other"), "location", {1: (0.0, 0.0, 0.0), 10: (9.0, 0.0, 0.0)})
    scene.timeline_markers.new("Cut", frame=3).camera = bpy.data.objects["Other"]
    scene.frame_set(7, subframe=0.25)
    scene.camera = bpy.data.objects["Camera"]  # by hand, against the marker
    room_object = bpy.data.objects["Room"]
    room_object.hide_set(True)

    def state() -> tuple:
        place = tuple(bpy.data.objects["Other"].matrix_world.translation)
        blocks = {kind: len(getattr(bpy.data, kind)) for kind in ("objects", "meshes", "materials", "scenes")}
        return scene.frame_current, scene.frame_subframe, scene.camera, room_object.hide_get(), place, blocks

    before = state()
    assert read_it(folder).listener.trajectory.positions[-1, 0] == pytest.approx(9.0)
    assert state() == before

    def cancel(fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_it(folder, progress=cancel)
    assert state() == before
    bpy.data.sounds[0].filepath = "//missing.wav"
    with pytest.raises(UserError):
        read_it(folder)
    assert state() == before


def test_progress_grows_to_one(room: None, folder: Path) -> None:
    told: list[float] = []
    read_it(folder, progress=told.append)
    assert told == sorted(told) and told[0] == 0.0 and told[-1] == pytest.approx(1.0)


def test_silent_speakers_are_left_out_and_named(room: None, folder: Path, speaker: Make) -> None:
    quiet, muted, stopped = speaker("Quiet"), speaker("Muted"), speaker("Stopped")
    quiet.data.volume, muted.data.muted = 0.0, True
    stopped.animation_data.nla_tracks[0].strips[0].mute = True
    quiet.data.sound.filepath = "//missing.wav"  # no matter, since it is not heard
    bpy.data.objects["Speaker"].data.sound = bpy.data.sounds.load(str(folder.parent / "noise.wav"))
    reading = read_it(folder)
    assert [emitter.name for emitter in reading.emitters] == ["Speaker"]
    assert {name for _, name in reading.warnings} == {"Quiet", "Muted", "Stopped"}
    bpy.data.objects["Speaker"].data.muted = True
    with pytest.raises(UserError, match="No Speaker sounds at frames 1 to 10"):
        read_it(folder)
    with pytest.raises(UserError, match="No Speaker sounds at frame 4,"):
        read_it(folder, frames=(4,))


def test_mistakes_show_before_frames_are_stepped(room: None, folder: Path) -> None:
    bpy.data.objects["Speaker"].data.sound = None
    told: list[float] = []
    with pytest.raises(UserError, match="has no sound"):
        read_it(folder, progress=told.append)
    assert told == []


def test_no_geometry_is_the_open_air(folder: Path, speaker: Make, camera: Make) -> None:
    speaker()
    camera()
    reading = read_it(folder, frames=(1, 2))
    assert len(reading.scene.triangles) == 0
    assert "open air" in reading.warnings[0][0]


def test_240_frames_take_a_moment(room: None, folder: Path, box: Make, speaker: Make, key: Callable) -> None:
    for i in range(200):
        box(f"Furniture {i}", location=(i, 0.0, 0.0))
    mover = speaker("Mover")
    for item in (mover, bpy.data.objects["Camera"]):
        key(item, "location", {1: (0.0, 0.0, 0.0), 240: (9.0, 0.0, 0.0)})
    bpy.context.scene.frame_end = 240
    start = time.process_time()
    reading = read_it(folder)
    assert time.process_time() - start < 3.0  # about 0.2 s
    assert reading.emitters[1].trajectory.positions[-1, 0] == pytest.approx(9.0)
