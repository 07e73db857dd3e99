"""Tests of the published neural acoustic field, at a small size: network, training, checkpoints, phases."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from naf_core.errors import UserError
from naf_core.recordings import published
from naf_core.recordings.naf import BANDWIDTHS, Naf, NafConfig, embed, head_directions
from naf_core.recordings.phases import PHASES, with_phases
from naf_core.recordings.published import PublishedNaf
from naf_core.recordings.recordingset import RecordingSet
from naf_core.recordings.spectrogram import BINS, RATE, frame_count, log_magnitudes

SMALL = {"width": 32, "depth": 4, "features": 8, "epochs": 12, "points": 400, "batch": 3, "rate": 3e-3}
SAMPLES = 4096


def a_set(places: int = 6, channels: int = 1, seed: int = 0) -> RecordingSet:
    """Responses of an impulse and decaying noise, louder to the right."""
    rng = np.random.default_rng(seed)
    emitters = rng.uniform((0.5, 0.5, 1.0), (3.5, 2.5, 1.6), (places, 3))
    listeners = np.broadcast_to([2.0, 1.5, 1.3], (places, 3)).copy()
    time = np.arange(SAMPLES) / RATE
    noise = rng.standard_normal((places, channels, SAMPLES)) * np.exp(-20.0 * time)
    responses = 0.02 * noise * np.exp(0.5 * emitters[:, 0])[:, None, None]
    for row, far in zip(responses, np.linalg.norm(emitters - listeners, axis=1), strict=True):
        arrival = round(far / 343.2 * RATE)
        row[:, :arrival] = 0.0
        row[:, arrival] = 1.0
    return RecordingSet("made up", "simulated", RATE, responses.astype(np.float32), emitters, listeners)


def where(recordings: RecordingSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return recordings.emitters, recordings.listeners, recordings.rotations


def test_the_published_size_has_the_published_number_of_parameters() -> None:
    network = Naf(NafConfig(), np.array([[0.0, 0.0, 1.5], [8.0, 5.0, 1.5]]), channels=2)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(2.2e6, rel=0.1)


def test_the_grid_is_read_by_normalised_kernels_of_bounded_width() -> None:
    network = Naf(NafConfig(**SMALL), np.array([[0.0, 0.0, 1.0], [2.0, 1.0, 1.0]]), channels=1)
    with torch.no_grad():
        network.grid[:] = 1.0
        assert network.read_grid(torch.rand(5, 3)) == pytest.approx(np.ones((5, 8)), rel=1e-5)
        network.grid[:] = network.nodes[:, :1]
        network.bandwidth.fill_(1e-9)
        narrow = network.read_grid(torch.tensor([[1.0, 0.5, 1.0]]))
        network.bandwidth.fill_(BANDWIDTHS[0])
        assert torch.equal(narrow, network.read_grid(torch.tensor([[1.0, 0.5, 1.0]])))
    assert narrow[0, 0] == pytest.approx(1.0, abs=0.02)


def test_embeddings_hold_the_value_and_waves_up_to_the_top_exponent() -> None:
    found = embed(torch.tensor([[0.25]]), 3, 4.0).numpy()[0]
    phase = np.pi * 0.25 * np.array([1.0, 4.0, 16.0])
    assert found == pytest.approx([0.25, *np.sin(phase), *np.cos(phase)], abs=1e-5)


def test_heads_are_told_by_quarter_turns() -> None:
    turns = np.radians([0.0, 80.0, 190.0, -95.0])
    rotations = np.array([[[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]] for t in turns])
    assert head_directions(rotations).tolist() == [0, 1, 2, 3]


def test_training_learns_and_goes_on_from_a_checkpoint_as_if_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "_EVERY", 0.0)  # a checkpoint after each epoch
    train, path = a_set(), tmp_path / "naf.safetensors"
    whole = PublishedNaf(seed=1, **SMALL)
    whole.fit(train)
    assert np.mean(whole.losses[-4:]) < 0.9 * np.mean(whole.losses[:2])

    class Cancelled(Exception):
        pass

    def cancel(fraction: float) -> None:
        if fraction > 0.9:
            raise Cancelled

    stopped = PublishedNaf(seed=1, checkpoint=path, **SMALL)
    with pytest.raises(Cancelled):
        stopped.fit(train, cancel)
    fractions: list[float] = []
    resumed = PublishedNaf(seed=1, checkpoint=path, **SMALL)
    resumed.fit(train, fractions.append)
    assert min(fractions) == pytest.approx(21 / 24)  # after epoch 10 of 12, two steps each
    assert resumed.losses == pytest.approx(whole.losses, rel=1e-4)
    assert resumed.log_magnitudes(*where(train)) == pytest.approx(whole.log_magnitudes(*where(train)), abs=1e-3)

    assert published.settings_of(path) == asdict(NafConfig(**SMALL))
    again = PublishedNaf(seed=1, checkpoint=path, **published.settings_of(path))
    fractions.clear()
    again.fit(train, fractions.append)
    assert fractions == [1.0]  # finished: nothing is trained
    with pytest.raises(UserError, match="other recordings"):
        PublishedNaf(seed=2, checkpoint=path, **SMALL).fit(train)
    again.save(tmp_path / "trained.safetensors")
    loaded = PublishedNaf.load(tmp_path / "trained.safetensors")
    assert np.array_equal(loaded.log_magnitudes(*where(train)), again.log_magnitudes(*where(train)))
    assert loaded.features(train.emitters).shape == (len(train), SMALL["features"])


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    path, settings = tmp_path / "naf.safetensors", {**SMALL, "epochs": 1}
    method = PublishedNaf(**settings)
    method.fit(a_set())
    method.save(path)
    whole = path.read_bytes()
    for length in (0, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="cannot be read"):
            PublishedNaf.load(path)
        with pytest.raises(UserError, match="cannot be read"):
            published.settings_of(path)
    path.write_bytes(whole.replace(b"published NAF 1", b"published NAF 9"))
    with pytest.raises(UserError, match="train it again"):
        PublishedNaf.load(path)
    with pytest.raises(UserError, match="22050"):
        method.fit(replace(a_set(), sample_rate=48_000))
    with pytest.raises(UserError, match="of one place"):
        method.fit(a_set()[np.zeros(3, int)])
    path.write_bytes(whole.replace(b"published NAF 1", b"published NAF 9"))
    with pytest.raises(UserError, match="of this version"):
        PublishedNaf(checkpoint=path, **settings).fit(a_set())
    with pytest.raises(UserError, match="no phase"):
        PublishedNaf(phase="none")


def test_whole_responses_of_two_ears_and_coarser_ones() -> None:
    train = a_set(channels=2)
    method = PublishedNaf(**{**SMALL, "epochs": 2})
    method.fit(train)
    method.stride = 1
    fine = method.log_magnitudes(*where(train))
    assert fine.shape == (len(train), 2, BINS, frame_count(SAMPLES))
    method.stride = 3
    coarse = method.log_magnitudes(*where(train))
    assert coarse[..., ::3, ::3] == pytest.approx(fine[..., ::3, ::3], abs=1e-4)
    assert method.respond(*where(train)).shape == train.responses.shape
    assert method.stored_bytes() > 4 * BINS * frame_count(SAMPLES)


def test_half_precision_and_parts_change_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    train, settings = a_set(), {**SMALL, "epochs": 6}
    exact, half = PublishedNaf(half=False, **settings), PublishedNaf(half=True, **settings)
    monkeypatch.setattr(published, "_ROWS", 10**9)
    exact.fit(train)
    monkeypatch.setattr(published, "_ROWS", 700)
    parts = PublishedNaf(half=False, **settings)
    for method in (half, parts):
        method.fit(train)
    assert parts.losses == pytest.approx(exact.losses, rel=1e-4)
    assert half.losses == pytest.approx(exact.losses, rel=0.02)
    fine = exact.log_magnitudes(*where(train))
    assert parts.log_magnitudes(*where(train)) == pytest.approx(fine, abs=2e-3)
    exact.half = True
    assert np.abs(exact.log_magnitudes(*where(train)) - fine).mean() < 0.01


def test_whole_responses_are_those_of_single_values() -> None:
    network = Naf(NafConfig(**SMALL), np.array([[0.0, 0.0, 1.0], [2.0, 1.0, 1.0]]), channels=2).eval()
    with torch.inference_mode():
        places, heads = network.places(torch.rand(3, 3), torch.rand(3, 3)), torch.tensor([0, 1, 3])
        pixels = network.pixels(2.0 * torch.rand(50, 2) - 1.0)
        whole = network.whole(places, heads, pixels, rows=16)
        assert whole.shape == (3, 2, 50)
        assert whole.numpy() == pytest.approx(network(places, heads, pixels[None]).numpy(), abs=1e-5)


@pytest.mark.parametrize("phase", PHASES)
def test_phases_give_the_magnitudes_asked_for_as_far_as_waveforms_can(phase: str) -> None:
    train = a_set()
    wanted = log_magnitudes(train.responses)
    found = with_phases(wanted, SAMPLES, train.direct_samples, phase, seed=0)
    error = np.abs(log_magnitudes(found) - wanted).mean()
    assert error < {"random": 1.0, "griffin-lim": 0.45, "even": 0.8, "direct": 0.8}[phase]
    if phase in ("even", "direct"):
        assert all(
            not row[0, : max(start - 40, 0)].any() for row, start in zip(found, train.direct_samples, strict=True)
        )
