"""The extension as people get it: installed from its zip into an empty profile, with nothing else near."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def archive() -> Path:
    """The extension for this platform, packed from the tree as it stands."""
    line = [sys.executable, ROOT / "build.py", "package"]
    said = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    return ROOT / next(word for word in said.split() if word.endswith(".zip"))


def python_with_blender_only(folder: Path) -> Path:
    """A Python whose only packages are the Blender module and what that needs, linked from this one."""
    venv.create(folder, symlinks=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    wanted, seen = ["bpy"], set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        requirements = map(Requirement, distribution.requires or ())
        wanted += [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            (site_packages / top).symlink_to(distribution.locate_file(top))
    return folder / "bin/python"


@pytest.mark.skipif(os.name == "nt", reason="links the Blender module into another environment")
def test_the_installed_extension_bakes_without_the_repository(archive: Path, tmp_path: Path) -> None:
    python = python_with_blender_only(tmp_path / "python")
    profile, scene, output = tmp_path / "profile", tmp_path / "scene", tmp_path / "output"
    profile.mkdir()
    shutil.copytree(ROOT / "tests/scenes", scene)
    script = shutil.copy(Path(__file__).with_name("installed_extension.py"), tmp_path)

    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"BLENDER_USER_RESOURCES": str(profile), "PYTHONNOUSERSITE": "1"}
    line = [python, script, archive, scene / "demo.blend", output, tmp_path / "report.json"]
    result = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "report.json").read_text())

    assert "bl_ext.user_default.acoustic_fields" in report["add-ons"]
    assert report["loaded"] == [], "enabling the extension loads what only its worker needs"
    numpy = Path(report["worker"].pop("numpy"))
    assert numpy.is_relative_to(tmp_path / "python")
    assert all(Path(home).is_relative_to(profile) for home in report["worker"].values()), report["worker"]

    assert report["outcome"] == ["FINISHED"]
    assert report["sounds"]
    for sound in (Path(name).resolve() for name in report["sounds"]):
        assert sound.is_relative_to(output.resolve())
        assert sound.stat().st_size > 1000
