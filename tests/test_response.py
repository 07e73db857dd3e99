from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.bands import N_BANDS
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, N_FRAMES, EnergyResponse, decay_time, empty_response

KEYS = {"T30_s", "T20_s", "EDT_s", "C50_dB", "C80_dB", "D50", "Ts_s", "G_dB"}
TIMES = st.floats(0.1, 10.0)


def integral(rate: float | np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Energy of exp(-rate * t) in each frame."""
    return (np.exp(-rate * edges[:-1]) - np.exp(-rate * edges[1:])) / rate


def decaying(*slopes: tuple[float, float], direct: float = 0.0) -> EnergyResponse:
    """A sum of exponential decays, each (reverberation time in s, total energy), the same in every band."""
    response = empty_response((), 343.0)
    frames = np.zeros(N_FRAMES)
    for reverberation_time, total in slopes:
        rate = 6.0 * np.log(10.0) / reverberation_time
        frames += total * rate * integral(rate, FRAME_EDGES)
    response.energy[..., 0] = frames
    response.direct[...] = direct
    response.tail_slope[...] = -60.0 / max(t for t, _ in slopes)
    return response


def value(response: EnergyResponse, key: str) -> float:
    values = response.parameters()[key]
    assert values.shape == response.direct.shape
    assert np.ptp(values) == 0.0  # all bands were made alike
    return float(values[0])


def test_frames_are_contiguous_and_hold_the_edges_that_iso_3382_names():
    assert FRAME_EDGES[0] == 0.0
    assert FRAME_EDGES[-1] == pytest.approx(6.0)
    assert (FRAME_WIDTHS > 0).all()
    assert (np.diff(FRAME_WIDTHS) > -1e-9).all()
    for edge in (0.050, 0.080):
        assert np.abs(FRAME_EDGES - edge).min() < 1e-9


@given(TIMES)
def test_parameters_of_an_exponential_decay(reverberation_time):
    response = decaying((reverberation_time, 1.0))
    rate = 6.0 * np.log(10.0) / reverberation_time
    assert value(response, "T30_s") == pytest.approx(reverberation_time, rel=0.005)
    assert value(response, "T20_s") == pytest.approx(reverberation_time, rel=0.005)
    assert value(response, "EDT_s") == pytest.approx(reverberation_time, rel=0.005)
    assert value(response, "C50_dB") == pytest.approx(10 * np.log10(np.expm1(rate * 0.050)), abs=0.05)
    assert value(response, "C80_dB") == pytest.approx(10 * np.log10(np.expm1(rate * 0.080)), abs=0.05)
    assert value(response, "D50") == pytest.approx(-np.expm1(-rate * 0.050), abs=0.001)
    assert value(response, "Ts_s") == pytest.approx(1.0 / rate, rel=0.02, abs=3e-4)
    assert value(response, "G_dB") == pytest.approx(20.0, abs=0.01)


def test_very_long_decays_are_carried_on_by_the_tail():
    # The frames end at 6 s, where a decay of 15 s has fallen by 24 dB only.
    response = decaying((15.0, 1.0))
    assert value(response, "T30_s") == pytest.approx(15.0, rel=0.005)
    assert value(response, "Ts_s") == pytest.approx(15.0 / (6.0 * np.log(10.0)), rel=0.02)
    assert value(response, "G_dB") == pytest.approx(20.0, abs=0.01)


def test_a_double_slope_shows_as_in_the_continuous_curve():
    fast, slow = (0.4, 1.0), (2.0, 0.02)
    response = decaying(fast, slow)
    t = np.linspace(0.0, 6.0, 60001)
    curve = sum(total * 10 ** (-6.0 * t / reverberation) for reverberation, total in (fast, slow))
    level = 10 * np.log10(curve / curve[0])
    for key, start, stop in (("EDT_s", 0.0, -10.0), ("T20_s", -5.0, -25.0), ("T30_s", -5.0, -35.0)):
        part = (level <= start) & (level >= stop)
        expected = -60.0 / np.polyfit(t[part], level[part], 1)[0]
        assert value(response, key) == pytest.approx(expected, rel=0.02), key
    assert value(response, "EDT_s") < value(response, "T20_s") < value(response, "T30_s")


def test_direct_sound_counts_in_the_early_energy():
    # Direct sound as strong as all reverberation: total doubles, the late part stays.
    reverberant, both = decaying((1.0, 1.0)), decaying((1.0, 1.0), direct=1.0)
    assert value(both, "G_dB") - value(reverberant, "G_dB") == pytest.approx(10 * np.log10(2), abs=0.01)
    late = 10 ** (-6.0 * 0.050)
    assert value(both, "D50") == pytest.approx((2.0 - late) / 2.0, abs=0.001)
    assert value(both, "C50_dB") == pytest.approx(10 * np.log10((2.0 - late) / late), abs=0.05)
    assert value(both, "Ts_s") == pytest.approx(value(reverberant, "Ts_s") / 2.0, rel=0.01)


def test_strength_is_relative_to_the_free_field_at_ten_metres():
    free = empty_response((), 343.0)
    free.direct[...] = 1.0 / 10.0**2
    assert value(free, "G_dB") == pytest.approx(0.0, abs=1e-4)
    assert value(free, "D50") == 1.0
    assert value(free, "Ts_s") == 0.0
    for key in ("T30_s", "T20_s", "EDT_s"):
        assert np.isnan(free.parameters()[key]).all(), "nothing decays in the free field"


def test_nothing_heard_has_no_parameters():
    response = decaying((1.0, 1.0))
    both = empty_response((2,), 343.0)
    both.energy[1], both.tail_slope[1] = response.energy, response.tail_slope
    parameters = both.parameters()
    assert set(parameters) == KEYS
    for key, values in parameters.items():
        assert values.shape == (2, N_BANDS)
        assert np.isnan(values[0]).all(), key
        assert np.isfinite(values[1]).all(), key


def test_a_decay_that_ends_early_has_no_t30():
    curve = np.full((1, N_FRAMES + 1), 0.1)
    curve[:, 0], curve[:, 20:] = 1.0, 0.0
    assert np.isnan(decay_time(curve, -5.0, -35.0)).all()
    assert np.isfinite(decay_time(curve, 0.0, -10.0)).all()


@given(TIMES, st.floats(1e-12, 1e12))
def test_only_the_strength_depends_on_the_scale_of_energy(reverberation_time, scale):
    one = decaying((reverberation_time, 1.0)).parameters()
    other = decaying((reverberation_time, scale)).parameters()
    for key in KEYS - {"G_dB"}:
        np.testing.assert_allclose(other[key], one[key], rtol=1e-3, atol=1e-3, err_msg=key)
    np.testing.assert_allclose(other["G_dB"] - one["G_dB"], 10 * np.log10(scale), atol=0.01)


@given(st.lists(st.floats(0.0, 1.0), min_size=N_FRAMES, max_size=N_FRAMES), st.floats(0.0, 1.0))
def test_the_decay_curve_never_rises_and_starts_at_the_total(frames, direct):
    response = empty_response((), 343.0)
    response.energy[..., 0] = frames
    response.direct[...] = direct
    curve = response.schroeder()
    assert (np.diff(curve, axis=-1) <= 1e-12).all()
    np.testing.assert_allclose(curve[..., 0], response.total, rtol=1e-9)


def test_indexing_takes_pairs_of_every_array():
    response = empty_response((3, 2), 340.0)
    response.distance[...] = np.arange(6).reshape(3, 2)
    part = response[1]
    assert part.energy.shape == (2, N_BANDS, N_FRAMES, 4)
    assert part.direct_direction.shape == (2, 3)
    assert part.tail_slope.shape == (2, N_BANDS)
    np.testing.assert_allclose(part.delay, np.array([2.0, 3.0]) / 340.0)
