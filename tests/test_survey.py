from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from naf_core.directivity import Cone
from naf_core.firstsound import FirstSound
from naf_core.floormap import FloorMap
from naf_core.loudness import Source, levels, source_at
from naf_core.materials import Material
from naf_core.raycast import Raycaster
from naf_core.scene import Emitter, Scene, Trajectory
from naf_core.survey import FloorValues, Survey
from tests.fake_field import PLASTER, DiffuseField, FreeField, boxes
from tests.shapes import box, quad, scene_of

TONE = np.eye(8)[4]  # 1 kHz


def source(position: tuple[float, ...], level: float = 70.0, gain: float = 1.0, name: str = "e") -> Source:
    return source_at(Emitter(name, Trajectory([0.0], [position]), "e.wav", gain=gain, level=level), TONE, 0.0)


def floor(width: float, depth: float, texels: int = 64, ear_height: float = 1.6, **more: object) -> FloorMap:
    triangles = more.pop("triangles", np.zeros((0, 3, 3)))
    corner = more.pop("origin", (0.0, 0.0, 0.0))
    return FloorMap(texels, texels, corner, (width, 0, 0), (0, depth, 0), triangles, ear_height, **more)


def survey(field, scene: Scene, sources: Sequence[Source], ground: FloorMap, progress=None) -> FloorValues:
    return Survey(field, scene, ground).at(sources, progress)


def test_a_map_of_the_free_field_is_exact_at_every_texel():
    ground = floor(8.0, 6.0)
    field, sources = FreeField(), [source((2, 2, 1)), source((6, 5, 2), 60.0)]
    found = survey(field, field.scene, sources, ground)
    ears = ground.centres() + (0, 0, 1.6)
    expected = levels(field, sources, ears.reshape(-1, 3)).reshape(64, 64)
    np.testing.assert_allclose(found.values, expected, atol=1e-3)
    assert not found.solid.any()


def test_reflected_sound_between_lattice_points_is_what_the_field_says_there():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    field, sources, ground = DiffuseField(room, slope_db=-2.0), [source((2, 2, 1))], floor(8.0, 6.0, 96)
    found = survey(field, room, sources, ground)
    ears = ground.centres() + (0, 0, 1.6)
    expected = levels(field, sources, ears.reshape(-1, 3)).reshape(96, 96)
    inner = np.s_[8:-8, 8:-8]
    np.testing.assert_allclose(found.values[inner], expected[inner], atol=0.05)
    assert np.nanmax(np.abs(found.values - expected)) < 0.3
    assert field.pairs < 96 * 96 + 3000


def two_rooms(door: bool, thick: float = 0.2) -> Scene:
    walls = [((4, 0, 0), (4 + thick, 2, 3)), ((4, 3, 0), (4 + thick, 6, 3)), ((4, 2, 2.1), (4 + thick, 3, 3))]
    if not door:
        walls.append(((4, 2, 0), (4 + thick, 3, 2.1)))
    return boxes(((0, 0, 0), (8, 6, 3)), *walls)


def test_walls_and_doorways_are_visible():
    room, ground = two_rooms(door=True), floor(8.0, 6.0)
    found = survey(DiffuseField(room), room, [source((2, 2.5, 1.5))], ground)
    x, y = ground.centres()[..., 0], ground.centres()[..., 1]
    in_wall = (x > 4.0) & (x < 4.2) & ((y < 2) | (y > 3))
    assert np.isnan(found.values[in_wall]).all()
    assert found.solid[in_wall].all()
    beside = (np.abs(x - 4.1) > 0.25) | ((y > 2.15) & (y < 2.85))  # a texel is 0.125 m wide
    assert np.isfinite(found.values[beside]).all()
    # Right of the wall the direct sound arrives through the doorway only.
    behind = x > 4.4
    lit = behind & (np.abs(y - 2.5) < 0.2)
    dark = behind & (y > 4.5)
    assert found.values[lit].mean() > found.values[dark].mean() + 1.0
    # The diffuse field, 70 - 10 dB, and what bends round the jambs.
    assert ((found.values[dark] >= 60.0) & (found.values[dark] < 60.3)).all()


def test_no_sound_reaches_a_closed_room():
    room, ground = two_rooms(door=False), floor(8.0, 6.0)
    found = survey(DiffuseField(room), room, [source((2, 2.5, 1.5))], ground)
    x = ground.centres()[..., 0]
    assert np.isfinite(found.values[x < 3.8]).all()
    assert np.isnan(found.values[x > 4.0]).all()


