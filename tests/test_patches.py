from __future__ import annotations

import numpy as np
import pytest

from naf_core.patches import look_for_patches
from naf_core.probes import place_probes
from naf_core.raycast import Raycaster, sphere_directions
from tests.shapes import box, material, quad, scene_of, two_rooms

WALL = material(0.3, 0.5)


def hits(caster: Raycaster, point: tuple[float, float, float], n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Points just off the surfaces seen from ``point``, and the way these face."""
    directions = sphere_directions(n)
    found = caster.intersect(np.tile(np.array(point, np.float32), (n, 1)), directions)
    met = found.triangle >= 0
    normal = caster.facing_normals(found.triangle[met], directions[met])
    return np.array(point) + directions[met] * found.distance[met, None] + 1e-3 * normal, normal


def test_a_surface_point_belongs_to_a_patch_beside_it_that_faces_the_same_way():
    scene = scene_of((box([0, 0, 0], [6, 4.5, 2.6]), WALL))
    caster = Raycaster(scene)
    patches = look_for_patches(caster, place_probes(scene, caster), seed=0)
    assert patches.places.shape == patches.normals.shape == (len(patches), 4, 3)
    assert 100 < len(patches) < 6 * 42
    position, normal = hits(caster, (1.1, 2.3, 1.2))
    patch = patches.at(caster, position, normal)
    gap = np.linalg.norm(patches.places[patch] - position[:, None], axis=2).min(axis=1)
    assert gap.max() < 2.0
    assert np.median(gap) < 0.5
    facing = np.einsum("nk,njk->nj", normal, patches.normals[patch])
    assert (facing > 0.99).mean() > 0.99


def test_both_sides_of_a_thin_wall_are_different_patches():
    walls = np.concatenate([box([0, 0, 0], [6, 3, 2.5]), quad([3, 0, 0], [3, 3, 0], [3, 3, 2.5], [3, 0, 2.5])])
    scene = scene_of((walls, WALL))
    caster = Raycaster(scene)
    patches = look_for_patches(caster, place_probes(scene, caster), seed=0)
    for point, left in (((1.5, 1.5, 1.2), True), ((4.5, 1.5, 1.2), False)):
        patch = patches.at(caster, *hits(caster, point, 4000))
        astray = (patches.probe[patch, 0] < 3.0) != left
        assert astray.mean() < 1e-3  # a sliver of a cell may lie beyond the wall, where no probe's ray has met it
        assert ((patches.places[patch[~astray], :, 0] < 3.0) == left).all()


def test_what_no_probe_sees_belongs_to_the_room_it_lies_in():
    """A screen hides a corner of the left room from all probes of it, but not its mirror in the right room."""
    screen = quad([2.0, 2.0, 0], [3.0, 2.0, 0], [3.0, 2.0, 2.5], [2.0, 2.0, 2.5])
    wall = quad([3, 0, 0], [3, 3, 0], [3, 3, 2.5], [3, 0, 2.5])
    scene = scene_of((np.concatenate([box([0, 0, 0], [6, 3, 2.5]), wall, screen]), WALL))
    caster = Raycaster(scene)
    probes = np.array([[1.0, 1.0, 1.3], [4.5, 1.5, 1.3]], np.float32)
    patches = look_for_patches(caster, probes, seed=0)
    position, normal = hits(caster, (2.5, 2.5, 1.2), 4000)
    behind = np.flatnonzero(caster.occluded(position, np.broadcast_to(probes[0], position.shape)))
    assert len(behind) > 1000
    assert (patches.probe[patches.at(caster, position[behind], normal[behind]), 0] < 3.0).mean() > 0.95


def test_what_stands_for_a_patch_is_seen_by_a_probe():
    scene = two_rooms(door=(1.0, 2.0))
    caster = Raycaster(scene)
    probes = place_probes(scene, caster)
    places = look_for_patches(caster, probes, seed=0).places.reshape(-1, 3)
    seen = np.zeros(len(places), bool)
    for probe in probes:
        seen |= ~caster.occluded(np.broadcast_to(probe, places.shape), places)
    assert seen.all()


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_repeats(seed):
    scene = scene_of((box([0, 0, 0], [3, 3, 2.5]), WALL))
    caster = Raycaster(scene)
    one, other = (look_for_patches(caster, place_probes(scene, caster), seed=seed) for _ in range(2))
    np.testing.assert_array_equal(one.places, other.places)
    np.testing.assert_array_equal(one.table, other.table)


def test_where_nothing_is_seen_there_is_no_patch():
    empty = scene_of()
    for probes in (np.zeros((0, 3), np.float32), np.zeros((2, 3), np.float32)):
        assert len(look_for_patches(Raycaster(empty), probes, seed=0)) == 0


def test_a_huge_scene_has_a_bounded_table():
    ground = scene_of((quad([-900, -900, 0], [900, -900, 0], [900, 900, 0], [-900, 900, 0]), WALL))
    patches = look_for_patches(Raycaster(ground), np.array([[0, 0, 1.5], [300, 0, 1.5]], np.float32), seed=0)
    assert len(patches) == 2
    assert patches.table.size <= 6_000_000
