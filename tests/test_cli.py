from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from naf_core.__main__ import main
from naf_core.bands import BANDS_HZ
from naf_core.field import Field
from naf_core.materials import Material
from naf_core.report import PARAMETERS, table
from naf_core.scene import Scene
from tests.shapes import box, scene_of

DEAD = Material("curtain", absorption=(0.5,) * 8, scattering=(0.5,) * 8)
PAIR = ["--emitter", "1", "1", "1.2", "--listener", "2.5", "1.5", "1.2"]


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "room.h5"
    scene_of((box((0, 0, 0), (3.5, 2.5, 2.4)), DEAD)).save(path)
    return path


def predict(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main(["predict", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("engine", ["field", "reference"])
def test_json_has_the_promised_keys(capsys, room, engine):
    code, out, err = predict(capsys, room, *PAIR, "--json", "--engine", engine)
    found = json.loads(out)
    assert code == 0
    # The reference says how noisy it is.
    assert err == "" if engine == "field" else "standard errors" in err and err.count("\n") == 1
    assert list(found) == ["bands_hz", "T30_s", "T20_s", "EDT_s", "C50_dB", "C80_dB", "D50", "Ts_s", "G_dB"]
    assert found["bands_hz"] == list(BANDS_HZ)
    for key in PARAMETERS:
        assert len(found[key]) == 8
    # Eyring for this room: 0.161 * 21 / (-46.3 * ln(0.5)) = 0.105 s.
    assert found["T30_s"][4] == pytest.approx(0.105, rel=0.3)


def test_both_engines_agree(capsys, room):
    field, reference = (
        json.loads(predict(capsys, room, *PAIR, "--json", "--engine", engine)[1]) for engine in ("field", "reference")
    )
    np.testing.assert_allclose(field["G_dB"], reference["G_dB"], atol=1.5)
    np.testing.assert_allclose(field["C50_dB"], reference["C50_dB"], atol=3.0)


def test_what_is_not_defined_is_null(capsys, tmp_path):
    path = tmp_path / "free.h5"
    Scene(np.zeros((0, 3)), np.zeros((0, 3), int), [], []).save(path)
    code, out, err = predict(capsys, path, "--emitter", 0, 0, 0, "--listener", 10, 0, 0, "--json")
    found = json.loads(out)
    assert code == 0
    assert "free field" in err
    assert found["T30_s"] == found["C50_dB"] == [None] * 8
    assert found["D50"] == [1.0] * 8
    assert found["G_dB"][4] == pytest.approx(0.0, abs=0.1)  # by definition, but for the air


def test_the_table_is_for_people(capsys, room):
    code, out, _ = predict(capsys, room, *PAIR)
    assert code == 0
    assert "1.58 m apart, in sight; field" in out
    for word in ("T30 s", "C50 dB", "G dB", "63", "8k"):
        assert word in out
    assert max(map(len, out.splitlines())) < 110 + len(str(room))


def test_a_table_shows_gaps_as_dashes():
    values = {key: [None] * 8 for key in PARAMETERS}
    assert table(values).count("–") == 8 * len(PARAMETERS)


@pytest.mark.parametrize(("fmt", "channels"), [("ambix", 4), ("binaural", 2), ("stereo", 2), ("mono", 1)])
def test_the_impulse_response_holds_direct_sound_and_reflections(capsys, room, tmp_path, fmt, channels):
    path = tmp_path / "ir.wav"
    code, _, _ = predict(capsys, room, *PAIR, "--ir", path, "--format", fmt, "--json")
    assert code == 0
    samples, rate = soundfile.read(path)
    assert rate == 48000
    assert soundfile.info(path).subtype == "FLOAT"
    samples = samples.reshape(len(samples), -1)
    assert samples.shape[1] == channels
    distance = np.sqrt(1.5**2 + 0.5**2)
    arrival = np.abs(samples).max(axis=1).argmax()
    assert arrival == pytest.approx(distance / 343.2 * 48000, abs=0.001 * 48000)
    assert np.abs(samples[arrival + 480 :]).max() > 0.0
    if fmt in ("ambix", "mono"):
        # The direct pulse, band-limited between two samples, has about the height 1 / distance.
        assert np.abs(samples[:, 0]).max() == pytest.approx(1.0 / distance, rel=0.45)


def test_a_saved_field_is_used_as_it_is(capsys, room, tmp_path):
    Field.scan(Scene.load(room), seed=5).save(tmp_path / "field.h5")
    first, again = (predict(capsys, tmp_path / "field.h5", *PAIR, "--json", "--seed", seed)[1] for seed in (0, 1))
    assert first == again
    assert json.loads(first)["T30_s"][4] is not None


def test_a_mesh_with_materials(capsys, tmp_path):
    corners = box((0, 0, 0), (3.5, 2.5, 2.4)).reshape(-1, 3)
    lines = [f"v {x} {y} {z}" for x, y, z in corners]
    lines += ["usemtl drape"] + [f"f {3 * k + 1} {3 * k + 2} {3 * k + 3}" for k in range(len(corners) // 3)]
    (tmp_path / "room.obj").write_text("\n".join(lines))
    values = {"drape": {"absorption": [0.5] * 8, "scattering": [0.5] * 8}}
    (tmp_path / "materials.json").write_text(json.dumps(values))
    mesh = predict(capsys, tmp_path / "room.obj", *PAIR, "--json", "--materials", tmp_path / "materials.json")
    assert mesh[0] == 0
    assert mesh[2] == ""
    assert json.loads(mesh[1])["T30_s"][4] == pytest.approx(0.105, rel=0.3)


def test_numbers_may_be_written_with_an_exponent(capsys, room):
    code, _, _ = predict(
        capsys,
        room,
        "--emitter",
        "1",
        "1",
        "1.2",
        "--listener",
        "2.5",
        "1.5",
        "-1e-05",
        "--engine",
        "reference",
    )
    assert code == 0


def test_who_stands_outside_is_told(capsys, room):
    code, _, err = predict(capsys, room, "--emitter", 1, 1, 1.2, "--listener", 50, 50, 1.2, "--json")
    assert code == 0
    assert "listener is outside" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.h5", *PAIR], "nowhere.h5"),
        (["nowhere.obj", *PAIR], "nowhere.obj"),
        (["room.fbx", *PAIR], ".h5, .obj, .glb, .ply"),
        (["ROOM", "--emitter", "nan", "0", "0", "--listener", "1", "1", "1"], "emitter"),
        (["ROOM", "--emitter", "0", "0", "0", "--listener", "inf", "1", "1"], "listener"),
        (["ROOM", *PAIR, "--seed", "-1"], "seed"),
        (["ROOM", *PAIR, "--ir", "out.mp3"], ".wav"),
        (["ROOM", *PAIR, "--ir", "out.wav", "--sample-rate", "1"], "sample rate"),
        (["ROOM", *PAIR, "--ir", "no/such/folder/out.wav"], "out.wav"),
        (["ROOM", *PAIR, "--materials", "m.json"], "own materials"),
    ],
)
def test_errors_say_what_is_wrong(capsys, room, arguments, message):
    arguments = [str(room) if word == "ROOM" else word for word in arguments]
    code, out, err = predict(capsys, *arguments)
    assert code == 1
    assert out == ""
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["cook"],
        ["predict"],
        ["predict", "room.h5", "--emitter", "1", "2", "--listener", "1", "2", "3"],
        ["predict", "room.h5", *PAIR, "--engine", "magic"],
    ],
)
def test_commands_that_cannot_be_understood_end_with_code_2(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_module_can_be_run(room):
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "naf_core", "predict", str(room), *PAIR, "--json", "--engine", "reference"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["G_dB"]) == 8
