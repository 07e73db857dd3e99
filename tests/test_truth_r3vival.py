from __future__ import annotations

import math
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from naf_core.errors import UserError
from naf_core.truth import r3vival

HERE = os.environ.get(r3vival.VARIABLE)


def eyring(exponents: np.ndarray, air: np.ndarray, places: int) -> np.ndarray:
    """Decay times (exponents, places, 8) that differ a little from place to place."""
    times = 1.0 / (8.0 * exponents[:, None] + air)
    return times[:, None] * (1.0 + 0.02 * np.arange(places))[:, None]


def room(responses: np.ndarray) -> r3vival.Room:
    count = len(responses)
    sources = np.array([3.0, 2.0, 1.2]) + 0.3 * np.arange(count)[:, None] * [1.0, 0.5, 0.0]
    faces = np.array([2.5, 3.5, 2.0, 3.0, 1.2, 1.4])
    return r3vival.Room(responses, 48000.0, np.full(count, 480), sources, np.array([2.6, 2.1, 1.3]), faces)


def test_a_known_absorption_is_found_again():
    exponents, air = np.array(r3vival.EXPONENTS), np.linspace(0.0, 1.0, 8)
    traced = eyring(exponents, air, 12)
    measured = eyring(np.array([0.27]), air, 12)[0]
    predicted = r3vival.predict(measured[:4], traced[:, :4], traced[:, 4:])
    np.testing.assert_allclose(predicted, measured[4:], rtol=1e-9)
    assert r3vival.compare("000", measured, traced).value < 1e-6


def test_scatter_of_what_was_measured_is_told_apart_from_its_mean():
    exponents, air = np.array(r3vival.EXPONENTS), np.zeros(8)
    traced = eyring(exponents, air, 1).repeat(34, axis=1)
    scatter = 0.1 * np.random.default_rng(0).choice([-1.0, 1.0], size=(34, 8))
    measured = 0.5 * (1.0 + scatter)
    single = r3vival.compare("000", measured, traced)
    assert 8.0 < single.value < 13.0
    floor = np.abs(measured / measured.mean(axis=0) - 1.0)[:, 1:7].mean()
    assert f"by {100.0 * floor:.1f} %" in single.note
    assert "8 choices" in single.note and "other 30" in single.note


def test_a_box_decays_sooner_the_more_it_absorbs():
    times = r3vival.traced_decays(room(np.zeros((2, 10))), rays=200)
    assert times.shape == (len(r3vival.EXPONENTS), 2, 8)
    assert (np.diff(times, axis=0) < 0.0).all()
    size = np.array([6.0, 5.0, 2.6])
    area = 2.0 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    expected = 24.0 * math.log(10.0) / 343.2 * size.prod() / area / np.array(r3vival.EXPONENTS)
    np.testing.assert_allclose(times[:, :, :4].mean(axis=(1, 2)), expected, rtol=0.12)


def test_responses_are_read_and_their_decay_measured(tmp_path):
    rng = np.random.default_rng(0)
    responses = np.zeros((2, 24000))
    responses[:, 480:] = rng.normal(size=(2, 23520)) * 10.0 ** (-3.0 * np.arange(23520) / 48000.0 / 0.3)
    made = room(responses)
    path = tmp_path / "room.h5"
    with h5py.File(path, "w") as file:
        for name, values in (
            ("rirs", made.responses),
            ("sample_rate", made.sample_rate),
            ("direct_sample", made.direct),
            ("source_position", made.sources),
            ("receiver_position", made.receiver),
            ("reflecting_face_distance", made.faces),
        ):
            file[name] = values
    found = r3vival.read_room(path)
    for one, other in zip(found, made, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(r3vival.measured_decays(found)[:, 4:].mean(axis=0), 0.3, rtol=0.05)
    with h5py.File(path, "a") as file:
        del file["rirs"]
    with pytest.raises(UserError, match=r"room\.h5"):
        r3vival.read_room(path)


def test_where_the_data_lack_the_figures_say_how_to_name_them(monkeypatch, tmp_path):
    monkeypatch.delenv(r3vival.VARIABLE, raising=False)
    for found in (r3vival.figures(), r3vival.figures(folder=tmp_path)):
        assert len(found) == 2
        for figure in found:
            assert math.isnan(figure.value)
            assert r3vival.VARIABLE in figure.note and "is missing" in figure.note


@pytest.mark.skipif(not HERE, reason=f"{r3vival.VARIABLE} names no folder")
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("000", [0.47, 0.72, 0.74, 0.69, 0.66, 0.59, 0.47]),
        ("100", [0.47, 0.55, 0.52, 0.45, 0.37, 0.27, 0.20]),
    ],
)
def test_the_known_reverberation_times_come_out(condition, expected):
    made = r3vival.read_room(Path(HERE) / r3vival.CONDITIONS[condition])
    np.testing.assert_allclose(r3vival.measured_decays(made).mean(axis=0)[1:], expected, atol=0.006)
