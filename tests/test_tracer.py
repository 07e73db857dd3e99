from __future__ import annotations

import numpy as np
import pyroomacoustics
import pytest

from naf_core.air import Air
from naf_core.errors import UserError
from naf_core.paths import mirror_paths, paths_along
from naf_core.planes import planes
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, N_FRAMES, EnergyResponse, empty_response
from naf_core.scene import Scene
from naf_core.sequences import Sequences
from naf_core.tracer import begin, tail_slopes, trace, trace_balanced, trace_self
from tests.shapes import box, material, quad, scene_of, two_rooms

SIZE = np.array([6.0, 4.5, 3.2])
EMITTER = np.array([1.7, 1.3, 1.1])
LISTENERS = np.array([[4.4, 3.1, 1.9], [2.5, 3.5, 1.2], [5.2, 1.0, 2.2], [3.1, 2.1, 0.6]])


class NoAir(Air):
    """Air that takes nothing, in which sound travels as fast as in pyroomacoustics."""

    speed_of_sound = 343.0

    def absorption(self, frequency: object = None) -> np.ndarray:
        return np.zeros(8)


def total(response: EnergyResponse) -> np.ndarray:
    """Reflected energy (..., 8) in all frames."""
    return response.energy[..., 0].sum(axis=-1, dtype=float)


def test_a_diffuse_box_decays_as_eyring_and_kuttruff_say():
    walls = np.array([0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.1, 0.1])
    size = np.array([5.0, 4.5, 4.0])
    scene = scene_of((box([0, 0, 0], size), material(walls, 1.0)))
    response = trace(scene, [[1.2, 1.1, 1.3]], [[3.9, 3.2, 2.6], [1.5, 3.6, 1.0]], rays=3000, seed=1)
    volume, surface = size.prod(), 2.0 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])

    def time(exponent: np.ndarray) -> np.ndarray:
        loss = surface * exponent + 4.0 * scene.air.absorption() * volume
        return 24.0 * np.log(10.0) / scene.air.speed_of_sound * volume / loss

    eyring = -np.log(1.0 - walls)
    # Free paths in a nearly cubic room vary by 0.4 of their mean squared (Kuttruff 2017, "Room Acoustics", 5.2).
    kuttruff = eyring * (1.0 - 0.5 * 0.4 * eyring)
    for key in ("T30_s", "T20_s"):
        found = response.parameters()[key].mean(axis=(0, 1))
        np.testing.assert_allclose(found[walls == 0.1], time(eyring)[walls == 0.1], rtol=0.05, err_msg=key)
        np.testing.assert_allclose(found, time(kuttruff), rtol=0.03, err_msg=key)


def test_a_shoebox_agrees_with_image_sources_of_pyroomacoustics():
    absorption = 0.4
    room = pyroomacoustics.ShoeBox(
        SIZE, fs=16000, materials=pyroomacoustics.Material(absorption), max_order=45, air_absorption=False
    )
    room.add_source(EMITTER)
    room.add_microphone(LISTENERS.T)
    room.image_source_model()
    source = room.sources[0]
    exact = empty_response((len(LISTENERS),), room.c)
    for row, listener in enumerate(LISTENERS):
        distance = np.linalg.norm(source.images - listener[:, None], axis=0)
        late = (distance - distance.min()) / room.c
        energy = source.damping[0] ** 2 / distance**2
        reflected = late > 0.0
        exact.energy[row, ..., 0] = np.histogram(late[reflected], FRAME_EDGES, weights=energy[reflected])[0]
        exact.direct[row] = energy[~reflected].sum()
    scene = scene_of((box([0, 0, 0], SIZE), material(absorption, 0.0)), air=NoAir())
    traced = trace(scene, EMITTER, LISTENERS, rays=16_000, seed=2)[0]
    np.testing.assert_allclose(traced.direct, exact.direct, rtol=1e-5)
    said, meant = traced.parameters(), exact.parameters()
    np.testing.assert_allclose(said["T30_s"].mean(axis=0), meant["T30_s"].mean(axis=0), rtol=0.05)
    np.testing.assert_allclose(said["C50_dB"].mean(axis=0), meant["C50_dB"].mean(axis=0), atol=1.0)
    np.testing.assert_allclose(said["C50_dB"], meant["C50_dB"], atol=1.5)
    np.testing.assert_allclose(said["G_dB"], meant["G_dB"], atol=0.3)


