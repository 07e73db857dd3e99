import weakref
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from scipy import signal
from scipy.spatial.transform import Rotation

from naf_core import Emitter, Listener, Trajectory, UserError
from naf_core.carriers import octave_filters
from naf_core.clock import Held
from naf_core.formats import format_of
from naf_core.hearing import Hearing
from naf_core.images import find_images
from naf_core.motion import key_times, rotations_at
from naf_core.raycast import Raycaster
from naf_core.render import MAX_TAIL, Rendering, _own_seed, impulse_response
from naf_core.response import FRAME_EDGES, empty_response
from naf_core.sound import FULL_SCALE_SPL, content_of
from naf_core.source import Source
from tests.shapes import box, material, scene_of

RATE, SPEED = 48000, 343.2
HERE = Trajectory([0.0], np.zeros((1, 3)))
LISTENER = Listener("Camera", HERE)


def response(distances, level=0.05, decay=0.4, towards=(1.0, 0.0, 0.0)):
    """A free field plus an exponential decay."""
    result = empty_response((len(distances),), SPEED)
    curve = np.exp(-np.log(1e6) / decay * FRAME_EDGES)
    result.energy[..., 0] = level * (curve[:-1] - curve[1:])
    result.tail_slope[...] = -60.0 / decay
    result.distance[...] = distances
    result.direct[...] = 1.0 / np.square(distances)[:, None]
    result.direct_direction[...] = towards
    return result


def speaker(position=(2.0, 0.0, 0.0), **options):
    return Emitter("Speaker", Trajectory([0.0], np.array([position])), "not read", **options)


class Samples:
    """Stands in for the source of an emitter."""

    def __init__(self, samples, rate):
        self.sample_rate, self.length, self.read = rate, len(samples), Held(samples).read
        self.content = content_of(samples, rate)


def render(
    emitter, listener, responses, times, seconds, rate=RATE, fmt="binaural", images=None, progress=None, **options
):
    """All that is heard, without regard to its parts."""
    sound = options.pop("sound")
    source = Samples(sound, rate) if isinstance(sound, np.ndarray) else sound
    hearing = hearing_of(emitter.trajectory, listener.trajectory, responses, times, images)
    rendering = Rendering(emitter, listener, hearing, source, seconds, format_of(fmt), **options)
    return np.concatenate(list(rendering.blocks(progress))).sum(axis=1)


def hearing_of(emitter, listener, responses, times, images=None):
    """What is known of all keys beforehand."""
    here = np.stack([np.interp(times, emitter.times, axis) for axis in emitter.positions.T], axis=1)
    aside = np.zeros((len(times), 3))
    find = None if images is None else lambda keys: images
    return Hearing(emitter, listener, times, lambda keys: (responses[keys], here[keys], aside[keys]), find)


