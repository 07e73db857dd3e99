from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from naf_core.decoder import (
    N_OUTPUTS,
    DecoderConfig,
    decode,
    forward,
    load_decoder,
    parameter_shapes,
    save_decoder,
)
from naf_core.errors import UserError
from naf_core.features import N_BASES, N_FEATURES
from naf_core.response import N_FRAMES

CONFIG = DecoderConfig(width=12, depth=3)
FORMAT = "acoustic-fields decoder 1"


def random_parameters(config: DecoderConfig = CONFIG, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    parameters = {
        name: rng.normal(0.0, 0.1, shape).astype(np.float32) for name, shape in parameter_shapes(config).items()
    }
    parameters["deviation"] = np.abs(parameters["deviation"]) + 0.5
    return parameters


def written(path: Path, metadata: dict[str, str] | None = None, **changes: np.ndarray | None) -> Path:
    """A file of weights with some parameters replaced, or left out where None."""
    parameters = {k: v for k, v in {**random_parameters(), **changes}.items() if v is not None}
    save_file(parameters, str(path), {"format": FORMAT, "config": json.dumps(asdict(CONFIG)), **(metadata or {})})
    return path


def described(**changes: object) -> dict[str, str]:
    return {"config": json.dumps({**asdict(CONFIG), **changes})}


def test_the_forward_pass_is_the_network_that_it_says():
    parameters = random_parameters()
    inputs = np.random.default_rng(1).normal(size=(5, N_FEATURES)).astype(np.float32)
    x = (inputs - parameters["mean"]) / parameters["deviation"]
    for k in range(3):
        step = x @ parameters[f"weight_{k}"] + parameters[f"bias_{k}"]
        step = np.where(step > 0, step, 0.1 * step)
        x = step if k == 0 else x + step
    expected = x @ parameters["weight_out"] + parameters["bias_out"]
    np.testing.assert_allclose(forward(parameters, inputs), expected, rtol=1e-4, atol=1e-5)


def test_any_leading_axes_are_samples_of_their_own():
    parameters = random_parameters()
    inputs = np.random.default_rng(2).normal(size=(3, 8, N_FEATURES)).astype(np.float32)
    output = forward(parameters, inputs)
    assert output.shape == (3, 8, N_OUTPUTS)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output[1, 5], forward(parameters, inputs[1, 5][None])[0], rtol=1e-4, atol=1e-5)


def test_a_silent_network_says_the_base_and_no_direction():
    base = np.random.default_rng(3).normal(-30, 10, (4, 8, N_FRAMES)).astype(np.float32)
    bases = np.random.default_rng(4).normal(size=(4, 8, N_FRAMES, N_BASES, 3)).astype(np.float32)
    level, ratio = decode(np.zeros((4, 8, N_OUTPUTS), np.float32), base, bases)
    np.testing.assert_array_equal(level, base)
    np.testing.assert_array_equal(ratio, np.zeros((4, 8, N_FRAMES, 3)))


def test_levels_are_residuals_and_directions_sums_of_the_bases():
    output = np.zeros((1, N_OUTPUTS), np.float32)
    output[0, 2] = 0.3  # frame 2: 3 dB
    first = N_FRAMES + N_BASES * 5  # of frame 5
    output[0, first : first + N_BASES] = [0.2, 0.0, 0.5]
    bases = np.tile(np.eye(N_BASES, 3, dtype=np.float32), (1, N_FRAMES, 1, 1))
    bases[0, 5] = [[1, 0, 0], [0, 1, 0], [0, 0.6, 0.8]]
    level, ratio = decode(output, np.zeros((1, N_FRAMES), np.float32), bases)
    np.testing.assert_allclose(level[0], 3.0 * np.eye(N_FRAMES)[2], atol=1e-5)
    np.testing.assert_allclose(ratio[0, 5], [0.2, 0.3, 0.4], atol=1e-6)
    assert np.count_nonzero(ratio) == 3


