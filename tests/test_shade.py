"""The first sound over a map, from few places."""

from __future__ import annotations

import numpy as np
import pytest

from naf_core.air import Air
from naf_core.firstsound import FirstSound
from naf_core.loudness import Source
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from naf_core.shade import Shade
from tests.fake_field import boxes

ENERGY = np.array([1.0, 2.0, 4.0, 8.0, 8.0, 4.0, 2.0, 1.0])


class Counted(FirstSound):
    """How many places are asked."""

    asked = 0

    def energy(self, emitters, listeners, directivity=None):
        self.asked += len(emitters)
        return super().energy(emitters, listeners, directivity)


def shade_of(scene: Scene, n: int, size: float) -> tuple[Shade, Counted, np.ndarray]:
    """Over a square of ``size`` m around the origin, n x n texels, 1.5 m high."""
    caster = Raycaster(scene)
    x = ((np.arange(n) + 0.5) / n - 0.5) * size
    ears = np.stack([*np.meshgrid(x, x), np.full((n, n), 1.5)], axis=-1)
    first = Counted(scene, caster)
    return Shade(first, Air(), caster, ears, np.ones((n, n), bool)), first, ears.reshape(-1, 3)


def silence(texels: np.ndarray) -> np.ndarray:
    return np.zeros(len(texels))


def test_where_nothing_hides_it_is_the_free_field_and_few_places_are_asked() -> None:
    shade, first, ears = shade_of(boxes(), 64, 10.0)
    one = Source("e", np.array([1.0, 2.0, 1.0]), ENERGY)
    drawn = shade.draw(one, np.ones((64, 64), bool), one.spectrum, silence, 300)
    found = shade.energy(one, drawn, np.arange(64 * 64))
    distance = np.linalg.norm(ears - one.position, axis=1)
    np.testing.assert_allclose(found, Air().free_field(distance), rtol=1e-6)
    assert first.asked < 100


@pytest.mark.parametrize(("most", "error_db"), [(60, 2.5), (300, 0.5)])
def test_behind_a_screen_it_is_what_bends_round_it(most: int, error_db: float) -> None:
    scene = boxes(((-0.1, -2.0, 0.0), (0.1, 2.0, 2.5)))
    shade, first, ears = shade_of(scene, 64, 12.0)
    one = Source("e", np.array([-3.0, 0.5, 1.5]), ENERGY)
    open_air = ~((np.abs(ears[:, 0]) < 0.15) & (np.abs(ears[:, 1]) < 2.05))
    drawn = shade.draw(one, open_air.reshape(64, 64), one.spectrum, silence, most)
    assert first.asked <= most + 49  # the coarsest grid is always asked
    texels = np.random.default_rng(1).choice(np.flatnonzero(open_air), 80, replace=False)
    exact = first.energy(np.broadcast_to(one.position, (80, 3)), ears[texels]) @ one.spectrum
    error = 10.0 * np.log10(shade.energy(one, drawn, texels) @ one.spectrum / exact)
    assert np.percentile(np.abs(error), 90) < error_db


def test_where_reflections_are_louder_fewer_places_are_asked() -> None:
    scene = boxes(((-0.1, -2.0, 0.0), (0.1, 2.0, 2.5)))
    one = Source("e", np.array([-3.0, 0.5, 1.5]), ENERGY)
    asked = []
    for reflected in (0.0, 10.0):
        shade, first, _ = shade_of(scene, 64, 12.0)
        everywhere = np.ones((64, 64), bool)
        shade.draw(one, everywhere, one.spectrum, lambda texels, r=reflected: np.full(len(texels), r), 400)
        asked.append(first.asked)
    assert asked[1] < 0.5 * asked[0]
