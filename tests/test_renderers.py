"""Processes that render side by side: to the same samples, and with the same errors, as one by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from naf_core.bake import run
from naf_core.directivity import Cone
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.job import Job
from naf_core.placement import Placement
from naf_core.renderers import Renderers
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.stems import FOLDER
from tests.fake_field import DiffuseField
from tests.kitchen import job, sound
from tests.test_placed import recorded

_ROUNDING = 3.0 * 2.0**-23  # linear algebra adds up in another order in one thread than in two


@pytest.fixture(scope="module")
def two() -> Iterator[Renderers]:
    with Renderers(2) as renderers:
        yield renderers


def walk(folder: Path, **changes: object) -> Job:
    """A listener who walks past a speaker with a cone and one without."""
    folder.mkdir(exist_ok=True)
    times = np.arange(48) / 24.0
    path = np.stack([1.0 + 2.0 * times, 2.0 + 0.5 * times, np.full(48, 1.6)], axis=1)
    noise, here = sound(folder / "noise.wav", 2.0), np.tile([1.0, 1.0, 1.5], (48, 1))
    emitters = (
        Emitter("Talker", Trajectory(times, here), noise, cone=Cone(1.0, 2.0, 0.1)),
        Emitter("Music", Trajectory(times, here + [4.0, 2.5, 0.0]), noise),
    )
    values = {
        "emitters": emitters,
        "listener": Listener("Camera", Trajectory(times, path)),
        "n_frames": 48,
        "map": None,
    }
    return job(folder, **(values | changes))


def samples(result: dict) -> list[np.ndarray]:
    return [soundfile.read(file)[0] for file in (result["mix"], *(stem["file"] for stem in result["stems"]))]


@pytest.mark.parametrize("fmt", ["binaural", "5.1"])
def test_the_samples_are_the_same_as_those_of_one_process(tmp_path: Path, two: Renderers, fmt: str) -> None:
    alone = samples(run(walk(tmp_path / "one", format=fmt), lambda event: None, DiffuseField.scan))
    events: list[dict] = []
    shared = samples(run(walk(tmp_path / "two", format=fmt), events.append, DiffuseField.scan, two))
    for one, other in zip(alone, shared, strict=True):
        assert np.abs(one).max() > 1e-4
        np.testing.assert_allclose(other, one, rtol=0.0, atol=_ROUNDING)
    fractions = [event["fraction"] for event in events if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert not list((tmp_path / "two" / "out" / FOLDER).glob("*.part"))


def test_a_scanned_field_goes_to_the_processes(tmp_path: Path, two: Renderers) -> None:
    def scan(scene, **options):
        return Field.scan(scene, seed=0, paths=2000, spacing=2.0)

    alone, shared = (
        samples(run(walk(tmp_path / name, sample_rate=16000), lambda event: None, scan, who))
        for name, who in (("one", None), ("two", two))
    )
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_allclose(other, one, rtol=0.0, atol=_ROUNDING)


def test_a_recorded_room_goes_to_the_processes(tmp_path: Path, two: Renderers) -> None:
    def scan(scene, **options):
        raise AssertionError("a recorded room needs no scan")

    work = walk(tmp_path / "room", recorded=Placement(tmp_path / "room" / "room.field", (0.5, 0.5, 0.0)))
    recorded().save(tmp_path / "room" / "room.field")
    alone, shared = (
        samples(run(replace(work, output=tmp_path / name), lambda event: None, scan, who))
        for name, who in (("one", None), ("two", two))
    )
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_allclose(other, one, rtol=0.0, atol=_ROUNDING)


def test_what_is_kept_is_not_rendered_anew(tmp_path: Path, two: Renderers) -> None:
    work = walk(tmp_path / "kept")
    run(work, lambda event: None, DiffuseField.scan, two)
    first, second = work.emitters
    moved = replace(work, emitters=(first, replace(second, gain=0.5 * second.gain)))
    events: list[dict] = []
    run(moved, events.append, DiffuseField.scan, two)
    assert (work.output / "report.json").read_text().count('"rendered"') == 1
    assert '"rendered": [\n  "Music"\n ]' in (work.output / "report.json").read_text()


def test_an_error_in_a_process_names_the_object(tmp_path: Path, two: Renderers) -> None:
    work = walk(tmp_path / "gone")

    def scan(scene, **options):
        (tmp_path / "gone" / "noise.wav").unlink()
        return DiffuseField.scan(scene)

    with pytest.raises(UserError, match="is missing") as caught:
        run(work, lambda event: None, scan, two)
    assert caught.value.object_name in ("Talker", "Music")
    assert not work.output.exists()


def test_after_an_error_they_render_again(tmp_path: Path, two: Renderers) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(walk(tmp_path / "first"), cancel_at("render"), DiffuseField.scan, two)
    assert not (tmp_path / "first" / "out").exists()
    assert samples(run(walk(tmp_path / "second"), lambda event: None, DiffuseField.scan, two))


def cancel_at(stage: str):
    def emit(event: dict) -> None:
        if event.get("stage") == stage:
            raise KeyboardInterrupt

    return emit


def test_to_cancel_ends_them_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Renderers(2) as renderers:
        processes = [member.process for member in renderers._members]
        run(walk(tmp_path / "cancelled"), cancel_at("render"), DiffuseField.scan, renderers)
    assert not any(process.is_alive() for process in processes)
    assert time.monotonic() - started < 60.0
    assert not (tmp_path / "cancelled" / "out").exists()


def test_one_that_dies_is_an_error_and_no_endless_wait(tmp_path: Path) -> None:
    with Renderers(2) as renderers:

        def kill(event: dict) -> None:
            if event.get("stage") == "field":
                renderers._members[0].process.kill()

        with pytest.raises(UserError, match="fewer threads"):
            run(walk(tmp_path / "killed"), kill, DiffuseField.scan, renderers)
    assert not (tmp_path / "killed" / "out").exists()


def test_they_keep_to_one_thread_each_and_leave_this_process_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with Renderers(2):
        assert os.environ["OMP_NUM_THREADS"] == "7"
        assert "OPENBLAS_NUM_THREADS" not in os.environ