def test_bands_that_scatter_unlike_each_other_decay_as_each_would_alone():
    scattering = np.linspace(0.1, 0.8, 8)
    together = box_response(scattering, 8000)
    for band in (0, 7):
        alone = box_response(scattering[band], 2000)
        for key in ("T30_s", "EDT_s"):
            both = [r.parameters()[key][..., band].mean() for r in (together, alone)]
            assert both[0] == pytest.approx(both[1], rel=0.12), (band, key)


def box_response(scattering: object, rays: int) -> EnergyResponse:
    scene = scene_of((box([0, 0, 0], SIZE), material(0.15, scattering)), air=NoAir())
    return trace(scene, EMITTER, LISTENERS, rays=rays, seed=3)


@pytest.mark.parametrize(
    ("scattering", "tolerance"), [(1.0, 0.003), (0.3, 0.003), (0.0, 0.003), (np.linspace(0.1, 0.8, 8), 0.01)]
)
def test_all_energy_is_absorbed_escapes_or_remains(scattering, tolerance):
    for scene, closed in (
        (scene_of((box([0, 0, 0], SIZE), material(0.2, scattering))), True),
        (scene_of((box([0, 0, 0], SIZE, without="+z"), material(0.2, scattering))), False),
    ):
        _, balance = trace_balanced(scene, EMITTER, LISTENERS[:1], rays=2000, seed=4)
        assert balance.absorbed.shape == (1, 8)
        np.testing.assert_allclose(balance.absorbed + balance.escaped + balance.remaining, 1.0, atol=tolerance)
        assert (balance.remaining < 1e-5).all()
        assert (balance.escaped == 0.0).all() if closed else (balance.escaped > 0.2).all()


def test_a_lambert_floor_reflects_as_the_closed_form():
    # Emitter and listener in one point at height h: energy (1 - a) / (2 h^2), of which the share 1 - (h / R)^4 comes
    # within a way of 2 R, and intensity over energy is 4 / 5 downwards.
    height, absorption = 1.5, 0.3
    floor = quad([-400, -400, 0], [400, -400, 0], [400, 400, 0], [-400, 400, 0])
    scene = scene_of((floor, material(absorption, 1.0)), air=NoAir())
    energy = trace_self(scene, [[0.0, 0.0, height]], rays=40_000, seed=5)[0].astype(float)
    reach = np.maximum(343.0 * FRAME_EDGES / 2.0, height)
    frames = (1.0 - absorption) / (2.0 * height**2) * np.diff(1.0 - (height / reach) ** 4)
    for band in (0, 7):
        assert energy[band, :, 0].sum() == pytest.approx(frames.sum(), rel=0.02)
        np.testing.assert_allclose(energy[band, :5, 0], frames[:5], rtol=0.1)
        np.testing.assert_allclose(energy[band, :, 1:].sum(axis=0) / frames.sum(), [0, 0, -0.8], atol=0.02)


def test_a_mirroring_floor_is_heard_from_the_image():
    floor = quad([-50, -50, 0], [50, -50, 0], [50, 50, 0], [-50, 50, 0])
    scene = scene_of((floor, material(0.3, 0.0)))
    emitter, listener, image = np.array([0.0, 0.0, 2.0]), np.array([3.0, 4.0, 1.0]), np.array([0.0, 0.0, -2.0])
    response = trace(scene, emitter, listener, rays=500, seed=6)[0, 0]
    length, direct = np.linalg.norm(image - listener), np.linalg.norm(emitter - listener)
    expected = 0.7 * np.exp(-scene.air.absorption() * length) / length**2
    frame = np.searchsorted(FRAME_EDGES, (length - direct) / scene.air.speed_of_sound) - 1
    np.testing.assert_allclose(response.energy[:, frame, 0], expected, rtol=1e-4)
    np.testing.assert_allclose(
        response.energy[:, frame, 1:] / expected[:, None], np.tile((image - listener) / length, (8, 1)), atol=1e-4
    )
    assert (np.delete(response.energy, frame, axis=1) == 0.0).all()


