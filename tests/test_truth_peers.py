from __future__ import annotations

import math

import numpy as np
import pytest

from naf_core.truth import peers, speed
from naf_core.truth.furnished import furnished_room
from naf_core.truth.plans import PLANS


def test_parameters_of_an_impulse_response_are_measured():
    # An exponential decay of 0.5 s that sets in 10 ms after emission, 40 samples late as pyroomacoustics has it.
    rate, decay = 16_000, 0.5
    time = np.arange(rate) / rate
    energy = np.exp(-6.0 * np.log(10.0) * time / decay)
    samples = np.concatenate([np.zeros(160 + 40), np.sqrt(energy)])
    t30, c50 = peers.measured(samples, 0.010)
    share = np.exp(-6.0 * np.log(10.0) * 0.05 / decay)
    assert t30 == pytest.approx(decay, rel=0.01)
    assert c50 == pytest.approx(10.0 * np.log10(1.0 / share - 1.0), abs=0.1)


def test_image_sources_and_kuttruff_agree_with_the_engine(monkeypatch):
    monkeypatch.setattr(peers, "_RAYS", 3000)
    t30, c50 = peers._mirrored(PLANS[1])
    assert t30.shape == c50.shape == (4,)
    said = peers.heard(PLANS[1])
    assert np.mean(said[1]) == pytest.approx(np.mean(c50), abs=0.5)
    assert np.mean(said[0]) == pytest.approx(np.mean(t30), rel=0.05)
    assert np.mean(peers.heard(PLANS[0])[0]) == pytest.approx(peers._diffuse(PLANS[0])[0].mean(), rel=0.05)


def test_a_third_decides_between_two(monkeypatch):
    truth = (np.full(4, 1.0), np.full(4, 3.0))
    wrong = (np.full(4, 1.2), np.full(4, 3.1))
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: name == "pyroomacoustics" or None)
    monkeypatch.setattr(peers, "heard", lambda plan: truth)
    monkeypatch.setattr(peers, "_diffuse", lambda plan: (truth[0], None))
    monkeypatch.setattr(peers, "_mirrored", lambda plan: truth)
    for plans, met in ((PLANS[:2], True), (PLANS, False)):
        monkeypatch.setattr(peers, "PLANS", plans)
        monkeypatch.setattr(peers, "heard_in_pyroomacoustics", lambda plan: wrong)
        found = {figure.check: figure for figure in peers.figures()}
        assert found["T30 against pyroomacoustics"].met is met  # only two rooms have a closed form
        assert "the closed form sides with the engine" in found["T30 against pyroomacoustics"].note
        assert found["C50 against pyroomacoustics"].value == pytest.approx(0.1)
        assert math.isnan(found["T30 against acoustic-spaces"].value)
        assert found["T30 of the diffuse box, closed form"].value == pytest.approx(0.0)
        assert "pyroomacoustics +20.00" in found["T30 of the diffuse box, closed form"].note


def test_time_to_the_wanted_noise_follows_from_time_and_variance(monkeypatch):
    clock = iter([0.0, 24.0])
    monkeypatch.setattr(speed.time, "process_time", lambda: next(clock))
    values = np.random.default_rng(1).normal(0.0, 0.3, (speed._RUNS + 1, 1))
    taken, noise = speed._timed(lambda seed: values[seed])
    spread = values[1:].std(ddof=1)
    assert noise == pytest.approx(spread)
    assert taken == pytest.approx(24.0 / speed._RUNS)
    assert speed._to_wanted(taken, noise) == pytest.approx(taken * spread**2 / 0.15**2)


def test_a_scene_is_written_as_wavefront():
    scene = furnished_room(500)
    lines = speed._wavefront(scene).splitlines()
    assert sum(line.startswith("v ") for line in lines) == len(scene.vertices)
    assert sum(line.startswith("f ") for line in lines) == len(scene.triangles)
    assert [line.split()[1] for line in lines if line.startswith("usemtl")] == [m.name for m in scene.materials]
