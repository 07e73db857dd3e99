from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from naf_core.aim import pattern_at, power_times, sent, turning_times
from naf_core.directivity import Cone
from naf_core.errors import UserError
from naf_core.scene import Emitter, Trajectory

FRAMES = np.arange(49) / 24.0
HERE = Trajectory(FRAMES, np.tile([5.0, 0.0, 0.0], (49, 1)))


def turning(degrees_a_second: float, **cone: object) -> Emitter:
    """An emitter at the origin that looks along x at first and turns to the left."""
    turn = Rotation.from_rotvec(np.radians(degrees_a_second) * FRAMES[:, None] * [0.0, 0.0, 1.0]).as_matrix()
    return Emitter("Speaker", Trajectory(FRAMES, np.zeros((49, 3)), turn), "none.wav", cone=Cone(**cone))


def test_the_pattern_turns_with_the_emitter_and_its_angles_are_keyed():
    emitter = turning(90.0, inner=np.linspace(20.0, 60.0, 49), outer=120.0, outer_gain=0.2, radius=0.1)
    pattern = pattern_at(emitter, 1.0)
    np.testing.assert_allclose(pattern.axis, [0, 1, 0], atol=1e-9)
    assert (pattern.inner, pattern.outer, pattern.outer_gain, pattern.radius) == pytest.approx((40.0, 120.0, 0.2, 0.1))
    directions = np.array([[1.0, 0, 0], [0, 1, 0], [0, -1, 0]])
    np.testing.assert_allclose(sent(emitter, np.ones(3), directions), pattern.gain(directions), rtol=1e-6)


def test_between_two_frames_it_turns_evenly():
    emitter = turning(240.0, inner=0.0, outer=360.0, outer_gain=0.0)  # 10 degrees a frame
    times = np.linspace(0.0, 0.5, 101)
    amplitude = np.sqrt(sent(emitter, times, np.tile([1.0, 0, 0], (101, 1)))[:, 0])
    np.testing.assert_allclose(amplitude, 1.0 - times * 240.0 / 180.0, atol=1e-5)


def test_an_emitter_without_a_cone_or_with_an_even_one_has_no_pattern():
    still = Trajectory([0.0], [[0, 0, 0]])
    assert pattern_at(Emitter("a", still, "none.wav"), 0.0) is None
    assert Emitter("a", still, "none.wav", cone=Cone()).cone is None
    assert Emitter("a", still, "none.wav", cone=Cone(30.0, 60.0, 1.0)).cone is None


def test_a_cone_is_given_once_or_at_each_time():
    with pytest.raises(UserError, match="cone of “a” is not given at each"):
        Emitter("a", Trajectory([0.0, 1.0], np.zeros((2, 3))), "none.wav", cone=Cone([10.0, 20.0, 30.0], 90.0, 0.0))


def test_more_is_looked_at_only_where_something_changes():
    still = Emitter("a", Trajectory(FRAMES, np.zeros((49, 3))), "none.wav", cone=Cone(30.0, 60.0, 0.0))
    assert len(turning_times(still, HERE)) == 1
    assert not len(power_times(still))
    assert not len(power_times(turning(90.0, inner=30.0, outer=60.0, outer_gain=0.0)))
    assert not len(power_times(Emitter("a", still.trajectory, "none.wav")))


@pytest.mark.parametrize("speed", [10.0, 90.0, 720.0])
def test_between_the_moments_the_gain_goes_straight(speed):
    emitter = turning(speed, inner=60.0, outer=120.0, outer_gain=0.1)
    kept = turning_times(emitter, HERE)
    assert kept[0] == 0.0
    assert kept[-1] == FRAMES[-1]
    assert len(kept) <= 3 + FRAMES[-1] * max(speed / 1.0, 1.0)
    times = np.linspace(0.0, 2.0, 3000)
    to_listener = np.tile([1.0, 0, 0], (len(times), 1))
    true, known = (np.sqrt(sent(emitter, t, to_listener[: len(t)])[:, 0]) for t in (times, kept))
    assert np.abs(np.interp(times, kept, known) - true).max() < (0.015 if speed < 150.0 else 0.06)


def test_a_keyed_cone_has_the_power_that_it_needs():
    opening = turning(0.0, inner=np.linspace(0.0, 300.0, 49), outer=np.linspace(0.0, 300.0, 49), outer_gain=0.0)
    kept = power_times(opening)
    assert 5 < len(kept) < 30
    amplitude = np.sqrt(opening.cone.power[:, 0])
    assert np.abs(np.interp(FRAMES, kept, amplitude[np.searchsorted(FRAMES, kept)]) - amplitude).max() < 0.02
