from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.directivity import Cone
from naf_core.errors import UserError
from naf_core.floormap import FloorMap
from naf_core.job import Job
from naf_core.materials import Material
from naf_core.scene import Emitter, Listener, Scene, Trajectory

TIMES = np.arange(5) / 24.0
PLASTER = Material("plaster", absorption=(0.1,) * 8, scattering=(0.2,) * 8)
TRIANGLE = np.array([[0.0, 0, 0], [4, 0, 0], [0, 3, 0]])


def path(seed: int) -> Trajectory:
    rng = np.random.default_rng(seed)
    rotations = np.linalg.qr(rng.normal(size=(len(TIMES), 3, 3)))[0]
    return Trajectory(TIMES, rng.normal(size=(len(TIMES), 3)), rotations)


def job(**changes: object) -> Job:
    values = {
        "kind": "bake",
        "scene": Scene(TRIANGLE, [[0, 1, 2]], [0], [PLASTER]),
        "emitters": (
            Emitter("Sprecher Ä", path(1), "/sounds/talk.flac", (0.0, 2.5), [1, 0.5, 0, 1, 1], 65.0),
            Emitter("music", path(2), "/sounds/music.flac", cone=Cone([90, 80, 70, 60, 50], 120.0, 0.2, 0.1)),
        ),
        "listener": Listener("Camera", path(3)),
        "output": Path("/somewhere/out"),
        "n_frames": 5,
        "map": FloorMap(32, 16, (0, 0, 0), (4, 0, 0), (0, 3, 0), [TRIANGLE], range=(40, 70), frame_index=2),
        "scene_name": "Küche",
    }
    return Job(**(values | changes))


def assert_same(a: object, b: object) -> None:
    """The same values, all the way down."""
    if dataclasses.is_dataclass(a):
        assert type(a) is type(b)
        for field in dataclasses.fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, tuple | list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


SOUND = {
    "format": "ambix-world",
    "order": 3,
    "hrtf": "/ears/mine.sofa",
    "reflections": 8,
    "wetness": 0.25,
    "reverb_gain": -6.5,
    "loudness": -23.0,
    "peak": -2.0,
    "file_type": "wav",
    "sample_type": "float",
    "parts": True,
    "impulse_frames": (1, 5),
    "impulse_type": "both",
    "quality": "high",
}


@pytest.mark.parametrize(
    "changes", [{}, {"map": None, "mix": False, "format": "ambix"}, {"kind": "map", "listener": None}, SOUND]
)
def test_a_saved_job_comes_back_as_it_was(tmp_path, changes):
    original = job(**changes)
    original.save(tmp_path / "job")
    assert_same(Job.load(tmp_path / "job"), original)
    assert {file.name for file in (tmp_path / "job").iterdir()} == {"scene.h5", "motion.h5", "job.json"}


def test_job_json_is_what_other_programs_may_rely_on(tmp_path):
    job().save(tmp_path)
    text = json.loads((tmp_path / "job.json").read_text(encoding="ascii"))
    assert text["version"] == 1
    assert text["kind"] == "bake"
    assert text["emitters"][0] == {
        "name": "Sprecher Ä",
        "sound": "/sounds/talk.flac",
        "starts": [0.0, 2.5],
        "level": 65.0,
    }
    assert text["listener"] == {"name": "Camera"}
    assert text["map"] == {
        "width": 32,
        "height": 16,
        "ear_height": 1.6,
        "frame_index": 2,
        "range": [40.0, 70.0],
        "step": 0,
        "maximum": False,
        "quantity": "level",
        "band": None,
        "noise": None,
        "palette": "viridis",
        "lines": True,
    }
    with h5py.File(tmp_path / "motion.h5") as motion:
        assert motion["emitters/1/positions"].shape == (5, 3)
        assert motion["listener/rotations"].shape == (5, 3, 3)
        assert motion["emitters/0/gain"].shape == (5,)
        assert motion["floor/triangles"].shape == (1, 3, 3)


def test_a_job_of_before_has_the_defaults_of_what_it_does_not_know(tmp_path):
    job().save(tmp_path)
    text = json.loads((tmp_path / "job.json").read_text(encoding="ascii"))
    for name in SOUND.keys() - {"format"}:
        text.pop(name)
    (tmp_path / "job.json").write_text(json.dumps(text))
    assert_same(Job.load(tmp_path), job())


