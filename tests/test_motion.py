import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from naf_core.motion import Motion, key_times, path_of_sound, rotations_at, turns
from naf_core.scene import Trajectory

FRAMES = np.arange(241) / 24.0
HERE = Trajectory([0.0], np.zeros((1, 3)))


def line(speed, start=(0.0, 0.0, 0.0), times=FRAMES):
    return Trajectory(times, np.asarray(start) + times[:, None] * np.array([speed, 0.0, 0.0]))


def test_positions_pass_through_the_frames_and_are_smooth_between():
    angle = 0.8 * FRAMES
    circle = Trajectory(FRAMES, np.stack([3.0 * np.cos(angle), 3.0 * np.sin(angle), 0.0 * angle], axis=1))
    motion = Motion(circle)
    np.testing.assert_allclose(motion.position(FRAMES), circle.positions, atol=1e-12)
    between = motion.position(np.linspace(0.5, 9.5, 5000))
    np.testing.assert_allclose(np.linalg.norm(between, axis=1), 3.0, atol=1e-5)
    np.testing.assert_allclose(motion.position([-5.0, 50.0]), circle.positions[[0, -1]], atol=1e-12)


def test_a_cut_is_a_jump_and_a_fast_flight_is_not():
    cut = line(1.0).positions.copy()
    cut[120:] += (5.0, 0.0, 0.0)
    motion = Motion(Trajectory(FRAMES, cut))
    assert motion.jumps == pytest.approx([(FRAMES[119] + FRAMES[120]) / 2.0])
    before, after = motion.position(motion.jumps + [-1e-6]), motion.position(motion.jumps + [1e-6])
    np.testing.assert_allclose([before[0], after[0]], cut[119:121], atol=1e-9)
    np.testing.assert_allclose(motion.position([FRAMES[130]], anchor=0.0), cut[119:120], atol=1e-9)
    assert len(Motion(line(100.0)).jumps) == 0
    assert len(Motion(line(400.0, times=FRAMES[:5])).jumps) == 4


def test_rotations_turn_uniformly_and_stay_rotations():
    angles = np.radians([0.0, 90.0])
    turning = Trajectory([0.0, 1.0], np.zeros((2, 3)), Rotation.from_euler("z", angles[:, None]).as_matrix())
    assert turns(turning) and not turns(HERE)
    expected = Rotation.from_euler("z", np.radians([[0.0], [45.0], [90.0], [90.0]])).as_matrix()
    np.testing.assert_allclose(rotations_at(turning, [-1.0, 0.5, 1.0, 9.0]), expected, atol=1e-12)
    scaled = Trajectory([0.0], np.zeros((1, 3)), 2.0 * expected[1:2])
    np.testing.assert_allclose(rotations_at(scaled, [0.0]), expected[1:2], atol=1e-12)


@given(st.floats(-60.0, 60.0), st.floats(0.5, 20.0))
def test_the_path_of_sound_starts_where_the_emitter_was(speed, side):
    emitter = Motion(line(speed, (-5.0, side, 0.0)))
    times = np.linspace(1.0, 9.0, 50)
    offset = path_of_sound(emitter, Motion(HERE), times, 343.0)
    delay = np.linalg.norm(offset, axis=1) / 343.0
    usable = times - delay > 0.0
    np.testing.assert_allclose(offset[usable], emitter.position(times - delay)[usable], atol=1e-5)


def test_one_key_when_nothing_moves():
    still = Trajectory(FRAMES, np.ones((241, 3)))
    assert len(key_times(still, HERE)) == 1


def test_keys_follow_the_movement():
    positions = np.zeros((241, 3))
    positions[96:144, 0] = 1.5 * (FRAMES[96:144] - FRAMES[96])
    positions[144:] = positions[143]
    keys = key_times(HERE, Trajectory(FRAMES, positions))
    assert keys[0] == 0.0 and keys[-1] == FRAMES[-1]
    for rest in (FRAMES[96], FRAMES[143]):  # the way begins and ends at a key, not halfway through a rest
        assert np.abs(keys - rest).min() < 1.5 / 24.0
    steps = np.diff(Motion(Trajectory(FRAMES, positions)).position(keys)[:, 0])
    assert steps.max() <= 0.25 + 1e-9
    assert len(keys) < 20


@given(st.integers(0, 1000), st.floats(0.05, 1.0))
def test_positions_between_keys_are_near_a_straight_line(seed, max_step):
    rng = np.random.default_rng(seed)
    positions = np.cumsum(rng.normal(0.0, 0.05, (60, 3)) * (rng.random(60) < 0.6)[:, None], axis=0)
    trajectory = Trajectory(FRAMES[:60], positions)
    keys = key_times(trajectory, HERE, max_step)
    assert (np.diff(keys) > 0).all() and set(keys) <= set(FRAMES[:60])
    at_keys = Motion(trajectory).position(keys)
    straight = np.stack([np.interp(FRAMES[:60], keys, column) for column in at_keys.T], axis=1)
    assert np.linalg.norm(straight - positions, axis=1).max() <= 0.25 * max_step + 1e-9


def test_both_sides_of_a_jump_are_keys():
    positions = np.zeros((241, 3))
    positions[100:, 0] = 8.0
    keys = key_times(Trajectory(FRAMES, positions), HERE)
    np.testing.assert_allclose(keys, FRAMES[[0, 99, 100, 240]])


def test_many_frames_take_no_time():
    times = np.arange(100_000) / 24.0
    positions = np.zeros((100_000, 3))
    positions[50_000:, 0] = 1.0
    assert len(key_times(Trajectory(times, positions), HERE)) == 4
