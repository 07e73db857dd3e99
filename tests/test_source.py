import tracemalloc
import wave
from unittest.mock import patch

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from naf_core import Emitter, Trajectory, UserError
from naf_core.clock import Clock
from naf_core.source import Dry, Played, Source, sounding
from tests.tones import RATE, sine, write


def read_sound(path, rate=RATE, name=None):
    source = Source(path, rate, name)
    return source.read(0, source.length)


def emitter(starts=(0.0,), seconds=2.0, **options):
    times = np.arange(int(24 * seconds) + 1) / 24.0
    return Emitter("Speaker", Trajectory(times, np.zeros((len(times), 3))), "not read", starts, **options)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_reads_any_rate_at_the_wanted_one(tmp_path, rate, suffix):
    path = write(tmp_path / f"tone.{suffix}", 0.5 * sine(1000.0, 1.0, rate), rate)
    samples = read_sound(path, RATE)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert abs(len(samples) - RATE) <= 2
    middle = samples[RATE // 4 : 3 * RATE // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) == 1000 * len(middle) // RATE
    assert np.sqrt(2.0 * np.mean(middle**2)) == pytest.approx(0.5, rel=0.02)


def test_channels_are_averaged(tmp_path):
    tone = 0.4 * sine(500.0, 0.5)
    path = write(tmp_path / "two.wav", np.stack([tone, 0.5 * tone, np.zeros_like(tone)], axis=1), subtype="FLOAT")
    np.testing.assert_allclose(read_sound(path, RATE), 0.5 * tone, atol=1e-6)


def test_bad_files_are_named_with_a_remedy(tmp_path):
    (tmp_path / "text.wav").write_text("not a sound")
    (tmp_path / "nothing.wav").write_bytes(b"")
    write(tmp_path / "empty.wav", np.zeros(0, np.float32))
    write(tmp_path / "nan.wav", np.array([0.0, np.nan, 0.0], np.float32), subtype="FLOAT")
    infinite = np.zeros((400_000, 2), np.float32)  # far from the beginning, in one channel of two
    infinite[399_000, 1] = np.inf
    write(tmp_path / "inf.wav", infinite, subtype="FLOAT")
    for name, word in (
        ("missing.wav", "missing"),
        ("text.wav", "cannot be read"),
        ("nothing.wav", "cannot be read"),
        ("empty.wav", "empty"),
        ("nan.wav", "not finite"),
        ("inf.wav", "not finite"),
    ):
        with pytest.raises(UserError, match=word) as error:
            read_sound(tmp_path / name, RATE, "Speaker.003")
        assert name in error.value.message and error.value.object_name == "Speaker.003"
    with pytest.raises(UserError, match="missing"):
        read_sound(tmp_path, RATE)


@given(st.binary(max_size=200))
def test_damaged_bytes_give_a_message(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "sound.wav"
    path.write_bytes(b"RIFF\xff\xff\x00\x00WAVEfmt " + data)
    try:
        samples = read_sound(path, RATE)
    except UserError as error:
        assert str(path) in error.message
    else:
        assert np.isfinite(samples).all() and len(samples)


@pytest.mark.parametrize("rate", [8000, 44100, 44101, 48000, 96000, 192000])
def test_any_part_is_that_of_the_whole(tmp_path, rate):
    """Resampled piece by piece as if at once."""
    samples = (0.1 * np.random.default_rng(0).standard_normal(3 * rate)).astype(np.float32)
    source = Source(write(tmp_path / "noise.wav", samples, rate, subtype="FLOAT"), RATE)
    whole = samples if rate == RATE else soxr.resample(samples, rate, RATE, quality="VHQ")
    for first, last in ((0, 5000), (70_000, 70_001), (99_999, 130_000), (140_000, 150_000), (-500, 300)):
        wanted = np.zeros(last - first, np.float32)
        part = slice(max(first, 0), min(last, len(whole)))
        wanted[part.start - first : part.stop - first] = whole[part]
        np.testing.assert_allclose(source.read(first, last), wanted, atol=3e-6)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_parts_of_packed_formats_are_those_of_the_whole(tmp_path, suffix):
    source = Source(write(tmp_path / f"noise.{suffix}", 0.1 * sine(440.0, 10.0)), RATE)
    whole = source.read(0, source.length)
    np.testing.assert_allclose(source.read(300_001, 310_000), whole[300_001:310_000], atol=1e-6)


def test_eight_channels_at_192_khz_and_a_single_sample(tmp_path):
    tone = 0.5 * sine(1000.0, 0.5, 192_000)
    path = write(tmp_path / "eight.wav", np.stack([tone] * 8, axis=1), 192_000, subtype="PCM_24")
    assert np.abs(read_sound(path)).max() == pytest.approx(0.5, abs=0.01)
    one = read_sound(write(tmp_path / "one.wav", np.array([0.5], np.float32), subtype="FLOAT"))
    np.testing.assert_array_equal(one, [0.5])
    assert len(read_sound(write(tmp_path / "tiny.wav", np.array([0.5], np.float32), 96_000))) == 1


def test_long_files_are_never_held_as_a_whole(tmp_path):
    """Ten hours at 4 kHz: 144 million samples."""
    path, rate, hours = tmp_path / "long.wav", 4000, 10
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, rate, 0, "NONE", ""))
        for _ in range(hours):
            file.writeframes(bytes([128, 160, 128, 96]) * (900 * rate))
    lengths = []
    with patch("naf_core.source.Content") as content:  # what it holds is measured elsewhere
        content.return_value.add = lambda samples: lengths.append(len(samples))
        tracemalloc.start()
        source = Source(path, rate)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert source.length == sum(lengths) == 36_000 * rate and peak < 20e6
    np.testing.assert_allclose(source.read(source.length - 4, source.length + 1), [0, 0.25, 0, -0.25, 0], atol=0.01)


