from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from naf_core.simplification import Simplified, simplified
from tests.shapes import box


def grid(n: int, height: object = None) -> tuple[np.ndarray, np.ndarray]:
    """A square of 1 m with n x n corners, at ``height`` (a function of x and y)."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0.0, 1.0, n), np.linspace(0.0, 1.0, n)))
    index = np.arange(n * n).reshape(n, n)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return np.stack([x, y, np.zeros_like(x) if height is None else height(x, y)], axis=1), triangles


def sphere(n: int, radius: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A ball of 6 n² squares that face outwards."""
    parts = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            vertices, triangles = grid(n)
            side = np.empty_like(vertices)
            side[:, axis], side[:, (axis + 1) % 3], side[:, (axis + 2) % 3] = (
                sign,
                sign * (2.0 * vertices[:, 0] - 1.0),
                2.0 * vertices[:, 1] - 1.0,
            )
            parts.append(side[triangles])
    return welded(np.concatenate(parts), radius)


def welded(corners: np.ndarray, radius: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (n, 3, 3) as vertices and indices, blown up to a ball where there is a ``radius``."""
    points = corners.reshape(-1, 3).round(9)
    vertices, index = np.unique(points, axis=0, return_inverse=True)
    if radius is not None:
        vertices = radius * vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    return vertices, index.reshape(-1, 3)


def areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = np.asarray(vertices, float)[triangles].transpose(1, 0, 2)
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def volume(vertices: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = np.asarray(vertices, float)[triangles].transpose(1, 0, 2)
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6.0)


def test_volume_area_and_absorption_area_of_a_ball_are_kept() -> None:
    vertices, triangles = sphere(45)
    found = simplified(vertices, triangles, 0.15)
    assert len(found.triangles) < len(triangles) / 5
    assert volume(*found[:2]) == pytest.approx(volume(vertices, triangles), rel=0.02)
    assert areas(*found[:2]).sum() == pytest.approx(areas(vertices, triangles).sum(), rel=0.02)
    # A = sum of alpha S, of a ball whose upper half absorbs.
    alpha = np.where(vertices[triangles].mean(axis=1)[:, 2] > 0.0, 0.8, 0.05)
    before, after = alpha @ areas(vertices, triangles), alpha[found.source] @ areas(*found[:2])
    assert after == pytest.approx(before, rel=0.04)  # the border between the halves runs along cells


def test_flat_parts_stay_flat_edges_sharp_and_borders_where_they_are() -> None:
    vertices, triangles = grid(60)
    vertices = vertices @ np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    found = simplified(vertices, triangles, 0.1)
    assert len(found.triangles) < len(triangles) / 8
    assert areas(*found[:2]).sum() == pytest.approx(1.0, rel=0.005)
    normal = np.cross(vertices[59] - vertices[0], vertices[-1] - vertices[0])
    assert np.abs(found.vertices @ normal).max() < 1e-6


def test_a_finely_divided_box_keeps_volume_and_walls() -> None:
    cube, index = sphere(40)
    cube = cube / np.abs(cube).max(axis=1, keepdims=True)
    found = simplified(cube, index, 0.17)
    assert len(found.triangles) < len(index) / 3
    assert volume(*found[:2]) == pytest.approx(8.0, rel=1e-4)
    assert np.abs(np.abs(found.vertices).max(axis=1) - 1.0).max() < 1e-5


def test_coarse_things_stay_exactly_as_they_are() -> None:
    vertices, index = welded(box([0, 0, 0], [6, 4, 0.02]))
    found = simplified(vertices, index, 0.1)
    np.testing.assert_array_equal(found.vertices[found.triangles], vertices.astype(np.float32)[index])
    np.testing.assert_array_equal(found.source, np.arange(len(index)))


def test_a_thin_sheet_of_two_sides_becomes_one() -> None:
    vertices, triangles = grid(50)
    both = np.concatenate([vertices, vertices + [0, 0, 0.004]])
    found = simplified(both, np.concatenate([triangles, triangles[:, ::-1] + len(vertices)]), 0.1)
    assert areas(*found[:2]).sum() == pytest.approx(1.0, rel=0.02)
    assert found.vertices[:, 2] == pytest.approx(0.002, abs=1e-4)


def test_what_is_smaller_than_the_tolerance_vanishes() -> None:
    vertices, triangles = sphere(20, radius=0.01)
    found = simplified(vertices + 0.6, triangles, 0.3)
    assert len(found.triangles) == len(found.vertices) == 0
    assert simplified(np.zeros((0, 3)), np.zeros((0, 3), int), 0.1).triangles.shape == (0, 3)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    scale=st.sampled_from((1e-3, 1.0, 1e4)),
    tolerance=st.floats(0.03, 0.4),
    shift=st.sampled_from((0.0, 1000.0)),
)
def test_no_corner_moves_further_than_the_tolerance(seed: int, scale: float, tolerance: float, shift: float) -> None:
    generator = np.random.default_rng(seed)
    vertices, triangles = sphere(12)
    vertices = scale * (vertices * (1.0 + 0.1 * generator.random((len(vertices), 1))) + shift)
    found = simplified(vertices, triangles, tolerance * scale)
    moved, _ = cKDTree(found.vertices).query(vertices[triangles[found.source]].reshape(-1, 3))
    slack = 1e-4 * scale + 1e-6 * scale * shift
    assert moved.max(initial=0.0) <= tolerance * scale + slack
    assert (areas(*found[:2]) >= 0.0).all() and len(np.unique(np.sort(found.triangles, axis=1), axis=0)) == len(
        found.triangles
    )


def test_rows_of_cells_beyond_whole_numbers() -> None:
    """Clusters far apart, in cells so small that their number does not fit."""
    vertices, triangles = sphere(4, radius=0.001)
    far = np.concatenate([vertices, vertices + 1e6])
    found = simplified(far, np.concatenate([triangles, triangles + len(vertices)]), 1e-3)
    assert isinstance(found, Simplified) and np.isfinite(found.vertices).all()
