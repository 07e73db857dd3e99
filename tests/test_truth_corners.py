import numpy as np
import pytest

from naf_core.truth.corners import exact_wedge
from naf_core.wedge import wedge_field

K = 2.0 * np.pi * np.array([500.0, 4000.0]) / 343.2


@pytest.mark.parametrize("air_angle", [1.5 * np.pi, 2.0 * np.pi])
def test_the_exact_wedge_and_the_uniform_theory_agree_where_both_hold(air_angle):
    rng = np.random.default_rng(0)
    radius, height = rng.uniform(1.0, 4.0, (2, 10)), rng.uniform(-1.0, 1.0, 10)
    start = rng.uniform(0.1, air_angle - np.pi - 0.2, 10)
    ends = (radius[0], start), (radius[1], rng.uniform(start + np.pi + 0.05, air_angle - 0.1))
    exact = exact_wedge(*ends, height, air_angle, K)
    uniform = wedge_field(*ends, height, np.full(10, air_angle), K)
    assert np.abs(20.0 * np.log10(np.abs(uniform / exact))).max() < 0.5
    assert np.abs(np.angle(uniform / exact)).max() < 0.1


def test_the_exact_half_plane_leaves_half_of_the_amplitude_on_its_boundary():
    ends = (np.array([30.0]), np.array([1.2])), (np.array([30.0]), np.array([1.2 + np.pi + 2e-4]))
    assert abs(exact_wedge(*ends, np.zeros(1), 2.0 * np.pi, K)[0, 0]) * 60.0 == pytest.approx(0.5, abs=0.03)
