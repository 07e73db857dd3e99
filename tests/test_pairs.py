from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naf_core.pairs import Pairs, Sight, pair_geometry, sight
from naf_core.probes import place_probes, visibility, walking_distance
from naf_core.raycast import Raycaster
from tests.shapes import box, material, scene_of, two_rooms

SCENE = two_rooms(door=(0.5, 1.5))  # 4 x 4 m each, the doorway at x = 4
CASTER = Raycaster(SCENE)
PROBES = place_probes(SCENE, CASTER)
WALKING = walking_distance(PROBES, visibility(CASTER, PROBES, PROBES))
# In either room; none within the wall, where sight depends on rounding.
PLACES = st.tuples(st.one_of(st.floats(0.1, 3.9), st.floats(4.1, 7.9)), st.floats(0.1, 3.9), st.floats(0.1, 2.4))


def seen_from(points: object) -> Sight:
    return sight(CASTER, PROBES, np.array(points, np.float32).reshape(-1, 3))


def geometry(emitters: object, listeners: object) -> Pairs:
    """Geometry of emitter k with listener k."""
    emitters, listeners = (np.array(p, np.float32).reshape(-1, 3) for p in (emitters, listeners))
    rows = np.arange(len(emitters))
    return pair_geometry(
        CASTER, PROBES, WALKING, emitters, listeners, seen_from(emitters), seen_from(listeners), rows, rows
    )


@given(PLACES)
def test_weights_sum_to_one_and_no_hidden_probe_has_any(place):
    seen = seen_from(place)
    assert seen.weight.dtype == np.float32
    assert (seen.weight >= 0.0).all()
    np.testing.assert_allclose(seen.weight.sum(axis=1), 1.0, rtol=1e-5)
    if not seen.lost[0]:
        assert (seen.weight[~seen.sees] == 0.0).all()
        assert np.isinf(seen.distance[~seen.sees]).all()
    expected = np.linalg.norm(PROBES - np.array(place), axis=1)
    np.testing.assert_allclose(seen.distance[seen.sees], expected[seen.sees[0]], rtol=1e-4, atol=1e-5)


def test_weights_are_gaussian_kernels_over_what_is_seen():
    point, bandwidth = np.array([[1.9, 2.1, 1.3]], np.float32), 0.5
    seen = sight(CASTER, PROBES, point, bandwidth)
    distance = np.linalg.norm(PROBES - point, axis=1)
    kernel = np.where(seen.sees[0], np.exp(-(distance**2) / (2.0 * bandwidth**2)), 0.0)
    np.testing.assert_allclose(seen.weight[0], kernel / kernel.sum(), atol=1e-4)
    narrow, wide = (sight(CASTER, PROBES, point, b).weight.max() for b in (0.2, 1.0))
    assert narrow > seen.weight.max() > wide


def test_only_the_nearest_probes_in_sight_share():
    hall = Raycaster(scene_of((box([0, 0, 0], [8, 8, 3]), material())))
    places = np.arange(0.25, 8.0, 0.25)
    probes = np.stack([grid.ravel() for grid in np.meshgrid(places, places, [1.3])], axis=1).astype(np.float32)
    seen = sight(hall, probes, np.array([[4.1, 3.9, 1.3]], np.float32), bandwidth=3.0)
    sharing = seen.weight[0] > 0.0
    assert 20 <= sharing.sum() <= 30
    assert seen.distance[0][sharing].max() <= seen.distance[0][~sharing].min()


def test_far_from_all_probes_the_weights_do_not_vanish():
    # In a hall with one probe in view at 40 m, its kernel alone would be 0 in any floating-point number.
    hall = Raycaster(scene_of((box([0, 0, 0], [60, 10, 10]), material())))
    probes = np.array([[1.0, 5.0, 1.3], [2.0, 5.0, 1.3]], np.float32)
    seen = sight(hall, probes, np.array([[50.0, 5.0, 1.3]], np.float32))
    np.testing.assert_allclose(seen.weight, [[0.0, 1.0]], atol=1e-6)


def test_points_that_see_no_probe_are_lost_and_take_the_nearest():
    outside = [[-3.0, 2.0, 1.3], [2.0, 2.0, 1.3]]
    seen = seen_from(outside)
    np.testing.assert_array_equal(seen.lost, [True, False])
    assert not seen.sees[0].any()
    # Its ways lead through the probes whose features it takes, as if it saw them.
    np.testing.assert_array_equal(np.isfinite(seen.distance[0]), seen.weight[0] > 0.0)
    assert seen.weight[0].argmax() == np.linalg.norm(PROBES - outside[0], axis=1).argmin()
    assert seen.weight[0].sum() == pytest.approx(1.0, rel=1e-5)


def test_without_probes_everyone_is_lost():
    caster = Raycaster(scene_of())
    seen = sight(caster, np.zeros((0, 3), np.float32), np.zeros((2, 3), np.float32))
    assert seen.lost.all()
    assert seen.weight.shape == (2, 0)


def test_visible_pairs_go_straight():
    emitters = [[1.0, 1.0, 1.2], [1.0, 1.0, 1.2], [2.0, 3.5, 0.5]]
    listeners = [[3.0, 3.0, 1.8], [7.0, 1.0, 1.2], [2.0, 3.5, 0.6]]
    pairs = geometry(emitters, listeners)
    separation = np.array(emitters) - listeners
    distance = np.linalg.norm(separation, axis=1)
    assert pairs.visible.all()
    np.testing.assert_allclose(pairs.distance, distance, rtol=1e-5)
    np.testing.assert_allclose(pairs.way, distance, rtol=1e-5)
    np.testing.assert_allclose(pairs.direction, separation / distance[:, None], atol=1e-5)
    np.testing.assert_allclose(pairs.way_direction, pairs.direction, atol=1e-6)


