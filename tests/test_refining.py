from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial, partialmethod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from naf_core import bake, worker
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.floormap import FloorMap
from naf_core.job import Job
from naf_core.placement import Placement
from naf_core.refinement import Refinement, pooled
from naf_core.refining import refine
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.states import States
from naf_core.stems import FOLDER, MOST_REFINED, StemStore, refined_scan
from tests.fake_field import boxes

TIMES = np.array([0.0, 0.1])
ROOM = ((0, 0, 0), (3, 2.5, 2.4))
coarse = partial(Field.scan, spacing=1.2, paths=400)


def path(*position: float) -> Trajectory:
    return Trajectory(TIMES, [position, position])


def helpful(field: Field, kept: bool = True) -> Refinement:
    """Stands for refining: says whether it helped, and marks the field."""
    field.scan_ = replace(field.scan_, walking=field.scan_.walking + kept)
    table = {"T30 %": 2.0, "C50 dB": 1.0, "G dB": 1.0}
    return Refinement(table, {name: value / 2 if kept else value * 2 for name, value in table.items()}, 45)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    soundfile.write(tmp_path / "click.wav", np.r_[0.5, np.zeros(799)], 16000)
    emitters = (Emitter("Talker", path(0.5, 0.5, 1.2), str(tmp_path / "click.wav")),)
    ears = Listener("Camera", path(2, 1.5, 1.5))
    room = boxes(ROOM)
    return Job("refine", room, emitters, ears, tmp_path / "out", n_frames=2, sample_rate=16000, format="mono")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Field]:
    """Refining that helps at once; the fields for which it was asked."""
    asked: list[Field] = []
    monkeypatch.setattr(Field, "refine", lambda field, **_: asked.append(field) or helpful(field))
    return asked


def done(work: Job, **options: object) -> dict:
    return refine(work, lambda event: None, **({"scan": coarse} | options))


def baked(work: Job) -> dict:
    """The report of a bake, which may use what is kept."""
    run = bake.run(replace(work, kind="bake"), lambda event: None, scan=coarse)
    return json.loads(Path(run["report"]).read_text(encoding="utf-8"))


def never(*_: object, **__: object) -> Field:
    pytest.fail("what is kept was scanned again")


def kept(work: Job) -> list[str]:
    """The ends of the names of the scans that are kept."""
    return sorted(file.name.split("-")[-1] for file in (work.cache or work.output / FOLDER).glob("*.h5"))


def test_a_refined_room_answers_the_next_bake(job, monkeypatch):
    monkeypatch.setattr(Field, "refine", partialmethod(Field.refine, paths=40_000, rays=3000))
    monkeypatch.setattr("naf_core.refining.process_count", lambda: 1)
    plain = baked(job)
    assert (plain["rendered"], plain["scene"]["refined"], kept(job)) == (["Talker"], False, ["field.h5"])
    assert baked(job)["rendered"] == []
    events: list[dict] = []
    result = refine(job, events.append, scan=coarse)
    assert result["words"].startswith("Refined. Mean errors of")
    assert (result["refined"], result["states"], kept(job)) == (1, 1, ["refined.h5"])
    fractions = [event["fraction"] for event in events]
    assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] > 0.9
    assert {event["message"] for event in events} == {"Scanning the room", "Refining the room"}
    # The same scene is heard through other paths: what was rendered holds no longer.
    after = baked(job)
    assert (after["rendered"], after["scene"]["refined"]) == (["Talker"], True)
    assert after["emitters"][0]["parameters"] != plain["emitters"][0]["parameters"]
    assert baked(job)["rendered"] == []
    assert done(job)["words"] == "The room is refined already, and has not changed since."


def test_where_it_does_not_help_all_stays_as_it_was(job, monkeypatch):
    monkeypatch.setattr(Field, "refine", lambda field, **_: helpful(field, kept=False))
    baked(job)
    result = done(job)
    assert result["words"].startswith("Refining did not help here: the field stays as it was.")
    assert (result["refined"], kept(job)) == (0, ["field.h5"])
    report = baked(job)
    assert (report["rendered"], report["scene"]["refined"]) == ([], False)


def test_a_changed_room_is_not_refined_and_is_again_when_the_change_is_undone(job, quick):
    done(job)
    changed = replace(job, scene=boxes((ROOM[0], (3, 2.5, 2.5))))
    report = baked(changed)
    assert (report["rendered"], report["scene"]["refined"]) == (["Talker"], False)
    assert baked(job)["scene"]["refined"]


