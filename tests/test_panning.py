import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.ambisonics import encode
from naf_core.layouts import LAYOUTS
from naf_core.panning import Loudspeakers, Triangulation

LAYOUT = {name: Loudspeakers(layout.angles) for name, layout in LAYOUTS.items()}


def towards(azimuth, elevation=0.0):
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.array([[np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)]])


def places(name):
    return np.array([np.zeros(3) if angle is None else towards(*angle)[0] for angle in LAYOUTS[name].angles])


@given(st.sampled_from(list(LAYOUTS)), st.floats(-180, 180), st.floats(-90, 90))
def test_the_power_is_kept_everywhere(name, azimuth, elevation):
    gains = LAYOUT[name].gains(towards(azimuth, elevation))[:, 0]
    assert np.square(gains).sum() == pytest.approx(1.0) and (gains >= -1e-12).all()


@given(st.sampled_from(list(LAYOUTS)), st.floats(-180, 180))
def test_the_velocity_vector_points_at_the_source(name, azimuth):
    """Pulkki 1997: the sum of loudspeaker vectors times gains has the direction of the source, at ear height."""
    gains = LAYOUT[name].gains(towards(azimuth))[:, 0]
    pointed = gains @ places(name)
    cosine = pointed @ towards(azimuth)[0] / np.linalg.norm(pointed)
    assert np.degrees(np.arccos(min(cosine, 1.0))) < 0.1
    assert np.count_nonzero(gains > 1e-9) <= 2


def test_sounds_from_above_use_the_upper_loudspeakers():
    gains = LAYOUT["7.1.4"].gains(towards(0.0, 60.0))[:, 0]
    assert np.square(gains[8:]).sum() > 0.7
    np.testing.assert_allclose(gains[[0, 8, 10]], gains[[1, 9, 11]], atol=1e-9)
    ring = LAYOUT["5.1"].gains(towards(0.0, 90.0))[[0, 1, 2, 4, 5], 0]
    np.testing.assert_allclose(ring, 5**-0.5)


def test_a_source_that_circles_makes_no_jump():
    for speakers in LAYOUT.values():
        circle = np.concatenate([towards(a, 12.0) for a in np.arange(-180, 180, 0.5)])
        assert np.abs(np.diff(speakers.gains(circle), axis=1)).max() < 0.05


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_decoded_ambisonics_keep_power_and_direction(name, order):
    matrix = LAYOUT[name].decoder(order)
    around = np.random.default_rng(0).standard_normal((4000, 3))
    around /= np.linalg.norm(around, axis=1)[:, None]
    power = np.square(matrix @ encode(around, order)).sum(axis=0)
    assert power.mean() == pytest.approx(1.0, rel=0.05)
    for azimuth in (0.0, 90.0, -120.0, 180.0):
        gains = matrix @ encode(towards(azimuth), order)[:, 0]
        energy = np.square(gains) @ places(name)
        wrong = np.degrees(np.arccos(energy @ towards(azimuth)[0] / np.linalg.norm(energy)))
        assert wrong < 25.0, azimuth
    assert not matrix[3].any()


def test_directions_on_one_side_are_refused():
    with pytest.raises(ValueError, match="surround"):
        Triangulation(np.array([[1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]]))


def test_the_triangle_that_is_passed_is_found_among_thin_ones_too():
    """Where rows of directions stand close together, the nearest corner is not always one of the triangle's."""
    rng = np.random.default_rng(0)
    rows = [[*towards(azimuth, elevation)[0]] for elevation in (-60, 0, 5, 60) for azimuth in range(0, 360, 7)]
    directions = np.array([*rows, [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    asked = rng.standard_normal((2000, 3))
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    index, weights = Triangulation(directions).weights(asked)
    np.testing.assert_allclose(np.einsum("nk,nki->ni", weights, directions[index]), asked, atol=1e-9)
