from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
import trimesh

from naf_core.accuracy import MEASURES, errors, reciprocal
from naf_core.bundled import FIELD, bundled_file
from naf_core.decoder import N_OUTPUTS, DecoderConfig, decode, forward, load_decoder, parameter_shapes
from naf_core.features import N_BASES, N_FEATURES
from naf_core.field import Field
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES, N_FRAMES
from naf_core.training import dataset
from naf_core.training import evaluate as evaluation
from naf_core.training.evaluate import (
    BARS,
    Truth,
    as_text,
    direction_error,
    evaluate,
    make_truth,
    nearest_pair_baseline,
)
from naf_core.training.rooms import KINDS, Room, make_room
from naf_core.training.samples import Samples, join, room_samples
from naf_core.training.train import TrainConfig, batch_of, bend, initial_parameters, losses, train
from tests.shapes import box, material, scene_of

DECODER = DecoderConfig(width=16, depth=2)
SEEDS = range(20)
VALIDATION_SEED = 500_036  # a small room, quick to trace and to scan


@pytest.fixture(scope="module")
def room() -> Room:
    """A small dead room with a screen in it, so that some pairs are hidden."""
    walls = material(np.linspace(0.5, 0.7, 8), 0.5)
    screen = box([1.4, 0.0, 0.0], [1.45, 1.6, 2.0])
    points = np.array([[0.7, 0.6, 1.1], [2.3, 0.6, 1.3], [0.8, 2.0, 1.5], [2.2, 2.0, 0.9]], np.float32)
    scene = scene_of((np.concatenate([box([0, 0, 0], [3.0, 2.5, 2.4]), screen]), walls))
    return Room("box", scene, points)


@pytest.fixture(scope="module")
def record(room: Room) -> dict[str, np.ndarray | str]:
    return dataset.room_record(room, seed=5, rays=300, paths=60_000)


@pytest.fixture(scope="module")
def samples(record: dict[str, np.ndarray | str]) -> Samples:
    return room_samples(record)


# Rooms.


def test_a_seed_makes_the_same_room_again():
    for seed in (3, 500_001):
        one, other = make_room(seed, 5), make_room(seed, 5)
        assert one.kind == other.kind
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_array_equal(one.scene.vertices, other.scene.vertices)
        np.testing.assert_array_equal(one.scene.absorption, other.scene.absorption)
        assert one.scene.air == other.scene.air
    assert not np.array_equal(make_room(3, 5).points, make_room(4, 5).points)


@pytest.mark.parametrize("seed", SEEDS)
def test_points_stand_in_the_air_of_the_room(seed):
    made = make_room(seed, 6)
    assert made.points.shape == (6, 3)
    assert made.kind in KINDS
    low, high = made.scene.bounds
    assert ((made.points > low) & (made.points < high)).all()
    corners = made.scene.vertices[made.scene.triangles].astype(float)
    for point in made.points.astype(float):
        nearest = trimesh.triangles.closest_point(corners, np.tile(point, (len(corners), 1)))
        assert np.linalg.norm(nearest - point, axis=1).min() > 0.1
    caster = Raycaster(made.scene)
    down, up = (np.tile(np.array([0, 0, z], np.float32), (6, 1)) for z in (-1, 1))
    assert (caster.intersect(made.points, down).triangle >= 0).all()
    assert made.kind == "open" or (caster.intersect(made.points, up).triangle >= 0).all()


def test_rooms_are_of_all_kinds_and_moods():
    made = [make_room(seed, 1) for seed in range(40)]
    assert {room.kind for room in made} == set(KINDS)
    absorption = [room.scene.absorption.mean() for room in made]
    assert min(absorption) < 0.08
    assert max(absorption) > 0.35
    for room in made:
        for values in (room.scene.absorption, room.scene.scattering):
            assert ((values > 0.0) & (values < 1.0)).all()


def test_a_kind_can_be_asked_for():
    assert make_room(7, 1, kind="hall").kind == "hall"
    assert np.ptp(make_room(7, 1, kind="hall").scene.bounds, axis=0)[:2].min() >= 8.0


# Teacher data.


