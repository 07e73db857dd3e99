from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naf_core.bands import EXACT_BANDS_HZ, N_BANDS
from naf_core.errors import UserError
from naf_core.measured import filter_delays, find_direct, fit_decay, measured_parameters, octave_bands
from naf_core.response import decay_time
from naf_core.truth.dechorate import DATA

RATE = 24_000  # bands up to 4 kHz
DIRECT = 480
UPPER = slice(3, 7)  # bands 500 Hz to 4 kHz, in which noise of this length is steady enough
KEYS = ("T30_s", "T20_s", "EDT_s", "C50_dB", "C80_dB", "D50", "Ts_s")


def decaying(seconds: float, energy: np.ndarray, noise_db: float, seed: int) -> np.ndarray:
    """Noise of the ``energy`` (n,) after DIRECT samples of silence, in steady noise ``noise_db`` below its start."""
    rng = np.random.default_rng(seed)
    response = np.zeros(DIRECT + round(seconds * RATE))
    response[DIRECT:] = rng.normal(size=len(response) - DIRECT) * np.sqrt(energy)
    return response + rng.normal(size=len(response)) * 10.0 ** (noise_db / 20.0)


def exponential(seconds: float, decay: float) -> np.ndarray:
    return 10.0 ** (-6.0 * np.arange(round(seconds * RATE)) / RATE / decay)


def mean_parameters(seconds: float, energy: np.ndarray, noise_db: float, runs: int = 6) -> dict[str, np.ndarray]:
    found = [measured_parameters(decaying(seconds, energy, noise_db, seed), RATE, DIRECT) for seed in range(runs)]
    return {key: np.mean([one[key] for one in found], axis=0) for key in found[0]}


@pytest.mark.parametrize(("decay", "noise_db"), [(0.3, -60.0), (0.8, -55.0), (0.8, -200.0), (1.6, -60.0)])
def test_a_noisy_exponential_decay_is_measured_as_it_was_made(decay, noise_db):
    seconds = 1.3 * decay + 0.3
    found = mean_parameters(seconds, exponential(seconds, decay), noise_db)
    rate = 6.0 * np.log(10.0) / decay
    for key in ("T30_s", "T20_s"):
        np.testing.assert_allclose(found[key][UPPER], decay, rtol=0.04, err_msg=key)
        np.testing.assert_allclose(found[key][1:3], decay, rtol=0.15, err_msg=key)
    np.testing.assert_allclose(found["EDT_s"][UPPER], decay, rtol=0.08)
    np.testing.assert_allclose(found["Ts_s"][UPPER], 1.0 / rate, atol=0.003)
    np.testing.assert_allclose(found["C80_dB"][UPPER], 10.0 * np.log10(np.exp(0.08 * rate) - 1.0), atol=1.2)
    np.testing.assert_allclose(found["D50"][UPPER], 1.0 - np.exp(-0.05 * rate), atol=0.04)


def test_two_slopes_are_measured_as_their_schroeder_curve_has_them():
    seconds = 2.4
    energy = exponential(seconds, 0.4) + 0.02 * exponential(seconds, 1.6)
    found = mean_parameters(seconds, energy, -70.0)
    times = np.arange(len(energy)) / RATE
    curve = np.cumsum(energy[::-1])[::-1]
    for key, stop in (("T30_s", -35.0), ("T20_s", -25.0)):
        expected = decay_time(curve, -5.0, stop, 400, times)
        np.testing.assert_allclose(found[key][UPPER], expected, rtol=0.05, err_msg=key)
    assert (found["T30_s"] > 1.2 * found["T20_s"])[UPPER].all()


def test_ranges_that_noise_does_not_leave_are_not_measured():
    found = mean_parameters(1.0, exponential(1.0, 0.5), -40.0)
    np.testing.assert_allclose(found["range_dB"][UPPER], 40.0, atol=2.5)
    assert np.isnan(found["T30_s"][UPPER]).all()
    np.testing.assert_allclose(found["T20_s"][UPPER], 0.5, rtol=0.05)
    drowned = mean_parameters(1.0, exponential(1.0, 0.5), 0.0, runs=1)
    assert all(np.isnan(drowned[key][UPPER]).all() for key in KEYS)


