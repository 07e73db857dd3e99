from __future__ import annotations

import numpy as np
import pytest

from naf_core.directivity import Cone, Directivity, gains
from naf_core.errors import UserError
from naf_core.response import FRAME_EDGES
from naf_core.tracer import trace, trace_balanced
from tests.shapes import box, material, quad, scene_of

CONE = Directivity((0.0, 0.0, 2.0), inner=60.0, outer=120.0, outer_gain=0.1)


def towards(degrees: float) -> np.ndarray:
    """The direction so many degrees off the z axis, (1, 3)."""
    angle = np.radians(degrees)
    return np.array([[np.sin(angle), 0.0, np.cos(angle)]], np.float32)


@pytest.mark.parametrize(("degrees", "amplitude"), [(0, 1.0), (29, 1.0), (45, 0.55), (61, 0.1), (180, 0.1)])
def test_a_cone_is_full_inside_and_falls_linearly_to_its_outer_gain(degrees, amplitude):
    np.testing.assert_allclose(CONE.gain(towards(degrees)), np.full((1, 8), amplitude**2), rtol=1e-3)


def test_low_bands_bend_around_a_small_emitter():
    small = Directivity((0, 0, 1), 60.0, 120.0, 0.0, radius=0.1)
    behind = small.gain(towards(180))[0]
    assert (np.diff(behind) < 0.0).all()
    assert behind[0] > 0.98
    assert behind[-1] < 0.01
    half = 1.0 / (1.0 + (2.0 * np.pi * 500.0 / 343.2 * 0.1) ** 2)
    assert behind[3] == pytest.approx(half, rel=1e-3)
    np.testing.assert_allclose(small.gain(towards(0)), 1.0)


def test_emitters_without_a_pattern_send_all_ways():
    direction = np.concatenate([towards(180)] * 3)
    energy = gains([None, CONE], np.array([0, 1, 0]), direction)
    np.testing.assert_allclose(energy[:, 0], [1.0, 0.01, 1.0], rtol=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"axis": (0, 0, 0)},
        {"axis": (np.nan, 0, 0)},
        {"axis": (1, 0, 0), "inner": 90.0, "outer": 60.0},
        {"axis": (1, 0, 0), "outer": 400.0},
        {"axis": (1, 0, 0), "outer_gain": 1.5},
        {"axis": (1, 0, 0), "radius": 0.0},
    ],
)
def test_impossible_patterns_are_refused(values):
    with pytest.raises(UserError, match="give"):
        Directivity(**values)


def test_an_even_pattern_changes_nothing():
    room = scene_of((box([0, 0, 0], [4, 3, 2.5]), material(0.5, 0.5)))
    plain, even = (
        trace(room, [[1, 1, 1]], [[3, 2, 1.5]], rays=200, directivity=pattern)
        for pattern in (None, [Directivity((1, 0, 0))])
    )
    np.testing.assert_array_equal(plain.energy, even.energy)
    np.testing.assert_array_equal(plain.direct, even.direct)


def test_a_cone_shapes_direct_sound_and_what_the_rough_floor_returns():
    # The floor is what the listener hears reflections from: an emitter that looks up lights it with a tenth of the
    # amplitude, a hundredth of the energy.
    floor = quad([-50, -50, 0], [50, -50, 0], [50, 50, 0], [-50, 50, 0])
    scene = scene_of((floor, material(0.2, 1.0)))
    above, beside = [0.0, 0.0, 3.0], [1.5, 0.0, 1.5]
    for listener, gain in ((above, 1.0), (beside, 0.01)):
        free, shaped = (
            trace(scene, [[0, 0, 1.5]], [listener], rays=4000, directivity=pattern) for pattern in (None, [CONE])
        )
        np.testing.assert_allclose(shaped.direct, gain * free.direct, rtol=1e-3)
        np.testing.assert_allclose(shaped.energy[..., 0].sum(), 0.01 * free.energy[..., 0].sum(), rtol=0.02)


def test_a_cone_shapes_mirrored_sound_by_where_it_left():
    floor = quad([-50, -50, 0], [50, -50, 0], [50, 50, 0], [-50, 50, 0])
    scene = scene_of((floor, material(0.2, 0.0)))
    free, shaped = (
        trace(scene, [[0, 0, 1.5]], [[0, 0, 3.0]], rays=300, directivity=pattern)[0, 0] for pattern in (None, [CONE])
    )
    assert (free.energy[..., 0].sum(axis=-1) > 0.0).all()
    np.testing.assert_allclose(shaped.energy, 0.01 * free.energy, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(shaped.direct, free.direct, rtol=1e-5)


def test_the_energy_of_a_cone_goes_somewhere():
    room = scene_of((box([0, 0, 0], [4, 3, 2.5]), material(0.3, 0.5)))
    _, balance = trace_balanced(room, [[1, 1, 1]], [[3, 2, 1.5]], rays=4000, seed=1, directivity=[CONE])
    z = np.linspace(-1.0, 1.0, 20_001)
    sent = CONE.gain(np.stack([np.sqrt(1.0 - z**2), 0.0 * z, z], axis=1)).mean(axis=0)
    np.testing.assert_allclose((balance.absorbed + balance.escaped + balance.remaining)[0], sent, rtol=0.01)


@pytest.mark.parametrize(
    ("inner", "outer", "gain"),
    [(60.0, 120.0, 0.1), (0.0, 0.0, 0.5), (0.0, 360.0, 0.0), (90.0, 90.1, 0.3), (90.0, 90.2, 0.3), (30.0, 330.0, 0.7)],
)
def test_the_power_is_the_mean_over_the_sphere(inner, outer, gain):
    cone = Cone(inner, outer, gain, radius=0.1)
    z = np.linspace(-1.0, 1.0, 400_001)
    np.testing.assert_allclose(cone.power, cone.gain(z).mean(axis=0, dtype=np.float64), rtol=1e-5)


def test_a_cone_that_sends_alike_has_the_power_one():
    for cone in (Cone(), Cone(10.0, 20.0, 1.0), Cone(360.0, 360.0, 0.0)):
        assert cone.even
        np.testing.assert_allclose(cone.power, 1.0)
    assert not Cone(np.array([360.0, 90.0]), 360.0, 0.0).even


def test_in_a_diffuse_room_the_power_is_what_is_left_of_late_sound():
    """The reference engine with and without a cone, from 80 ms on; nearer, it is not diffuse yet."""
    room = scene_of((box([0, 0, 0], [5, 4, 3]), material(0.1, 1.0)))
    cone = Directivity((1.0, 0.3, 0.1), 40.0, 120.0, 0.05, radius=0.05)
    plain, shaped = (
        trace(room, [[1, 1, 1]], [[3.5, 2.5, 1.5]], rays=20_000, directivity=pattern, seed=2)[0, 0]
        for pattern in (None, [cone])
    )
    late = FRAME_EDGES[:-1] >= 0.08
    ratio = shaped.energy[:, late, 0].sum(axis=1) / plain.energy[:, late, 0].sum(axis=1)
    np.testing.assert_allclose(10.0 * np.log10(ratio / cone.cone.power), 0.0, atol=0.3)


def test_there_is_one_pattern_for_each_emitter():
    with pytest.raises(UserError, match="2 directivities for 1 emitters"):
        trace(scene_of(), [[0, 0, 0]], [[1, 0, 0]], directivity=[None, None])
