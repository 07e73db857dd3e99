from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from naf_core.accuracy import MEASURES, errors, ordered_pairs, reciprocal
from naf_core.refinement import Refinement, far_apart, mean_errors
from naf_core.response import FRAME_EDGES, EnergyResponse, empty_response


def decaying(reverberation_time: float, level_db: float = 0.0, pairs: int = 4) -> EnergyResponse:
    response = empty_response((pairs,), 343.0)
    energy = -np.diff(10.0 ** (-6.0 * FRAME_EDGES / reverberation_time)) * 10.0 ** (level_db / 10.0)
    response.energy[..., 0] = energy
    response.tail_slope[:] = -60.0 / reverberation_time
    return response


def test_nothing_is_as_right_as_the_truth():
    for values in errors(decaying(1.0), decaying(1.0)).values():
        assert values.shape == (4, 6)
        assert (values == 0.0).all()


def test_errors_have_their_units():
    table = mean_errors(decaying(1.1), decaying(1.0))
    assert table["T30 %"] == pytest.approx(10.0, abs=0.5)
    assert table["EDT ms"] == pytest.approx(100.0, abs=5.0)
    assert mean_errors(decaying(1.0, level_db=-2.0), decaying(1.0))["G dB"] == pytest.approx(2.0, abs=0.01)
    assert set(table) == set(MEASURES)


def test_a_single_echo_has_no_reverberation_time():
    echo = decaying(1.0)
    echo.energy[1] = 0.0
    echo.energy[1, :, 20] = 1e-3
    echo.energy[1, :, 21:] = 1e-9
    table = errors(decaying(1.0), echo)
    assert np.isnan(table["T30 %"][1]).all()
    assert np.isfinite(table["T30 %"][[0, 2, 3]]).all()
    assert all(np.isfinite(table[name]).all() for name in MEASURES[1:])
    # What the field says cannot spare it the comparison.
    assert np.isfinite(errors(echo, decaying(1.0))["T30 %"]).all()


def test_pairs_come_one_way_and_then_the_other():
    first, second = ordered_pairs(4)
    assert len(first) == 12
    assert (first[:6] < second[:6]).all()
    np.testing.assert_array_equal(first[:6], second[6:])


def test_both_ways_are_averaged():
    loud, quiet = decaying(1.0, 3.0, pairs=1), decaying(1.0, -3.0, pairs=1)
    both = replace(
        loud,
        **{
            name: np.concatenate([getattr(loud, name), getattr(quiet, name)])
            for name in ("energy", "direct", "distance", "direct_direction", "tail_slope")
        },
    )
    np.testing.assert_allclose(reciprocal(both).energy, 0.5 * (loud.energy + quiet.energy), rtol=1e-6)


def test_far_points_are_chosen_each_once():
    points = np.random.default_rng(0).random((30, 3))
    chosen = far_apart(points, 6)
    assert len(set(chosen.tolist())) == 6
    gaps = np.linalg.norm(points[chosen][:, None] - points[chosen][None], axis=2) + 9.0 * np.eye(6)
    usual = np.linalg.norm(points[:6][:, None] - points[:6][None], axis=2) + 9.0 * np.eye(6)
    assert gaps.min() > usual.min()
    assert len(far_apart(points[:2], 6)) == 2


def test_only_what_helps_is_kept():
    good, bad = ({"T30 %": x, "EDT ms": x, "C50 dB": x, "G dB": x} for x in (0.5, 1.0))
    assert Refinement(bad, good, 10).kept
    assert not Refinement(good, bad, 10).kept
    assert not Refinement(good, good, 10).kept
    assert "stays as it was" in Refinement(good, bad, 10).words()
    assert "T30 1.00 → 0.50 %, C50 1.00 → 0.50 dB" in Refinement(bad, good, 10).words()
