import numpy as np
import pytest
from scipy import signal
from scipy.spatial.transform import Rotation

from naf_core.clock import Clock, Held
from naf_core.direct import DirectSound
from naf_core.early import EarlyReflections
from naf_core.formats import format_of
from naf_core.images import Images, no_images
from naf_core.response import empty_response
from naf_core.scene import Trajectory

RATE, SPEED = 48000, 343.2
HERE = Trajectory([0.0], np.zeros((1, 3)))
W, Y, Z, X = range(4)


def mirror(axis=0, at=-3.0, keys=1, gain=1.0, emitter=((2.0, 0.0, 0.0),)):
    """The image in a wall across an axis, without losses beyond ``gain`` (of energy)."""
    turn = np.diag([-1.0 if k == axis else 1.0 for k in range(3)])
    shift = 2.0 * at * np.eye(3)[axis]
    way = np.broadcast_to(np.asarray(emitter) @ turn.T + shift, (keys, 3))
    energy = np.broadcast_to(np.asarray(gain, float), (keys,))[:, None] / np.sum(way**2, axis=1)[:, None]
    return Images(turn[None], shift[None], np.repeat(energy, 8, axis=1)[None], way[None].copy())


def still(*position):
    return Trajectory([0.0], np.array([position], float))


def moving(path, seconds, fps=24.0):
    times = np.arange(int(seconds * fps) + 1) / fps
    return Trajectory(times, np.stack([np.asarray(path(t), float) for t in times]))


def play(dry, seconds, emitter, images, times=(0.0,), listener=HERE, fmt="ambix", order=1):
    clock = Clock(RATE, 0.0, int(seconds * RATE))
    images = EarlyReflections(
        Held(dry), clock, emitter, listener, images, np.asarray(times, float), SPEED, format_of(fmt, order)
    )
    return images.heard(0, clock.length)


def tone(frequency, seconds):
    return np.sin(2.0 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)


def click():
    dry = np.zeros(200)
    dry[10] = 1.0
    return dry


def band_click():
    """A click without what lies above 15 kHz, where the delay lines differ."""
    return np.pad(signal.firwin(255, 15000.0, fs=RATE), 10)


@pytest.mark.parametrize("at", [-0.7, -3.0, -11.3])
def test_an_image_is_heard_when_where_and_as_loud_as_it_is(at):
    """Emitter 2 m ahead, wall behind: the image is behind, and further away."""
    heard = play(click(), 0.3, still(2.0, 0.0, 0.0), mirror(at=at))
    distance = 2.0 - 2.0 * at
    fine = signal.resample_poly(heard[W].astype(float), 16, 1)
    assert np.argmax(np.abs(fine)) / 16.0 == pytest.approx(10 + distance / SPEED * RATE, abs=0.1)
    assert np.sqrt(np.sum(heard[W] ** 2.0)) == pytest.approx(1.0 / distance, rel=0.08)  # less what lies above 20 kHz
    np.testing.assert_allclose(heard[X], -heard[W], atol=1e-6)
    assert np.abs(heard[[Y, Z]]).max() < 1e-6


@pytest.mark.parametrize("frequency", [50.0, 1000.0, 8000.0, 16000.0])
def test_levels_are_right_up_to_16_khz_while_things_move(frequency):
    walk = moving(lambda t: (2.0 + 0.3 * t, 0.0, 0.0), 1.0)
    heard = play(tone(frequency, 1.0), 1.0, walk, mirror(keys=2, gain=[1.0, 1.0]), (0.0, 1.0))[W]
    length = 8.0 + 0.3 * np.arange(RATE) / RATE
    level = np.sqrt(2.0 * np.mean(np.square(heard[9600:38400].astype(float) * length[9600:38400])))
    assert 20.0 * np.log10(level) == pytest.approx(0.0, abs=0.1)


def test_the_doppler_shift_of_an_image_is_that_of_physics():
    """A car leaves the listener: its image in the wall behind approaches him."""
    speed, frequency, wall = 20.0, 1000.0, 60.0
    car = moving(lambda t: (5.0 + speed * t, 0.0, 0.0), 2.0)
    heard = play(tone(frequency, 2.2), 2.0, car, mirror(at=wall, keys=2, gain=[1.0, 1.0]), (0.0, 2.0))[W]
    phase = np.unwrap(np.angle(signal.hilbert(heard.astype(float))))
    part = slice(RATE, 2 * RATE - 9600)
    window = np.hanning(4801)
    measured = np.convolve(np.gradient(phase), window / window.sum(), "same")[part] * RATE / (2.0 * np.pi)
    expected = frequency / (1.0 - speed / SPEED)
    assert np.abs(1200.0 * np.log2(np.median(measured) / expected)) < 0.2
    assert np.abs(1200.0 * np.log2(measured / expected)).max() < 1.0


def test_motion_adds_no_buzz():
    """Off the tone itself, nothing at the rate of the knots or of the frames is left."""
    walk = moving(lambda t: (2.0, np.sin(2.0 * t), 0.0), 3.0)
    keys = np.linspace(0.0, 3.0, 13)
    heard = play(tone(2000.0, 3.2), 3.0, walk, mirror(keys=13, gain=np.ones(13)), keys)[W]
    part = heard[RATE : 2 * RATE] * np.blackman(RATE)
    power = np.abs(np.fft.rfft(part)) ** 2
    around = np.r_[power[1900:1960], power[2040:2101]]
    assert 10.0 * np.log10(around.max() / power.max()) < -70.0


