import dataclasses

import numpy as np
import pytest

from naf_core.paths import EarlyPaths
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from naf_core.transmission import find_pieces, through
from tests.shapes import box, material, quad, scene_of

LOSS = np.array([30.0, 32, 34, 40, 47, 55, 61, 61])
BRICK = dataclasses.replace(material(), transmission_loss=LOSS)
THIN = dataclasses.replace(material(), transmission_loss=np.full(8, 10.0))
TIGHT = material()
FRONT, BEHIND = [-2.0, 0.1, 0.2], [2.0, -0.3, 0.4]


def passed(scene: Scene, emitter: object = FRONT, listener: object = BEHIND) -> EarlyPaths:
    caster = Raycaster(scene)
    return through(scene, caster, find_pieces(scene), np.atleast_2d(emitter), np.atleast_2d(listener))


def loss(*parts: object, ends: tuple[object, object] = (FRONT, BEHIND)) -> np.ndarray:
    """What walls take, (8,) in dB, the same from both ends; infinite where nothing passes."""
    scene = scene_of(*parts)
    there, back = passed(scene, *ends), passed(scene, *ends[::-1])
    np.testing.assert_allclose(there.energy, back.energy, rtol=1e-5)
    if not len(there.length):
        return np.full(8, np.inf)
    distance = np.linalg.norm(np.subtract(*ends))
    free = np.exp(-scene.air.absorption() * distance) / distance**2
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(there.energy[0] / free)


def sheet(x: float, size: float = 5.0) -> np.ndarray:
    return quad([x, -size, -size], [x, size, -size], [x, size, size], [x, -size, size])


def test_a_sheet_and_a_solid_are_one_wall():
    np.testing.assert_allclose(loss((sheet(0.0), BRICK)), LOSS, atol=1e-4)
    np.testing.assert_allclose(loss((box([-0.1, -5, -5], [0.1, 5, 5]), BRICK)), LOSS, atol=1e-4)
    # An extruded wall without top and bottom is one too, and its winding does not matter.
    open_wall = box([-0.1, -5, -5], [0.1, 5, 5], without="-z +z")
    np.testing.assert_allclose(loss((open_wall, BRICK)), LOSS, atol=1e-4)
    np.testing.assert_allclose(loss((open_wall[:, ::-1], BRICK)), LOSS, atol=1e-4)


def test_the_gap_between_two_rooms_is_one_wall():
    rooms = (box([-4, -3, -2], [-0.1, 3, 2]), BRICK), (box([0.1, -3, -2], [4, 3, 2]), BRICK)
    np.testing.assert_allclose(loss(*rooms), LOSS, atol=1e-4)
    # Far apart they are two.
    rooms = (box([-4, -3, -2], [-0.6, 3, 2]), BRICK), (box([0.6, -3, -2], [4, 3, 2]), BRICK)
    np.testing.assert_allclose(loss(*rooms), 2 * LOSS, atol=1e-3)


def test_walls_add():
    np.testing.assert_allclose(loss((sheet(0.0), BRICK), (sheet(1.0), THIN)), LOSS + 10.0, atol=1e-4)
    # A curtain before a wall is a wall of its own.
    both = loss((sheet(-0.3), THIN), (box([-0.1, -5, -5], [0.1, 5, 5]), BRICK))
    np.testing.assert_allclose(both, LOSS + 10.0, atol=1e-4)


def test_of_two_sides_the_tighter_one_that_is_known_counts():
    wall = box([-0.1, -5, -5], [0.1, 5, 5])
    left = wall[:, :, 0].max(axis=1) < 0.0
    for other, expected in ((THIN, LOSS), (TIGHT, LOSS)):
        np.testing.assert_allclose(loss((wall[left], BRICK), (wall[~left], other)), expected, atol=1e-4)


def test_without_figures_nothing_passes():
    assert np.isinf(loss((sheet(0.0), TIGHT))).all()
    assert np.isinf(loss((sheet(0.0), TIGHT), (sheet(1.0), BRICK))).all()
    deaf_above = np.where(np.arange(8) < 4, 20.0, np.inf)
    half = loss((sheet(0.0), dataclasses.replace(material(), transmission_loss=deaf_above)))
    np.testing.assert_allclose(half, deaf_above, atol=1e-4)


def test_only_the_hidden_are_given_and_pairs_keep_their_numbers():
    scene = scene_of((sheet(0.0, 1.0), BRICK))
    paths = passed(scene, [[-2, 0, 0], [-2, 3, 0], [-2, 0, 0]], [[2, 0, 0], [2, 3, 0], [2, 0.5, 0]])
    assert paths.listener.tolist() == paths.emitter.tolist() == [0, 2]
    np.testing.assert_allclose(paths.source[0], [-1.0, 0.0, 0.0])
    np.testing.assert_allclose(paths.departure[0], [1.0, 0.0, 0.0])
    assert paths.length[0] == pytest.approx(4.0)


def test_odd_places_end_and_give_no_nonsense():
    stack = np.concatenate([sheet(x) for x in np.linspace(-1.0, 1.0, 80)])
    assert np.isinf(loss((stack, THIN))).all()  # more faces than are followed
    scene = scene_of((box([-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]), BRICK))
    points = np.array([[0.5, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0], [2, 0, 0]])
    grid = [np.repeat(points, 4, axis=0), np.tile(points, (4, 1))]
    assert all(np.isfinite(column).all() for column in passed(scene, *grid))
    assert len(passed(scene_of(), FRONT, BEHIND).length) == 0


def test_pieces_are_connected_and_closed_or_not():
    scene = scene_of((box([0, 0, 0], [1, 1, 1]), TIGHT), (box([3, 0, 0], [4, 1, 1], without="+z"), TIGHT))
    pieces = find_pieces(scene)
    assert len(pieces.closed) == 2
    assert pieces.closed[pieces.piece[0]] and not pieces.closed[pieces.piece[-1]]
