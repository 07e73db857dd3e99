from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naf_core.planes import SAME_PLANE, Planes, planes
from naf_core.raycast import Raycaster
from tests.shapes import box, material, quad, scene_of


def planes_of(triangles: np.ndarray) -> Planes:
    scene = scene_of((triangles, material()))
    return planes(Raycaster(scene), scene)


def deviation(found: Planes, triangles: np.ndarray) -> np.ndarray:
    """How far each triangle reaches out of its plane, (F,) m."""
    triangles = triangles.astype(np.float32).astype(float)
    return np.max([np.abs(found.distance(found.of_triangle, corner)) for corner in triangles.swapaxes(0, 1)], axis=0)


@settings(max_examples=30)
@given(st.floats(0.0, 2 * np.pi), st.floats(-1.0, 1.0), st.floats(-3.0, 3.0))
def test_triangles_of_any_plane_are_one_mirror(azimuth, z, offset):
    normal = np.array([np.sqrt(1 - z * z) * np.cos(azimuth), np.sqrt(1 - z * z) * np.sin(azimuth), z])
    first = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    points = np.random.default_rng(1).uniform(-4, 4, (60, 2))
    corners = normal * offset + points[:, :1] * first + points[:, 1:] * second
    found = planes_of(corners.reshape(-1, 3, 3))
    assert len(found.offset) == 1
    np.testing.assert_allclose(np.abs(found.normal[0] @ normal), 1.0, atol=1e-9)


def test_planes_of_a_box_are_its_faces():
    triangles = box([0, 0, 0], [5, 4, 3])
    found = planes_of(triangles)
    plane = found.of_triangle[::2]
    np.testing.assert_array_equal(found.of_triangle, np.repeat(plane, 2))
    assert len(set(plane)) == 6
    np.testing.assert_allclose(np.abs(found.offset[plane]), [0, 5, 0, 4, 0, 3], atol=1e-6)
    np.testing.assert_allclose(np.abs(found.normal[plane]), np.repeat(np.eye(3), 2, axis=0), atol=1e-6)
    np.testing.assert_allclose(found.area[plane], [12, 12, 15, 15, 20, 20], rtol=1e-6)
    np.testing.assert_array_equal(found.low[plane], triangles.reshape(6, 6, 3).min(axis=1))
    np.testing.assert_array_equal(found.high[plane], triangles.reshape(6, 6, 3).max(axis=1))


@pytest.mark.parametrize("facets", [16, 500, 4000])
def test_a_curve_is_many_mirrors_however_finely_it_is_divided(facets):
    angle = np.linspace(0.0, np.pi / 2, facets + 1)
    rim = 5.0 * np.stack([np.cos(angle), np.sin(angle), np.zeros(facets + 1)], axis=1)
    strips = [quad(a, b, b + [0, 0, 3], a + [0, 0, 3]) for a, b in pairwise(rim)]
    triangles = np.concatenate(strips)
    found = planes_of(triangles)
    # Strips along the curve, each less than two tolerances wide to either side.
    assert min(facets, 0.25 * np.pi / 2 / SAME_PLANE) <= len(found.offset) <= facets
    assert deviation(found, triangles).max() < 2.0 * SAME_PLANE
    facing = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    facing /= np.linalg.norm(facing, axis=1, keepdims=True)
    assert np.abs(np.einsum("ij,ij->i", facing, found.normal[found.of_triangle])).min() > np.cos(2.0 * SAME_PLANE)


def test_areas_that_grow_along_a_curve_are_grouped_in_few_turns():
    # Each strip is wider than the one before: were the widest always first, each turn would group but one.
    angle = np.pi / 2 * np.linspace(0.0, 1.0, 4001) ** 1.5
    rim = 5.0 * np.stack([np.cos(angle), np.sin(angle), np.zeros(len(angle))], axis=1)
    triangles = np.concatenate([quad(a, b, b + [0, 0, 3], a + [0, 0, 3]) for a, b in pairwise(rim)])
    assert deviation(planes_of(triangles), triangles).max() < 2.0 * SAME_PLANE


def test_a_wall_far_from_the_origin_is_one_mirror():
    steps = np.linspace(0.0, 4.0, 41)
    tiles = [quad([x, y, 0], [x + 0.1, y, 0], [x + 0.1, y + 0.1, 0], [x, y + 0.1, 0]) for x in steps for y in steps]
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    found = planes_of(np.concatenate(tiles) @ turn + [60.0, -35.0, 20.0])
    assert found.area.max() == pytest.approx(found.area.sum(), rel=0.01)


def test_panels_before_a_wall_are_mirrors_of_their_own():
    wall = quad([0, -9, -9], [0, 9, -9], [0, 9, 9], [0, -9, 9])
    assert len(planes_of(np.concatenate([wall, wall + [0.005, 0, 0]])).offset) == 2


def test_images_lie_as_far_behind_as_points_lie_before():
    found = planes_of(box([0, 0, 0], [5, 4, 3]))
    points = np.random.default_rng(3).uniform(0.0, 3.0, (6, 3))
    images = found.mirrored(np.arange(6), points)
    np.testing.assert_allclose(found.distance(np.arange(6), images), -found.distance(np.arange(6), points), atol=1e-9)
    np.testing.assert_allclose(found.mirrored(np.arange(6), images), points, atol=1e-9)


def test_without_triangles_there_are_no_planes():
    assert [len(column) for column in planes_of(np.zeros((0, 3, 3)))] == [0] * 6
