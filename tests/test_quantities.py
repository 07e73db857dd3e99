from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.colours import fit_range
from naf_core.quantities import QUANTITIES, tick_of, title_of, unit_of


@pytest.mark.parametrize("key", QUANTITIES)
@given(values=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_the_fitted_range_is_whole_ticks_and_holds_the_values(key, values):
    scale = QUANTITIES[key]
    low, high = fit_range(np.array(values), key)
    for end in (low, high):
        assert end / scale.tick == pytest.approx(round(end / scale.tick), abs=1e-4)
    assert scale.least - 1e-6 <= high - low <= scale.most + scale.tick
    assert low - 1e-6 <= np.percentile(values, 0.5) and np.percentile(values, 99.5) <= high + 1e-6


@pytest.mark.parametrize("key", QUANTITIES)
def test_a_map_without_values_has_the_usual_range(key):
    assert fit_range(np.array([np.nan]), key) == QUANTITIES[key].usual


@pytest.mark.parametrize(
    ("key", "limits", "tick"),
    [
        ("level", (40, 70), 5),
        ("level", (20, 80), 5),
        ("T30", (0.3, 0.9), 0.1),
        ("T30", (0.2, 9.0), 1.0),
        ("STI", (0, 1), 0.1),
    ],
)
def test_scales_have_at_most_a_dozen_numbers(key, limits, tick):
    assert tick_of(key, limits) == pytest.approx(tick)


def test_titles_and_units():
    assert (title_of("level", None), unit_of("level", None)) == ("A-weighted sound pressure level", "dB(A)")
    assert (title_of("level", 3), unit_of("level", 3)) == ("Sound pressure level, 500 Hz", "dB")
    assert title_of("T30", None) == "Reverberation time T30, mid"
    assert title_of("STI", 3) == title_of("STI", None)
