from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naf_core.air import Air
from naf_core.paths import MirrorPaths, mirror_paths, planes
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from tests.shapes import box, material, quad, scene_of

SIZE = np.array([5.0, 4.0, 3.0])
FACES = ("-x", "+x", "-y", "+y", "-z", "+z")
INSIDE = st.tuples(*(st.floats(0.06, 0.94) for _ in range(3)))


def shoebox(absorption: np.ndarray, scattering: np.ndarray) -> Scene:
    """A box whose six faces absorb and scatter (6,) each, in all bands alike."""
    parts = []
    for face, a, s in zip(FACES, absorption, scattering, strict=True):
        others = " ".join(other for other in FACES if other != face)
        parts.append((box([0, 0, 0], SIZE, without=others), material(a, s)))
    return scene_of(*parts)


def image_sources(emitter: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3) of a shoebox up to ``order`` and reflections at each face (n, 6): Allen and Berkley 1979."""
    images, reflections = [], []
    for cell in product(range(-order, order + 1), repeat=3):
        if 1 <= sum(map(abs, cell)) <= order:
            images.append([i * w + (x if i % 2 == 0 else w - x) for i, w, x in zip(cell, SIZE, emitter, strict=True)])
            near_far = [((abs(i) + (i < 0)) // 2, (abs(i) + (i > 0)) // 2) for i in cell]
            reflections.append([count for pair in near_far for count in pair])
    return np.array(images), np.array(reflections)


def found(scene: Scene, emitters: object, listeners: object, order: int = 3, **options: object) -> MirrorPaths:
    emitters, listeners = (np.array(p, np.float32).reshape(-1, 3) for p in (emitters, listeners))
    options = {"rays": 2048, **options}
    return mirror_paths(scene, Raycaster(scene), emitters, listeners, order=order, **options)


def keys(paths: MirrorPaths) -> list[tuple[int, ...]]:
    """What tells paths apart: ends, length and direction in millimetres."""
    image = np.round(1e2 * paths.length[:, None] * paths.source).astype(int)
    return sorted(zip(paths.emitter.tolist(), paths.listener.tolist(), *image.T.tolist(), strict=True))


@pytest.mark.parametrize(
    ("emitter", "listener"), [((1.3, 1.1, 1.2), (3.7, 2.6, 1.9)), ((4.6, 3.7, 0.4), (0.5, 0.3, 2.7))]
)
def test_every_image_of_a_shoebox_is_found_exactly_once(emitter, listener):
    absorption, scattering = np.linspace(0.05, 0.55, 6), np.linspace(0.6, 0.1, 6)
    scene = shoebox(absorption, scattering)
    paths = found(scene, emitter, listener)
    images, reflections = image_sources(np.array(emitter), 3)
    separation = images - listener
    length = np.linalg.norm(separation, axis=1)
    assert len(images) == 62
    assert len(paths.length) == 62
    # In the same order: by where the image lies.
    order = np.argsort(length + 1e-3 * (separation @ [1.0, 0.37, 0.11]))
    seen = paths.length[:, None] * paths.source
    other = np.argsort(paths.length + 1e-3 * (seen @ [1.0, 0.37, 0.11]))
    np.testing.assert_allclose(seen[other], separation[order], atol=2e-3)
    gain = (((1.0 - absorption) * (1.0 - scattering)) ** reflections).prod(axis=1)
    air = np.exp(-scene.air.absorption() * length[:, None])
    np.testing.assert_allclose(paths.energy[other], (gain[:, None] * air / length[:, None] ** 2)[order], rtol=1e-3)


@pytest.mark.parametrize(("order", "count"), [(1, 6), (2, 24)])
def test_no_path_is_longer_than_the_order(order, count):
    scene = shoebox(np.full(6, 0.1), np.zeros(6))
    assert len(found(scene, [1.3, 1.1, 1.2], [3.7, 2.6, 1.9], order).length) == count


@settings(max_examples=15)
@given(INSIDE, INSIDE)
def test_first_reflections_in_a_box_never_fail(a, b):
    scene = shoebox(np.full(6, 0.1), np.zeros(6))
    emitter, listener = np.array(a) * SIZE, np.array(b) * SIZE
    paths = found(scene, emitter, listener, order=1)
    images, _ = image_sources(emitter, 1)
    expected = np.sort(np.linalg.norm(images - listener, axis=1))
    np.testing.assert_allclose(np.sort(paths.length), expected, rtol=1e-4)


def test_bands_are_reflected_each_by_its_own_absorption_and_scattering():
    absorption, scattering = np.linspace(0.1, 0.8, 8), np.linspace(0.7, 0.0, 8)
    floor = quad([-50, -50, 0], [50, -50, 0], [50, 50, 0], [-50, 50, 0])
    scene = scene_of((floor, material(absorption, scattering)), air=Air(humidity=20.0))
    paths = found(scene, [0, 0, 2], [3, 0, 2])
    length = 5.0
    expected = (1.0 - absorption) * (1.0 - scattering) * np.exp(-scene.air.absorption() * length) / length**2
    np.testing.assert_allclose(paths.energy, expected[None], rtol=1e-5)
    np.testing.assert_allclose(paths.source, [[-0.6, 0.0, -0.8]], atol=1e-6)


def test_images_behind_an_obstacle_are_gone():
    # A screen between the ends, from the floor up: what the floor mirrors is hidden, the ceiling's image is not.
    walls = [quad([-9, -9, z], [9, -9, z], [9, 9, z], [-9, 9, z]) for z in (0.0, 4.0)]
    screen = quad([0, -9, 0], [0, 9, 0], [0, 9, 2.5], [0, -9, 2.5])
    open_scene = scene_of((np.concatenate(walls), material(0.1, 0.0)))
    screened = scene_of((np.concatenate([*walls, screen]), material(0.1, 0.0)))
    ends = [-1, 0, 1.0], [1, 0, 1.0]
    assert sorted(np.sign(found(open_scene, *ends, order=1).source[:, 2])) == [-1.0, 1.0]
    assert np.sign(found(screened, *ends, order=1).source[:, 2]).tolist() == [1.0]
    # With the ends on one side, the screen itself mirrors, but only where it is.
    same_side = found(screened, [-1, 0, 1.0], [-2, 0, 1.0], order=1)
    assert sorted(np.round(same_side.length, 3)) == sorted(np.round([3.0, np.hypot(1, 2), np.hypot(1, 6)], 3))
    above = found(screened, [-1, 0, 3.0], [-2, 0, 3.0], order=1)
    assert sorted(np.round(above.length, 3)) == sorted(np.round([np.hypot(1, 6), np.hypot(1, 2)], 3))


def test_a_mirror_reaches_no_further_than_its_edge():
    mirror = quad([-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0])
    scene = scene_of((mirror, material(0.1, 0.0)))
    for reach in np.linspace(0.1, 4.0, 14):
        # The point of reflection lies half way between the ends.
        assert len(found(scene, [0, 0, 1], [reach, 0, 1]).length) == (reach / 2 < 1.0)


@pytest.mark.parametrize("flip", [False, True])
def test_a_wall_of_many_triangles_is_one_mirror(flip):
    steps = np.linspace(-4.0, 4.0, 6)
    tiles = [
        quad([x, y, 0], [x + 1.6, y, 0], [x + 1.6, y + 1.6, 0], [x, y + 1.6, 0])
        for x, y in product(steps[:-1], repeat=2)
    ]
    tiles = [tile[:, ::-1] if flip and k % 2 else tile for k, tile in enumerate(tiles)]
    scene = scene_of((np.concatenate(tiles), material(0.2, 0.0)))
    plane, normal, offset = planes(Raycaster(scene), scene)
    assert len(np.unique(plane)) == len(normal) == len(offset) == 1
    paths = found(scene, [0.3, 0.2, 1.5], [1.1, -0.7, 2.0])
    np.testing.assert_allclose(paths.length, [np.sqrt(0.8**2 + 0.9**2 + 3.5**2)], rtol=1e-6)


@given(st.floats(0.0, 2 * np.pi), st.floats(-1.0, 1.0), st.floats(-3.0, 3.0))
def test_triangles_of_any_plane_are_one_mirror(azimuth, z, offset):
    normal = np.array([np.sqrt(1 - z * z) * np.cos(azimuth), np.sqrt(1 - z * z) * np.sin(azimuth), z])
    first = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    points = np.random.default_rng(1).uniform(-4, 4, (60, 2))
    corners = normal * offset + points[:, :1] * first + points[:, 1:] * second
    scene = scene_of((corners.reshape(-1, 3, 3), material()))
    plane, _, _ = planes(Raycaster(scene), scene)
    assert len(np.unique(plane)) == 1


def test_planes_of_a_box_are_its_faces():
    scene = shoebox(np.full(6, 0.1), np.zeros(6))
    plane, normal, offset = planes(Raycaster(scene), scene)
    np.testing.assert_array_equal(plane, np.repeat(plane[::2], 2))
    assert len(set(plane)) == 6
    distance = np.abs(offset[plane[::2]])
    np.testing.assert_allclose(distance, [0, 5, 0, 4, 0, 3], atol=1e-6)
    np.testing.assert_allclose(np.abs(normal[plane[::2]]), np.repeat(np.eye(3), 2, axis=0), atol=1e-6)


def test_walls_a_centimetre_apart_are_two_mirrors():
    # A panel of 1 m hangs 1 cm before a wall: what it mirrors comes 2 cm earlier, and the wall behind it is hidden.
    wall = quad([0, -9, -9], [0, 9, -9], [0, 9, 9], [0, -9, 9])
    panel = quad([0.01, -0.5, -0.5], [0.01, 0.5, -0.5], [0.01, 0.5, 0.5], [0.01, -0.5, 0.5])
    scene = scene_of((np.concatenate([wall, panel]), material(0.1, 0.0)))
    assert len(set(planes(Raycaster(scene), scene)[0])) == 2
    before = found(scene, [2, 0.1, 0], [2, 0, 0.1], order=1)
    np.testing.assert_allclose(before.length, [np.sqrt(3.98**2 + 0.1**2 + 0.1**2)], rtol=1e-6)
    beside = found(scene, [2, 3, 0], [2, 3.2, 0], order=1)
    np.testing.assert_allclose(beside.length, [np.hypot(4.0, 0.2)], rtol=1e-6)


def test_walls_at_45_degrees_mirror_sideways():
    slope = quad([0, -5, 0], [0, 5, 0], [5, 5, 5], [5, -5, 5])  # z = x
    scene = scene_of((slope, material(0.3, 0.0)))
    emitter, listener = np.array([3.0, 0.0, 1.0]), np.array([4.0, 1.0, 2.0])
    image = np.array([1.0, 0.0, 3.0])  # x and z exchanged
    paths = found(scene, emitter, listener)
    np.testing.assert_allclose(paths.length, [np.linalg.norm(image - listener)], rtol=1e-6)
    np.testing.assert_allclose(paths.source, [(image - listener) / np.linalg.norm(image - listener)], atol=1e-6)


# Images behind an edge of the room are seen along it: there rounding decides whether each is met.
@pytest.mark.parametrize(("order", "tolerance"), [(1, 1e-4), (3, 0.25)])
def test_own_paths_pair_each_point_with_itself_only(order, tolerance):
    absorption = np.linspace(0.05, 0.55, 6)
    scene = shoebox(absorption, np.zeros(6))
    points = np.array([[1.3, 1.1, 1.2], [3.7, 2.6, 1.9], [0.4, 3.5, 2.2]])
    own = found(scene, points, points, order, own=True)
    np.testing.assert_array_equal(own.emitter, own.listener)
    for k, point in enumerate(points):
        images, reflections = image_sources(point, order)
        length = np.linalg.norm(images - point, axis=1)
        gain = ((1.0 - absorption) ** reflections).prod(axis=1) * np.exp(-scene.air.absorption()[3] * length)
        expected = (gain / length**2).sum()
        assert own.energy[own.emitter == k, 3].sum() == pytest.approx(expected, rel=tolerance)


def test_many_pairs_are_each_pair_alone():
    scene = shoebox(np.full(6, 0.2), np.zeros(6))
    points = np.array([[1.3, 1.1, 1.2], [3.7, 2.6, 1.9], [0.4, 3.5, 2.2]])
    together = found(scene, points[:2], points)
    alone = [
        (emitter, listener, *key[2:])
        for emitter in range(2)
        for listener in range(3)
        for key in keys(found(scene, points[emitter], points[listener]))
    ]
    assert keys(together) == sorted(alone)


def test_without_geometry_there_are_no_paths():
    paths = found(scene_of(), [0, 0, 0], [1, 0, 0])
    assert len(paths.length) == 0
    assert paths.energy.shape == (0, 8)
