from __future__ import annotations

import numpy as np
import pytest

from naf_core.response import FRAME_EDGES, EnergyResponse, empty_response
from naf_core.speech import ALPHA, BETA, MODULATION_HZ, modulation, speech_intensity, transmission_index


def decaying(seconds: float, n: int = 1) -> EnergyResponse:
    """Reflected energy 1 in every band that falls by 60 dB in ``seconds``, from the first moment on."""
    response = empty_response((n,), 343.0)
    rate = 6.0 * np.log(10.0) / seconds
    response.energy[..., 0] = np.exp(-rate * FRAME_EDGES[:-1]) - np.exp(-rate * FRAME_EDGES[1:])
    response.tail_slope[:] = -60.0 / seconds
    return response


def index_of(transfer: float | np.ndarray, level: float = 65.0, noise: float | None = None) -> float:
    background = 0.0 if noise is None else speech_intensity(noise)
    full = np.broadcast_to(transfer, (1, 7, len(MODULATION_HZ)))
    return float(transmission_index(full, speech_intensity(level)[None], background)[0])


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.5, 8.0])
def test_the_transfer_of_an_exponential_decay_is_the_known_one(seconds):
    # Houtgast and Steeneken 1973: m = (1 + (2 pi F T / 13.8)^2)^(-1/2).
    energy, spectrum = modulation(decaying(seconds))
    np.testing.assert_allclose(energy, 1.0, rtol=1e-5)
    expected = 1.0 / np.sqrt(1.0 + (2.0 * np.pi * MODULATION_HZ * seconds / (6.0 * np.log(10.0))) ** 2)
    np.testing.assert_allclose(np.abs(spectrum[0]), np.tile(expected, (7, 1)), atol=0.01)


def test_weights_add_up_to_one():
    assert ALPHA.sum() - BETA.sum() == pytest.approx(1.0)


def test_nothing_between_mouth_and_ear_is_understood_wholly():
    assert index_of(1.0, 60.0) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("ratio", "expected"), [(15.0, 1.0), (6.0, 0.7), (0.0, 0.5), (-9.0, 0.2), (-20.0, 0.0)])
def test_noise_alone_gives_the_line_of_the_standard(ratio, expected):
    # (ratio + 15) / 30, but for what masking takes, which is little at 60 dB(A).
    assert index_of(1.0, 60.0, 60.0 - ratio) == pytest.approx(expected, abs=0.02)


def test_a_uniform_transfer_gives_its_own_index():
    for m in (0.1, 0.5, 0.9):
        apparent = np.clip(10 * np.log10(m / (1 - m)), -15, 15)
        assert index_of(m, 60.0) == pytest.approx((apparent + 15) / 30, abs=0.02)


def test_what_is_too_soft_to_be_heard_is_not_understood():
    assert index_of(1.0, 60.0) > index_of(1.0, 25.0) > index_of(1.0, 5.0)
    assert index_of(1.0, -20.0) < 0.05


def test_loud_speech_masks_itself():
    assert index_of(0.9, 100.0) < index_of(0.9, 65.0)


def test_longer_reverberation_is_understood_worse():
    found = []
    for seconds in (0.3, 0.6, 1.2, 2.4, 4.8):
        energy, spectrum = modulation(decaying(seconds))
        transfer = np.abs(spectrum) / energy[..., None]
        found.append(float(transmission_index(transfer, speech_intensity(65.0)[None])[0]))
    assert found == sorted(found, reverse=True)
    # Published for exponential decay and no noise: about 0.6 at 1 s, 0.45 at 2.4 s (Steeneken and Houtgast 1980).
    assert found[2] == pytest.approx(0.57, abs=0.04)


def test_values_stay_within_the_scale():
    rng = np.random.default_rng(0)
    transfer = rng.random((50, 7, 14))
    signal = 10 ** rng.uniform(-5, 13, (50, 7))
    found = transmission_index(transfer, signal, 10 ** rng.uniform(-5, 13, (50, 7)))
    assert ((found >= 0.0) & (found <= 1.0)).all()
