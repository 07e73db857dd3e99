from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_addon.recorded_room import placement_of
from naf_core.errors import UserError
from naf_core.placement import Placement


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
