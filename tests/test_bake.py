from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import sofar
import soundfile

from naf_core.bake import run
from naf_core.delivery import stem_names
from naf_core.directivity import Cone
from naf_core.errors import UserError
from naf_core.floormap import FloorMap
from naf_core.job import Job
from naf_core.progress import Progress
from naf_core.scene import Emitter, Listener, Trajectory
from tests.fake_field import DiffuseField, boxes

RATE = 16000
ROOM = ((0, 0, 0), (6, 5, 3))


def sound(path: Path, seconds: float = 0.5, silent: bool = False) -> str:
    samples = np.random.default_rng(1).normal(scale=0.0 if silent else 0.1, size=round(seconds * RATE))
    soundfile.write(path, samples.astype(np.float32), RATE)
    return str(path)


def still(*position: float, frames: int = 12) -> Trajectory:
    return Trajectory(np.arange(frames) / 24.0, np.tile(position, (frames, 1)))


def job(folder: Path, **changes: object) -> Job:
    folder.mkdir(exist_ok=True)
    noise = sound(folder / "noise.wav")
    values = {
        "kind": "bake",
        "scene": boxes(ROOM),
        "emitters": (Emitter("Talker", still(1, 1, 1.5), noise), Emitter("Music", still(5, 4, 1), noise)),
        "listener": Listener("Camera", still(3, 2, 1.6)),
        "output": folder / "out",
        "n_frames": 12,
        "sample_rate": RATE,
        "map": FloorMap(24, 20, (0, 0, 0), (6, 0, 0), (0, 5, 0), np.zeros((0, 3, 3))),
        "scene_name": "Kitchen",
    }
    return Job(**(values | changes))


def bake(work: Job) -> tuple[dict, list[dict]]:
    events: list[dict] = []
    return run(work, events.append, scan=DiffuseField.scan), events


def warnings(events: list[dict]) -> list[str]:
    return [event["message"] for event in events if event["event"] == "warning"]


@pytest.fixture(scope="module")
def baked(tmp_path_factory):
    work = job(tmp_path_factory.mktemp("bake"))
    return work, *bake(work)


def test_everything_is_written_under_the_names_that_are_told(baked):
    work, result, _ = baked
    told = [
        *(stem["file"] for stem in result["stems"]),
        result["mix"],
        result["map"]["image"],
        result["map"]["legend"],
    ]
    told.append(result["report"])
    assert sorted(told) == sorted(str(path) for path in work.output.iterdir() if path.name != ".stems")
    assert [stem["emitter"] for stem in result["stems"]] == ["Talker", "Music"]
    assert {Path(path).name for path in told} >= {"mix.wav", "loudness.png", "report.json", "stem_Talker.wav"}


def test_the_mix_is_the_sum_of_the_stems(baked):
    _, result, _ = baked
    total, rate = soundfile.read(result["mix"])
    assert rate == RATE
    assert len(total) >= 0.5 * RATE
    for stem in result["stems"]:
        part, _ = soundfile.read(stem["file"])
        total[: len(part)] -= part
    assert np.abs(total).max() < 3 * 2.0**-23


def test_progress_never_falls_and_ends_near_one(baked):
    _, _, events = baked
    fractions = [event["fraction"] for event in events if event["event"] == "progress"]
    assert fractions[0] == 0.0
    assert fractions == sorted(fractions)
    assert 0.9 < fractions[-1] <= 1.0
    for event in events:
        json.dumps(event, allow_nan=False)
    stages = list(dict.fromkeys(event["stage"] for event in events if event["event"] == "progress"))
    assert stages == ["sounds", "scan", "field", "map", "render", "write"]