def test_many_channels_are_never_held_as_a_whole(tmp_path):
    """A thousand channels at 384 kHz: a second of them is 1.5 GB, of which the file holds none on the disk."""
    path, channels, rate = tmp_path / "many.wav", 1000, 384_000
    write(path, np.full((1, channels), 0.5, np.float32), rate, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    length = rate * channels * 2
    data[4:8], at = (len(data) - 8 - channels * 2 + length).to_bytes(4, "little"), data.index(b"data")
    data[at + 4 : at + 8] = length.to_bytes(4, "little")
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(at + 8 + length)
    tracemalloc.start()
    source = Source(path, RATE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert source.length == RATE and not source.content.silent and peak < 50e6


def test_sounds_that_vanish_or_change_are_named(tmp_path):
    path = write(tmp_path / "tone.wav", 0.1 * sine(440.0))
    source = Source(path, RATE, "Speaker.001")
    path.unlink()
    with pytest.raises(UserError, match="missing") as caught:
        source.read(0, 10)
    assert caught.value.object_name == "Speaker.001"
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="cannot be read"):
        source.read(0, 10)


def dry(item, source, seconds=2.0, origin=0.0, level=None):
    clock = Clock(RATE, origin, round((seconds - origin) * RATE))
    return Dry(item, source, clock, clock.length)


def test_starts_place_the_sound_and_any_part_can_be_read(tmp_path):
    tone = 0.1 * sine(440.0, 0.5)
    source = Source(write(tmp_path / "tone.wav", tone, subtype="FLOAT"), RATE)
    sound = dry(emitter((0.45, -0.1, 1.5)), source, origin=-0.2)
    whole = sound.read(0, round(2.2 * RATE))
    gain = source.content.calibration(70.0)
    first = round(0.65 * RATE)
    expected = gain * tone
    np.testing.assert_allclose(whole[first : first + 24000], expected, atol=1e-6 * gain)
    np.testing.assert_allclose(whole[4800 : 4800 + 20000], expected[:20000], atol=1e-6 * gain)
    assert not whole[:4800].any()
    again = dry(emitter((0.45, -0.1, 1.5)), source, origin=-0.2)
    np.testing.assert_array_equal(again.read(65_000, 70_000), whole[65_000:70_000])
    np.testing.assert_array_equal(sound.read(-10, 0), np.zeros(10))


@pytest.mark.parametrize("pitch", [0.5, 2.0, 1.5, 7.3])
def test_pitch_plays_faster_and_higher(tmp_path, pitch):
    source = Source(write(tmp_path / "tone.wav", 0.1 * sine(500.0, 6.0), subtype="FLOAT"), RATE)
    heard = dry(emitter(pitch=pitch), source).read(RATE // 10, 6 * RATE // 10)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 1 << 18))
    assert np.argmax(spectrum) * RATE / (1 << 18) == pytest.approx(500.0 * pitch, rel=1e-3)
    level = np.sqrt(2.0 * np.mean(heard.astype(float) ** 2)) / (0.1 * source.content.calibration(70.0))
    assert 20.0 * np.log10(level) == pytest.approx(0.0, abs=0.05)


def test_what_pitch_would_fold_back_is_left_away(tmp_path):
    source = Source(write(tmp_path / "high.wav", 0.1 * sine(15_000.0, 6.0), subtype="FLOAT"), RATE)
    heard = dry(emitter(pitch=3.0), source).read(RATE // 10, RATE)
    assert 20.0 * np.log10(np.std(heard) / (0.0707 * source.content.calibration(70.0))) < -60.0


def test_a_pitch_that_glides_has_no_steps(tmp_path):
    """A tone whose pitch rises by an octave: its phase is that of the closed form, within a thousandth of a turn."""
    source = Source(write(tmp_path / "tone.wav", 0.1 * sine(500.0, 6.0), subtype="FLOAT"), RATE)
    times = np.arange(49) / 24.0
    heard = dry(emitter(pitch=1.0 + 0.5 * times), source).read(0, 2 * RATE)
    time = np.arange(2 * RATE) / RATE
    expected = 0.1 * np.sin(2 * np.pi * 500.0 * (time + 0.25 * time**2)) * source.content.calibration(70.0)
    np.testing.assert_allclose(heard[500:-500], expected[500:-500], atol=0.006 * expected.max())


@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=30), st.floats(-3.0, 3.0))
def test_played_seconds_rise_as_the_pitch_says(pitch, start):
    times = np.arange(len(pitch)) / 24.0
    item = Emitter("x", Trajectory(times, np.zeros((len(times), 3))), "", (start,), pitch=np.array(pitch))
    moments = np.linspace(-2.0, 3.0, 5001)
    speed = np.diff(Played(item).until(moments)) / np.diff(moments)
    np.testing.assert_allclose(speed, np.interp(0.5 * (moments[1:] + moments[:-1]), times, pitch), atol=0.1)


def test_who_sounds_within_the_range():
    assert list(sounding(emitter((-1.0, -3.0, 0.5, 9.0)), 2.0, 5.0)) == [True, False, True, False]
    assert list(sounding(emitter((-3.0,), pitch=0.5), 2.0, 5.0)) == [True]
