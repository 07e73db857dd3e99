from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.colours import colours, fit_range


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (n, 3) of sRGB colours (n, 3) 0..255 under D65 (CIE 15:2004)."""
    linear = np.where(rgb / 255 <= 0.04045, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    matrix = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    x, y, z = (linear @ np.transpose(matrix) / (0.95047, 1.0, 1.08883)).T
    f = [np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29) for t in (x, y, z)]
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])], axis=1)


def test_equal_steps_of_level_are_equal_steps_of_lightness():
    lightness = lab(colours(np.linspace(40, 70, 33), (40, 70)).astype(float))[:, 0]
    steps = np.diff(lightness)
    assert lightness[0] < 20 < 85 < lightness[-1]
    assert (steps > 0).all()
    assert steps.std() < 0.25 * steps.mean()


def test_colours_differ_as_much_for_who_does_not_see_red_or_green():
    # Without red-green vision only lightness and the blue-yellow axis are left.
    steps = np.linalg.norm(
        np.diff(lab(colours(np.linspace(0, 1, 33), (0, 1)).astype(float))[:, [0, 2]], axis=0), axis=1
    )
    assert steps.min() > 1.5  # a difference of 1 can be seen


def test_levels_beyond_the_range_take_its_ends():
    found = colours(np.array([[-np.inf, 40.0, np.nan], [70.0, 99.0, np.inf]]), (40, 70))
    assert found.shape == (2, 3, 3)
    assert found.dtype == np.uint8
    low, high = (68, 1, 84), (253, 231, 37)
    np.testing.assert_array_equal(found, [[low, low, low], [high, high, high]])


@given(st.lists(st.floats(-50, 150), min_size=1, max_size=50))
def test_the_fitted_range_is_round_and_holds_nearly_everything(levels):
    low, high = fit_range(np.array([*levels, np.nan]))
    assert low % 5 == high % 5 == 0
    assert 10 <= high - low <= 60
    assert np.percentile(levels, 99.5) <= high + 1e-9
    assert np.percentile(levels, 0.5) >= low - 1e-9 or high - low == 60


def test_a_few_texels_beside_an_emitter_do_not_stretch_the_range():
    levels = np.linspace(52, 63, 10_000)
    levels[:20] = 110.0
    assert fit_range(levels) == (50.0, 65.0)


def test_a_map_without_levels_still_has_a_range():
    low, high = fit_range(np.full((4, 4), np.nan))
    assert high - low == pytest.approx(30)