def test_texel_centres_start_at_the_origin():
    floor = FloorMap(4, 2, (1, 1, 0.5), (4, 0, 0), (0, 2, 0), np.zeros((0, 3, 3)))
    centres = floor.centres()
    assert centres.shape == (2, 4, 3)
    np.testing.assert_allclose(centres[0, 0], (1.5, 1.5, 0.5))
    np.testing.assert_allclose(centres[1, 3], (4.5, 2.5, 0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "cook"}, "bake, map"),
        ({"format": "mp3"}, "binaural, stereo"),
        ({"order": 4}, "order"),
        ({"reflections": 65}, "reflections"),
        ({"wetness": 1.5}, "wetness"),
        ({"reverb_gain": float("nan")}, "reverb gain"),
        ({"loudness": 3.0}, "LUFS"),
        ({"peak": 1.0}, "dBTP"),
        ({"file_type": "mp3"}, "wav, flac"),
        ({"sample_type": "8"}, "16, 24, float"),
        ({"file_type": "flac", "sample_type": "float"}, "no floating-point"),
        ({"file_type": "flac", "format": "7.1.4"}, "8 channels"),
        ({"file_type": "flac", "format": "ambix", "order": 2}, "8 channels"),
        ({"impulse_frames": (6,)}, "frame 6 lies outside"),
        ({"impulse_type": "sofas"}, "wav, sofa, both"),
        ({"fps": 0.0}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"n_frames": 0}, "n frames"),
        ({"sample_rate": 10}, "sample rate"),
        ({"seed": -1}, "seed"),
        ({"output": Path("out")}, "full path"),
        ({"emitters": ()}, "add a Speaker"),
        ({"listener": None}, "camera"),
        ({"kind": "map", "map": None}, "floor"),
        ({"n_frames": 2}, "frame 2"),
        ({"listener": Listener("Camera", Trajectory([0.0], [(0, 0, 0)]))}, "“Camera” has other times"),
    ],
)
def test_jobs_that_cannot_be_done_say_what_to_do(changes, message):
    with pytest.raises(UserError, match=message):
        job(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width"),
        ({"height": 5000}, "height"),
        ({"ear_height": -1.0}, "ear height"),
        ({"origin": (np.nan, 0, 0)}, "origin"),
        ({"v": (8, 0, 0)}, "no area"),
        ({"range": (70, 40)}, "range"),
    ],
)
def test_floors_that_cannot_be_painted_say_what_to_do(changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(job().map, **changes)


def rewrite(folder: Path, **changes: object) -> None:
    """Change values of job.json."""
    file = folder / "job.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": None},
        {"kind": 3},
        {"fps": "fast"},
        {"fps": True},
        {"fps": float("nan")},
        {"n_frames": 2.5},
        {"n_frames": 10**30},
        {"sample_rate": -1},
        {"mix": "yes"},
        {"output": "relative"},
        {"output": "/a\0b"},
        {"output": "/" + "a" * 100_000},
        {"emitters": {}},
        {"emitters": []},
        {"emitters": [3]},
        {"emitters": [{}] * 5000},
        {"emitters": [{"name": "x", "sound": "y", "starts": ["now"], "level": 70}]},
        {"emitters": [{"name": "x", "sound": "y", "starts": [1e999], "level": 70}]},
        {"emitters": 2 * [{"name": "x", "sound": "y", "starts": [], "level": 70, "cone_radius": -1}]},
        {"emitters": 2 * [{"name": "x", "sound": "y", "starts": [], "level": 70, "cone_radius": "wide"}]},
        {"listener": "Camera"},
        {"map": []},
        {"map": {"width": 1e9, "height": 3, "ear_height": 1, "frame_index": 0}},
        {"map": {"width": 32, "height": 32, "ear_height": 1, "frame_index": 0, "range": [50]}},
    ],
)
def test_every_value_of_job_json_is_checked(tmp_path, changes):
    job().save(tmp_path)
    rewrite(tmp_path, **changes)
    with pytest.raises(UserError):
        Job.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        "nul",
        "[]",
        '"text"',
        '{"version": 1',
        "\ufeff{}",
        '{"version": ' + "9" * 5000 + "}",
    ],
)
def test_text_that_is_no_job_is_refused(tmp_path, text):
    job().save(tmp_path)
    (tmp_path / "job.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"job\.json"):
        Job.load(tmp_path)


@pytest.mark.parametrize("name", ["scene.h5", "motion.h5", "job.json"])
def test_a_missing_file_is_named(tmp_path, name):
    job().save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=name):
        Job.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("times", np.zeros(5)),
        ("times", np.arange(4.0)),
        ("times", np.zeros((5, 5))),
        ("listener/positions", np.full((5, 3), np.nan)),
        ("listener/rotations", np.zeros((5, 3))),
        ("emitters/1/gain", -np.ones(5)),
        ("emitters/1/cone", np.full((5, 3), np.nan)),
        ("emitters/1/cone", np.full((5, 3), [120.0, 60.0, 0.5])),
        ("emitters/1/cone", np.full((5, 3), [60.0, 400.0, 0.5])),
        ("emitters/1/cone", np.full((5, 3), [60.0, 120.0, 1.5])),
        ("emitters/1/cone", np.full((4, 3), [60.0, 120.0, 0.5])),
        ("emitters/0/positions", np.array([b"text"] * 5)),
        ("floor/u", np.zeros(3)),
        ("floor/triangles", np.full((1, 3, 3), np.inf)),
        ("floor/triangles", None),
    ],
)
def test_every_array_of_the_motion_is_checked(tmp_path, name, value):
    job().save(tmp_path)
    with h5py.File(tmp_path / "motion.h5", "a") as file:
        del file[name]
        if value is not None:
            file[name] = value
    with pytest.raises(UserError):
        Job.load(tmp_path)


