import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naf_core.diffraction import around, first_sound
from naf_core.edges import find_edges
from naf_core.paths import EarlyPaths
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from tests.shapes import box, material, quad, scene_of, two_rooms


def bent(scene: Scene, emitters: object, listeners: object) -> EarlyPaths:
    caster = Raycaster(scene)
    return around(scene, caster, find_edges(scene, caster), np.atleast_2d(emitters), np.atleast_2d(listeners))


def levels(scene: Scene, emitter: list[float], listeners: np.ndarray) -> np.ndarray:
    """Levels (n, 8) in dB relative to the free field."""
    emitters = np.broadcast_to(np.array(emitter, float), listeners.shape)
    energy = first_sound(bent(scene, emitters, listeners), len(listeners))[2]
    distance = np.linalg.norm(emitters - listeners, axis=1)[:, None]
    return 10.0 * np.log10(energy * distance**2 * np.exp(scene.air.absorption() * distance))


def test_in_the_open_nothing_changes():
    scene = scene_of()
    paths = bent(scene, [0, 0, 0], [3, 4, 0])
    assert paths.order.tolist() == [0]
    np.testing.assert_allclose(paths.energy[0], np.exp(-5.0 * scene.air.absorption()) / 25.0)
    np.testing.assert_allclose(paths.source, [[-0.6, -0.8, 0.0]])
    np.testing.assert_allclose(paths.departure, [[0.6, 0.8, 0.0]])
    assert paths.delay[0] == pytest.approx(5.0 / scene.air.speed_of_sound)


@pytest.mark.parametrize("thickness", [0.0, 0.15])
def test_the_level_round_a_corner_is_smooth(thickness):
    wall = (
        box([0, -20, -20], [thickness, 0, 20])
        if thickness
        else quad([0, -20, -20], [0, 0, -20], [0, 0, 20], [0, -20, 20])
    )
    walk = np.stack([np.full(40, 3.0), np.linspace(1.0, 2.95, 40), np.zeros(40)], axis=1)
    level = levels(scene_of((wall, material())), [-3, -2, 0.3], walk)
    together = 10.0 * np.log10((10.0 ** (level / 10.0)).mean(axis=1))
    assert np.abs(np.diff(together)).max() < 0.5
    # Half of the amplitude on the boundary itself, at y = 2.
    assert -7.0 < together[20] < -4.0
    # Low notes bend further, and in the light nothing is lost.
    assert (np.diff(level[0]) < 0.0).all()
    assert abs(together[-1]) < 2.0


def test_nothing_jumps_where_the_emitter_disappears():
    scene = scene_of((box([0, -20, -20], [0.3, 0, 20]), material()))
    walk = np.stack([np.full(2, 3.0), [1.9995 + 0.2, 2.0005 + 0.2], np.zeros(2)], axis=1)
    around_boundary = levels(scene, [-3, -2, 0.0], walk)  # the far edge, (0.3, 0), is passed at y = 1.64
    walk[:, 1] = -2.0 + 2.0 + 2.0 / 3.3 * 2.7 + np.array([-0.0005, 0.0005]) - 2.0 + 2.0
    near = levels(scene, [-3, -2, 0.0], walk)
    assert np.abs(np.diff(around_boundary, axis=0)).max() < 0.05
    assert np.abs(np.diff(near, axis=0)).max() < 0.05


def test_a_thin_pole_hides_no_low_notes():
    scene = scene_of((box([-0.05, -0.05, -9], [0.05, 0.05, 9]), material()))
    level = levels(scene, [-2, 0, 0], np.array([[2.0, 0.0, 0.0]]))[0]
    assert abs(level[0]) < 1.0
    assert level[6] < level[0] - 1.0


def test_a_door_is_heard_from_beside_it():
    scene = two_rooms()
    paths = bent(scene, [[1, 3.5, 1.5]], [[7, 3.5, 1.5]])
    assert len(paths.length) >= 1 and (paths.order >= 1).all()
    strongest = paths.energy.sum(axis=1).argmax()
    # It comes from the jamb at y = 2.
    towards = np.array([7, 3.5, 1.5]) + paths.source[strongest] * 3.0 / abs(paths.source[strongest, 0])
    assert towards[1] == pytest.approx(2.0, abs=0.05)
    assert (paths.length > 6.0).all()


def test_ends_can_be_exchanged():
    rng = np.random.default_rng(5)
    scene = scene_of((box([-0.4, -0.5, -1.0], [0.4, 0.6, 0.8]), material()))
    emitters, listeners = rng.uniform([-3, -2, -1], [-1, 2, 1], (15, 3)), rng.uniform([1, -2, -1], [3, 2, 1], (15, 3))
    there = first_sound(bent(scene, emitters, listeners), 15)[2]
    back = first_sound(bent(scene, listeners, emitters), 15)[2]
    np.testing.assert_allclose(10.0 * np.log10(there / back), 0.0, atol=0.01)


def test_a_sealed_emitter_is_not_heard():
    scene = scene_of((box([-1, -1, -1], [1, 1, 1]), material()))
    paths = bent(scene, [0, 0, 0], [3, 0, 0])
    assert len(paths.length) == 0 and paths.energy.shape == (0, 8)
    length, direction, energy = first_sound(paths, 1)
    assert np.isinf(length[0]) and not direction.any() and not energy.any()


PLACE = st.tuples(*[st.sampled_from([-2.0, -0.5, 0.0, 0.4, 0.5, 3.0])] * 3)


@settings(max_examples=25, deadline=None)
@given(PLACE, PLACE)
def test_no_place_gives_nonsense(emitter, listener):
    # On corners, edges and faces of a box, inside it, and on top of each other.
    scene = scene_of((box([-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]), material()))
    paths = bent(scene, emitter, listener)
    for column in paths:
        assert np.isfinite(column).all()
    assert (paths.energy >= 0.0).all()
    assert (
        paths.energy.sum(axis=0).max(initial=0.0) <= 1.6 / max(np.linalg.norm(np.subtract(emitter, listener)), 0.1) ** 2
    )