def test_the_report_holds_facts_parameters_and_timings(baked):
    _, result, _ = baked
    report = json.loads(Path(result["report"]).read_text(encoding="utf-8"))
    assert report["scene"]["triangles"] == 12
    assert report["scene"]["volume_m3"] == pytest.approx(90.0, rel=0.05)
    assert report["scene"]["materials"][0]["source"] == "for tests"
    assert report["scene"]["materials"][0]["area_m2"] == pytest.approx(126.0)
    first = report["emitters"][0]
    assert first["distance_m"] == pytest.approx(np.sqrt(4 + 1 + 0.01), abs=1e-3)
    assert first["visible"] is True
    assert first["parameters"]["T30_s"] == pytest.approx([0.5] * 8, rel=0.01)
    assert len(first["parameters"]["C50_dB"]) == 8
    assert set(report["timings_s"]) == {"sounds", "scan", "field", "map", "render", "write"}
    assert report["frames"] == {"start": 1, "count": 12, "fps": 24.0, "duration_s": 0.5}
    assert report["map"]["frame"] == 1
    assert report["warnings"] == []


def test_a_quiet_and_a_loud_emitter_keep_their_proportion(tmp_path):
    quiet, loud = (
        Emitter(name, still(1, 1, 1.5), sound(tmp_path / "noise.wav"), level=level)
        for name, level in (("quiet", 60.0), ("loud", 80.0))
    )
    result, _ = bake(job(tmp_path / "job", emitters=(quiet, loud), map=None, format="ambix"))
    rms = {s["emitter"]: np.sqrt(np.mean(soundfile.read(s["file"])[0][:, 0] ** 2)) for s in result["stems"]}
    assert 20 * np.log10(rms["loud"] / rms["quiet"]) == pytest.approx(20.0, abs=0.7)
    assert soundfile.info(result["mix"]).channels == 4
    assert result["map"] is None


def test_without_a_mix_only_the_stems_are_written(tmp_path):
    work = job(tmp_path, mix=False, map=None, format="stereo")
    result, _ = bake(work)
    assert result["mix"] is None
    assert {path.name for path in work.output.iterdir()} == {
        "stem_Talker.wav",
        "stem_Music.wav",
        "report.json",
        ".stems",
    }


@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        ({"format": "7.1.4"}, 12),
        ({"format": "ambix", "order": 3, "sample_type": "float"}, 16),
        ({"format": "stereo-ortf", "file_type": "flac", "sample_type": "16"}, 2),
    ],
)
def test_formats_files_and_samples_are_those_that_were_wished_for(tmp_path, settings, channels):
    result, _ = bake(job(tmp_path, map=None, **settings))
    file = soundfile.info(result["mix"])
    assert file.channels == channels
    assert Path(result["mix"]).suffix == "." + settings.get("file_type", "wav")
    assert file.subtype == {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}[settings.get("sample_type", "24")]
    assert np.any(soundfile.read(result["mix"])[0])


def test_the_parts_of_a_stem_sum_to_it(tmp_path):
    work = job(tmp_path, map=None, parts=True, wetness=0.75, reverb_gain=-3.0, format="ambix", sample_type="float")
    result, _ = bake(work)
    assert [(p["emitter"], p["part"]) for p in result["parts"]] == [
        (name, part) for name in ("Talker", "Music") for part in ("direct", "early", "late")
    ]
    for stem in result["stems"]:
        whole, _ = soundfile.read(stem["file"])
        parts = [soundfile.read(p["file"])[0] for p in result["parts"] if p["emitter"] == stem["emitter"]]
        assert all(part.any() for part in parts)
        np.testing.assert_allclose(sum(parts), whole, atol=1e-6)


