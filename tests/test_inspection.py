from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from naf_core.errors import UserError
from naf_core.findings import inspect, run
from naf_core.inspection import Inspection, Note, Owner, Person
from naf_core.scene import Scene
from tests.shapes import box as any_box
from tests.shapes import material, scene_of


def box(low: object, high: object, without: str = "") -> np.ndarray:
    """As `shapes.box`, with all faces the same way round."""
    found = any_box(low, high, without)
    normal = np.cross(found[:, 1] - found[:, 0], found[:, 2] - found[:, 0])
    inwards = np.einsum("ni,ni->n", normal, found.mean(axis=1) - np.add(low, high) / 2.0) < 0.0
    found[inwards] = found[inwards][:, ::-1]
    return found


ROOM = box([0, 0, 0], [5, 4, 3])
EARS = Person("Camera", (1.0, 1.0, 1.6), hears=True)
TALKER = Person("Talker", (3.0, 2.0, 1.5))


def look(*parts: tuple[str, np.ndarray], people: tuple[Person, ...] = (TALKER, EARS)) -> dict[str, Note]:
    """The first note of each kind on objects with names and triangles."""
    scene = scene_of(*((triangles, material()) for _, triangles in parts))
    owners = tuple(Owner(name, len(triangles)) for name, triangles in parts)
    return {note.kind: note for note in reversed(inspect(Inspection(scene, owners, people)))}


def test_a_room_with_people_in_it_has_nothing_odd():
    assert look(("Room", ROOM), ("Table", box([3.5, 1, 0.7], [4.5, 2, 0.75]))) == {}
    assert look(("Room", ROOM), people=()) == {}
    assert inspect(Inspection(scene_of(), (), (TALKER, EARS))) == []


def test_a_hole_is_named_by_what_is_beside_it_with_its_place_and_share():
    hole = box([0, 0, 0], [5, 4, 3], without="+z")
    lid = box([0, 0, 3], [4.6, 4, 3.0], without="-x +x -y +y -z")
    note = look(("Walls", hole), ("Ceiling", lid))["leak"]
    assert note.text.startswith(("The room is open beside “Walls”", "The room is open beside “Ceiling”"))
    np.testing.assert_allclose(note.place, [4.8, 2.0, 3.0], atol=0.35)
    assert "%" in note.text


def test_what_stands_before_a_hole_is_no_hole_of_its_own():
    scene = scene_of(
        (box([0, 0, 0], [5, 4, 3], without="+x"), material()), (box([2.7, 1.7, 1], [3.3, 2.3, 2]), material())
    )
    task = Inspection(scene, (Owner("Room", 10), Owner("Crate", 12)), (EARS,))
    (note,) = (note for note in inspect(task) if note.kind == "leak")
    np.testing.assert_allclose(note.place[0], 5.0, atol=0.3)


@pytest.mark.parametrize("height", [0.0, 0.004])
def test_who_lies_on_a_surface_is_named_with_what_and_where_to_go(height):
    people = (Person("Talker", (3.0, 2.0, height)), EARS)
    note = look(("Room", ROOM), people=people)["surface"]
    assert (note.name, "“Talker” lies on a surface of “Room”" in note.text) == ("Talker", True)
    np.testing.assert_allclose(note.way, [0, 0, 0.1], atol=1e-6)


def test_who_is_shut_in_is_named_with_what_shuts_in():
    crate = ("Crate", box([2.7, 1.7, 1.2], [3.3, 2.3, 1.8]))
    note = look(("Room", ROOM), crate)["inside"]
    assert (note.name, note.other) == ("Talker", "Crate")
    more = Person("Music", (4.5, 3.0, 1.0))
    assert look(("Room", ROOM), crate, people=(more, EARS, TALKER))["inside"].name == "Talker"
    helmet = ("Helmet", box([0.8, 0.8, 1.4], [1.2, 1.2, 1.8]))
    note = look(("Room", ROOM), helmet, people=(more, TALKER, EARS))["inside"]
    assert (note.name, note.other) == ("Camera", "Helmet")


