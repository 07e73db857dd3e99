from __future__ import annotations

import numpy as np
import pytest
from scipy import signal
from scipy.spatial.transform import Rotation

from naf_core.beam import Beam
from naf_core.clock import Held
from naf_core.directivity import Cone, Directivity
from naf_core.formats import format_of
from naf_core.hearing import Hearing
from naf_core.images import Images, find_images, without_images
from naf_core.raycast import Raycaster
from naf_core.render import Rendering, impulse_response
from naf_core.response import FRAME_EDGES, EnergyResponse, empty_response
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.sound import content_of
from naf_core.synthesis import Clicks
from naf_core.tracer import trace
from tests.shapes import box, material, quad, scene_of

RATE, SPEED = 48000, 343.2
HERE = Trajectory([0.0], np.zeros((1, 3)))
CONE = Cone(60.0, 120.0, 0.1)
FLOOR = scene_of((quad([-50, -50, -1], [50, -50, -1], [50, 50, -1], [-50, 50, -1]), material(0.1, 0.0)))


def speaker(turn: np.ndarray | float, cone: Cone | None = CONE, frames: int = 1, distance: float = 2.0) -> Emitter:
    """An emitter on the x axis, turned by so many degrees to the left from looking at the origin, at 24 frames a s."""
    turn = np.broadcast_to(turn, frames)
    rotations = Rotation.from_rotvec(np.radians(180.0 + turn)[:, None] * [0.0, 0.0, 1.0]).as_matrix()
    path = Trajectory(np.arange(frames) / 24.0, np.tile([distance, 0.0, 0.0], (frames, 1)), rotations)
    return Emitter("Speaker", path, "not read", cone=cone)


def open_air(distance: float = 2.0, reflected: float = 0.0) -> EnergyResponse:
    """Direct sound, and a decay that has so much energy."""
    result = empty_response((1,), SPEED)
    result.distance[:], result.direct[:] = distance, 1.0 / distance**2
    curve = np.exp(-np.log(1e6) / 0.4 * FRAME_EDGES)
    result.energy[..., 0] = reflected * (curve[:-1] - curve[1:])
    result.tail_slope[:] = -150.0
    return result


class Samples:
    """Stands in for the source of an emitter."""

    def __init__(self, samples: np.ndarray) -> None:
        self.sample_rate, self.length, self.read = RATE, len(samples), Held(samples).read
        self.content = content_of(samples, RATE)


def heard(
    emitter: Emitter,
    sound: np.ndarray,
    responses: EnergyResponse,
    images: Images | None = None,
    seconds: float = 0.5,
    head: Trajectory = HERE,
    seed: int = 0,
) -> np.ndarray:
    """The three parts, in one channel each: (3, n)."""
    beam = None if emitter.cone is None else Beam(emitter, head, SPEED)
    here = emitter.trajectory.positions[:1]
    departure = head.positions[:1] - here
    answer = responses, here, departure / np.linalg.norm(departure)
    find = None if images is None else lambda keys: images
    hearing = Hearing(emitter.trajectory, head, np.zeros(1), lambda keys: answer, find, beam)
    rendering = Rendering(emitter, Listener("Camera", head), hearing, Samples(sound), seconds, format_of("mono"), seed)
    return np.concatenate(list(rendering.blocks()))[..., 0].T


def noise(seconds: float = 0.5) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE)).astype(np.float32)


def decibel(a: np.ndarray, b: np.ndarray) -> float:
    return 10.0 * np.log10(np.square(a, dtype=float).sum() / np.square(b, dtype=float).sum())


@pytest.mark.parametrize(("turn", "amplitude"), [(0, 1.0), (29, 1.0), (-45, 0.55), (61, 0.1), (180, 0.1)])
def test_direct_sound_is_as_loud_as_the_cone_sends_it(turn, amplitude):
    plain, shaped = (heard(speaker(turn, cone), noise(), open_air())[0] for cone in (None, CONE))
    assert decibel(shaped, plain) == pytest.approx(20.0 * np.log10(amplitude), abs=0.05)


