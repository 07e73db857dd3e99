"""A person's first hour in a real window: install the zip, bake, cancel, undo, look at the map, clear."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.window import tool

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = ROOT / "out/window"  # the pictures stay there, to be looked at


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> tool.Tool:
    """A way to open a window, with the extension installed from its zip."""
    found = tool.find(tmp_path_factory.mktemp("profile"))
    if isinstance(found, str):
        pytest.skip(f"no Blender window on this machine: {found}")
    found.install(tool.package(found.python_version()))
    return found


def test_the_everyday_buttons(window: tool.Tool) -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(ROOT / "tests/scenes/sounds", OUT / "sounds")
    blend = shutil.copy(ROOT / "tests/scenes/demo.blend", OUT)
    report = OUT / "report.json"
    said = window.run(HERE / "session.py", OUT, blend, report, timeout=900)
    assert "Traceback" not in said, said
    found = json.loads(report.read_text())

    assert found["cancel_s"] < 2.0  # the promise is one second, on a machine that does nothing else
    nothing = {"strips": 0, "sheets": 0, "changed": []}
    for moment in ("cancelled", "undone", "cleared"):
        assert found[moment] == nothing, moment
    for moment in ("baked", "again"):
        assert (found[moment]["strips"], found[moment]["sheets"]) == (4, 1)
    assert found["worker"].startswith("Python 3.")
    assert found["left"] == []
