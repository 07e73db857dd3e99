"""The probe from a script, the worker that answers, and what it leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import pytest

from blender_addon import probe_tool, resident
from blender_addon.probe_tool import ACOUSTICS_OT_probe, words
from tests.blender.fake_answers import HEARD, SOURCE

pytestmark = pytest.mark.usefixtures("scene")


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Lets a stand-in answer in one of its modes."""

    def mode(name: str) -> None:
        command = (str(Path(__file__).with_name("fake_answers.py")), name)
        monkeypatch.setattr(resident.Resident, "COMMAND", command)

    mode("answers")
    yield mode
    resident.end()


def test_a_script_reads_a_point(answering: Callable) -> None:
    bpy.context.scene.unit_settings.scale_length = 0.5
    assert bpy.ops.acoustics.probe("EXEC_DEFAULT", point=(2.0, 4.0, 3.0)) == {"FINISHED"}
    values = ACOUSTICS_OT_probe.values
    assert values["level"] == HEARD["level"]
    assert values["asked"]["point"] == pytest.approx([1.0, 2.0, 1.5])  # metres
    assert values["asked"]["nearest"] is False and "noise" not in values["asked"]
    settings = bpy.context.scene.acoustics
    settings.probe_emitters, settings.map_use_noise, settings.map_noise = "NEAREST", True, 50.0
    bpy.ops.acoustics.probe(point=(0.0, 0.0, 1.0))
    assert ACOUSTICS_OT_probe.values["asked"]["nearest"] is True
    assert ACOUSTICS_OT_probe.values["asked"]["noise"] == 50.0


def test_the_worker_stays_for_the_next_question_and_ends_with_the_file(answering: Callable) -> None:
    bpy.ops.acoustics.probe(point=(0.0, 0.0, 1.0))
    first = resident.Resident.current
    assert first.alive and not first._folders
    bpy.ops.acoustics.probe(point=(0.0, 1.0, 1.0))
    assert resident.Resident.current is first
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert resident.Resident.current is None
    assert first._process.poll() is not None


def test_one_that_has_ended_is_replaced(answering: Callable) -> None:
    bpy.ops.acoustics.probe(point=(0.0, 0.0, 1.0))
    first = resident.Resident.current
    first._process.kill()
    first._process.wait()
    assert bpy.ops.acoustics.probe(point=(0.0, 0.0, 1.0)) == {"FINISHED"}
    assert resident.Resident.current is not first


@pytest.mark.parametrize(("mode", "message"), [("errors", "No sound reaches"), ("dies", "out of answers")])
def test_what_goes_wrong_is_told(answering: Callable, mode: str, message: str, tmp_path: Path) -> None:
    answering(mode)
    with pytest.raises(RuntimeError, match=message):
        bpy.ops.acoustics.probe(point=(0.0, 0.0, 1.0))
    assert not list(Path(bpy.app.tempdir).glob("acoustics-*"))


def test_nothing_of_the_scene_changes(answering: Callable) -> None:
    scene = bpy.context.scene
    before = (scene.frame_current, len(bpy.data.objects), len(bpy.data.images), list(scene.keys()))
    bpy.ops.acoustics.probe(point=(0.0, 0.0, 1.0))
    assert before == (scene.frame_current, len(bpy.data.objects), len(bpy.data.images), list(scene.keys()))


def test_without_speakers_it_cannot_be_used() -> None:
    bpy.data.batch_remove(list(bpy.data.speakers))
    assert not bpy.ops.acoustics.probe.poll()


def test_the_words_of_a_reading() -> None:
    lines = words(HEARD)
    assert lines[0] == "62.3 dB(A)"
    assert "T30 0.52 s" in lines[1] and "C50 3.1 dB" in lines[1]
    assert lines[2] == "STI 0.61 good"
    assert lines[3] == "Talker: 60.0 dB(A), 2.0 m"
    many = words(dict(HEARD, sources=[dict(SOURCE, name=str(k)) for k in range(9)], T30=None))
    assert many[-1] == "and 6 more"
    assert "T30" not in many[1]
    assert words(dict(HEARD, level=None)) == ["Nothing is heard here"]


def test_the_choices_of_the_probe_are_those_of_the_question() -> None:
    scene = bpy.context.scene
    assert probe_tool.question(scene) == {"nearest": False}


def test_the_field_itself_answers() -> None:
    try:
        assert bpy.ops.acoustics.probe(point=(0.0, 0.5, 1.5)) == {"FINISHED"}
        values = ACOUSTICS_OT_probe.values
        assert {entry["name"] for entry in values["sources"]} == {"Talker", "Music"}
        assert 60.0 < values["level"] < 85.0
        assert 0.0 < values["STI"] <= 1.0
        assert values["T30"] > 0.05
    finally:
        resident.end()