def test_hidden_behind_a_corner_the_way_leads_through_the_opening():
    emitter, listener = np.array([1.5, 3.5, 1.3]), np.array([6.5, 3.5, 1.3])
    pairs = geometry(emitter, listener)
    assert not pairs.visible[0]
    post = np.array([4.0, 1.5, 1.3])  # the door's near post
    around = np.linalg.norm(emitter - post) + np.linalg.norm(listener - post)
    assert around <= pairs.way[0] < around + 0.6
    towards = (post - listener) / np.linalg.norm(post - listener)
    assert pairs.way_direction[0] @ towards > np.cos(np.radians(20.0))
    assert pairs.way_direction[0] @ pairs.direction[0] < np.cos(np.radians(25.0))
    assert np.linalg.norm(pairs.way_direction[0]) == pytest.approx(1.0, abs=1e-5)


def test_where_there_is_no_way_the_detour_is_limited():
    rooms = scene_of((np.concatenate([box([0, 0, 0], [3, 3, 2.5]), box([3.2, 0, 0], [6, 3, 2.5])]), material()))
    caster = Raycaster(rooms)
    probes = place_probes(rooms, caster)
    walking = walking_distance(probes, visibility(caster, probes, probes))
    ends = np.array([[1.5, 1.5, 1.3], [4.5, 1.5, 1.3]], np.float32)
    seen = sight(caster, probes, ends)
    pairs = pair_geometry(caster, probes, walking, ends, ends, seen, seen, np.array([0, 1]), np.array([1, 0]))
    assert not pairs.visible.any()
    np.testing.assert_allclose(pairs.way, pairs.distance + 30.0, rtol=1e-5)
    np.testing.assert_array_equal(pairs.common, np.zeros((2, 2)))
    np.testing.assert_array_equal(pairs.soft, np.zeros(2))
    for values in (pairs.way, pairs.way_direction, pairs.direction):
        assert np.isfinite(values).all()


@settings(max_examples=60)
@given(PLACES, PLACES)
def test_exchanging_the_ends_changes_nothing_but_directions(a, b):
    one, other = geometry(a, b), geometry(b, a)
    np.testing.assert_array_equal(one.visible, other.visible)
    np.testing.assert_array_equal(one.distance, other.distance)
    np.testing.assert_array_equal(one.direction, -other.direction)
    np.testing.assert_array_equal(one.common, other.common)
    np.testing.assert_allclose(one.soft, other.soft, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(one.way, other.way, rtol=1e-6)


@settings(max_examples=60)
@given(PLACES, PLACES)
def test_shares_lie_within_bounds_and_the_way_is_no_shortcut(a, b):
    pairs = geometry(a, b)
    for share in (pairs.soft, pairs.common):
        assert ((share >= 0.0) & (share <= 1.0 + 1e-5)).all()
    assert pairs.common[0, 0] <= pairs.common[0, 1]
    assert pairs.distance[0] <= pairs.way[0] <= pairs.distance[0] + 30.0 + 1e-4


def test_what_is_in_common_grows_towards_the_door():
    emitter = np.tile([1.0, 1.0, 1.3], (3, 1))
    listeners = [[7.5, 3.5, 1.3], [4.6, 1.0, 1.3], [2.0, 1.0, 1.3]]  # hidden; beyond the door; in the same room
    pairs = geometry(emitter, listeners)
    assert (np.diff(pairs.common[:, 0]) > 0.0).all()
    assert pairs.common[2, 0] > 0.8
    assert pairs.soft[0] < 0.2 < 0.9 < pairs.soft[2]


def test_emitter_and_listener_in_one_point_are_in_sight():
    pairs = geometry([2.0, 2.0, 1.2], [2.0, 2.0, 1.2])
    assert pairs.visible[0]
    assert pairs.distance[0] == pairs.way[0] == 0.0
    assert np.isfinite(pairs.direction).all()


def test_pairs_are_chosen_by_row():
    pairs = geometry([[1.0, 1.0, 1.2], [2.0, 1.0, 1.2]], [[3.0, 3.0, 1.8], [7.0, 3.5, 1.2]])
    part = pairs[np.array([1])]
    assert part.way_direction.shape == (1, 3)
    assert part.distance[0] == pairs.distance[1]
    assert part.common.tolist() == pairs.common[1:].tolist()


def test_many_pairs_are_each_pair_alone():
    rng = np.random.default_rng(4)
    points = rng.uniform([0.2, 0.2, 0.3], [7.8, 3.8, 2.2], (6, 3)).astype(np.float32)
    first, second = (grid.ravel() for grid in np.meshgrid(np.arange(6), np.arange(6)))
    seen = seen_from(points)
    together = pair_geometry(CASTER, PROBES, WALKING, points, points, seen, seen, first, second)
    alone = geometry(points[first], points[second])
    for name in ("distance", "visible", "soft", "way", "way_direction", "common"):
        np.testing.assert_allclose(getattr(together, name), getattr(alone, name), atol=1e-5, err_msg=name)
