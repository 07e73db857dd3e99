"""The impulse response as a picture and the early sound as lines, asked for by a script."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np
import pytest

from blender_addon import lines, resident, views
from blender_addon.views import IMAGE, ACOUSTICS_OT_response_view

pytestmark = pytest.mark.usefixtures("scene")

STRAIGHT = {"points": [[-1, 0, 1.5], [0, -1, 1.6]], "order": 0, "edges": 0, "level": -3.0, "length_m": 1.4}
MIRRORED = {
    "points": [[-1, 0, 1.5], [0, 0, 0], [0, -1, 1.6]],
    "order": 1,
    "edges": 0,
    "level": -13.0,
    "length_m": 3.7,
}


@pytest.fixture(scope="module", autouse=True)
def _field() -> Iterator[None]:
    """The worker itself answers, and is scanned once for all tests here."""
    yield
    views.clear()
    resident.end()


def test_the_response_is_an_image_with_numbers() -> None:
    scene = bpy.context.scene
    mine = bpy.data.images.new(IMAGE, 8, 8)  # a picture of the user's with the same name
    assert bpy.ops.acoustics.response_view(speaker="Talker") == {"FINISHED"}
    values = ACOUSTICS_OT_response_view.values
    assert values["title"] == "Talker"
    assert values["distance_m"] == pytest.approx(np.sqrt(1 + 1 + 0.01), abs=0.02)
    assert all(0.05 < seconds < 5.0 for seconds in values["T30_s"][2:])
    (image,) = views.own_pictures()
    assert image is not mine and tuple(mine.size) == (8, 8)
    assert values["image"] == image.name and image.size[0] > 1000
    assert image.packed_file is not None
    # Another takes its place.
    assert bpy.ops.acoustics.response_view(speaker="Music", place="POINT", point=(0.5, 0.0, 1.5)) == {"FINISHED"}
    assert len(views.own_pictures()) == 1
    assert ACOUSTICS_OT_response_view.values["title"] == "Music"
    bpy.ops.acoustics.loudness_map()  # leaves it alone
    assert len(views.own_pictures()) == 1
    bpy.ops.acoustics.clear()
    assert not views.own_pictures() and mine.name in bpy.data.images
    assert scene.frame_current == 15


def test_the_image_survives_saving() -> None:
    bpy.ops.acoustics.response_view()
    path = bpy.data.filepath
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    (image,) = views.own_pictures()
    assert image.packed_file is not None and image.size[0] > 1000 and image.has_data


def test_lines_are_drawn_and_hidden() -> None:
    assert bpy.ops.acoustics.show_lines(speaker="Talker") == {"FINISHED"}
    assert lines.shown() and len(lines._handles) == 1
    direct = [points for points, _ in lines.drawn() if len(points) == 2]
    assert len(direct) == 1
    np.testing.assert_allclose(direct[0], [(-1, 0, 1.5), (0, -1, 1.6)], atol=1e-3)
    assert bpy.ops.acoustics.show_lines(speaker="Music") == {"FINISHED"}  # in place of the others
    assert len(lines._handles) == 1
    bpy.ops.acoustics.clear()
    assert not lines.shown() and not lines._handles


def test_colours_tell_order_or_level() -> None:
    scene = bpy.context.scene
    scene.unit_settings.scale_length = 0.5
    lines.show(scene, [STRAIGHT, MIRRORED], "ORDER")
    (weak, first), (strong, second) = lines.drawn()
    assert (len(weak), len(strong)) == (3, 2)  # the strongest on top
    assert first[:3] == lines.ORDERS[1] and second[:3] == lines.ORDERS[0]
    assert first[3] < second[3] == 1.0
    np.testing.assert_allclose(strong[0], (-2, 0, 3))
    lines.show(scene, [STRAIGHT, MIRRORED], "LEVEL")
    assert lines.drawn()[0][1][:3] != lines.ORDERS[1]
    lines.show(scene, [dict(STRAIGHT, edges=1)], "ORDER")
    assert lines.drawn()[0][1][:3] == lines.BENT
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert not lines.shown()


def test_what_is_missing_is_told(scene) -> None:
    with pytest.raises(RuntimeError, match="no Speaker"):
        bpy.ops.acoustics.show_lines(speaker="Room")
    views.ACOUSTICS_OT_probe.ear = None
    with pytest.raises(RuntimeError, match="probe was nowhere"):
        bpy.ops.acoustics.response_view(place="PROBE")
    scene.camera = None
    with pytest.raises(RuntimeError, match="no listener"):
        bpy.ops.acoustics.response_view()
    assert not views.own_pictures()


def test_the_popover_is_registered_and_the_menu_has_both() -> None:
    assert hasattr(bpy.types, "ACOUSTICS_PT_response")
    from blender_addon.operators import MENU

    names = [part[0] for part in MENU if part]
    assert {"acoustics.probe", "acoustics.response_view", "acoustics.show_lines", "acoustics.export_map"} <= set(names)
