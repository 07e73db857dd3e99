"""Looking into a room from above: what is set aside, from a script as by the button."""

from __future__ import annotations

from collections.abc import Callable

import bpy
import pytest

from blender_addon.inside import below_heads


@pytest.fixture
def view() -> dict[str, object]:
    """What a script says of the 3D View that it means."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return {"window": window, "area": area, "region": next(r for r in area.regions if r.type == "WINDOW")}


def test_what_begins_above_heads_is_set_aside(scene, box: Callable) -> None:
    bpy.ops.acoustics.loudness_map()
    box("Roof", location=(2.0, 2.0, 3.5))
    box("Shelf", location=(2.0, 2.0, 1.5))
    bpy.context.view_layer.update()
    names = {item.name for item in below_heads(bpy.context)}
    assert "Shelf" in names and "Room" in names and "Roof" not in names


def test_a_script_sets_ceilings_aside_and_brings_them_back(scene, view: dict[str, object]) -> None:
    space = view["area"].spaces[0]
    with bpy.context.temp_override(**view):
        assert not bpy.ops.acoustics.look_inside.poll()  # no map yet
        bpy.ops.acoustics.loudness_map()
        chosen = [item.name for item in bpy.context.selected_objects]
        assert bpy.ops.acoustics.look_inside("EXEC_DEFAULT") == {"FINISHED"}
        assert space.local_view is not None
        assert [item.name for item in bpy.context.selected_objects] == chosen
        assert bpy.ops.acoustics.look_inside("EXEC_DEFAULT") == {"FINISHED"}
        assert space.local_view is None
