from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naf_core.air import NEAREST, Air
from naf_core.errors import UserError
from naf_core.paths import EarlyPaths, early_paths, mirror_paths
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


def found(scene: Scene, emitters: object, listeners: object, order: int = 3, **options: object) -> EarlyPaths:
    emitters, listeners = (np.array(p, np.float32).reshape(-1, 3) for p in (emitters, listeners))
    options = {"rays": 2048, **options}
    return mirror_paths(scene, Raycaster(scene), emitters, listeners, order=order, **options)


def keys(paths: EarlyPaths) -> list[tuple[int, ...]]:
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
    paths = found(scene, [0.3, 0.2, 1.5], [1.1, -0.7, 2.0])
    np.testing.assert_allclose(paths.length, [np.sqrt(0.8**2 + 0.9**2 + 3.5**2)], rtol=1e-6)


def test_walls_a_centimetre_apart_are_two_mirrors():
    # A panel of 1 m hangs 1 cm before a wall: what it mirrors comes 2 cm earlier, and the wall behind it is hidden.
    wall = quad([0, -9, -9], [0, 9, -9], [0, 9, 9], [0, -9, 9])
    panel = quad([0.01, -0.5, -0.5], [0.01, 0.5, -0.5], [0.01, 0.5, 0.5], [0.01, -0.5, 0.5])
    scene = scene_of((np.concatenate([wall, panel]), material(0.1, 0.0)))
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


@pytest.mark.parametrize("order", [1, 3])
def test_own_paths_pair_each_point_with_itself_only(order):
    absorption = np.linspace(0.05, 0.55, 6)
    scene = shoebox(absorption, np.zeros(6))
    points = np.array([[1.3, 1.1, 1.2], [3.7, 2.6, 1.9], [0.4, 3.5, 2.2]])
    # Images behind an edge or corner lie just there as seen from the point itself: each must be found once even so.
    own = found(scene, points, points, order, own=True, rays=8192)
    np.testing.assert_array_equal(own.emitter, own.listener)
    for k, point in enumerate(points):
        images, reflections = image_sources(point, order)
        length = np.linalg.norm(images - point, axis=1)
        gain = ((1.0 - absorption) ** reflections).prod(axis=1) * np.exp(-scene.air.absorption()[3] * length)
        assert (own.emitter == k).sum() == len(images)
        expected = (gain / length**2).sum()
        assert own.energy[own.emitter == k, 3].sum() == pytest.approx(expected, rel=0.005)


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