def test_a_hidden_image_fades_between_its_keys():
    images = mirror(keys=3, gain=[1.0, 0.0, 0.0])
    walk = moving(lambda t: (2.0, 0.001 * t, 0.0), 3.0)
    heard = play(tone(500.0, 3.0), 3.0, walk, images, (0.0, 1.0, 2.0))[W]
    envelope = np.abs(signal.hilbert(heard)) * 8.0
    assert envelope[int(0.5 * RATE)] == pytest.approx(0.5, abs=0.02)
    assert np.abs(heard[int(1.02 * RATE) :]).max() < 1e-4


def test_a_still_scene_is_a_convolution_and_equals_what_moves_a_hair():
    noise = np.random.default_rng(0).standard_normal(RATE)
    for fmt in ("ambix", "binaural"):
        still_one = play(noise, 1.2, still(2.0, 0.0, 0.0), mirror(), fmt=fmt)
        hair = moving(lambda t: (2.0, 2e-4 * t, 0.0), 1.2)
        walked = play(noise, 1.2, hair, mirror(keys=2, gain=[1.0, 1.0]), (0.0, 1.2), fmt=fmt)
        middle = slice(RATE // 5, RATE)
        error = np.std(walked[:, middle] - still_one[:, middle]) / np.std(still_one[:, middle])
        assert error < 0.02, fmt


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (40, 0), (90, 0), (135, 10), (-70, 30)])
def test_ears_hear_an_image_as_they_would_an_emitter_there(azimuth, elevation):
    a, e = np.radians([azimuth, elevation])
    place = 5.0 * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    response = empty_response((1,), SPEED)
    response.distance[:], response.direct[:], response.direct_direction[:] = 5.0, 1.0 / 25.0, place / 5.0
    clock = Clock(RATE, 0.0, RATE // 10)
    exact = DirectSound(
        Held(band_click()), clock, still(*place), HERE, response, np.zeros(1), format_of("binaural")
    ).heard(0, clock.length)
    at = -place[0] if abs(place[0]) > 0.1 else -1.0
    source = place * (-1.0, 1.0, 1.0) + (2.0 * at, 0.0, 0.0)
    image = mirror(at=at, emitter=(source,))
    np.testing.assert_allclose(image.way[0, 0], place, atol=1e-9)
    heard = play(band_click(), 0.1, still(*source), image, fmt="binaural")
    np.testing.assert_allclose(heard, exact, atol=0.03 * np.abs(exact).max())


def test_the_head_turns_beneath_the_images():
    turned = Trajectory([0.0], np.zeros((1, 3)), Rotation.from_euler("z", [[90.0]], degrees=True).as_matrix())
    locked = play(click(), 0.1, still(2.0, 0.0, 0.0), mirror(), listener=turned)
    world = play(click(), 0.1, still(2.0, 0.0, 0.0), mirror(), listener=turned, fmt="ambix-world")
    np.testing.assert_allclose(locked[Y], locked[W], atol=1e-6)  # behind becomes left
    np.testing.assert_allclose(world[X], -world[W], atol=1e-6)


def test_what_walls_take_is_taken():
    images = mirror(gain=1.0)
    energy = images.energy * 10.0 ** (-np.array([0, 0, 0, 0, 0, 3, 6, 9]) / 10.0)
    images = Images(images.turn, images.shift, energy, images.way)
    heard = play(tone(4000.0, 0.5), 0.5, still(2.0, 0.0, 0.0), images)[W]
    level = np.sqrt(2.0 * np.mean(np.square(heard[9600:19200].astype(float)))) * 8.0
    assert 20.0 * np.log10(level) == pytest.approx(-6.0, abs=0.3)


def test_no_images_no_sound():
    assert not play(click(), 0.1, still(2.0, 0.0, 0.0), no_images(1)).any()
    assert play(np.zeros(100), 0.1, still(2.0, 0.0, 0.0), mirror(), fmt="5.1").shape == (6, 4800)


@pytest.mark.parametrize("fmt", ["binaural", "stereo"])
def test_the_parts_in_which_it_is_asked_for_make_no_difference(fmt):
    """While everything moves: an image that fades, a head that turns."""
    noise, times = np.random.default_rng(0).standard_normal(RATE), np.linspace(0.0, 1.2, 13)
    turned = Trajectory(
        times, np.zeros((13, 3)), Rotation.from_euler("z", 90.0 * times[:, None], degrees=True).as_matrix()
    )
    walk = moving(lambda t: (2.0, 1.4 * t, 0.0), 1.2)
    images = mirror(keys=3, gain=[1.0, 1.0, 0.0])
    early = EarlyReflections(
        Held(noise), Clock(RATE, 0.0, 50_000), walk, turned, images, np.array([0.0, 0.5, 1.0]), SPEED, format_of(fmt)
    )
    whole = early.heard(0, 50_000)
    parts = [early.heard(first, last) for first, last in ((0, 12_345), (12_345, 31_000), (31_000, 50_000))]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-4 * np.abs(whole).max())