def test_a_map_uses_and_keeps_the_refined_scan(job, quick):
    done(job)
    ground = FloorMap(8, 8, (0, 0, 0), (3, 0, 0), (0, 2.5, 0), np.zeros((0, 3, 3)))
    result = bake.run(replace(job, kind="map", map=ground), lambda event: None, scan=never)
    assert json.loads(Path(result["report"]).read_text(encoding="utf-8"))["scene"]["refined"]
    assert kept(job) == ["refined.h5"]


def test_the_stems_of_another_bake_stay_with_a_refinement(job, quick):
    baked(job)
    before = sorted(file.name for file in (job.output / FOLDER).iterdir() if file.suffix != ".h5")
    done(job)
    assert sorted(file.name for file in (job.output / FOLDER).iterdir() if file.suffix != ".h5") == before


def test_each_state_of_a_moving_room_is_refined_once(job, quick):
    other = boxes((ROOM[0], (3.2, 2.5, 2.4)))
    both = replace(job, states=States((job.scene, other), np.array([0.0, 0.05]), np.array([0, 1])))
    done(job)
    result = done(both)
    assert [field.scene.bounds[1][0] for field in quick] == pytest.approx([3.0, 3.2])
    assert result["words"].startswith("2 of 2 states of the room are refined now. Refined. Mean errors of 45")
    assert kept(both) == ["refined.h5"] * 2
    assert baked(both)["scene"]["refined"]


def test_what_is_kept_may_lie_elsewhere(job, quick, tmp_path):
    away = replace(job, cache=tmp_path / "cache")
    done(away)
    assert kept(away) == ["refined.h5"]
    assert not away.output.exists() or not any(away.output.iterdir())
    assert baked(away)["scene"]["refined"]


def test_the_probe_finds_the_refined_scan(job, quick):
    assert refined_scan(job) is None
    done(job)
    assert refined_scan(replace(job, kind="answers")) == next((job.output / FOLDER).glob("*.h5"))
    assert refined_scan(replace(job, seed=3)) is None


def test_a_cancelled_refinement_leaves_what_was_kept(job, monkeypatch):
    def cancel(field: Field, **_: object) -> None:
        raise SystemExit(143)

    baked(job)
    before = sorted(file.name for file in (job.output / FOLDER).iterdir())
    monkeypatch.setattr(Field, "refine", cancel)
    with pytest.raises(SystemExit):
        done(job)
    assert sorted(file.name for file in (job.output / FOLDER).iterdir()) == before
    assert not list(job.output.glob(".part-*"))


def test_a_damaged_refined_scan_is_not_used(job, quick):
    done(job)
    (file,) = (job.output / FOLDER).glob("*.h5")
    file.write_bytes(file.read_bytes()[:5000])
    assert not baked(job)["scene"]["refined"]
    assert kept(job) == ["field.h5"]


def test_a_full_disk_is_told(job, quick, monkeypatch):
    def full(field: Field, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Field, "save", full)
    with pytest.raises(UserError, match="No space left on device"):
        done(job)
    assert not job.output.exists()


def test_old_refined_scans_do_not_pile_up(job, tmp_path):
    old, part = job.output / FOLDER, tmp_path / "part"
    old.mkdir(parents=True)
    part.mkdir()
    for number in range(MOST_REFINED + 5):
        (old / f"{number}-refined.h5").write_bytes(b"")
    StemStore(job, part)
    assert len(list((part / FOLDER).glob("*.h5"))) == MOST_REFINED


def test_recorded_rooms_are_not_refined(job, tmp_path):
    with pytest.raises(UserError, match="recorded room"):
        done(replace(job, recorded=Placement(tmp_path / "room.h5")))


def test_several_refinements_count_by_their_pairs():
    a, b = (Refinement({"G dB": value}, {"G dB": value / 2}, pairs) for value, pairs in ((1.0, 10), (4.0, 20)))
    assert pooled([a, b]) == Refinement({"G dB": 3.0}, {"G dB": 1.5}, 30)


def test_the_worker_refines_what_asks_for_it(job, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("naf_core.refining.refine", lambda work, emit, scan: {"words": work.kind})
    monkeypatch.setattr("naf_core.process.signal", SimpleNamespace(SIGTERM=1, SIGINT=2, signal=lambda *_: None))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # so that it comes back
    job.save(tmp_path / "job")
    assert worker.worker(tmp_path / "job") == 0
    assert json.loads(capsys.readouterr().out)["result"] == {"words": "refine"}