def test_a_cone_is_heard_where_it_points_and_in_the_room_by_its_power(tmp_path):
    """A Speaker that looks at the listener, away, and one without a cone, in the same place."""
    here, ears, cone = np.array([1.0, 1.0, 1.5]), np.array([3.0, 2.0, 1.6]), Cone(60.0, 60.0, 0.1)
    levels = {}
    for name, way in (("towards", ears - here), ("away", here - ears), ("all", None)):
        axes = np.linalg.qr(np.column_stack([(1.0, 0, 0) if way is None else way, (0, 1.0, 0), (0, 0, 1.0)]))[0]
        axes[:, 0] *= np.sign(axes[:, 0] @ ((1.0, 0, 0) if way is None else way))
        path = replace(still(*here), rotations=np.tile(axes, (12, 1, 1)))
        emitter = Emitter("Talker", path, sound(tmp_path / "noise.wav"), cone=None if way is None else cone)
        options = {"map": None, "parts": True, "format": "mono", "sample_type": "float", "reflections": 0}
        result, _ = bake(job(tmp_path, emitters=(emitter,), **options))
        parts = {p["part"]: soundfile.read(p["file"])[0] for p in result["parts"]}
        levels[name] = {part: 10.0 * np.log10(np.square(parts[part]).sum()) for part in ("direct", "late")}
    assert levels["towards"]["direct"] == pytest.approx(levels["all"]["direct"], abs=0.01)
    assert levels["away"]["direct"] == pytest.approx(levels["all"]["direct"] - 20.0, abs=0.05)
    # Reverberation makes up for how it meets the direct sound, by a decibel or so.
    assert levels["towards"]["late"] == pytest.approx(levels["away"]["late"], abs=0.01)
    assert levels["away"]["late"] == pytest.approx(levels["all"]["late"] + 10.0 * np.log10(cone.power[0]), abs=2.0)


def test_wet_and_dry(tmp_path):
    levels = {}
    for wetness in (0.0, 1.0):
        work = job(tmp_path / str(wetness), map=None, parts=True, wetness=wetness, sample_type="float")
        result, _ = bake(work)
        levels[wetness] = [np.abs(soundfile.read(p["file"])[0]).max() for p in result["parts"][:3]]
    assert levels[0.0][0] > 0.0 and levels[0.0][1] == levels[0.0][2] == 0.0
    assert levels[1.0][0] == 0.0 and levels[1.0][1] > 0.0 and levels[1.0][2] > 0.0


def test_a_loudness_is_reached_or_the_peak_is_named(tmp_path):
    result, events = bake(job(tmp_path / "a", map=None, loudness=-40.0, sample_type="float"))
    report = json.loads(Path(result["report"]).read_text(encoding="utf-8"))
    assert report["audio"]["loudness_LUFS"] == pytest.approx(-40.0) and warnings(events) == []
    samples, rate = soundfile.read(result["mix"])
    assert pyloudnorm.Meter(rate).integrated_loudness(samples) == pytest.approx(-40.0, abs=0.1)
    result, events = bake(job(tmp_path / "b", map=None, loudness=0.0, peak=-6.0))
    report = json.loads(Path(result["report"]).read_text(encoding="utf-8"))
    assert report["audio"]["true_peak_dBTP"] == pytest.approx(-6.0, abs=0.01)
    assert any("LUFS instead of 0" in text for text in warnings(events))


