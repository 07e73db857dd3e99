"""What a bake warns of, what it refuses, and what it leaves behind then: nothing."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile

from naf_core.bake import run
from naf_core.errors import UserError
from naf_core.scene import Emitter, Listener, Trajectory
from tests.fake_field import DiffuseField, boxes
from tests.kitchen import ROOM, bake, job, sound, still, warnings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gain": 0.0}, "“Talker” is muted"),
        ({"starts": (99.0,)}, "“Talker” does not sound"),
        ({"starts": (-99.0,)}, "“Talker” does not sound"),
        ({"starts": ()}, "“Talker” does not sound"),
    ],
)
def test_emitters_that_will_not_be_heard_are_named(tmp_path, changes, message):
    noise = sound(tmp_path / "noise.wav")
    work = job(tmp_path, emitters=(Emitter("Talker", still(1, 1, 1.5), noise, **changes),))
    assert any(message in text for text in warnings(bake(work)[1]))


def test_a_silent_file_is_named(tmp_path):
    quiet = Emitter("Talker", still(1, 1, 1.5), sound(tmp_path / "silence.wav", silent=True))
    result, events = bake(job(tmp_path, emitters=(quiet,)))
    assert any("sound of “Talker” is silent" in text for text in warnings(events))
    assert not np.any(soundfile.read(result["mix"])[0])


def test_the_free_field_is_said_to_be_one(tmp_path):
    _, events = bake(job(tmp_path, scene=boxes()))
    assert "free field" in warnings(events)[0]


def test_who_stands_outside_or_inside_something_is_named(tmp_path):
    noise = sound(tmp_path / "noise.wav")
    path = np.linspace((3, 2, 1.6), (20, 2, 1.6), 12)
    work = job(
        tmp_path,
        scene=boxes(ROOM, ((9.9, 9.9, 0.9), (10.1, 10.1, 1.1))),
        emitters=(
            Emitter("Boxed", still(10, 10, 1), noise),
            Emitter("Gone", still(-1, 1, 1), noise),
        ),
        listener=Listener("Camera", Trajectory(np.arange(12) / 24.0, path)),
        frame_start=101,
    )

    class Walled(DiffuseField):
        def covers(self, points):
            return ((points > 0) & (points < (6, 5, 3))).all(axis=1)

    events: list[dict] = []
    run(work, events.append, scan=Walled.scan)
    told = {event["object"]: event["message"] for event in events if event["event"] == "warning"}
    assert "“Boxed” is inside an object" in told["Boxed"]
    assert "“Gone” is outside the rooms" in told["Gone"]
    assert "“Camera” is outside the rooms at frame 103" in told["Camera"]  # 3 + 2 * 17 / 11 is beyond 6 m


def test_an_open_scene_is_said_to_be_open(tmp_path):
    class Open(DiffuseField):
        def __init__(self, scene):
            super().__init__(scene)
            self.escape = 0.4

    events: list[dict] = []
    run(job(tmp_path, map=None), events.append, scan=Open.scan)
    assert "40 % of the sound gets out" in warnings(events)[0]


def test_a_missing_sound_is_named_before_anything_slow_is_done(tmp_path):
    work = job(tmp_path, emitters=(Emitter("Talker", still(1, 1, 1.5), str(tmp_path / "gone.wav")),))

    def scan(*_: object, **__: object) -> None:
        raise AssertionError("the scan has started")

    with pytest.raises(UserError, match=r"gone\.wav") as caught:
        run(work, lambda event: None, scan=scan)
    assert caught.value.object_name == "Talker"
    assert not work.output.exists()


@pytest.mark.parametrize("stage", ["scan", "field", "map", "render", "write"])
def test_an_interrupted_job_leaves_nothing_behind(tmp_path, stage):
    work = job(tmp_path)
    work.output.mkdir()
    (work.output / "mix.wav").write_text("from an earlier bake")

    def stop(event: dict) -> None:
        if event.get("stage") == stage:
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        run(work, stop, scan=DiffuseField.scan)
    assert [path.name for path in work.output.iterdir()] == ["mix.wav"]
    assert (work.output / "mix.wav").read_text() == "from an earlier bake"


def test_a_folder_without_permission_is_named(tmp_path, sealed):
    with pytest.raises(UserError, match=r"(permitted|Permission denied|Read-only).*choose another output folder"):
        bake(job(tmp_path, output=sealed / "out"))


def test_an_output_folder_that_is_a_file_is_named(tmp_path):
    work = job(tmp_path)
    work.output.write_text("a file")
    with pytest.raises(UserError, match="choose another output folder"):
        bake(work)
    assert work.output.read_text() == "a file"


@pytest.mark.parametrize(("spacing", "words"), [(99.0, None), (0.1, "places in the rooms")])
def test_a_grid_of_too_many_places_is_refused(tmp_path, spacing, words):
    work = job(tmp_path, map=None, impulse_spacing=spacing, scene=boxes(((0, 0, 0), (60, 50, 3))), reflections=0)
    if words is None:
        assert len(bake(work)[0]["impulse_responses"]) == 2
    else:
        with pytest.raises(UserError, match=words):
            bake(work)
        assert not work.output.exists()


@pytest.mark.skipif(os.name != "posix", reason="there are no limits on files elsewhere")
@pytest.mark.parametrize("limit", [20_000, 90_000])
def test_a_full_disk_leaves_what_was_there(tmp_path, limit):
    """A limit on the size of files stands in for the disk: stems, then tracks do not fit."""
    import resource

    work = job(tmp_path, map=None, format="mono", sample_type="float")
    work.output.mkdir()
    (work.output / "mix.wav").write_text("from an earlier bake")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(UserError, match="make room on the disk"):
            bake(work)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in work.output.iterdir()] == ["mix.wav"]
    assert (work.output / "mix.wav").read_text() == "from an earlier bake"


def test_a_sound_that_vanishes_while_it_is_baked_is_named(tmp_path):
    work = job(tmp_path, map=None)

    def remove(event: dict) -> None:
        if event.get("stage") == "render":
            (tmp_path / "noise.wav").unlink(missing_ok=True)

    with pytest.raises(UserError, match=r"noise\.wav is missing") as caught:
        run(work, remove, scan=DiffuseField.scan)
    assert caught.value.object_name == "Talker" and not work.output.exists()