def test_a_record_is_reciprocal_and_complete(room, record):
    pairs = 6
    assert record["level"].shape == (pairs, 8, N_FRAMES)
    assert record["direction"].shape == (2 * pairs, 8, N_FRAMES, 3)
    for name in ("exchanged", "specular"):
        assert record[name].shape == record["level"].shape
        assert record[f"{name}_direction"].shape == record["direction"].shape
    # What the probes exchanged and what is mirrored are together near what the teacher traced.
    exchanged, specular, level = (
        (10.0 ** (record[name].astype(float) / 10.0)).sum(axis=2) for name in ("exchanged", "specular", "level")
    )
    assert np.abs(10.0 * np.log10((exchanged + specular) / level)).mean() < 1.0
    assert (specular < 1.3 * level).all()
    np.testing.assert_array_equal(record["pairs_visible"][:pairs], record["pairs_visible"][pairs:])
    np.testing.assert_array_equal(record["pairs_direction"][:pairs], -record["pairs_direction"][pairs:])
    np.testing.assert_array_equal(record["pairs_visible"][:pairs], record["direct"][:, 0] > 0.0)
    assert 0 < record["pairs_visible"][:pairs].sum() < pairs
    first, second = np.triu_indices(4, 1)
    np.testing.assert_allclose(
        record["pairs_distance"][:pairs], np.linalg.norm(room.points[first] - room.points[second], axis=1), rtol=1e-5
    )


def test_dead_rooms_get_more_rays_than_lively_ones():
    decays = [10.0 ** (-6.0 * FRAME_EDGES / time) for time in (0.15, 0.6, 3.0)]
    rays = [dataset.teacher_rays(np.broadcast_to(-np.diff(d)[:, None], (1, 8, N_FRAMES, 4))) for d in decays]
    assert rays == sorted(rays, reverse=True)
    assert rays[0] > rays[1] > rays[2] > 0


def test_shards_are_written_once_and_come_back(tmp_path, room, record, monkeypatch):
    calls = []

    def traced(made: Room, seed: int, paths: int) -> dict[str, np.ndarray | str]:
        calls.append(seed)
        return record

    monkeypatch.setattr(dataset, "make_room", lambda seed, count: room)
    monkeypatch.setattr(dataset, "room_record", traced)
    for _ in range(2):
        assert dataset._write_shard((tmp_path, 1, 22))[0] == 1
    assert calls == [20, 21]  # the second time the shard was there
    (shard,) = tmp_path.iterdir()
    back = dataset.read_rooms([shard])
    assert len(back) == 2
    assert back[0].keys() == record.keys()
    for key, value in record.items():
        np.testing.assert_array_equal(back[1][key], value)
    with h5py.File(shard, "a") as file:
        file.attrs["format"] = "something else"
    with pytest.raises(ValueError, match=shard.name):
        dataset.read_rooms([shard])


# Samples.


def test_each_pair_and_band_is_a_sample(samples, record):
    assert len(samples) == 6 * 8
    assert samples.inputs.shape == (48, N_FEATURES)
    for values in (samples.inputs, samples.base, samples.level, samples.direct):
        assert np.isfinite(values).all()
    np.testing.assert_array_equal(samples.straight[:, 0], -samples.straight[:, 1])
    np.testing.assert_array_equal(samples.direct, record["direct"].ravel())
    # The teacher's level, floored; the loudest frame is never the floor's.
    level = record["level"].reshape(48, N_FRAMES).astype(float)
    np.testing.assert_allclose(samples.level.max(axis=1), level.max(axis=1), atol=0.05)
    # Band by band beside each other: the same pair has the same geometry in all of them.
    np.testing.assert_array_equal(samples.way[:8], np.repeat(samples.way[:1], 8, axis=0))


