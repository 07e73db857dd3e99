"""Whether the wide rooms are sound: reproducible, closed or open as meant, and with points in their air."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import trimesh

from naf_core.air import Air
from naf_core.raycast import Raycaster, sphere_directions
from naf_core.training.rooms import WIDE_DEV, WIDE_KINDS, WIDE_TRAINING, make_room
from naf_core.training.rooms.builder import Room
from naf_core.training.rooms.carving import Carving
from naf_core.training.rooms.points import choose_points
from naf_core.training.rooms.shapes import ball, box, column, disk, leaves, pipe, put
from naf_core.training.rooms.sheet import look
from naf_core.training.rooms.shells import LIDS, lid, shell
from naf_core.training.rooms.site import Site
from naf_core.training.rooms.wide import kind_of, make_site

POINTS = 10
LOOKS = sphere_directions(512)
SAME = ("vertices", "triangles", "material_index", "absorption", "scattering", "air")


# Of a seed: kind, triangles and materials of the room with four points, and the sum of all coordinates in m.
KNOWN = {
    10_000_000: ("vault", 4113, 32, 168154.03),
    10_000_001: ("rotunda", 728, 5, 18871.19),
    10_000_002: ("corridor", 3350, 44, 133795.32),
    10_000_003: ("theatre", 2607, 19, 178124.38),
    10_000_004: ("single", 408, 7, 6721.26),
    10_000_007: ("set", 2563, 18, 43564.81),
    10_000_008: ("flat", 5954, 61, 183703.07),
    10_000_010: ("storeys", 2024, 42, 58337.86),
}


@pytest.fixture(scope="module", params=[(kind, seed) for kind in WIDE_KINDS for seed in (WIDE_DEV, WIDE_DEV + 1)])
def made(request: pytest.FixtureRequest) -> Iterator[tuple[Room, Site]]:
    kind, seed = request.param
    yield make_room(seed, POINTS, kind), make_site(seed, kind)[1]


def site() -> Site:
    return Site(np.random.default_rng(0))


# Shapes.


def signed_volume(corners: np.ndarray) -> float:
    a, b, c = np.moveaxis(corners, 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def test_bodies_are_closed_and_face_outwards() -> None:
    assert signed_volume(put(box((2.0, 3.0, 0.5)), np.array([5.0, -4.0, 2.0]), 0.7)) == pytest.approx(3.0)
    sides = 400
    assert signed_volume(column(0.5, 2.0, sides)) == pytest.approx(0.5 * np.pi, rel=1e-3)
    assert signed_volume(pipe(0.5, 2.0, sides)) == pytest.approx(0.5 * np.pi, rel=1e-3)
    assert signed_volume(ball(0.5, 100)) == pytest.approx(np.pi / 6.0, rel=1e-3)
    for body in (box((1, 1, 1)), column(0.5, 2.0, 12), pipe(0.2, 1.0, 8), ball(0.5, 8)):
        mesh = trimesh.Trimesh(*merged(body), process=False)
        assert mesh.is_watertight
        assert mesh.is_winding_consistent


def merged(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vertices, index = np.unique(np.round(corners.reshape(-1, 3), 9), axis=0, return_inverse=True)
    return vertices, index.reshape(-1, 3)


def test_what_is_carved_is_the_air_without_the_matter_in_it() -> None:
    here, carving = site(), Carving()
    palette = here.palette()
    carving.air((0, 0, 0), (4, 3, 2.5), palette)
    carving.air((4, 1, 0), (4.2, 2, 2), palette)  # a doorway
    carving.air((4.2, 0, 0), (6.2, 3, 2.5), palette)
    carving.solid((1, 1, 0), (2, 2, 1), here.plain(0.5, 1.0))
    carving.build(here)
    assert here.volume() == pytest.approx(30.0 + 0.4 + 15.0 - 1.0)
    assert not here.skies
    hits = Raycaster(here.scene(Air())).intersect(np.full((512, 3), 0.5, np.float32), LOOKS)
    assert (hits.triangle >= 0).all()


def test_towards_the_sky_there_is_no_surface() -> None:
    here, carving = site(), Carving()
    carving.air((0, 0, 0), (2, 2, 2), here.palette())
    carving.sky((0, 0, 2), (2, 2, 3))
    carving.build(here)
    assert here.volume() == pytest.approx(8.0)  # the open side counts as its border
    assert here.scene(Air()).triangle_areas.sum() == pytest.approx(5 * 4.0)


@pytest.mark.parametrize("shape", LIDS)
@pytest.mark.parametrize("size", [(5.0, 8.0), (8.0, 5.0)])
def test_lids_close_what_they_cover(shape: str, size: tuple[float, float]) -> None:
    here, carving = site(), Carving()
    palette = here.palette()
    zone = here.zone((0, 0, 0), (*size, 2.0))
    carving.air(zone.low, zone.high, palette)
    lid(here, carving, zone, shape, 1.5, palette)
    carving.build(here)
    assert 80.0 + 40.0 * 0.2 < here.volume() < 80.0 + 40.0 * 1.5
    if shape in ("gable", "shed"):
        assert here.volume() == pytest.approx(80.0 + 0.5 * 40.0 * 1.5)
    hits = Raycaster(here.scene(Air())).intersect(np.full((512, 3), 1.3, np.float32), LOOKS)
    assert (hits.triangle >= 0).all()


def test_a_round_room_has_the_volume_of_a_cylinder() -> None:
    here = site()
    plan = disk(np.linspace(0.0, 3.0, 5), np.linspace(0.0, 2.0 * np.pi, 201))
    shell(here, plan, np.zeros((5, 201)), np.full((5, 201), 2.0), here.palette(), closed=True)
    assert here.volume() == pytest.approx(18.0 * np.pi, rel=1e-3)


def test_thin_things_take_no_air_and_show_two_sides() -> None:
    here, carving = site(), Carving()
    carving.air((0, 0, 0), (2, 2, 2), here.palette())
    carving.build(here)
    before = here.volume(), here.decay(Air())
    loose = leaves(here.rng, 50, 0.5, 0.2) + 1.0
    here.add(loose, here.surface(0.9, 1.1), thin=True)
    assert here.volume() == pytest.approx(before[0])
    assert (here.decay(Air()) < before[1]).all()


# Rooms.


def test_a_seed_makes_the_same_wide_room_again() -> None:
    for seed in (WIDE_TRAINING, WIDE_DEV + 7):
        one, other = make_room(seed, 5), make_room(seed, 5)
        np.testing.assert_array_equal(one.points, other.points)
        for name in SAME:
            np.testing.assert_array_equal(getattr(one.scene, name), getattr(other.scene, name))
    assert make_room(WIDE_TRAINING - 1, 2).kind not in ("flat", "church")


def test_rooms_that_data_were_traced_in_stay_as_they_are() -> None:
    for seed, (kind, triangles, materials, total) in KNOWN.items():
        room = make_room(seed, 4)
        assert (room.kind, len(room.scene.triangles), len(room.scene.materials)) == (kind, triangles, materials)
        coordinates = room.scene.vertices.sum(dtype=np.float64) + room.points.sum(dtype=np.float64)
        assert coordinates == pytest.approx(total, abs=0.02)


def test_kinds_are_as_frequent_as_they_should_be() -> None:
    rooms = 2000
    count = Counter(kind_of(WIDE_DEV + k) for k in range(rooms))
    assert make_room(WIDE_DEV + 3, 1).kind == kind_of(WIDE_DEV + 3)
    for kind, share in WIDE_KINDS.items():
        spread = np.sqrt(rooms * share * (1.0 - share))
        assert abs(count[kind] - rooms * share) < 3.5 * spread, kind


def test_wide_rooms_are_of_a_size_that_can_be_traced(made: tuple[Room, Site]) -> None:
    room, here = made
    assert 50 <= len(room.scene.triangles) <= 20_000
    assert 1.0 <= here.volume() <= 32_000.0
    for values in (room.scene.absorption, room.scene.scattering):
        assert ((values > 0.0) & (values < 1.0)).all()


def test_wide_rooms_ring_as_rooms_do(made: tuple[Room, Site]) -> None:
    room, here = made
    decay = here.decay(room.scene.air)[1:7]
    assert ((decay > 0.1) & (decay < 10.0)).all()


def test_sound_leaves_only_where_the_kind_says_so(made: tuple[Room, Site]) -> None:
    room, here = made
    caster = Raycaster(room.scene)
    hits = caster.intersect(np.repeat(room.points, len(LOOKS), axis=0), np.tile(LOOKS, (POINTS, 1)))
    met = hits.triangle >= 0
    assert met.all() or here.skies
    assert room.kind not in ("courtyard", "street") or not met.all()
    # Whoever stands in the air sees the front of everything; single rays may pass between two triangles.
    behind = np.einsum("ij,ij->i", caster.normals[hits.triangle], np.tile(LOOKS, (POINTS, 1))) > 0.0
    assert (behind & met & here.solid[hits.triangle]).mean() < 1e-3


def test_points_stand_clear_of_all_surfaces(made: tuple[Room, Site]) -> None:
    room, _ = made
    corners = room.scene.vertices[room.scene.triangles].astype(np.float64)
    for point in room.points.astype(np.float64):
        reach = np.linalg.norm(corners - point, axis=2).min(axis=1)
        size = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
        near = corners[reach < size + 0.05]  # others are farther off than this for certain
        if len(near):
            closest = trimesh.triangles.closest_point(near, np.tile(point, (len(near), 1)))
            assert np.linalg.norm(closest - point, axis=1).min() > 0.05


def test_some_points_are_near_each_other_and_none_in_one_place(made: tuple[Room, Site]) -> None:
    room, _ = made
    apart = np.linalg.norm(room.points[:, None] - room.points, axis=2)[np.triu_indices(POINTS, 1)]
    assert 0.05 < apart.min() < 0.5


def test_in_flats_some_points_are_hidden() -> None:
    i, j = np.triu_indices(POINTS, 1)
    for seed in range(WIDE_DEV, WIDE_DEV + 4):
        room = make_room(seed, POINTS, "flat")
        hidden = Raycaster(room.scene).occluded(room.points[i], room.points[j])
        assert 0.1 < hidden.mean() < 1.0


def test_points_keep_to_air_that_hangs_together_and_out_of_matter() -> None:
    here, carving = site(), Carving()
    for x in (0.0, 5.0):  # no door between them
        zone = here.zone((x, 0, 0), (x + 4.0, 3, 2.5))
        carving.air(zone.low, zone.high, here.palette())
    carving.build(here)
    low, size = np.array([1.0, 0.5, 0.1]), np.array([2.0, 2.0, 2.0])
    for x in (0.0, 5.0):
        here.add(put(box(tuple(size)), np.array([x + 2.0, 1.5, 0.1]), 0.0), here.surface(0.5, 1.0))
    points = choose_points(here, here.scene(Air()), 40)
    assert len({bool(x > 4.5) for x in points[:, 0]}) == 1
    in_body = points - [5.0 * (points[0, 0] > 4.5), 0.0, 0.0]
    assert not ((in_body > low) & (in_body < low + size)).all(axis=1).any()


def test_moods_run_from_concrete_to_a_studio() -> None:
    absorption = [make_site(WIDE_DEV + k, "single")[1].materials for k in range(40)]
    mean = [np.mean([m.absorption for m in materials]) for materials in absorption]
    assert min(mean) < 0.04
    assert max(mean) > 0.4


def test_a_picture_shows_the_room_and_its_points_inside() -> None:
    room = make_room(WIDE_DEV, 4, "single")
    picture, points = look(room)
    shown = (picture < 1.0).any(axis=2)
    assert 0.2 < shown.mean() < 0.95
    for across, down in points.round().astype(int):
        assert shown[down, across]
