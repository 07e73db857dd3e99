"""The picture of a material's values."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon import curve


def heights(picture: np.ndarray, colour: tuple[float, ...]) -> list[int]:
    """Rows of a colour in the middle of each band."""
    edges = np.linspace(4, curve.SIZE - 4, 9)
    middles = (0.5 * (edges[:-1] + edges[1:])).astype(int)
    return [int((np.abs(picture[:, x] - colour).max(axis=1) < 0.01).sum()) for x in middles]


def test_bars_are_as_high_as_the_absorption() -> None:
    values = np.linspace(0.1, 0.8, 8)
    found = heights(curve.draw(values, np.ones(8)), curve._ABSORPTION)
    np.testing.assert_allclose(np.array(found) / (curve.SIZE - 8), values, atol=0.02)


def test_the_line_lies_where_the_scattering_is() -> None:
    low, high = (curve.draw(np.zeros(8), np.full(8, share)) for share in (0.0, 1.0))
    assert heights(low, curve._SCATTERING) == heights(high, curve._SCATTERING) == [3] * 8
    assert not np.array_equal(low, high)


def test_equal_values_share_an_icon_and_others_do_not() -> None:
    curve._previews[0].clear()
    for value in (0.1, 0.5, 0.1):
        curve.icon([value] * 8, [0.2] * 8)
    assert len(curve._previews[0]) == 2


def test_icons_do_not_pile_up() -> None:
    for k in range(3 * curve._MOST):
        curve.icon([k / 1000.0] * 8, [0.0] * 8)
    assert len(curve._previews[0]) <= curve._MOST


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_ends_of_the_scale_stay_inside(value: float) -> None:
    picture = curve.draw([value] * 8, [value] * 8)
    assert picture.shape == (curve.SIZE, curve.SIZE, 4)
    assert np.isfinite(picture).all()
