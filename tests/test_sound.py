import os

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from naf_core import UserError
from naf_core.bands import A_WEIGHTING_DB, BAND_EDGES_HZ
from naf_core.sound import (
    FULL_SCALE_SPL,
    Content,
    PeakMeter,
    SoundWriter,
    content_of,
    true_peak,
    write_sound,
)
from tests.tones import RATE, sine


def test_written_files_are_read_back_and_nothing_else_lies_beside_them(tmp_path):
    samples = np.stack([0.9 * sine(440.0, 0.2), 0.1 * sine(880.0, 0.2)], axis=1)
    for name, kind in (("stereo.wav", "PCM_24"), ("stereo.flac", "PCM_24"), ("float.wav", "FLOAT")):
        write_sound(tmp_path / name, samples, RATE, kind)
        read, rate = soundfile.read(tmp_path / name, dtype="float32")
        assert rate == RATE and soundfile.info(tmp_path / name).subtype == kind
        np.testing.assert_allclose(read, samples, atol=2.0**-23)
    write_sound(tmp_path / "four.wav", np.repeat(samples, 2, axis=1), RATE)
    assert soundfile.info(tmp_path / "four.wav").channels == 4
    assert sorted(os.listdir(tmp_path)) == ["float.wav", "four.wav", "stereo.flac", "stereo.wav"]


def test_writing_refuses_to_clip_and_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match=r"clipped.*\+1\.6 dB"):
        write_sound(tmp_path / "loud.wav", 1.2 * np.ones(10), RATE)
    write_sound(tmp_path / "loud.wav", 1.2 * np.ones(10), RATE, "FLOAT")
    with pytest.raises(UserError, match="cannot be written"):
        write_sound(tmp_path / "no" / "folder.wav", np.zeros(10), RATE)
    with pytest.raises(UserError, match="cannot be written"):
        write_sound(tmp_path / "sound.xyz", np.zeros(10), RATE)
    with pytest.raises(ValueError, match="finite"):
        write_sound(tmp_path / "nan.wav", np.array([np.nan]), RATE)
    assert os.listdir(tmp_path) == ["loud.wav"]


@pytest.mark.parametrize(("channels", "mask"), [(4, 0), (6, 0x60F), (8, 0x63F), (12, 0x2D63F), (16, 0)])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_many_channels_say_where_they_belong(tmp_path, channels, mask, subtype):
    samples = 0.1 * np.random.default_rng(0).standard_normal((1000, channels))
    write_sound(tmp_path / "many.wav", samples, RATE, subtype, mask)
    data = (tmp_path / "many.wav").read_bytes()
    chunk = data.index(b"fmt ") + 8
    assert data[chunk : chunk + 2] == b"\xfe\xff"  # WAVE_FORMAT_EXTENSIBLE
    assert int.from_bytes(data[chunk + 20 : chunk + 24], "little") == mask
    read, _ = soundfile.read(tmp_path / "many.wav")
    np.testing.assert_allclose(read, samples, atol={"PCM_16": 2.0**-14, "PCM_24": 2.0**-22, "FLOAT": 1e-7}[subtype])


def test_files_of_more_than_4_gb_become_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr("naf_core.sound._MOST_WAV", 1000)
    samples = 0.1 * np.random.default_rng(0).standard_normal((1000, 6))
    write_sound(tmp_path / "long.wav", samples, RATE, mask=0x60F)
    data = (tmp_path / "long.wav").read_bytes()
    assert data[:4] == b"RF64" and data[12:16] == b"ds64"
    chunk = data.index(b"fmt ") + 8
    assert int.from_bytes(data[chunk + 20 : chunk + 24], "little") == 0x60F
    read, rate = soundfile.read(tmp_path / "long.wav")
    assert rate == RATE
    np.testing.assert_allclose(read, samples, atol=2.0**-22)


def test_sixteen_bits_are_dithered_and_silence_stays_silent(tmp_path):
    """A tone of a third of a step would vanish without dither."""
    tone = sine(1000.0, 1.0) * 2.0**-15 / 3.0
    write_sound(tmp_path / "quiet.wav", np.concatenate([tone, np.zeros(RATE)]), RATE, "PCM_16")
    read, _ = soundfile.read(tmp_path / "quiet.wav")
    assert not read[RATE:].any()
    part = read[:RATE] * np.exp(-2j * np.pi * 1000.0 * np.arange(RATE) / RATE)
    assert 2.0 * np.abs(part.mean()) == pytest.approx(2.0**-15 / 3.0, rel=0.1)
    write_sound(tmp_path / "full.wav", np.ones(1000), RATE, "PCM_16")


@pytest.mark.parametrize("band", range(8))
def test_a_tone_lies_in_its_octave_band(band):
    spectrum = content_of(sine(np.sqrt(BAND_EDGES_HZ[band] * BAND_EDGES_HZ[band + 1])), RATE).spectrum
    assert spectrum[band] > 0.995 and spectrum.sum() == pytest.approx(1.0)


