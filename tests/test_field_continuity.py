"""The field keeps to physics: reciprocity, the near field, causality, walls, and no leaps where one walks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naf_core.exchange import Exchange
from naf_core.field import Field
from naf_core.response import FRAME_EDGES
from naf_core.scene import Scene
from tests.shapes import box, material, scene_of, two_rooms

STEP = 0.05  # m
MOST = 0.5  # dB that a step may change in any band


@pytest.fixture(scope="module")
def flat() -> Field:
    """Two rooms joined by a doorway, whose surfaces mirror and scatter."""
    return Field.scan(two_rooms(material(0.25, 0.5), door=(0.5, 1.5)), seed=1, paths=20_000)


@pytest.fixture(scope="module")
def hall() -> Field:
    """A hall of 14 x 12 x 9 m."""
    return Field.scan(scene_of((box((0, 0, 0), (14, 12, 9)), material(0.2, 0.6))), seed=2, spacing=2.0, paths=20_000)


def level(energy: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(energy, 1e-12))


def points_in(low: tuple[float, ...], high: tuple[float, ...]) -> st.SearchStrategy:
    return st.tuples(*(st.floats(a, b) for a, b in zip(low, high, strict=True))).map(np.array)


IN_FLAT = points_in((0.3, 0.3, 0.3), (7.7, 3.7, 2.2))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(emitter=IN_FLAT, listener=IN_FLAT)
def test_emitter_and_listener_may_change_places(flat, emitter, listener):
    there, back = flat.predict(emitter, listener), flat.predict(listener, emitter)
    np.testing.assert_array_equal(there.direct, back.direct)
    np.testing.assert_array_equal(there.distance, back.distance)
    scale = there.energy[..., 0].max()
    np.testing.assert_allclose(there.energy[..., 0], back.energy[..., 0], rtol=1e-3, atol=1e-6 * scale)
    for name, values in there.parameters().items():
        np.testing.assert_allclose(values, back.parameters()[name], rtol=2e-3, atol=2e-3, err_msg=name)


def test_near_an_emitter_the_direct_sound_falls_with_the_square_and_the_rest_hardly(hall):
    emitter = np.array([5.0, 5.0, 1.5])
    distance = np.geomspace(0.1, 1.0, 12)
    listeners = emitter + distance[:, None] * np.array([0.6, 0.8, 0.0])
    response = hall.predict(emitter, listeners)
    air = np.exp(-hall.scene.air.absorption() * distance[:, None])
    np.testing.assert_allclose(response.direct * distance[:, None] ** 2, air, rtol=1e-3)
    reflected = level(response.energy[..., 0].sum(axis=-1))
    assert np.ptp(reflected, axis=0).max() < 1.5  # while the direct sound falls by 20 dB
    total = level(response.total)
    assert (np.diff(total, axis=0) < 0.0).all()
    assert (total[0] - level(response.direct[0]) < 0.2).all()


def walked(field: Field, emitter: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Changes of level (n, 8) in dB along a line in steps of 5 cm, where the emitter is seen and over 1 m away."""
    count = int(np.linalg.norm(end - start) / STEP) + 1
    listeners = np.linspace(start, end, count)
    response = field.predict(emitter, listeners)
    seen = (response.direct[:, 0] > 0.0) & (response.distance > 1.0)
    return np.diff(level(response.total), axis=0)[seen[1:] & seen[:-1]]


@pytest.mark.parametrize("seed", range(6))
def test_a_step_in_the_emitters_room_never_leaps(flat, seed):
    ends = np.random.default_rng(seed).uniform((0.3, 0.3, 0.8), (3.7, 3.7, 2.0), (3, 3))
    jumps = walked(flat, *ends)
    assert len(jumps) > 3
    assert np.abs(jumps).max() < MOST


