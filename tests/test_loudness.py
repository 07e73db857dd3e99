from __future__ import annotations

import numpy as np
import pytest

from naf_core.bands import A_WEIGHTING_DB
from naf_core.job import FloorMap
from naf_core.loudness import floor_levels, levels, source_at
from naf_core.scene import Emitter, Scene, Trajectory
from tests.fake_field import PLASTER, DiffuseField, FreeField, boxes
from tests.shapes import box, quad, scene_of

TONE = np.eye(8)[4]  # 1 kHz


def emitter(position: tuple[float, ...] = (0.0, 0.0, 0.0), level: float = 70.0, gain: float = 1.0) -> Emitter:
    return Emitter("e", Trajectory([0.0], [position]), "e.wav", gain=gain, level=level)


def source(position: tuple[float, ...], level: float = 70.0, gain: float = 1.0):
    return source_at(emitter(position, level, gain), TONE, 0.0)


def floor(width: float, depth: float, texels: int = 64, ear_height: float = 1.6, **more: object) -> FloorMap:
    triangles = more.pop("triangles", np.zeros((0, 3, 3)))
    corner = more.pop("origin", (0.0, 0.0, 0.0))
    return FloorMap(texels, texels, corner, (width, 0, 0), (0, depth, 0), triangles, ear_height, **more)


def test_an_emitter_has_its_level_at_one_metre_whatever_its_spectrum():
    for spectrum in (TONE, np.eye(8)[0], np.array([8, 7, 6, 5, 4, 3, 2, 1.0]), 1e-9 * np.ones(8)):
        found = source_at(emitter(level=65.0), spectrum, 0.0)
        assert 10 * np.log10(found.energy.sum()) == pytest.approx(65.0)


def test_volume_counts_squared_and_a_muted_emitter_is_silent():
    assert 10 * np.log10(source((0, 0, 0), gain=0.5).energy.sum()) == pytest.approx(70.0 - 6.02, abs=0.01)
    assert not source((0, 0, 0), gain=0.0).energy.any()
    assert not source_at(emitter(), np.zeros(8), 0.0).energy.any()


def test_position_and_volume_are_those_of_the_moment():
    moving = Emitter("m", Trajectory([0.0, 2.0], [(0, 0, 0), (4, 0, 2)]), "m.wav", gain=[0.0, 1.0])
    found = source_at(moving, TONE, 1.5)
    np.testing.assert_allclose(found.position, (3.0, 0.0, 1.5))
    assert 10 * np.log10(found.energy.sum()) == pytest.approx(70.0 + 20 * np.log10(0.75))


def test_direct_sound_falls_with_the_square_of_the_distance():
    points = np.array([[1.0, 0, 0], [2, 0, 0], [0, 4, 0]])
    found = levels(FreeField(), [source((0, 0, 0))], points)
    np.testing.assert_allclose(found, 70.0 - 20 * np.log10([1, 2, 4]), atol=0.1)


def test_air_takes_its_part_over_long_distances():
    # Only 4 kHz, where 20 degrees and 50 % take 29.4 dB/km.
    high = source_at(emitter(), np.eye(8)[6], 0.0)
    found = levels(FreeField(), [high], [(100.0, 0, 0)])[0]
    assert found == pytest.approx(70.0 - 40.0 - 2.94, abs=0.01)


def test_a_second_source_adds_three_decibels_and_ten_add_ten():
    point = [(3.0, 2.0, 1.0)]
    field = DiffuseField(boxes(((-9, -9, -9), (9, 9, 9))))
    one = levels(field, [source((0, 0, 0))], point)
    np.testing.assert_allclose(levels(field, [source((0, 0, 0))] * 2, point) - one, 3.01, atol=0.01)
    np.testing.assert_allclose(levels(field, [source((0, 0, 0))] * 10, point) - one, 10.0, atol=0.01)


def test_bands_are_a_weighted():
    # As much energy at 63 Hz as at 1 kHz; far away in a room that passes only 63 Hz, the A-weighted rest of it is left.
    spectrum = np.zeros(8)
    spectrum[[0, 4]] = 0.5

    class OnlyLow(FreeField):
        def predict(self, emitters, listeners):
            response = super().predict(emitters, listeners)
            response.direct[:, 1:] = 0.0
            return response

    both = source_at(emitter(), spectrum, 0.0)
    low = levels(OnlyLow(), [both], [(1.0, 0, 0)])[0]
    share = 10 ** (A_WEIGHTING_DB[0] / 10) / (1 + 10 ** (A_WEIGHTING_DB[0] / 10))
    assert low == pytest.approx(70.0 + 10 * np.log10(share), abs=0.05)
    assert low == pytest.approx(70.0 - 26.2, abs=0.1)