def test_scattering_takes_from_the_mirrored_sound():
    floor = quad([-50, -50, 0], [50, -50, 0], [50, 50, 0], [-50, 50, 0])
    for scattering in (0.0, 0.25):
        scene = scene_of((floor, material(0.0, scattering)), air=NoAir())
        energy = trace_self(scene, [[0.0, 0.0, 2.0]], rays=20_000, seed=7)[0, 0, :, 0].astype(float)
        # The image stands 4 m away; scattered sound is 1 / (2 h^2), half of it within the first sqrt(2) of the way.
        assert energy.sum() == pytest.approx((1.0 - scattering) / 16.0 + scattering / 8.0, rel=0.03)


def test_direct_sound_falls_with_distance_and_in_air():
    scene = scene_of(air=Air(temperature=25.0, humidity=30.0))
    listeners = np.array([[0.5, 0, 0], [0, 2.0, 0], [0, 0, -30.0]])
    response = trace(scene, np.zeros((1, 3)), listeners, rays=10, seed=8)[0]
    distance = np.array([0.5, 2.0, 30.0])
    np.testing.assert_allclose(response.distance, distance, rtol=1e-6)
    np.testing.assert_allclose(response.delay, distance / scene.air.speed_of_sound, rtol=1e-6)
    expected = np.exp(-scene.air.absorption() * distance[:, None]) / distance[:, None] ** 2
    np.testing.assert_allclose(response.direct, expected, rtol=1e-5)
    np.testing.assert_allclose(response.direct_direction, -listeners / distance[:, None], atol=1e-6)


def test_the_free_field_gives_nothing_but_direct_sound():
    response, balance = trace_balanced(scene_of(), EMITTER, LISTENERS, rays=50, seed=9)
    assert (response.energy == 0.0).all()
    assert (response.direct > 0.0).all()
    np.testing.assert_allclose(balance.escaped, 1.0, rtol=1e-5)


def test_hidden_behind_a_screen_there_is_no_direct_sound():
    screen = quad([2, -5, -5], [2, 5, -5], [2, 5, 5], [2, -5, 5])
    response = trace(scene_of((screen, material())), [0.0, 0, 0], [[4.0, 0, 0], [1.0, 0, 0]], rays=200, seed=10)[0]
    assert (response.direct[0] == 0.0).all()
    assert (response.energy[0] == 0.0).all()  # nothing else is there to bring sound around it
    assert (response.direct[1] > 0.0).all()
    assert (total(response)[1] > 0.0).all()


def test_energies_are_the_same_from_either_end():
    scene = two_rooms(material(np.linspace(0.2, 0.6, 8), 0.4), door=(0.5, 1.5))
    ends = np.array([[1.0, 3.0, 1.2], [6.5, 1.0, 1.6], [2.5, 0.7, 0.4]])
    energy = trace(scene, ends, ends, rays=4000, seed=5).energy[..., 0].astype(float)
    first, second = np.triu_indices(3, 1)
    for frames, most in ((slice(None), 0.7), (slice(0, 10), 0.7), (slice(10, None), 1.2)):
        there, back = (energy[pair][..., frames].sum(axis=-1) for pair in ((first, second), (second, first)))
        assert np.abs(10.0 * np.log10(there / back)).mean() < most  # dB; three times the noise of so few rays


def test_sound_from_the_next_room_comes_through_the_door():
    scene = two_rooms(door=(0.5, 1.5))
    listener, door = np.array([7.0, 3.4, 1.2]), np.array([4.0, 1.0, 1.0])
    # A wall hides the emitter: the first sound arrives from the door.
    response = trace(scene, [1.0, 3.4, 1.2], listener, rays=3000, seed=11)[0, 0]
    assert (response.direct == 0.0).all()
    early = response.energy[2:6, :3, 1:].sum(axis=(0, 1))
    towards = (door - listener) / np.linalg.norm(door - listener)
    assert early @ towards / np.linalg.norm(early) > np.cos(np.radians(25.0))


def test_no_sound_passes_a_closed_wall():
    scene = scene_of((np.concatenate([box([0, 0, 0], [3, 3, 3]), box([3, 0, 0], [6, 3, 3])]), material(0.5, 0.2)))
    response = trace(scene, [1.5, 1.5, 1.5], [[4.5, 1.5, 1.5], [2.0, 1.0, 1.0]], rays=400, seed=12)[0]
    assert (response.energy[0] == 0.0).all()
    assert (response.direct[0] == 0.0).all()
    assert (total(response)[1] > 0.0).all()