def test_reverberation_has_what_the_cone_sends_in_all():
    """From 2 kHz on: below, reverberation makes up for how it meets the direct sound, which has another share."""
    high = signal.butter(4, 2000.0, "highpass", fs=RATE, output="sos")
    for turn in (0, 180):
        plain, shaped = 0.0, 0.0
        for seed in range(4):
            one, other = (heard(speaker(turn, c), noise(), open_air(reflected=1.0), seed=seed)[2] for c in (None, CONE))
            plain += np.square(signal.sosfilt(high, one)).sum()
            shaped += np.square(signal.sosfilt(high, other)).sum()
        assert 10.0 * np.log10(shaped / plain) == pytest.approx(10.0 * np.log10(CONE.power[0]), abs=0.3)


def test_a_reflection_is_as_loud_as_the_cone_sends_it_there():
    """The floor mirrors an emitter 2 m off and 1 m above it: the image leaves 45 degrees below the direct sound."""
    responses, towards = open_air(), {}
    images = find_images(FLOOR, Raycaster(FLOOR), np.array([[2.0, 0, 0]]), np.zeros((1, 3)), 16)
    assert len(images) == 1
    for name, tilt in (("listener", 0.0), ("reflection", 45.0)):
        turn = Rotation.from_rotvec([0.0, -np.radians(tilt), 0.0]) * Rotation.from_rotvec([0.0, 0.0, np.pi])
        # Looking along -x and down by the tilt.
        assert (turn.as_matrix()[:, 0] @ [-1, 0, -np.tan(np.radians(tilt))]) > 0.99
        path = Trajectory([0.0], [[2.0, 0, 0]], turn.as_matrix()[None])
        plain, shaped = (
            heard(Emitter("Speaker", path, "", cone=cone), noise(), responses, images)
            for cone in (None, Cone(40.0, 40.0, 0.1))
        )
        towards[name] = [decibel(shaped[part], plain[part]) for part in (0, 1)]
    assert towards["listener"] == pytest.approx([0.0, -20.0], abs=0.1)
    assert towards["reflection"] == pytest.approx([-20.0, 0.0], abs=0.1)


def test_an_image_of_which_nothing_is_sent_is_silent():
    images = find_images(FLOOR, Raycaster(FLOOR), np.array([[2.0, 0, 0]]), np.zeros((1, 3)), 16)
    parts = heard(speaker(180, Cone(40.0, 40.0, 0.0)), noise(), open_air(), images)
    assert not parts[:2].any()


def test_low_notes_come_round_a_small_body():
    """Behind a point of 10 cm radius with nothing outside its cone."""
    cone = Cone(60.0, 120.0, 0.0, radius=0.1)
    spectra = [np.abs(np.fft.rfft(heard(speaker(180, c), noise(), open_air())[0])) ** 2 for c in (None, cone)]
    for hertz, share in zip((125, 500, 2000), 1.0 - cone.band_share[[1, 3, 5]], strict=True):
        bins = slice(int(hertz * 0.9 * 0.5), int(hertz * 1.1 * 0.5) + 1)
        level = 10.0 * np.log10(spectra[1][bins].sum() / spectra[0][bins].sum())
        assert level == pytest.approx(10.0 * np.log10(share), abs=1.0)


