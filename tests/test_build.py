"""The entrance: what it refuses, what it installs, what it hands on, and what it packs."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

import naf_core

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MANIFEST_TEXT = (ROOT / "blender_addon/blender_manifest.toml").read_text()
MANIFEST = tomllib.loads(MANIFEST_TEXT)


@pytest.fixture
def build(tmp_path: Path) -> ModuleType:
    """A fresh build.py as a module, whose environment lies in a temporary folder."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.VENV = tmp_path / ".venv"
    module.VENV_PYTHON = module.VENV / "bin/python"
    module.STAMP = module.VENV / "installed.json"
    module.VENV.mkdir()
    return module


def call_main(build: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[list[str]]:
    """The Python command lines that a command runs, with the set-up left out."""
    lines: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["build.py", *arguments])
    monkeypatch.setattr(build, "set_up", lambda groups: None)
    monkeypatch.setattr(build, "run_python", lambda *line: lines.append([str(word) for word in line]) or 0)
    assert build.main() == 0
    return lines


def test_demo_and_bake_call_the_add_on(build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bake = ["-m", "blender_addon.command", "bake"]
    scene, output = str(ROOT / "tests/scenes/demo.blend"), str(ROOT / "out/demo")
    assert call_main(build, monkeypatch, "demo") == [[*bake, scene, "--output", output, "--picture"]]

    monkeypatch.chdir(tmp_path)
    Path("room.blend").touch()
    room = str(tmp_path / "room.blend")
    assert call_main(build, monkeypatch, "bake", "room.blend") == [[*bake, room, "--output", str(ROOT / "out/room")]]
    assert call_main(build, monkeypatch, "bake", "room.blend", "--output", "here") == [
        [*bake, room, "--output", str(tmp_path / "here")]
    ]


def test_arguments_are_passed_on_in_order(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = call_main(build, monkeypatch, "test", "-k", "air or bands", "tests/test_air.py", "-x")
    assert lines[0] == ["-m", "ruff", "check", "."]
    assert lines[1] == ["-m", "pytest", "-k", "air or bands", "tests/test_air.py", "-x"]
    assert call_main(build, monkeypatch, "evaluate", "--only", "field", "--rooms", "60") == [
        ["-m", "naf_core.training", "evaluate", "--rooms", "60"]
    ]


@pytest.fixture
def blenders(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines by which `test --blender all -k strips` tests, with Python 3.11 and nothing on the PATH."""
    lines: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["build.py", "test", "--blender", "all", "-k", "strips"])
    monkeypatch.setattr(build, "running_version", lambda: "3.11")
    monkeypatch.setattr(build, "ROOT", build.VENV.parent)
    (build.VENV / "pyvenv.cfg").write_text("version = 3.11.7\n")
    monkeypatch.setattr(build, "find_python", lambda version: f"python{version}")
    monkeypatch.setattr(build, "set_up", lambda groups, blender=None: lines.append([build.VENV.name, blender]))
    monkeypatch.setattr(build, "install_beside", lambda python: f"packages-{python}")
    monkeypatch.setattr(build, "run_python", lambda *line: lines.append(list(line)) or 1)
    monkeypatch.setattr(subprocess, "call", lambda line, **_: lines.append([str(word) for word in line]) or 0)
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    return lines


TESTS = ["-m", "pytest", "tests/blender", "-k", "strips"]


def test_every_blender_is_tested_with_its_own_python(build: ModuleType, blenders, capsys) -> None:
    assert build.main() == 1
    other = ["python3.13", str(build.ROOT / "build.py"), "test", "--blender", "5.2", "-k", "strips"]
    assert blenders == [[".venv", "4.5"], TESTS, [".venv-5.0", "5.0"], TESTS, other]
    said = capsys.readouterr().out
    assert "Blender 5.0 module: FAILED\nBlender 5.2 module: passed\nLeft out: a Blender program, since neither" in said


@pytest.mark.parametrize("tool", ["blender", "blender-window"])
def test_a_blender_that_is_there_is_tested_too(build: ModuleType, blenders, monkeypatch, capsys, tool: str) -> None:
    said = "Python 3 14\n"
    monkeypatch.setattr(build.shutil, "which", lambda name: f"/opt/{tool}" if name == tool else None)
    monkeypatch.setattr(subprocess, "run", lambda line, **_: subprocess.CompletedProcess(line, 0, said, "no root"))
    assert build.main() == 1
    line = blenders[-1]
    assert line[0] == f"/opt/{tool}" and ("-b" in line) == (tool == "blender")
    script = str(build.ROOT / "tests/blender/inside.py")
    assert line[line.index(script) :] == [script, "--", "packages-3.14", "-k", "strips"]
    assert f"Blender program /opt/{tool}: passed\nLeft out in the program: test_package.py" in capsys.readouterr().out
    said = ""
    assert build.main() == 1
    assert "Left out: a Blender program, since" in (out := capsys.readouterr().out) and "no root" in out


def test_an_environment_beside_one_of_another_python(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "running_version", lambda: "3.13")
    monkeypatch.setattr(build, "ROOT", build.VENV.parent)
    build.use_environment("5.2")
    assert build.VENV.name == ".venv"  # there is none yet
    (build.VENV / "pyvenv.cfg").write_text("version = 3.11.7\n")
    build.use_environment("5.2")
    assert build.STAMP == build.ROOT / ".venv-5.2/installed.json"


def test_a_python_that_does_not_work_is_passed_by(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = []
    for name, code in (("broken", 127), ("good", 0)):
        python = tmp_path / name / ("python3.13.exe" if os.name == "nt" else "python3.13")
        python.parent.mkdir()
        python.write_text(f"#!/bin/sh\nexit {code}\n")
        python.chmod(0o755)
        found.append(python)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", os.pathsep.join(str(python.parent) for python in found))
    if os.name != "nt":
        assert build.find_python("3.13") == str(found[1])
    found[1].unlink()
    with pytest.raises(SystemExit, match=r"needs Python 3\.13 with its venv module"):
        build.find_python("3.13")


def test_what_is_no_blender_is_refused(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["build.py", "test", "--blender", "4.2"])
    with pytest.raises(SystemExit, match=r"4\.2 is neither a Blender program nor one of 4\.5, 5\.0, 5\.2 or all"):
        build.main()


def test_each_module_of_blender_is_pinned(build: ModuleType) -> None:
    for version in build.BLENDERS:
        (pin,) = PROJECT["dependency-groups"][f"blender-{version}"]
        assert pin.startswith(f"bpy=={version}.")
    assert build.OWN_BLENDER == {"3.11": "4.5", "3.13": "5.2"}
    assert set(build.OWN_BLENDER) == set(build.PYTHONS)


def test_packages_for_other_pythons_have_names_of_their_own(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    monkeypatch.setattr(build, "set_up", lambda groups: None)
    monkeypatch.setattr(build, "build_package", lambda name, pythons: built.append((name, pythons)) or 0)
    for options in (["--platform", "all"], ["--platform", "linux-x64", "--python", "3.14"]):
        monkeypatch.setattr(sys, "argv", ["build.py", "package", *options])
        assert build.main() == 0
    assert built == [(name, ("3.11", "3.13")) for name in build.PLATFORMS] + [("linux-x64", ("3.14",))]


def test_recordings_are_evaluated_with_codecs_where_they_can_be_had(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed: list[list[str]] = []
    monkeypatch.setattr(build.shutil, "which", lambda name: "/usr/bin/ffmpeg" if name == "ffmpeg" else None)
    monkeypatch.setattr(build, "on_debian", lambda: True)
    monkeypatch.setattr(build, "install_system_packages", installed.append)
    lines = [["-m", "naf_core.truth", "recordings", "--json", "out.json"]]
    for user, wanted in ((0, [["opus-tools"]]), (1000, [])):
        monkeypatch.setattr(build.os, "geteuid", lambda user=user: user, raising=False)
        installed.clear()
        assert call_main(build, monkeypatch, "evaluate", "--recordings", "--json", "out.json") == lines
        assert installed == wanted
    assert "not installed: opus-tools" in capsys.readouterr().out


def test_evaluate_measures_the_field_and_then_the_engine(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    field, engine = ["-m", "naf_core.training", "evaluate"], ["-m", "naf_core.truth"]
    assert call_main(build, monkeypatch, "evaluate") == [field, engine]
    assert call_main(build, monkeypatch, "evaluate", "--only", "reference", "bras") == [[*engine, "bras"]]
    with pytest.raises(SystemExit, match="--only"):
        call_main(build, monkeypatch, "evaluate", "--rooms", "60")


def test_bake_refuses_a_missing_file(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"none\.blend is not a file"):
        call_main(build, monkeypatch, "bake", "none.blend")


def test_unknown_arguments_are_refused(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as end:
        call_main(build, monkeypatch, "demo", "--fast")
    assert end.value.code == 2


@pytest.mark.parametrize(("minor", "fits"), [(9, False), (11, True), (12, False), (13, True), (14, False)])
def test_only_pythons_with_a_blender_module(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, minor: int, fits: bool
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, minor, 4, "final", 0))
    if fits:
        build.check_python()
    else:
        with pytest.raises(SystemExit, match=r"needs python3\.11 or python3\.13, and this is Python 3\.\d+"):
            build.check_python()


def test_an_environment_of_another_python_is_refused(build: ModuleType) -> None:
    build.VENV_PYTHON.parent.mkdir()
    build.VENV_PYTHON.touch()
    (build.VENV / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.8.2\n")
    with pytest.raises(SystemExit, match=r"made with Python 3\.8, this is 3\.\d+: use python3\.8, or remove"):
        build.make_environment()


def test_missing_libraries_are_found_by_loading_them(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        if name in ("libSM.so.6", "libEGL.so.1"):
            raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(build, "on_debian", lambda: False)
    assert build.missing_system_packages(blender=True) == ["libsm6", "libegl1"]
    assert build.missing_system_packages(blender=False) == []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert build.missing_system_packages(blender=False) == [f"python{build.running_version()}-venv"]


def test_without_rights_the_exact_line_is_printed(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "on_debian", lambda: True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    line = "sudo apt-get install -y --no-install-recommends libgl1 libegl1"
    with pytest.raises(SystemExit, match=re.escape(line)):
        build.install_system_packages(["libgl1", "libegl1"])


def test_pins_are_installed_once(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(build, "run_pip", lambda *line: calls.append(line))
    monkeypatch.setattr(build, "site_packages", lambda: build.VENV)
    build.install_pins(("numpy", "mesh"))
    build.install_pins(("mesh", "numpy"))
    assert len(calls) == 1
    assert set(calls[0]) == {"install", *PROJECT["dependency-groups"]["numpy"], "trimesh==5.2.0"}
    assert "numpy, mesh" in capsys.readouterr().out
    assert (build.VENV / "acoustic_fields.pth").read_text() == f"{ROOT}\n"

    noted = json.loads(build.STAMP.read_text())
    build.STAMP.write_text(json.dumps({**noted, "mesh": "another pin"}))
    build.install_pins(("numpy", "mesh"))
    assert calls[1:] == [("install", "trimesh==5.2.0")]


def test_a_failed_installation_shows_all_and_is_not_noted(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, stdout="Looking in links\n", stderr="no such version\n")
    monkeypatch.setattr(build, "site_packages", lambda: build.VENV)
    monkeypatch.setattr(subprocess, "run", lambda *line, **options: failed)
    with pytest.raises(SystemExit, match=r"(?s)Looking in links.*no such version"):
        build.install_pins(("numpy",))
    assert not build.STAMP.exists()


def test_every_dependency_is_pinned_within_its_range() -> None:
    pins = [Requirement(pin) for group in PROJECT["dependency-groups"].values() for pin in group]
    lists = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    for dependency in (Requirement(line) for lines in lists for line in lines):
        versions = [str(pin.specifier).removeprefix("==") for pin in pins if pin.name == dependency.name]
        assert versions, f"{dependency.name} has no pin"
        assert all(dependency.specifier.contains(version) for version in versions)
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in pins)


def test_the_versions_agree() -> None:
    assert MANIFEST["version"] == naf_core.__version__
    assert f"## {naf_core.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_manifest_keeps_the_rules_of_the_platform() -> None:
    assert MANIFEST["id"] == "acoustic_fields"
    assert MANIFEST["license"] == ["SPDX:GPL-3.0-or-later"] == [f"SPDX:{PROJECT['project']['license']}"]
    assert "blender" not in MANIFEST["name"].lower()
    for text in (MANIFEST["tagline"], *MANIFEST["permissions"].values()):
        assert len(text) <= 64
        assert not text.endswith(".")


def test_the_filled_manifest_lists_platform_and_wheels(build: ModuleType) -> None:
    wheels = [Path("a-1-py3-none-any.whl"), Path("b-2-cp311-cp311-win_amd64.whl")]
    filled = tomllib.loads(build.fill_manifest(MANIFEST_TEXT, "windows-x64", wheels))
    assert filled == {
        **MANIFEST,
        "platforms": ["windows-x64"],
        "wheels": ["./wheels/a-1-py3-none-any.whl", "./wheels/b-2-cp311-cp311-win_amd64.whl"],
    }


def test_this_machine_chooses_its_platform(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(build.platform, "machine", lambda: "arm64")
    assert build.chosen_platforms(None) == ("macos-arm64",)
    assert build.chosen_platforms("all") == ("linux-x64", "windows-x64", "macos-arm64")
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    with pytest.raises(SystemExit, match="no extension is made for darwin on x86_64: choose with --platform"):
        build.chosen_platforms(None)