@pytest.mark.parametrize("height", [0.0, 1e-6, -1e-6])
def test_an_emitter_on_the_floor_stands_in_the_room(height):
    scene = scene_of((box([0, 0, 0], SIZE), material(0.4, 0.5)))
    emitter = np.array([2.0, 1.5, height])
    response, balance = trace_balanced(scene, emitter, LISTENERS, rays=600, seed=20)
    assert (balance.escaped == 0.0).all()
    assert (response.direct > 0.0).all()
    np.testing.assert_allclose(response.distance[0], np.linalg.norm(LISTENERS - emitter, axis=1), atol=0.02)


def test_a_point_hears_itself_as_it_hears_an_emitter_there():
    scene = scene_of((box([0, 0, 0], SIZE), material(0.3, 0.5)), air=NoAir())
    own = trace_self(scene, [EMITTER], rays=4000, seed=13)[0, 0, :, 0].astype(float)
    pair = trace(scene, EMITTER, EMITTER, rays=4000, seed=14).energy[0, 0, 0, :, 0].astype(float)
    assert own.sum() == pytest.approx(pair.sum(), rel=0.05)
    assert own[10:].sum() == pytest.approx(pair[10:].sum(), rel=0.1)


def test_many_listeners_each_hear_as_alone():
    # Of many listeners each bounce reaches only some, which then count for the others as well.
    scene = scene_of((box([0, 0, 0], SIZE), material(0.3, 0.7)), air=NoAir())
    crowd = np.repeat(LISTENERS[:2], 5, axis=0)
    together = trace(scene, EMITTER, crowd, rays=1500, seed=21)[0].energy[:, 0, :, 0].reshape(2, 5, -1).mean(axis=1)
    for k in range(2):
        alone = trace(scene, EMITTER, LISTENERS[k], rays=1500, seed=22).energy[0, 0, 0, :, 0]
        for frames in (slice(0, 10), slice(10, None)):
            assert together[k, frames].sum() == pytest.approx(alone[frames].sum(), rel=0.15)


def test_a_seed_repeats_exactly_and_another_does_not():
    scene = two_rooms(material(0.6, 0.5))
    one, same, other = (trace(scene, EMITTER, LISTENERS, rays=50, seed=seed) for seed in (15, 15, 16))
    np.testing.assert_array_equal(one.energy, same.energy)
    assert (one.energy != other.energy).any()


def test_a_raycaster_of_the_same_scene_changes_nothing():
    scene = two_rooms(material(0.6, 0.5))
    one = trace(scene, EMITTER, LISTENERS, rays=50, seed=17)
    other = trace(scene, EMITTER, LISTENERS, rays=50, seed=17, raycaster=Raycaster(scene))
    np.testing.assert_array_equal(one.energy, other.energy)