def test_silence_is_minus_infinity():
    assert levels(FreeField(), [], [(1.0, 0, 0)])[0] == -np.inf
    assert levels(FreeField(), [source((0, 0, 0), gain=0.0)], [(1.0, 0, 0)])[0] == -np.inf


def test_a_map_of_the_free_field_is_exact_at_every_texel():
    ground = floor(8.0, 6.0)
    field, sources = FreeField(), [source((2, 2, 1)), source((6, 5, 2), 60.0)]
    found = floor_levels(field, field.scene, sources, ground)
    ears = ground.centres() + (0, 0, 1.6)
    expected = levels(field, sources, ears.reshape(-1, 3)).reshape(64, 64)
    np.testing.assert_allclose(found.levels, expected, atol=1e-3)
    assert not found.solid.any()


def test_reflected_sound_between_lattice_points_is_what_the_field_says_there():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    field, sources, ground = DiffuseField(room, slope_db=-2.0), [source((2, 2, 1))], floor(8.0, 6.0, 96)
    found = floor_levels(field, room, sources, ground)
    ears = ground.centres() + (0, 0, 1.6)
    expected = levels(field, sources, ears.reshape(-1, 3)).reshape(96, 96)
    inner = np.s_[8:-8, 8:-8]
    np.testing.assert_allclose(found.levels[inner], expected[inner], atol=0.05)
    assert np.nanmax(np.abs(found.levels - expected)) < 0.3
    assert field.pairs < 96 * 96 + 3000


def two_rooms(door: bool, thick: float = 0.2) -> Scene:
    walls = [((4, 0, 0), (4 + thick, 2, 3)), ((4, 3, 0), (4 + thick, 6, 3)), ((4, 2, 2.1), (4 + thick, 3, 3))]
    if not door:
        walls.append(((4, 2, 0), (4 + thick, 3, 2.1)))
    return boxes(((0, 0, 0), (8, 6, 3)), *walls)


def test_walls_and_doorways_are_visible():
    room, ground = two_rooms(door=True), floor(8.0, 6.0)
    found = floor_levels(DiffuseField(room), room, [source((2, 2.5, 1.5))], ground)
    x, y = ground.centres()[..., 0], ground.centres()[..., 1]
    in_wall = (x > 4.0) & (x < 4.2) & ((y < 2) | (y > 3))
    assert np.isnan(found.levels[in_wall]).all()
    assert found.solid[in_wall].all()
    beside = (np.abs(x - 4.1) > 0.25) | ((y > 2.15) & (y < 2.85))  # a texel is 0.125 m wide
    assert np.isfinite(found.levels[beside]).all()
    # Right of the wall the direct sound arrives through the doorway only.
    behind = x > 4.4
    lit = behind & (np.abs(y - 2.5) < 0.2)
    dark = behind & (y > 4.5)
    assert found.levels[lit].mean() > found.levels[dark].mean() + 1.0
    np.testing.assert_allclose(found.levels[dark], 60.0, atol=0.05)  # the diffuse field alone: 70 - 10 dB


def test_no_sound_reaches_a_closed_room():
    room, ground = two_rooms(door=False), floor(8.0, 6.0)
    found = floor_levels(DiffuseField(room), room, [source((2, 2.5, 1.5))], ground)
    x = ground.centres()[..., 0]
    assert np.isfinite(found.levels[x < 3.8]).all()
    assert np.isnan(found.levels[x > 4.0]).all()


@pytest.mark.parametrize("x", [4.0625, 4.125])  # through the centres of texels, and between them
def test_a_wall_exactly_on_the_grid_holds_the_sound_back(x):
    plane = quad((x, 0, 0), (x, 6, 0), (x, 6, 3), (x, 0, 3))
    room = scene_of((box((0, 0, 0), (8, 6, 3)), PLASTER), (plane, PLASTER))
    found = floor_levels(DiffuseField(room), room, [source((2, 2, 1.5))], floor(8.0, 6.0))
    assert np.isnan(found.levels[:, 33:]).all()
    assert np.isfinite(found.levels[:, :32]).all()


def test_a_wall_without_thickness_is_a_line():
    plane = quad((4.01, 0, 0), (4.01, 4, 0), (4.01, 4, 3), (4.01, 0, 3))
    room = scene_of((box((0, 0, 0), (8, 6, 3)), PLASTER), (plane, PLASTER))
    found = floor_levels(DiffuseField(room), room, [source((2, 2, 1.5))], floor(8.0, 6.0))
    below, beyond = found.levels[:41], found.levels[45:]  # y up to 3.94 m, from 4.2 m
    assert (np.isnan(below).sum(axis=1) == 1).all()
    assert np.isnan(below[:, 32]).all()
    assert np.isfinite(beyond).all()