@pytest.mark.parametrize("x", [4.0625, 4.125])  # through the centres of texels, and between them
def test_a_wall_exactly_on_the_grid_holds_the_sound_back(x):
    plane = quad((x, 0, 0), (x, 6, 0), (x, 6, 3), (x, 0, 3))
    room = scene_of((box((0, 0, 0), (8, 6, 3)), PLASTER), (plane, PLASTER))
    found = survey(DiffuseField(room), room, [source((2, 2, 1.5))], floor(8.0, 6.0))
    assert np.isnan(found.values[:, 33:]).all()
    assert np.isfinite(found.values[:, :32]).all()


def test_a_wall_without_thickness_is_a_line():
    plane = quad((4.01, 0, 0), (4.01, 4, 0), (4.01, 4, 3), (4.01, 0, 3))
    room = scene_of((box((0, 0, 0), (8, 6, 3)), PLASTER), (plane, PLASTER))
    found = survey(DiffuseField(room), room, [source((2, 2, 1.5))], floor(8.0, 6.0))
    below, beyond = found.values[:41], found.values[45:]  # y up to 3.94 m, from 4.2 m
    assert (np.isnan(below).sum(axis=1) == 1).all()
    assert np.isnan(below[:, 32]).all()
    assert np.isfinite(beyond).all()


def test_low_furniture_is_walked_over_and_high_furniture_is_not():
    room = boxes(((0, 0, 0), (8, 6, 3)), ((1, 1, 0), (3, 2, 0.75)), ((5, 4, 0), (6, 5, 2.0)))
    ground = floor(8.0, 6.0)
    found = survey(DiffuseField(room), room, [source((4, 3, 1.5))], ground)
    x, y = ground.centres()[..., 0], ground.centres()[..., 1]
    cupboard = (x > 5) & (x < 6) & (y > 4) & (y < 5)
    assert np.isnan(found.values[cupboard]).all()
    near = (x > 4.8) & (x < 6.2) & (y > 3.8) & (y < 5.2)
    assert np.isfinite(found.values[~near]).all()


def test_a_screen_above_the_ears_does_not_shut_in_what_stands_behind_it():
    # Four walls of 1.9 m around a place, open above.
    walls = [
        ((5, 3, 0), (7, 3.05, 1.9)),
        ((5, 5, 0), (7, 5.05, 1.9)),
        ((5, 3, 0), (5.05, 5, 1.9)),
        ((7, 3, 0), (7.05, 5.05, 1.9)),
    ]
    room, ground = boxes(((0, 0, 0), (8, 6, 3)), *walls), floor(8.0, 6.0, 128)
    found = survey(DiffuseField(room), room, [source((1, 1, 1.5))], ground)
    x, y = ground.centres()[..., 0], ground.centres()[..., 1]
    inside = (x > 5.2) & (x < 6.8) & (y > 3.2) & (y < 4.8)
    assert np.isfinite(found.values[inside]).all()


def test_only_the_floor_is_painted_and_its_height_counts():
    # A triangle of floor, half of it a step of 1 m.
    room = boxes(((-1, -1, -1), (9, 9, 6)))
    low = np.array([[(0, 0, 0), (3.97, 0, 0), (0, 7.94, 0)], [(4, 0, 1), (7.9, 0, 1), (4, 3.9, 1)]], float)
    ground = floor(8.0, 8.0, triangles=low)
    found = survey(FreeField(), room, [source((4, 2, 1.6))], ground)
    x, y = ground.centres()[..., 0], ground.centres()[..., 1]
    on_low, on_step = (y < 7.94 - 2 * x), (x > 4) & (y < 7.9 - x)
    np.testing.assert_array_equal(np.isfinite(found.values), on_low | on_step)
    expected = 70 - 20 * np.log10(np.hypot(x - 4, y - 2))
    far = on_low & (np.hypot(x - 4, y - 2) > 1)
    np.testing.assert_allclose(found.values[far], expected[far], atol=0.1)
    raised = 70 - 10 * np.log10((x - 4) ** 2 + (y - 2) ** 2 + 1)
    np.testing.assert_allclose(found.values[on_step], raised[on_step], atol=0.1)


def test_there_is_no_level_where_nobody_can_stand_upright():
    # Ears above the ceiling lie outside, where no sound gets.
    room = boxes(((0, 0, 0), (8, 6, 1.2)))
    found = survey(DiffuseField(room), room, [source((4, 3, 0.5))], floor(8.0, 6.0, 32))
    assert np.isfinite(found.values).sum() in (0, 32 * 32)


def test_a_source_in_a_room_beyond_the_map_still_reaches_it():
    # The map shows the right room only; the source stands in the left one, around the corner of the doorway.
    room = two_rooms(door=True)
    ground = floor(3.6, 2.5, 32, origin=(4.3, 3.4, 0.0))
    found = survey(DiffuseField(room), room, [source((3.5, 5.5, 1.5))], ground)
    assert ((found.values > 59.95) & (found.values < 60.3)).all()


