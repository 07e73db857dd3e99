from __future__ import annotations

import numpy as np
import pytest

from naf_core.lattice import Lattice, blend
from naf_core.raycast import Raycaster
from tests.fake_field import PLASTER, boxes
from tests.shapes import quad, scene_of


def ears(n: int = 40) -> np.ndarray:
    """Places on a square of 4 m, (n, n, 3)."""
    x = (np.arange(n) + 0.5) * 4.0 / n
    return np.stack([*np.meshgrid(x, x), np.full((n, n), 1.5)], axis=-1)


def spread(lattice: Lattice, values: np.ndarray) -> np.ndarray:
    """``values`` (c, n) at the nodes, brought to all texels: (c, h, w)."""
    result = np.full((len(values), lattice.shape[0] * lattice.shape[1]), np.nan)
    for texels, weight in lattice.parts():
        for row, value in zip(result, values, strict=True):
            row[texels] = blend(weight, value[:, None])[:, 0]
    return result.reshape(len(values), *lattice.shape)


def test_a_plane_is_interpolated_exactly_within():
    places, everywhere = ears(), np.ones((40, 40), bool)
    lattice = Lattice(Raycaster(boxes()), places, everywhere, 80)
    flat = places.reshape(-1, 3)[lattice.nodes]
    found = spread(lattice, np.stack([3 * flat[:, 0] - 2 * flat[:, 1], np.full(len(flat), 7.0)]))
    inner = np.s_[2 * lattice.step : -2 * lattice.step, 2 * lattice.step : -2 * lattice.step]
    expected = 3 * places[..., 0] - 2 * places[..., 1]
    np.testing.assert_allclose(found[0][inner], expected[inner], atol=0.02)
    np.testing.assert_allclose(found[1], 7.0)


@pytest.mark.parametrize("n_nodes", [1, 10, 100, 10_000])
def test_about_as_many_nodes_as_asked(n_nodes):
    lattice = Lattice(Raycaster(boxes()), ears(), np.ones((40, 40), bool), n_nodes)
    assert 0.2 * n_nodes <= len(lattice.nodes) <= max(1.5 * n_nodes, 4) or lattice.step == 2


def test_nothing_is_carried_through_a_wall():
    plane = quad((2, -1, 0), (2, 9, 0), (2, 9, 3), (2, -1, 3))
    places, everywhere = ears(), np.ones((40, 40), bool)
    lattice = Lattice(Raycaster(scene_of((plane, PLASTER))), places, everywhere, 80)
    right = places.reshape(-1, 3)[lattice.nodes][:, 0] > 2
    found = spread(lattice, right[None].astype(float))[0]
    np.testing.assert_array_equal(found, places[..., 0] > 2)


def test_what_sees_no_node_or_only_unknown_ones_stays_unknown():
    half = ears()[..., 0] < 2
    lattice = Lattice(Raycaster(boxes()), ears(), half, 80)
    values = np.full((2, len(lattice.nodes)), 5.0)
    values[1] = np.nan
    found = spread(lattice, values)
    np.testing.assert_array_equal(np.isfinite(found[0]), half)
    assert np.isnan(found[1]).all()


def test_nowhere_in_the_open_there_are_no_nodes():
    lattice = Lattice(Raycaster(boxes()), ears(), np.zeros((40, 40), bool), 80)
    assert len(lattice.nodes) == 0
    assert np.isnan(spread(lattice, np.zeros((1, 0)))).all()
