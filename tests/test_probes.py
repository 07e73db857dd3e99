from __future__ import annotations

import numpy as np
import pytest

from naf_core.probes import (
    EAR_HEIGHT,
    N_DEPTHS,
    place_probes,
    scan,
    surroundings,
    visibility,
    walking_distance,
)
from naf_core.raycast import Raycaster
from naf_core.response import N_FRAMES
from naf_core.scene import Scene
from tests.shapes import box, material, quad, scene_of, two_rooms

WALL = material(0.3, 0.5)


def placed(scene: Scene, **options: float) -> np.ndarray:
    return place_probes(scene, Raycaster(scene), **options)


def nearest(points: np.ndarray) -> np.ndarray:
    """Distance from each point to the nearest other."""
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    return np.where(np.eye(len(points), dtype=bool), np.inf, distance).min(axis=1)


def test_probes_stand_evenly_at_the_height_of_ears():
    size = np.array([6.0, 4.5, 2.6])
    probes = placed(scene_of((box([0, 0, 0], size), WALL)), spacing=0.8)
    assert probes.dtype == np.float32
    np.testing.assert_allclose(probes[:, 2], EAR_HEIGHT, atol=1e-3)
    assert ((probes > 0.0) & (probes < size)).all()
    # As many as squares of the spacing, each in the middle of its share of the floor.
    assert len(probes) == round(6.0 / 0.8) * round(4.5 / 0.8)
    assert nearest(probes).min() > 0.9 * 0.7
    corners = np.array([[x, y] for x in (0, 6.0) for y in (0, 4.5)])
    reach = np.linalg.norm(corners[:, None] - probes[None, :, :2], axis=2).min(axis=1)
    assert (reach < 0.8).all()


@pytest.mark.parametrize("limit", [40, 150])
def test_the_spacing_widens_until_the_limit_is_kept(limit):
    hall = scene_of((box([0, 0, 0], [30, 20, 2.5]), WALL))
    probes = placed(hall, limit=limit)
    assert 0.4 * limit < len(probes) <= limit
    assert len(placed(hall, limit=5000)) > 900


def test_high_rooms_hold_probes_above_each_other():
    probes = placed(scene_of((box([0, 0, 0], [3, 3, 9]), WALL)))
    levels = np.unique(np.round(probes[:, 2], 2))
    np.testing.assert_allclose(levels, EAR_HEIGHT + 2.5 * np.arange(len(levels)), atol=1e-2)
    assert len(levels) == 3
    assert levels[-1] < 8.5


def test_both_storeys_of_a_house_are_covered_and_the_roof_is_not():
    house = scene_of((np.concatenate([box([0, 0, 0], [5, 4, 2.7]), box([0, 0, 2.9], [5, 4, 5.6])]), WALL))
    probes = placed(house)
    levels, count = np.unique(np.round(probes[:, 2], 2), return_counts=True)
    np.testing.assert_allclose(levels, [EAR_HEIGHT, 2.9 + EAR_HEIGHT], atol=0.01)
    assert count[0] == count[1]


def test_a_courtyard_holds_probes():
    # Four wings around a yard of 6 x 6 m that is open to the sky.
    ground = quad([-10, -10, 0], [10, -10, 0], [10, 10, 0], [-10, 10, 0])
    wings = [
        box([-10, -10, 0], [10, -3, 3]),
        box([-10, 3, 0], [10, 10, 3]),
        box([-10, -3, 0], [-3, 3, 3]),
        box([3, -3, 0], [10, 3, 3]),
    ]
    probes = placed(scene_of((np.concatenate([ground, *wings]), WALL)))
    in_yard = (np.abs(probes[:, :2]) < 3.0).all(axis=1)
    assert in_yard.sum() >= 9
    np.testing.assert_allclose(probes[in_yard, 2], EAR_HEIGHT, atol=0.01)
    assert (probes[:, 2] < 3.0).all()


def test_no_probe_stands_under_a_table_or_within_its_top():
    table = box([1, 1, 0.70], [3, 3, 0.74])
    probes = placed(scene_of((np.concatenate([box([0, 0, 0], [4, 4, 2.6]), table]), WALL)), spacing=0.5)
    over = ((probes[:, :2] > 1.0) & (probes[:, :2] < 3.0)).all(axis=1)
    assert over.sum() >= 9
    # Above it, between the table top and the ceiling.
    np.testing.assert_allclose(probes[over, 2], 0.5 * (0.74 + 2.6), atol=0.01)


def test_low_rooms_hold_probes_half_way_up():
    probes = placed(scene_of((box([0, 0, 0], [3, 3, 1.6]), WALL)))
    np.testing.assert_allclose(probes[:, 2], 0.8, atol=0.01)


def test_without_geometry_there_are_no_probes():
    assert placed(scene_of()).shape == (0, 3)


def test_a_single_wall_gives_the_air_beside_it_or_nothing():
    # Vertical rays see no wall edge-on; whatever comes out must be usable.
    probes = placed(scene_of((quad([0, -2, 0], [0, 2, 0], [0, 2, 3], [0, -2, 3]), WALL)))
    assert probes.shape[1] == 3
    assert np.isfinite(probes).all()


