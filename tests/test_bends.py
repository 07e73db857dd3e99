import numpy as np
import pytest
from scipy.optimize import minimize

from naf_core.bends import Ways, WaySearch
from naf_core.edges import find_edges
from naf_core.raycast import Raycaster
from tests.shapes import box, material, quad, scene_of

K = 2.0 * np.pi * np.array([63.0, 125, 250, 500, 1000, 2000, 4000, 8000]) / 343.2


def ways(triangles: np.ndarray, emitter: list[float], listener: list[float]) -> Ways:
    scene = scene_of((triangles, material()))
    caster = Raycaster(scene)
    ends = np.array(emitter, float), np.array(listener, float)
    lit = not caster.occluded(ends[1][None], ends[0][None])[0]
    return WaySearch(caster, find_edges(scene, caster), *ends, lit, K).ways()


def test_the_way_over_one_edge_is_the_shortest():
    screen = quad([0, -9, -9], [0, 0.5, -9], [0, 0.5, 9], [0, -9, 9])
    found = ways(screen, [-2, -1, 0], [3, -2, 1.5])
    single = np.flatnonzero((found.order == 1) & found.bends)
    best = found.length[single].argmin()

    def length(z: float) -> float:
        return float(np.linalg.norm([2, 1.5, z]) + np.linalg.norm([3, 2.5, 1.5 - z]))

    shortest = minimize(lambda z: length(z[0]), [0.0])
    assert found.length[single][best] == pytest.approx(shortest.fun, abs=1e-6)
    np.testing.assert_allclose(found.first[single][best], [0.0, 0.5, shortest.x[0]], atol=1e-3)


def test_a_thick_wall_is_rounded_over_both_of_its_edges():
    wall = box([0, -9, -9], [0.4, 0.5, 9])
    found = ways(wall, [-2, -1, 0], [3, -2, 1.5])
    best = np.where(found.bends, found.length, np.inf).argmin()
    assert found.order[best] == 2
    np.testing.assert_allclose(found.first[best][:2], [0.0, 0.5], atol=1e-6)
    np.testing.assert_allclose(found.last[best][:2], [0.4, 0.5], atol=1e-6)
    # Unrolled, the way is straight: it climbs evenly.
    flat = np.hypot(2, 1.5), 0.4, np.hypot(2.6, 2.5)
    assert found.length[best] == pytest.approx(np.hypot(sum(flat), 1.5), abs=1e-6)


def test_who_sees_has_the_direct_way_and_edges_beside_it():
    screen = quad([0, -9, -9], [0, 0, -9], [0, 0, 9], [0, -9, 9])
    found = ways(screen, [-2, 0.2, 0], [2, 0.2, 0])
    assert (found.order == 0).sum() == 1
    beside = found.order == 1
    assert not found.bends[beside].any()
    # It takes away from the direct sound.
    assert (found.amplitude[beside, 0].real < 0.0).all()


def test_a_closed_box_lets_no_way_through():
    assert not len(ways(box([-1, -1, -1], [1, 1, 1]), [0, 0, 0], [3, 0, 0]).length)
    assert len(ways(box([-1, -1, -1], [1, 1, 1], without="+z"), [0, 0, 0], [3, 0, 0]).length)


def test_far_from_all_edges_there_is_the_direct_way_only():
    found = ways(box([10, 10, 10], [11, 11, 11]), [0, 0, 0], [1, 0, 0])
    assert found.order.tolist() == [0]
    np.testing.assert_allclose(found.amplitude, 1.0)
