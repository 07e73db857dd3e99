from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from naf_core.accuracy import MEASURES, ordered_pairs
from naf_core.bundled import FIELD, bundled_file
from naf_core.decoder import load_decoder
from naf_core.field import Field
from naf_core.tracer import trace
from naf_core.training import calibration
from naf_core.training.calibration import Asked, ask, expected_elsewhere, fit, keep, reliability
from naf_core.training.evaluate import Truth
from naf_core.training.pictures import save_reliability
from naf_core.uncertainty import NOTE, QUANTITIES, calibration_from
from tests.shapes import box, material, scene_of

ROOMS, PAIRS = 12, 28


@pytest.fixture(scope="module")
def made() -> tuple[Asked, dict[str, np.ndarray]]:
    """Pairs whose errors follow the model, with noise, and what was to be expected of each."""
    rng = np.random.default_rng(0)
    quantities = rng.normal(size=(ROOMS * PAIRS, 6, len(QUANTITIES)))
    meant, found, noise = {}, {}, {}
    for name in MEASURES:
        meant[name] = np.exp(quantities @ rng.normal(0.0, 0.3, len(QUANTITIES)) - 0.5)
        noise[name] = np.full(meant[name].shape, 0.4)
        found[name] = np.hypot(meant[name], noise[name]) * rng.gamma(2.0, 0.5, meant[name].shape)
    return Asked(quantities, found, noise, np.repeat(np.arange(ROOMS), PAIRS)), meant


def test_the_fit_finds_what_was_to_be_expected_without_the_noise_of_the_reference(made):
    asked, meant = made
    expected = fit(asked).expected(asked.quantities)
    for name in MEASURES:
        apart = np.abs(np.log(expected[name] / meant[name]))
        assert np.median(apart) < 0.15, name
        assert abs(expected[name].mean() / meant[name].mean() - 1.0) < 0.15


def test_unknown_figures_are_left_out(made):
    asked, meant = made
    holes = {name: np.where(np.arange(6) == 2, np.nan, values) for name, values in asked.errors.items()}
    expected = fit(Asked(asked.quantities, holes, asked.noise, asked.room)).expected(asked.quantities)
    assert np.median(np.abs(np.log(expected["G dB"] / meant["G dB"]))) < 0.15


def test_expectations_of_other_rooms_are_reliable_by_tenths(made, tmp_path):
    asked, _ = made
    expected = expected_elsewhere(asked)
    found = reliability(expected["C50 dB"], asked.errors["C50 dB"])
    assert (np.diff(found.expected) >= 0.0).all()
    np.testing.assert_allclose(found.actual, found.expected, rtol=0.35)
    assert found.actual[-1] > 3.0 * found.actual[0]
    words = save_reliability(tmp_path / "reliability.png", expected, asked.errors)
    assert all(name in words for name in MEASURES)
    assert (tmp_path / "reliability.png").stat().st_size < 150_000


def test_the_calibration_is_kept_in_the_file_of_the_weights_and_changes_nothing_else(made, tmp_path: Path):
    path = tmp_path / "field.safetensors"
    shutil.copy(bundled_file(FIELD), path)
    before = load_decoder(path)
    found = fit(made[0])
    keep(path, found)
    config, parameters, notes = load_decoder(path)
    assert config == before[0]
    for name, values in before[1].items():
        np.testing.assert_array_equal(parameters[name], values)
    np.testing.assert_allclose(calibration_from(notes.pop(NOTE)).slopes, found.slopes, atol=1e-6)
    assert notes == {name: text for name, text in before[2].items() if name != NOTE}


def test_rooms_are_asked_and_their_scans_are_kept(tmp_path, monkeypatch):
    scene = scene_of((box((0, 0, 0), (4, 3, 2.5)), material(0.3, 0.5)))
    points = np.random.default_rng(1).uniform(0.4, [3.6, 2.6, 2.1], (4, 3)).astype(np.float32)
    traced = trace(scene, points, points, rays=300, seed=1)[ordered_pairs(4)]
    monkeypatch.setattr(calibration, "make_truth", lambda *_: [Truth(5, "box", points, traced)])
    scene.save(tmp_path / "scan-5.h5")  # only the scene is known: it is scanned
    asked = ask(tmp_path, 1, 0)
    assert asked.quantities.shape == (6, 6, len(QUANTITIES))
    assert all(values.shape == (6, 6) for table in (asked.errors, asked.noise) for values in table.values())
    assert Field.load(tmp_path / "scan-5.h5").scan_.positions.size
    monkeypatch.setattr(Field, "scan", None)  # not a second time
    np.testing.assert_allclose(ask(tmp_path, 1, 0).quantities, asked.quantities, atol=1e-2)
