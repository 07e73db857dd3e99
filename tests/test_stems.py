from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from naf_core.floormap import FloorMap
from naf_core.job import Job
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.stemfile import StemWriter
from naf_core.stems import FOLDER, StemStore, digest
from tests.fake_field import boxes

TIMES = np.array([0.0, 0.5])


def path(*position: float) -> Trajectory:
    return Trajectory(TIMES, [position, position])


@pytest.fixture
def job(tmp_path: Path) -> Job:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 48000)
    soundfile.write(tmp_path / "b.wav", np.ones(100) * 0.1, 48000)
    emitters = [Emitter(name, path(x, 1, 1), str(tmp_path / f"{name}.wav")) for x, name in enumerate("ab")]
    (tmp_path / "out").mkdir()
    room = boxes(((-1, -1, 0), (4, 4, 3)))
    return Job("bake", room, emitters, Listener("ears", path(2, 2, 1.5)), tmp_path / "out", n_frames=24)


def bake(job: Job, value: float) -> list[str]:
    """One bake in which each stem is ``value``; returns who was rendered anew."""
    part = job.output / ".part"
    part.mkdir()
    store, rendered = StemStore(job, part), []
    for emitter in job.emitters:
        if store.stem(emitter.name) is None:
            with StemWriter(store.place(emitter.name), 3, 2) as writer:
                writer.add(np.full((8, 3, 2), value))
            rendered.append(emitter.name)
    store.settle()
    old = job.output / FOLDER
    for file in old.iterdir() if old.exists() else ():
        file.unlink()
    if old.exists():
        old.rmdir()
    (part / FOLDER).rename(old)
    part.rmdir()
    return rendered


def test_a_second_bake_renders_nothing(job):
    assert bake(job, 1.0) == ["a", "b"]
    assert bake(job, 2.0) == []
    assert bake(job, 3.0) == []  # what is kept is handed on


def moved(job: Job) -> Job:
    first, second = job.emitters
    return replace(job, emitters=(replace(first, trajectory=path(0.1, 1, 1)), second))


def test_only_the_emitter_that_moved_is_rendered(job):
    bake(job, 1.0)
    assert bake(moved(job), 2.0) == ["a"]


@pytest.mark.parametrize(
    "change",
    [
        lambda job: replace(job, sample_rate=44100),
        lambda job: replace(job, format="stereo"),
        lambda job: replace(job, seed=7),
        lambda job: replace(job, quality="draft"),
        lambda job: replace(job, reflections=0),
        lambda job: replace(job, listener=Listener("ears", path(2, 2, 1.6))),
        lambda job: replace(job, scene=boxes(((-1, -1, 0), (4, 4, 3.01)))),
    ],
)
def test_what_all_stems_depend_on_renders_all(job, change):
    bake(job, 1.0)
    assert bake(change(job), 2.0) == ["a", "b"]


@pytest.mark.parametrize(
    "change",
    [
        lambda job: replace(job, loudness=-23.0),
        lambda job: replace(job, reverb_gain=3.0),
        lambda job: replace(job, file_type="flac"),
        lambda job: replace(job, map=FloorMap(8, 8, (0, 0, 0), (1, 0, 0), (0, 1, 0), np.zeros((0, 3, 3)))),
    ],
)
def test_what_is_done_to_stems_later_renders_none(job, change):
    bake(job, 1.0)
    assert bake(change(job), 2.0) == []


def test_another_sound_under_the_same_name(job):
    bake(job, 1.0)
    soundfile.write(job.emitters[1].sound, np.ones(100) * 0.2, 48000)
    assert bake(job, 2.0) == ["b"]


def test_kept_emitters_stay_whatever_changed(job):
    bake(job, 1.0)
    assert bake(replace(moved(job), kept=("a",)), 2.0) == []


def test_kept_emitters_of_other_settings_are_rendered(job, tmp_path):
    bake(job, 1.0)
    other = replace(job, sample_rate=44100, kept=("a",))
    (tmp_path / "part").mkdir()
    assert StemStore(other, tmp_path / "part").fresh == ["a"]


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b"not numpy at all"])
def test_damaged_files_are_rendered_anew(job, damage):
    bake(job, 1.0)
    for file in (job.output / FOLDER).glob("*.npy"):
        file.write_bytes(damage)
    assert bake(job, 2.0) == ["a", "b"]


@pytest.mark.parametrize("text", ["", "[]", '{"form": 3, "stems": 4}', '{"stems": {"a": "../../x"}}'])
def test_a_damaged_index_keeps_nothing(job, tmp_path, text):
    bake(job, 1.0)
    (job.output / FOLDER / "index.json").write_text(text)
    (tmp_path / "part").mkdir()
    assert StemStore(replace(job, kept=("a",)), tmp_path / "part").fresh == ["a"]


def test_stems_of_emitters_that_are_gone_are_not_handed_on(job):
    bake(job, 1.0)
    bake(replace(job, emitters=job.emitters[:1]), 1.0)
    assert len(list((job.output / FOLDER).glob("*.npy"))) == 1


def test_digests_tell_arrays_from_their_shapes_and_types():
    values = [np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.float32), np.zeros(8, np.float32), (1, 2), (12,), ("1", 2)]
    assert len({digest(value) for value in values}) == len(values)


def test_a_map_keeps_the_stems_of_the_bake_before(job, tmp_path):
    bake(job, 1.0)
    ground = FloorMap(8, 8, (0, 0, 0), (1, 0, 0), (0, 1, 0), np.zeros((0, 3, 3)))
    part = tmp_path / "part"
    part.mkdir()
    StemStore(replace(job, kind="map", map=ground), part)
    names = sorted(file.name for file in (job.output / FOLDER).iterdir())
    assert sorted(file.name for file in (part / FOLDER).iterdir()) == names


def test_what_is_too_much_is_let_go(job, monkeypatch):
    monkeypatch.setattr("naf_core.stems.MOST_BYTES", 400)
    bake(job, 1.0)
    assert bake(job, 2.0) == ["b"]


def test_what_is_kept_may_lie_elsewhere(job, tmp_path):
    bake(job, 1.0)
    elsewhere = tmp_path / "cache"
    (job.output / FOLDER).rename(elsewhere)
    (tmp_path / "part").mkdir()
    assert StemStore(job, tmp_path / "part").stem("a") is None
    (tmp_path / "other").mkdir()
    assert StemStore(replace(job, cache=elsewhere), tmp_path / "other").stem("a") is not None
