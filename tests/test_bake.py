"""A bake from the job to the files: what they hold, in which formats, and what is made anew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import sofar
import soundfile

from naf_core.bake import run
from naf_core.directivity import Cone
from naf_core.floormap import FloorMap
from naf_core.job import QUALITIES, Job
from naf_core.scene import Emitter, Listener
from tests.fake_field import DiffuseField
from tests.kitchen import RATE, bake, job, sound, still, warnings


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
    for name in ("towards", "away"):
        assert levels[name]["late"] == pytest.approx(levels["all"]["late"] + 10.0 * np.log10(cone.power[0]), abs=2.0)


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


@pytest.mark.parametrize("quality", QUALITIES)
def test_the_quality_says_how_rooms_are_scanned(tmp_path, quality):
    told = []

    def scan(scene, **options):
        told.append({name: options[name] for name in ("spacing", "effort") if name in options})
        return DiffuseField.scan(scene)

    run(job(tmp_path, map=None, quality=quality), lambda event: None, scan=scan)
    assert told == [QUALITIES[quality]]


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
