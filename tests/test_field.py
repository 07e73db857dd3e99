from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from naf_core.bands import N_BANDS
from naf_core.bundled import FIELD, bundled_file
from naf_core.decoder import DecoderConfig, load_decoder, parameter_shapes, save_decoder
from naf_core.errors import UserError
from naf_core.features import read_around
from naf_core.field import Field
from naf_core.pairs import sight
from naf_core.response import N_FRAMES
from naf_core.scene import Scene
from naf_core.tracer import tail_slopes, trace
from tests.shapes import box, material, scene_of, two_rooms

EMITTERS = np.array([[1.0, 1.0, 1.2], [1.0, 3.5, 1.2], [6.5, 3.4, 0.6], [2.0, 1.0, 2.0]])
LISTENERS = np.array([[3.0, 2.5, 1.6], [7.0, 3.4, 1.6], [1.2, 3.1, 1.0], [2.05, 1.0, 2.0]])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with something to say: random, about 2 dB at each frame."""
    rng = np.random.default_rng(1)
    config = DecoderConfig(width=24, depth=2)
    parameters = {}
    for name, shape in parameter_shapes(config).items():
        scale = 0.02 if name == "weight_out" else 1.0 / np.sqrt(shape[0])
        parameters[name] = (scale * rng.normal(size=shape)).astype(np.float32)
    parameters["mean"][:] = 0.0
    parameters["deviation"][:] = 3.0
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_decoder(path, config, parameters, {})
    return path


@pytest.fixture(scope="module")
def scene() -> Scene:
    return two_rooms(material(np.linspace(0.2, 0.6, 8), 0.4), door=(0.5, 1.5))


@pytest.fixture(scope="module")
def field(scene: Scene, weights: Path) -> Field:
    return Field.scan(scene, seed=1, spacing=1.2, paths=2400, weights=weights)


@pytest.fixture(scope="module")
def trained(field: Field) -> Field:
    """The same scan, read by the bundled network."""
    config, parameters, _ = load_decoder(bundled_file(FIELD))
    return Field(field.scene, field.caster, field.scan_, config, parameters)


def level(energy: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(energy, 1e-12))


def test_a_response_has_all_its_parts(field):
    response = field.predict(EMITTERS, LISTENERS)
    assert response.energy.shape == (4, N_BANDS, N_FRAMES, 4)
    assert response.energy.dtype == np.float32
    assert response.direct.shape == response.tail_slope.shape == (4, N_BANDS)
    assert response.distance.shape == (4,)
    assert response.direct_direction.shape == (4, 3)
    for values in (response.energy, response.direct, response.distance, response.direct_direction):
        assert np.isfinite(values).all()
    assert (response.energy[..., 0] > 0.0).all()
    assert (np.linalg.norm(response.energy[..., 1:], axis=-1) <= response.energy[..., 0] * 1.0001).all()
    np.testing.assert_allclose(response.tail_slope, tail_slopes(response.energy[..., 0]), rtol=1e-3)
    for name, values in response.parameters().items():
        assert np.isfinite(values).all(), name


def test_direct_sound_is_exact(field, scene):
    response = field.predict(EMITTERS, LISTENERS)
    separation = EMITTERS - LISTENERS
    distance = np.linalg.norm(separation, axis=1)
    np.testing.assert_allclose(response.distance, distance, rtol=1e-5)
    np.testing.assert_allclose(response.delay, distance / scene.air.speed_of_sound, rtol=1e-5)
    visible = np.array([True, False, False, True])
    # Nearer than 0.1 m the direct sound is that at 0.1 m.
    near = np.maximum(distance, 0.1)[:, None]
    expected = np.exp(-scene.air.absorption() * distance[:, None]) / near**2 * visible[:, None]
    np.testing.assert_allclose(response.direct, expected, rtol=1e-4)
    np.testing.assert_allclose(response.direct_direction, separation / distance[:, None], atol=1e-4)


def test_emitter_and_listener_may_change_places(field):
    there, back = field.predict(EMITTERS, LISTENERS), field.predict(LISTENERS, EMITTERS)
    np.testing.assert_allclose(there.energy[..., 0], back.energy[..., 0], rtol=1e-4)
    np.testing.assert_allclose(there.direct, back.direct, rtol=1e-6)
    np.testing.assert_allclose(there.direct_direction, -back.direct_direction, atol=1e-6)


def test_many_at_once_are_each_alone(field):
    rng = np.random.default_rng(2)
    emitters, listeners = rng.uniform([0.3, 0.3, 0.5], [7.7, 3.7, 2.0], (2, 20, 3))
    together = field.predict(emitters, listeners)
    for k in (0, 7, 19):
        alone = field.predict(emitters[k], listeners[k])
        scale = alone.energy[..., 0].max()
        np.testing.assert_allclose(together.energy[k], alone.energy[0], rtol=2e-3, atol=1e-6 * scale)
        np.testing.assert_array_equal(together.direct[k], alone.direct[0])


def test_batches_join_without_a_seam(field):
    # More pairs than a step takes; each emitter and listener appears many times.
    count = 530
    rows = np.arange(count) % 4
    together = field.predict(EMITTERS[rows], LISTENERS[rows])
    alone = field.predict(EMITTERS, LISTENERS)
    np.testing.assert_allclose(together.energy, alone.energy[rows], rtol=2e-3, atol=1e-9)


@pytest.mark.parametrize(
    ("emitters", "listeners", "n"),
    [
        (EMITTERS[0], LISTENERS, 4),
        (EMITTERS, LISTENERS[0], 4),
        (EMITTERS[0], LISTENERS[0], 1),
        (EMITTERS[:1], LISTENERS, 4),
    ],
)
def test_one_position_is_paired_with_all(field, emitters, listeners, n):
    response = field.predict(emitters, listeners)
    assert response.distance.shape == (n,)
    expected = np.linalg.norm(np.broadcast_to(emitters, (n, 3)) - np.broadcast_to(listeners, (n, 3)), axis=1)
    np.testing.assert_allclose(response.distance, expected, rtol=1e-5)


def test_no_pairs_give_no_responses(field):
    assert field.predict(np.zeros((0, 3)), np.zeros((0, 3))).energy.shape == (0, N_BANDS, N_FRAMES, 4)


@pytest.mark.parametrize(
    ("emitters", "listeners", "words"),
    [
        (EMITTERS[:2], LISTENERS[:3], "2 emitters and 3 listeners cannot be paired"),
        ([[np.nan, 0, 0]], LISTENERS, "not a finite number"),
        (EMITTERS, [[0, np.inf, 0]], "not a finite number"),
        ([[1.0, 2.0]], LISTENERS, "shape"),
    ],
)
def test_impossible_positions_are_refused(field, emitters, listeners, words):
    with pytest.raises(UserError, match=words):
        field.predict(emitters, listeners)


def test_the_field_is_continuous_within_sight(trained):
    # A walk past the emitter in steps of 5 cm, in its own room.
    steps = np.arange(0.3, 3.7, 0.05)
    listeners = np.stack([steps, np.full_like(steps, 2.2), np.full_like(steps, 1.6)], axis=1)
    energy = trained.predict(EMITTERS[1], listeners).energy[..., 0]
    jumps = np.abs(np.diff(level(energy.sum(axis=2)), axis=0))
    assert np.median(jumps) < 0.15  # dB of the reflected energy
    assert jumps.max() < 1.0
    late = level(energy[:, :, 15:])
    audible = late > level(energy.sum(axis=2, keepdims=True)) - 60.0
    assert np.abs(np.diff(late, axis=0))[audible[1:] & audible[:-1]].max() < 1.0


def test_a_walk_through_the_door_has_no_leap(trained):
    steps = np.arange(0.3, 7.7, 0.05)
    listeners = np.stack([steps, np.full_like(steps, 1.0), np.full_like(steps, 1.6)], axis=1)
    response = trained.predict([1.0, 3.0, 1.2], listeners)
    reflected = level(response.energy[..., 0].sum(axis=2))
    assert np.abs(np.diff(reflected, axis=0)).max() < 2.0
    hidden = response.direct[:, 0] == 0.0
    assert not hidden[0]
    assert hidden[-1]
    # The further into the other room, the quieter: several decibels over all.
    assert (reflected[0] > reflected[-1] + 3.0).all()
    assert (reflected[0] - reflected[-1]).mean() > 5.0


def test_the_bundled_network_knows_how_a_room_decays():
    size, walls = np.array([5.0, 4.0, 3.0]), np.linspace(0.15, 0.4, 8)
    scene = scene_of((box([0, 0, 0], size), material(walls, 0.6)))
    field = Field.scan(scene, seed=2, spacing=1.2, paths=8000)
    ends = np.array([[1.0, 1.0, 1.2], [4.0, 3.0, 1.6]]), np.array([[3.5, 2.8, 1.6], [1.2, 2.5, 1.0]])
    said = field.predict(*ends).parameters()
    volume, surface = size.prod(), 2.0 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    loss = -surface * np.log(1.0 - walls) + 4.0 * scene.air.absorption() * volume
    eyring = 24.0 * np.log(10.0) / scene.air.speed_of_sound * volume / loss
    np.testing.assert_allclose(said["T30_s"].mean(axis=0), eyring, rtol=0.2)
    meant = trace(scene, *ends, rays=3000, seed=3)
    truth = meant[np.arange(2), np.arange(2)].parameters()
    assert np.abs(said["C50_dB"] - truth["C50_dB"]).mean() < 1.5
    assert np.abs(said["G_dB"] - truth["G_dB"]).mean() < 1.5


def test_the_field_covers_the_rooms_and_nothing_else(field):
    inside = np.concatenate([EMITTERS, LISTENERS])
    outside = np.array([[-1.0, 2.0, 1.2], [9.0, 2.0, 1.2], [2.0, 2.0, 3.5], [2.0, 2.0, -0.5]])
    assert field.covers(inside).all()
    assert not field.covers(outside).any()
    assert np.isfinite(field.predict(outside, inside[:4]).energy).all()
    # Nothing of the direct sound passes the walls.
    assert (field.predict(outside, inside[:4]).direct == 0.0).all()


def test_a_lost_point_hears_the_room_beside_it(field):
    # Outside, right behind the wall: no probe is seen, yet what is read is that of the nearest ones.
    ends = np.array([[[-0.2, 2.0, 1.3]], [[0.2, 2.0, 1.3]]], np.float32)
    lost, inside = (sight(field.caster, field.scan_.positions, p, 0.6) for p in ends)
    assert lost.lost[0]
    exchange = field.scan_.exchange
    beyond, within = (exchange.at(seen.weight) for seen in (lost, inside))
    ratio = np.divide(*(exchange.between(end, within)[..., 0].sum() for end in (beyond, within)))
    assert 0.5 < ratio < 2.0
    depths = np.divide(*(read_around(field.scan_, seen).depths for seen in (lost, inside)))
    assert ((depths > 0.3) & (depths < 3.0)).all()


def test_a_seed_repeats_exactly_and_another_does_not(scene, weights, field):
    same, other = (Field.scan(scene, seed=seed, spacing=1.2, paths=2400, weights=weights) for seed in (1, 2))
    expected = field.predict(EMITTERS, LISTENERS).energy
    np.testing.assert_array_equal(same.predict(EMITTERS, LISTENERS).energy, expected)
    assert (other.predict(EMITTERS, LISTENERS).energy != expected).any()


def test_without_geometry_there_is_the_free_field(weights):
    free = Field.scan(scene_of(), weights=weights)
    response = free.predict(EMITTERS, LISTENERS)
    assert (response.energy == 0.0).all()
    distance = np.linalg.norm(EMITTERS - LISTENERS, axis=1)
    expected = np.exp(-free.scene.air.absorption() * distance[:, None]) / np.maximum(distance, 0.1)[:, None] ** 2
    np.testing.assert_allclose(response.direct, expected, rtol=1e-4)
    assert free.escape == 1.0
    assert not free.covers(EMITTERS).any()


def test_open_and_closed_scenes_are_told_apart(field, weights):
    roofless = scene_of((box([0, 0, 0], [4, 4, 2.5], without="+z"), material(0.5, 0.5)))
    assert field.escape == 0.0
    assert 0.1 < Field.scan(roofless, spacing=2.0, paths=600, weights=weights).escape < 0.5


def test_progress_rises_to_one_and_may_cancel(field, scene, weights):
    def cancel(fraction: float) -> None:
        raise KeyboardInterrupt

    scanned: list[float] = []
    small = scene_of((box([0, 0, 0], [3, 3, 2.5]), material(0.9)))
    Field.scan(small, spacing=1.5, paths=800, weights=weights, progress=scanned.append)
    asked: list[float] = []
    rows = np.zeros(1100, int)
    field.predict(EMITTERS[rows], LISTENERS[rows], progress=asked.append)
    for fractions in (scanned, asked):
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
    assert len(asked) > 2
    with pytest.raises(KeyboardInterrupt):
        field.predict(EMITTERS, LISTENERS, progress=cancel)
    with pytest.raises(KeyboardInterrupt):
        Field.scan(small, spacing=1.5, paths=800, weights=weights, progress=cancel)


def test_inputs_are_not_changed(field):
    emitters, listeners = EMITTERS.copy(), LISTENERS.copy()
    field.predict(emitters, listeners)
    np.testing.assert_array_equal(emitters, EMITTERS)
    np.testing.assert_array_equal(listeners, LISTENERS)


def test_a_saved_field_answers_as_before(field, weights, tmp_path):
    path = tmp_path / "room.h5"
    field.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["room.h5"]
    again = Field.load(path, weights)
    np.testing.assert_array_equal(again.scan_.walking, field.scan_.walking)
    assert again.scan_.sees.dtype == bool
    one, other = (f.predict(EMITTERS, LISTENERS) for f in (field, again))
    np.testing.assert_array_equal(one.energy, other.energy)
    np.testing.assert_array_equal(one.direct, other.direct)
    np.testing.assert_array_equal(again.covers(EMITTERS), field.covers(EMITTERS))
    # It is a scene file as well.
    assert len(Scene.load(path).triangles) == len(field.scene.triangles)


def test_a_saved_free_field_comes_back(weights, tmp_path):
    Field.scan(scene_of(), weights=weights).save(tmp_path / "free.h5")
    response = Field.load(tmp_path / "free.h5", weights).predict(EMITTERS, LISTENERS)
    assert (response.energy == 0.0).all()


@pytest.fixture
def saved(field: Field, tmp_path: Path) -> Path:
    field.save(tmp_path / "room.h5")
    return tmp_path / "room.h5"


def replace_dataset(path: Path, name: str, values: object) -> None:
    with h5py.File(path, "a") as file:
        del file[name]
        if values is not None:
            file[name] = values


@pytest.mark.parametrize(
    "name", ["positions", "receive", "transfer", "sees", "walking", "around_depths", "around_escape"]
)
def test_a_field_lacking_a_part_is_refused_by_name(saved, weights, name):
    replace_dataset(saved, f"scan/{name}", None)
    with pytest.raises(UserError, match=r"room\.h5"):
        Field.load(saved, weights)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("positions", lambda a: np.full_like(a, np.nan)),
        ("positions", lambda a: a * 1e30),
        ("positions", lambda a: a[:, :2]),
        ("positions", lambda a: a[:-1]),
        ("positions", lambda a: np.float32(1.0)),
        ("positions", lambda a: "here"),
        ("positions", lambda a: np.zeros((100_000, 3), np.float32)),
        ("receive", lambda a: np.where(a > 0, np.inf, a)),
        ("receive", lambda a: a[:, :, :3]),
        ("receive", lambda a: a[:, :-1]),
        ("transfer", lambda a: a[:, :7]),
        ("transfer", lambda a: a[:, :, :-1]),
        ("transfer", lambda a: a * np.nan),
        ("sees", lambda a: a[:-1]),
        ("sees", lambda a: a.astype(np.float32) * np.nan),
        ("walking", lambda a: -a),
        ("walking", lambda a: np.where(a > 0, np.nan, a)),
        ("around_depths", lambda a: a[:, :-1]),
        ("around_depths", lambda a: -a),
        ("around_absorption", lambda a: a + 5.0),
        ("around_escape", lambda a: a * np.nan),
    ],
)
def test_a_field_with_impossible_values_is_refused_by_name(saved, weights, name, change):
    with h5py.File(saved) as file:
        values = change(file[f"scan/{name}"][()])
    replace_dataset(saved, f"scan/{name}", values)
    with pytest.raises(UserError, match=r"room\.h5"):
        Field.load(saved, weights)


def test_a_field_that_claims_more_than_it_holds_is_refused(saved, weights):
    with h5py.File(saved, "a") as file:
        count = len(file["scan/positions"])
        del file["scan/walking"], file["scan/positions"]
        file["scan"].create_dataset("positions", (4000, 3), "f4", chunks=(4000, 3))
        file["scan"].create_dataset("walking", (4000, 4000), "f4", chunks=(1, 4000))
    assert count < 4000
    with pytest.raises(UserError, match=r"room\.h5"):
        Field.load(saved, weights)


def test_other_files_are_refused_by_name(scene, weights, tmp_path):
    path = tmp_path / "odd.h5"
    with pytest.raises(UserError, match=r"odd\.h5"):
        Field.load(path, weights)
    path.write_bytes(b"text")
    with pytest.raises(UserError, match=r"odd\.h5"):
        Field.load(path, weights)
    scene.save(path)
    with pytest.raises(UserError, match=r"odd\.h5 holds no field of this version: scan the scene again"):
        Field.load(path, weights)
    with h5py.File(path, "a") as file:
        file.attrs["field"] = np.bytes_("acoustic-fields field 1")
        file["scan"] = np.zeros(3)
    with pytest.raises(UserError, match=r"odd\.h5"):
        Field.load(path, weights)


def test_damage_anywhere_is_refused_or_harmless(saved, weights):
    content = saved.read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for place in rng.integers(0, len(content), 60):
        damaged = bytearray(content)
        damaged[place : place + 16] = rng.bytes(len(damaged[place : place + 16]))
        saved.write_bytes(damaged)
        try:
            loaded = Field.load(saved, weights)
        except UserError:
            refused += 1
        else:
            assert np.isfinite(loaded.predict(EMITTERS, LISTENERS).energy).all()
    assert refused > 10
    for length in np.linspace(0, len(content) - 1, 15).astype(int):
        saved.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"room\.h5"):
            Field.load(saved, weights)


def test_missing_weights_are_named(scene, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"none\.safetensors"):
        Field.scan(scene, weights=tmp_path / "none.safetensors")
    with pytest.raises(UserError, match=r"odd\.safetensors is missing: install Acoustic Fields again"):
        bundled_file("odd.safetensors")


def test_refining_helps_and_never_harms(scene, tmp_path, monkeypatch):
    poor = Field.scan(scene, seed=1, spacing=1.2, paths=400)
    before = poor.predict(EMITTERS, LISTENERS)
    fractions: list[float] = []
    result = poor.refine(paths=40_000, rays=3000, progress=fractions.append)
    assert result.kept
    assert result.pairs == 45
    assert result.after["C50 dB"] < result.before["C50 dB"]
    after = poor.predict(EMITTERS, LISTENERS)
    assert (after.energy != before.energy).any()
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    poor.save(tmp_path / "refined.h5")
    np.testing.assert_array_equal(Field.load(tmp_path / "refined.h5").predict(EMITTERS, LISTENERS).energy, after.energy)
    # A handful of paths is worse than what is there already.
    worse = poor.refine(paths=20, rays=3000)
    assert not worse.kept
    np.testing.assert_array_equal(poor.predict(EMITTERS, LISTENERS).energy, after.energy)


def test_refining_is_measured_where_air_joins_the_places(weights):
    flat = scene_of((box((0, 0, 0), (4, 3, 2.5)), material()), (box((0.2, 0.2, 0.1), (1.2, 0.8, 1.9)), material()))
    field = Field.scan(flat, seed=1, spacing=0.5, paths=400, weights=weights)
    shut = ((field.scan_.positions > (0.2, 0.2, 0.1)) & (field.scan_.positions < (1.2, 0.8, 1.9))).all(axis=1)
    assert shut.any()  # a cupboard holds probes
    places = field._between_probes(0)
    assert len(places) == 10
    assert not ((places > (0.2, 0.2, 0.1)) & (places < (1.2, 0.8, 1.9))).all(axis=1).any()


def test_cancelled_refining_leaves_the_field_as_it_was(field):
    before = field.scan_

    def cancel(fraction: float) -> None:
        if fraction > 0.8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        field.refine(paths=2000, rays=100, progress=cancel)
    assert field.scan_ is before


def test_where_there_is_nothing_refining_says_so(weights):
    with pytest.raises(UserError, match="no geometry"):
        Field.scan(scene_of(), weights=weights).refine()
