from __future__ import annotations

import numpy as np
import pytest

from naf_core.directivity import Directivity
from naf_core.firstsound import FirstSound, apparent_path
from naf_core.materials import Material
from naf_core.raycast import Raycaster
from naf_core.response import EnergyResponse, empty_response
from naf_core.scene import Scene, Trajectory
from naf_core.tracer import direct_sound
from tests.shapes import box, material, quad, scene_of, two_rooms

DOOR = np.array([4.0, 1.5, 1.0])


def straight(scene: Scene, emitters: np.ndarray, listeners: np.ndarray) -> EnergyResponse:
    """Responses of pairs with straight direct sound and nothing else."""
    response = empty_response((len(emitters),), scene.air.speed_of_sound)
    found = direct_sound(scene, Raycaster(scene), emitters.astype(np.float32), listeners.astype(np.float32))
    response.distance[:], response.direct_direction[:], response.direct[:] = found
    return response


def put(scene: Scene, emitters: object, listeners: object) -> tuple[EnergyResponse, EnergyResponse, np.ndarray]:
    """Responses before and after, and the places that the first sound is heard from."""
    emitters, listeners = np.array(emitters, float), np.array(listeners, float)
    before = straight(scene, emitters, listeners)
    return (before, *FirstSound(scene, Raycaster(scene)).put_into(before, emitters, listeners)[:2])


def test_where_nothing_stands_in_the_way_all_stays():
    scene = scene_of((box([0, 0, 0], [6, 5, 3]), material(0.2)))
    before, after, places = put(scene, [[1, 1, 1.2], [2, 4, 1.0]], [[5, 4, 1.5], [2, 1, 1.0]])
    np.testing.assert_allclose(after.direct, before.direct, rtol=1e-4)
    np.testing.assert_allclose(after.direct_direction, before.direct_direction, atol=1e-6)
    np.testing.assert_allclose(places, [[1, 1, 1.2], [2, 4, 1.0]])


def test_a_hidden_emitter_is_heard_from_the_door_and_as_far_off_as_the_way_is():
    scene = two_rooms(door=(1.0, 2.0))
    emitter, listener = np.array([2.0, 3.5, 1.2]), np.array([6.0, 3.5, 1.2])
    before, after, places = put(scene, [emitter], [listener])
    assert (before.direct == 0.0).all()
    assert (after.direct > 0.0).all()
    assert (np.diff(after.direct[0]) < 0.0).all()  # low notes bend more
    towards = (DOOR - listener)[:2] / np.linalg.norm((DOOR - listener)[:2])
    assert after.direct_direction[0, :2] @ towards > 0.95
    way = np.linalg.norm(places[0] - listener)
    assert np.linalg.norm(emitter - listener) < way < 6.5
    np.testing.assert_allclose(places[0], listener + way * after.direct_direction[0], atol=1e-4)


def test_through_a_wall_sound_comes_straight():
    pane = Material("pane", (0.1,) * 8, (0.1,) * 8, transmission_loss=(20.0,) * 8)
    room = box([0, 0, 0], [6, 3, 2.5])
    wall = quad([3, 0, 0], [3, 3, 0], [3, 3, 2.5], [3, 0, 2.5])
    scene = scene_of((room, material(0.2)), (wall, pane))
    before, after, places = put(scene, [[1, 1.5, 1.2]], [[5, 1.5, 1.2]])
    assert (before.direct == 0.0).all()
    np.testing.assert_allclose(10.0 * np.log10(after.direct[0, :4] * 16.0), -20.0, atol=0.05)
    np.testing.assert_allclose(places, [[1, 1.5, 1.2]])
    np.testing.assert_allclose(after.direct_direction, before.direct_direction)


def test_a_walk_past_the_door_changes_smoothly():
    scene = two_rooms(door=(1.0, 2.0))
    steps = np.arange(0.6, 3.6, 0.05)
    listeners = np.stack([np.full_like(steps, 6.5), steps, np.full_like(steps, 1.2)], axis=1)
    emitters = np.tile([1.5, 1.5, 1.2], (len(steps), 1))
    _, after, places = put(scene, emitters, listeners)
    level = 10.0 * np.log10(after.direct.sum(axis=1))
    assert np.abs(np.diff(level)).max() < 0.6
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.6
    visible = np.linalg.norm(places - emitters, axis=1) < 1e-9
    assert 0.1 < visible.mean() < 0.9


def test_without_geometry_there_is_just_the_free_field():
    before, after, places = put(scene_of(), [[0, 0, 1]], [[3, 0, 1]])
    np.testing.assert_allclose(after.direct, before.direct, rtol=1e-4)
    np.testing.assert_allclose(places, [[0, 0, 1]])


def test_the_apparent_path_is_the_emitters_own_where_it_is_heard_from_there():
    path = Trajectory(np.arange(5.0), np.arange(15.0).reshape(5, 3))
    keys = np.array([0.0, 2.0, 4.0])
    own = path.positions[[0, 2, 4]]
    assert apparent_path(path, keys, own, np.ones(3, bool)) is path
    assert apparent_path(path, keys, own + 9.0, np.zeros(3, bool)) is path
    aside = apparent_path(path, keys, own + [[0, 0, 0], [1, 0, 0], [7, 7, 7]], np.array([True, True, False]))
    np.testing.assert_allclose(aside.positions - path.positions, np.array([0, 0.5, 1, 1, 1])[:, None] * [1, 0, 0])


def test_the_first_sound_leaves_towards_the_listener_or_the_edge_that_bends_it():
    scene = two_rooms(door=(1.0, 2.0))
    emitters, listeners = np.array([[2.0, 3.5, 1.2], [2.0, 1.5, 1.2]]), np.array([[6.0, 3.5, 1.2], [6.0, 1.5, 1.2]])
    first = FirstSound(scene, Raycaster(scene))
    departure = first.put_into(straight(scene, emitters, listeners), emitters, listeners)[2]
    np.testing.assert_allclose(np.linalg.norm(departure, axis=1), 1.0)
    np.testing.assert_allclose(departure[1], [1, 0, 0], atol=1e-6)
    towards = (DOOR - emitters[0])[:2] / np.linalg.norm((DOOR - emitters[0])[:2])
    assert departure[0, :2] @ towards > 0.95


def test_a_cone_lets_that_much_of_the_first_sound_through():
    """An emitter that looks at the wall between it and the listener, and one that looks at the door."""
    scene = two_rooms(door=(1.0, 2.0))
    emitters, listeners = np.array([[2.0, 3.5, 1.2]]), np.array([[6.0, 3.5, 1.2]])
    first = FirstSound(scene, Raycaster(scene))
    whole, wall, door = (
        first.energy(emitters, listeners, axis and Directivity(axis, 60.0, 60.0, 0.1))
        for axis in (None, (1, 0, 0), tuple(DOOR - emitters[0]))
    )
    np.testing.assert_allclose(
        whole, first.put_into(straight(scene, emitters, listeners), emitters, listeners)[0].direct
    )
    np.testing.assert_allclose(wall, 0.01 * whole, rtol=1e-6)
    assert (door > 0.8 * whole).all()


@pytest.mark.parametrize("distance", [0.0, 0.01])
def test_coincident_ends_are_finite(distance):
    scene = two_rooms(door=(1.0, 2.0))
    _, after, places = put(scene, [[2, 2, 1]], [[2 + distance, 2, 1]])
    assert np.isfinite(after.direct).all()
    assert np.isfinite(places).all()
