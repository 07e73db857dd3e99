from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naf_core.air import Air
from naf_core.convergence import Noise
from naf_core.tracer import trace_balanced
from naf_core.truth import balance, diffuse
from naf_core.truth.furnished import EMITTER, LISTENER, furnished_room
from naf_core.truth.plans import PLANS, ear_clipped
from tests.shapes import box, material, scene_of


def enclosed(scene: object) -> float:
    """Signed volume in m3 of a closed surface whose triangles all go round alike."""
    a, b, c = np.moveaxis(scene.vertices[scene.triangles].astype(float), 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


@pytest.mark.parametrize(("size", "spread"), [((3.0, 3.0, 3.0), 0.342), ((3.0, 3.0, 6.0), 0.356), ((2, 10, 10), 0.464)])
def test_free_paths_spread_as_kuttruff_tabulates(size, spread):
    # Kuttruff, "Room Acoustics", table 5.1, from random paths between diffuse walls.
    found = diffuse.free_path_spread(np.array(size, float), np.random.default_rng(1))
    assert found == pytest.approx(spread, rel=0.06)


def test_the_formula_is_sabines_for_little_absorption():
    size, air = np.array([5.0, 4.0, 3.0]), Air()
    found = diffuse.reverberation_time(size, np.full(8, 0.01), air)
    loss = 94.0 * 0.01 + 4.0 * 60.0 * air.absorption()
    np.testing.assert_allclose(found, 0.161 * 60.0 / loss, rtol=0.003)


@given(st.integers(5, 12), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_ears_cover_a_polygon_once(corners, seed):
    rng = np.random.default_rng(seed)
    angle = np.linspace(0.0, 2.0 * np.pi, corners, endpoint=False)
    star = rng.uniform(0.5, 3.0, corners)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    triangles = ear_clipped(star)
    a, b, c = np.moveaxis(star[triangles], 1, 0)
    u, v = b - a, c - a
    areas = 0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    after = np.roll(star, -1, axis=0)
    assert (areas >= 0.0).all()
    assert areas.sum() == pytest.approx(0.5 * (star[:, 0] * after[:, 1] - star[:, 1] * after[:, 0]).sum())


def test_a_polygon_the_wrong_way_round_is_refused():
    with pytest.raises(ValueError, match="counterclockwise"):
        ear_clipped(np.array([[0, 0], [0, 1], [1, 1], [1, 0]], float))


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_plans_are_closed_rooms(plan):
    _, found = trace_balanced(plan.scene(Air()), plan.emitter, plan.listeners, rays=200, seed=1)
    assert (found.escaped == 0.0).all()


@pytest.mark.parametrize("count", [1000, 5000])
def test_the_furnished_room_has_as_many_triangles_as_wanted_in_one_shape(count):
    scene = furnished_room(count)
    assert 0.6 * count < len(scene.triangles) < 1.3 * count
    assert np.ptp(scene.bounds, axis=0) == pytest.approx([9.0, 7.0, 3.2])
    _, found = trace_balanced(scene, EMITTER, LISTENER, rays=200, seed=1)
    assert (found.escaped == 0.0).all()


def test_lost_energy_is_found(monkeypatch):
    room = scene_of((box([0, 0, 0], [4, 3, 2.5]), material(0.4, 0.5)))
    ends = np.array([[1.0, 1, 1], [3, 2, 1.5]])
    monkeypatch.setattr(balance, "_RAYS", 500)
    monkeypatch.setattr(balance, "_RUNS", 4)
    lost, error = balance._lost(room, ends)
    assert lost < 0.6
    assert 0.001 < error < 0.3
    original = balance.trace_balanced

    def leaking(*arguments: object, **options: object) -> object:
        response, found = original(*arguments, **options)
        found.absorbed *= 0.9
        return response, found

    monkeypatch.setattr(balance, "trace_balanced", leaking)
    assert balance._lost(room, ends)[0] > 8.0


def test_one_sided_sound_is_found(monkeypatch):
    room = scene_of((box([0, 0, 0], [4, 3, 2.5]), material(0.4, 0.5)))
    ends = np.array([[1.0, 1, 1], [2, 1, 2], [3, 2, 1.5], [1, 2, 1.5]])
    monkeypatch.setattr(balance, "_MOST_RAYS", 1600)
    fair = balance._difference(room, ends, 1)
    assert fair.shape == (4, 3, 6)
    original, calls = balance.trace_until, []

    def biased(*arguments: object, **options: object) -> tuple[object, Noise]:
        response, noise = original(*arguments, **options)
        calls.append(1)
        if len(calls) == 2:  # the way back
            response.energy[:] *= 1.5
        return response, noise

    monkeypatch.setattr(balance, "trace_until", biased)
    unfair = balance._difference(room, ends, 1)
    assert np.sqrt(np.mean(fair[:, 2] ** 2)) < 2.5
    assert np.sqrt(np.mean(unfair[:, 2] ** 2)) > 5.0
