"""The command line for recordings, its pictures, and the probe of learned features."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from safetensors.numpy import save_file

from naf_core.__main__ import main
from naf_core.errors import UserError
from naf_core.materials import Material
from naf_core.recordings import commands, compare, files, folder, spectrogram
from naf_core.recordings.method import PUBLISHED_FORMAT
from naf_core.recordings.recordingset import RecordingSet, split
from naf_core.truth import recordings as bars
from naf_core.truth.box import box_scene

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

from naf_core.recordings import pictures, probing

RATE = spectrogram.RATE
BOX = np.array([[0.0, 0.0, 0.0], [6.0, 5.0, 3.0]])


def room(count: int = 24, seed: int = 0) -> RecordingSet:
    rng = np.random.default_rng(seed)
    listeners = rng.uniform([0.5, 0.5, 1.5], [5.5, 4.5, 1.5], (count, 3))
    emitters = np.broadcast_to([3.0, 2.5, 1.5], (count, 3))
    time = np.arange(round(0.3 * RATE)) / RATE
    responses = (0.05 * rng.standard_normal((count, 1, len(time))) * 10.0 ** (-3.0 * time / 0.2)).astype(np.float32)
    distance = np.linalg.norm(emitters - listeners, axis=1)
    responses[np.arange(count), 0, np.round(distance / 343.2 * RATE).astype(int)] = 1.0 / distance
    return RecordingSet("room", "simulated", RATE, responses, emitters, listeners, box=BOX)


class Coordinates:
    """A method whose features are what a network could have learned of places."""

    name = "coordinates"

    def features(self, points: np.ndarray) -> np.ndarray:
        return np.concatenate([points, probing.wall_distances(points, BOX) ** 2], axis=1)


def is_picture(path: Path) -> bool:
    with Image.open(path) as image:
        image.verify()
        return image.format == "PNG" and min(image.size) > 100


def test_pictures_are_drawn_of_what_was_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_SHOWN", 1)
    whole = room()
    folds = [split(whole, 4, 0)]
    makers = {name: make for name, make in compare.rivals().items() if name in ("nearest", "mean of all")}
    _, answers = compare.compare(folds, makers)
    commands.save_pictures(tmp_path, compare.truth(folds), folds[0][0], answers, None)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["decays.png", "maps.png", "spectrograms_0.png"]
    assert all(is_picture(path) for path in tmp_path.iterdir())
    pictures.save_features(tmp_path / "features.png", Coordinates(), whole.listeners, BOX, "places")
    assert is_picture(tmp_path / "features.png")


def test_distances_to_walls_are_those_of_a_box_and_of_its_mesh() -> None:
    points = np.array([[1.0, 2.0, 1.5], [4.0, 4.5, 1.0]])
    found = probing.wall_distances(points, BOX)
    np.testing.assert_allclose(found[0, ::2], [5.0, 3.0, 1.0, 2.0])
    assert found[0, 1] == pytest.approx(3.0 * math.sqrt(2.0))
    scene = box_scene(*BOX, Material("wall", (0.1,) * 8, (0.1,) * 8))
    np.testing.assert_allclose(probing.wall_distances(points, scene), found, rtol=1e-4)
    with pytest.raises(UserError, match="closed room"):
        probing.wall_distances(np.array([[60.0, 2.0, 1.5]]), scene)


def test_a_probe_tells_what_features_add_to_coordinates() -> None:
    places = np.random.default_rng(1).uniform(BOX[0] + 0.3, BOX[1] - 0.3, (80, 3))
    probe = probing.linear_probe(Coordinates(), places, BOX)
    assert probe.r2 > probe.r2_position + 0.02 and probe.error < probe.error_position
    with pytest.raises(UserError, match="20 places"):
        probing.linear_probe(Coordinates(), places[:10], BOX)


def write_folder(path: Path, whole: RecordingSet) -> None:
    rows = []
    for number, response in enumerate(whole.responses):
        soundfile.write(path / f"{number}.wav", response[0], RATE, subtype="FLOAT")
        ends = {"emitter": whole.emitters[number], "listener": whole.listeners[number]}
        cells = {f"{who}_{axis}": value for who, end in ends.items() for axis, value in zip("xyz", end, strict=True)}
        rows.append({"file": f"{number}.wav", **cells})
    with (path / "positions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, folder.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def test_from_a_folder_to_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(commands, "save_pictures", lambda *given: drawn.append(given))
    sounds, made, result = tmp_path / "sounds", tmp_path / "room.h5", tmp_path / "result"
    sounds.mkdir()
    write_folder(sounds, room())
    box_words = [str(float(x)) for x in BOX.ravel()]
    line = ["recordings", "import", str(sounds), "--output", str(made), "--sample-rate", str(RATE), "--box", *box_words]
    assert main([*line, "--calibrate"]) == 0
    assert "24 responses of 1 channel, 0.30 s at 22050 Hz" in capsys.readouterr().out
    np.testing.assert_allclose(files.load(made).box, BOX)
    line = ["recordings", "compare", str(made), "--test", "4", "--methods", "nearest", "linear"]
    assert main([*line, "--output", str(result)]) == 0
    assert "| sounds | linear | 20 |" in capsys.readouterr().out
    assert {path.name for path in result.iterdir()} == {"table.json", "table.md"}
    ((path, test, train, answers, _),) = drawn
    assert path == result and (len(test), len(train)) == (4, 20) and set(answers) == {"nearest", "linear"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import", "none", "--output", "x.h5"], "positions.csv is missing"),
        (["import", "none.sofa", "--output", "x.h5"], "none.sofa is missing"),
        (["train", "none.h5", "--output", "x"], "none.h5 is missing"),
        (["compare", "dechorate", "--methods", "best", "--output", "x"], "no method best"),
        (["compare", "dechorate", "--test", "12", "--methods", "nearest", "--output", "x"], "cannot be held out"),
        (["compare", "dechorate", "--test", "2", "--learn", "11", "--methods", "nearest", "--output", "x"], "11 of 10"),
        (["train", "dechorate", "--epochs", "9", "--output", "x"], "leave --epochs out"),
        (["train", "dechorate", "--method", "naf", "--epochs", "0", "--output", "x"], "0 epochs"),
        (["export", "none.field", "--output", "x"], "none.field"),
        (["import", "none", "--sample-rate", "0", "--output", "x.h5"], "sample rate is 0 Hz"),
        (["train", "dechorate", "--seed", "-1", "--output", "x"], "seed is -1"),
    ],
)
def test_errors_are_said_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["recordings", *words]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not list(tmp_path.iterdir())


def test_what_was_trained_is_pictured_and_exported_as_documented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, field, drawn = tmp_path / "room.h5", tmp_path / "room.field", tmp_path / "drawn"
    files.save(room(8).at_rate(48_000), made)
    assert main(["recordings", "train", str(made), "--hold-out", "3", "--output", str(field)]) == 0
    assert main(["recordings", "plot", str(made), str(field), "--hold-out", "3", "--output", str(drawn)]) == 0
    assert len([path for path in drawn.iterdir() if path.name.startswith("spectrograms")]) == 3
    assert all(is_picture(path) for path in drawn.iterdir())
    assert main(["recordings", "export", str(field), "--output", str(tmp_path / "blender.field")]) == 0
    assert (tmp_path / "blender.field").stat().st_size < field.stat().st_size
    capsys.readouterr()
    files.save(room(8).lasting(0.2), made)
    assert main(["recordings", "plot", str(made), str(field), "--output", str(drawn)]) == 1
    assert "of another length" in capsys.readouterr().err
    for path in (made, made / "inside"):
        assert main(["recordings", "compare", str(made), "--methods", "nearest", "--test", "2", "--output", str(path)])
        assert "cannot be made a folder" in capsys.readouterr().err


def test_a_published_field_is_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "field"
    save_file({"mean": np.zeros(3, np.float32)}, str(path), {"format": f"{PUBLISHED_FORMAT} 1"})
    assert main(["recordings", "export", str(path), "--output", str(tmp_path / "x")]) == 1
    assert "Blender does not take" in capsys.readouterr().err


def test_who_stops_a_command_sees_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(name: str) -> RecordingSet:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "read_set", stop)
    assert main(["recordings", "train", "room.h5", "--output", "x"]) == 130
    assert capsys.readouterr().err.strip() == "naf_core: stopped."


def test_sofa_files_are_looked_at_wherever_they_are_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = room(6)
    silent.responses[2] = 0.0
    monkeypatch.setattr(commands, "read_sofa", lambda name: silent)
    assert commands.read_set("room.SOFA") is silent
    assert "Response 2 is silent" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["h5py", "scipy"])
def test_a_module_that_is_missing_is_named(name: str) -> None:
    code = f"import sys; sys.modules[{name!r}] = None; from naf_core.__main__ import main; sys.exit(main(sys.argv[1:]))"
    line = [sys.executable, "-c", code, "recordings", "train", "--help"]
    found = subprocess.run(line, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert found.returncode == 1 and not found.stdout
    assert found.stderr == f"naf_core: recordings need {name}: install acoustic-fields[recordings].\n"


def test_a_file_is_refused_as_what_it_calls_itself(tmp_path: Path) -> None:
    path = tmp_path / "field"
    for kind, said in ((f"{PUBLISHED_FORMAT} 9", "published field"), ("something else", "recorded field")):
        save_file({"mean": np.zeros(3, np.float32)}, str(path), {"format": kind})
        with pytest.raises(UserError, match=said):
            commands.load_field(path)
    path.write_bytes(b"\x00" * 20)
    with pytest.raises(UserError, match="recorded field"):
        commands.load_field(path)


def test_bars_without_data_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACOUSTIC_FIELDS_R3VIVAL", raising=False)
    (figure,) = bars._r3vival("000")
    assert figure.met is None and "ACOUSTIC_FIELDS_R3VIVAL" in figure.note


def test_the_bar_is_the_best_of_the_others() -> None:
    rows = {
        name: compare.Row("set", name, 2, 1, {"c50_db": value})
        for name, value in {"a": 2.0, "b": 1.0, "ours": 0.5}.items()
    }
    rows["c"] = compare.Row("set", "c", 2, 1, left_out="it is missing")
    figure = bars._against("ours", rows, rows["ours"], "c50_db", {"a", "b", "c"}, "two")
    assert figure.met and figure.bar == 1.0 and "best of the others: b; without c" in figure.note