def test_no_direction_is_longer_than_that_of_a_plane_wave():
    output = 50.0 * np.random.default_rng(5).normal(size=(200, N_OUTPUTS)).astype(np.float32)
    bases = np.random.default_rng(6).normal(size=(200, N_FRAMES, N_BASES, 3)).astype(np.float32)
    _, ratio = decode(output, np.zeros((200, N_FRAMES), np.float32), bases)
    assert np.linalg.norm(ratio, axis=-1).max() <= 1.0 + 1e-5
    assert np.linalg.norm(ratio, axis=-1).min() > 0.0


def test_saved_weights_come_back(tmp_path):
    parameters, notes = random_parameters(), {"rooms": "7", "licence": "CC0-1.0"}
    save_decoder(tmp_path / "field.safetensors", CONFIG, parameters, notes)
    config, found, said = load_decoder(tmp_path / "field.safetensors")
    assert config == CONFIG
    assert said == notes
    assert found.keys() == parameters.keys()
    for name, values in parameters.items():
        np.testing.assert_array_equal(found[name], values)
    assert [file.name for file in tmp_path.iterdir()] == ["field.safetensors"]


def test_saving_replaces_what_was_there(tmp_path):
    path = tmp_path / "field.safetensors"
    path.write_text("old")
    save_decoder(path, CONFIG, random_parameters(), {})
    assert load_decoder(path)[0] == CONFIG


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"\xff" * 8 + b"{}", b"not weights at all, just text" * 99])
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"foreign\.safetensors cannot be read as the weights"):
        load_decoder(path)


def test_missing_files_and_folders_are_refused_by_name(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(UserError, match=path.name):
            load_decoder(path)


def test_a_damaged_file_is_refused_wherever_it_is_cut(tmp_path):
    whole = written(tmp_path / "whole.safetensors").read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in np.linspace(0, len(whole) - 1, 23).astype(int):
        cut.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.safetensors"):
            load_decoder(cut)


@pytest.mark.parametrize(
    "metadata",
    [
        {"format": "acoustic-fields decoder 99"},
        {"config": "[]"},
        {"config": "{"},
        {"config": "[" * 100_000},
        {"config": json.dumps({**asdict(CONFIG), "colour": 1})},
        described(width=13),
        described(width="12"),
        described(width=-12),
        described(width=True),
        described(width=10**9),
        described(depth=2),
        described(depth=0),
        described(depth=10**9),
        described(inputs=N_FEATURES + 1),
        described(outputs=N_OUTPUTS - 1),
        described(bandwidth=float("nan")),
        described(bandwidth=0.0),
        described(bandwidth="wide"),
        described(bandwidth=-0.6),
    ],
    ids=lambda metadata: str(metadata)[:60],
)
def test_impossible_descriptions_are_refused(tmp_path, metadata):
    with pytest.raises(UserError, match=r"odd\.safetensors"):
        load_decoder(written(tmp_path / "odd.safetensors", metadata))


def test_a_file_without_a_description_is_refused(tmp_path):
    save_file(random_parameters(), str(tmp_path / "bare.safetensors"))
    with pytest.raises(UserError, match="does not hold the weights of a field of this version"):
        load_decoder(tmp_path / "bare.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_out": None},
        {"weight_9": np.zeros((12, 12), np.float32)},
        {"weight_1": np.zeros((12, 13), np.float32)},
        {"bias_0": np.zeros(12)},  # float64
        {"bias_0": np.zeros(12, np.int32)},
        {"bias_0": np.full(12, np.nan, np.float32)},
        {"weight_out": np.full((12, N_OUTPUTS), np.inf, np.float32)},
        {"deviation": np.zeros(N_FEATURES, np.float32)},
        {"deviation": np.full(N_FEATURES, -1.0, np.float32)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_impossible_weights_are_refused(tmp_path, changes):
    with pytest.raises(UserError, match=r"odd\.safetensors"):
        load_decoder(written(tmp_path / "odd.safetensors", **changes))


def test_weights_of_another_size_are_read_as_described(tmp_path):
    other = replace(CONFIG, width=5, depth=1, bandwidth=0.9)
    save_decoder(tmp_path / "small.safetensors", other, random_parameters(other), {})
    config, parameters, _ = load_decoder(tmp_path / "small.safetensors")
    assert config == other
    assert forward(parameters, np.zeros((2, N_FEATURES), np.float32)).shape == (2, N_OUTPUTS)
