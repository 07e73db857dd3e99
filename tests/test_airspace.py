from __future__ import annotations

import numpy as np

from naf_core.airspace import reached_by, regions, roomy_regions, sees, without_gaps
from naf_core.raycast import Raycaster
from tests.fake_field import boxes

ROOM = ((0, 0, 0), (4, 4, 3))


def ears(n: int = 40, height: float = 1.5) -> np.ndarray:
    """Places on a square of 4 m, (n, n, 3)."""
    x = (np.arange(n) + 0.5) * 4.0 / n
    return np.stack([*np.meshgrid(x, x), np.full((n, n), height)], axis=-1)


def at(x: float, y: float) -> tuple[int, int]:
    return int(y * 10), int(x * 10)


def test_a_closed_wall_parts_the_air_and_a_doorway_joins_it():
    apart = boxes(ROOM, ((1.95, 0, 0), (2.15, 4, 3)))
    joined = boxes(ROOM, ((1.95, 0, 0), (2.15, 3, 3)))
    labels, wall = regions(Raycaster(apart), ears(), 0.1)
    assert labels[at(0.5, 1)] == labels[at(1.5, 3)] != labels[at(3, 1)]
    assert labels[at(2.05, 2)] not in (labels[at(0.5, 1)], labels[at(3, 1)])
    assert wall[:, 19:22].any(axis=1).all()
    assert not wall[:, :18].any()
    labels, _ = regions(Raycaster(joined), ears(), 0.1)
    assert labels[at(0.5, 1)] == labels[at(3, 1)]


def test_the_air_goes_over_a_screen_and_through_a_hatch():
    screen = boxes(ROOM, ((1.95, 0, 0), (2.15, 4, 1.9)))
    hatch = boxes(ROOM, ((1.95, 0, 0), (2.15, 4, 0.8)), ((1.95, 0, 1.1), (2.15, 4, 3)))
    for scene in (screen, hatch):
        labels, _ = regions(Raycaster(scene), ears(), 0.1)
        assert labels[at(0.5, 1)] == labels[at(3, 1)]


def test_the_inside_of_a_wall_has_no_room_for_a_head():
    scene = boxes(ROOM, ((1.95, 0, 0), (2.15, 4, 3)))
    labels, _ = regions(Raycaster(scene), ears(), 0.1)
    roomy = roomy_regions(labels, 0.1)
    assert roomy[at(0.5, 1)]
    assert roomy[at(3, 1)]
    assert not roomy[at(2.05, 2)]


def test_sound_reaches_what_is_connected_with_what_its_source_sees():
    labels = np.array([[1, 1, 2, 2]])
    roomy = np.array([[True, True, True, True]])
    seen = np.array([[[True, False, False, False]], [[False] * 4]])
    left, unknown = reached_by(labels, seen, roomy)
    np.testing.assert_array_equal(left, [[True, True, False, False]])
    np.testing.assert_array_equal(unknown, roomy)  # from beyond the map: nothing can be ruled out


def test_specks_are_left_out_but_never_all_of_a_map():
    open_air = np.zeros((10, 10), bool)
    open_air[:, :6] = True
    open_air[9, 9] = True
    cleaned = without_gaps(open_air, 0.1)
    assert cleaned[:, :6].all()
    assert not cleaned[9, 9]
    tiny = np.ones((2, 2), bool)
    assert without_gaps(tiny, 0.01).all()


def test_points_see_a_target_unless_something_stands_between():
    scene = boxes(ROOM, ((1.95, 0, 0), (2.15, 4, 3)))
    seen = sees(Raycaster(scene), ears(), np.array([0.5, 2.0, 1.5]))
    assert seen[:, :19].all()
    assert not seen[:, 22:].any()