def test_either_end_may_be_the_listener(samples, record):
    rows = np.arange(48)
    for side in (0, 1):
        batch = batch_of(samples, rows, np.full(48, side))
        part = slice(0, 6) if side == 0 else slice(6, 12)
        expected = record["direction"][part].reshape(48, N_FRAMES, 3) / 127.0
        np.testing.assert_allclose(batch["direction"].numpy(), expected, atol=1e-6)
        mirrored = record["specular_direction"][part].reshape(48, N_FRAMES, 3) / 127.0
        strength = batch["specular"][..., :1].numpy()
        np.testing.assert_allclose(batch["specular"][..., 1:].numpy(), strength * mirrored, atol=1e-6)
        # The third basis is what the probes exchanged.
        between = record["exchanged_direction"][part].reshape(48, N_FRAMES, 3) / 127.0
        late = FRAME_EDGES[:-1] > 0.1  # where a shift by the distance changes little
        np.testing.assert_allclose(batch["bases"][:, late, 2].numpy(), between[:, late], atol=0.5)
        straight = np.repeat(record["pairs_direction"][part], 8, axis=0)
        np.testing.assert_allclose(batch["bases"][:, 4, 1].numpy(), straight, atol=1e-3)


def test_joined_samples_are_all_of_them(samples):
    double = join([samples, samples])
    assert len(double) == 96
    np.testing.assert_array_equal(double.level[48:], samples.level)


# Training.


