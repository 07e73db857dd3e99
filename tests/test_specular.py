from __future__ import annotations

import numpy as np
import pytest

from naf_core.paths import early_paths
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES, N_FRAMES
from naf_core.scene import Scene
from naf_core.specular import SPECULAR_ORDER, specular_energy
from tests.shapes import box, material, quad, scene_of, two_rooms

ROOM = scene_of((box([0, 0, 0], [5.0, 4.0, 2.8]), material(np.linspace(0.1, 0.4, 8), np.linspace(0.1, 0.3, 8))))
PLACES = np.array([[1.3, 1.1, 1.2], [3.7, 2.6, 1.9], [4.4, 0.7, 0.5], [0.6, 3.3, 2.2]], np.float32)


def between(scene: Scene, emitters: np.ndarray, listeners: np.ndarray) -> np.ndarray:
    """Of pairs one by one."""
    rows = np.arange(len(emitters))
    return specular_energy(scene, Raycaster(scene), emitters, listeners, rows, rows)


def test_a_box_mirrors_as_its_complete_paths_say():
    emitters, listeners = PLACES[[0, 1]], PLACES[[2, 3]]
    paths = early_paths(ROOM, emitters, listeners, order=SPECULAR_ORDER)
    expected = np.zeros((2, 8, N_FRAMES, 4))
    for k in range(len(paths.order)):
        if paths.order[k] and paths.emitter[k] == paths.listener[k]:
            pair = paths.emitter[k]
            late = paths.delay[k] - np.linalg.norm(emitters[pair] - listeners[pair]) / ROOM.air.speed_of_sound
            frame = np.searchsorted(FRAME_EDGES, late, side="right") - 1
            expected[pair, :, frame] += paths.energy[k][:, None] * [1.0, *paths.source[k]]
    energy = between(ROOM, emitters, listeners)
    assert energy.shape == (2, 8, N_FRAMES, 4)
    assert (energy[..., 0].sum(axis=2) > 0.0).all()
    np.testing.assert_allclose(energy, expected, atol=1e-5 * expected.max())


def test_both_ways_are_the_same():
    there, back = between(ROOM, PLACES[:2], PLACES[2:]), between(ROOM, PLACES[2:], PLACES[:2])
    np.testing.assert_allclose(there[..., 0], back[..., 0], rtol=1e-3, atol=1e-6 * there.max())


def test_pairs_in_any_order_and_number_say_the_same():
    caster = Raycaster(ROOM)
    one_by_one = between(ROOM, PLACES[[0, 0, 1]], PLACES[[2, 3, 3]])
    asked = specular_energy(ROOM, caster, PLACES, PLACES, np.array([1, 0, 0, 1]), np.array([3, 3, 2, 3]))
    np.testing.assert_allclose(asked, one_by_one[[2, 1, 0, 2]], rtol=1e-5, atol=1e-9)


def test_many_pairs_are_looked_at_in_parts(monkeypatch):
    monkeypatch.setattr("naf_core.specular._CANDIDATES", 7)
    monkeypatch.setattr("naf_core.specular._ENDS", 1)
    in_parts = between(ROOM, PLACES[:2], PLACES[2:])
    monkeypatch.undo()
    np.testing.assert_allclose(in_parts, between(ROOM, PLACES[:2], PLACES[2:]), rtol=1e-5, atol=1e-9)


def test_the_intensity_points_to_the_image():
    wall = scene_of((quad([0, -9, -9], [0, 9, -9], [0, 9, 9], [0, -9, 9]), material(0.2, 0.1)))
    energy = between(wall, np.array([[1.0, 0.0, 0.0]], np.float32), np.array([[2.0, 3.0, 0.0]], np.float32))[0]
    frame = np.flatnonzero(energy[0, :, 0])
    assert len(frame) == 1
    image = np.array([-1.0, 0.0, 0.0]) - [2.0, 3.0, 0.0]
    length = np.linalg.norm(image)
    np.testing.assert_allclose(
        energy[:, frame[0], 1:] / energy[:, frame[0], :1], np.tile(image / length, (8, 1)), atol=1e-5
    )
    np.testing.assert_allclose(
        energy[:, frame[0], 0], 0.8 * 0.9 * wall.air.free_field(np.array([length]))[0], rtol=1e-5
    )


def test_a_wall_lets_no_mirror_through():
    rooms = two_rooms(material(0.2, 0.1), door=(1.0, 1.0))
    assert (between(rooms, np.array([[2, 2, 1.2]], np.float32), np.array([[6, 2, 1.2]], np.float32)) == 0.0).all()


@pytest.mark.parametrize("scene", [scene_of(), scene_of((box([0, 0, 0], [4, 3, 2.5]), material(0.2, 1.0)))])
def test_what_has_no_mirrors_mirrors_nothing(scene):
    energy = between(scene, PLACES[:2] * np.float32(0.7), PLACES[2:] * np.float32(0.7))
    assert energy.shape == (2, 8, N_FRAMES, 4)
    assert (energy == 0.0).all()
