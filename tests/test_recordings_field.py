"""Tests of the recorded field's learning: energies, regression, even noise, shaping, the method as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naf_core.bands import N_BANDS
from naf_core.carriers import octave_filters
from naf_core.errors import UserError
from naf_core.recorded import Kernel, RecordedField
from naf_core.recordings import learning
from naf_core.recordings.decays import read_decays, read_whole
from naf_core.recordings.evennoise import even_noise
from naf_core.recordings.ours import RecordingsField
from naf_core.recordings.recordingset import RecordingSet
from naf_core.recordings.regression import Places, choose, left_out, solve, told
from naf_core.recordings.shaping import bands_of_all
from naf_core.recordings.spectrogram import RATE, log_magnitudes
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, N_FRAMES

HEARD = slice(2, 7)  # bands 250 Hz to 4 kHz
DECAY = 6.0 * np.log(10.0) / 0.3  # 1/s
LEVEL = 8.0  # energy a second of what is reflected, over that of the direct sound at 1 m


def a_set(places: int, seed: int, level_slope: float = 0.0) -> RecordingSet:
    """Responses of 0.4 s: an impulse by 1 / r, then Gaussian noise that decays in 0.3 s and is louder to the right."""
    rng = np.random.default_rng(seed)
    emitters = rng.uniform((0.5, 0.5, 1.0), (4.5, 3.5, 2.0), (places, 3))
    listeners = np.broadcast_to([2.5, 2.0, 1.5], (places, 3)).copy()
    distance = np.linalg.norm(emitters - listeners, axis=1)
    samples = round(0.4 * RATE)
    responses = np.zeros((places, 1, samples), np.float32)
    for row, far, emitter in zip(responses, distance, emitters, strict=True):
        arrival = round(far / 343.2 * RATE)
        row[0, arrival] = 1.0 / far
        time = np.arange(samples - arrival) / RATE
        power = LEVEL / RATE * np.exp(-DECAY * (time + far / 343.2) + level_slope * emitter[0])
        row[0, arrival:] += np.sqrt(power) * rng.standard_normal(len(time)) * (time > 0.004)
    return RecordingSet("made up", "simulated", RATE, responses, emitters, listeners)


@pytest.fixture(scope="module")
def learned() -> RecordingsField:
    method = RecordingsField()
    method.fit(a_set(12, seed=0, level_slope=0.5))
    return method


def test_energies_of_an_impulse_and_of_a_decay_are_read_as_they_are() -> None:
    decays = read_decays(np.concatenate([a_set(1, seed=k).responses for k in range(6)]), _arrivals(6), RATE)
    distance = np.array([a_set(1, seed=k).distances[0] for k in range(6)])
    assert decays.direct[:, HEARD] * distance[:, None] ** 2 == pytest.approx(np.ones((6, 5)), rel=0.1)
    assert decays.rate[:, HEARD].mean() == pytest.approx(DECAY, rel=0.05)
    # 100 to 200 ms after the direct sound.
    frames = (FRAME_EDGES[:-1] >= 0.1) & (FRAME_EDGES[1:] <= 0.2)
    start, stop = FRAME_EDGES[:-1][frames][0], FRAME_EDGES[1:][frames][-1]
    wanted = LEVEL / DECAY * (np.exp(-DECAY * start) - np.exp(-DECAY * stop)) * np.exp(-DECAY * distance / 343.2)
    found = decays.reflected[:, HEARD][..., frames].sum(axis=-1)
    assert np.log(found / wanted[:, None]).mean() == pytest.approx(0.0, abs=0.1)


def test_recordings_without_a_decay_are_refused() -> None:
    click = np.zeros((3, 1, 4000), np.float32)
    click[..., 100] = 1.0
    with pytest.raises(UserError, match="No decay"):
        read_decays(click, np.full(3, 100), RATE)


def test_logarithms_of_the_energies_of_noise_lack_what_is_added() -> None:
    rate, frame = 22_050, int(np.argmin(np.abs(FRAME_EDGES - 0.05)))  # of 10 ms
    noise = np.random.default_rng(0).standard_normal((400, rate // 8)).astype(np.float32)
    spectrum = np.fft.rfft(noise)
    bands = np.fft.irfft(spectrum[:, None] * octave_filters(noise.shape[1], rate)[2:7], noise.shape[1])
    start = round(0.05 * rate)
    energy = np.square(bands[..., start : start + round(FRAME_WIDTHS[frame] * rate)]).sum(axis=-1)
    short = np.log(energy.mean(axis=0)) - np.log(energy).mean(axis=0)
    assert learning._short_of_mean(rate)[2:7, 1 + frame] == pytest.approx(short, rel=0.35, abs=0.1)
    assert not learning._short_of_mean(rate)[:, 0].any()


def test_left_out_errors_are_those_of_leaving_out() -> None:
    rng = np.random.default_rng(0)
    factor, values = rng.standard_normal((9, 9)), rng.standard_normal((9, 2))
    covariance = factor @ factor.T + np.eye(9)
    others = np.delete(np.arange(9), 4)
    told = covariance[4, others] @ np.linalg.solve(covariance[np.ix_(others, others)], values[others])
    assert left_out(covariance, values)[4] == pytest.approx(values[4] - told)


def test_regression_finds_what_is_smooth_and_leaves_what_is_not() -> None:
    rng = np.random.default_rng(0)
    pairs = np.concatenate([rng.uniform(0.0, 5.0, (60, 3)), np.zeros((60, 3))], axis=1)
    places = Places(pairs, None, np.log(np.linalg.norm(pairs[:, :3], axis=1)))
    values = 0.3 * rng.standard_normal((60, N_BANDS, 2))
    values[..., 0] += 2.0 * np.sin(pairs[:, :1])
    mirrored = Kernel((0,), centre=(2.5, 0.0, 0.0))  # which this is not
    kernel, amplitudes = choose([mirrored, Kernel()], places, values)
    assert kernel == Kernel()
    assert amplitudes[0] >= 1.0 and amplitudes[1] <= 0.1
    weights, trend, constant = solve(kernel, amplitudes, places, values)
    x = np.linspace(1.0, 4.0, 7)
    asked = np.stack([x, *np.full((2, 7), 2.5), *np.zeros((3, 7))], axis=1)
    found = np.einsum("mn,nbc->mbc", kernel.between(asked, pairs), weights) + constant
    found += np.log(np.linalg.norm(asked[:, :3], axis=1))[:, None, None] * trend
    assert np.abs(found[..., 0] - 2.0 * np.sin(x)[:, None]).mean() < 0.3
    assert np.abs(found[..., 1]).mean() < 0.2
    # What all but one tell of it is what is told when it has not been there.
    rest = places[np.arange(1, 60)]
    weights, trend, constant = solve(kernel, amplitudes, rest, values[1:])
    without = np.einsum("mn,nbc->mbc", places[[0]].like(kernel, rest), weights) + places.far[0] * trend + constant
    assert told(kernel, amplitudes, places, values)[0] == pytest.approx(without[0], abs=1e-6)


def test_even_noise_is_even_and_differs_less_from_noise_than_noise_does() -> None:
    even, inside = even_noise(RATE // 2, 0), slice(4, -4)
    assert np.mean(np.square(even)) == pytest.approx(1.0, rel=1e-3)
    logarithms = log_magnitudes(even)[1:-1, inside]
    noise = np.random.default_rng(1).standard_normal((2, RATE // 2)).astype(np.float32)
    one, other = log_magnitudes(noise)[:, 1:-1, inside]
    assert logarithms.std() < 0.25 < 0.6 < one.std()
    assert np.abs(logarithms - one).mean() < 0.8 * np.abs(other - one).mean()


def test_bands_of_all_are_one_everywhere() -> None:
    for rate in (16_000, 22_050, 48_000):
        assert bands_of_all(4096, rate).sum(axis=0) == pytest.approx(1.0)


def test_what_is_learned_beats_nearest_and_keeps_levels(learned: RecordingsField) -> None:
    train, test = a_set(12, seed=0, level_slope=0.5), a_set(8, seed=1, level_slope=0.5)
    where = test.emitters, test.listeners, test.rotations
    found = learned.respond(*where)
    assert found.shape == test.responses.shape and found.dtype == np.float32
    near = np.linalg.norm(test.emitters[:, None] - train.emitters, axis=-1).argmin(axis=1)
    wanted = log_magnitudes(test.responses)
    nearest = np.abs(log_magnitudes(train.responses[near]) - wanted).mean()
    assert np.abs(log_magnitudes(found) - wanted).mean() < 0.8 * nearest
    assert np.abs(learned.log_magnitudes(*where) - wanted).mean() < 0.75 * nearest
    energy = np.square(found).sum(axis=-1) / np.square(test.responses).sum(axis=-1)
    assert np.abs(10.0 * np.log10(energy)).mean() < 0.6
    arrivals = np.abs(found[:, 0]).argmax(axis=1)
    assert np.abs(arrivals - test.direct_samples).max() <= 1


def test_energies_and_waveforms_tell_the_same(learned: RecordingsField) -> None:
    test = a_set(4, seed=2)
    energies = learned.energies(test.emitters, test.listeners)
    quiet = RecordingsField()
    quiet.field, quiet.voice, quiet.noisy = learned.field, learned.voice, False
    found = read_decays(quiet.respond(test.emitters, test.listeners, test.rotations), test.direct_samples, RATE)
    ratio = found.reflected[:, HEARD, 2:20] / energies.energy[:, HEARD, 2:20, 0]
    assert np.abs(10.0 * np.log10(ratio)).mean() < 0.7
    assert 10.0 * np.log10(found.direct / energies.direct)[:, HEARD] == pytest.approx(np.zeros((4, 5)), abs=0.7)
    assert energies.parameters()["T30_s"][:, HEARD].mean(axis=1) == pytest.approx(np.full(4, 0.3), rel=0.05)


def test_whatever_noise_is_drawn_the_whole_sound_falls_as_recorded() -> None:
    train = a_set(12, seed=0, level_slope=0.5)
    heard = read_whole(train.responses, train.direct_samples, RATE)
    decays = read_decays(train.responses, train.direct_samples, RATE)
    for seed in (1, 2):
        method = RecordingsField(seed=seed)
        method.fit(train)
        made = method.voice.respond(decays.direct, decays.reflected, train.direct_samples)
        off = np.log(heard / read_whole(made, train.direct_samples, RATE)).mean(axis=0)
        assert np.abs(off[:20]).max() < 0.01  # 0.03 and more where octaves alone are right


def test_what_is_learned_survives_its_file_which_is_small(learned: RecordingsField, tmp_path: Path) -> None:
    path = tmp_path / "room.safetensors"
    learned.save(path)
    assert path.stat().st_size == pytest.approx(learned.stored_bytes(), abs=32) and path.stat().st_size < 5000
    again = RecordingsField.load(path)
    where = [2.0, 1.0, 1.2], [2.5, 2.0, 1.5], np.eye(3)
    where = tuple(np.array(w)[None] for w in where)
    before, after = learned.respond(*where), again.respond(*where)
    assert np.linalg.norm(after - before) < 0.05 * np.linalg.norm(before)
    assert RecordedField.load(path).predict(*where[:2]).energy.shape == (1, N_BANDS, N_FRAMES, 4)
    RecordedField.load(path).save(path)  # without its sound
    with pytest.raises(UserError, match="sound"):
        RecordingsField.load(path)


def test_too_few_recordings_are_refused_and_fitting_can_be_cancelled() -> None:
    with pytest.raises(UserError, match="1 recording: give 2"):
        RecordingsField().fit(a_set(1, seed=0))
    one = a_set(4, seed=0)[np.zeros(3, int)]
    with pytest.raises(UserError, match="made up has recordings of one place only"):
        RecordingsField().fit(one)
    silent = a_set(4, seed=0)
    silent.responses[2] = 0.0
    with pytest.raises(UserError, match="Response 2 of made up is silent"):
        RecordingsField().fit(silent)
    with pytest.raises(UserError, match="ends before the direct sound"):
        RecordingsField().fit(a_set(4, seed=0).lasting(0.002))

    class Cancelled(Exception):
        pass

    def cancel(fraction: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        RecordingsField().fit(a_set(4, seed=0), cancel)


def _arrivals(count: int) -> np.ndarray:
    return np.array([a_set(1, seed=k).direct_samples[0] for k in range(count)])
