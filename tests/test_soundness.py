from __future__ import annotations

import numpy as np
import pytest

from naf_core.soundness import Fault, faults, leaks
from tests.shapes import box, material, quad, scene_of

ROOM = box([0, 0, 0], [5, 4, 3])


def sphere() -> np.ndarray:
    """Triangles of a ball that all face one way."""
    azimuth, height = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0.1, 3.0, 13), indexing="ij")
    points = np.stack([np.cos(azimuth) * np.sin(height), np.sin(azimuth) * np.sin(height), np.cos(height)], axis=-1)
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    return np.concatenate([np.stack(t, axis=2).reshape(-1, 3, 3) for t in ((a, b, c), (a, c, d))])


def found(triangles: np.ndarray, material_index: np.ndarray | None = None) -> dict[str, Fault]:
    vertices = triangles.reshape(-1, 3)
    return {fault.kind: fault for fault in faults(vertices, np.arange(len(vertices)).reshape(-1, 3), material_index)}


def test_a_sound_mesh_and_none_at_all_have_no_faults():
    assert found(sphere()) == {}
    assert found(np.zeros((0, 3, 3))) == {}


@pytest.mark.parametrize("turned", [False, True])
def test_duplicates_are_counted_once_and_told_apart_by_material(turned):
    copies = ROOM[[0, 5, 7]][:, ::-1] if turned else ROOM[[0, 5, 7]]
    index = np.r_[np.zeros(12, int), [1, 1, 0]]
    fault = found(np.concatenate([ROOM, copies]), index)["duplicate"]
    assert fault.count == 3
    assert fault.message.startswith("3 triangles lie exactly on others (2 of another material")


def test_thin_walls_and_furniture_on_the_floor_cut_through_nothing():
    panel = box([2, 0.5, 0.5], [2.001, 3.5, 2.5])
    kinds = found(np.concatenate([ROOM, panel, box([3.5, 1, 0], [4.5, 2, 1])]))
    assert "intersecting" not in kinds
    assert kinds["duplicate"].count == 2  # the underside that stands on the floor
    assert "duplicate" not in found(np.concatenate([ROOM, panel]))


def test_flipped_triangles_are_those_that_differ_from_most():
    ball, rows = sphere(), [3, 70, 200, 411]
    ball[rows] = ball[rows][:, ::-1]
    fault = found(ball)["flipped"]
    assert fault.count == 4
    np.testing.assert_array_equal(fault.triangles, rows)
    np.testing.assert_allclose(fault.places, ball[rows].mean(axis=1), atol=1e-6)


def test_triangles_without_area_are_counted():
    line, point = np.array([[[0, 0, 0], [1, 1, 1], [2, 2, 2]]]), np.ones((1, 3, 3))
    fault = found(np.concatenate([sphere(), line, point]))["zero-area"]
    assert fault.count == 2
    assert fault.message == "2 triangles have no area: no sound meets them (first at (1.00, 1.00, 1.00) m)."
    assert found(point)["zero-area"].count == 1


def test_faces_that_are_cut_through_are_found():
    fault = found(np.concatenate([ROOM, box([4.5, 1.2, 0.5], [5.5, 2.1, 1.1])]))["intersecting"]
    # The wall, and where the diagonal of the wall enters the box, two of its sides.
    assert fault.count == 4
    assert np.isclose(fault.places[:, 0], 5.0).sum() == 2


def test_a_closed_room_leaks_nothing_and_an_open_one_by_its_solid_angle():
    points = np.array([[2.5, 2.0, 0.0], [1.0, 1.0, 1.5]])
    closed = leaks(scene_of((ROOM, material())), points + [0, 0, 0.5])
    assert (closed.seen == 0.0).all()
    assert closed.reflected == 0.0
    assert closed.message == "The scene is closed: nothing leaves it."
    # From the middle of a cube, one of six faces is open.
    cube = scene_of((box([0, 0, 0], [2, 2, 2], without="+z"), material(name="plaster")))
    opened = leaks(cube, [[1.0, 1.0, 1.0]])
    assert opened.seen[0] == pytest.approx(1 / 6, rel=0.01)
    assert opened.openings[0].share == pytest.approx(1 / 6, rel=0.01)
    np.testing.assert_allclose(opened.openings[0].place[:2], [1.0, 1.0], atol=0.05)
    assert "beside 'plaster'" in opened.message
    assert 0.1 < opened.reflected < 0.3


def test_a_narrow_gap_is_found_where_it_is():
    walls = [box([0, 0, 0], [5, 4, 3], without="+x"), quad([5, 0, 0.01], [5, 4, 0.01], [5, 4, 3], [5, 0, 3])]
    report = leaks(scene_of((np.concatenate(walls), material())), [[2.0, 2.0, 1.5]])
    assert 0.0 < report.seen[0] < 1e-3
    place = report.openings[0].place
    np.testing.assert_allclose(place[[0, 2]], [5.0, 0.0], atol=0.2)


def test_points_in_the_open_are_said_to_be():
    report = leaks(scene_of((ROOM, material())), [[50.0, 50.0, 50.0]])
    assert report.openings == ()
    assert "the points stand in the open" in report.message
    assert leaks(scene_of(), [[0.0, 0.0, 0.0]]).seen[0] == 1.0
