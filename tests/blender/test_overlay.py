"""The legend in the viewport: its numbers and colours are those of the map."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon import overlay
from naf_core.colours import PALETTES, colours
from naf_core.quantities import QUANTITIES


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_numbers_stand_where_their_colours_are(quantity: str) -> None:
    low, high = QUANTITIES[quantity].usual
    found = overlay.marks(low, high, quantity)
    assert 3 <= len(found) <= 13
    corners, shades = overlay.bar("viridis")
    for share, text in found:
        assert share == pytest.approx((float(text) - low) / (high - low), abs=1e-6)
        expected = colours(np.array(float(text)), (low, high)) / 255.0
        shown = [np.interp(share, corners[::2, 1], shades[::2, channel]) for channel in range(3)]
        np.testing.assert_allclose(shown, expected, atol=0.01)


@pytest.mark.parametrize("palette", PALETTES)
def test_the_bar_goes_from_the_lowest_to_the_highest_colour(palette: str) -> None:
    _, shades = overlay.bar(palette)
    np.testing.assert_allclose(shades[0, :3] * 255, colours(np.array(0.0), (0, 1), palette), atol=1e-3)
    np.testing.assert_allclose(shades[-1, :3] * 255, colours(np.array(1.0), (0, 1), palette), atol=1e-3)
