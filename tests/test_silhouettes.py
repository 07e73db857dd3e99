from __future__ import annotations

import numpy as np
import pytest

from naf_core.bands import BAND_EDGES_HZ
from naf_core.diffraction import around, first_sound
from naf_core.edges import find_edges, round_faces
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from naf_core.silhouettes import Silhouette, energy_of
from naf_core.truth.corners import column, strip
from tests.shapes import box, material, scene_of

BORDERS = 2.0 * np.pi / 343.2 * np.array(BAND_EDGES_HZ)


def ball(rings: int, radius: float) -> Scene:
    around_, up = np.meshgrid(
        np.linspace(0.0, 2.0 * np.pi, 2 * rings + 1), np.linspace(-np.pi / 2, np.pi / 2, rings + 1), indexing="ij"
    )
    points = radius * np.stack([np.cos(around_) * np.cos(up), np.sin(around_) * np.cos(up), np.sin(up)], axis=-1)
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    corners = np.concatenate([np.stack(three, axis=2).reshape(-1, 3, 3) for three in ((a, b, c), (a, c, d))])
    return scene_of((corners, material()))


def levels(scene: Scene, emitter: object, listeners: object) -> np.ndarray:
    """Levels (n, 8) in dB beside the free field without air."""
    caster = Raycaster(scene)
    listeners = np.array(listeners, float).reshape(-1, 3)
    emitters = np.broadcast_to(np.array(emitter, float), listeners.shape)
    energy = first_sound(around(scene, caster, find_edges(scene, caster), emitters, listeners), len(listeners))[2]
    distance = np.linalg.norm(emitters - listeners, axis=1)[:, None]
    return 10.0 * np.log10(energy * distance**2 * np.exp(scene.air.absorption() * distance))


@pytest.mark.parametrize("sides", [16, 40, 128])
@pytest.mark.parametrize("aside", [0.0, 0.3, 0.7])
def test_a_column_leaves_what_a_strip_of_its_width_leaves(sides, aside):
    # Both borders of the strip as Fresnel integrals; low bands, where the discrete outline tells enough.
    found = levels(column(sides, 0.2), [-3.0, 0.0, 0.0], [3.0, aside, 0.0])[0]
    np.testing.assert_allclose(found[:6], strip(0.2, 3.0, 3.0, aside)[:6], atol=0.8)


def test_the_number_of_facets_hardly_matters():
    ends = [-2.0, 0.1, 0.0], [[2.5, y, 0.2] for y in np.linspace(0.0, 1.5, 6)]
    few, many = (levels(column(sides, 0.3), *ends) for sides in (24, 200))
    assert np.abs(few - many)[:, :6].max() < 1.0


def test_behind_a_ball_there_is_a_bright_spot():
    # Poisson's spot on the axis of a round obstacle: as loud as without it, save for the longer way.
    scene = ball(24, 0.4)
    caster = Raycaster(scene)
    found = Silhouette(caster, round_faces(caster, scene), np.array([-4.0, 0, 0]), np.array([4.0, 0, 0]))
    assert found.hides()
    level = 10.0 * np.log10(energy_of(found.behind(), BORDERS))
    np.testing.assert_allclose(level[:5], 0.0, atol=0.5)
    aside = levels(scene, [-4.0, 0, 0], [4.0, 0.5, 0.0])[0]
    assert aside[5:].mean() < -6.0
    assert aside[:2].mean() > -2.0


def test_who_walks_past_a_column_hears_no_step():
    walk = [[3.0, y, 0.0] for y in np.arange(-0.3, 2.0, 0.05)]
    level = 10.0 * np.log10((10.0 ** (levels(column(32, 0.3), [-3.0, 0, 0], walk) / 10.0)).mean(axis=1))
    assert np.abs(np.diff(level)).max() < 0.8
    assert np.isfinite(level).all()


def test_swapping_the_ends_changes_nothing():
    scene, rng = ball(12, 0.5), np.random.default_rng(4)
    caster = Raycaster(scene)
    one, other = rng.uniform(0.8, 3.0, (2, 12, 3)) * rng.choice([-1.0, 1.0], (2, 12, 3))
    there, back = (
        first_sound(around(scene, caster, find_edges(scene, caster), a, b), 12)[2]
        for a, b in ((one, other), (other, one))
    )
    np.testing.assert_allclose(there, back, rtol=1e-3)


def test_round_is_what_bulges_gently_and_in_narrow_facets():
    for scene, sides in ((column(12, 0.3), 1), (column(200, 1.0), 1), (column(8, 0.3), 0), (column(12, 3.0), 0)):
        side = round_faces(Raycaster(scene), scene)
        assert (side != 0).all() == bool(sides)
        assert (side != 0).any() == bool(sides)
    boxes = scene_of((box([0, 0, 0], [1, 2, 3]), material()))
    assert not round_faces(Raycaster(boxes), boxes).any()
    # The sign tells the outside, however the triangles are wound.
    scene = ball(10, 1.0)
    caster = Raycaster(scene)
    middle = scene.vertices[scene.triangles].mean(axis=1)
    out = np.einsum("ij,ij->i", caster.normals * round_faces(caster, scene)[:, None], middle)
    assert (out[scene.triangle_areas > 1e-6] > 0.5).all()
    assert not len(find_edges(scene, caster).length)


def test_a_round_room_hides_nothing_within():
    scene = column(48, 2.0)
    rounded = levels(scene, [-1.9, 0.3, 0.0], [[-1.5, 1.2, 0.0], [1.9, 0.0, 0.1], [0.0, -1.95, 0.0]])
    np.testing.assert_allclose(rounded, 0.0, atol=0.01)


def test_what_stands_before_a_round_body_keeps_its_own_edges():
    # A wall in front of the column hides the emitter: its edge counts, not the column.
    wall = box([-1.2, -9, -9], [-1.0, 0.4, 9])
    pillar = column(32, 0.3)
    corners = np.concatenate([wall, pillar.vertices[pillar.triangles].astype(float)])
    both = levels(scene_of((corners, material())), [-3.0, 0.0, 0.0], [3.0, -1.5, 0.0])
    assert np.isfinite(both).all()
    assert (both < -3.0).all()
