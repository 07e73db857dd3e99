import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from naf_core import UserError
from naf_core.formats import CHANNELS, check_format, decode, turn_to_head
from naf_core.scene import Trajectory
from naf_core.spatial import bundled_decoder, encode

RATE = 48000


def plane_wave(azimuth, samples):
    direction = np.array([[np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth)), 0.0]])
    return (encode(direction) * samples).astype(np.float32)


def noise(n=4800):
    return np.random.default_rng(0).standard_normal(n)


@pytest.mark.parametrize(("fmt", "channels"), CHANNELS.items())
def test_every_format_has_its_channels_and_the_same_length(fmt, channels):
    waves = decode(plane_wave(30.0, noise()), fmt, RATE)
    assert waves.shape == (4800, channels) and waves.dtype == np.float32


def test_unknown_formats_are_named():
    with pytest.raises(UserError, match=r"5\.1.*choose one of binaural"):
        check_format("5.1")


def test_stereo_from_the_front_has_its_power_in_both():
    samples = noise()
    front = decode(plane_wave(0.0, samples), "stereo", RATE)
    np.testing.assert_allclose(front[:, 0], samples / np.sqrt(2.0), atol=1e-5)
    np.testing.assert_allclose(front[:, 1], front[:, 0], atol=1e-6)


def test_stereo_pans_from_left_to_right():
    ratios = []
    for azimuth in (90, 55, 30, 0, -30, -55, -90):
        left, right = np.std(decode(plane_wave(azimuth, noise()), "stereo", RATE), axis=0)
        ratios.append(20.0 * np.log10(left / right))
    assert (np.diff(ratios) < 0).all() and ratios[0] > 15.0
    np.testing.assert_allclose(ratios, -np.array(ratios)[::-1], atol=1e-3)


def test_binaural_is_the_decoder_without_its_latency():
    filters, latency = bundled_decoder(RATE)
    wave = plane_wave(60.0, noise(1000))
    expected = [sum(np.convolve(w, f) for w, f in zip(wave, ear, strict=True)) for ear in filters]
    expected = np.stack(expected, axis=1)[latency : latency + 1000]
    np.testing.assert_allclose(decode(wave, "binaural", RATE), expected, atol=1e-4)


def test_turning_the_head_by_ninety_degrees_moves_the_source():
    samples = noise()
    times = np.arange(4800) / RATE
    left = Trajectory([0.0], np.zeros((1, 3)), Rotation.from_euler("z", [[90.0]], degrees=True).as_matrix())
    np.testing.assert_allclose(
        turn_to_head(plane_wave(90.0, samples), left, times), plane_wave(0.0, samples), atol=1e-5
    )


def test_a_steady_turn_is_followed_at_every_sample():
    n = 2 * RATE
    times = np.arange(n) / RATE
    frames = np.arange(49) / 24.0
    spinning = Trajectory(frames, np.zeros((49, 3)), Rotation.from_euler("z", np.pi * frames[:, None]).as_matrix())
    head = turn_to_head(plane_wave(0.0, np.ones(n)), spinning, times)
    np.testing.assert_allclose(head[3], np.cos(np.pi * times), atol=2e-3)
    np.testing.assert_allclose(head[1], -np.sin(np.pi * times), atol=2e-3)
    np.testing.assert_allclose(head[[0, 2]], [np.ones(n), np.zeros(n)], atol=1e-6)
    assert np.abs(np.diff(head[3])).max() < 1.02 * np.pi / RATE  # no steps


def test_turning_keeps_the_energy():
    rng = np.random.default_rng(1)
    waves = rng.standard_normal((4, 4800)).astype(np.float32)
    random = Trajectory([0.0], np.zeros((1, 3)), Rotation.random(random_state=2).as_matrix()[None])
    turned = turn_to_head(waves, random, np.arange(4800) / RATE)
    np.testing.assert_allclose(np.square(turned).sum(), np.square(waves).sum(), rtol=1e-5)
