import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import lpmv

from naf_core.ambisonics import degrees, encode, turn, turned
from naf_core.gains import sweep

RATE = 48000
AROUND = np.random.default_rng(0).standard_normal((20_000, 3))
AROUND /= np.linalg.norm(AROUND, axis=1)[:, None]


def harmonic(degree, index, directions):
    """SN3D from associated Legendre functions (Nachbar et al. 2011), without the phase of Condon and Shortley."""
    from math import factorial

    azimuth, sine = np.arctan2(directions[:, 1], directions[:, 0]), directions[:, 2]
    m = abs(index)
    scale = np.sqrt((2.0 - (m == 0)) * factorial(degree - m) / factorial(degree + m))
    legendre = (-1.0) ** m * lpmv(m, degree, sine)
    return scale * legendre * (np.cos(m * azimuth) if index >= 0 else np.sin(m * azimuth))


def test_all_channels_are_the_spherical_harmonics():
    some = AROUND[:50]
    encoded = encode(some, 3)
    for degree in range(4):
        for index in range(-degree, degree + 1):
            row = degree * (degree + 1) + index
            np.testing.assert_allclose(encoded[row], harmonic(degree, index, some), atol=1e-12, err_msg=f"ACN {row}")


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_power_of_each_degree(order):
    encoded, degree = encode(AROUND, order), degrees(order)
    for n in range(order + 1):
        np.testing.assert_allclose(np.square(encoded[degree == n]).sum(axis=0), 1.0, atol=1e-12)
    np.testing.assert_allclose(np.square(encoded).mean(axis=1), 1.0 / (2 * degree + 1), rtol=0.05)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_turned_head_hears_the_rotated_field(order):
    """AmbiX of a rotating head equals the rotated AmbiX."""
    rotations = Rotation.random(5, random_state=1).as_matrix()
    matrices = turned(rotations, order)
    for rotation, matrix in zip(rotations, matrices, strict=True):
        np.testing.assert_allclose(matrix @ encode(AROUND[:9], order), encode(AROUND[:9] @ rotation, order), atol=1e-9)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-9)


@pytest.mark.parametrize("order", [1, 3])
def test_a_steady_turn_is_followed_at_every_sample(order):
    n, hop = RATE, 480
    angles = np.pi * np.arange(n // hop + 1) * hop / RATE
    rotations = Rotation.from_euler("z", angles[:, None]).as_matrix()
    heard = turn(np.repeat(encode(np.eye(3)[:1], order), n, axis=1), rotations, hop)
    time = np.arange(n) / RATE
    expected = encode(np.stack([np.cos(np.pi * time), -np.sin(np.pi * time), 0 * time], axis=1), order)
    np.testing.assert_allclose(heard, expected, atol=2e-3)
    assert np.abs(np.diff(heard[3])).max() < 1.02 * np.pi / RATE  # no steps


def test_one_rotation_holds_throughout():
    waves = np.random.default_rng(1).standard_normal((16, 1000)).astype(np.float32)
    turned_waves = turn(waves, Rotation.random(random_state=2).as_matrix()[None], 100)
    assert turned_waves.shape == (16, 1000)
    np.testing.assert_allclose(np.square(turned_waves).sum(), np.square(waves).sum(), rtol=1e-5)


def test_gains_run_straight_between_knots_and_are_held():
    waves = np.ones((2, 1000), np.float32)
    gains = np.array([[[0.0, 1.0]], [[2.0, 1.0]], [[0.0, -1.0]]])
    mixed = sweep(gains, waves, 300)[0]
    expected = np.interp(np.arange(1000) / 300, [0, 1, 2], [1.0, 3.0, -1.0])
    np.testing.assert_allclose(mixed, expected, atol=1e-5)


def test_many_knots_are_as_few():
    rng = np.random.default_rng(3)
    gains, waves = rng.standard_normal((400, 3, 2)), rng.standard_normal((2, 399 * 16 - 5)).astype(np.float32)
    at = np.arange(waves.shape[1]) / 16.0
    expected = np.zeros((3, waves.shape[1]))
    for output in range(3):
        for source in range(2):
            expected[output] += np.interp(at, np.arange(400), gains[:, output, source]) * waves[source]
    np.testing.assert_allclose(sweep(gains, waves, 16), expected, atol=1e-4)
