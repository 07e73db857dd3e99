"""Baking from the command line, with a stand-in for the acoustics."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

from blender_addon import command, picture, sheet, strips

ROOT = Path(__file__).resolve().parents[2]


def bake(file: Path, output: Path, picture: bool = False) -> int:
    return command.guarded(command.open_and_bake, file, output, picture)


@pytest.fixture
def film(scene, tmp_path: Path) -> Path:
    """The .blend file of `scene` with its sound at a relative path."""
    for sound in bpy.data.sounds:
        sound.filepath = bpy.path.relpath(sound.filepath)
    path = tmp_path / "film.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


def test_a_bake_leaves_a_file_that_plays_and_the_input_as_it_was(film, tmp_path, capfd) -> None:
    before = film.read_bytes()
    output = tmp_path / "results/first"
    assert bake(film, output) == 0
    assert film.read_bytes() == before
    names = ["Music.wav", "Talker.wav", "film_baked.blend", "loudness.png", "loudness_map.png", "mix.wav"]
    assert sorted(path.name for path in output.iterdir()) == [*names, "report.json"]

    said = capfd.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[0].endswith("Reading the scene")
    assert f"Results in {output}:" in lines
    assert lines[lines.index(f"Results in {output}:") + 1].split()[0] == "film_baked.blend"

    bpy.ops.wm.open_mainfile(filepath=str(output / "film_baked.blend"))
    scene = bpy.context.scene
    assert sorted(strip[strips.TAG] for _, strip in strips.own_strips(scene)) == [
        "mix",
        "stem:Music",
        "stem:Talker",
    ]
    assert len(list(sheet.own_sheets(scene))) == 1
    for sound in bpy.data.sounds:
        assert sound.filepath.startswith("//")
        assert Path(bpy.path.abspath(sound.filepath)).is_file(), sound.filepath
    assert strips.any_silenced(scene)


def test_the_results_can_move_together(film, tmp_path) -> None:
    assert bake(film, tmp_path / "first") == 0
    (tmp_path / "first").rename(tmp_path / "second")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "second/film_baked.blend"))
    for _, strip in strips.own_strips(bpy.context.scene):
        assert Path(bpy.path.abspath(strip.sound.filepath)).is_file()


def test_the_picture_shows_the_map(film, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(picture, "WIDTH", 96)
    monkeypatch.setattr(picture, "HEIGHT", 72)
    assert bake(film, tmp_path / "out", picture=True) == 0
    image = bpy.data.images.load(str(tmp_path / "out/floor.png"))
    assert tuple(image.size) == (96, 72)
    middle = 4 * (96 * 26 + 48)  # the lower half of the stand-in's map is grey, the upper is not there
    assert [round(255 * value) for value in image.pixels[middle : middle + 3]] == pytest.approx([128] * 3, abs=3)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "out/film_baked.blend"))
    assert len([item for item in bpy.data.objects if item.type == "CAMERA"]) == 1, "the picture's camera stayed"


@pytest.mark.parametrize(("mode", "said"), [("error", "convert it"), ("crash", "the probe grid is empty")])
def test_failures_have_a_message_and_leave_nothing(film, acoustics, tmp_path, capfd, mode: str, said: str) -> None:
    acoustics["mode"] = mode
    assert bake(film, tmp_path / "out") == 1
    err = capfd.readouterr().err
    assert err.startswith("Error: ") and said in err
    assert not (tmp_path / "out").exists()


def test_mistakes_in_the_scene_have_a_message(film, tmp_path, capfd) -> None:
    for name in ("Talker", "Music"):
        bpy.data.objects.remove(bpy.data.objects[name])
    bpy.ops.wm.save_mainfile()
    assert bake(film, tmp_path / "out") == 1
    assert "There is no Speaker" in capfd.readouterr().err


def test_files_that_are_no_blend(tmp_path, capfd) -> None:
    assert bake(tmp_path / "gone.blend", tmp_path / "out") == 1
    assert "gone.blend is not a file" in capfd.readouterr().err
    (tmp_path / "text.blend").write_text("hello")
    assert bake(tmp_path / "text.blend", tmp_path / "out") == 1
    assert "cannot be opened" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_interrupt_ends_the_bake(film, acoustics, tmp_path, capfd, monkeypatch) -> None:
    def interrupt(*_arguments) -> None:
        raise KeyboardInterrupt

    acoustics["mode"] = "endless"
    monkeypatch.setattr(command.ProgressBar, "show_running", interrupt)
    assert bake(film, tmp_path / "out") == 130
    assert not (tmp_path / "out").exists()
    assert not acoustics["folder"].exists()


def test_the_command_of_blender_bakes_the_open_file(film, tmp_path, capfd) -> None:
    assert command.bake_open_file(["--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/film_baked.blend").is_file()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert command.bake_open_file(["--output", str(tmp_path / "out")]) == 1
    assert "name a saved .blend file" in capfd.readouterr().err


@pytest.mark.skipif(not bpy.app.module, reason="a Blender program is started otherwise: by its own --command")
def test_from_the_shell(tmp_path) -> None:
    line = [
        sys.executable,
        "-m",
        "blender_addon.command",
        "bake",
        tmp_path / "gone.blend",
        "--output",
        tmp_path,
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"Error: {tmp_path / 'gone.blend'} is not a file: give the path of a saved .blend file."
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_fills_up_on_a_terminal() -> None:
    stream = Terminal()
    bar = command.ProgressBar(stream)
    bar.show(0.0, "Reading")
    bar.show(0.5, "Scanning")
    bar.end()
    first, second, last = stream.getvalue().split("\r\x1b[K")[1:]
    assert "█" not in first and " 0%" in first
    assert second.count("█") == command.BAR // 2 and second.endswith("Scanning")
    assert last.count("█") == command.BAR and last.endswith("\n")


def test_elsewhere_the_bar_is_a_few_lines() -> None:
    stream = io.StringIO()
    bar = command.ProgressBar(stream)
    for step in range(1001):
        bar.show(step / 1000, "Scanning")
    bar.end()
    lines = stream.getvalue().splitlines()
    assert 10 <= len(lines) <= 12
    assert "\r" not in stream.getvalue()