@pytest.mark.parametrize("speed", [60.0, 180.0])
def test_a_turning_speaker_fades_without_zipper_noise(speed):
    """Its envelope is the cone's, and nothing but the tone is heard beside it."""
    seconds = 2.0
    at = np.arange(int(seconds * RATE)) / RATE
    tone = np.sin(2.0 * np.pi * 1000.0 * at).astype(np.float32)
    emitter = speaker(-speed * np.arange(49) / 24.0 + 0.5 * speed * seconds, frames=49)
    plain, shaped = (heard(e, tone, open_air(), seconds=seconds)[0] for e in (speaker(0, None), emitter))
    sent = at - 2.0 / SPEED
    expected = np.sqrt(CONE.gain(np.cos(np.radians(speed * (0.5 * seconds - sent))))[:, 0])
    inner = slice(RATE // 10, int(1.9 * RATE))
    envelope, whole = (np.abs(signal.hilbert(x))[inner] for x in (shaped[: len(at)], plain[: len(at)]))
    assert np.abs(envelope / whole - expected[inner]).max() < 0.012
    window = signal.windows.blackmanharris(inner.stop - inner.start)
    spectrum = np.abs(np.fft.rfft(shaped[inner] * window)) ** 2
    hertz = np.fft.rfftfreq(len(window), 1.0 / RATE)
    beside = np.abs(hertz - 1000.0) > 60.0
    assert 10.0 * np.log10(spectrum[beside].sum() / spectrum[~beside].sum()) < -65.0


def test_a_keyed_cone_opens_over_time():
    emitter = speaker(90.0, Cone(np.linspace(0.0, 360.0, 49), np.linspace(0.0, 360.0, 49), 0.0), 49)
    sound = heard(emitter, noise(2.0), open_air(), seconds=2.0)[0]
    assert not sound[: int(0.95 * RATE)].any()
    assert sound[int(1.05 * RATE) :].any()


def test_between_keys_images_go_on_and_are_weighted_where_the_emitter_turned_to():
    """A beam that sweeps over the floor while nothing moves: the reflection is loudest when it points there."""
    images = find_images(FLOOR, Raycaster(FLOOR), np.array([[2.0, 0, 0]]), np.zeros((1, 3)), 16)
    frames = np.arange(49)
    tilt = Rotation.from_rotvec(np.radians(-frames * 90.0 / 48)[:, None] * [0.0, 1.0, 0.0])
    turn = tilt * Rotation.from_rotvec([0.0, 0.0, np.pi])
    path = Trajectory(frames / 24.0, np.tile([2.0, 0, 0], (49, 1)), turn.as_matrix())
    emitter = Emitter("Speaker", path, "", cone=Cone(0.0, 60.0, 0.0))
    shaped, times = Beam(emitter, HERE, SPEED).reflections(images, np.zeros(1))
    level = np.sqrt(shaped.energy[0, :, 4] / images.energy[0, 0, 4])
    away = np.linalg.norm(images.way[0, 0])
    off = np.abs(90.0 / 2.0 * (times - away / SPEED) - 45.0)
    np.testing.assert_allclose(level, np.clip(1.0 - off / 30.0, 0.0, 1.0), atol=2e-3)


@pytest.mark.parametrize("turn", [0.0, 120.0])
def test_early_and_late_sound_are_those_of_the_reference_engine_with_the_cone(turn):
    """Direct sound and images by direction and the rest by power, against tracing the cone itself."""
    room = scene_of((box([0, 0, 0], [8, 6, 3]), material(0.2, 0.3)))
    here, there = np.array([[2.0, 2.0, 1.5]]), np.array([[6.0, 4.0, 1.6]])
    towards = (there - here)[0] / np.linalg.norm(there - here)
    axis = Rotation.from_rotvec([0.0, 0.0, np.radians(turn)]).apply(towards)
    left = np.cross([0.0, 0.0, 1.0], axis) / np.linalg.norm(np.cross([0.0, 0.0, 1.0], axis))
    path = Trajectory([0.0], here, np.stack([axis, left, np.cross(axis, left)], axis=1)[None])
    beam = Beam(Emitter("e", path, "", cone=Cone(60.0, 180.0, 0.1)), Trajectory([0.0], there), SPEED)
    plain, traced = (
        trace(room, here, there, rays=6000, seed=seed, directivity=cone)[0]
        for seed, cone in ((1, None), (2, [Directivity(tuple(axis), 60.0, 180.0, 0.1)]))
    )
    images = find_images(room, Raycaster(room), here, there, 16)
    shaped = beam.whole(without_images(plain, images), np.zeros(1), towards[None])
    heard = beam.reflections(images, np.zeros(1))[0]
    delay = (np.linalg.norm(heard.way[:, 0], axis=1) - plain.distance[0]) / SPEED
    frame = np.searchsorted(FRAME_EDGES, delay, side="right") - 1
    np.add.at(shaped.energy[0, :, :, 0].T, frame, heard.energy[:, 0])
    ours, theirs = shaped.parameters(), traced.parameters()
    for key, least in (("C50_dB", 0.5), ("G_dB", 0.8)):
        assert ours[key][0, 2:6].mean() == pytest.approx(theirs[key][0, 2:6].mean(), abs=least)


def test_the_report_tells_of_what_is_heard():
    emitter, responses = speaker(90.0), open_air(reflected=1.0)
    answer = responses, emitter.trajectory.positions, np.array([[-1.0, 0, 0]])
    beam = Beam(emitter, HERE, SPEED)
    opening = Hearing(emitter.trajectory, HERE, np.zeros(1), lambda keys: answer, None, beam).opening
    np.testing.assert_allclose(opening.direct, 0.01 * responses.direct[0], rtol=1e-3)
    np.testing.assert_allclose(opening.energy, CONE.power[0] * responses.energy[0], rtol=1e-5, atol=1e-30)


def test_an_exported_response_is_weighted_as_the_baked_sound_is():
    images = find_images(FLOOR, Raycaster(FLOOR), np.array([[2.0, 0, 0]]), np.zeros((1, 3)), 16)
    emitter, responses = speaker(50.0), open_air(reflected=1.0)
    still = Beam(emitter, HERE, SPEED).still(responses[0], 0.0, np.array([-1.0, 0, 0]), images.at(0))
    plain, shaped = (
        impulse_response(responses[0], RATE, format_of("mono"), 0, images.at(0), beam=beam) for beam in (None, still)
    )
    click = round(2.0 / SPEED * RATE)
    direct = slice(click - 40, click + 40)
    late = slice(round(0.05 * RATE), None)
    angle = CONE.gain(np.cos(np.radians([50.0])))[0, 0]
    assert decibel(shaped[direct], plain[direct]) == pytest.approx(10.0 * np.log10(angle), abs=0.1)
    assert decibel(shaped[late], plain[late]) == pytest.approx(10.0 * np.log10(CONE.power[0]), abs=0.05)


@pytest.mark.parametrize("turn", [0.0, 90.0])
def test_reverberation_makes_up_for_how_it_meets_what_a_cone_sends(turn):
    """As without a cone, energies are right of all together: here, of what the cone leaves of each."""
    images = find_images(FLOOR, Raycaster(FLOOR), np.array([[2.0, 0, 0]]), np.zeros((1, 3)), 16)
    responses = open_air(reflected=2.0)
    answer = responses, np.array([[2.0, 0, 0]]), np.array([[-1.0, 0, 0]])

    def heard_with(cone: Cone | None) -> tuple[EnergyResponse, Clicks]:
        emitter = speaker(turn, cone)
        beam = None if cone is None else Beam(emitter, HERE, SPEED)
        return Hearing(emitter.trajectory, HERE, np.zeros(1), lambda _: answer, lambda _: images, beam).response(0)

    (_, plain), (_, open_wide), (rest, narrow) = (heard_with(cone) for cone in (None, Cone(359.0, 360.0, 0.999), CONE))
    np.testing.assert_allclose(open_wide.energy, plain.energy, rtol=2e-3)
    np.testing.assert_allclose(open_wide.total, plain.total, rtol=2e-3)
    assert narrow.energy[-1, 4] == pytest.approx(responses.direct[0, 4] * (1.0 if turn == 0.0 else 0.01), rel=1e-3)
    together = narrow.energy.sum(axis=0) + rest.energy[..., 0].sum(axis=1)  # in high bands they meet by chance
    np.testing.assert_allclose(narrow.total.sum(axis=1)[5:], together[5:], rtol=0.05)
