"""Storeys: what lies above what."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from naf_core.floormap import ONE_STOREY, FloorMap, joined
from naf_core.storeys import HEADROOM, MOST, storeys
from tests.shapes import quad

UP = np.array([0.0, 0.0, 1.0])


def level(x: float, y: float, z: float, width: float = 4.0, depth: float = 4.0) -> np.ndarray:
    """A level rectangle, (2, 3, 3)."""
    corners = np.array([(x, y, z), (x + width, y, z), (x + width, y + depth, z), (x, y + depth, z)], float)
    return corners[[(0, 1, 2), (0, 2, 3)]]


def test_floors_above_each_other_are_told_apart() -> None:
    floors = np.concatenate([level(0, 0, 6), level(0, 0, 0), level(1, 1, 3)])
    np.testing.assert_array_equal(storeys(floors, UP), [2, 2, 0, 0, 1, 1])


def test_steps_and_stages_are_one_storey() -> None:
    steps = np.concatenate([level(0.3 * k, 0, 0.17 * k, 0.35) for k in range(12)])
    assert not storeys(steps, UP).any()
    assert not storeys(np.concatenate([level(0, 0, 0), level(1, 1, 0.8, 1, 1)]), UP).any()


def test_a_gallery_is_one_storey_also_where_nothing_is_below() -> None:
    hall = level(0, 0, 0, 6, 6)
    gallery = np.concatenate([level(x, 0, 3, 1, 6) for x in range(4, 9)])  # half of it beyond the hall, in one piece
    np.testing.assert_array_equal(storeys(np.concatenate([hall, gallery]), UP), [0] * 2 + [1] * 10)


def test_what_stands_beside_each_other_is_one_storey() -> None:
    assert not storeys(np.concatenate([level(0, 0, 0), level(10, 0, 7)]), UP).any()


def test_a_spiral_ramp_is_cut() -> None:
    turn = np.linspace(0, 4 * np.pi, 97)  # twice round, 3 m up each time
    inner = np.stack([2 * np.cos(turn), 2 * np.sin(turn), 3 * turn / (2 * np.pi)], axis=1)
    outer = inner * (2, 2, 1)
    ramp = np.concatenate(
        [
            np.stack([np.stack([inner[k], outer[k], inner[k + 1]]), np.stack([outer[k], outer[k + 1], inner[k + 1]])])
            for k in range(96)
        ]
    )
    found = storeys(ramp, UP)
    assert set(found) == {0, 1}
    heights = ramp.mean(axis=1)[:, 2]
    assert heights[found == 0].max() < 3.2 and heights[found == 1].min() > 2.8


def test_there_are_not_endlessly_many() -> None:
    tower = np.concatenate([level(0, 0, 3.0 * k) for k in range(MOST + 5)])
    assert storeys(tower, UP).max() == MOST - 1


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_has_one_storey(count: int) -> None:
    assert storeys(level(0, 0, 0)[:count], UP).tolist() == [0] * count


def test_a_plain_floor_is_known_to_be_one_storey_without_what_takes_long_to_import() -> None:
    """Blender asks for it when it writes the results, while people wait."""
    assert ONE_STOREY <= HEADROOM
    code = (
        "import sys, numpy; from naf_core.floormap import FloorMap;"
        "step = numpy.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 0.9], [1, 0, 0.9], [0, 1, 0.9]]], float);"
        "found = FloorMap(4, 4, (0, 0, 0), (1, 0, 0), (0, 1, 0), step).storey_of_triangles;"
        "assert found.tolist() == [0, 0] and not {'scipy', 'embreex'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_wall_has_storeys_along_its_normal() -> None:
    near, far = (np.asarray(quad((0, y, 0), (4, y, 0), (4, y, 3), (0, y, 3))[0], float) for y in (0.0, 2.0))
    triangles = np.stack([corners[[0, 1, 2]] for corners in (near, far)])
    np.testing.assert_array_equal(storeys(triangles, np.array([0.0, -1.0, 0.0])), [1, 0])


def test_a_map_of_several_storeys_is_one_picture() -> None:
    floors = np.concatenate([level(0, 0, 0), level(0, 0, 3)])
    ground = FloorMap(8, 6, (0, 0, 0), (4, 0, 0), (0, 4, 0), floors)
    parts = ground.storeys()
    assert [len(part.triangles) for part in parts] == [2, 2]
    np.testing.assert_array_equal(parts[1].triangles, floors[2:])
    stacked = joined([np.full((6, 8), k) for k in (1.0, 2.0)], np.nan)
    assert stacked.shape == ground.picture_shape == (14, 8)
    assert (stacked[:6] == 1).all() and np.isnan(stacked[6:8]).all() and (stacked[8:] == 2).all()
