from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest
import soundfile

from blender_addon.recorded_room import placement_of
from blender_addon.warned import warnings_of
from naf_core.bands import N_BANDS
from naf_core.errors import UserError
from naf_core.placement import Placement
from naf_core.recorded import N_CHANGES, Kernel, RecordedField
from naf_core.response import FRAME_EDGES, N_FRAMES


@pytest.fixture
def scene(tmp_path: Path) -> bpy.types.Scene:
    """A scene whose recorded room is a file, which nothing reads here."""
    (tmp_path / "room.field").write_bytes(b"learned")
    found = bpy.context.scene
    found.acoustics.recorded_field = str(tmp_path / "room.field")
    return found


def test_without_a_file_there_is_no_recorded_room() -> None:
    assert placement_of(bpy.context.scene) is None


def test_without_an_empty_the_room_stands_at_the_origin(scene: bpy.types.Scene, tmp_path: Path) -> None:
    assert placement_of(scene) == Placement(tmp_path / "room.field")


def test_an_empty_places_the_room_in_metres(scene: bpy.types.Scene, link: Callable) -> None:
    scene.unit_settings.scale_length = 0.1
    parent = link("Parent", None, location=(0.0, 0.0, 20.0))
    place = link("Place", None, location=(10.0, 0.0, 0.0), rotation_euler=(0.0, 0.0, math.radians(90.0)))
    place.parent = parent
    bpy.context.view_layer.update()
    scene.acoustics.recorded_place = place
    found = placement_of(scene)
    np.testing.assert_allclose(found.origin, [1.0, 0.0, 2.0], atol=1e-6)
    np.testing.assert_allclose(np.array(found.axes) @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(found.to_recorded(np.array([[1.0, 3.0, 2.0]])), [[3.0, 0.0, 0.0]], atol=1e-5)


def test_what_cannot_place_a_room_is_named(scene: bpy.types.Scene, link: Callable) -> None:
    place = link("Place", None, scale=(2.0, 2.0, 2.0))
    bpy.context.view_layer.update()
    scene.acoustics.recorded_place = place
    with pytest.raises(UserError, match="clear its scale") as caught:
        placement_of(scene)
    assert caught.value.object_name == "Place"
    bpy.data.scenes["Scene"].collection.objects.unlink(place)
    with pytest.raises(UserError, match="not in this scene"):
        placement_of(scene)
    scene.acoustics.recorded_field = "//none.field"
    with pytest.raises(UserError, match=r"none.field is missing"):
        placement_of(scene)


def test_a_bake_and_a_map_take_the_recorded_room_and_name_who_is_outside(
    box: Callable, speaker: Callable, camera: Callable, link: Callable, tmp_path: Path
) -> None:
    """The whole way, with the worker that people have: a box of 6 x 4 m, recorded with its corner as the origin."""
    places = np.array([[x, y, 1.5] for x in (1.0, 2.0, 3.0) for y in (1.0, 2.0, 3.0)])
    decay = np.tile(-12.0 * FRAME_EDGES[:-1], (N_BANDS, 1))
    RecordedField(
        places,
        places[4:5],
        np.stack([np.arange(9), np.zeros(9, int)], axis=1),
        Kernel(),
        np.zeros((9, 1)),
        np.zeros((1, N_BANDS, N_CHANGES)),
        np.zeros((N_BANDS, N_CHANGES)),
        decay[:, :N_FRAMES] - 6.0,
        np.full(N_BANDS, 12.0),
        np.zeros(N_BANDS),
        np.array([[0.0, 0.0, 0.0], [6.0, 4.0, 2.5]]),
        np.full(N_BANDS, 0.2),
    ).save(tmp_path / "room.field")
    scene = bpy.context.scene
    box("Room", location=(0, 0, 1.25), scale=(6, 4, 2.5))
    speaker("Talker", location=(-1, 0, 1.5))
    speaker("Lost", location=(-1, 40, 1.5))
    camera(location=(0, -1, 1.6))
    scene.frame_start, scene.frame_end = 1, 6
    scene.acoustics.map_resolution = 16
    scene.acoustics.recorded_field = str(tmp_path / "room.field")
    scene.acoustics.recorded_place = link("Place", None, location=(-3.0, -2.0, 0.0))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    assert bpy.ops.acoustics.bake() == {"FINISHED"}
    assert len(scene.sequence_editor.strips_all) > 0
    warned = " ".join(message for message, _ in warnings_of(scene))
    assert "“Lost” is outside the recorded area" in warned and "Talker" not in warned
    (tracks,) = (tmp_path / "acoustics").rglob("mix*.wav")
    heard, rate = soundfile.read(tracks, always_2d=True)
    assert np.abs(heard[round(0.12 * rate) :]).max() > 1e-4  # after the noise of a tenth of a second: reverberation
    assert bpy.ops.acoustics.loudness_map() == {"FINISHED"}
    warned = " ".join(message for message, _ in warnings_of(scene))
    assert "of the map lie within the recorded area" in warned