@pytest.mark.filterwarnings("ignore")  # of the package that reads SOFA
def test_impulse_responses_of_chosen_frames(tmp_path):
    work = job(tmp_path, map=None, frame_start=101, impulse_frames=(101, 112), impulse_type="both", format="ambix")
    result, _ = bake(work)
    names = [Path(path).name for path in result["impulse_responses"]]
    assert names == [f"ir_{name}{end}" for name in ("Talker", "Music") for end in ("_101.wav", "_112.wav", ".sofa")]
    samples, rate = soundfile.read(work.output / "ir_Talker_101.wav")
    assert rate == RATE and samples.shape[1] == 4
    onset = np.linalg.norm(np.array([1, 1, 1.5]) - [3, 2, 1.6]) / 343.2 * RATE
    assert np.argmax(np.abs(samples[:, 0])) == pytest.approx(onset, abs=1.0)
    sofa = sofar.read_sofa(str(work.output / "ir_Talker.sofa"), verify=True, verbose=False)
    np.testing.assert_allclose(np.reshape(sofa.Data_IR, (2, 4, -1))[0, :, : len(samples)], samples.T, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # of the package that reads SOFA
def test_impulse_responses_of_a_grid_of_places(tmp_path):
    work = job(tmp_path, map=None, impulse_spacing=1.5, impulse_type="both", format="mono", reflections=2)
    result, _ = bake(work)
    report = json.loads(Path(result["report"]).read_text(encoding="utf-8"))
    grid = np.array(report["impulse_grid_m"])
    assert [3.0, 2.0, 1.6] in grid.tolist() and set(grid[:, 2]) == {1.6}
    steps = (grid - (3.0, 2.0, 1.6)) / 1.5
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert ((grid[:, :2] > 0) & (grid[:, :2] < (6, 5))).all() and len(grid) >= 9
    sofa = sofar.read_sofa(str(work.output / "ir_Talker_grid.sofa"), verify=True, verbose=False)
    np.testing.assert_allclose(sofa.ListenerPosition, grid, atol=1e-3)
    names = [Path(path).name for path in result["impulse_responses"] if "Talker" in path]
    assert names == [*(f"ir_Talker_grid_{n:04d}.wav" for n in range(1, len(grid) + 1)), "ir_Talker_grid.sofa"]
    for number, place in enumerate(grid[:5], start=1):
        samples, _ = soundfile.read(work.output / f"ir_Talker_grid_{number:04d}.wav")
        onset = np.linalg.norm(np.array([1, 1, 1.5]) - place) / 343.2 * RATE
        around = np.abs(samples[max(round(onset) - 20, 0) : round(onset) + 6])  # before any reflection
        assert np.argmax(around) + max(round(onset) - 20, 0) == pytest.approx(onset, abs=1.0)


@pytest.mark.parametrize(("spacing", "words"), [(99.0, None), (0.1, "places in the rooms")])
def test_a_grid_of_too_many_places_is_refused(tmp_path, spacing, words):
    work = job(tmp_path, map=None, impulse_spacing=spacing, scene=boxes(((0, 0, 0), (60, 50, 3))), reflections=0)
    if words is None:
        assert len(bake(work)[0]["impulse_responses"]) == 2
    else:
        with pytest.raises(UserError, match=words):
            bake(work)
        assert not work.output.exists()


@pytest.mark.skipif(os.name != "posix", reason="there are no limits on files elsewhere")
@pytest.mark.parametrize("limit", [20_000, 90_000])
def test_a_full_disk_leaves_what_was_there(tmp_path, limit):
    """A limit on the size of files stands in for the disk: stems, then tracks do not fit."""
    import resource

    work = job(tmp_path, map=None, format="mono", sample_type="float")
    work.output.mkdir()
    (work.output / "mix.wav").write_text("from an earlier bake")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(UserError, match="make room on the disk"):
            bake(work)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in work.output.iterdir()] == ["mix.wav"]
    assert (work.output / "mix.wav").read_text() == "from an earlier bake"


def test_a_sound_that_vanishes_while_it_is_baked_is_named(tmp_path):
    work = job(tmp_path, map=None)

    def remove(event: dict) -> None:
        if event.get("stage") == "render":
            (tmp_path / "noise.wav").unlink(missing_ok=True)

    with pytest.raises(UserError, match=r"noise\.wav is missing") as caught:
        run(work, remove, scan=DiffuseField.scan)
    assert caught.value.object_name == "Talker" and not work.output.exists()


def test_pitch_is_heard(tmp_path):
    soundfile.write(tmp_path / "tone.wav", 0.1 * np.sin(2 * np.pi * 400.0 * np.arange(2 * RATE) / RATE), RATE)
    talker = Emitter("Talker", still(1, 1, 1.5), str(tmp_path / "tone.wav"), pitch=1.5)
    result, _ = bake(job(tmp_path, map=None, emitters=(talker,), format="mono", wetness=0.0))
    samples, _ = soundfile.read(result["mix"])
    spectrum = np.abs(np.fft.rfft(samples[1000:7000] * np.hanning(6000), 1 << 16))
    assert np.argmax(spectrum) * RATE / (1 << 16) == pytest.approx(600.0, abs=1.0)


