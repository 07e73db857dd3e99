from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.air import Air
from naf_core.bands import BANDS_HZ
from naf_core.errors import UserError

DB_PER_NEPER = 10.0 / np.log(10.0)

# ISO 9613-2:1996, table 2: attenuation in dB/km by temperature (degrees Celsius) and humidity (percent).
TABLE = {
    (10.0, 70.0): (0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117.0),
    (20.0, 70.0): (0.1, 0.3, 1.1, 2.8, 5.0, 9.0, 22.9, 76.6),
    (30.0, 70.0): (0.1, 0.3, 1.0, 3.1, 7.4, 12.7, 23.1, 59.3),
    (15.0, 20.0): (0.3, 0.6, 1.2, 2.7, 8.2, 28.2, 88.8, 202.0),
    (15.0, 50.0): (0.1, 0.5, 1.2, 2.2, 4.2, 10.8, 36.2, 129.0),
    (15.0, 80.0): (0.1, 0.3, 1.1, 2.4, 4.1, 8.3, 23.7, 82.8),
}


@pytest.mark.parametrize("state", TABLE)
def test_attenuation_is_that_of_the_published_table(state):
    decibel_per_kilometre = Air(*state).absorption() * DB_PER_NEPER * 1000.0
    np.testing.assert_allclose(decibel_per_kilometre, TABLE[state], atol=0.06, rtol=0.004)


def test_attenuation_in_the_default_air():
    # 20 degrees, 50 %, at the nominal frequencies (ISO 9613-1:1993, equations 3 to 5).
    decibel_per_kilometre = Air().absorption(BANDS_HZ) * DB_PER_NEPER * 1000.0
    expected = (0.123, 0.44, 1.31, 2.73, 4.66, 9.89, 29.7, 105.0)
    np.testing.assert_allclose(decibel_per_kilometre, expected, rtol=0.01)


def test_absorption_is_an_exponent_of_energy():
    # 4.66 dB/km at 1 kHz: after 1 km the energy has fallen by that many decibels.
    m = Air().absorption()[4]
    assert 10.0 * np.log10(np.exp(-m * 1000.0)) == pytest.approx(-4.66, abs=0.05)


def test_absorption_takes_any_frequencies():
    assert Air().absorption((1000.0, 8000.0)).shape == (2,)
    np.testing.assert_allclose(Air().absorption((1000.0,))[0], Air().absorption()[4])


@pytest.mark.parametrize(("temperature", "speed"), [(-20.0, 318.9), (0.0, 331.3), (20.0, 343.2), (30.0, 349.0)])
def test_speed_of_sound(temperature, speed):
    assert Air(temperature=temperature).speed_of_sound == pytest.approx(speed, abs=0.2)


@given(st.floats(-20.0, 50.0), st.floats(1.0, 100.0), st.floats(20.0, 200.0))
def test_higher_frequencies_are_absorbed_more_in_any_air(temperature, humidity, pressure):
    m = Air(temperature, humidity, pressure).absorption()
    assert (m > 0.0).all()
    assert (np.diff(m) > 0.0).all()


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -273.0},
        {"temperature": float("nan")},
        {"humidity": 0.0},
        {"humidity": 101.0},
        {"pressure": 0.0},
    ],
)
def test_air_out_of_range_is_refused_by_name_with_the_remedy(values):
    (name,) = values
    with pytest.raises(UserError, match=f"{name}.*set it within"):
        Air(**values)
