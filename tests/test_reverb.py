import numpy as np
import pytest

from naf_core.carriers import Carriers
from naf_core.clock import Clock, Held
from naf_core.response import FRAME_EDGES, empty_response
from naf_core.reverb import Reverberation, ring_out
from naf_core.synthesis import ambisonic_response, late_response

RATE = 24000
SPEED = 343.2


def responses(distances=(3.0,), levels=(0.3,), decay=0.4):
    response = empty_response((len(distances),), SPEED)
    curve = np.exp(-np.log(1e6) / decay * FRAME_EDGES)
    for key, (distance, level) in enumerate(zip(distances, levels, strict=True)):
        response.energy[key, :, :, 0] = level * (curve[:-1] - curve[1:])
        response.distance[key] = distance
    response.energy[..., 2] = 0.2 * response.energy[..., 0]
    response.tail_slope[...] = -60.0 / decay
    return response


def clock(seconds):
    return Clock(RATE, 0.0, int(seconds * RATE))


def reverberation(dry, clock, response, times, seed, follows_listener=False, parts=1):
    """All of it, asked for in some parts."""
    carriers = Carriers(RATE, ring_out(response) + 0.1, seed)
    made = Reverberation(
        Held(dry), clock, lambda key: (response[key], None), times, response.delay, carriers, follows_listener
    )
    ends = np.linspace(0, clock.length, parts + 1).astype(int)[1:]
    return np.concatenate([made.until(end) for end in ends], axis=1)