def test_numpy_and_torch_compute_the_same():
    rng = np.random.default_rng(6)
    config = DecoderConfig()
    parameters = {
        name: (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)
        for name, shape in parameter_shapes(config).items()
    }
    parameters["deviation"] = np.abs(parameters["deviation"]) + 0.5
    inputs = rng.normal(size=(7, 8, N_FEATURES)).astype(np.float32)
    base = rng.normal(-30.0, 20.0, (7, 8, N_FRAMES)).astype(np.float32)
    bases = rng.normal(size=(7, 8, N_FRAMES, N_BASES, 3)).astype(np.float32)
    said = decode(forward(parameters, inputs), base, bases)
    tensors = {name: torch.from_numpy(values) for name, values in parameters.items()}
    output = forward(tensors, torch.from_numpy(inputs))
    assert output.shape == (7, 8, N_OUTPUTS)
    meant = decode(output, torch.from_numpy(base), torch.from_numpy(bases))
    np.testing.assert_allclose(output.numpy(), forward(parameters, inputs), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(said[0], meant[0].numpy(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(said[1], meant[1].numpy(), rtol=1e-4, atol=1e-4)


def test_a_perfect_answer_costs_nothing(samples):
    batch = batch_of(samples, np.arange(48), np.zeros(48, int))
    for name, value in losses(batch["level"], batch["direction"], batch).items():
        assert value.item() == pytest.approx(0.0, abs=1e-5), name


def test_each_loss_sees_its_own_error(samples):
    batch = batch_of(samples, np.arange(48), np.zeros(48, int))
    batch["direct"] = torch.zeros(48)
    louder = losses(batch["level"] + 2.0, batch["direction"], batch)
    assert louder["strength"].item() == pytest.approx(2.0, abs=1e-3)
    assert louder["decay"].item() == pytest.approx(2.0, abs=1e-3)
    assert louder["c50"].item() == pytest.approx(0.0, abs=1e-3)
    assert louder["direction"].item() == 0.0
    decay = -np.diff(10.0 ** (-6.0 * FRAME_EDGES / 1.0))
    batch["level"] = torch.tensor(10.0 * np.log10(decay)).float().repeat(48, 1)
    late = torch.tensor(FRAME_EDGES[:-1] >= 0.050).float() * 3.0
    boomy = losses(batch["level"] + late, batch["direction"], batch)
    assert boomy["c50"].item() == pytest.approx(3.0, abs=1e-3)
    turned = losses(batch["level"], -batch["direction"], batch)
    assert turned["direction"].item() > 0.01
    assert turned["frame"].item() == 0.0


def test_noise_of_the_teacher_does_not_shorten_decays():
    # Energies that are exponentially distributed about a true decay: the deviance is least at their mean.
    rng = np.random.default_rng(8)
    true = -np.diff(10.0 ** (-6.0 * FRAME_EDGES / 1.0))
    noisy = 10.0 * np.log10(np.maximum(true * rng.exponential(size=(500, 1)), 1e-9))
    batch = {
        "level": torch.tensor(noisy).float(),
        "direct": torch.zeros(500),
        "direction": torch.zeros(500, N_FRAMES, 3),
    }
    offsets = np.arange(-3.0, 3.0, 0.5)
    said = torch.tensor(10.0 * np.log10(true)).float().expand(500, -1)
    found = [losses(said + offset, batch["direction"], batch) for offset in offsets]
    best = {name: offsets[np.argmin([parts[name].item() for parts in found])] for name in ("decay", "deviance")}
    assert abs(best["deviance"]) <= 0.5
    assert best["decay"] <= -1.0


def test_a_bend_is_what_changes_the_slope_of_the_base():
    base = torch.tensor(np.random.default_rng(9).normal(-40.0, 10.0, (3, N_FRAMES))).float()
    assert bend(base + 5.0, base).item() == pytest.approx(0.0, abs=1e-5)
    early = torch.tensor(FRAME_EDGES[:-1] < 0.049).float() * 7.0
    early[9] = early[10] = 0.0  # the last early frames may differ from the first late one
    assert bend(base + early, base).item() == pytest.approx(0.0, abs=1e-5)
    assert bend(base + torch.arange(N_FRAMES) * 0.5, base).item() == pytest.approx(0.5, abs=1e-4)


def test_inputs_are_normalised_and_the_start_says_nothing(samples):
    parameters = initial_parameters(DECODER, samples, seed=1)
    inputs = torch.from_numpy(samples.inputs.astype(np.float32))
    normalised = (inputs - parameters["mean"]) / parameters["deviation"]
    np.testing.assert_allclose(normalised.mean(dim=0).numpy(), 0.0, atol=1e-2)
    assert normalised.std(dim=0).max() < 1.1
    assert (forward(parameters, inputs) == 0.0).all()
    again = initial_parameters(DECODER, samples, seed=1)
    assert all(torch.equal(parameters[name], again[name]) for name in parameters)


class _Interrupted(Exception):
    pass


def test_twenty_steps_learn_and_an_interruption_changes_nothing(samples, tmp_path):
    config = TrainConfig(epochs=10, batch=24, rate=0.05, seed=2, threads=1)  # two steps an epoch
    said: list[str] = []
    whole = train(samples, samples, tmp_path / "whole", DECODER, config, {"rooms": "1"}, said.append)

    batch = batch_of(samples, np.arange(48), np.zeros(48, int))

    def cost(parameters: dict[str, torch.Tensor]) -> float:
        level, ratio = decode(forward(parameters, batch["inputs"]), batch["base"], batch["bases"])
        return losses(level, ratio, batch)["decay"].item()

    start = cost(initial_parameters(DECODER, samples, config.seed))
    assert cost({name: torch.from_numpy(values) for name, values in whole.items()}) < 0.95 * start
    assert len(said) == 10

    def interrupt(text: str) -> None:
        if "after 8 steps" in text:
            raise _Interrupted

    with pytest.raises(_Interrupted):
        train(samples, samples, tmp_path / "parts", DECODER, config, {}, interrupt)
    resumed = train(samples, samples, tmp_path / "parts", DECODER, config, {}, said.append)
    once_more = train(samples, samples, tmp_path / "parts", DECODER, config, {}, said.append)
    for name, values in whole.items():
        np.testing.assert_array_equal(resumed[name], values, err_msg=name)
        np.testing.assert_array_equal(once_more[name], values, err_msg=name)
    written = load_decoder(tmp_path / "whole.final.safetensors")
    assert written[0] == DECODER
    assert written[2] == {"rooms": "1"}
    np.testing.assert_array_equal(written[1]["weight_out"], whole["weight_out"])


def test_a_checkpoint_of_another_decoder_is_refused(samples, tmp_path):
    config = TrainConfig(epochs=1, batch=48, threads=1)
    train(samples, samples, tmp_path / "kept", DECODER, config, {}, lambda text: None)
    for other in (DecoderConfig(width=8, depth=2), DecoderConfig(width=16, depth=3)):
        with pytest.raises(ValueError, match=r"kept belongs to a decoder of another size"):
            train(samples, samples, tmp_path / "kept", other, config, {}, lambda text: None)


# Evaluation.


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> list[Truth]:
    folder = tmp_path_factory.mktemp("truth")
    evaluation._trace_truth((folder, VALIDATION_SEED, 80))
    (file,) = folder.iterdir()
    written = file.stat().st_mtime_ns
    made = make_truth(folder, 1, first_seed=VALIDATION_SEED, rays=80, processes=1)
    assert file.stat().st_mtime_ns == written  # read, not traced again
    return made


def test_truth_against_itself_has_no_error(truths):
    for truth in truths:
        table = errors(truth.response, truth.response)
        assert set(table) == set(MEASURES)
        for name, values in table.items():
            assert values.shape == (20, 6)
            known = np.isfinite(values)
            assert known.mean() > 0.5, name
            assert (values[known] == 0.0).all(), name
        angle = direction_error(truth.response, truth.response)
        assert np.nanmax(angle) < 0.1


def test_errors_are_in_their_units(truths):
    response = truths[0].response
    louder = type(response)(
        2.0 * response.energy,
        2.0 * response.direct,
        response.distance,
        response.direct_direction,
        response.tail_slope,
        response.speed_of_sound,
    )
    table = errors(louder, response)
    assert np.nanmean(table["G dB"]) == pytest.approx(10.0 * np.log10(2.0), abs=1e-3)
    for name in ("T30 %", "EDT ms", "C50 dB"):
        assert np.nanmax(table[name]) < 0.05, name
    turned = type(response)(
        response.energy * np.array([1, -1, -1, -1], np.float32),
        response.direct,
        response.distance,
        response.direct_direction,
        response.tail_slope,
        response.speed_of_sound,
    )
    assert np.nanmin(direction_error(turned, response, direct=False)) == pytest.approx(180.0, abs=0.1)
    # With the direct sound, turned reflections turn the whole by less wherever it is heard.
    seen = response.direct[:, 0] > 0.0
    assert seen.any()
    assert np.nanmean(direction_error(turned, response)[seen]) < 120.0


def test_both_ways_are_averaged(truths):
    response = truths[0].response
    half = reciprocal(response)
    assert len(half.distance) == 10
    np.testing.assert_allclose(half.energy[3], 0.5 * (response.energy[3] + response.energy[13]), rtol=1e-6)
    np.testing.assert_allclose(half.distance, response.distance[10:], rtol=1e-6)


def test_the_nearest_pair_is_never_the_pair_itself(truths):
    truth = truths[0]
    guess = nearest_pair_baseline(truth.response, truth.points, Raycaster(make_room(truth.seed, 1).scene))
    same = (guess.energy == truth.response.energy).all(axis=(1, 2, 3))
    assert not same.any()
    np.testing.assert_array_equal(guess.direct, truth.response.direct)


def test_evaluation_gives_all_tables(truths, monkeypatch):
    refine = Field.refine
    monkeypatch.setattr(Field, "refine", lambda field, **how: refine(field, paths=4000, rays=50, **how))
    result = evaluate(truths, bundled_file(FIELD), spacing=2.0, refined=1)
    assert result["rooms"] == len(truths)
    assert result["pairs"] == 10 * len(truths)
    assert set(result["tables"]) == {
        "field",
        "field without its network",
        "mean of self-responses",
        "nearest traced pair",
    }
    for tables in result["tables"].values():
        assert {"all", "visible", "hidden", truths[0].kind} <= set(tables)
        for key in BARS:
            assert tables["all"][key] >= 0.0
    assert result["tables"]["field"]["all"]["G dB"] < 2.0
    refined = result["refined"]
    assert refined["rooms"] == 1 and refined["kept"] in (0, 1)
    before, after = (refined["tables"][name]["all"] for name in ("field, same rooms", "field, refined"))
    assert before == result["tables"]["field"]["all"]
    assert (after == before) == (not refined["kept"])
    text = as_text(result)
    assert "bar" in text and "refined in the first 1 rooms" in text
    assert all(name in text for name in (*BARS, *result["tables"]))