def test_progress_rises_to_one_and_may_cancel():
    scene, fractions = two_rooms(material(0.9)), []
    emitters = np.repeat(EMITTER[None], 3, axis=0)
    trace(scene, emitters, LISTENERS[:1], rays=25_000, seed=18, progress=fractions.append)
    assert len(fractions) >= 2
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0

    def cancel(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trace(scene, EMITTER, LISTENERS, rays=10, progress=cancel)


@pytest.mark.parametrize(
    ("emitters", "words"),
    [([[np.nan, 0, 0]], "not a finite number"), ([[np.inf, 0, 0]], "not a finite"), ([[1.0, 2.0]], r"shape \(1, 2\)")],
)
def test_impossible_positions_are_refused(emitters, words):
    with pytest.raises(UserError, match=words):
        trace(scene_of(), emitters, LISTENERS)
    with pytest.raises(UserError, match=words):
        trace(scene_of(), LISTENERS, emitters)


def test_no_rays_are_refused():
    with pytest.raises(UserError, match="0 rays"):
        trace(scene_of(), EMITTER, LISTENERS, rays=0)


def test_inputs_are_not_changed():
    emitters, listeners = EMITTER[None].copy(), LISTENERS.copy()
    trace(two_rooms(material(0.9)), emitters, listeners, rays=20)
    np.testing.assert_array_equal(emitters, EMITTER[None])
    np.testing.assert_array_equal(listeners, LISTENERS)


@pytest.mark.parametrize("reverberation_time", [0.2, 1.0, 5.0])
def test_the_tail_continues_an_exponential_decay(reverberation_time):
    decay = 10.0 ** (-6.0 * FRAME_EDGES / reverberation_time)
    slopes = tail_slopes(-np.diff(decay)[None])
    assert slopes.shape == (1,)
    assert slopes[0] == pytest.approx(-60.0 / reverberation_time, rel=0.06)


def test_tails_of_silence_and_noise_stay_finite():
    rng = np.random.default_rng(19)
    for energy in (np.zeros(N_FRAMES), rng.random(N_FRAMES), FRAME_WIDTHS, np.eye(N_FRAMES)[3]):
        slope = tail_slopes(energy[None])
        assert ((slope >= -2000.0) & (slope <= -2.0)).all()


def test_mirrors_that_nobody_found_are_heard_all_the_same():
    # What is not known exactly is caught by spheres, which tell the mean over a place.
    scene = scene_of((box([0, 0, 0], SIZE), material(0.4, 0.0)), air=NoAir())
    crowd = np.random.default_rng(23).uniform(0.25, 0.75, (40, 3)) * SIZE
    known = trace(scene, EMITTER, crowd, rays=3000, seed=23)
    for rays in (0, 12):  # that look for mirrors
        _, paths = begin(scene, EMITTER, crowd, 23, None, None, 3000)
        if rays:
            mirrors = planes(paths.caster, scene)
            paths.sequences = Sequences(paths.caster, mirrors, paths.places, paths.listeners, 3, rays)
            exact = paths_along(scene, paths.caster, paths.places, paths.listeners, paths.sequences)
            assert 0.2 < exact.energy.sum() / mirror_paths_energy(scene, crowd) < 0.9
            paths.deposit(exact)
        paths.run_random(3000)
        energy = paths.frames((1, 40))[..., 0].sum(axis=-1)
        assert energy.mean() == pytest.approx(total(known).mean(), rel=0.04), rays


def mirror_paths_energy(scene: Scene, crowd: np.ndarray) -> float:
    """Energy of all mirror paths from the emitter to a crowd."""
    paths = mirror_paths(scene, Raycaster(scene), EMITTER[None], crowd, order=3, rays=2048)
    return float(paths.energy.sum())


def test_who_coincides_with_the_emitter_hears_it_from_a_decimetre():
    scene = scene_of((box([0, 0, 0], SIZE), material(0.4, 0.5)), air=NoAir())
    response = trace(
        scene, EMITTER, [EMITTER, EMITTER + [0.0, 0.0, 0.03], EMITTER + [0.0, 0.0, 0.2]], rays=400, seed=24
    )[0]
    np.testing.assert_allclose(10.0 * np.log10(response.direct), [[20.0] * 8, [20.0] * 8, [13.98] * 8], atol=0.01)
    for values in (response.energy, *response.parameters().values()):
        assert np.isfinite(values).all()


def test_thousands_of_listeners_are_all_heard():
    scene = scene_of((box([0, 0, 0], SIZE), material(0.4, 0.5)))
    crowd = np.random.default_rng(25).uniform(0.05, 0.95, (3000, 3)) * SIZE
    response = trace(scene, EMITTER, crowd, rays=60, seed=25)[0]
    assert response.energy.shape[0] == 3000
    assert np.isfinite(response.energy).all()
    level = 10.0 * np.log10(total(response)[:, 3])
    assert level.std() < 3.0  # so few paths, and yet nobody is left out


def test_an_emitter_in_a_solid_is_heard_by_nobody_outside():
    scene = scene_of((np.concatenate([box([0, 0, 0], SIZE), box([1, 1, 1], [2, 2, 2])]), material(0.3, 0.5)))
    response, balance = trace_balanced(scene, [1.5, 1.5, 1.5], LISTENERS, rays=500, seed=26)
    assert (response.total == 0.0).all()
    np.testing.assert_allclose(balance.absorbed, 1.0, atol=0.02)
