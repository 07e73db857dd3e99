"""The worker Python, its threads and the cache, as a person sets them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest

from blender_addon import jobs, preferences, worker
from naf_core.errors import UserError
from naf_core.stems import FOLDER


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Preferences as an installed extension has them."""
    made = SimpleNamespace(python="", tested="", tested_python="", threads=0, cache="")
    monkeypatch.setattr(preferences, "current", lambda: made)
    return made


def test_the_preferences_have_sensible_defaults() -> None:
    described = preferences.AcousticsPreferences.bl_rna.properties
    for name in ("python", "threads", "cache"):
        assert described[name].description and described[name].default == getattr(preferences.Defaults, name)
    assert preferences.current() is preferences.Defaults
    assert preferences.python() == worker.python_executable()
    assert preferences.cache_of(Path("/somewhere")) is None


def test_the_names_of_the_kept_agree() -> None:
    assert preferences.KEPT == FOLDER


def test_the_chosen_python_computes(own, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    own.python, own.threads = sys.executable, 3
    started = []
    monkeypatch.setattr(worker, "start", lambda *line: started.append(line))
    jobs.begin(bpy.context, jobs.Wish.of(scene, "map"))
    assert started[0][2:] == (sys.executable, 3)
    own.python = "/no/such/python"
    with pytest.raises(UserError, match="choose another in the preferences"):
        jobs.begin(bpy.context, jobs.Wish.of(scene, "map"))


def test_the_test_tells_the_versions(own) -> None:
    assert bpy.ops.acoustics.test_python() == {"FINISHED"}
    assert own.tested.startswith(f"Python {sys.version.split()[0]}, NumPy ")
    assert "PyTorch" in own.tested
    assert preferences.Testing.running is None


def test_a_python_that_lacks_something_is_told(own, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = tmp_path / "python"
    stranger.write_text("#!/bin/sh\nexit 3\n")
    stranger.chmod(0o755)
    own.python = str(stranger)
    with pytest.raises(RuntimeError, match="ended with code 3"):
        bpy.ops.acoustics.test_python()
    assert "ended with code 3" in own.tested
    own.python = str(tmp_path / "gone")
    with pytest.raises(RuntimeError, match="choose another in the preferences"):
        bpy.ops.acoustics.test_python()


def test_the_cache_beside_the_sounds_is_cleared(own, scene, tmp_path) -> None:
    with pytest.raises(RuntimeError, match="The cache is empty"):
        bpy.ops.acoustics.clear_cache()
    kept = tmp_path / "acoustics" / FOLDER
    kept.mkdir(parents=True)
    (kept / "a.npy").write_bytes(bytes(1000))
    assert preferences.caches() == [kept]
    assert preferences.size_of([kept]) == 1000
    (tmp_path / "acoustics/mix.wav").touch()
    assert bpy.ops.acoustics.clear_cache() == {"FINISHED"}
    assert not kept.exists() and (tmp_path / "acoustics/mix.wav").exists()


def test_the_size_counts_what_is_there_while_a_bake_changes_it(own, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.npy", "deep/b.npy"):
        (tmp_path / name).write_bytes(bytes(1000))
    listed = list(preferences.os.walk(tmp_path))
    (tmp_path / "a.npy").unlink()
    monkeypatch.setattr(preferences.os, "walk", lambda _folder: listed)
    preferences.forget_sizes()
    assert preferences.size_of([tmp_path]) == 1000
    preferences.forget_sizes()


def test_a_cache_folder_of_ones_own(own, scene, tmp_path) -> None:
    own.cache = str(tmp_path / "cache")
    first, second = (preferences.cache_of(tmp_path / name) for name in ("one", "two"))
    assert first.parent == second.parent == tmp_path / "cache" and first != second
    (tmp_path / "cache/of somebody else").mkdir(parents=True)
    first.mkdir()
    assert preferences.caches() == [first]
    bpy.ops.acoustics.clear_cache()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["of somebody else"]
