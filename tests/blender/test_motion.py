from __future__ import annotations

from collections.abc import Callable

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from blender_addon import motion
from blender_addon.motion import Motion, camera_at, cameras_of
from naf_core.errors import UserError

Make = Callable[..., bpy.types.Object]
X, Y, Z = np.eye(3)


def read(
    frames: range = range(1, 2),
    speakers: tuple[bpy.types.Object, ...] = (),
    listener: bpy.types.Object | None = None,
    *,
    follow_camera: bool = False,
    metres_per_unit: float = 1.0,
    warnings: list | None = None,
) -> Motion:
    return motion.read_motion(
        bpy.context.scene,
        bpy.context.evaluated_depsgraph_get(),
        frames,
        speakers,
        listener,
        follow_camera=follow_camera,
        metres_per_unit=metres_per_unit,
        warnings=[] if warnings is None else warnings,
    )


def axes(path: object, frame: int = 0) -> np.ndarray:
    """Forward, left and up in the world."""
    return path.rotations[frame].T


# Directions: local axes are x forward, y left, z up.


def test_a_camera_looks_along_its_minus_z(camera: Make) -> None:
    item = camera()
    assert axes(read(listener=item).listener) == pytest.approx(np.array([-Z, -X, Y]))
    item.rotation_euler = (np.pi / 2, 0.0, 0.0)  # upright, looking along +y
    assert axes(read(listener=item).listener) == pytest.approx(np.array([Y, -X, Z]), abs=1e-6)


def test_a_speaker_points_along_its_minus_z(speaker: Make) -> None:
    item = speaker(rotation_euler=(np.pi / 2, 0.0, -np.pi / 2))  # along +x
    assert axes(read(speakers=(item,)).paths[0]) == pytest.approx(np.array([X, Y, Z]), abs=1e-6)


def test_other_objects_face_minus_y(box: Make, link: Make) -> None:
    for item in (box(), link("Ears", None), link("Rig", bpy.data.armatures.new("Rig"))):
        assert axes(read(listener=item).listener) == pytest.approx(np.array([-Y, X, Z]))


def test_the_camera_of_the_scene_looks_along_minus_z_whatever_it_is(link: Make) -> None:
    bpy.context.scene.camera = link("Empty", None)
    assert axes(read(follow_camera=True).listener) == pytest.approx(np.array([-Z, -X, Y]))


@pytest.mark.parametrize("scale", [(-1.0, 1.0, 1.0), (1.0, -2.0, 1.0), (0.1, 3.0, 20.0)])
def test_scale_and_mirror_do_not_turn_the_view(camera: Make, scale: tuple[float, ...]) -> None:
    item = camera(rotation_euler=(0.3, 0.4, 0.5))
    plain = axes(read(listener=item).listener)
    item.scale = scale
    seen = axes(read(listener=item).listener)
    assert np.linalg.det(seen) == pytest.approx(1.0)
    assert seen[0] == pytest.approx(plain[0], abs=1e-6)
    assert abs(seen[2] @ plain[2]) == pytest.approx(1.0)


def test_shear_leaves_a_rotation(camera: Make, link: Make) -> None:
    parent = link("Parent", None, scale=(1.0, 3.0, 0.5))
    item = camera(parent=parent, rotation_euler=(0.7, 0.2, 0.1))
    seen = axes(read(listener=item).listener)
    assert seen @ seen.T == pytest.approx(np.eye(3), abs=1e-9)
    world = np.array(item.matrix_world)[:3, :3]
    assert seen[0] == pytest.approx(-world[:, 2] / np.linalg.norm(world[:, 2]), abs=1e-6)


def test_a_speaker_without_scale_keeps_its_last_direction(speaker: Make, key: Callable) -> None:
    item = speaker(rotation_euler=(np.pi / 2, 0.0, 0.0))
    key(item, "scale", {1: (0.0, 0.0, 0.0), 3: (1.0, 1.0, 1.0), 5: (0.0, 0.0, 0.0)})
    warnings: list = []
    path = read(range(1, 6), (item,), warnings=warnings).paths[0]
    for frame in range(5):
        assert axes(path, frame)[0] == pytest.approx(Y, abs=1e-6)
    ((message, name),) = warnings
    assert "scale of zero at frame 1" in message and name == "Speaker"


def test_a_listener_without_scale_is_refused(camera: Make) -> None:
    item = camera(scale=(0.0, 0.0, 0.0))
    with pytest.raises(UserError, match="“Camera” has a scale of zero") as caught:
        read(listener=item)
    assert caught.value.object_name == "Camera"


def test_a_place_that_is_no_number_is_refused(speaker: Make) -> None:
    item = speaker()
    item.matrix_world = Matrix.Translation((float("nan"), 0.0, 0.0))
    with pytest.raises(UserError, match="position of “Speaker” is not a finite number at frame 1"):
        read(speakers=(item,))


# Paths.


