"""Spectrograms, rivals, codecs, measures and the table in which methods stand side by side."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naf_core.errors import UserError
from naf_core.recordings import compare, measures, spectrogram
from naf_core.recordings.codecs import AacLc, Opus
from naf_core.recordings.recordingset import RecordingSet, split
from naf_core.recordings.rivals import Interpolation, Mean

RATE = spectrogram.RATE


def decaying(t60: np.ndarray, direct: np.ndarray, length: float = 0.8, seed: int = 0) -> np.ndarray:
    """Noise (n, 1, samples) that falls by 60 dB in ``t60`` s from sample ``direct`` on."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(length * RATE)) / RATE - direct[:, None] / RATE
    noise = rng.standard_normal(time.shape) * 10.0 ** (-3.0 * time / t60[:, None])
    return (0.1 * np.where(time >= 0.0, noise, 0.0))[:, None].astype(np.float32)


def room(count: int = 30, seed: int = 0) -> RecordingSet:
    """Listeners on a square metre before one emitter; the room decays more slowly the farther they go along x."""
    rng = np.random.default_rng(seed)
    listeners = np.column_stack([rng.uniform(2.0, 5.0, (count, 2)), np.full(count, 1.5)])
    emitters = np.broadcast_to([0.0, 0.0, 1.5], (count, 3))
    direct = np.round(np.linalg.norm(listeners, axis=1) / 343.2 * RATE).astype(int)
    responses = decaying(0.2 + 0.1 * listeners[:, 0], direct, seed=seed)
    return RecordingSet("room", "simulated", RATE, responses, emitters, listeners)


def test_a_spectrogram_is_inverted_exactly() -> None:
    signal = np.random.default_rng(0).standard_normal((2, 3, 1000)).astype(np.float32)
    again = spectrogram.waveform(spectrogram.spectra(signal), 1000)
    np.testing.assert_allclose(again, signal, atol=1e-5)
    logarithms = spectrogram.log_magnitudes(signal)
    assert logarithms.shape == (2, 3, spectrogram.BINS, spectrogram.frame_count(1000))
    size = np.abs(spectrogram.spectra(signal))
    np.testing.assert_allclose(spectrogram.magnitudes(logarithms), size, atol=1e-4 * size.max())
    with pytest.raises(ValueError, match="spectral values"):
        spectrogram.waveform(spectrogram.spectra(signal), 2000)


def test_the_spectrogram_of_silence_is_its_floor() -> None:
    np.testing.assert_allclose(spectrogram.log_magnitudes(np.zeros(600)), math.log(spectrogram.FLOOR))


def test_known_decays_are_read() -> None:
    t60 = np.array([0.3, 0.6])
    found = measures.room_figures(decaying(t60, np.array([200, 200])), RATE, np.array([200, 200]))
    np.testing.assert_allclose(found.t60, t60, rtol=0.06)
    np.testing.assert_allclose(found.edt, t60, rtol=0.15)
    clarity = 10.0 * np.log10(10.0 ** (6.0 * 0.05 / t60) - 1.0)
    np.testing.assert_allclose(found.c50, clarity, atol=0.6)
    np.testing.assert_allclose(found.t60_octaves.mean(axis=1), t60, rtol=0.12)


def test_what_cannot_be_read_counts_as_a_failure() -> None:
    direct = np.array([200, 200])
    true = measures.room_figures(decaying(np.array([0.3, 0.6]), direct), RATE, direct)
    silent = measures.room_figures(np.zeros((2, 1, RATE), np.float32), RATE, direct)
    errors, failures = measures.room_errors(silent, true)
    assert failures["t60_percent"] == 2 and failures["c50_octaves_db"] >= 6
    assert math.isnan(errors["t60_percent"])
    same, none = measures.room_errors(true, true)
    assert not any(none.values()) and not any(same.values())


def test_spectral_errors_are_those_of_the_definition() -> None:
    true = spectrogram.log_magnitudes(1e4 * decaying(np.array([0.4]), np.array([0])))
    errors = measures.spectral_errors(true + 0.5, true)
    assert errors["spectral"] == pytest.approx(0.5, rel=1e-5) and errors["mse"] == pytest.approx(0.25, rel=1e-4)
    # A change of level is no change of cepstra, but near the floor.
    assert measures.spectral_errors(true + 0.5, true)["mfcc"] < 3.0
    assert measures.spectral_errors(true[..., ::-1], true)["mfcc"] > 10.0


def test_levels_that_are_lost_do_not_count() -> None:
    responses = decaying(np.array([0.4, 0.5]), np.array([0, 0]))
    loud = responses * np.array([3.0, 0.1])[:, None, None]
    a, b = (measures.spectrogram_of(part, levels_known=False) for part in (responses, loud))
    np.testing.assert_allclose(a, b, atol=1e-3)
    free = measures.level_free_logarithms(spectrogram.log_magnitudes(responses))
    assert np.abs(free - a).mean() < 0.02


def where(recordings: RecordingSet) -> tuple[np.ndarray, ...]:
    return recordings.emitters, recordings.listeners, recordings.rotations