def tone(frequency=1000.0, seconds=1.0):
    return np.sin(2.0 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def play(emitter, sound, seconds=1.0, fmt="mono", responses=None, **options):
    responses = response([2.0], 0.0) if responses is None else responses
    return render(emitter, LISTENER, responses, np.zeros(1), seconds, RATE, fmt, sound=sound, **options)


@pytest.mark.parametrize(("level", "distance"), [(70.0, 1.0), (70.0, 4.0), (94.0, 2.0)])
def test_levels_are_those_in_pascals(level, distance):
    """70 dB(A) at 1 m is 70 dB(A) there, and 12 dB less at 4 m."""
    heard = play(speaker((distance, 0, 0), level=level), 0.01 * tone(), responses=response([distance], 0.0))
    expected = level - 20.0 * np.log10(distance)
    assert content_of(heard[RATE // 10 : 9 * RATE // 10, 0], RATE).level == pytest.approx(expected, abs=0.25)
    steady = np.sqrt(np.mean(np.square(heard[RATE // 10 : 9 * RATE // 10, 0].astype(float))))
    assert 20.0 * np.log10(steady) + FULL_SCALE_SPL == pytest.approx(expected, abs=0.15)


def reflected():
    """A room with images: a place in it, one to listen from, the response and the images, which are less than it."""
    emitter, listener = np.array([[1.5, 1.2, 1.4]]), np.array([[4.1, 3.7, 1.6]])
    scene = scene_of((box([0, 0, 0], [6, 5, 3]), material(0.2, 0.3)))
    images = find_images(scene, Raycaster(scene), emitter, listener, most=16)
    distance = np.linalg.norm(emitter - listener)
    return emitter, listener, response([distance], 4.0, 0.8, (emitter - listener)[0] / distance), images


@pytest.mark.parametrize("fmt", ["binaural", "stereo", "ambix-world", "mono", "7.1.4"])
def test_a_still_scene_is_one_convolution_to_90_db(fmt):
    """Direct sound, images and reverberation in blocks, against one plain transform of the whole."""
    place, listener, field, images = reflected()
    sound = np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32)
    source, head = Emitter("Speaker", Trajectory([0.0], place), ""), Listener("Camera", Trajectory([0.0], listener))
    heard = render(source, head, field, np.zeros(1), 5.0, RATE, fmt, images=images, sound=sound)
    impulse = impulse_response(field[0], RATE, format_of(fmt), _own_seed(0, source), images.at(0))
    gain = content_of(sound, RATE).calibration(70.0)
    expected = gain * signal.fftconvolve(sound[:, None].astype(float), impulse.astype(float), axes=0)
    part = slice(0, 5 * RATE - 300)  # where the sound is not faded out yet
    error = np.sqrt(np.mean(np.square(heard[part] - expected[part])) / np.mean(np.square(expected[part])))
    assert 20.0 * np.log10(error) < -90.0


def test_ambisonics_of_a_turning_head_are_those_of_the_world_turned():
    place, listener, field, images = reflected()
    times = np.arange(25) / 24.0
    turning = Rotation.from_euler("zyx", np.stack([1.5 * times, 0.4 * times, -0.3 * times], axis=1))
    path = Trajectory(times, np.repeat(listener, 25, axis=0), turning.as_matrix())
    source, sound = Emitter("Speaker", Trajectory(times, np.repeat(place, 25, axis=0)), ""), tone(500.0)
    locked, world = (
        render(
            source, Listener("Camera", path), field, np.zeros(1), 1.0, RATE, fmt, images=images, sound=sound, tail=0.0
        )
        for fmt in ("ambix", "ambix-world")
    )
    rotations = rotations_at(path, np.arange(RATE) / RATE)
    expected = np.einsum("kij,ki->kj", rotations, world[:, [3, 1, 2]])
    error = np.sqrt(np.mean(np.square(locked[:, [3, 1, 2]] - expected)) / np.mean(np.square(expected)))
    assert 20.0 * np.log10(error) < -60.0
    np.testing.assert_allclose(locked[:, 0], world[:, 0], atol=1e-5 * np.abs(world).max())


def test_reverberation_has_the_energy_of_the_response():
    """At 2 m with as much reflected as direct energy the level is 3 dB above that of the direct sound."""
    sound = np.random.default_rng(1).standard_normal(3 * RATE).astype(np.float32)
    sections = signal.butter(8, 15000.0, fs=RATE, output="sos")  # reverberation ends at 18 kHz
    direct, both = (
        signal.sosfilt(sections, play(speaker(), sound, 3.0, responses=response([2.0], level))[:, 0])
        for level in (0.0, 0.25)
    )
    part = slice(RATE, 3 * RATE)
    assert 10.0 * np.log10(np.mean(both[part] ** 2) / np.mean(direct[part] ** 2)) == pytest.approx(3.0, abs=0.4)


@pytest.mark.parametrize("fmt", ["binaural", "ambix", "stereo"])
def test_silence_stays_silence(fmt):
    heard = play(speaker(), np.zeros(RATE, np.float32), 0.5, fmt, response([2.0]))
    assert heard.shape[0] >= RATE // 2 and not heard.any()
    muted = play(speaker(gain=0.0), tone(), 0.5, fmt, response([2.0]))
    assert not muted.any()


def test_starts_place_the_sound_and_may_overlap():
    click = np.zeros(100, np.float32)
    click[0] = 1.0
    delay = 2.0 / SPEED
    heard = np.abs(play(speaker(starts=(0.1, 0.5, 5.0)), click, 1.0)[:, 0])
    peak = heard.max()
    for start in (0.1, 0.5):
        around = heard[int((start + delay) * RATE) - 3 : int((start + delay) * RATE) + 5]
        assert around.max() > 0.5 * peak
    heard[int((0.1 + delay) * RATE) - 40 : int((0.1 + delay) * RATE) + 40] = 0.0
    heard[int((0.5 + delay) * RATE) - 40 : int((0.5 + delay) * RATE) + 40] = 0.0
    assert heard.max() < 1e-5 * peak


def test_a_sound_that_began_before_the_shot_is_in_the_room_already():
    sound = np.random.default_rng(2).standard_normal(2 * RATE).astype(np.float32)
    early = play(speaker(starts=(-1.0,)), sound, 0.8, responses=response([2.0], 0.2))
    whole = play(speaker(starts=(0.0,)), sound, 1.8, responses=response([2.0], 0.2))
    start = RATE + 300
    np.testing.assert_allclose(
        early[300 : RATE // 2], whole[start : start + RATE // 2 - 300], atol=2e-3 * np.abs(whole).max()
    )


def test_the_track_is_the_shot_and_its_tail():
    long = tone(seconds=9.0)
    assert len(play(speaker(), long, 1.0, tail=0.25)) == RATE + RATE // 4
    free_field = play(speaker(), long, 1.0)
    assert RATE <= len(free_field) < 1.05 * RATE
    ringing = play(speaker(), long, 1.0, responses=response([2.0], decay=1.0))
    assert 1.5 * RATE < len(ringing) < 2.4 * RATE
    assert np.abs(ringing[-20:]).max() < 1e-3 * np.abs(ringing).max()
    endless = render(speaker(), LISTENER, response([2.0], decay=60.0), np.zeros(1), 1.0, 16000, "mono", sound=long)
    assert len(endless) == 16000 * (1 + MAX_TAIL) and not endless[-1].any()


def test_volume_steps_make_no_clicks():
    times = np.arange(25) / 24.0
    gain = np.where(times < 0.5, 1.0, 0.05)
    emitter = Emitter("Speaker", Trajectory(times, np.tile([2.0, 0.0, 0.0], (25, 1))), "not read", gain=gain)
    heard = play(emitter, tone(300.0), 1.0, tail=0.0)[:, 0]
    part = heard[int(0.35 * RATE) : int(0.65 * RATE)] * np.blackman(int(0.3 * RATE))
    power = np.abs(np.fft.rfft(part)) ** 2
    far = int(1500 * 0.3)
    assert 10.0 * np.log10(power[far:].sum() / power.sum()) < -70.0
    assert np.abs(heard[-4000:-500]).max() == pytest.approx(0.05 * np.abs(heard[1000:5000]).max(), rel=0.01)


def test_a_walk_around_a_turning_head_makes_no_clicks():
    times = np.arange(49) / 24.0
    path = Trajectory(times, np.stack([2 * np.cos(times), 2 * np.sin(times), 0 * times], axis=1))
    head = Listener(
        "Camera", Trajectory(times, np.zeros((49, 3)), Rotation.from_euler("z", -times[:, None]).as_matrix())
    )
    keys = key_times(path, head.trajectory)
    emitter = Emitter("Speaker", path, "not read")
    responses = response(np.full(len(keys), 2.0))
    heard = render(emitter, head, responses, keys, 2.0, RATE, "binaural", sound=tone(400.0, 3.0))
    for ear in heard.T:
        part = ear[RATE // 2 : 3 * RATE // 2] * np.blackman(RATE)
        power = np.abs(np.fft.rfft(part)) ** 2
        assert 10.0 * np.log10(power[2000:].sum() / power.sum()) < -60.0


def test_ambix_is_locked_to_the_head_or_to_the_world():
    looks_left = Rotation.from_euler("z", [[90.0]], degrees=True).as_matrix()
    head = Listener("Camera", Trajectory([0.0], np.zeros((1, 3)), looks_left))
    emitter = speaker((0.0, 2.0, 0.0))
    locked, world = (
        render(emitter, head, response([2.0], 0.0), np.zeros(1), 0.5, RATE, fmt, sound=tone())
        for fmt in ("ambix", "ambix-world")
    )
    w, y, z, x = range(4)
    np.testing.assert_allclose(locked[:, x], locked[:, w], atol=1e-6)
    np.testing.assert_allclose(world[:, y], world[:, w], atol=1e-6)
    assert np.abs(locked[:, [y, z]]).max() < 1e-6


def test_reverberation_turns_with_the_head():
    sound = np.random.default_rng(3).standard_normal(RATE).astype(np.float32)
    result = response([2.0], 1.0)
    result.direct[...] = 0.0
    result.energy[..., 2] = 0.9 * result.energy[..., 0]  # from +y
    looks_left = Trajectory([0.0], np.zeros((1, 3)), Rotation.from_euler("z", [[90.0]], degrees=True).as_matrix())
    w, _, _, x = render(
        speaker(), Listener("Camera", looks_left), result, np.zeros(1), 1.0, RATE, "ambix", sound=sound
    ).T
    assert np.sum(w * x) / np.sum(w * w) == pytest.approx(0.9, abs=0.05)
    left, right = play(speaker(), sound, 1.0, "binaural", result).T
    assert 10.0 * np.log10(np.sum(left**2) / np.sum(right**2)) > 5.0


def test_the_direct_sound_and_its_onset_in_the_impulse_response():
    for distance in (1.0, 5.5, 17.0):
        impulse = impulse_response(response([distance], 1e-4, towards=(0.0, 1.0, 0.0))[0], RATE, format_of("ambix"))
        assert np.argmax(np.abs(impulse[:, 0])) == pytest.approx(distance / SPEED * RATE, abs=0.51)
        onset = slice(int(distance / SPEED * RATE) - 2, int(distance / SPEED * RATE) + 4)
        w, y, _, x = impulse[onset].T.astype(float)
        assert np.sum(w * y) > 0.95 * np.sum(w * w) and abs(np.sum(w * x)) < 0.05 * np.sum(w * w)


def test_seeds_and_names_make_the_noise():
    sound = tone(seconds=0.2)
    one, again, other = (play(speaker(), sound, 0.4, responses=response([2.0]), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one[: RATE // 4] - other[: RATE // 4]).max() > 1e-4
    namesake = Emitter("Other", HERE, "not read")
    twin = Emitter("Speaker", HERE, "not read")
    first, second = (play(e, sound, 0.4, responses=response([2.0]), seed=1)[: RATE // 4] for e in (namesake, twin))
    assert np.abs(first - second).max() > 1e-4


def test_a_sound_file_that_vanishes_while_it_is_rendered_is_named(tmp_path):
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.1 * tone(seconds=9.0), RATE, subtype="FLOAT")
    emitter = speaker()
    hearing = hearing_of(emitter.trajectory, HERE, response([2.0]), np.zeros(1))
    blocks = Rendering(emitter, LISTENER, hearing, Source(path, RATE, "Speaker"), 9.0, format_of("mono")).blocks()
    next(blocks)
    path.unlink()
    with pytest.raises(UserError, match=r"tone\.wav is missing") as error:
        list(blocks)
    assert error.value.object_name == "Speaker"


def test_bad_arguments_are_named():
    frames = "frame range"
    for options, message in (({"fmt": "9.1"}, "9.1"), ({"seconds": 0.0}, frames)):
        with pytest.raises(UserError, match=message):
            play(speaker(), tone(), **options)
    with pytest.raises(UserError, match="sample rate is 100 Hz"):
        render(speaker(), LISTENER, response([2.0]), np.zeros(1), 1.0, 100, sound=tone())


def test_progress_ends_near_one_and_may_cancel():
    fractions = []
    play(speaker(), tone(), 0.5, "binaural", response([2.0]), progress=fractions.append)
    assert fractions == sorted(fractions) and 0.9 < fractions[-1] <= 1.0


def test_blocks_that_were_handed_over_are_let_go():
    """So that memory does not grow with the shot."""
    emitter = speaker()
    hearing = hearing_of(emitter.trajectory, HERE, response([2.0]), np.zeros(1))
    source = Samples(np.ones(40 * 16000, np.float32), 16000)
    alive = []
    for block in Rendering(emitter, LISTENER, hearing, source, 40.0, format_of("mono")).blocks():
        whole = block if block.base is None else block.base
        alive.append(weakref.ref(whole))
        del block, whole
    assert len(alive) > 9 and sum(block() is not None for block in alive) <= 2


def click_errors(
    seed: int, filters: Callable[[int, int], np.ndarray] = octave_filters
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far a baked click, images included, is from its response: T30 (8,) as a share, C50 (8,) in dB, and the energy
    (8, W) in dB of windows of 20 ms up to 0.4 s. ``filters`` (samples, rate) are the gains of octave filters.
    """
    place, listener, field, images = reflected()
    click = np.zeros(10, np.float32)
    click[0] = 1.0
    head = Listener("Camera", Trajectory([0.0], listener))
    source = Emitter("Speaker", Trajectory([0.0], place), "not read")
    heard = render(source, head, field, np.zeros(1), 0.1, RATE, "mono", sound=click, images=images, seed=seed)[:, 0]
    gain = content_of(click, RATE).calibration(70.0)
    known, n, before = field.parameters(), 1 << 18, RATE  # so long that what rings before the sound cannot wrap around
    start = before + round(float(field.delay[0]) * RATE)
    spectrum = np.fft.rfft(np.pad(heard.astype(float) / gain, (before, 0)), n)
    total = field.energy[0, ..., 0].astype(float)
    total[:, 0] += field.direct[0]
    edges = start + np.round(FRAME_EDGES * RATE).astype(int)
    edges[0] = 0  # filters ring before the sound
    t30, c50, windows = [], [], []
    for band, gains in enumerate(filters(n, RATE)):
        energy = np.square(np.fft.irfft(spectrum * gains, n)) / (2.0 / n * np.sum(gains**2))
        curve = np.cumsum(energy[::-1])[::-1]
        fifty = start + round(0.050 * RATE)
        c50.append(10.0 * np.log10((curve[0] - curve[fifty]) / curve[fifty]) - known["C50_dB"][0, band])
        level = 10.0 * np.log10(np.maximum(curve[start:] / curve[0], 1e-20))
        first, last = np.searchsorted(-level, [5.0, 35.0])
        slope = np.polyfit(np.arange(first, last), level[first:last], 1)[0] * RATE
        t30.append(-60.0 / slope / known["T30_s"][0, band] - 1.0)
        begin, ratios = 0, []
        for end in range(1, len(FRAME_EDGES)):
            if FRAME_EDGES[end] > 0.4:
                break
            if FRAME_EDGES[end] - FRAME_EDGES[begin] < 0.020 - 1e-9:
                continue
            ratios.append(energy[edges[begin] : edges[end]].sum() / total[band, begin:end].sum())
            begin = end
        windows.append(10.0 * np.log10(ratios))
    return np.array(t30), np.array(c50), np.array(windows)


@pytest.mark.parametrize("seed", [9, 19, 23, 92])  # hard ones: T30 at 63 Hz, C50 at 500 Hz, windows of 20 ms
def test_a_baked_click_has_the_parameters_of_the_response(seed):
    """Octave by octave: T30 within 2 %, C50 within 0.2 dB, windows of 20 ms within 0.2 dB."""
    t30, c50, windows = click_errors(seed)
    assert np.abs(t30).max() < 0.02, t30
    assert np.abs(c50).max() < 0.2, c50
    assert np.abs(windows).max() < 0.2, windows
