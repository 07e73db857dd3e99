from __future__ import annotations

import numpy as np
import pytest

from naf_core.bands import A_WEIGHTING_DB
from naf_core.loudness import levels, source_at
from naf_core.scene import Emitter, Trajectory
from tests.fake_field import DiffuseField, FreeField, boxes

TONE = np.eye(8)[4]  # 1 kHz


def emitter(position: tuple[float, ...] = (0.0, 0.0, 0.0), level: float = 70.0, gain: float = 1.0) -> Emitter:
    return Emitter("e", Trajectory([0.0], [position]), "e.wav", gain=gain, level=level)


def source(position: tuple[float, ...], level: float = 70.0, gain: float = 1.0):
    return source_at(emitter(position, level, gain), TONE, 0.0)


def test_an_emitter_has_its_level_at_one_metre_whatever_its_spectrum():
    for spectrum in (TONE, np.eye(8)[0], np.array([8, 7, 6, 5, 4, 3, 2, 1.0]), 1e-9 * np.ones(8)):
        found = source_at(emitter(level=65.0), spectrum, 0.0)
        assert 10 * np.log10(found.energy.sum()) == pytest.approx(65.0)


def test_volume_counts_squared_and_a_muted_emitter_is_silent():
    assert 10 * np.log10(source((0, 0, 0), gain=0.5).energy.sum()) == pytest.approx(70.0 - 6.02, abs=0.01)
    assert not source((0, 0, 0), gain=0.0).energy.any()
    assert not source_at(emitter(), np.zeros(8), 0.0).energy.any()


def test_position_and_volume_are_those_of_the_moment():
    moving = Emitter("m", Trajectory([0.0, 2.0], [(0, 0, 0), (4, 0, 2)]), "m.wav", gain=[0.0, 1.0])
    found = source_at(moving, TONE, 1.5)
    np.testing.assert_allclose(found.position, (3.0, 0.0, 1.5))
    assert 10 * np.log10(found.energy.sum()) == pytest.approx(70.0 + 20 * np.log10(0.75))


def test_direct_sound_falls_with_the_square_of_the_distance():
    points = np.array([[1.0, 0, 0], [2, 0, 0], [0, 4, 0]])
    found = levels(FreeField(), [source((0, 0, 0))], points)
    np.testing.assert_allclose(found, 70.0 - 20 * np.log10([1, 2, 4]), atol=0.1)


def test_air_takes_its_part_over_long_distances():
    # Only 4 kHz, where 20 degrees and 50 % take 29.4 dB/km.
    high = source_at(emitter(), np.eye(8)[6], 0.0)
    found = levels(FreeField(), [high], [(100.0, 0, 0)])[0]
    assert found == pytest.approx(70.0 - 40.0 - 2.94, abs=0.01)


def test_a_second_source_adds_three_decibels_and_ten_add_ten():
    point = [(3.0, 2.0, 1.0)]
    field = DiffuseField(boxes(((-9, -9, -9), (9, 9, 9))))
    one = levels(field, [source((0, 0, 0))], point)
    np.testing.assert_allclose(levels(field, [source((0, 0, 0))] * 2, point) - one, 3.01, atol=0.01)
    np.testing.assert_allclose(levels(field, [source((0, 0, 0))] * 10, point) - one, 10.0, atol=0.01)


def test_bands_are_a_weighted():
    # As much energy at 63 Hz as at 1 kHz; far away in a room that passes only 63 Hz, the A-weighted rest of it is left.
    spectrum = np.zeros(8)
    spectrum[[0, 4]] = 0.5

    class OnlyLow(FreeField):
        def predict(self, emitters, listeners):
            response = super().predict(emitters, listeners)
            response.direct[:, 1:] = 0.0
            return response

    both = source_at(emitter(), spectrum, 0.0)
    low = levels(OnlyLow(), [both], [(1.0, 0, 0)])[0]
    share = 10 ** (A_WEIGHTING_DB[0] / 10) / (1 + 10 ** (A_WEIGHTING_DB[0] / 10))
    assert low == pytest.approx(70.0 + 10 * np.log10(share), abs=0.05)
    assert low == pytest.approx(70.0 - 26.2, abs=0.1)


def test_silence_is_minus_infinity():
    assert levels(FreeField(), [], [(1.0, 0, 0)])[0] == -np.inf
    assert levels(FreeField(), [source((0, 0, 0), gain=0.0)], [(1.0, 0, 0)])[0] == -np.inf