def test_low_furniture_is_walked_over_and_high_furniture_is_not():
    room = boxes(((0, 0, 0), (8, 6, 3)), ((1, 1, 0), (3, 2, 0.75)), ((5, 4, 0), (6, 5, 2.0)))
    ground = floor(8.0, 6.0)
    found = floor_levels(DiffuseField(room), room, [source((4, 3, 1.5))], ground)
    x, y = ground.centres()[..., 0], ground.centres()[..., 1]
    cupboard = (x > 5) & (x < 6) & (y > 4) & (y < 5)
    assert np.isnan(found.levels[cupboard]).all()
    near = (x > 4.8) & (x < 6.2) & (y > 3.8) & (y < 5.2)
    assert np.isfinite(found.levels[~near]).all()


def test_a_screen_above_the_ears_does_not_shut_in_what_stands_behind_it():
    # Four walls of 1.9 m around a place, open above.
    walls = [
        ((5, 3, 0), (7, 3.05, 1.9)),
        ((5, 5, 0), (7, 5.05, 1.9)),
        ((5, 3, 0), (5.05, 5, 1.9)),
        ((7, 3, 0), (7.05, 5.05, 1.9)),
    ]
    room, ground = boxes(((0, 0, 0), (8, 6, 3)), *walls), floor(8.0, 6.0, 128)
    found = floor_levels(DiffuseField(room), room, [source((1, 1, 1.5))], ground)
    x, y = ground.centres()[..., 0], ground.centres()[..., 1]
    inside = (x > 5.2) & (x < 6.8) & (y > 3.2) & (y < 4.8)
    assert np.isfinite(found.levels[inside]).all()


def test_only_the_floor_is_painted_and_its_height_counts():
    # A triangle of floor, half of it a step of 1 m.
    room = boxes(((-1, -1, -1), (9, 9, 6)))
    low = np.array([[(0, 0, 0), (3.97, 0, 0), (0, 7.94, 0)], [(4, 0, 1), (7.9, 0, 1), (4, 3.9, 1)]], float)
    ground = floor(8.0, 8.0, triangles=low)
    found = floor_levels(FreeField(), room, [source((4, 2, 1.6))], ground)
    x, y = ground.centres()[..., 0], ground.centres()[..., 1]
    on_low, on_step = (y < 7.94 - 2 * x), (x > 4) & (y < 7.9 - x)
    np.testing.assert_array_equal(np.isfinite(found.levels), on_low | on_step)
    expected = 70 - 20 * np.log10(np.hypot(x - 4, y - 2))
    far = on_low & (np.hypot(x - 4, y - 2) > 1)
    np.testing.assert_allclose(found.levels[far], expected[far], atol=0.1)
    raised = 70 - 10 * np.log10((x - 4) ** 2 + (y - 2) ** 2 + 1)
    np.testing.assert_allclose(found.levels[on_step], raised[on_step], atol=0.1)


def test_there_is_no_level_where_nobody_can_stand_upright():
    # Ears above the ceiling lie outside, where no sound gets.
    room = boxes(((0, 0, 0), (8, 6, 1.2)))
    found = floor_levels(DiffuseField(room), room, [source((4, 3, 0.5))], floor(8.0, 6.0, 32))
    assert np.isfinite(found.levels).sum() in (0, 32 * 32)


def test_a_source_in_a_room_beyond_the_map_still_reaches_it():
    # The map shows the right room only; the source stands in the left one, around the corner of the doorway.
    room = two_rooms(door=True)
    ground = floor(3.6, 2.5, 32, origin=(4.3, 3.4, 0.0))
    found = floor_levels(DiffuseField(room), room, [source((3.5, 5.5, 1.5))], ground)
    np.testing.assert_allclose(found.levels, 60.0, atol=0.05)


def test_without_a_source_the_map_is_empty():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    found = floor_levels(DiffuseField(room), room, [source((4, 3, 1.5), gain=0.0)], floor(8.0, 6.0, 16))
    assert np.isnan(found.levels).all()


def test_a_map_of_one_texel():
    room = boxes(((0, 0, 0), (8, 6, 3)))
    found = floor_levels(DiffuseField(room), room, [source((4, 3, 1.6))], floor(8.0, 6.0, 1))
    assert found.levels.shape == (1, 1)
    assert np.isfinite(found.levels).all()


def test_progress_grows_to_one_and_may_cancel():
    room, seen = boxes(((0, 0, 0), (8, 6, 3))), []
    sources = [source((4, 3, 1.6)), source((2, 3, 1.6))]
    floor_levels(DiffuseField(room), room, sources, floor(8.0, 6.0), seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def cancel(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        floor_levels(DiffuseField(room), room, sources, floor(8.0, 6.0), cancel)