def test_a_record_that_ends_before_its_noise_keeps_its_slope():
    found = mean_parameters(0.4, exponential(0.4, 0.58), -200.0)
    np.testing.assert_allclose(found["range_dB"][UPPER], 41.0, atol=2.5)
    np.testing.assert_allclose(found["T20_s"][UPPER], 0.58, rtol=0.03)


def test_silence_after_the_response_is_no_noise():
    found = []
    for seed in range(4):
        response = np.append(decaying(0.5, exponential(0.5, 0.5), -200.0, seed), np.zeros(RATE // 2))
        found.append(measured_parameters(response, RATE, DIRECT))
    for key in ("T30_s", "T20_s"):
        np.testing.assert_allclose(np.mean([one[key] for one in found], axis=0)[UPPER], 0.5, rtol=0.05, err_msg=key)


def test_the_noise_is_told_from_the_decay():
    power = exponential(1.0, 0.5) + 1e-5
    decay = fit_decay(power, RATE)
    assert decay.noise == pytest.approx(1e-5, rel=0.02)
    assert decay.rate == pytest.approx(6.0 * np.log(10.0) / 0.5, rel=0.02)
    assert decay.crossing == pytest.approx(0.5 * 5.0 / 6.0, rel=0.03)
    assert fit_decay(np.ones(RATE), RATE) is None


def test_filters_part_the_spectrum_into_octaves():
    times = np.arange(RATE) / RATE
    tones = np.sqrt(2.0) * np.sin(2.0 * np.pi * np.array(EXACT_BANDS_HZ[1:7])[:, None] * times)
    power = (octave_bands(tones, RATE)[..., RATE // 2 :] ** 2).mean(axis=-1)
    level = 10.0 * np.log10(power[:, :7])
    own = np.arange(6)
    np.testing.assert_allclose(level[own, own + 1], 0.0, atol=0.05)
    assert (level[own, own] < -18.0).all()
    assert (level[own[:-1], own[:-1] + 2] < -18.0).all()
    assert np.isnan(octave_bands(tones[0], 16_000)[7]).all()  # 8 kHz reaches beyond half of that sample rate


def test_filters_delay_low_bands_more():
    delays = np.array(filter_delays(RATE)[:7])
    np.testing.assert_allclose(delays * EXACT_BANDS_HZ[:7], delays[3] * EXACT_BANDS_HZ[3], rtol=0.05)
    assert 0.5 < delays[3] * EXACT_BANDS_HZ[3] < 3.0  # periods


@settings(max_examples=20)
@given(gain=st.floats(1e-6, 1e6), shift=st.integers(0, 300), seed=st.integers(0, 3))
def test_level_and_delay_change_nothing(gain, shift, seed):
    response = decaying(0.6, exponential(0.6, 0.4), -60.0, seed)
    before = measured_parameters(response, RATE, DIRECT)
    after = measured_parameters(gain * np.concatenate([np.zeros(shift), response]), RATE, DIRECT + shift)
    for key in KEYS:
        np.testing.assert_allclose(after[key], before[key], rtol=1e-3, atol=1e-3, err_msg=key)


def test_the_direct_sound_is_found_before_a_louder_reflection():
    response = np.zeros(2000)
    response[[300, 301, 302, 900]] = [0.2, 0.5, -0.1, 1.0]
    assert find_direct(response, RATE) == 301


def test_what_is_no_response_is_refused():
    for wrong in (np.zeros(100), np.array([]), np.array([1.0, np.nan]), np.ones((2, 100))):
        with pytest.raises(UserError, match="impulse response"):
            measured_parameters(wrong, RATE)
    # Too short for any decay: nothing is measured, and nothing breaks.
    assert all(np.isnan(values).all() for values in measured_parameters(np.ones(3), RATE).values())


def test_published_responses_give_their_known_reverberation_time():
    # T20 of the twelve responses of dEchorate, analysed before with filters and noise handling of the same kind.
    with h5py.File(DATA, "r") as file:
        responses, direct = file["rirs"][()], file["direct_peak_sample"][()]
        rate = float(file["sample_rate"][()])
    found = [measured_parameters(row, rate, int(at))["T20_s"] for row, at in zip(responses, direct, strict=True)]
    expected = [0.31, 0.44, 0.58, 0.61, 0.57, 0.56, 0.49]
    np.testing.assert_allclose(np.mean(found, axis=0)[1:], expected, rtol=0.025)
    assert len(expected) == N_BANDS - 1
