"""A recorded room that stands in a scene: where it answers, what it says, and a bake of it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from naf_core import answers
from naf_core.answers import Answers
from naf_core.bake import run
from naf_core.errors import UserError
from naf_core.fields import Fields
from naf_core.floormap import FloorMap
from naf_core.job import Job
from naf_core.placed import PlacedField, RecordedFirstSound, outside
from naf_core.placement import Placement
from naf_core.recorded import RecordedField
from naf_core.recordings.ours import RecordingsField
from naf_core.recordings.recordingset import RecordingSet
from naf_core.scene import Emitter, Listener, Trajectory
from tests.fake_field import boxes

RATE = 16_000
QUARTER = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
ROOM = ((0, 0, 0), (6, 5, 3))


@cache
def recorded() -> RecordedField:
    """What is learned of a room of 4 x 4 m at the origin of its recordings."""
    rng = np.random.default_rng(0)
    emitters, listeners = (rng.uniform([0.5, 0.5, 1.5], [3.5, 3.5, 1.6], (12, 3)) for _ in range(2))
    time = np.arange(round(0.4 * RATE)) / RATE
    responses = (0.02 * rng.standard_normal((12, 1, len(time))) * 10.0 ** (-3.0 * time / 0.3)).astype(np.float32)
    distance = np.linalg.norm(emitters - listeners, axis=1)
    first = np.round(distance / 343.2 * RATE).astype(int)
    responses *= np.arange(len(time)) > first[:, None, None]
    responses[np.arange(12), 0, first] = 1.0 / distance
    method = RecordingsField()
    method.fit(RecordingSet("room", "simulated", RATE, responses, emitters, listeners))
    return method.field


def still(*position: float, frames: int = 6) -> Trajectory:
    return Trajectory(np.arange(frames) / 24.0, np.tile(position, (frames, 1)))


def job(folder: Path, **changes: object) -> Job:
    recorded().save(folder / "room.field")
    soundfile.write(folder / "noise.wav", np.random.default_rng(1).normal(scale=0.1, size=RATE // 4), RATE)
    values = {
        "kind": "bake",
        "scene": boxes(ROOM),
        "emitters": (Emitter("Talker", still(1.5, 1.5, 1.5), str(folder / "noise.wav")),),
        "listener": Listener("Camera", still(3.0, 3.0, 1.6)),
        "output": folder / "out",
        "n_frames": 6,
        "sample_rate": RATE,
        "map": FloorMap(16, 12, (0, 0, 0), (6, 0, 0), (0, 5, 0), np.zeros((0, 3, 3))),
        "recorded": Placement(folder / "room.field", (0.5, 0.5, 0.0)),
    }
    return Job(**(values | changes))


def test_a_placed_room_answers_where_it_stands(tmp_path: Path) -> None:
    place = Placement(tmp_path / "room.field", (10.0, -3.0, 0.5), QUARTER)
    field = PlacedField(boxes(ROOM), recorded(), place)
    here, there = np.array([[1.0, 2.0, 1.5]]), np.array([[3.0, 1.0, 1.5]])
    moved = [points @ QUARTER.T + place.origin for points in (here, there)]
    found, wanted = field.predict(*moved), recorded().predict(here, there)
    np.testing.assert_allclose(found.energy[..., 0], wanted.energy[..., 0], rtol=1e-4)
    np.testing.assert_allclose(found.direct_direction, wanted.direct_direction @ QUARTER.T, atol=1e-5)
    assert field.covers(moved[0]).all() and not field.covers(here).any()
    assert not len(field.scene.triangles) and field.caster.intersect(moved[0] * 0.0 + [3.0, 2.0, 1.0], QUARTER[:1])


def test_the_first_sound_is_the_recorded_one(tmp_path: Path) -> None:
    field = PlacedField(boxes(ROOM), recorded(), Placement(tmp_path / "room.field"))
    first = RecordedFirstSound(field)
    ends = np.array([[1.0, 2.0, 1.5]]), np.array([[3.0, 1.0, 1.5]])
    response = field.predict(*ends)
    same, places, departures = first.put_into(response, *ends)
    assert same is response
    np.testing.assert_array_equal(places, ends[0])
    np.testing.assert_allclose(departures, (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0]), atol=1e-5)
    np.testing.assert_allclose(first.energy(*ends), response.direct)
    # At 2.2 m, the free field in octaves that this sample rate has; the recordings are of a unit impulse at 1 m.
    np.testing.assert_allclose(10.0 * np.log10(response.direct[0, 3:6] * 5.0), 0.0, atol=1.5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"file": "room.field"}, "absolute"),
        ({"origin": (np.nan, 0.0, 0.0)}, "stands nowhere"),
        ({"axes": 2.0 * np.eye(3)}, "scaled"),
        ({"axes": np.diag([1.0, 1.0, -1.0])}, "mirrored"),
        ({"axes": np.full((3, 3), np.nan)}, "scaled"),
    ],
)
def test_impossible_placements_are_refused(values: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Placement(**({"file": "/room.field"} | values))


def test_a_job_keeps_its_recorded_room(tmp_path: Path) -> None:
    work = job(tmp_path, recorded=Placement(tmp_path / "room.field", (1.0, 2.0, 3.0), QUARTER))
    work.save(tmp_path / "job")
    assert Job.load(tmp_path / "job").recorded == work.recorded
    replace(work, recorded=None).save(tmp_path / "job")
    assert Job.load(tmp_path / "job").recorded is None
    with pytest.raises(UserError, match="origin of 3 numbers"):
        Placement.read(Fields({"file": "/x", "origin": [1.0], "axes": [0.0] * 9}, "a job"))


def refuse(*given: object, **named: object) -> None:
    raise AssertionError("a recorded room needs no scan")


def test_a_probed_point_hears_the_recorded_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = job(tmp_path)
    monkeypatch.setattr(answers.Field, "scan", refuse)
    found = Answers(work)
    point = np.array([3.0, 3.0, 1.6])
    heard, pictured = found.hear(point), found.view("Talker", point, tmp_path / "response.png")
    source = found.sources[0]
    told = PlacedField.load(work.scene, work.recorded).predict(source.position[None], point[None])
    assert heard["level"] == pytest.approx(10.0 * np.log10(told.total[0] @ source.energy), abs=0.02)
    assert pictured["T30_s"][4] == pytest.approx(told.parameters()["T30_s"][0, 4], rel=0.01)
    moved = replace(work, recorded=Placement(tmp_path / "room.field", (1.5, 1.5, 0.0)))
    assert Answers(moved, found).field is not found.field


def test_a_bake_and_a_map_take_the_recorded_room(tmp_path: Path) -> None:
    events: list[dict] = []
    work = job(tmp_path)
    result = run(work, events.append, scan=refuse)
    report = json.loads(Path(result["report"]).read_text())
    assert report["scene"]["recorded_room"] and report["scene"]["probes"] == 0
    samples, _ = soundfile.read(result["stems"][0]["file"])
    assert np.abs(samples).max() > 0.0 and Path(result["map"]["image"]).is_file()
    messages = [event["message"] for event in events if event["event"] == "warning"]
    assert len(messages) == 1 and "of the map lie within the recorded area" in messages[0]


def test_whoever_stands_outside_is_named(tmp_path: Path) -> None:
    path = Trajectory(np.arange(6) / 24.0, np.linspace([1.5, 1.5, 1.5], [20.0, 1.5, 1.5], 6))
    walker = Emitter("Walker", path, str(tmp_path / "noise.wav"))
    work = job(tmp_path, emitters=(walker,), listener=Listener("Camera", still(-9.0, 3.0, 1.6)), map=None)
    said = list(outside(work, PlacedField.load(work.scene, work.recorded)))
    assert [name for _, name in said] == ["Walker", "Camera"]
    assert "at frame" in said[0][0] and "at frame" not in said[1][0]


def test_a_file_that_is_no_recorded_room_is_said(tmp_path: Path) -> None:
    work = job(tmp_path)
    (tmp_path / "room.field").write_bytes(b"no field")
    with pytest.raises(UserError, match="cannot be read as a recorded field"):
        run(work, lambda event: None, scan=refuse)


def test_another_recorded_room_is_baked_anew(tmp_path: Path) -> None:
    work = job(tmp_path, map=None)
    assert run(work, lambda event: None, scan=refuse)["stems"]
    again = json.loads(Path(run(work, lambda event: None, scan=refuse)["report"]).read_text())
    assert again["rendered"] == []
    moved = replace(work, recorded=replace(work.recorded, origin=(1.0, 0.5, 0.0)))
    anew = json.loads(Path(run(moved, lambda event: None, scan=refuse)["report"]).read_text())
    assert anew["rendered"] == ["Talker"]
