import numpy as np
import pytest

from naf_core.wedge import covered, transition, wedge_field

K = 2.0 * np.pi * np.array([63.0, 500.0, 4000.0]) / 343.2


def half_plane(start, stop, radius=2.0):
    n = len(np.atleast_1d(start))
    ends = (np.full(n, radius), np.atleast_1d(start)), (np.full(n, radius), np.atleast_1d(stop))
    return wedge_field(*ends, np.zeros(n), np.full(n, 2.0 * np.pi), K)


def test_the_transition_runs_from_nothing_to_one():
    # At the ends by its series and asymptote (Kouyoumjian and Pathak 1974, equations 29 and 30); between, the table of
    # McNamara, Pistorius and Malherbe 1990, Introduction to the Uniform Geometrical Theory of Diffraction, 4.5.
    x = np.array([0.0, 1e-6, 0.3, 100.0])
    f = transition(x)
    assert f[0] == 0.0
    assert f[1] == pytest.approx(np.sqrt(np.pi * 1e-6) * np.exp(0.25j * np.pi), rel=2e-3)
    assert f[2] == pytest.approx(0.5717 + 0.2730j, abs=1e-3)
    assert f[3] == pytest.approx(1.0 + 0.5j / 100.0, abs=1e-3)


def test_on_the_shadow_boundary_half_of_the_amplitude_is_left():
    short = 1e-6
    hidden, seen = (half_plane(0.8, 0.8 + np.pi + side * short)[0] * 4.0 for side in (1.0, -1.0))
    np.testing.assert_allclose(hidden - seen, 1.0, atol=1e-4)  # what the direct sound makes up for
    assert abs(abs(hidden[2]) - 0.5) < 0.05


def test_low_notes_bend_further():
    level = 20.0 * np.log10(np.abs(half_plane(0.5, 5.5)[0]))
    assert (np.diff(level) < -6.0).all()


def test_ends_can_be_exchanged():
    rng = np.random.default_rng(0)
    radius, angle = rng.uniform(0.2, 5.0, (2, 50)), rng.uniform(0.0, 1.5 * np.pi, (2, 50))
    height, air = rng.uniform(-3.0, 3.0, 50), np.full(50, 1.5 * np.pi)
    there = wedge_field((radius[0], angle[0]), (radius[1], angle[1]), height, air, K)
    back = wedge_field((radius[1], angle[1]), (radius[0], angle[0]), -height, air, K)
    np.testing.assert_allclose(there, back, rtol=1e-9)
    assert np.isfinite(there).all()


def test_the_two_sides_of_a_border_make_a_whole_wave():
    detour = np.array([0.0, 0.01, 0.3, 20.0])
    np.testing.assert_allclose(covered(detour, K) + covered(-detour, K), 1.0, atol=1e-9)
    assert covered(np.zeros(1), K) == pytest.approx(np.full((1, 3), 0.5))
    assert np.abs(covered(np.array([20.0]), K) - 1.0).max() < 0.06
