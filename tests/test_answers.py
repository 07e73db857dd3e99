"""Answers agree with what a bake and a map say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from naf_core import answers
from naf_core.answers import Answers, same_scene
from naf_core.directivity import Cone
from naf_core.errors import UserError
from naf_core.firstsound import FirstSound
from naf_core.floormap import FloorMap
from naf_core.job import Job
from naf_core.scene import Emitter, Scene, Trajectory
from naf_core.survey import Survey
from tests.fake_field import DiffuseField, boxes

ROOM = boxes(((0, 0, 0), (8, 6, 3)), ((4, 0, 0), (4.2, 4, 3)))


@pytest.fixture(autouse=True)
def _field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "Field", DiffuseField)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000), 48000)

    def at(name: str, *place: float, **more: object) -> Emitter:
        return Emitter(name, Trajectory([0.0], [place]), str(path), **more)

    emitters = (at("Near", 1.0, 1.0, 1.5), at("Far", 7.0, 5.0, 1.5, level=80.0, cone=Cone(90.0, 90.0, 0.2)))
    return Job("answers", ROOM, emitters, None, tmp_path)


def test_a_point_hears_what_the_map_shows_there(job: Job) -> None:
    found = Answers(job)
    for quantity, key in (("level", "level"), ("C50", "C50"), ("STI", "STI"), ("T30", "T30")):
        ground = FloorMap(32, 24, (0, 0, 0), (8, 0, 0), (0, 6, 0), np.zeros((0, 3, 3)), quantity=quantity)
        survey = Survey(found.field, ROOM, ground)
        values = survey.at(found.sources).values
        for row, column in ((3, 3), (20, 28), (4, 26), (10, 8)):
            ear = ground.centres()[row, column] + (0, 0, 1.6)
            assert found.hear(ear)[key] == pytest.approx(values[row, column], abs=0.3), (quantity, row, column)


def test_behind_a_corner_it_is_the_level_of_a_bake(job: Job) -> None:
    found = Answers(job)
    near, point = found.sources[0], np.array([7.0, 1.0, 1.6])
    pair = near.position[None], point[None]
    response = FirstSound(ROOM, found.field.caster).put_into(found.field.predict(*pair), *pair)[0]
    told = {entry["name"]: entry for entry in found.hear(point)["sources"]}["Near"]
    assert told["hidden"]
    assert told["level"] == pytest.approx(10 * np.log10(response.total[0] @ near.energy), abs=0.02)


def test_all_of_them_or_the_nearest_alone(job: Job) -> None:
    found = Answers(job)
    point = np.array([1.5, 1.5, 1.5])
    every, one = found.hear(point), found.hear(point, nearest=True)
    assert [entry["name"] for entry in one["sources"]] == ["Near"]
    assert {entry["name"] for entry in every["sources"]} == {"Near", "Far"}
    assert every["level"] > one["level"]
    assert found.hear(point, noise=80.0)["STI"] < every["STI"]


def test_the_scan_is_kept_while_the_scene_is_the_same(job: Job, tmp_path: Path) -> None:
    first = Answers(job)
    moved = Job("answers", ROOM, job.emitters[:1], None, tmp_path)
    assert Answers(moved, first).field is first.field
    other = Scene(ROOM.vertices * 1.1, ROOM.triangles, ROOM.material_index, ROOM.materials)
    assert not same_scene(ROOM, other)
    assert Answers(replace(moved, quality="draft"), first).field is not first.field
    assert Answers(Job("answers", other, job.emitters, None, tmp_path), first).field is not first.field


def test_lines_are_told_with_their_corners(job: Job) -> None:
    found = Answers(job)
    lines = found.lines("Near", np.array([2.0, 4.0, 1.5]), 1)
    assert lines[0]["order"] == 0
    np.testing.assert_allclose(lines[0]["points"], [(1, 1, 1.5), (2, 4, 1.5)], atol=1e-3)
    with pytest.raises(UserError, match="no Speaker"):
        found.lines("Nobody", np.zeros(3), 1)


def test_where_nothing_sounds_nothing_is_known(job: Job, tmp_path: Path) -> None:
    silent = Emitter("Silent", Trajectory([0.0], [(1, 1, 1)]), job.emitters[0].sound, gain=0.0)
    found = Answers(Job("answers", ROOM, (silent,), None, tmp_path))
    assert found.hear(np.ones(3)) == dict.fromkeys(("level", "T30", "C50", "D50", "STI", "loudest")) | {"sources": []}


def test_a_view_has_a_picture_and_numbers_by_band(job: Job, tmp_path: Path) -> None:
    found = Answers(job)
    told = found.view("Near", np.array([3.0, 5.0, 1.5]), tmp_path / "view.png")
    assert (tmp_path / "view.png").stat().st_size > 10_000
    assert len(told["bands_hz"]) == 8
    assert told["T30_s"] == pytest.approx([0.5] * 8, abs=0.02)
    assert all(len(told[key]) == 8 for key in ("EDT_s", "C50_dB", "G_dB"))
    told = found.view("Far", np.array([3.0, 5.0, 1.5]), tmp_path / "far.png")  # with a cone
    assert told["distance_m"] == pytest.approx(4.0)


def test_a_refined_scan_answers_as_soon_as_it_is_there(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Answers(job)
    refined = DiffuseField(ROOM, level_db=-20.0)
    monkeypatch.setattr(answers, "refined_scan", lambda work: work.output / "scan-refined.h5")
    monkeypatch.setattr(answers, "read_scan", lambda path: refined)
    after = Answers(job, before)
    assert after.field is refined and Answers(job, after).field is refined
    monkeypatch.setattr(answers, "refined_scan", lambda work: None)
    assert Answers(job, after).field is not refined
