from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naf_core.accuracy import MEASURES
from naf_core.bundled import FIELD, bundled_file
from naf_core.decoder import load_decoder, save_decoder
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.uncertainty import NOTE, QUANTITIES, Calibration, calibration_from, every_other, mean_expected
from tests.shapes import box, material, scene_of, two_rooms

COUNT = len(QUANTITIES)
EMITTERS = np.array([[1.0, 1.0, 1.2], [1.0, 3.5, 1.2], [6.5, 3.4, 0.6]])
LISTENERS = np.array([[3.0, 2.5, 1.6], [7.0, 3.4, 1.6], [1.2, 3.1, 1.0]])


def some_calibration(seed: int = 0) -> Calibration:
    rng = np.random.default_rng(seed)
    slopes = 0.1 * rng.normal(size=(len(MEASURES), COUNT + 1))
    return Calibration(rng.normal(size=COUNT), rng.uniform(0.5, 2.0, COUNT), slopes)


@pytest.fixture(scope="module")
def field() -> Field:
    return Field.scan(two_rooms(material(0.3, 0.4), door=(0.5, 1.5)), seed=1, spacing=1.2, paths=4000)


def test_the_expected_error_is_an_exponential_of_what_is_known():
    calibration = some_calibration()
    usual = calibration.expected(calibration.mean)
    for k, name in enumerate(MEASURES):
        assert usual[name] == pytest.approx(np.exp(calibration.slopes[k, 0]))
    shifted = calibration.mean + 2.0 * calibration.deviation * np.eye(COUNT)
    for k, name in enumerate(MEASURES):
        expected = usual[name] * np.exp(2.0 * calibration.slopes[k, 1:])
        np.testing.assert_allclose(calibration.expected(shifted)[name], expected)


def test_what_is_unknown_or_out_of_all_experience_is_not_followed():
    calibration = some_calibration()
    usual, far = calibration.mean.copy(), calibration.mean.copy()
    usual[3], far[5] = np.nan, np.inf
    assert calibration.expected(usual)["G dB"] == pytest.approx(calibration.expected(calibration.mean)["G dB"])
    most = calibration.mean + 3.0 * calibration.deviation * (np.arange(COUNT) == 5)
    beyond = calibration.mean + 1e6 * calibration.deviation * (np.arange(COUNT) == 5)
    assert calibration.expected(beyond)["T30 %"] == pytest.approx(calibration.expected(most)["T30 %"])
    assert np.isfinite(calibration.expected(far)["T30 %"])


def test_a_calibration_comes_back_from_its_text():
    calibration = some_calibration(1)
    found = calibration_from(calibration.text())
    for name in ("mean", "deviation", "slopes"):
        np.testing.assert_allclose(getattr(found, name), getattr(calibration, name), atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("slopes"),
        lambda d: d.update(quantities=[*QUANTITIES[1:], "colour"]),
        lambda d: d.update(measures=["T30 %"]),
        lambda d: d.update(mean=[0.0] * (COUNT - 1)),
        lambda d: d.update(mean=[float("nan")] * COUNT),
        lambda d: d.update(deviation=[0.0] * COUNT),
        lambda d: d.update(slopes=[[1.0] * COUNT] * 4),
        lambda d: d.update(slopes="steep"),
        lambda d: d.update(slopes=[[1e999] * (COUNT + 1)] * 4),
        lambda d: d.update(slopes={}),
    ],
)
def test_a_foreign_or_damaged_calibration_is_refused_with_its_file(change, tmp_path):
    read = json.loads(some_calibration().text())
    change(read)
    config, parameters, notes = load_decoder(bundled_file(FIELD))
    path = tmp_path / "odd.safetensors"
    for text in (json.dumps(read), "[" * 100_000, "3", "no JSON", "[1, 2]"):
        save_decoder(path, config, parameters, {**notes, NOTE: text})
        with pytest.raises(UserError, match=r"odd\.safetensors holds a calibration that cannot be read"):
            Field.scan(scene_of(), weights=path)


def test_weights_without_a_calibration_answer_but_do_not_tell_their_errors(tmp_path: Path):
    config, parameters, notes = load_decoder(bundled_file(FIELD))
    notes.pop(NOTE)
    save_decoder(tmp_path / "bare.safetensors", config, parameters, notes)
    bare = Field.scan(scene_of(), weights=tmp_path / "bare.safetensors")
    assert (bare.predict(EMITTERS, LISTENERS).energy == 0.0).all()
    with pytest.raises(UserError, match="without a calibration"):
        bare.uncertainty(EMITTERS, LISTENERS)


def test_every_pair_and_band_has_an_expected_error(field):
    expected = field.uncertainty(EMITTERS, LISTENERS)
    assert tuple(expected) == MEASURES
    for values in expected.values():
        assert values.shape == (3, 6)
        assert (values > 0.0).all()
        assert np.isfinite(values).all()
    assert set(mean_expected(expected)) == set(MEASURES)
    one = field.uncertainty(EMITTERS[0], LISTENERS[:1])
    np.testing.assert_allclose(one["C50 dB"], expected["C50 dB"][:1], rtol=1e-2)


def test_both_ways_are_as_sure(field):
    there, back = field.uncertainty(EMITTERS, LISTENERS), field.uncertainty(LISTENERS, EMITTERS)
    for name in MEASURES:
        np.testing.assert_allclose(there[name], back[name], rtol=1e-2)


def test_the_field_is_less_sure_of_what_is_hidden(field):
    expected = field.uncertainty(EMITTERS, LISTENERS)
    for name in ("C50 dB", "G dB"):  # the first pair sees each other, the others do not
        assert expected[name][1:].mean() > 1.2 * expected[name][0].mean()


def test_where_nothing_reflects_nothing_is_unsure_in_a_way_that_breaks():
    field = Field.scan(scene_of())
    for values in field.uncertainty(EMITTERS, LISTENERS).values():
        assert values.shape == (3, 6)
    wall = Field.scan(scene_of((box((0, 0, 0), (4, 3, 2.5), without="-x +x -y +y +z"), material())), paths=400)
    for values in wall.uncertainty(EMITTERS[0], LISTENERS[0]).values():
        assert values.shape == (1, 6)


def test_halves_of_a_scan_hold_all_probes_once_and_their_own_sights(field):
    found = field.scan_
    halves = [every_other(found, k) for k in (0, 1)]
    assert sum(len(half.positions) for half in halves) == len(found.positions)
    for start, half in enumerate(halves):
        np.testing.assert_array_equal(half.sees, found.sees[start::2, start::2])
        np.testing.assert_array_equal(half.walking, found.walking[start::2, start::2])
        np.testing.assert_array_equal(half.around.depths, found.around.depths[start::2])
        np.testing.assert_array_equal(half.exchange.receive, found.exchange.receive[start::2])
        assert half.exchange.transfer is found.exchange.transfer
    single = every_other(halves[0], 0)
    while len(single.positions) > 1:
        single = every_other(single, 1)
    assert len(every_other(single, 1).positions) == 1


def test_asking_how_sure_it_is_changes_nothing(field):
    before = field.predict(EMITTERS, LISTENERS).energy
    scan = field.scan_
    field.uncertainty(EMITTERS, LISTENERS)
    assert field.scan_ is scan
    np.testing.assert_array_equal(field.predict(EMITTERS, LISTENERS).energy, before)
    bare = replace(field, calibration=None)
    assert bare.quantities(EMITTERS, LISTENERS).shape == (3, 6, COUNT)