def test_without_reflections_the_early_part_is_silent(tmp_path):
    result, _ = bake(job(tmp_path, map=None, parts=True, reflections=0))
    early = [p["file"] for p in result["parts"] if p["part"] == "early"]
    assert not any(soundfile.read(file)[0].any() for file in early)


def test_a_map_alone_needs_no_listener(tmp_path):
    work = job(tmp_path, kind="map", listener=None)
    result, events = bake(work)
    assert result["stems"] == []
    assert result["mix"] is None
    assert {path.name for path in work.output.iterdir()} == {
        "loudness.png",
        "loudness_map.png",
        "report.json",
        ".stems",
    }
    assert result["map"]["max"] - result["map"]["min"] >= 10
    assert warnings(events) == []


def test_a_fixed_range_is_kept(tmp_path):
    ground = FloorMap(8, 8, (0, 0, 0), (6, 0, 0), (0, 5, 0), np.zeros((0, 3, 3)), range=(33.0, 77.0))
    result, _ = bake(job(tmp_path, kind="map", map=ground))
    assert (result["map"]["min"], result["map"]["max"]) == (33.0, 77.0)


def test_one_frame_is_enough(tmp_path):
    noise = sound(tmp_path / "noise.wav")
    result, _ = bake(
        job(
            tmp_path,
            n_frames=1,
            emitters=(Emitter("Talker", still(1, 1, 1.5, frames=1), noise),),
            listener=Listener("Camera", still(3, 2, 1.6, frames=1)),
        )
    )
    assert soundfile.info(result["mix"]).frames >= RATE // 24


def test_baking_again_replaces_what_was_written(tmp_path):
    work = job(tmp_path, map=None)
    bake(work)
    (work.output / "mix.wav").write_text("old")
    result, _ = bake(work)
    assert soundfile.info(result["mix"]).frames > 0


def test_only_what_changed_is_rendered_anew(tmp_path):
    work = job(tmp_path, map=None)
    result, _ = bake(work)
    first = {name: Path(path).read_bytes() for name, path in ((s["emitter"], s["file"]) for s in result["stems"])}

    def rendered(changed: Job) -> list[str]:
        bake(changed)
        return json.loads((changed.output / "report.json").read_text(encoding="utf-8"))["rendered"]

    talker, music = work.emitters
    assert rendered(work) == []
    moved = replace(work, emitters=(replace(talker, trajectory=still(1.5, 1, 1.5)), music))
    assert rendered(moved) == ["Talker"]
    assert rendered(replace(moved, reverb_gain=-6.0)) == []
    assert rendered(work) == ["Talker"]
    again = {path.name: path.read_bytes() for path in work.output.glob("stem_*.wav")}
    assert {f"stem_{name}.wav": data for name, data in first.items()} == again


def test_kept_emitters_stay_as_they_were(tmp_path):
    work = job(tmp_path, map=None)
    bake(work)
    talker, music = work.emitters
    moved = [replace(emitter, trajectory=still(3, 3, 1.5)) for emitter in (talker, music)]
    result, _ = bake(replace(work, emitters=moved, kept=("Music",)))
    report = json.loads(Path(result["report"]).read_text(encoding="utf-8"))
    assert report["rendered"] == ["Talker"]
    assert len(report["stems"]) == 2 and result["mix"]


def test_the_same_seed_gives_the_same_sound(tmp_path):
    first, again = (bake(job(tmp_path / name, map=None))[0] for name in ("a", "b"))
    assert Path(first["mix"]).read_bytes() == Path(again["mix"]).read_bytes()


