"""What of a sound is played: parts, repeated, backwards and at another speed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.clip import WHOLE, Clip, Clipped
from naf_core.clock import Clock, Held
from naf_core.errors import UserError
from naf_core.job import Job
from naf_core.scene import Emitter, Trajectory
from naf_core.source import Dry, Source, sounding
from tests.kitchen import RATE as KITCHEN_RATE
from tests.kitchen import job
from tests.tones import RATE, sine, write


class Samples(Held):
    """A sound in memory."""

    def __init__(self, samples: np.ndarray, sample_rate: int = 100) -> None:
        super().__init__(samples)
        self.length, self.sample_rate = len(samples), sample_rate


def played(clip: Clip, count: int, sample_rate: int = 100) -> np.ndarray:
    """What it plays of samples that count from 1 up, which a fade of 5 ms leaves as they are at 100 Hz."""
    clipped = Clipped(Samples(np.arange(1.0, count + 1.0), sample_rate), clip)
    return clipped.read(0, clipped.length)


def test_a_part_is_played_as_often_as_is_wished() -> None:
    np.testing.assert_array_equal(played(WHOLE, 5), [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(played(Clip(0.01, 0.04), 5), [2, 3, 4])
    np.testing.assert_array_equal(played(Clip(0.01, 0.04, 2.5), 5), [2, 3, 4, 2, 3, 4, 2, 3])
    np.testing.assert_array_equal(played(Clip(0.02, backwards=True), 5), [5, 4, 3])
    np.testing.assert_array_equal(played(Clip(0.02, 0.05, 2.0, backwards=True), 9), [5, 4, 3, 5, 4, 3])
    np.testing.assert_array_equal(played(Clip(0.03, 0.07), 5), [4, 5, 0, 0])  # silence beyond the sound is a part of it
    assert played(Clip(9.0), 5).size == 0


@given(
    begin=st.integers(0, 40), part=st.integers(1, 60), repeat=st.floats(0.1, 9.0), backwards=st.booleans(),
    first=st.integers(-20, 300), count=st.integers(0, 200),
)  # fmt: skip
def test_any_stretch_is_that_of_the_whole(
    begin: int, part: int, repeat: float, backwards: bool, first: int, count: int
) -> None:
    clip = Clip(begin / 100.0, (begin + part) / 100.0, repeat, 1.0, backwards)
    clipped = Clipped(Samples(np.arange(1.0, 61.0)), clip)
    whole = np.concatenate([np.zeros(20), clipped.read(0, clipped.length), np.zeros(600)])
    np.testing.assert_array_equal(clipped.read(first, first + count), whole[first + 20 : first + 20 + count])
    assert abs(clipped.length - part * repeat) <= 0.5
    assert abs(clip.seconds(0.6) - clipped.length / 100.0) <= 0.005 + 1e-9


def test_a_long_part_is_read_piece_by_piece_to_the_same() -> None:
    samples = np.random.default_rng(0).standard_normal(300_000).astype(np.float32)
    clipped = Clipped(Samples(samples), Clip(repeat=3.0))
    np.testing.assert_array_equal(clipped.read(250_000, 650_000), np.tile(samples, 3)[250_000:650_000])


def test_where_it_cuts_into_the_sound_it_fades() -> None:
    ones, rate = np.ones(48_000), 48_000
    cut = Clipped(Samples(ones, rate), Clip(0.25, 0.75))
    heard = cut.read(0, cut.length)
    assert np.abs(np.diff(heard)).max() < 0.005 and heard[0] < 0.005 and heard[-1] < 0.005
    assert (heard[240:-240] == 1.0).all()
    whole = Clipped(Samples(ones, rate), Clip(repeat=2.0))
    assert (whole.read(0, whole.length) == 1.0).all()  # nothing is cut, and loops have no gap


def emitter(clip: Clip, start: float = 0.0, **options: float) -> Emitter:
    times = np.arange(97) / 24.0
    return Emitter("Speaker", Trajectory(times, np.zeros((97, 3))), "not read", (start,), clips=(clip,), **options)


def dry(tmp_path, sound: np.ndarray, item: Emitter) -> np.ndarray:
    source = Source(write(tmp_path / "sound.wav", sound, RATE, subtype="FLOAT"), RATE)
    return Dry(item, source, Clock(RATE, 0.0, 4 * RATE), 4 * RATE).read(0, 4 * RATE)


@pytest.mark.parametrize(("speed", "pitch"), [(0.5, 1.0), (2.0, 1.0), (1.5, 2.0)])
def test_speed_plays_faster_and_higher_and_shorter(tmp_path, speed: float, pitch: float) -> None:
    heard = dry(tmp_path, sine(500.0, 1.5), emitter(Clip(speed=speed), 0.5, pitch=pitch))
    lasts = 1.5 / (speed * pitch)
    loud = np.flatnonzero(np.abs(heard) > 0.1 * np.abs(heard).max()) / RATE
    assert loud[0] == pytest.approx(0.5, abs=0.002) and loud[-1] == pytest.approx(0.5 + lasts, abs=0.002)
    part = heard[int(0.55 * RATE) : int((0.45 + lasts) * RATE)]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 18))
    assert np.argmax(spectrum) * RATE / (1 << 18) == pytest.approx(500.0 * speed * pitch, rel=1e-3)


def test_a_loop_of_whole_periods_is_one_long_tone(tmp_path) -> None:
    tone = sine(500.0, 1.0)
    looped = dry(tmp_path, tone, emitter(Clip(0.0, 0.1, 25.0)))[: int(2.4 * RATE)]
    once = dry(tmp_path, sine(500.0, 3.0), emitter(WHOLE))[: int(2.4 * RATE)]
    scale = np.dot(looped, once) / np.dot(once, once)  # levels are those of the whole file
    np.testing.assert_allclose(looped, scale * once, atol=1e-3 * np.abs(once).max())


def test_whether_it_sounds_counts_the_clip() -> None:
    assert list(sounding(emitter(Clip(repeat=4.0), -3.0), 1.0, 5.0)) == [True]
    assert list(sounding(emitter(Clip(speed=2.0), -0.6), 1.0, 5.0)) == [False]
    assert list(sounding(emitter(Clip(2.0)), 1.0, 5.0)) == [False]


@pytest.mark.parametrize(
    "values", [{"begin": -1.0}, {"begin": 2.0, "end": 1.0}, {"repeat": 0.0}, {"speed": 17.0}, {"repeat": float("nan")}]
)
def test_values_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UserError, match="A clip of a sound"):
        Clip(**values)


def test_clips_are_those_of_the_starts() -> None:
    with pytest.raises(UserError, match="The clips of “x” are not given for each of its starts"):
        Emitter("x", Trajectory([0.0], np.zeros((1, 3))), "", (0.0, 1.0), clips=(WHOLE,))


def test_a_job_keeps_its_clips(tmp_path) -> None:
    work = job(tmp_path)
    first, second = work.emitters
    clips = (Clip(0.1, 0.2, 3.0, 0.5, True), WHOLE)
    changed = Emitter(first.name, first.trajectory, first.sound, (0.0, 0.1), clips=clips)
    job(tmp_path, emitters=(changed, second), sample_rate=KITCHEN_RATE).save(tmp_path / "job")
    found = Job.load(tmp_path / "job")
    assert found.emitters[0].clips == clips and found.emitters[1].clips == ()