def test_white_noise_has_energy_in_proportion_to_bandwidth():
    noise = np.random.default_rng(1).standard_normal(20 * RATE)
    widths = np.diff(BAND_EDGES_HZ)
    np.testing.assert_allclose(content_of(noise, RATE).spectrum, widths / widths.sum(), rtol=0.1)
    np.testing.assert_array_equal(content_of(np.zeros(100), RATE).spectrum, 0.125)


def test_a_sample_of_one_is_one_pascal():
    assert content_of(sine(1000.0, 10.0), RATE).level == pytest.approx(FULL_SCALE_SPL - 3.01, abs=0.1)
    assert FULL_SCALE_SPL == pytest.approx(93.979, abs=1e-3)


@pytest.mark.parametrize("band", range(8))
def test_levels_are_a_weighted(band):
    frequency = 1000.0 * 10 ** (0.3 * (band - 4))
    level = content_of(sine(frequency, 10.0), RATE).level
    assert level == pytest.approx(FULL_SCALE_SPL - 3.01 + A_WEIGHTING_DB[band], abs=0.15)


def test_pauses_do_not_lower_the_level():
    tone = sine(1000.0, 4.0)
    with_pause = np.concatenate([tone, 1e-3 * sine(1000.0, 20.0), tone])
    assert content_of(with_pause, RATE).level == pytest.approx(content_of(tone, RATE).level, abs=0.15)


@given(st.floats(0.0, 120.0), st.floats(1e-4, 1.0), st.integers(0, 1000))
def test_the_calibrated_sound_has_the_wanted_level(level, amplitude, seed):
    sound = amplitude * np.random.default_rng(seed).standard_normal(RATE // 2).astype(np.float32)
    gain = content_of(sound, RATE).calibration(level)
    assert content_of(gain * sound, RATE).level == pytest.approx(level, abs=0.01)


def test_calibration_of_silence_and_of_infrasound_stays_finite():
    assert content_of(np.zeros(1000, np.float32), RATE).calibration(70.0) == 0.0
    assert content_of(np.zeros(1000), RATE).level == -np.inf
    rumble = sine(2.0, 4.0)
    gain = content_of(rumble, RATE).calibration(70.0)
    assert 20.0 * np.log10(gain * np.sqrt(0.5)) + FULL_SCALE_SPL <= 120.01


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=6), st.integers(0, 1000))
def test_blocks_make_no_difference(lengths, seed):
    rng = np.random.default_rng(seed)
    samples = (rng.standard_normal(sum(lengths)) * rng.random()).astype(np.float32)
    content, meter = Content(16000), PeakMeter()
    for part in np.split(samples, np.cumsum(lengths)[:-1]):
        content.add(part)
        meter.add(part[:, None])
    content.finish()
    whole = content_of(samples, 16000)
    np.testing.assert_allclose(content.spectrum, whole.spectrum, atol=1e-6)
    assert content.level == pytest.approx(whole.level, abs=1e-4)
    assert content.calibration(70.0) == pytest.approx(whole.calibration(70.0), rel=1e-5)
    assert meter.finish() == pytest.approx(true_peak(samples), rel=1e-5)


def test_a_steady_sound_has_its_own_peak_wherever_blocks_end():
    """Cut off at a block, it would seem to ring."""
    meter = PeakMeter()
    for _ in range(5):
        meter.add(np.full((1000, 1), 0.5))
    assert meter.peak == pytest.approx(0.5 * np.abs(resampled_step()).max(), abs=0.01)


def resampled_step():
    """A step of 1 between the samples: that is how the sound begins."""
    return signal.resample_poly(np.r_[np.zeros(200), np.ones(200)], 4, 1)[400:1200]


@pytest.mark.skipif(os.name != "posix", reason="there are no such limits elsewhere")
def test_a_full_disk_is_named_and_nothing_stays_behind(tmp_path):
    """A limit on the size of files stands in for the disk."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        for name in ("full.wav", "full.flac"):
            with pytest.raises(UserError, match="make room on the disk"):
                write_sound(tmp_path / name, np.random.default_rng(0).uniform(-1, 1, 200_000), RATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_not_finished_is_removed(tmp_path):
    with pytest.raises(KeyboardInterrupt), SoundWriter(tmp_path / "begun.wav", RATE, 1, 100) as writer:
        writer.add(np.zeros((10, 1)))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_the_true_peak_lies_between_the_samples():
    tone = 0.5 * np.sin(0.5 * np.pi * np.arange(4000) + 0.25 * np.pi) * np.hanning(4000)
    assert np.abs(tone).max() == pytest.approx(0.3535, abs=1e-3)
    assert true_peak(tone) == pytest.approx(0.5, abs=0.005)
    assert true_peak(np.stack([0.1 * tone, tone], axis=1)) == pytest.approx(0.5, abs=0.005)
    long = np.zeros(200_000)
    long[150_000 : 150_000 + 4000] = tone
    assert true_peak(long) == pytest.approx(0.5, abs=0.005)
    assert true_peak(np.zeros((0, 2))) == 0.0