def test_the_field_itself_bakes_a_small_room(tmp_path):
    work, events = job(tmp_path), []
    result = run(work, events.append)
    report = json.loads(Path(result["report"]).read_text(encoding="utf-8"))
    assert warnings(events) == []
    # Eyring: 0.161 * 90 / (-126 * ln(0.9)) = 1.09 s; the air takes its part at the top.
    times = report["emitters"][0]["parameters"]["T30_s"]
    assert times[3] == pytest.approx(1.09, rel=0.2)
    assert times[7] < times[3]
    assert 60.0 < report["map"]["percentiles"]["50"] < 90.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gain": 0.0}, "“Talker” is muted"),
        ({"starts": (99.0,)}, "“Talker” does not sound"),
        ({"starts": (-99.0,)}, "“Talker” does not sound"),
        ({"starts": ()}, "“Talker” does not sound"),
    ],
)
def test_emitters_that_will_not_be_heard_are_named(tmp_path, changes, message):
    noise = sound(tmp_path / "noise.wav")
    work = job(tmp_path, emitters=(Emitter("Talker", still(1, 1, 1.5), noise, **changes),))
    assert any(message in text for text in warnings(bake(work)[1]))


def test_a_silent_file_is_named(tmp_path):
    quiet = Emitter("Talker", still(1, 1, 1.5), sound(tmp_path / "silence.wav", silent=True))
    result, events = bake(job(tmp_path, emitters=(quiet,)))
    assert any("sound of “Talker” is silent" in text for text in warnings(events))
    assert not np.any(soundfile.read(result["mix"])[0])


def test_the_free_field_is_said_to_be_one(tmp_path):
    _, events = bake(job(tmp_path, scene=boxes()))
    assert "free field" in warnings(events)[0]


def test_who_stands_outside_or_inside_something_is_named(tmp_path):
    noise = sound(tmp_path / "noise.wav")
    path = np.linspace((3, 2, 1.6), (20, 2, 1.6), 12)
    work = job(
        tmp_path,
        scene=boxes(ROOM, ((9.9, 9.9, 0.9), (10.1, 10.1, 1.1))),
        emitters=(
            Emitter("Boxed", still(10, 10, 1), noise),
            Emitter("Gone", still(-1, 1, 1), noise),
        ),
        listener=Listener("Camera", Trajectory(np.arange(12) / 24.0, path)),
        frame_start=101,
    )

    class Walled(DiffuseField):
        def covers(self, points):
            return ((points > 0) & (points < (6, 5, 3))).all(axis=1)

    events: list[dict] = []
    run(work, events.append, scan=Walled.scan)
    told = {event["object"]: event["message"] for event in events if event["event"] == "warning"}
    assert "“Boxed” is inside an object" in told["Boxed"]
    assert "“Gone” is outside the rooms" in told["Gone"]
    assert "“Camera” is outside the rooms at frame 103" in told["Camera"]  # 3 + 2 * 17 / 11 is beyond 6 m


def test_an_open_scene_is_said_to_be_open(tmp_path):
    class Open(DiffuseField):
        def __init__(self, scene):
            super().__init__(scene)
            self.escape = 0.4

    events: list[dict] = []
    run(job(tmp_path, map=None), events.append, scan=Open.scan)
    assert "40 % of the sound gets out" in warnings(events)[0]


def test_a_missing_sound_is_named_before_anything_slow_is_done(tmp_path):
    work = job(tmp_path, emitters=(Emitter("Talker", still(1, 1, 1.5), str(tmp_path / "gone.wav")),))

    def scan(*_: object, **__: object) -> None:
        raise AssertionError("the scan has started")

    with pytest.raises(UserError, match=r"gone\.wav") as caught:
        run(work, lambda event: None, scan=scan)
    assert caught.value.object_name == "Talker"
    assert not work.output.exists()


@pytest.mark.parametrize("stage", ["scan", "field", "map", "render", "write"])
def test_an_interrupted_job_leaves_nothing_behind(tmp_path, stage):
    work = job(tmp_path)
    work.output.mkdir()
    (work.output / "mix.wav").write_text("from an earlier bake")

    def stop(event: dict) -> None:
        if event.get("stage") == stage:
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        run(work, stop, scan=DiffuseField.scan)
    assert [path.name for path in work.output.iterdir()] == ["mix.wav"]
    assert (work.output / "mix.wav").read_text() == "from an earlier bake"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="choose another output folder"):
        bake(job(tmp_path))


