from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naf_core.accuracy import MEASURES
from naf_core.field import Field
from naf_core.floormap import FloorMap
from naf_core.job import Job
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.sureness import Sureness, sureness
from tests import kitchen
from tests.shapes import material, scene_of, two_rooms

TIMES = np.linspace(0.0, 1.0, 25)


def still(*position: float) -> Trajectory:
    return Trajectory(TIMES, np.tile(position, (len(TIMES), 1)))


@pytest.fixture(scope="module")
def field() -> Field:
    return Field.scan(two_rooms(material(0.3, 0.4), door=(0.5, 1.5)), seed=1, spacing=1.2, paths=4000)


@pytest.fixture
def job(field: Field, tmp_path: Path) -> Job:
    walk = np.stack([np.linspace(1.0, 7.0, 25), np.full(25, 1.0), np.full(25, 1.6)], axis=1)
    emitters = [Emitter("Talker", still(2.0, 2.0, 1.5), "a.wav"), Emitter("Radio", still(1.0, 3.0, 1.0), "b.wav")]
    listener = Listener("Camera", Trajectory(TIMES, walk))
    return Job("bake", field.scene, emitters, listener, tmp_path, n_frames=25)


def test_the_way_of_the_listener_is_asked_about(field, job):
    found = sureness(job, field)
    assert found.pairs == 2 * 12
    assert set(found.errors) == {*MEASURES, "EDT %"}
    assert all(value > 0.0 for value in found.errors.values())
    facts = found.facts()
    assert facts["pairs"] == 24 and facts["noticeable"] == found.noticeable


def test_a_map_is_asked_about_over_its_floor(field, job):
    floor = FloorMap(8, 4, (0, 0, 0), (8, 0, 0), (0, 4, 0), np.zeros((0, 3, 3)))
    found = sureness(replace(job, kind="map", listener=None, map=floor), field)
    assert found.pairs == 2 * 12
    high = replace(floor, origin=(0.0, 0.0, 50.0))  # where nobody is heard
    assert sureness(replace(job, kind="map", listener=None, map=high), field) is None


def test_many_emitters_are_not_all_asked_about(field, job):
    many = [replace(job.emitters[0], name=f"Talker {k}") for k in range(100)]
    assert sureness(replace(job, emitters=many), field).pairs <= 48


def test_nothing_is_said_where_nothing_is_known(field, job):
    assert sureness(job, replace(field, calibration=None)) is None
    assert sureness(job, Field.scan(scene_of())) is None


def test_errors_that_can_be_heard_ask_for_refining():
    errors = {"T30 %": 2.0, "EDT ms": 10.0, "C50 dB": 0.4, "G dB": 0.3, "EDT %": 2.0}
    assert not Sureness(errors, 4).noticeable
    assert Sureness({**errors, "C50 dB": 1.2}, 4).noticeable
    unsure = Sureness({**errors, "EDT %": 8.0}, 4)
    assert unsure.noticeable
    assert "0.4 dB of C50 and 8 % of EDT" in unsure.words()
    silent = Sureness({**errors, "T30 %": np.nan, "EDT %": np.nan}, 4)
    assert not silent.noticeable
    assert silent.facts()["expected_errors"]["T30 %"] is None


def test_a_bake_tells_how_sure_the_field_is_and_suggests_refining(tmp_path, monkeypatch):
    errors = {"T30 %": 2.0, "EDT ms": 40.0, "C50 dB": 1.5, "G dB": 0.8, "EDT %": 8.0}
    for folder, table, warned in (("sure", dict.fromkeys(errors, 0.1), 0), ("unsure", errors, 1)):
        found = Sureness(table, 9)
        monkeypatch.setattr("naf_core.bake.sureness", lambda job, field, found=found: found)
        (tmp_path / folder).mkdir()
        result, events = kitchen.bake(kitchen.job(tmp_path / folder))
        report = json.loads(Path(result["report"]).read_text(encoding="utf-8"))
        assert report["sureness"]["expected_errors"] == table
        assert report["sureness"]["noticeable"] == bool(warned)
        assert sum("Refine the room" in text for text in kitchen.warnings(events)) == warned