def test_positions_at_every_frame_in_seconds_and_metres(speaker: Make, key: Callable) -> None:
    item = speaker()
    key(item, "location", {10: (0.0, 0.0, 1.0), 20: (100.0, 0.0, 1.0)})
    render = bpy.context.scene.render
    render.fps, render.fps_base = 30, 1.001
    path = read(range(10, 21), (item,), metres_per_unit=0.01).paths[0]
    assert path.times == pytest.approx(np.arange(11) * 1.001 / 30)
    assert path.positions[:, 0] == pytest.approx(np.linspace(0.0, 1.0, 11), abs=1e-6)
    assert path.positions[:, 2] == pytest.approx(np.full(11, 0.01))
    assert path.moves


def test_one_frame(speaker: Make, camera: Make) -> None:
    found = read(range(7, 8), (speaker(location=(1.0, 2.0, 3.0)),), camera())
    assert found.paths[0].times.tolist() == [0.0]
    assert found.paths[0].positions.tolist() == [[1.0, 2.0, 3.0]]
    assert found.volumes[0].tolist() == [1.0]


def test_parents_and_constraints_carry_the_camera(camera: Make, link: Make, key: Callable) -> None:
    parent, target = link("Parent", None), link("Target", None, location=(0.0, 10.0, 0.0))
    item = camera(parent=parent, location=(0.0, 0.0, 2.0))
    key(parent, "location", {1: (0.0, 0.0, 0.0), 11: (10.0, 0.0, 0.0)})
    track = item.constraints.new("TRACK_TO")
    track.target, track.track_axis, track.up_axis = target, "TRACK_NEGATIVE_Z", "UP_Y"
    path = read(range(1, 12), listener=item).listener
    assert path.positions[:, 0] == pytest.approx(np.arange(11.0), abs=1e-5)
    assert path.positions[:, 2] == pytest.approx(np.full(11, 2.0))
    towards = np.array([0.0, 10.0, 0.0]) - path.positions
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    assert path.rotations[:, :, 0] == pytest.approx(towards, abs=1e-5)


def test_drivers_are_followed(speaker: Make) -> None:
    item = speaker()
    item.driver_add("location", 1).driver.expression = "frame * 2"
    assert read(range(3, 6), (item,)).paths[0].positions[:, 1].tolist() == [6.0, 8.0, 10.0]


def test_progress_is_told_and_may_cancel(speaker: Make) -> None:
    item = speaker()
    told: list[float] = []

    def cancel(fraction: float) -> None:
        told.append(fraction)
        if fraction >= 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        motion.read_motion(
            bpy.context.scene,
            bpy.context.evaluated_depsgraph_get(),
            range(1, 5),
            [item],
            None,
            follow_camera=False,
            metres_per_unit=1.0,
            warnings=[],
            progress=cancel,
        )
    assert told == [0.25, 0.5]


def test_what_the_view_layer_lacks_is_refused() -> None:
    lost = bpy.data.objects.new("Lost", None)
    with pytest.raises(UserError, match="“Lost” is not part of the view layer") as caught:
        read(listener=lost)
    assert caught.value.object_name == "Lost"


# Volume.


def test_volume_mute_and_visibility(speaker: Make, key: Callable) -> None:
    item = speaker()
    key(item.data, "volume", {1: 0.0, 11: 1.0})
    assert read(range(1, 12), (item,)).volumes[0] == pytest.approx(np.linspace(0.0, 1.0, 11), abs=1e-6)
    key(item, "hide_render", {1: False, 6: True, 9: False})
    volumes = read(range(1, 12), (item,)).volumes[0]
    assert (volumes[5:8] == 0.0).all() and (volumes[8:] > 0.7).all()
    item.data.muted = True
    assert not read(range(1, 12), (item,)).volumes[0].any()


# Cameras.


def test_no_camera_is_refused() -> None:
    with pytest.raises(UserError, match="no listener: add a camera"):
        cameras_of(bpy.context.scene)


def test_markers_switch_the_camera(camera: Make) -> None:
    scene = bpy.context.scene
    cameras = [camera(f"Camera{i}", location=(float(i), 0.0, 0.0)) for i in range(4)]
    scene.camera = cameras[3]
    scene.timeline_markers.new("A plain marker", frame=1)
    for frame, item in ((8, cameras[2]), (3, cameras[0]), (5, cameras[1])):  # in no order
        scene.timeline_markers.new("M", frame=frame).camera = item
    path = read(range(1, 11), follow_camera=True).listener
    assert path.positions[:, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert cameras_of(scene) == [cameras[2], cameras[0], cameras[1]]

    # As Blender does itself.
    for frame in range(1, 11):
        scene.frame_set(frame)
        assert camera_at(scene, frame) == scene.camera
    cameras[1].hide_render = True  # passed over by Blender
    for frame in range(1, 11):
        scene.frame_set(frame)
        assert camera_at(scene, frame) == scene.camera


def test_a_chosen_camera_does_not_follow_markers(camera: Make) -> None:
    first, second = camera("First"), camera("Second", location=(5.0, 0.0, 0.0))
    bpy.context.scene.timeline_markers.new("M", frame=1).camera = second
    assert not read(listener=first).listener.positions.any()
