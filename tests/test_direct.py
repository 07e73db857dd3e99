import numpy as np
import pytest
from scipy import signal
from scipy.spatial.transform import Rotation

from naf_core.clock import Clock, Held
from naf_core.delays import fixed_delay, variable_delay
from naf_core.direct import DirectSound, filter_changing, transmission
from naf_core.formats import format_of
from naf_core.response import empty_response
from naf_core.scene import Trajectory

RATE, SPEED = 48000, 343.2
LEFT, RIGHT = 0, 1
HERE = Trajectory([0.0], np.zeros((1, 3)))


def at(*position):
    return Trajectory([0.0], np.array([position], float))


def moving(path, seconds, fps=24.0):
    times = np.arange(int(seconds * fps) + 1) / fps
    return Trajectory(times, np.stack([np.asarray(path(t), float) for t in times]))


def open_air(emitter, listener, times=(0.0,), air=0.0):
    """Responses without walls at ``times``; ``air`` in nepers of energy a metre at 8 kHz."""
    times = np.asarray(times, float)
    response = empty_response((len(times),), SPEED)
    for key, time in enumerate(times):
        offset = [
            np.array([np.interp(time, path.times, column) for column in path.positions.T])
            for path in (emitter, listener)
        ]
        offset = offset[0] - offset[1]
        distance = max(np.linalg.norm(offset), 1e-6)
        response.distance[key] = distance
        response.direct_direction[key] = offset / distance
        response.direct[key] = np.exp(-air * distance * 4.0 ** np.arange(-7.0, 1.0)) / distance**2
    return response


def play(dry, seconds, emitter, listener=HERE, times=(0.0,), binaural=False, head_locked=True, response=None):
    clock = Clock(RATE, 0.0, int(seconds * RATE))
    response = open_air(emitter, listener, times) if response is None else response
    fmt = format_of("binaural" if binaural else "ambix" if head_locked else "ambix-world")
    sound = DirectSound(Held(dry), clock, emitter, listener, response, np.asarray(times, float), fmt)
    return sound.heard(0, clock.length)


def click():
    dry = np.zeros(100)
    dry[10] = 1.0
    return dry


def tone(frequency, seconds):
    return np.sin(2.0 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.345, 7.77, 20.0, 61.3])
@pytest.mark.parametrize("binaural", [False, True])
def test_the_onset_is_exact_to_the_sample(distance, binaural):
    heard = play(click(), 0.3, at(distance, 0.0, 0.0), binaural=binaural)[0]
    upsampled = signal.resample_poly(heard.astype(float), 16, 1)
    expected = 10 + distance / SPEED * RATE
    assert np.argmax(np.abs(upsampled)) / 16.0 == pytest.approx(expected, abs=0.6 if binaural else 0.1)


def test_a_whole_delay_gives_the_very_samples():
    distance = SPEED * 480 / RATE
    noise = np.random.default_rng(0).standard_normal(2000)
    heard = play(noise, 0.1, at(0.0, distance, 0.0))
    np.testing.assert_allclose(heard[0, 480:2480], noise / distance, atol=2e-6)
    assert np.abs(heard[0, :400]).max() < 1e-6