@pytest.mark.parametrize("linear", [False, True])
def test_an_interpolation_gives_back_what_was_recorded(linear: bool) -> None:
    whole = room()
    method = Interpolation(linear)
    method.fit(whole)
    np.testing.assert_allclose(method.respond(*where(whole)), whole.responses, atol=1e-4)
    assert method.stored_bytes() == 2 * whole.responses.size


def test_between_recordings_shares_add_up_and_direct_sounds_meet() -> None:
    whole = room()
    impulses = np.zeros_like(whole.responses)
    impulses[np.arange(len(whole)), 0, whole.direct_samples] = 1.0
    method = Interpolation(linear=True)
    method.fit(replace(whole, responses=impulses))
    inside = np.array([[0.0, 0.0, 1.5]]), np.array([[3.4, 3.3, 1.5]]), np.eye(3)[None]
    answer = method.respond(*inside)[0, 0]
    direct = round(np.linalg.norm(inside[1] - inside[0]) / 343.2 * RATE)
    assert answer[direct] == pytest.approx(1.0, abs=1e-5) and np.count_nonzero(answer) == 1
    outside = method.respond(inside[0], np.array([[30.0, 3.0, 1.5]]), inside[2])[0, 0]
    assert outside.sum() == pytest.approx(1.0, abs=1e-5)


def test_the_nearest_looks_the_same_way() -> None:
    whole = room(2)
    turned = np.stack([np.eye(3), np.diag([-1.0, -1.0, 1.0])])
    same = replace(whole, listeners=np.repeat(whole.listeners[:1], 2, axis=0), rotations=turned)
    method = Interpolation()
    method.fit(same)
    np.testing.assert_array_equal(method.respond(*where(same)), same.responses)


def test_positions_that_are_not_numbers_are_refused() -> None:
    method = Interpolation()
    method.fit(room(5))
    with pytest.raises(UserError, match="finite"):
        method.respond(np.full((1, 3), np.nan), np.zeros((1, 3)), np.eye(3)[None])


def test_the_mean_is_the_mean() -> None:
    whole = room(6)
    mean = Mean()
    mean.fit(whole)
    logarithms = spectrogram.log_magnitudes(whole.responses)
    np.testing.assert_allclose(mean.log_magnitudes(*where(whole))[3], logarithms.mean(axis=0), rtol=1e-5)
    # Overlapping blocks with phases of their own cancel in part: the level falls, the decay stays.
    louder = spectrogram.log_magnitudes(mean.respond(*where(whole)))[..., 10:60].mean()
    assert -1.5 < louder - logarithms[..., 10:60].mean() < 0.2


@pytest.mark.parametrize(("codec", "program"), [(AacLc(24), "ffmpeg"), (Opus(24), "opusenc")])
def test_codecs_keep_time_and_level(codec: AacLc | Opus, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    whole = room(4)
    loud = whole.responses * np.array([1.0, 10.0, 0.1, 1.0], np.float32)[:, None, None]
    back, size = codec.through(loud, RATE)
    assert back.shape == loud.shape
    assert size < 0.25 * 2 * loud.size
    level = [np.square(part, dtype=np.float64).sum(axis=-1)[:, 0] for part in (back, loud)]
    np.testing.assert_allclose(10.0 * np.log10(level[0] / level[1]), 0.0, atol=3.0)
    starts = [part[1, 0, :3000] for part in (back, loud)]
    assert abs(np.correlate(*starts, "full").argmax() - 2999) < 0.001 * RATE


def test_a_codec_that_is_missing_is_left_out_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    rows, answers = compare.compare([split(room(6), 2, 0)], {"coded": lambda: Interpolation(codec=Opus())})
    assert not answers and "apt-get install opus-tools" in rows[0].left_out
    assert "left out" in compare.as_markdown(rows)


def test_methods_stand_side_by_side(tmp_path: Path) -> None:
    makers = {name: make for name, make in compare.rivals().items() if "," not in name}
    folds = [split(room(16), 3, 0)]
    seen = []
    rows, answers = compare.compare(folds, makers, lambda name, part: seen.append((name, part)))
    assert [row.method for row in rows] == ["nearest", "linear", "mean of all"]
    assert set(answers) == set(makers) and {name for name, _ in seen} == set(makers)
    by_name = {row.method: row.figures for row in rows}
    # One noise is farther from another than the mean of noises is.
    assert by_name["mean of all"]["spectral"] < by_name["mean of all"]["spectral_wave"]
    assert by_name["mean of all"]["t60_percent"] > by_name["nearest"]["t60_percent"]
    compare.save_table(rows, tmp_path, ["a note"])
    data = json.loads((tmp_path / "table.json").read_text())
    assert data["notes"] == ["a note"] and data["rows"][0]["energy_ms"] is None
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert len({line.count("|") for line in lines[:5]}) == 1 and lines[-1] == "- a note"


def test_leaving_out_each_place_tests_all() -> None:
    whole = room(5)
    folds = compare.leave_one_out(whole)
    assert [(len(train), len(test)) for train, test in folds] == [(4, 1)] * 5
    np.testing.assert_array_equal(compare.truth(folds).listeners, whole.listeners)
    with pytest.raises(UserError, match="one place"):
        compare.leave_one_out(room(1))


def test_sets_of_another_rate_are_not_compared() -> None:
    with pytest.raises(UserError, match="22050"):
        compare.compare([split(room(6).at_rate(16_000), 2, 0)], {})
