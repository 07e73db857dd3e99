import numpy as np
import pytest
from scipy import signal

from naf_core.bands import BAND_EDGES_HZ, EXACT_BANDS_HZ
from naf_core.carriers import Carriers, octave_filters
from naf_core.response import FRAME_EDGES, empty_response
from naf_core.synthesis import CUT_DB, ambisonic_response, duration

RATE = 48000
TIMES = np.array([1.5, 1.4, 1.3, 1.2, 1.1, 1.0, 0.9, 0.8])  # T60 in s
ONSET = RATE // 2  # samples before the response in what is measured, so that filters may ring


def decaying(times=TIMES, level=0.3, towards=(0.0, 1.0, 0.0), directness=0.3):
    """A response that decays exponentially, its intensity pointing ``towards``."""
    response = empty_response((), 343.2)
    times = np.broadcast_to(np.asarray(times, float), 8)
    curve = np.exp(-np.log(1e6) / times[:, None] * FRAME_EDGES)
    response.energy[..., 0] = level * (curve[:, :-1] - curve[:, 1:])
    response.energy[..., 1:] = directness * response.energy[..., :1] * np.asarray(towards)
    response.tail_slope[...] = -60.0 / times
    response.distance[...] = 3.0
    return response


@pytest.fixture(scope="module")
def carriers():
    return Carriers(RATE, 3.0, seed=0)


def band_energy(omni, band):
    """Energy of each sample in an octave band, relative to that of a unit impulse; zero-phase filter."""
    n = 1 << 18
    gains = octave_filters(n, RATE)[band]
    padded = np.zeros(n)
    padded[ONSET : ONSET + len(omni)] = omni
    filtered = np.fft.irfft(np.fft.rfft(padded) * gains, n)
    impulse = np.zeros(n)
    impulse[0] = 1.0
    return filtered**2 / np.square(np.fft.irfft(np.fft.rfft(impulse) * gains, n)).sum()


def decibel(ratio):
    return 10.0 * np.log10(ratio)


def test_energies_of_every_band_and_frame_are_those_of_the_response(carriers):
    response = decaying()
    omni = ambisonic_response(response, carriers, 420)[0]
    edges = np.round(FRAME_EDGES * RATE).astype(int)
    for band in range(8):
        energy = band_energy(omni, band)
        first = 0
        for last in range(1, len(FRAME_EDGES)):
            if FRAME_EDGES[last] - FRAME_EDGES[first] < 0.020 - 1e-9:
                continue
            if FRAME_EDGES[last] > 0.5 * TIMES[band]:
                break
            start = 0 if first == 0 else ONSET + edges[first]  # what rings before the onset belongs to it
            measured = energy[start : ONSET + edges[last]].sum()
            wanted = response.energy[band, first:last, 0].sum()
            assert abs(decibel(measured / wanted)) < (0.2 if band else 0.4), (band, first, last)
            first = last


def test_whole_energies_are_exact(carriers):
    response = decaying()
    omni = ambisonic_response(response, carriers)[0]
    for band in range(8):
        wanted = response.energy[band, :, 0].sum()
        assert abs(decibel(band_energy(omni, band).sum() / wanted)) < (0.5 if band == 0 else 0.1)


@pytest.mark.parametrize("seed", range(3))
def test_decay_and_clarity_as_an_instrument_reads_them(seed):
    """Butterworth octave filters, as ISO 3382-1 instruments have them; T30 within 3 %, C50 within 1 dB (JND)."""
    response = decaying()
    omni = ambisonic_response(response, Carriers(RATE, 3.0, seed))[0].astype(float)
    wanted = response.parameters()
    for band in range(1, 8):
        upper = min(BAND_EDGES_HZ[band + 1], 0.49 * RATE)
        sections = signal.butter(3, [BAND_EDGES_HZ[band], upper], "bandpass", fs=RATE, output="sos")
        filtered = signal.sosfilt(sections, np.append(omni, np.zeros(RATE)))
        decay = np.cumsum(filtered[::-1] ** 2)[::-1]
        level = decibel(decay / decay[0] + 1e-12)
        first, last = np.argmax(level < -5.0), np.argmax(level < -35.0)
        slope = np.polyfit(np.arange(first, last) / RATE, level[first:last], 1)[0]
        assert -60.0 / slope == pytest.approx(wanted["T30_s"][band], rel=0.03)
        if band > 2:
            delay = int(RATE * 1.2 / (BAND_EDGES_HZ[band + 1] - BAND_EDGES_HZ[band]))  # of the filter
            late = decay[int(0.050 * RATE) + delay] / decay[0]
            assert decibel((1.0 - late) / late) == pytest.approx(wanted["C50_dB"][band], abs=1.0)


@pytest.mark.parametrize("towards", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0), (0.6, 0.0, -0.8)])
@pytest.mark.parametrize("directness", [0.3, 0.9])
def test_intensity_has_the_direction_and_size_of_the_response(carriers, towards, directness):
    w, y, z, x = ambisonic_response(decaying(towards=towards, directness=directness), carriers).astype(float)
    intensity = np.array([np.sum(w * x), np.sum(w * y), np.sum(w * z)]) / np.sum(w * w)
    np.testing.assert_allclose(intensity, directness * np.asarray(towards, float), atol=0.05)


