"""Lines of early sound: their corners, their lengths and what they miss."""

from __future__ import annotations

import numpy as np
import pytest

from naf_core.edges import find_edges
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from naf_core.soundlines import Line, sound_lines
from tests.fake_field import boxes

ROOM = boxes(((0, 0, 0), (6, 4, 3)))


def lines_of(scene: Scene, emitter: tuple, listener: tuple, **more: int) -> list[Line]:
    caster = Raycaster(scene)
    return sound_lines(scene, caster, find_edges(scene, caster), np.array(emitter), np.array(listener), **more)


def test_in_a_box_there_are_the_direct_line_and_one_for_each_wall() -> None:
    emitter, listener = (1.0, 1.2, 1.1), (4.5, 2.7, 1.7)
    found = lines_of(ROOM, emitter, listener, order=1)
    assert [line.order for line in found] == [0] + [1] * 6
    direct, *mirrored = found
    np.testing.assert_allclose(direct.points, [emitter, listener], atol=1e-5)
    # Images of the emitter in the six walls of the box (Allen and Berkley 1979).
    images = [np.array(emitter) for _ in range(6)]
    for number, (axis, wall) in enumerate([(0, 0), (0, 6), (1, 0), (1, 4), (2, 0), (2, 3)]):
        images[number][axis] = 2 * wall - emitter[axis]
    expected = sorted(np.linalg.norm(image - listener) for image in images)
    np.testing.assert_allclose([line.length for line in mirrored], expected, atol=0.01)
    for line in mirrored:
        corner = line.points[1]
        assert np.abs(np.concatenate([corner, corner - (6, 4, 3)])).min() < 0.01  # on a wall


def test_lines_of_higher_order_turn_at_surfaces_and_grow_weaker() -> None:
    found = lines_of(ROOM, (1.0, 1.2, 1.1), (4.5, 2.7, 1.7), order=2, most=25)
    assert {line.order for line in found} == {0, 1, 2}
    assert all(len(line.points) == line.order + 2 for line in found)
    lengths = [line.length for line in found]
    assert lengths == sorted(lengths)
    assert max(found, key=lambda line: line.level).order == 0
    assert len(lines_of(ROOM, (1.0, 1.2, 1.1), (4.5, 2.7, 1.7), most=5)) == 5


def test_a_hidden_emitter_is_heard_round_the_edge() -> None:
    screen = boxes(((-0.1, -2.0, 0.0), (0.1, 2.0, 2.5)))
    found = lines_of(screen, (-3.0, 0.0, 2.0), (3.0, 0.0, 2.0), order=0)
    assert found
    assert all(line.edges in (1, 2) and line.order == 0 for line in found)
    best = max(found, key=lambda line: line.level)
    np.testing.assert_allclose(best.points[[0, -1]], [(-3, 0, 2), (3, 0, 2)])
    np.testing.assert_allclose(best.points[1:-1, 2], 2.5, atol=1e-6)  # over the top
    assert best.length == pytest.approx(0.2 + 2 * np.hypot(2.9, 0.5), abs=0.01)


def test_in_the_free_field_there_is_one_line() -> None:
    (only,) = lines_of(boxes(), (0, 0, 0), (0, 10, 0))
    assert only.level == pytest.approx(-20.0, abs=1.5)  # 10 m, and air