def test_surroundings_of_the_middle_of_a_box_are_its_walls():
    floor = material(np.linspace(0.2, 0.9, 8), 0.8)
    rest = material(0.1, 0.4)
    low, high = [-1, -1, -1], [1, 1, 1]
    scene = scene_of((box(low, high, without="-z"), rest), (box(low, high, without="-x +x -y +y +z"), floor))
    around = surroundings(scene, Raycaster(scene), np.zeros((2, 3), np.float32))
    assert around.depths.shape == (2, N_DEPTHS)
    assert (np.diff(around.depths, axis=1) >= 0.0).all()
    assert (around.depths > 0.99).all()
    assert (around.depths < np.sqrt(3) + 0.01).all()
    # From the middle of a cube each face fills a sixth of the view.
    expected = np.array(floor.absorption) / 6.0 + 0.1 * 5.0 / 6.0
    np.testing.assert_allclose(around.absorption, np.tile(expected, (2, 1)), atol=0.02)
    np.testing.assert_allclose(around.scattering, 0.8 / 6.0 + 0.4 * 5.0 / 6.0, atol=0.02)
    assert (around.escape == 0.0).all()


def test_open_sky_counts_as_absorbed():
    ground = scene_of((quad([-900, -900, 0], [900, -900, 0], [900, 900, 0], [-900, 900, 0]), material(0.2, 0.5)))
    around = surroundings(ground, Raycaster(ground), np.array([[0, 0, 1.5]], np.float32))
    assert around.escape[0] == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(around.absorption, 0.5 * 1.0 + 0.5 * 0.2, atol=0.01)
    assert around.depths[0, -1] == pytest.approx(100.0)
    nothing = surroundings(scene_of(), Raycaster(scene_of()), np.zeros((1, 3), np.float32))
    np.testing.assert_array_equal(nothing.escape, [1.0])
    np.testing.assert_array_equal(nothing.absorption, np.ones((1, 8)))


def test_visibility_is_that_of_the_walls():
    scene = two_rooms(door=(1.0, 2.0))
    points = np.array([[1, 1.5, 1], [7, 1.5, 1], [7, 3.5, 1], [1, 3.5, 1]], np.float32)
    sees = visibility(Raycaster(scene), points, points)
    expected = np.array([[1, 1, 0, 1], [1, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]], bool)
    np.testing.assert_array_equal(sees, expected)
    assert visibility(Raycaster(scene), points, np.zeros((0, 3), np.float32)).shape == (4, 0)


def test_the_way_through_a_door_is_longer_than_through_the_wall():
    scene = two_rooms(door=(0.5, 1.5))
    caster = Raycaster(scene)
    probes = placed(scene)
    walking = walking_distance(probes, visibility(caster, probes, probes))
    straight = np.linalg.norm(probes[:, None] - probes[None], axis=2)
    assert np.isfinite(walking).all()
    np.testing.assert_allclose(walking, walking.T, rtol=1e-6)
    assert (walking >= straight - 1e-4).all()
    a = np.linalg.norm(probes - [1.0, 3.6, 1.3], axis=1).argmin()
    b = np.linalg.norm(probes - [7.0, 3.6, 1.3], axis=1).argmin()
    post = np.array([4.0, 1.5])  # the corner of the door around which the shortest way leads
    least = sum(np.linalg.norm(probes[k, :2] - post) for k in (a, b))
    assert straight[a, b] + 0.5 < least <= walking[a, b] < least + 0.6


def test_there_is_no_way_into_a_closed_room():
    rooms = scene_of((np.concatenate([box([0, 0, 0], [3, 3, 2.5]), box([3.2, 0, 0], [6, 3, 2.5])]), WALL))
    probes = placed(rooms)
    walking = walking_distance(probes, visibility(Raycaster(rooms), probes, probes))
    left = probes[:, 0] < 3.0
    assert np.isinf(walking[np.ix_(left, ~left)]).all()
    assert np.isfinite(walking[np.ix_(left, left)]).all()
    assert walking_distance(np.zeros((0, 3)), np.zeros((0, 0), bool)).shape == (0, 0)


def test_a_scan_fits_together_and_repeats():
    scene = scene_of((box([0, 0, 0], [3, 2.4, 2.5]), material(0.5, 0.5)))
    fractions: list[float] = []
    caster = Raycaster(scene)
    one = scan(scene, caster, spacing=1.0, paths=2400, seed=3, progress=fractions.append)
    count = len(one.positions)
    assert count == 6
    assert one.sees.shape == one.walking.shape == (count, count)
    assert one.around.escape.shape == (count,)
    assert len(one.exchange.receive) == count
    energy = one.exchange.between(one.exchange.receive, one.exchange.receive)
    assert energy.shape == (count, 8, N_FRAMES, 4)
    assert (energy[..., 0].sum(axis=2) > 0.0).all()
    assert fractions[-1] == 1.0
    same, other = (scan(scene, caster, spacing=1.0, paths=2400, seed=seed) for seed in (3, 4))
    np.testing.assert_array_equal(one.exchange.transfer, same.exchange.transfer)
    assert (one.exchange.transfer != other.exchange.transfer).any()


def test_a_scan_can_be_cancelled():
    scene = scene_of((box([0, 0, 0], [3, 2.4, 2.5]), material(0.9)))

    def cancel(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(scene, Raycaster(scene), spacing=1.0, paths=400, progress=cancel)


def test_an_empty_scene_is_scanned_to_nothing():
    empty = scan(scene_of(), Raycaster(scene_of()))
    assert empty.positions.shape == (0, 3)
    assert empty.exchange.receive.shape == (0, 0, 4)
    assert empty.walking.shape == (0, 0)