def test_a_diffuse_response_is_diffuse(carriers):
    channels = ambisonic_response(decaying(directness=0.0), carriers).astype(float)
    power = np.square(channels).sum(axis=1)
    np.testing.assert_allclose(power[1:] / power[0], 1.0 / 3.0, rtol=0.1)
    np.testing.assert_allclose(np.corrcoef(channels), np.eye(4), atol=0.1)


def test_an_early_frame_has_its_own_direction(carriers):
    response = decaying(towards=(1, 0, 0), directness=1.0)
    response.energy[:, 3, 1:] = response.energy[:, 3, :1] * np.array([0.0, 0.0, 1.0])
    w, _, z, x = ambisonic_response(response, carriers).astype(float)
    part = slice(int(0.0152 * RATE), int(0.0198 * RATE))
    sections = signal.butter(2, 1000.0, "highpass", fs=RATE, output="sos")
    w, z, x = (signal.sosfiltfilt(sections, channel)[part] for channel in (w, z, x))
    assert np.sum(w * z) > 0.9 * np.sum(w * w) and abs(np.sum(w * x)) < 0.2 * np.sum(w * w)


def test_a_louder_frame_is_louder_by_just_that(carriers):
    """A single strong reflection in otherwise even decay, and an empty frame."""
    response = decaying()
    response.energy[:, 4] *= 30.0
    response.energy[:, 8] = 0.0
    omni = ambisonic_response(response, carriers)[0]
    energy = band_energy(omni, 5)
    for frame in (3, 4):
        part = slice(ONSET + int(FRAME_EDGES[frame] * RATE), ONSET + int(FRAME_EDGES[frame + 1] * RATE))
        assert abs(decibel(energy[part].sum() / response.energy[5, frame, 0])) < 1.0
    silent = slice(ONSET + int(0.041 * RATE), ONSET + int(0.044 * RATE))
    assert energy[silent].sum() < 0.01 * response.energy[5, 7, 0]


def test_the_envelope_is_smooth_within_long_frames(carriers):
    """Frames are up to 0.8 s long; a decay within them must not become stairs."""
    response = decaying(times=4.0)
    omni = ambisonic_response(response, Carriers(RATE, 6.0, 0))[0]
    energy = band_energy(omni, 6)[ONSET:]
    window = RATE // 10
    level = decibel(energy[: window * 40].reshape(40, window).sum(axis=1))
    straight = np.polyval(np.polyfit(np.arange(3, 40), level[3:], 1), np.arange(3, 40))
    assert np.abs(level[3:] - straight).max() < 0.7


def test_the_tail_goes_on_beyond_the_last_frame():
    response = decaying(times=10.0)
    assert duration(response) == pytest.approx(10.0 * CUT_DB / 60.0, rel=0.03)
    omni = ambisonic_response(response, Carriers(16000, 13.0, 0))[0]
    power = np.square(omni[: 16000 * 11].reshape(-1, 16000).astype(float)).sum(axis=1)
    np.testing.assert_allclose(np.diff(decibel(power)), -6.0, atol=0.6)


def test_the_length_is_where_nothing_is_heard_any_more():
    assert duration(decaying(times=1.0)) == pytest.approx(CUT_DB / 60.0, rel=0.02)
    loud_direct = decaying(times=1.0)
    loud_direct.direct[...] = 100.0 * 0.3
    assert duration(loud_direct) == pytest.approx((CUT_DB - 20.0) / 60.0, rel=0.03)


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
def test_a_response_may_end_where_a_frame_does(rate):
    carriers = Carriers(rate, 2.5, seed=0)
    for last in (*range(8, 18), *range(25, 35)):  # from half a second on, a frame is one part
        response = decaying()
        response.energy[:, last:] = 0.0
        response.tail_slope[...] = -2000.0
        found = ambisonic_response(response, carriers)
        assert found.shape[1] == pytest.approx(duration(response) * rate, abs=0.51), last


def test_no_reflections_no_samples(carriers):
    assert duration(empty_response((), 343.2)) == 0.0
    assert ambisonic_response(empty_response((), 343.2), carriers).shape == (4, 0)


def test_one_band_alone_leaves_the_others_silent(carriers):
    response = decaying()
    response.energy[[band for band in range(8) if band != 4]] = 0.0
    omni = ambisonic_response(response, carriers)[0].astype(float)
    spectrum = np.square(np.abs(np.fft.rfft(omni, 1 << 18)))
    frequency = np.fft.rfftfreq(1 << 18, 1.0 / RATE)
    far = (frequency < EXACT_BANDS_HZ[2]) | (frequency > EXACT_BANDS_HZ[6])
    assert decibel(spectrum[far].sum() / spectrum.sum()) < -28.0


def test_a_small_change_of_place_changes_the_response_little():
    """Neighbouring keys share their noise at the same time after emission, so that a fade between them is no comb."""
    carriers = Carriers(RATE, 3.0, 1)
    starts = 420, 455  # 0.25 m apart
    near, far = (ambisonic_response(decaying(), carriers, start)[0] for start in starts)
    length = min(len(near) - 35, len(far))
    near, far = near[35 : 35 + length].astype(float), far[:length].astype(float)
    late = slice(RATE // 10, RATE)
    correlation = np.sum(near[late] * far[late]) / np.sqrt(np.sum(near[late] ** 2) * np.sum(far[late] ** 2))
    assert correlation > 0.98


def test_seeds_repeat_and_differ():
    one, again, other = (ambisonic_response(decaying(), Carriers(RATE, 2.0, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1 * np.abs(one).max()