def baked(field, scene: Scene, one: Source, points: np.ndarray) -> np.ndarray:
    """Level (n,) in dB(A) as a bake has it, of a source with one band."""
    emitters = np.broadcast_to(one.position, points.shape)
    response = FirstSound(scene, field.caster).put_into(field.predict(emitters, points), emitters, points)[0]
    return 10.0 * np.log10(response.total @ one.energy)


@pytest.mark.parametrize(("level_db", "share", "error_db"), [(-20.0, 95, 0.2), (-60.0, 90, 0.5)])
def test_behind_a_corner_the_map_says_what_a_bake_says(level_db, share, error_db):
    # With hardly any reflections all that is heard there is what bends round the jambs of the door.
    room, ground = two_rooms(door=True), floor(8.0, 6.0, 96)
    field, one = DiffuseField(room, level_db), source((2, 4.5, 1.5))
    over = Survey(field, room, ground)
    values, ears = over.at([one]).values.ravel(), ground.centres().reshape(-1, 3) + (0, 0, 1.6)
    behind = np.flatnonzero(np.isfinite(values) & (ears[:, 0] > 4.4))
    chosen = np.random.default_rng(0).choice(behind, 60, replace=False)
    error = np.abs(values[chosen] - baked(field, room, one, ears[chosen]))
    assert np.percentile(error, share) < error_db


def test_a_wall_that_lets_sound_pass_is_heard_through():
    thin = Material("thin", (0.1,) * 8, (0.2,) * 8, "for tests", (20.0,) * 8)
    plane = quad((4, -1, -1), (4, 7, -1), (4, 7, 4), (4, -1, 4))
    room = scene_of((box((0, 0, 0), (8, 6, 3)), PLASTER), (plane, thin))
    field, one, ground = DiffuseField(room, -200.0), source((2, 3, 1.6)), floor(8.0, 6.0, 32)
    found = survey(field, room, [one], ground).values
    ears = ground.centres() + (0, 0, 1.6)
    beyond = ears[..., 0] > 4.3
    np.testing.assert_allclose(found[beyond], baked(field, room, one, ears[beyond]), atol=0.3)
    np.testing.assert_allclose(found[16, 24], 70 - 20 - 20 * np.log10(4.1), atol=0.3)


def test_a_cone_weighs_direct_sound_by_direction_and_the_rest_by_its_power():
    cone = Cone(90.0, 90.0, 0.1)
    emitter = Emitter("e", Trajectory([0.0], [(4, 3, 1.6)]), "e.wav", level=70.0, cone=cone)
    one = source_at(emitter, TONE, 0.0)
    ground = floor(8.0, 6.0, 32)
    free = survey(FreeField(), boxes(), [one], ground).values
    assert free[16, 24] - free[16, 7] == pytest.approx(20.0, abs=0.05)  # before and behind it, equally far
    np.testing.assert_allclose(free.ravel(), levels(FreeField(), [one], ground.centres().reshape(-1, 3) + (0, 0, 1.6)))
    room = boxes(((0, 0, 0), (8, 6, 3)))
    behind = survey(DiffuseField(room, 0.0), room, [one], ground).values[16, 1]
    direct = 10.0**5 / 3.75**2
    assert behind == pytest.approx(10 * np.log10(10.0**7 * cone.power[4] + direct), abs=0.1)


def test_without_a_source_the_map_is_empty():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    found = survey(DiffuseField(room), room, [source((4, 3, 1.5), gain=0.0)], floor(8.0, 6.0, 16))
    assert np.isnan(found.values).all()


def test_a_map_of_one_texel():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    found = survey(DiffuseField(room), room, [source((4, 3, 1.6))], floor(8.0, 6.0, 1))
    assert found.values.shape == (1, 1)
    assert np.isfinite(found.values).all()