def test_a_step_in_a_hall_never_leaps(hall):
    jumps = walked(hall, np.array([3.0, 3.0, 1.5]), np.array([1.0, 11.0, 1.2]), np.array([13.0, 2.0, 1.7]))
    assert len(jumps) > 200
    assert np.abs(jumps).max() < MOST


def test_past_a_column_only_mirror_images_leap():
    # Scattering surfaces alone: what probes tell changes slowly, also where the column takes some of them out of sight.
    column = box((2.8, 2.3, 0.0), (3.3, 2.8, 2.6))
    room = scene_of((np.concatenate([box((0, 0, 0), (7, 5, 2.6)), column]), material(0.25, 1.0)))
    field = Field.scan(room, seed=3, paths=20_000)
    # The emitter is seen all along the way, the probes behind the column are not.
    jumps = walked(field, np.array([1.0, 0.6, 1.4]), np.array([0.5, 4.4, 1.5]), np.array([2.4, 1.8, 1.5]))
    other = walked(field, np.array([1.0, 0.6, 1.4]), np.array([1.5, 1.6, 1.5]), np.array([6.6, 0.5, 1.5]))
    assert len(jumps) > 40 and len(other) > 80
    assert max(np.abs(jumps).max(), np.abs(other).max()) < MOST


def test_next_to_nothing_comes_before_anything_can(hall):
    # In the middle of a hall the nearest surface is over 4 m away: no reflection comes before some 20 ms.
    emitter, listener = np.array([7.0, 6.0, 4.5]), np.array([7.8, 6.0, 4.5])
    response = hall.predict(emitter, listener)
    soonest = (2.0 * 4.4 - 0.8) / hall.scene.air.speed_of_sound
    before = FRAME_EDGES[1:] < soonest
    assert before.sum() >= 4
    share = response.energy[0, :, before, 0].sum(axis=0) / response.energy[0, ..., 0].sum(axis=-1)
    assert share.max() < 0.12  # the network never says that there is nothing at all


def test_nothing_is_said_of_times_before_the_straight_way(flat):
    response = flat.predict([1.0, 3.0, 1.2], [7.0, 3.0, 1.6])
    assert response.direct.max() == 0.0
    assert response.delay[0] == pytest.approx(response.distance[0] / flat.scene.air.speed_of_sound)
    # Round the doorway it is 0.9 m further, 2.6 ms: within the first frame.
    assert (response.energy[0, :, 0, 0] < response.energy[0, ..., 0].sum(axis=-1)).all()


def apart() -> Scene:
    """Two shut rooms beside each other with a thin wall between."""
    return scene_of(
        (box((0, 0, 0), (4, 4, 2.5)), material(0.2, 0.5)), (box((4.05, 0, 0), (8, 4, 2.5)), material(0.2, 0.5))
    )


def test_a_probe_behind_a_wall_has_no_say():
    field = Field.scan(apart(), seed=4, paths=8000)
    emitters, listeners = np.array([[3.8, 2.0, 1.3], [1.0, 1.0, 1.3]]), np.array([[3.9, 3.0, 1.3], [3.9, 2.2, 1.0]])
    before = field.predict(emitters, listeners)
    found = field.scan_
    behind = found.positions[:, 0] > 4.0
    assert behind.any() and not behind.all()
    receive = found.exchange.receive.copy()
    receive[behind] = 1e3
    around = replace(found.around, absorption=np.where(behind[:, None], 1.0, found.around.absorption))
    odd = replace(found, exchange=Exchange(receive, found.exchange.transfer), around=around)
    np.testing.assert_array_equal(replace(field, scan_=odd).predict(emitters, listeners).energy, before.energy)


def test_a_shut_wall_separates():
    field = Field.scan(apart(), seed=4, paths=8000)
    through, within = field.predict([2.0, 2.0, 1.3], [[6.0, 2.0, 1.3], [2.5, 3.0, 1.3]]).energy[..., 0].sum(axis=-1)
    assert (level(through) < level(within) - 20.0).all()