def noise(seconds, seed=0):
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize("follows_listener", [False, True])
def test_one_response_is_a_plain_convolution(follows_listener):
    response, dry = responses(), noise(1.0)
    heard = reverberation(dry, clock(2.0), response, np.zeros(1), 7, follows_listener)
    carriers = Carriers(RATE, ring_out(response) + 0.1, 7)
    start = round(3.0 / SPEED * RATE)
    impulse = ambisonic_response(response[0], carriers, start)
    expected = np.zeros((4, 2 * RATE))
    for channel in range(4):
        whole = np.convolve(dry.astype(float), impulse[channel])[: 2 * RATE - start]
        expected[channel, start : start + len(whole)] = whole
    np.testing.assert_allclose(heard, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("follows_listener", [False, True])
def test_equal_responses_at_many_keys_are_one_response(follows_listener):
    """The fades between the keys sum to one everywhere."""
    dry = noise(1.0)
    one = reverberation(dry, clock(1.5), responses(), np.zeros(1), 0, follows_listener)
    keys = np.array([0.0, 0.0417, 0.3, 0.301, 0.77, 1.2])
    many = reverberation(dry, clock(1.5), responses([3.0] * 6, [0.3] * 6), keys, 0, follows_listener)
    np.testing.assert_allclose(many, one, atol=3e-5 * np.abs(one).max())


def test_nothing_wraps_around():
    """A click at the end of the track rings out of it, not into its beginning; before the first arrival is silence."""
    dry = np.zeros(RATE, np.float32)
    dry[-10] = 1.0
    heard = reverberation(dry, clock(1.0), responses(), np.zeros(1), 0)
    assert np.abs(heard[:, : RATE - 10]).max() < 1e-8
    dry[-10], dry[100] = 0.0, 1.0
    heard = reverberation(dry, clock(1.0), responses([20.0]), np.zeros(1), 0)
    first = 100 + round(20.0 / SPEED * RATE)
    assert np.abs(heard[:, :first]).max() < 1e-6 * np.abs(heard).max() < np.abs(heard[:, first + 5 : first + 50]).max()


@pytest.mark.parametrize("follows_listener", [False, True])
def test_the_level_follows_the_responses(follows_listener):
    dry = noise(4.0)
    keys = np.array([0.0, 1.0, 3.0])
    heard = reverberation(dry, clock(4.0), responses([3.0] * 3, [0.1, 0.1, 10.0], 0.2), keys, 0, follows_listener)
    level = [10.0 * np.log10(np.mean(heard[0, a * RATE : (a + 1) * RATE] ** 2)) for a in (0, 3)]
    assert level[1] - level[0] == pytest.approx(20.0, abs=0.7)


def test_a_tail_keeps_the_place_of_the_emitter_or_takes_that_of_the_listener():
    dry = np.zeros(2 * RATE, np.float32)
    dry[: RATE // 10] = noise(0.1)
    keys, response = np.array([0.0, 0.2, 0.3]), responses([3.0] * 3, [1.0, 1.0, 1e-4], 1.0)
    late = slice(RATE // 2, RATE)
    emitted = reverberation(dry, clock(2.0), response, keys, 0, follows_listener=False)[0, late]
    heard = reverberation(dry, clock(2.0), response, keys, 0, follows_listener=True)[0, late]
    assert 10.0 * np.log10(np.mean(heard**2) / np.mean(emitted**2)) == pytest.approx(-40.0, abs=1.0)


@pytest.mark.parametrize("follows_listener", [False, True])
def test_walking_away_makes_no_comb(follows_listener):
    """Halfway between two keys, 0.73 ms apart, independent noise would have a notch at 685 Hz and its odd multiples."""
    dry = noise(4.0)
    distances = 3.0 + 0.25 * np.arange(17)
    there, times = responses(distances, [0.3] * 17), np.linspace(0.0, 4.0, 17)

    def third_octaves(samples):
        power = np.abs(np.fft.rfft(samples[RATE:])) ** 2
        edges = (500.0 * 2.0 ** (np.arange(13) / 3.0) * len(samples[RATE:]) / RATE).astype(int)
        return np.add.reduceat(power, edges)[:-1]

    still, walking = np.zeros(12), np.zeros(12)
    for seed in range(4):  # a third of an octave of one short response is what chance makes it
        still += third_octaves(reverberation(dry, clock(4.0), responses(), np.zeros(1), seed)[0])
        walked = reverberation(dry, clock(4.0), there, times, seed, follows_listener)[0]
        walking += third_octaves(walked)
        power = np.square(walked[RATE : 3 * RATE]).reshape(20, -1).mean(axis=1)
        assert np.std(10.0 * np.log10(power)) < 0.5
    np.testing.assert_allclose(10.0 * np.log10(walking / still), 0.0, atol=1.5)


def test_steps_between_responses_make_no_click():
    """A tone stays a tone while the response falls by 40 dB within one frame of the animation."""
    dry = np.sin(2.0 * np.pi * 300.0 * np.arange(2 * RATE) / RATE).astype(np.float32)
    keys = np.array([0.0, 1.0, 1.0417, 2.0])
    heard = reverberation(dry, clock(2.0), responses([3.0] * 4, [1.0, 1.0, 1e-4, 1e-4]), keys, 0)[0]
    part = heard[int(0.9 * RATE) : int(1.3 * RATE)]
    part = part * np.blackman(len(part))
    power = np.abs(np.fft.rfft(part)) ** 2
    far = int(2000.0 * len(part) / RATE)
    assert 10.0 * np.log10(power[far:].sum() / power.sum()) < -70.0


def test_silence_and_the_free_field():
    assert not reverberation(np.zeros(100, np.float32), clock(0.5), responses(), np.zeros(1), 0).any()
    assert not reverberation(noise(0.2), clock(0.5), empty_response((1,), SPEED), np.zeros(1), 0).any()


@pytest.mark.parametrize("follows_listener", [False, True])
def test_the_parts_in_which_it_is_asked_for_make_no_difference(follows_listener):
    dry, keys = noise(1.0), np.array([0.0, 0.0417, 0.3, 0.301, 0.77, 1.2])
    response = responses([3.0, 3.1, 3.4, 3.5, 4.0, 4.0], [0.3, 0.1, 0.4, 0.2, 0.3, 0.1])
    whole, parts = (reverberation(dry, clock(2.0), response, keys, 0, follows_listener, count) for count in (1, 7))
    np.testing.assert_allclose(parts, whole, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("follows_listener", [False, True])
def test_a_still_scene_costs_one_response(follows_listener, monkeypatch):
    made = []
    monkeypatch.setattr("naf_core.reverb.ambisonic_response", lambda *a: made.append(a) or ambisonic_response(*a))
    reverberation(noise(1.0), clock(2.0), responses(), np.zeros(1), 0, follows_listener, 9)
    assert len(made) == 1


@pytest.mark.parametrize("follows_listener", [False, True])
def test_a_walk_through_an_even_field_does_not_pulse_at_the_rate_of_its_frames(follows_listener):
    """Modulation at 24 Hz stays 50 dB below the level; of noise, at twice that, as much is there by chance."""
    seconds, rate = 40.0, 24.0
    dry = noise(seconds)
    distances = 3.0 + 0.02 * np.arange(int(seconds * rate) + 1)  # half a metre a second
    keys = np.arange(len(distances))[::12] / rate
    heard = reverberation(
        dry, clock(seconds), responses(distances[::12], [0.3] * len(keys)), keys, 0, follows_listener
    )[0].astype(float)
    power = np.square(heard[RATE : int(seconds - 1) * RATE])
    time = np.arange(len(power)) / RATE
    for frequency, most in ((rate, -50.0), (2.0 * rate, -47.0)):
        modulation = 2.0 * np.abs(np.mean(power * np.exp(-2j * np.pi * frequency * time))) / power.mean()
        assert 20.0 * np.log10(0.5 * modulation) < most


def made_late(response, times, monkeypatch):
    """How often late reverberation is made of responses at ``times``."""
    made = []
    monkeypatch.setattr("naf_core.reverb.late_response", lambda *a: made.append(a) or late_response(*a))
    reverberation(noise(float(times[-1])), clock(times[-1]), response, times, 0)
    return len(made)


def test_late_reverberation_is_made_anew_only_where_it_changes(monkeypatch):
    """An even walk needs it at both ends; through a door, where it falls by 20 dB, at every key there."""
    times = np.linspace(0.0, 4.0, 21)
    even = responses(3.0 + 0.01 * np.arange(21), 0.3 * 10.0 ** (-0.005 * np.arange(21)))
    assert made_late(even, times, monkeypatch) == 2
    fall = np.interp(np.arange(21), [8, 12], [0.0, -2.0])
    behind = responses([3.0] * 21, 0.3 * 10.0**fall)
    assert 7 <= made_late(behind, times, monkeypatch) <= 9
    away = responses(3.0 + 0.25 * np.arange(21), [0.3] * 21)  # its beginning moves by 15 ms
    assert 3 < made_late(away, times, monkeypatch) < 8


@pytest.mark.parametrize("follows_listener", [False, True])
def test_what_is_made_anew_less_often_is_heard_as_if_it_were_made_at_every_key(follows_listener, monkeypatch):
    """Levels that wander by 2 dB: within 0.3 dB in windows of 100 ms."""
    times, dry = np.linspace(0.0, 4.0, 21), noise(4.0)
    level = np.cumsum(np.random.default_rng(1).uniform(-0.04, 0.04, 21))
    response = responses(3.0 + 0.05 * np.arange(21), 0.3 * 10.0**level)
    seldom = reverberation(dry, clock(4.0), response, times, 0, follows_listener)
    monkeypatch.setattr("naf_core.reverb._BAND_DB", -1.0)
    always = reverberation(dry, clock(4.0), response, times, 0, follows_listener)
    assert np.abs(seldom - always).max() > 0.0
    power = [np.square(heard[0, RATE // 2 :]).reshape(35, -1).mean(axis=1) for heard in (seldom, always)]
    np.testing.assert_allclose(10.0 * np.log10(power[0] / power[1]), 0.0, atol=0.3)