@pytest.mark.parametrize("distance", [0.2, 1.0, 3.0, 10.0, 40.0])
def test_level_falls_as_one_over_distance(distance):
    heard = play(tone(1000.0, 1.0), 1.0, at(0.6 * distance, 0.0, 0.8 * distance))[0]
    level = 20.0 * np.log10(np.sqrt(2.0 * np.mean(heard[RATE // 4 : -1000] ** 2)) * distance)
    assert level == pytest.approx(0.0, abs=0.02)


def test_an_emitter_in_the_head_is_finite_and_in_front():
    heard = play(tone(1000.0, 0.2), 0.2, at(0.0, 0.0, 0.0))
    assert np.abs(heard[0]).max() == pytest.approx(10.0, rel=0.01)
    np.testing.assert_allclose(heard[3], heard[0])


@pytest.mark.parametrize("frequency", [50.0, 1000.0, 8000.0, 16000.0, 19500.0])
@pytest.mark.parametrize("delay", [100.0, 100.25, 100.5, 100.9])
def test_fractional_delays_lose_nothing_up_to_16_khz(frequency, delay):
    dry = tone(frequency, 0.2)
    expected = np.sin(2.0 * np.pi * frequency * (np.arange(len(dry)) - delay) / RATE)
    middle = slice(500, -500)
    for heard in (
        fixed_delay(Held(dry), delay, 0, len(dry)),
        variable_delay(Held(dry), np.arange(len(dry)) - delay),
    ):
        error = np.std(heard[middle] - expected[middle]) / np.std(expected[middle])
        assert error < (1e-3 if frequency <= 16000.0 else 0.03)


def test_both_delay_lines_agree_and_are_silent_outside():
    noise = np.random.default_rng(1).standard_normal(300)
    for delay in (0.0, 3.7, 250.2, 1000.0):
        fixed = fixed_delay(Held(noise), delay, 50, 2000)
        variable = variable_delay(Held(noise), np.arange(50, 2000) - delay)
        np.testing.assert_allclose(fixed, variable, atol=1e-5)
        assert not variable[int(max(300 + delay - 50 + 17, 0)) :].any()


def test_a_passing_emitter_has_the_doppler_shift_of_physics():
    speed, side, frequency = 30.0, 4.0, 2000.0
    car = moving(lambda t: (speed * (t - 2.0), side, 0.0), 4.0)
    heard = play(tone(frequency, 4.2), 4.0, car, times=np.linspace(0.0, 4.0, 100))[0]
    phase = np.unwrap(np.angle(signal.hilbert(heard.astype(float))))
    measured = np.gradient(phase) * RATE / (2.0 * np.pi)
    hearing = np.arange(len(heard)) / RATE
    # Emission time: t = tau + sqrt(side^2 + speed^2 (tau - 2)^2) / c is a quadratic equation.
    a, t = (speed / SPEED) ** 2, hearing - 2.0
    emission = (t - np.sqrt(t**2 - (1.0 - a) * (t**2 - (side / SPEED) ** 2))) / (1.0 - a)
    radial = speed**2 * emission / np.hypot(side, speed * emission)
    expected = frequency / (1.0 + radial / SPEED)
    part = slice(RATE // 2, int(3.8 * RATE))
    smooth = np.convolve(measured, np.ones(96) / 96, mode="same")
    cents = 1200.0 * np.log2(smooth[part] / expected[part])
    assert np.abs(cents).max() < 1.0
    assert 1200.0 * np.log2(expected[part].max() / expected[part].min()) > 250.0


@pytest.mark.parametrize("binaural", [False, True])
def test_a_moving_emitter_makes_no_clicks(binaural):
    """A tone stays a narrow line while the emitter walks around the head and the head turns."""
    walker = moving(lambda t: (2.0 * np.cos(1.2 * t), 2.0 * np.sin(1.2 * t), 0.3 * np.sin(3.0 * t)), 3.0)
    times = walker.times
    turning = Trajectory(times, np.zeros((len(times), 3)), Rotation.from_euler("z", 0.7 * times[:, None]).as_matrix())
    keys = np.linspace(0.0, 3.0, 13)
    heard = play(tone(440.0, 3.2), 3.0, walker, turning, keys, binaural)
    for channel in heard[:2]:
        _, _, spectrum = signal.stft(channel[4800:-4800], RATE, window="blackmanharris", nperseg=4096)
        power = np.abs(spectrum) ** 2
        far = power[int(2000 / RATE * 4096) :].sum(axis=0)
        assert 10.0 * np.log10(far[2:-2].max() / power.sum(axis=0).max()) < -75.0


def test_a_cut_fades_instead_of_chirping():
    positions = np.tile([2.0, 0.0, 0.0], (49, 1))
    positions[24:] = (0.0, 12.0, 0.0)
    cut = Trajectory(np.arange(49) / 24.0, positions)
    keys = cut.times[[0, 23, 24, 48]]
    heard = play(tone(440.0, 2.2), 2.0, cut, times=keys)
    before, after = heard[:, RATE // 2 : RATE // 2 + 4800], heard[:, 3 * RATE // 2 : 3 * RATE // 2 + 4800]
    assert np.abs(before[3]).max() == pytest.approx(0.5, rel=0.01) and np.abs(before[1]).max() < 1e-6
    assert np.abs(after[1]).max() == pytest.approx(1.0 / 12.0, rel=0.01) and np.abs(after[3]).max() < 1e-6
    # During the cut the frequency stays what it is: no sweep over 10 m of delay.
    _, _, spectrum = signal.stft(heard[0], RATE, window="blackmanharris", nperseg=2048)
    far = np.abs(spectrum[int(3000 / RATE * 2048) :]).max(axis=0)
    assert 20.0 * np.log10(far[3:-3].max() / np.abs(spectrum).max()) < -60.0


def test_a_hidden_emitter_fades_between_two_keys():
    still = at(1.0, 0.0, 0.0)
    keys = np.array([0.0, 0.5, 0.6, 1.0])
    response = open_air(still, HERE, keys)
    response.direct[2:] = 0.0
    heard = play(tone(1000.0, 1.2), 1.0, still, times=keys, response=response)[0]
    envelope = np.abs(signal.hilbert(heard))
    at_times = {0.3: 1.0, 0.525: 0.75, 0.55: 0.5, 0.575: 0.25, 0.8: 0.0}
    for time, expected in at_times.items():
        assert envelope[int(time * RATE)] == pytest.approx(expected, abs=0.02)


def test_air_dulls_the_sound_by_band():
    far = at(50.0, 0.0, 0.0)
    response = open_air(far, HERE, air=0.03)
    noise = np.random.default_rng(2).standard_normal(RATE)
    heard = play(noise, 1.5, far, response=response)[0]
    n = 1 << 17
    frequency = np.fft.rfftfreq(n, 1.0 / RATE)
    ratio = np.abs(np.fft.rfft(heard, n)) ** 2 / np.abs(np.fft.rfft(noise, n)) ** 2
    for centre, exponent in ((1000.0, -3), (2000.0, -2), (4000.0, -1), (8000.0, 0)):
        near = np.abs(np.log2(np.maximum(frequency, 1.0) / centre)) < 0.05
        level = 10.0 * np.log10(np.median(ratio[near]) * 50.0**2)
        assert level == pytest.approx(-10.0 * np.log10(np.e) * 0.03 * 50.0 * 4.0**exponent, abs=0.6)


def test_transmission_is_relative_to_distance_and_keeps_its_colour_when_hidden():
    response = open_air(at(4.0, 0.0, 0.0), HERE, (0.0, 1.0, 2.0), air=0.05)
    response.direct[1] = 0.0
    amplitude, shape = transmission(response)
    np.testing.assert_allclose(amplitude, [1.0, 0.0, 1.0], atol=1e-3)
    np.testing.assert_allclose(shape[1], shape[0])
    assert shape[0, 7] == pytest.approx(-10.0 * np.log10(np.e) * 0.2, abs=0.01)
    response.direct[...] = 0.0
    assert not transmission(response)[0].any()


def test_turning_the_head_is_turning_the_world():
    """A head that looks to the left hears what was on its left in front."""
    noise = np.random.default_rng(3).standard_normal(4800)
    looks_left = Trajectory([0.0], np.zeros((1, 3)), Rotation.from_euler("z", [[90.0]], degrees=True).as_matrix())
    for binaural in (False, True):
        turned = play(noise, 0.2, at(0.0, 3.0, 0.0), looks_left, binaural=binaural)
        ahead = play(noise, 0.2, at(3.0, 0.0, 0.0), binaural=binaural)
        np.testing.assert_allclose(turned, ahead, atol=1e-6)
    world = play(noise, 0.2, at(0.0, 3.0, 0.0), looks_left, head_locked=False)
    np.testing.assert_allclose(world[1], world[0], atol=1e-6)


def test_the_left_is_left():
    noise = np.random.default_rng(4).standard_normal(RATE // 2)
    heard = play(noise, 0.6, at(0.0, 2.0, 0.0), binaural=True)
    assert 10.0 * np.log10(np.sum(heard[LEFT] ** 2) / np.sum(heard[RIGHT] ** 2)) > 8.0
    correlation = signal.correlate(heard[RIGHT], heard[LEFT])
    delay = (np.argmax(np.abs(correlation)) - (heard.shape[1] - 1)) / RATE
    assert 0.0005 < delay < 0.0009


def test_moving_and_still_lines_agree():
    noise = np.random.default_rng(5).standard_normal(RATE // 2)
    still = play(noise, 0.6, at(2.0, 1.0, 0.0), binaural=True)
    creeping = Trajectory([0.0, 10.0], np.array([[2.0, 1.0, 0.0], [2.0, 1.0, 2e-4]]))
    moved = play(noise, 0.6, creeping, binaural=True)
    np.testing.assert_allclose(moved, still, atol=2e-3 * np.abs(still).max())


def test_filters_that_do_not_change_are_a_convolution():
    rng = np.random.default_rng(6)
    samples, taps = rng.standard_normal(5000).astype(np.float32), rng.standard_normal(64).astype(np.float32)
    expected = np.convolve(samples, taps)[:5000]
    np.testing.assert_allclose(filter_changing(samples, taps[None], 480), expected, atol=1e-4)
    nearly = np.repeat(taps[None], 12, axis=0)
    nearly[5, 0] += 1e-6
    np.testing.assert_allclose(filter_changing(samples, nearly, 480), expected, atol=1e-4)


def test_nothing_in_nothing_out():
    assert not play(np.zeros(1000), 0.1, at(1.0, 0.0, 0.0)).any()
    assert play(click(), 0.001, at(100.0, 0.0, 0.0)).shape == (4, 48)


@pytest.mark.parametrize("azimuth", [0.0, 90.0, -90.0, 180.0])
def test_the_differences_between_the_ears_are_those_of_the_head(azimuth):
    """Levels within 0.5 dB and delays within 20 µs of the set's own, ahead, to the sides and behind."""
    place = 2.0 * np.array([np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth)), 0.0])
    left, right = play(click(), 0.05, at(*place), binaural=True).astype(float)
    hrtf = format_of("binaural").ears
    magnitude, delay = hrtf.at(place[None] / 2.0)
    n = 8192
    spectra = np.fft.rfft(left, n), np.fft.rfft(right, n)
    frequency = np.fft.rfftfreq(n, 1.0 / RATE)
    for low, high in ((500.0, 1000.0), (1000.0, 2000.0), (2000.0, 4000.0), (4000.0, 8000.0)):
        band = (frequency > low) & (frequency < high)
        known = np.stack([np.interp(frequency[band], hrtf.frequency, ear) for ear in magnitude[0]])
        expected = np.diff(10.0 * np.log10(np.sum(10.0 ** (known / 10.0), axis=1)))[0]
        heard = 10.0 * np.log10(np.sum(np.abs(spectra[1][band]) ** 2) / np.sum(np.abs(spectra[0][band]) ** 2))
        assert heard == pytest.approx(expected, abs=0.5), low
    # The delay that is left when the phases of the filters alone are taken away.
    filters, _ = hrtf.filters(place[None] / 2.0, RATE)
    own = np.fft.rfft(filters[0].astype(float), n)
    band = (frequency > 300.0) & (frequency < 3000.0)
    cross = spectra[0] * np.conj(spectra[1]) * np.conj(own[0] * np.conj(own[1]))
    slope = np.polyfit(2.0 * np.pi * frequency[band], np.unwrap(np.angle(cross[band])), 1)[0]
    assert slope == pytest.approx(delay[0, RIGHT] - delay[0, LEFT], abs=20e-6)
