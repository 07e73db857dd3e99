"""The look at the geometry: what it finds in a scene, and what its buttons do."""

from __future__ import annotations

from collections.abc import Callable

import bpy
import numpy as np
import pytest

from blender_addon import checklist, inspection
from blender_addon.inspection import Notes
from naf_core.inspection import Note

Make = Callable[..., bpy.types.Object]


@pytest.fixture
def room(box: Make, speaker: Make, camera: Make) -> bpy.types.Object:
    """A room of 6 m x 4 m x 2.5 m with a Speaker and a camera."""
    speaker("Talker", location=(-1.0, 0.0, 1.5))
    camera(location=(1.0, -1.0, 1.6))
    return box("Room", location=(0, 0, 1.25), scale=(6, 4, 2.5))


def check() -> dict[str, Note]:
    """Look at the geometry, and return the first that was found of each kind."""
    assert bpy.ops.acoustics.check_geometry() == {"FINISHED"}
    return {note.kind: note for note in reversed(Notes.of(bpy.context.scene))}


def findings(*notes: Note) -> list[checklist.Finding]:
    """What the check-list makes of notes."""
    Notes.keep(bpy.context.scene, notes)
    kinds = inspection.GRAVE + inspection.HARMLESS
    return list(checklist._geometry(bpy.context.scene, kinds))


def press(remedy: checklist.Remedy) -> None:
    name = remedy.operator.split(".")[1]
    assert getattr(bpy.ops.acoustics, name)("EXEC_DEFAULT", **remedy.options) == {"FINISHED"}


def test_a_sound_room_is_well_and_its_folder_is_gone(room: bpy.types.Object, tmp_path) -> None:
    before = set(inspection.Path(bpy.app.tempdir).iterdir())
    assert check() == {}
    assert Notes.of(bpy.context.scene) == ()
    assert set(inspection.Path(bpy.app.tempdir).iterdir()) == before


def test_a_room_with_a_hole_a_doubled_face_and_a_speaker_in_a_box(room: bpy.types.Object, box: Make) -> None:
    bpy.context.scene.unit_settings.scale_length = 0.5
    crate = box("Crate", location=(-1.0, 0.0, 1.5), scale=(0.5, 0.5, 0.5))
    corners = [tuple(vertex.co) for vertex in room.data.vertices]
    left, _, *rest = (tuple(face.vertices) for face in room.data.polygons)
    twin = bpy.data.objects.new("Copy", bpy.data.meshes.new("Copy"))
    twin.data.from_pydata(corners, [], [left])
    twin.location, twin.scale = room.location, room.scale
    bpy.context.scene.collection.objects.link(twin)
    room.data.clear_geometry()
    room.data.from_pydata(corners, [], [left, *rest])
    notes = check()
    assert (notes["inside"].name, notes["inside"].other) == ("Talker", "Crate")
    assert "“Copy”: 2 triangles" in notes["duplicate"].text
    assert "Room" in notes["leak"].text
    # A person finds them in the check-list, with buttons.
    found = {f.text: f.remedy for f in checklist.findings(bpy.context.scene)}
    press(found[notes["leak"].text])
    place = np.array(notes["leak"].place) / 0.5
    np.testing.assert_allclose(bpy.context.scene.cursor.location, place, atol=1e-3)
    assert abs(place[0] - 3.0) < 0.3  # the right side
    assert bpy.context.view_layer.objects.active == room
    press(found[notes["inside"].text])
    assert crate.acoustics.surface == "IGNORED"
    assert Notes.of(bpy.context.scene) is None
    assert "inside" not in check()


def test_who_lies_on_the_floor_is_moved_off(room: bpy.types.Object) -> None:
    talker = bpy.data.objects["Talker"]
    talker.location.z = 0.0
    note = check()["surface"]
    assert "“Talker” lies on a surface of “Room”" in note.text
    (finding,) = [f for f in checklist.findings(bpy.context.scene) if f.text == note.text]
    press(finding.remedy)
    assert talker.location.z == pytest.approx(0.1)


def test_what_was_found_holds_until_something_moves(room: bpy.types.Object, box: Make) -> None:
    scene, layer = bpy.context.scene, bpy.context.view_layer
    for change in (
        lambda: setattr(room.location, "x", 1.0),
        lambda: room.data.transform(room.matrix_world) or room.data.update_tag() or room.update_tag(),
    ):
        layer.update()
        Notes.keep(scene, ())
        room.select_set(False)
        scene.cursor.location.x += 1.0
        layer.update()
        assert Notes.of(scene) == ()
        change()
        layer.update()
        assert Notes.of(scene) is None


def test_what_was_found_stays_with_its_scene_and_file(room: bpy.types.Object) -> None:
    Notes.keep(bpy.context.scene, ())
    assert Notes.of(bpy.data.scenes.new("Other")) is None
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert Notes.of(bpy.context.scene) is None


def test_notes_on_what_is_gone_have_no_button(room: bpy.types.Object) -> None:
    (gone,) = findings(Note("duplicate", "“Ghost”: …", "Ghost", (0, 0, 0)))
    assert gone.remedy is None
    (none,) = findings(Note("leak", "The scene is open"))
    assert none.remedy is None
    (shut,) = findings(Note("inside", "…", "Talker", (0, 0, 0), other="Ghost"))
    assert shut.remedy.operator == "acoustics.show_place"


@pytest.mark.parametrize("name", ["show_place", "move_off", "ignore_object"])
def test_names_that_are_not_there_are_errors(name: str) -> None:
    with pytest.raises(RuntimeError, match="There is no object “nobody”"):
        getattr(bpy.ops.acoustics, name)("EXEC_DEFAULT", target="nobody")


def test_a_speaker_that_is_nowhere_is_named(room: bpy.types.Object) -> None:
    bpy.data.objects["Talker"].location.x = float("nan")
    with pytest.raises(RuntimeError, match="position of “Talker” is not three numbers"):
        bpy.ops.acoustics.check_geometry()
    assert Notes.of(bpy.context.scene) is None


def test_an_empty_scene_is_looked_at(box: Make) -> None:
    assert check() == {}