def test_an_output_folder_that_is_a_file_is_named(tmp_path):
    work = job(tmp_path)
    work.output.write_text("a file")
    with pytest.raises(UserError, match="choose another output folder"):
        bake(work)
    assert work.output.read_text() == "a file"


def test_stem_names_are_safe_and_distinct():
    names = ["Talker", "talker", "a/b\\c:d", "..", "", "é", "x" * 500, "con", "Talker_2", "a\nb"]
    found = stem_names(names)
    assert found[:3] == ["stem_Talker.wav", "stem_talker_2.wav", "stem_a_b_c_d.wav"]
    assert len({name.casefold() for name in found}) == len(names)
    for name in found:
        assert len(name.encode()) < 255
        assert not set(name) & set('/\\:*?"<>|\n')
        assert name.startswith("stem_")


def test_progress_is_the_share_of_all_the_work():
    events: list[dict] = []
    progress = Progress(events.append, {"a": 1.0, "b": 3.0})
    with progress.stage("a", "A"):
        pass
    with progress.stage("b", "B", 0.5) as step:
        step(1.0)
    with progress.stage("b", "B", 0.5):
        pass
    with progress.stage("c", "C"):
        pass
    fractions = {(event["stage"], event["fraction"]) for event in events}
    assert {("a", 0.0), ("b", 0.25), ("b", 0.625), ("c", 1.0)} <= fractions
    assert set(progress.seconds) == {"a", "b", "c"}


# The worker as a process.

WORKER = """
import sys
from pathlib import Path
from tests.fake_field import DiffuseField
from naf_core.worker import worker
{more}
sys.exit(worker(Path(sys.argv[1]), DiffuseField.scan))
"""


def start(folder: Path, more: str = "") -> subprocess.Popen:
    root = Path(__file__).resolve().parent.parent
    return subprocess.Popen(
        [sys.executable, "-c", WORKER.format(more=more), str(folder)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_worker_says_one_json_object_a_line_and_nothing_else(tmp_path):
    work = job(tmp_path, map=None)
    work.save(tmp_path / "job")
    process = start(tmp_path / "job")
    out, _ = process.communicate(timeout=120)
    events = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0
    assert {event["event"] for event in events} == {"progress", "done"}
    assert Path(events[-1]["result"]["mix"]).is_file()


def test_an_error_of_the_persons_ends_with_code_1(tmp_path):
    process = start(tmp_path / "nowhere")
    out, err = process.communicate(timeout=120)
    (event,) = (json.loads(line) for line in out.splitlines())
    assert process.returncode == 1
    assert event["event"] == "error"
    assert "nowhere" in event["message"]
    assert err == ""


def test_an_unexpected_error_ends_with_code_2_and_a_traceback(tmp_path):
    job(tmp_path, map=None).save(tmp_path / "job")
    process = start(tmp_path / "job", "DiffuseField.covers = lambda *_: 1 / 0")
    out, err = process.communicate(timeout=120)
    last = json.loads(out.splitlines()[-1])
    assert process.returncode == 2
    assert last["event"] == "error"
    assert last["message"].startswith("unexpected ZeroDivisionError")
    assert "Traceback" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a terminated process is not told")
def test_a_terminated_worker_cleans_up(tmp_path):
    job(tmp_path, map=None).save(tmp_path / "job")
    process = start(tmp_path / "job", "import time; DiffuseField.covers = lambda *_: time.sleep(60)")
    for line in process.stdout:
        if json.loads(line)["stage"] == "scan":
            break
    deadline = time.monotonic() + 20
    assert list((tmp_path / "out").glob(".part-*"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert time.monotonic() < deadline
    assert process.returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "out").exists()
