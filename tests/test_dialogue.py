"""Questions and answers over pipes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from naf_core import answers
from naf_core.dialogue import Dialogue, converse
from naf_core.job import Job
from naf_core.scene import Emitter, Trajectory
from tests.fake_field import DiffuseField, boxes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job in a folder: one emitter in a box."""
    soundfile.write(tmp_path / "tone.wav", 0.1 * np.sin(np.arange(9600)), 48000)
    emitter = Emitter("Talker", Trajectory([0.0], [(1, 1, 1.5)]), str(tmp_path / "tone.wav"))
    Job("answers", boxes(((0, 0, 0), (5, 4, 3))), (emitter,), None, tmp_path).save(tmp_path / "job")
    return tmp_path / "job"


def ask(number: int, what: str, **more: object) -> str:
    return json.dumps({"id": number, "ask": what, **more})


def test_each_question_gets_its_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "Field", DiffuseField)
    said: list[dict] = []
    lines = [
        ask(1, "open", folder=str(folder)),
        ask(2, "hear", point=[2, 2, 1.5], nearest=False),
        ask(3, "lines", emitter="Talker", point=[2, 2, 1.5], order=1),
    ]
    assert converse(lines, said.append) == 0
    told = {event["id"]: event["values"] for event in said if event["event"] == "answer"}
    assert any(event["event"] == "progress" for event in said)
    assert told[1] == {"emitters": ["Talker"]}
    assert 55 < told[2]["level"] < 75
    assert len(told[3]["lines"]) == 7
    json.dumps(said, allow_nan=False)


@pytest.mark.parametrize(
    ("line", "number", "words"),
    [
        ("not json", None, "not JSON"),
        ("[]", None, "JSON object"),
        (ask(4, "hear", point=[0, 0, 0], nearest=True), 4, "No scene"),
        (ask(5, "open", folder="/nowhere/at/all"), 5, "cannot be read"),
        ("x" * 200_000, None, "too long"),
    ],
)
def test_what_cannot_be_answered_is_said(line: str, number: int | None, words: str) -> None:
    said: list[dict] = []
    Dialogue(said.append).take(line)
    (event,) = said
    assert event["id"] == number
    assert words in event["values"]["error"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (ask(2, "hear", point=[0, 0], nearest=True), "three coordinates"),
        (ask(2, "hear", point=["a", 0, 0], nearest=True), "list"),
        (ask(2, "sing", point=[0, 0, 0]), "no question"),
        (ask(2, "lines", emitter="Nobody", point=[0, 0, 0], order=1), "no Speaker"),
    ],
)
def test_a_wrong_question_does_not_end_the_dialogue(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, words: str
) -> None:
    monkeypatch.setattr(answers, "Field", DiffuseField)
    said: list[dict] = []
    dialogue = Dialogue(said.append)
    for each in (ask(1, "open", folder=str(folder)), line, ask(3, "hear", point=[2, 2, 1.5], nearest=True)):
        dialogue.take(each)
    told = {event["id"]: event["values"] for event in said if event["event"] == "answer"}
    assert words in told[2]["error"]
    assert told[3]["level"] is not None


def test_the_process_ends_when_nobody_asks() -> None:
    code = "from naf_core.dialogue import converse; import time, sys; "
    code += "sys.exit(converse((time.sleep(60) for _ in range(3)), print, idle=0.2))"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


def test_the_process_ends_with_its_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "naf_core", "answer"],
        input=ask(1, "sing") + "\n",
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "No scene" in json.loads(done.stdout)["values"]["error"]