def test_a_cone_that_is_none_names_the_speaker(tmp_path):
    job().save(tmp_path)
    with h5py.File(tmp_path / "motion.h5", "a") as file:
        file["emitters/1/cone"][2] = (90.0, 45.0, 0.5)
    with pytest.raises(UserError, match=r"“music” is out of range.*90\.0 and 45\.0") as caught:
        Job.load(tmp_path)
    assert caught.value.object_name == "music"


def test_a_motion_that_claims_more_than_it_holds_is_refused(tmp_path):
    job().save(tmp_path)
    with h5py.File(tmp_path / "motion.h5", "a") as file:
        del file["floor/triangles"]
        file.create_dataset("floor/triangles", shape=(4_000_000, 3, 3), chunks=(1000, 3, 3), dtype="f8")
    with pytest.raises(UserError, match="more than the file holds"):
        Job.load(tmp_path)


def saved(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder with a job in it, written once."""
    folder = tmp_path_factory.getbasetemp() / f"{name}-job"
    if not folder.exists():
        job().save(folder)
    return folder


def test_paths_that_are_no_text_survive(tmp_path):
    odd = Emitter("Talker", path(1), "/sounds/caf\udce9.wav")
    job(emitters=(odd,)).save(tmp_path)
    assert Job.load(tmp_path).emitters[0].sound == "/sounds/caf\udce9.wav"


@given(data=st.data())
def test_damaged_files_give_a_user_error_and_nothing_else(tmp_path_factory, data):
    whole, folder = saved(tmp_path_factory, "whole"), saved(tmp_path_factory, "damaged")
    name = data.draw(st.sampled_from(["motion.h5", "job.json"]))
    file, content = folder / name, bytearray((whole / name).read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 8))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(content))
    try:
        Job.load(folder)
    except UserError as error:
        assert error.message
    finally:
        file.write_bytes((whole / name).read_bytes())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "version",
    "kind",
    "fps",
    "n_frames",
    "output",
    "emitters",
    "listener",
    "map",
    "seed",
    "mix",
    "scene_name",
]


@given(key=st.sampled_from(KEYS), value=JSON)
def test_any_value_at_any_place_is_taken_or_refused(tmp_path_factory, key, value):
    whole, folder = saved(tmp_path_factory, "whole"), saved(tmp_path_factory, "odd")
    (folder / "job.json").write_bytes((whole / "job.json").read_bytes())
    rewrite(folder, **{key: value})
    try:
        Job.load(folder)
    except UserError as error:
        assert error.message
