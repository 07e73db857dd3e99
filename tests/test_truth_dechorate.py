from __future__ import annotations

import math

import h5py
import numpy as np
import pytest

from naf_core.errors import UserError
from naf_core.truth import dechorate


def test_every_wall_gives_the_image_that_mirrors_the_source_in_it():
    known = dechorate.read_annotations(dechorate.DATA)
    found = dechorate.arrivals(known)
    assert set(found) == set(known.times)
    walls = [
        ("west", 0, 0.0),
        ("east", 0, 1.0),
        ("south", 1, 0.0),
        ("north", 1, 1.0),
        ("floor", 2, 0.0),
        ("ceiling", 2, 1.0),
    ]
    for name, axis, side in walls:
        image = known.source.copy()
        image[axis] = 2.0 * side * known.room[axis] - image[axis]
        expected = np.linalg.norm(known.microphones - image, axis=1) / known.speed_of_sound
        np.testing.assert_allclose(found[name], expected, atol=1e-8, err_msg=name)
    with h5py.File(dechorate.DATA, "r") as file:
        published = file["arrival_times_image_source"][()]
        names = file["arrival_path"].asstr()[:]
    for name, row in zip(names, published, strict=True):
        np.testing.assert_allclose(found[name], row, atol=2e-6, err_msg=name)


def test_all_bars_are_met():
    found = dechorate.figures()
    assert [figure.check.split(",")[1].split(":")[0].strip() for figure in found] == list(dechorate.BARS)
    for figure in found:
        assert figure.met, figure
        assert figure.value > 1e-3  # microseconds: measured times never agree exactly
    by_hand = [int(figure.note.split(";")[1].split()[0]) for figure in found]
    assert by_hand == [2, 0, 0, 3, 12, 6]


def test_a_missing_file_is_named_and_a_foreign_one_refused(monkeypatch, tmp_path):
    path = tmp_path / "room.h5"
    monkeypatch.setattr(dechorate, "DATA", path)
    found = dechorate.figures()
    assert all(math.isnan(figure.value) and "room.h5 is missing" in figure.note for figure in found)
    with h5py.File(path, "w") as file:
        file["microphone_positions"] = np.zeros((12, 3))
    with pytest.raises(UserError, match=r"room\.h5"):
        dechorate.read_annotations(path)
