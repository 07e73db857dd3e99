"""Recording sets: files, SOFA, folders of sounds, and the checks that look for mistakes in them."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from naf_core.errors import UserError
from naf_core.impulses import Impulses, write_sofa
from naf_core.recordings import checks, datasets, files, folder, sofa
from naf_core.recordings.recordingset import RecordingSet, aligned, calibrated, joined, places, split

RATE = 16_000
HERE = os.environ.get(datasets.R3VIVAL_VARIABLE)


def made(count: int = 12, channels: int = 1, seed: int = 0, length: float = 0.3) -> RecordingSet:
    """Decaying noise after a direct sound, at places drawn in a room; a head is louder on the side of the source."""
    rng = np.random.default_rng(seed)
    emitters, listeners = (rng.uniform([0.5, 0.5, 1.0], [6.5, 4.5, 2.0], (count, 3)) for _ in range(2))
    time = np.arange(round(length * RATE)) / RATE
    responses = np.zeros((count, channels, len(time)), np.float32)
    for row in range(count):
        way = emitters[row] - listeners[row]
        distance = np.linalg.norm(way)
        direct = round(distance / 343.2 * RATE)
        late = rng.standard_normal((channels, len(time))) * np.exp(-time / 0.05) * 0.02
        responses[row] = np.where(np.arange(len(time)) > direct + 40, late, 0.0)
        gain = np.array([1.0]) if channels == 1 else 1.0 + 0.4 * np.array([1.0, -1.0]) * way[1] / distance
        responses[row, :, direct] = gain / distance
    return RecordingSet("made", "simulated", RATE, responses, emitters, listeners)


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    whole = replace(made(4, 2), box=np.array([[0, 0, 0], [7, 5, 3]]), notes=("käse", ""), levels_known=False)
    files.save(whole, tmp_path / "set.h5")
    again = files.load(tmp_path / "set.h5")
    for name in ("responses", "emitters", "listeners", "rotations", "facings", "box"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert (again.name, again.kind, again.notes, again.levels_known) == ("made", "simulated", ("käse", ""), False)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.0, 1.0))
def test_a_damaged_file_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, seed: int, share: float) -> None:
    path = tmp_path_factory.mktemp("damage") / "set.h5"
    files.save(made(2, length=0.02), path)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(0, len(data), 8):
        data[at] = rng.integers(256)
    path.write_bytes(data[: max(int(share * 2 * len(data)), 1)])
    try:
        files.load(path)
    except UserError as error:
        assert str(path) in error.message or "made" in error.message or "Response" in error.message


def test_files_of_other_kinds_and_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    with pytest.raises(UserError, match="missing"):
        files.load(path)
    with h5py.File(path, "w") as file:
        file.attrs["recordings"] = np.bytes_("acoustic-fields recordings 99")
    with pytest.raises(UserError, match="of this version"):
        files.load(path)
    files.save(made(2, length=0.02), path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"set\.h5 cannot be read as recordings .*import it again"):
        files.load(path)


def test_a_file_that_claims_more_than_it_holds_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    files.save(made(2, length=0.02), path)
    with h5py.File(path, "a") as file:
        del file["responses"]
        file.create_dataset("responses", (2, 1, 10**8), np.float32, compression="gzip", chunks=(1, 1, 10**6))
    with pytest.raises(UserError, match="more than the file holds"):
        files.load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"responses": np.zeros((0, 1, 5))}, "no responses"),
        ({"sample_rate": 100}, "sample rate"),
        ({"emitters": np.zeros((3, 3))}, "shape"),
        ({"listeners": np.full((2, 3), np.nan)}, "finite"),
        ({"responses": np.full((2, 1, 5), np.nan)}, "not finite"),
        ({"box": np.zeros((2, 3))}, "no volume"),
        ({"kind": "guessed"}, "guessed"),
        ({"speed_of_sound": 1100.0}, "speed of sound"),
    ],
)
def test_sets_that_do_not_fit_together_are_refused(change: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        replace(made(2), **change)


def test_held_out_places_share_nothing_with_the_others() -> None:
    whole = made(10)
    doubled = joined([whole, replace(whole, responses=0.5 * whole.responses)], "twice")
    train, test = split(doubled, 3, seed=1)
    assert len(train) == 14 and len(test) == 6
    ends = [{tuple(row) for row in np.hstack([part.emitters, part.listeners])} for part in (train, test)]
    assert not ends[0] & ends[1]
    again = split(doubled, 3, seed=1)[1]
    np.testing.assert_array_equal(again.emitters, test.emitters)
    assert list(places(doubled)) == [*range(10), *range(10)]


@pytest.mark.parametrize("held", [0, 1, 5])
def test_one_place_cannot_be_split(held: int) -> None:
    with pytest.raises(UserError, match="Record more positions"):
        split(made(1), held, seed=0)


def test_alignment_puts_direct_sounds_where_distances_say() -> None:
    whole = made(6)
    late = replace(whole, responses=np.roll(whole.responses, 100, axis=-1))
    np.testing.assert_array_equal(aligned(late).responses[..., :-100], whole.responses[..., :-100])


def test_calibration_makes_the_direct_sound_a_unit_impulse_at_one_metre() -> None:
    whole = made(6)
    loud = calibrated(replace(whole, responses=7.0 * whole.responses))
    np.testing.assert_allclose(loud.responses, whole.responses, rtol=0.05)
    with pytest.raises(UserError, match="no direct sound"):
        calibrated(replace(whole, responses=0.0 * whole.responses))


def test_resampling_keeps_the_spectrum_of_an_impulse() -> None:
    whole = made(3)
    other = whole.at_rate(22_050)
    spectra = [np.abs(np.fft.rfft(part.responses[0, 0], round(0.5 * part.sample_rate))) for part in (whole, other)]
    np.testing.assert_allclose(spectra[1][100:3000], spectra[0][100:3000], rtol=0.02, atol=0.01)


def impulses(rotation: np.ndarray) -> Impulses:
    whole = made(3, 2)
    rotations = np.broadcast_to(rotation, (3, 3, 3))
    samples = [response.T for response in whole.responses]
    return Impulses(samples, whole.emitters, whole.listeners, rotations, [1, 2, 3], RATE, "binaural", "made")


def test_our_own_sofa_files_are_read(tmp_path: Path) -> None:
    turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    written = impulses(turned)
    write_sofa(tmp_path / "room.sofa", written)
    found = sofa.read_sofa(tmp_path / "room.sofa")
    assert found.kind == "simulated" and found.sample_rate == RATE
    np.testing.assert_allclose(found.responses, np.stack(written.samples).swapaxes(1, 2), atol=1e-7)
    np.testing.assert_allclose(found.emitters, written.emitters)
    np.testing.assert_allclose(found.rotations, written.rotations, atol=1e-12)


def test_several_emitters_become_responses_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "many.sofa"
    write_sofa(path, impulses(np.eye(3)))
    with h5py.File(path, "a") as file:
        file.attrs["SOFAConventions"] = np.bytes_("SingleRoomMIMOSRIR")
        file.attrs["DataType"] = np.bytes_("FIR-E")
        old = file["Data.IR"][:]
        for name in ("Data.IR", "Data.Delay", "EmitterPosition"):
            del file[name]
        file["Data.IR"] = np.stack([old, 0.5 * old], axis=3).swapaxes(2, 3)  # M, R, E, N
        file["Data.Delay"] = np.array([[[0.0, 5.0]] * 2])  # samples
        file["EmitterPosition"] = np.array([[[0.0], [0.0], [0.0]], [[0.0], [2.0], [0.0]]])
    found = sofa.read_sofa(path)
    assert len(found) == 6
    np.testing.assert_allclose(found.emitters[1] - found.emitters[0], [0.0, 2.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(found.responses[1, :, 5:], 0.5 * found.responses[0, :, :-5])


def test_sofa_files_of_heads_and_cut_off_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "room.sofa"
    write_sofa(path, impulses(np.eye(3)))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"room\.sofa cannot be read as a SOFA file .*copy it again"):
        sofa.read_sofa(path)
    path.write_bytes(data)
    with h5py.File(path, "a") as file:
        file.attrs["SOFAConventions"] = np.bytes_("SimpleFreeFieldHRIR")
    with pytest.raises(UserError, match="free field, not of a room"):
        sofa.read_sofa(path)


def table_of(tmp_path: Path, rows: list[dict[str, object]]) -> Path:
    path = tmp_path / "positions.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*folder.COLUMNS, "azimuth"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def row_of(name: str, x: object = 1.0) -> dict[str, object]:
    ends = {f"{who}_{axis}": 1.0 for who in ("emitter", "listener") for axis in "xyz"}
    return {"file": name, **ends, "emitter_x": x, "azimuth": 90}


def test_a_folder_of_mixed_rates_and_lengths_becomes_one_set(tmp_path: Path) -> None:
    impulse = np.zeros(4000, np.float32)
    impulse[1000] = 0.5
    soundfile.write(tmp_path / "a.wav", impulse, 48_000, subtype="FLOAT")
    soundfile.write(tmp_path / "b.wav", impulse[:1500], 24_000, subtype="FLOAT")
    found = folder.read_folder(tmp_path, table_of(tmp_path, [row_of("a.wav"), row_of("b.wav", 2.0)]))
    assert found.responses.shape == (2, 1, 4000)
    assert found.responses[1, 0].argmax() == 2000
    # The DFT of the slower file is what it was below its own limit.
    assert abs(abs(np.fft.fft(found.responses[1, 0])[50]) - 0.5) < 0.01
    np.testing.assert_allclose(found.rotations[0] @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    assert "24000 Hz were converted" in found.notes[0] and "differ in length" in found.notes[1]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (row_of("none.wav"), "missing"),
        (row_of("../out.wav"), "outside"),
        (row_of("a.wav", "far"), "not a number"),
        (row_of("a.wav", "nan"), "not a number"),
        (row_of("text.wav"), "cannot be read as sound"),
        (row_of("empty.wav"), "empty"),
        (row_of("nan.wav"), "not finite"),
        (row_of("stereo.wav"), "2 channels"),
        (row_of(""), "names no file"),
    ],
)
def test_rows_that_cannot_be_read_are_named(tmp_path: Path, row: dict, words: str) -> None:
    for name, samples in {
        "a": np.ones(10),
        "empty": np.zeros(0),
        "nan": np.full(10, np.nan),
        "stereo": np.ones((10, 2)),
    }.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 48_000, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(UserError, match=words):
        folder.read_folder(tmp_path, table_of(tmp_path, [row_of("a.wav"), row]))


def test_a_table_without_rows_or_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        folder.read_folder(tmp_path, table_of(tmp_path, []))
    (tmp_path / "other.csv").write_text("file,x\na.wav,1\n")
    with pytest.raises(UserError, match="no column emitter_x"):
        folder.read_folder(tmp_path, tmp_path / "other.csv")


def said(recordings: RecordingSet) -> str:
    return " ".join(checks.suspicions(recordings))


def test_good_recordings_raise_no_suspicion() -> None:
    assert checks.suspicions(made(20)) == []
    assert checks.suspicions(made(20, 2)) == []
    assert checks.suspicions(datasets.dechorate()) == []


def loud_and_clipped() -> tuple[np.ndarray, ...]:
    """A sound without a flat top (n,), and what converters make of it and of noise that are too loud."""
    sound = np.convolve(made(1).responses[0, 0], np.hanning(14)).astype(np.float32)
    noise = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    return sound, np.clip(sound, -0.3 * sound.max(), 0.3 * sound.max()), np.clip(noise, -2.0, 2.0)


def test_clipping_is_found_in_files_of_any_rate(tmp_path: Path) -> None:
    for name, samples in zip("abc", loud_and_clipped(), strict=True):
        soundfile.write(tmp_path / f"{name}.wav", samples, 44_100, subtype="FLOAT")
    table = table_of(tmp_path, [row_of("a.wav"), row_of("b.wav", 2.0), row_of("c.wav", 3.0)])
    for rate in (44_100, 48_000):
        notes = folder.read_folder(tmp_path, table, rate).notes
        assert (
            notes[0].startswith("b.wav is clipped")
            and notes[1].startswith("c.wav is clipped")
            and "a.wav" not in " ".join(notes)
        )


def test_clipping_is_found_in_sofa_files(tmp_path: Path) -> None:
    samples = [np.stack([sound, sound], axis=1) for sound in loud_and_clipped()]
    write_sofa(tmp_path / "room.sofa", replace(impulses(np.eye(3)), samples=samples))
    assert sofa.read_sofa(tmp_path / "room.sofa").notes[0].startswith("Response 1, Response 2 are clipped")


def test_delays_that_were_cut_off_do_not_tell_a_unit() -> None:
    whole = made(20)
    far = replace(whole, emitters=3.0 * whole.emitters, listeners=3.0 * whole.listeners)
    cut = np.stack([np.roll(r, 20 - at, axis=-1) for r, at in zip(whole.responses, whole.direct_samples, strict=True)])
    for room in (replace(whole, responses=cut), replace(far, responses=cut, emitters=3.0 * whole.emitters)):
        assert "seem to be" not in said(room) and "do not arrive when" in said(room)
    feet = replace(whole, responses=cut, emitters=whole.emitters / 0.3048, listeners=whole.listeners / 0.3048)
    assert "are positions in metres" in said(feet)
    noise = np.random.default_rng(0).standard_normal(whole.responses.shape)
    assert "seem to be" not in said(replace(whole, responses=noise))


def test_responses_that_end_too_soon_are_named() -> None:
    whole = made(20)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(whole.responses.shape)
    noisy = replace(whole, responses=whole.responses + noise)
    assert "too short for the distance" in said(noisy.lasting(0.010))
    assert said(noisy.lasting(0.1)) == ""


def test_mistakes_are_suspected_and_said() -> None:
    whole, head = made(20), made(20, 2)
    feet = 1.0 / 0.3048
    assert "in feet" in said(replace(whole, emitters=whole.emitters * feet, listeners=whole.listeners * feet))
    assert "swapped" in said(replace(whole, emitters=whole.emitters[:, [1, 0, 2]]))
    assert "channels seem to be swapped" in said(replace(head, responses=head.responses[:, ::-1]))
    moved = whole.emitters.copy()
    moved[7] += [0.0, 0.0, 2.5]
    assert "Response 7 is seemingly misplaced" in said(replace(whole, emitters=moved))
    silent = whole.responses.copy()
    silent[3] = 0.0
    assert "Response 3 is silent" in said(replace(whole, responses=silent))
    assert "misplaced" not in said(replace(whole, responses=silent))  # silence has no delay
    assert checks.suspicions(replace(whole, responses=0.0 * silent)) == [
        "All responses are silent: import the files again."
    ]
    named = checks.suspicions(replace(whole, responses=silent), [f"{row}.wav" for row in range(20)])
    assert named[0].startswith("3.wav is silent")
    assert "of one place" in said(whole[:1])
    twice = whole.responses.copy()
    twice[5] = twice[4]
    assert "one sound at two places" in said(replace(whole, responses=twice))
    assert "do not arrive when" in said(replace(whole, responses=np.roll(whole.responses, 1, axis=0)))


@pytest.mark.skipif(not HERE, reason=f"{datasets.R3VIVAL_VARIABLE} names no folder")
def test_the_responses_of_r3vival_are_read_as_published() -> None:
    whole = datasets.r3vival("000")
    assert whole.responses.shape == (34, 1, 48_001)
    assert checks.suspicions(whole) == []
    direct = np.abs(np.take_along_axis(whole.responses[:, 0], whole.direct_samples[:, None], 1)[:, 0])
    level = 20.0 * np.log10(direct * whole.distances)
    assert np.ptp(level[:30]) < 3.0


def test_missing_data_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=datasets.R3VIVAL_VARIABLE):
        datasets.r3vival("000", tmp_path)
    with pytest.raises(UserError, match="missing"):
        datasets.dechorate(tmp_path / "none.h5")
