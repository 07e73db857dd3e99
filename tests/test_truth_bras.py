from __future__ import annotations

import math

import numpy as np
import pytest

from naf_core.errors import UserError
from naf_core.raycast import Raycaster
from naf_core.truth import bras


def test_the_room_is_read_whole():
    scene = bras.read_scene(bras.DATA, "fitted")
    corners = scene.vertices[scene.triangles].astype(float)
    volume = abs(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6.0
    assert len(scene.triangles) == 457
    assert volume == pytest.approx(146.0, abs=0.5)
    assert [material.name for material in scene.materials] == [
        f"mat_CR2_{name}" for name in ("windows", "plaster", "floor", "concrete", "ceiling")
    ]
    assert (scene.air.temperature, scene.air.humidity) == (19.5, 41.7)
    emitters, listeners = bras.read_positions(bras.DATA)
    assert len(emitters) == 2 and len(listeners) == 5
    caster = Raycaster(scene)
    for direction in np.vstack([np.eye(3), -np.eye(3)]).astype(np.float32):
        points = np.concatenate([emitters, listeners]).astype(np.float32)
        assert (caster.intersect(points, np.tile(direction, (7, 1))).triangle >= 0).all()  # all stand inside


def test_octaves_are_means_of_thirds():
    # The ceiling's published absorption at 400, 500 and 630 Hz, before BRAS fitted it: 0.092, 0.056, 0.056.
    ceiling = bras.read_scene(bras.DATA, "initial").materials[4]
    assert ceiling.absorption[3] == pytest.approx(0.068)


def test_differences_are_in_what_can_be_noticed():
    measured = bras.read_measured(bras.DATA)
    assert measured["T30_s"].shape == (2, 5, 8)
    assert np.isnan(measured["T30_s"]).sum() == 1  # one value at 63 Hz could not be measured
    assert measured["EDT_s"][0, 0, 1] == 1.4442
    off = {key: 1.1 * values for key, values in measured.items()}
    found = bras.differences(off, measured)
    for key in ("T30_s", "EDT_s"):
        np.testing.assert_allclose(found[key][..., 1:], 2.0)
    np.testing.assert_allclose(found["C80_dB"], 0.1 * measured["C80_dB"])
    np.testing.assert_allclose(found["Ts_s"], 10.0 * measured["Ts_s"])


def test_a_short_trace_comes_near_the_measured_room():
    measured = bras.read_measured(bras.DATA)
    response = bras.simulate(bras.DATA, "fitted", rays=400)
    found = bras.differences(response.parameters(), measured)
    middle = slice(3, 7)
    assert np.abs(found["T30_s"][..., middle].mean(axis=(0, 1))).max() < 3.0
    assert np.abs(found["C80_dB"][..., middle]).mean() < 2.0
    # The direct sound is 1 / r^2 less a little for the air.
    expected = np.broadcast_to(1.0 / response.distance[..., None] ** 2, response.direct.shape)
    np.testing.assert_allclose(response.direct, expected, rtol=0.15)
    assert (response.direct < expected).all()


def test_missing_data_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(bras, "DATA", tmp_path)
    found = bras.figures()
    assert len(found) == 3
    assert all(math.isnan(figure.value) and "measured.json" in figure.note for figure in found)
    (tmp_path / "materials" / "fitted").mkdir(parents=True)
    (tmp_path / "CR2.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl mat_CR2_door\nf 1 2 3\n")
    with pytest.raises(UserError, match="mat_CR2_door"):
        bras.read_scene(tmp_path, "fitted")


def test_the_fitted_absorption_is_that_of_eyrings_formula():
    measured = np.nanmean(bras.read_measured(bras.DATA)["T30_s"], axis=(0, 1))
    ratio = bras.eyring(bras.read_scene(bras.DATA, "fitted")) / measured
    np.testing.assert_allclose(ratio[[1, 3, 4, 5, 6]], 1.0, atol=0.03)
    assert ratio[2] == pytest.approx(0.82, abs=0.02)  # 250 Hz was not met by the fit
