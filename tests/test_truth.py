from __future__ import annotations

import importlib
import json
import math
from types import SimpleNamespace

import pytest

from naf_core.errors import UserError
from naf_core.truth import __main__ as command
from naf_core.truth.figure import Figure, as_text, save_json

ERROR = Figure("error", 0.04, "dB", 0.05, note="of 12 paths")
RATIO = Figure("speed", 8.0, "x", 25.0, at_least=True)
LACKING = Figure("measured", math.nan, "JND", 1.0, note="room.h5 is missing")


def test_a_figure_says_whether_its_bar_is_met():
    assert ERROR.met is True
    assert Figure("error", 0.06, "dB", 0.05).met is False
    assert RATIO.met is False
    assert Figure("speed", 25.0, "x", 25.0, at_least=True).met is True
    assert LACKING.met is None


def test_the_table_tells_value_bar_verdict_and_note():
    error, note, ratio, lacking, _ = as_text([ERROR, RATIO, LACKING]).splitlines()
    assert error.split() == ["error", "0.04", "<=", "0.05", "dB", "met"]
    assert note.strip() == "of 12 paths"
    assert ratio.split() == ["speed", "8", ">=", "25", "x", "MISSED"]
    assert lacking.split() == ["measured", "-", "<=", "1", "JND", "no", "data"]
    assert as_text([]) == ""


def test_json_is_strict_and_complete(tmp_path):
    path = tmp_path / "new" / "truth.json"
    save_json({"box": [ERROR, LACKING]}, path)
    rows = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name))["box"]
    assert rows[0] == {
        "check": "error",
        "value": 0.04,
        "unit": "dB",
        "bar": 0.05,
        "at_least": False,
        "note": "of 12 paths",
        "met": True,
    }
    assert rows[1]["value"] is None
    assert rows[1]["met"] is None
    assert [file.name for file in path.parent.iterdir()] == ["truth.json"]


def test_the_command_runs_what_is_named_and_fails_when_a_bar_is_missed(tmp_path, monkeypatch, capsys):
    found = {"shoebox": [ERROR], "speed": [RATIO], "bras": [LACKING]}

    def check(name: str) -> SimpleNamespace:
        return SimpleNamespace(figures=lambda progress: progress(0.5) or found[name.rpartition(".")[2]])

    monkeypatch.setattr(command.importlib, "import_module", check)
    path = tmp_path / "truth.json"
    assert command.main(["shoebox", "bras", "--json", str(path)]) == 0
    assert list(json.loads(path.read_text())) == ["shoebox", "bras"]
    said = capsys.readouterr()
    assert said.out.endswith("1 bars met, 0 missed, 1 without data\n")
    assert "shoebox:  50 %" in said.err
    assert command.main(["speed"]) == 1


def test_the_command_says_what_is_wrong(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        command.main(["nothing"])
    assert "there is no check nothing" in capsys.readouterr().err

    def broken(progress: object) -> list[Figure]:
        raise UserError("room.h5 is damaged: fetch it again.")

    monkeypatch.setattr(command.importlib, "import_module", lambda name: SimpleNamespace(figures=broken))
    assert command.main(["bras"]) == 1
    assert "room.h5 is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("name", (*command.CHECKS, *command.ON_REQUEST))
def test_every_check_can_be_called(name):
    assert callable(importlib.import_module(f"naf_core.truth.{name}").figures)
