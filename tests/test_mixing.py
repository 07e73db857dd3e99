import math

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.layouts import loudness_weights
from naf_core.mixing import LoudnessMeter, MixMeter, balance, part_gains
from naf_core.sound import true_peak

RATE = 48000
PAIR = (1.0, 1.0)


def stereo(level=0.1, seconds=2.0, seed=0):
    return (level * np.random.default_rng(seed).standard_normal((int(seconds * RATE), 2))).astype(np.float32)


def mix(stems, loudness=None, peak=-1.0, block=3000):
    """How stems of one length are mixed, and the scaled sum."""
    meter = MixMeter(len(stems), RATE, PAIR)
    for start in range(0, len(stems[0]), block):
        meter.add([stem[start : start + block] for stem in stems])
    whole = meter.balance(loudness, peak)
    return whole, whole.factor * sum(stems)


def loudness_of(samples, rate, weights, block=7777):
    meter = LoudnessMeter(rate, weights)
    for start in range(0, len(samples), block):
        meter.add(samples[start : start + block])
    return meter.finish()


def test_the_mix_is_never_clipped_and_keeps_proportions():
    rng = np.random.default_rng(4)
    stems = [0.8 * rng.standard_normal((4800, 2)).astype(np.float32), 0.3 * np.ones((4800, 2), np.float32)]
    whole, samples = mix(stems)
    assert whole.factor < 1.0
    scaled = (samples, *(whole.factor * stem for stem in stems))
    assert max(true_peak(samples) for samples in scaled) == pytest.approx(10 ** (-1 / 20), abs=1e-3)
    assert whole.peak == pytest.approx(-1.0, abs=0.01) and not whole.held
    assert mix([0.01 * stems[0]])[0].factor == 1.0
    silent, _ = mix([np.zeros((10, 2), np.float32)], loudness=-23.0)
    assert silent.factor == 1.0 and silent.loudness == -math.inf and silent.peak == -math.inf


def test_stems_that_cancel_in_the_mix_are_not_clipped_either():
    loud = 3.0 * np.ones((100, 2), np.float32)
    whole, samples = mix([loud, -loud])
    assert not samples.any() and whole.factor * 3.0 <= 10 ** (-1 / 20) + 1e-6


@pytest.mark.parametrize("target", [-16.0, -23.0, -40.0])
def test_the_loudness_that_was_wished_for(target):
    whole, samples = mix([stereo(0.05), stereo(0.02, seed=1)], target)
    assert whole.loudness == pytest.approx(target, abs=1e-6) and not whole.held
    assert loudness_of(samples, RATE, PAIR) == pytest.approx(target, abs=0.01)


def test_the_peak_comes_before_the_loudness():
    whole, samples = mix([stereo(0.05)], loudness=-1.0, peak=-3.0)
    assert whole.held and whole.loudness < -1.0
    assert 20.0 * math.log10(true_peak(samples)) == pytest.approx(-3.0, abs=0.02)


@given(st.floats(0.0, 4.0), st.floats(-100.0, 10.0), st.floats(-60.0, 0.0), st.floats(-20.0, 0.0))
def test_no_peak_is_ever_exceeded(highest, heard, loudness, peak):
    found = balance(highest, heard, loudness, peak)
    assert found.factor * highest <= 10 ** (peak / 20) * (1.0 + 1e-9)
    assert found.held == (found.loudness < loudness - 0.01)


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_loudness_is_that_of_pyloudnorm(rate, channels):
    rng = np.random.default_rng(5)
    samples = 0.1 * rng.standard_normal((3 * rate, channels)) * np.linspace(0.01, 1.0, 3 * rate)[:, None]
    samples[rate : 2 * rate] *= 1e-3
    expected = pyloudnorm.Meter(rate).integrated_loudness(samples)
    weights = (1.0, 1.0, 1.0, 1.41, 1.41)[:channels]
    assert loudness_of(samples, rate, weights) == pytest.approx(expected, abs=0.02)


def test_the_sine_of_the_recommendation():
    """A sine of 997 Hz at full scale in the left, centre or right channel has -3.01 LKFS (BS.1770-4, annex 1)."""
    sine = np.sin(2.0 * np.pi * 997.0 * np.arange(2 * RATE) / RATE)
    for channel in (0, 1, 2, 4):
        samples = np.zeros((2 * RATE, 6))
        samples[:, channel] = sine
        extra = 10.0 * math.log10(1.41) if channel == 4 else 0.0
        assert loudness_of(samples, RATE, loudness_weights("5.1")) == pytest.approx(-3.01 + extra, abs=0.06)
    samples = np.zeros((2 * RATE, 6))
    samples[:, 3] = sine
    assert loudness_of(samples, RATE, loudness_weights("5.1")) == -math.inf


def test_short_sounds_have_a_loudness_too():
    short = stereo(0.1, 0.1)
    padded = np.pad(short, ((0, int(0.3 * RATE)), (0, 0)))
    assert loudness_of(short, RATE, PAIR) == pytest.approx(loudness_of(padded, RATE, PAIR), abs=0.01)


def test_gains_of_the_parts():
    np.testing.assert_allclose(part_gains(), 1.0)
    np.testing.assert_allclose(part_gains(0.0), [1.0, 0.0, 0.0])
    np.testing.assert_allclose(part_gains(1.0), [0.0, 1.0, 1.0])
    np.testing.assert_allclose(part_gains(0.75, -20.0), [0.5, 1.0, 0.1], rtol=1e-6)