def turned(triangles: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles in an arbitrary position, and the turn (3, 3) and shift (3,) into it."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    shift = rng.uniform(-20.0, 20.0, 3)
    return triangles @ turn + shift, turn, shift


def assert_complete(paths: EarlyPaths, emitter: np.ndarray, listener: np.ndarray, turn: np.ndarray = None) -> None:
    """All of a shoebox's 63 paths up to order 3 from emitter to listener (3,), each once."""
    separation = (np.concatenate([emitter[None], image_sources(emitter, 3)[0]]) - listener) @ (
        np.eye(3) if turn is None else turn
    )
    length = np.linalg.norm(separation, axis=1)
    assert len(paths.length) == 63
    apart = np.linalg.norm((paths.length[:, None] * paths.source)[:, None] - separation, axis=2)
    assert sorted(apart.argmin(axis=1)) == list(range(63))
    assert apart.min(axis=1).max() < 1e-3
    assert np.bincount(paths.order).tolist() == [1, 6, 18, 38]
    np.testing.assert_allclose(np.sort(paths.length), np.sort(length), atol=1e-3)


POSITION = st.floats(0.02, 0.98) | st.sampled_from([0.002, 0.25, 0.5, 0.75, 0.999])
PLACE = st.tuples(POSITION, POSITION, POSITION).map(lambda at: np.array(at) * SIZE)


@settings(max_examples=12, deadline=None)
@given(PLACE, PLACE, st.booleans(), st.integers(0, 10**6))
def test_early_paths_of_a_shoebox_are_complete_wherever_it_stands(emitter, listener, straight, seed):
    # Also close to walls, symmetrically, or in one place: there many paths pass just through an edge.
    triangles, turn, shift = (box([0, 0, 0], SIZE), np.eye(3), np.zeros(3))
    if not straight:
        triangles, turn, shift = turned(triangles, seed)
    scene = scene_of((triangles, material(0.2, 0.3)))
    paths = early_paths(scene, emitter @ turn + shift, listener @ turn + shift, rays=64)
    assert_complete(paths, emitter, listener, turn)
    assert np.isfinite(np.concatenate([column.ravel() for column in paths])).all()


def test_early_paths_swap_their_ends_with_emitter_and_listener():
    triangles, turn, shift = turned(np.concatenate([box([0, 0, 0], SIZE), box([1, 1, 0], [2, 2.5, 1])]), 5)
    scene = scene_of((triangles, material(0.2, 0.3)))
    a, b = (np.array(place) @ turn + shift for place in ([0.53, 3.02, 1.47], [4.01, 1.03, 2.04]))
    there, back = early_paths(scene, a, b), early_paths(scene, b, a)
    assert len(there.length) == len(back.length) > 20
    np.testing.assert_allclose(there.length, back.length, atol=1e-4)
    np.testing.assert_allclose(there.source, back.departure, atol=1e-4)
    np.testing.assert_allclose(there.departure, back.source, atol=1e-4)
    np.testing.assert_allclose(there.energy, back.energy, rtol=1e-4)
    np.testing.assert_allclose(there.delay, there.length / scene.air.speed_of_sound)
    np.testing.assert_allclose(np.linalg.norm(there.departure, axis=1), 1.0, atol=1e-9)


def test_sound_leaves_towards_the_first_mirror():
    floor = quad([-50, -50, 0], [50, -50, 0], [50, 50, 0], [-50, 50, 0])
    paths = early_paths(scene_of((floor, material(0.1, 0.0))), [0, 0, 2], [3, 0, 2])
    np.testing.assert_allclose(paths.departure, [[1, 0, 0], [0.6, 0, -0.8]], atol=1e-6)
    np.testing.assert_allclose(paths.source, [[-1, 0, 0], [-0.6, 0, -0.8]], atol=1e-6)
    assert paths.order.tolist() == [0, 1]


def divided(size: np.ndarray) -> np.ndarray:
    """A box whose faces are divided unlike each other, with corners that meet the middle of a neighbour's edge."""
    parts = [box([0, 0, 0], size, without="-z +z")]
    for z in (0.0, size[2]):
        for k, (low, high) in enumerate([(0.0, 0.31), (0.31, 0.5), (0.5, 1.0)]):
            cuts = np.linspace(0.0, 1.0, 5 + 3 * k) * size[1]
            x0, x1 = low * size[0], high * size[0]
            parts += [quad([x0, a, z], [x1, a, z], [x1, b, z], [x0, b, z]) for a, b in pairwise(cuts)]
    return np.concatenate(parts)


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_seams_between_triangles_neither_lose_nor_double_paths(seed):
    triangles, turn, shift = divided(SIZE), np.eye(3), np.zeros(3)
    if seed is not None:
        triangles, turn, shift = turned(triangles, seed)
    scene = scene_of((triangles, material(0.2, 0.3)))
    # The floor mirrors at a corner where four tiles meet, on seams and beside them.
    for x in (0.31, 0.5, 0.4):
        for y in (0.25, 0.5, 0.7):
            middle = np.array([x, y, 0.4]) * SIZE
            emitter, listener = middle - [0.7, 0.4, 0], middle + [0.7, 0.4, 0]
            paths = early_paths(scene, emitter @ turn + shift, listener @ turn + shift, rays=64)
            assert_complete(paths, emitter, listener, turn)


def test_triangles_that_are_doubled_flipped_or_slivers_change_no_path():
    rng = np.random.default_rng(4)
    triangles, turn, shift = turned(box([0, 0, 0], SIZE), 6)
    flips = rng.random(len(triangles)) < 0.5
    flipped = np.where(flips[:, None, None], triangles[:, ::-1], triangles)
    slivers = triangles.copy()
    slivers[:, 2] = slivers[:, 1] + 1e-7 * (slivers[:, 2] - slivers[:, 1])
    emitter, listener = np.array([1.3, 1.1, 1.2]), np.array([3.7, 2.6, 1.9])
    ends = emitter @ turn + shift, listener @ turn + shift
    plain = early_paths(scene_of((triangles, material(0.2, 0.3))), *ends)
    for other in (np.concatenate([triangles, flipped]), flipped, np.concatenate([slivers, triangles])):
        paths = early_paths(scene_of((other, material(0.2, 0.3))), *ends)
        assert_complete(paths, emitter, listener, turn)
        np.testing.assert_allclose(paths.energy, plain.energy, rtol=1e-6)


@pytest.mark.parametrize("thickness", [0.0, 1e-5, 5e-4, 2e-3, 0.1])
def test_a_thin_wall_mirrors_once_on_either_side_and_lets_nothing_through(thickness):
    sheet = quad([0, -9, -9], [0, 9, -9], [0, 9, 9], [0, -9, 9])
    scene = scene_of((np.concatenate([sheet, sheet[:, ::-1] + [thickness, 0, 0]]), material(0.1, 0.0)))
    ends = np.array([[-1, 0, 0], [-2, 0, 0], [1 + thickness, 0, 0], [2 + thickness, 0, 0]], float)
    paths = early_paths(scene, ends[[0, 2]], ends[[1, 3]])
    # On the diagonal of both sheets: the image's ray meets an edge.
    assert paths.emitter.tolist() == [0, 0, 1, 1]
    assert paths.listener.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(paths.length, [1.0, 3.0, 1.0, 3.0], atol=1.1e-3)


def test_many_small_mirrors_are_found_in_any_order():
    # A wall of bricks, each in a plane of its own, mirrors like the wall where the bricks are flush to 3 mm.
    rng = np.random.default_rng(7)
    edges = np.linspace(-3.0, 3.0, 13)
    bricks = [
        quad([d, y, z], [d, y + 0.5, z], [d, y + 0.5, z + 0.5], [d, y, z + 0.5])
        for y, z in product(edges[:-1], repeat=2)
        for d in [rng.uniform(0.0, 0.2)]
    ]
    scene = scene_of((np.concatenate(bricks), material(0.1, 0.0)))
    listeners = np.column_stack([np.full(16, 2.0), rng.uniform(-2, 2, (16, 2))])
    paths = early_paths(scene, [1.5, 0.1, 0.2], listeners, order=2, rays=4096)
    count = np.bincount(paths.listener[paths.order == 1], minlength=16)
    assert 0.8 < count.mean() < 1.2  # steps hide and double a little of the wall
    few = early_paths(scene, [1.5, 0.1, 0.2], listeners, order=2, rays=16)
    np.testing.assert_array_equal(few.length, paths.length)


def test_who_coincides_hears_as_from_the_nearest_distance():
    scene = scene_of((box([0, 0, 0], SIZE), material(0.2, 0.3)))
    paths = early_paths(scene, [1.3, 1.1, 1.2], [1.3, 1.1, 1.2])
    assert_complete(paths, *np.float32([[1.3, 1.1, 1.2]] * 2))
    np.testing.assert_allclose(paths.energy[0], 1.0 / NEAREST**2)
    np.testing.assert_array_equal(paths.source[0], 0.0)
    np.testing.assert_array_equal(paths.departure[0], 0.0)


@pytest.mark.parametrize("height", [0.0, 1e-6, -1e-6, 5e-4])
def test_who_stands_on_the_floor_is_in_the_room(height):
    scene = scene_of((box([0, 0, 0], SIZE), material(0.2, 0.3)))
    emitter, listener = np.array([1.3, 1.1, height]), np.array([3.7, 2.6, 1.9])
    paths = early_paths(scene, emitter, listener)
    assert_complete(paths, np.array([1.3, 1.1, 1e-3]), listener)


def test_who_is_sealed_in_or_outside_is_not_heard():
    rooms = np.concatenate([box([0, 0, 0], SIZE), box([2, 2, 1], [2.4, 2.4, 1.4])])
    scene = scene_of((rooms, material(0.2, 0.3)))
    paths = early_paths(scene, [[2.2, 2.2, 1.2], [-3, 1, 1], [1.0, 1.0, 1.0]], [[4.0, 3.0, 2.0]])
    assert set(paths.emitter) == {2}
    alone = early_paths(scene_of(), [[0, 0, 0]], [[0, 0, 2]])
    np.testing.assert_allclose(alone.energy[:, :5], 0.25, rtol=0.02)
    assert (alone.order == 0).all()


def test_early_paths_of_many_pairs_are_those_of_each_pair_and_can_be_stopped():
    scene = shoebox(np.full(6, 0.2), np.zeros(6))
    ends, fractions = np.random.default_rng(8).uniform(0.3, 2.7, (4, 3)), []
    together = early_paths(scene, ends[:2], ends, rays=64, progress=fractions.append)
    assert keys(together) == sorted(
        (emitter, listener, *key[2:])
        for emitter in range(2)
        for listener in range(4)
        for key in keys(early_paths(scene, ends[emitter], ends[listener], rays=64))
    )
    assert fractions == [0.25, 0.5, 0.75, 1.0]

    def stop(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        early_paths(scene, ends[:2], ends, rays=64, progress=stop)


def test_impossible_positions_are_refused():
    with pytest.raises(UserError, match="not a finite number"):
        early_paths(scene_of(), [np.nan, 0, 0], [0, 0, 0])
    assert len(early_paths(scene_of(), np.zeros((0, 3)), [0, 0, 0]).length) == 0


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_mirror_paths_carry_as_much_either_way(seed):
    # Boxes all about, whose edges some path just misses or meets.
    rng = np.random.default_rng(seed)
    low = rng.uniform(0.0, 0.9, (30, 3)) * SIZE
    parts = [box([0, 0, 0], SIZE), *(box(a, a + b) for a, b in zip(low, rng.uniform(0.02, 0.4, (30, 3)), strict=True))]
    scene = scene_of((np.concatenate(parts), material(0.2, 0.3)))
    ends = rng.uniform(0.05, 0.95, (5, 3)) * SIZE
    there, back = found(scene, ends[:2], ends[2:], rays=300), found(scene, ends[2:], ends[:2], rays=300)
    one, other = np.zeros((2, 3)), np.zeros((2, 3))
    np.add.at(one, (there.emitter, there.listener), there.energy[:, 3])
    np.add.at(other, (back.listener, back.emitter), back.energy[:, 3])
    np.testing.assert_allclose(one, other, rtol=1e-3)
