"""Ears of somebody who stands where the probe points."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import bpy
import pytest
from mathutils import Vector

from blender_addon.ears import ears_at, meet, see, shown_in

DOWN = Vector((0, 0, -1))


@pytest.fixture
def room(box: Callable) -> None:
    """A floor at 0 and a ceiling at 3 m, both 0.1 m thick and 20 m wide."""
    bpy.context.scene.acoustics.ear_height = 1.2
    for name, height in (("Floor", -0.05), ("Ceiling", 3.05)):
        box(name, scale=(20, 20, 0.1), location=(0, 0, height))


def ears(x: float = 0.0, y: float = 0.0, over: float = 2.9) -> float:
    """How high the ears are over the ground below a point."""
    bpy.context.view_layer.update()
    return ears_at(bpy.context, meet(bpy.context, Vector((x, y, over)), DOWN)).z


def test_they_are_over_the_floor_in_any_unit(room: None) -> None:
    assert ears() == pytest.approx(1.2)
    bpy.context.scene.unit_settings.scale_length = 2.0
    assert ears() == pytest.approx(0.6)


def test_what_a_view_has_set_aside_is_looked_through(room: None) -> None:
    bpy.context.view_layer.update()
    above = Vector((0, 0, 9))
    everything = SimpleNamespace(local_view=None)
    assert see(bpy.context, above, DOWN, shown_in(bpy.context, everything)).item.name == "Ceiling"
    met = see(bpy.context, above, DOWN, lambda item: item.name != "Ceiling")
    assert met.item.name == "Floor" and ears_at(bpy.context, met).z == pytest.approx(1.2)
    assert see(bpy.context, above, DOWN, lambda _: False) is None


def test_they_are_close_before_walls(box: Callable) -> None:
    box("Wall", scale=(0.2, 5, 3), location=(2, 0, 1.5))
    bpy.context.view_layer.update()
    met = meet(bpy.context, Vector((0, 0, 1)), Vector((1, 0, 0)))
    assert tuple(ears_at(bpy.context, met)) == pytest.approx((1.85, 0, 1))


def test_slopes_are_stood_on(box: Callable) -> None:
    box("Ramp", scale=(9, 9, 0.1), rotation_euler=(0.5, 0, 0))
    bpy.context.scene.acoustics.ear_height = 1.2
    bpy.context.view_layer.update()
    met = meet(bpy.context, Vector((0, 1, 5)), DOWN)
    assert tuple(ears_at(bpy.context, met)) == pytest.approx(tuple(met.place + Vector((0, 0, 1.2))))


def test_nobody_stands_on_a_table_or_on_what_lies_there(room: None, box: Callable) -> None:
    box("Table top", scale=(2, 1, 0.05), location=(0, 0, 0.725))
    assert ears() == pytest.approx(1.2)
    box("Vase", scale=(0.2, 0.2, 0.3), location=(0, 0, 0.9))
    assert ears() == pytest.approx(1.2)
    assert ears(over=0.5) == pytest.approx(1.2)  # the floor under the table is the same place


def test_they_are_never_within_the_furniture(room: None, box: Callable) -> None:
    box("Lamp", scale=(0.3, 0.3, 0.4), location=(0, 0, 2.0))
    assert ears() == pytest.approx(2.25)


def test_stages_and_stairs_are_stood_on(room: None, box: Callable) -> None:
    box("Stage", scale=(4, 3, 1), location=(0, 0, 0.5))
    box("Stairs", scale=(1, 2, 1.6), location=(5, 0, 0.8))
    assert ears() == pytest.approx(2.2)
    assert ears(5) == pytest.approx(2.8)


def test_below_a_low_ceiling_they_are_in_the_middle_of_the_air(room: None, box: Callable) -> None:
    box("Cupboard", scale=(1, 0.6, 2.2), location=(0, 0, 1.1))
    assert ears() == pytest.approx(2.6)