def test_an_open_crate_shuts_nobody_in():
    crate = box([2.7, 1.7, 1.2], [3.3, 2.3, 1.8], without="+x")
    assert "inside" not in look(("Room", ROOM), ("Crate", crate))


def test_a_listener_outside_the_room_is_named():
    outside = Person("Camera", (8.0, 2.0, 1.6), hears=True)
    for people in ((TALKER, outside), (TALKER, Person("Music", (1.0, 1.0, 1.0)), outside)):
        notes = look(("Room", ROOM), people=people)
        assert notes["outside"].name == "Camera"
        assert "inside" not in notes


def test_a_speaker_outside_is_named():
    notes = look(("Room", ROOM), people=(TALKER, EARS, Person("Street", (8.0, 2.0, 1.0))))
    assert notes["outside"].name == "Street"


def test_outdoors_all_reach_each_other():
    ground = box([-20, -20, -1], [20, 20, 0], without="-z -x +x -y +y")
    notes = look(("Ground", ground))
    assert set(notes) == {"leak"}
    assert "open" in notes["leak"].text


def test_faults_are_counted_by_object():
    copy = ("Copy", ROOM[:3])
    flipped = box([3.5, 1, 0.7], [4.5, 2, 1.7])
    flipped[4] = flipped[4][::-1]
    notes = look(("Room", ROOM), copy, ("Chest", flipped), ("Shelf", box([3.2, 1.5, 0.9], [3.8, 1.6, 1.2])))
    assert notes["duplicate"].text.startswith("“Copy”: 3 triangles lie exactly on others;")
    assert notes["flipped"].text.startswith("“Chest”: 1 triangle faces the other way;")
    assert notes["intersecting"].name in ("Chest", "Shelf")
    assert "is cut through" in notes["intersecting"].text


def test_triangles_that_the_scene_has_dropped_are_counted_too():
    owners = (Owner("Room", 12, 0), Owner("Dust", 0, 7))
    (note,) = inspect(Inspection(scene_of((ROOM, material())), owners, ()))
    assert note.text.startswith("“Dust”: 7 triangles have no area")


def saved(folder: Path) -> Inspection:
    task = Inspection(scene_of((ROOM, material())), (Owner("Room", 12),), (TALKER, EARS))
    task.save(folder)
    return task


def test_a_folder_comes_back_as_it_was_and_is_inspected(tmp_path):
    task = saved(tmp_path)
    again = Inspection.load(tmp_path)
    assert (again.owners, again.people) == (task.owners, task.people)
    events = []
    assert run(tmp_path, events.append) == {"notes": []}
    assert [event["event"] for event in events] == ["progress"] * len(events)
    fractions = [event["fraction"] for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize(
    "changes",
    [
        {"owners": []},
        {"owners": [{"name": "Room", "count": 11, "flat": 0}]},
        {"owners": [{"name": "Room", "count": 24, "flat": 0}, {"name": "Room", "count": -12, "flat": 0}]},
        {"owners": [{"name": "Room", "count": 12, "flat": -1}]},
        {"owners": [{"name": "Room", "count": 12.5, "flat": 0}]},
        {"owners": "many"},
        {"people": [{"name": "Talker", "position": [1, 2], "hears": False}]},
        {"people": [{"name": "Talker", "position": [1, 2, 1e9], "hears": False}]},
        {"people": [{"name": "Talker", "position": [1, 2, "high"], "hears": False}]},
        {"people": [{"name": "Talker", "position": [1, 2, 3], "hears": 1}]},
        {"people": [{"name": "Talker", "position": [1, 2, 3], "hears": False}] * 2001},
    ],
)
def test_every_value_of_a_folder_is_checked(tmp_path, changes):
    saved(tmp_path)
    file = tmp_path / "inspection.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(UserError):
        Inspection.load(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"inspection\.json"):
        Inspection.load(tmp_path / "none")


def test_positions_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match="“Talker”"):
        Inspection(Scene([], [], [], []), (), (Person("Talker", (1.0, 2.0, float("nan"))),))
