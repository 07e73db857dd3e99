from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.raycast import Raycaster, sphere_directions
from tests.shapes import box, material, quad, scene_of

SIZE = np.array([5.0, 4.0, 3.0])
INSIDE = st.tuples(*(st.floats(0.01, 0.99) for _ in range(3)))


@pytest.fixture(scope="module")
def room() -> Raycaster:
    return Raycaster(scene_of((box([0, 0, 0], SIZE), material())))


def test_distances_in_a_box_are_the_closed_form(room):
    rng = np.random.default_rng(1)
    origins = rng.uniform(0.05, 0.95, (2000, 3)) * SIZE
    directions = sphere_directions(2000).astype(float)
    wall = np.where(directions > 0, SIZE, 0.0)
    expected = ((wall - origins) / directions).min(axis=1)
    hits = room.intersect(origins, directions)
    np.testing.assert_allclose(hits.distance, expected, rtol=1e-5)
    # Two triangles a wall, in the order of the faces.
    axis = ((wall - origins) / directions).argmin(axis=1)
    side = directions[np.arange(2000), axis] > 0
    np.testing.assert_array_equal(hits.triangle // 2, 2 * axis + side)


def test_both_sides_of_a_triangle_count(room):
    outside = np.array([[-1.0, 2.0, 1.0], [2.0, 2.0, 9.0]])
    hits = room.intersect(outside, np.array([[1.0, 0, 0], [0, 0, -1.0]]))
    np.testing.assert_allclose(hits.distance, [1.0, 6.0], rtol=1e-6)


def test_no_ray_slips_out_along_edges_and_corners(room):
    rng = np.random.default_rng(2)
    targets = np.concatenate(
        [
            rng.uniform(0, 1, (4000, 1)) * np.array([5.0, 4.0, 0.0]),  # the floor's diagonal, where two triangles meet
            rng.uniform(0, 1, (4000, 1)) * np.array([0.0, 0.0, 3.0]),  # the edge of two walls
            np.repeat(box([0, 0, 0], SIZE).reshape(-1, 3), 100, axis=0),  # the corners
        ]
    )
    origins = rng.uniform(0.1, 0.9, (len(targets), 3)) * SIZE
    directions = targets - origins
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert (room.intersect(origins, directions).triangle >= 0).all()


def test_far_from_the_origin_a_step_off_the_surface_is_enough():
    shift = np.array([20_000.0, -35_000.0, 100.0])
    caster = Raycaster(scene_of((box(shift, shift + SIZE), material())))
    origins = np.repeat((shift + 0.5 * SIZE)[None], 3000, axis=0)
    directions = sphere_directions(3000)
    hits = caster.intersect(origins, directions)
    normal = caster.normals[hits.triangle]
    normal = np.where(np.einsum("ij,ij->i", normal, directions)[:, None] > 0, -normal, normal)
    surface = origins + directions * hits.distance[:, None] + normal * caster.epsilon
    assert (caster.intersect(surface, normal).distance > 2.5).all()  # the opposite wall, not the one stepped off


def test_a_ray_is_blocked_up_to_its_length_and_no_further(room):
    origin, towards = np.array([[2.0, 2.0, 1.0]] * 3), np.array([[0.0, 0.0, -1.0]] * 3)
    np.testing.assert_array_equal(room.blocked(origin, towards, np.array([0.9, 1.0, 1.1])), [False, False, True])


OBSTRUCTED = Raycaster(scene_of((np.concatenate([box([0, 0, 0], SIZE), box([2, 1, 0], [3, 3, 2.1])]), material())))


@given(INSIDE, INSIDE)
def test_sight_is_mutual_around_an_obstacle(a, b):
    a, b = np.array([a]) * SIZE, np.array([b]) * SIZE
    assert OBSTRUCTED.occluded(a, b) == OBSTRUCTED.occluded(b, a)


def test_occlusion_is_that_of_a_wall():
    wall = scene_of((quad([0, -1, -1], [0, 1, -1], [0, 1, 1], [0, -1, 1]), material()))
    caster = Raycaster(wall)
    rng = np.random.default_rng(3)
    a, b = rng.uniform(-2, 2, (2, 3000, 3))
    a[:, 0], b[:, 0] = -np.abs(a[:, 0]) - 0.01, np.abs(b[:, 0]) + 0.01
    crossing = a + (b - a) * (-a[:, :1] / (b - a)[:, :1])
    expected = (np.abs(crossing[:, 1:]) < 1.0).all(axis=1)
    clear = (np.abs(np.abs(crossing[:, 1:]) - 1.0) > 1e-4).all(axis=1)  # all but grazing rays
    np.testing.assert_array_equal(caster.occluded(a, b)[clear], expected[clear])
    assert not caster.occluded(a, a - [1.0, 0, 0]).any()


@given(st.tuples(*(st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 1.0, 0.001, 0.999])) for _ in range(3))))
def test_points_step_off_the_walls_into_the_room(place):
    caster = Raycaster(scene_of((box([0, 0, 0], SIZE), material())))
    point = np.array([place]) * SIZE
    moved = caster.off_surfaces(point)
    assert (moved > 0.0099).all()
    assert (SIZE - moved > 0.0099).all()
    needed = np.clip(point, 0.01, SIZE - 0.01)
    np.testing.assert_allclose(moved, needed, atol=1e-4)


def test_points_step_off_a_slope_on_their_own_side():
    slope = quad([-5, -5, -5], [5, -5, 5], [5, 5, 5], [-5, 5, -5])  # z = x
    caster = Raycaster(scene_of((slope, material())))
    normal = np.array([-1.0, 0.0, 1.0]) / np.sqrt(2.0)
    points = np.array([1.0, 2.0, 1.0]) + np.array([[0.0], [0.004], [-0.004], [0.5]]) * normal
    moved = caster.off_surfaces(points)
    np.testing.assert_allclose((moved - [1.0, 2.0, 1.0]) @ normal, [0.01, 0.01, -0.01, 0.5], atol=1e-4)


def test_points_are_left_alone_where_there_is_nothing():
    points = np.array([[0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(Raycaster(scene_of()).off_surfaces(points), points)


def test_nothing_is_met_where_there_is_nothing():
    caster = Raycaster(scene_of())
    hits = caster.intersect(np.zeros((4, 3)), np.eye(4, 3))
    assert np.isinf(hits.distance).all()
    assert (hits.triangle == -1).all()
    assert not caster.blocked(np.zeros((4, 3)), np.eye(4, 3), np.ones(4)).any()


def test_no_rays_give_no_hits(room):
    assert len(room.intersect(np.zeros((0, 3)), np.zeros((0, 3))).distance) == 0
    assert room.occluded(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)


def test_normals_are_those_of_the_triangles(room):
    np.testing.assert_allclose(np.abs(room.normals), np.repeat(np.eye(3), 4, axis=0), atol=1e-6)


def test_directions_are_spread_evenly_over_the_sphere():
    directions = sphere_directions(512).astype(float)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(directions.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(directions.T @ directions / 512, np.eye(3) / 3.0, atol=2e-3)
    angle = np.arccos(np.clip(directions @ directions.T - 2.0 * np.eye(512), -1, 1)).min(axis=1)
    assert angle.min() > 0.7 * np.sqrt(4.0 * np.pi / 512)  # no two close together