def test_progress_grows_to_one_and_may_cancel():
    room, seen = boxes(((0, 0, 0), (8, 6, 3))), []
    sources = [source((4, 3, 1.6)), source((2, 3, 1.6))]
    survey(DiffuseField(room), room, sources, floor(8.0, 6.0), seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def cancel(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey(DiffuseField(room), room, sources, floor(8.0, 6.0), cancel)


def test_quantities_of_a_diffuse_room_are_those_of_its_decay():
    # Reflections alone: early to late by the decay of 0.5 s, -10 dB at 1 m of the free field; the source is hidden.
    wall = quad((4, -1, -1), (4, 7, -1), (4, 7, 2.4), (4, -1, 2.4))
    room = scene_of((box((0, 0, 0), (8, 6, 3)), PLASTER), (wall, PLASTER))
    field, rate = DiffuseField(room), 6 * np.log(10) / 0.5
    late = np.exp(-rate * 0.05)
    for quantity, expected, error in (
        ("T30", 0.5, 0.01),
        ("C50", 10 * np.log10((1 - late) / late), 0.1),
        ("D50", 1 - late, 0.01),
    ):
        found = survey(field, room, [source((2, 3, 1.5))], floor(8.0, 6.0, 32, quantity=quantity, ear_height=1.0))
        dark = found.values[:, 20:]
        np.testing.assert_allclose(dark, expected, atol=error)


def test_the_direct_sound_raises_clarity_close_to_the_source():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    ground = floor(8.0, 6.0, 32, quantity="C50")
    found = survey(DiffuseField(room), room, [source((2, 3, 1.5))], ground).values
    centres = ground.centres()
    distance = np.hypot(centres[..., 0] - 2, centres[..., 1] - 3)
    assert found[distance < 0.5].mean() > found[distance > 4].mean() + 10.0


def test_speech_is_understood_worse_in_noise():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    found = [
        np.nanmean(
            survey(DiffuseField(room), room, [source((2, 3, 1.5))], floor(8, 6, 16, quantity="STI", noise=n)).values
        )
        for n in (None, 50.0, 60.0, 80.0)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.6 > 0.3 > found[-1]


def test_other_quantities_are_those_of_the_loudest_source():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    ground = floor(8.0, 6.0, 32, quantity="C50")
    left, right = source((1, 3, 1.5)), source((7, 3, 1.5), name="f")
    alone = survey(DiffuseField(room), room, [left], ground).values
    both = survey(DiffuseField(room), room, [left, right], ground).values
    np.testing.assert_allclose(both[:, :12], alone[:, :12])
    assert both[:, -4:].mean() > alone[:, -4:].mean() + 3.0


def test_a_band_has_its_own_plain_level():
    field = FreeField()
    ground = floor(8.0, 6.0, 16, quantity="level", band=4)
    found = survey(field, field.scene, [source((2, 2, 1))], ground).values
    weighted = survey(field, field.scene, [source((2, 2, 1))], floor(8.0, 6.0, 16)).values
    np.testing.assert_allclose(found, weighted, atol=0.01)  # all of it is at 1 kHz, where A is 0 dB
    other = survey(field, field.scene, [source((2, 2, 1))], floor(8.0, 6.0, 16, quantity="level", band=1)).values
    assert (other < -20).all()  # and none of it at 125 Hz


def test_a_wall_can_wear_a_map():
    # A plane that stands upright, 1 m from the source; ears lie on its side.
    field = FreeField()
    wall = FloorMap(32, 24, (0, 0, 0), (4, 0, 0), (0, 0, 3), np.zeros((0, 3, 3)), ear_height=0.05)
    found = survey(field, field.scene, [source((2, -1.05, 1.5))], wall).values
    points = wall.centres() + 0.05 * wall.normal
    np.testing.assert_allclose(wall.normal, (0, -1, 0))
    np.testing.assert_allclose(
        found.ravel(), levels(field, [source((2, -1.05, 1.5))], points.reshape(-1, 3)), atol=1e-3
    )


def test_sources_that_stand_still_are_asked_for_once():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    field = DiffuseField(room)
    over_time = Survey(field, room, floor(8.0, 6.0, 32))
    loud = over_time.at([source((2, 3, 1.5))]).values
    asked = field.pairs
    quiet = over_time.at([source((2, 3, 1.5), gain=0.5)]).values
    assert field.pairs == asked
    np.testing.assert_allclose(loud - quiet, 6.02, atol=0.01)
    over_time.at([source((5, 3, 1.5))])
    assert field.pairs > asked


def test_of_several_sources_only_those_that_move_are_asked_for_again():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    field = DiffuseField(room)
    over_time = Survey(field, room, floor(8.0, 6.0, 32))
    still = source((2, 3, 1.5))
    over_time.at([still, source((5, 3, 1.5), name="moves")])
    both, field.pairs = field.pairs, 0
    after = over_time.at([still, source((5, 4, 1.5), name="moves")]).values
    assert field.pairs == both // 2
    np.testing.assert_allclose(after, survey(field, room, [still, source((5, 4, 1.5))], floor(8.0, 6.0, 32)).values)


def test_a_caster_that_is_at_hand_is_used():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    caster = Raycaster(room)
    assert Survey(DiffuseField(room), room, floor(8.0, 6.0, 16), caster)._caster is caster
