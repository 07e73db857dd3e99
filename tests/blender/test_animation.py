from __future__ import annotations

from collections.abc import Callable

import bpy

from blender_addon.animation import curves_of

Make = Callable[..., bpy.types.Object]


def paths(item: bpy.types.Object) -> list[str]:
    return sorted({curve.data_path for curve in curves_of(item.animation_data)})


def test_without_animation(link: Make) -> None:
    assert paths(link("Still", None)) == []


def test_keyframes_and_drivers(link: Make, key: Callable) -> None:
    item = link("Mover", None)
    key(item, "location", {1: (0.0, 0.0, 0.0), 5: (1.0, 0.0, 0.0)})
    item.driver_add("scale", 0).driver.expression = "frame"
    assert paths(item) == ["location", "scale"]


def test_keyframes_in_the_nla(link: Make, key: Callable) -> None:
    item = link("Mover", None)
    key(item, "hide_render", {1: True, 5: False})
    animation = item.animation_data
    strip = animation.nla_tracks.new().strips.new("Strip", 1, animation.action)
    strip.action_slot = animation.action_slot
    animation.action = None
    assert paths(item) == ["hide_render"]


def test_objects_that_share_an_action_have_their_own_curves(link: Make, key: Callable) -> None:
    first, second = link("First", None), link("Second", None)
    key(first, "location", {1: (0.0, 0.0, 0.0)})
    second.animation_data_create().action = first.animation_data.action
    second.animation_data.action_slot = second.animation_data.action.slots.new("OBJECT", "Second")
    second.keyframe_insert("scale", frame=1)
    assert paths(first) == ["location"] and paths(second) == ["scale"]
