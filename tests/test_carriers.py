import numpy as np
import pytest

from naf_core.bands import BAND_EDGES_HZ, EXACT_BANDS_HZ
from naf_core.carriers import OMNI, Carriers, arrivals, band_filters, octave_filters, split_bands
from naf_core.span import LOW, Span, thinning

RATE = 48000


@pytest.fixture(scope="module")
def carriers():
    return Carriers(RATE, 2.0, seed=3)


@pytest.mark.parametrize("rate", [16000, 44100, 48000, 96000])
def test_the_bands_sum_to_the_signal(rate):
    filters = band_filters(1 << 15, rate)
    frequency = np.fft.rfftfreq(1 << 15, 1.0 / rate)
    flat = (frequency >= 26.0) & (frequency <= min(18000.0, 0.43 * rate))
    np.testing.assert_allclose(filters.sum(axis=0)[flat], 1.0, atol=1e-12)
    assert (filters >= 0.0).all() and filters[:, frequency < 14.0].max() == 0.0
    for band, centre in enumerate(EXACT_BANDS_HZ):
        if centre < 0.4 * rate:
            assert filters[band, np.argmin(np.abs(frequency - centre))] == pytest.approx(1.0)


def test_octave_filters_keep_the_power():
    filters = octave_filters(1 << 15, RATE)
    frequency = np.fft.rfftfreq(1 << 15, 1.0 / RATE)
    inside = (frequency > 1.1 * BAND_EDGES_HZ[0]) & (frequency < 0.9 * BAND_EDGES_HZ[-1])
    np.testing.assert_allclose(np.square(filters).sum(axis=0)[inside], 1.0, atol=1e-12)
    widths = np.square(filters).sum(axis=1) * frequency[1]
    np.testing.assert_allclose(widths, np.diff(BAND_EDGES_HZ), rtol=0.03)


def test_split_bands_sum_to_a_click():
    click = np.zeros(8192, np.float32)
    click[4000] = 1.0
    rebuilt = split_bands(click, RATE).sum(axis=0)
    assert np.argmax(rebuilt) == 4000
    assert np.square(rebuilt).sum() == pytest.approx(19100.0 / 24000.0, rel=0.01)


def test_carriers_have_unit_white_power_and_are_independent(carriers):
    for noise, bands in ((carriers.low, slice(LOW)), (carriers.high, slice(LOW, 8))):
        share = np.square(noise, dtype=np.float64).mean(axis=-1) / carriers.power[bands]
        np.testing.assert_allclose(share[:, 3 if bands.start is None else 0 :], 1.0, atol=0.12)
        total = noise.sum(axis=1)
        np.testing.assert_allclose(np.corrcoef(total), np.eye(5), atol=0.1)


def test_low_bands_of_the_carriers_are_even(carriers):
    """In windows of 1 / bandwidth, noise by chance varies by about 4 dB."""
    bands = [(band, thinning(RATE)) for band in carriers.low[OMNI]] + [(carriers.high[OMNI, 0], 1)]
    for (band, thin), width in zip(bands, np.diff(BAND_EDGES_HZ), strict=False):
        window = int(RATE / thin / width)
        power = np.square(band)
        power = power[: len(power) // window * window].reshape(-1, window).mean(axis=1)
        assert np.std(10.0 * np.log10(power)) < 2.3


def test_the_first_reflections_are_single_events(carriers):
    span = Span(RATE, 500, RATE // 4)
    low, high = carriers.cut(span)
    assert low.shape == (5, 4, len(span.low_times)) and high.shape == (5, 4, RATE // 4)
    signal = high[OMNI].sum(axis=0)
    early, late = signal[:480], signal[2400:]

    def kurtosis(x):
        return np.mean(x**4) / np.mean(x**2) ** 2

    assert kurtosis(early) > 6.0 and kurtosis(late) == pytest.approx(3.0, abs=0.6)


@pytest.mark.parametrize("volume", [20.0, 300.0, 4000.0])
def test_reflections_become_as_dense_as_in_the_room(volume):
    """As many as there are images of the emitter in a shell of the mirrored rooms: 4 pi c^3 t^2 / V a second."""
    times = arrivals(0.4, volume)
    middle = 0.5 * (times[1:] + times[:-1])
    true = 4.0 * np.pi * 343.2**3 * middle**2 / volume
    grown = true > 1100.0
    np.testing.assert_allclose(1.0 / np.diff(times)[grown], true[grown], rtol=1e-3)
    np.testing.assert_allclose(1.0 / np.diff(times)[true < 900.0], 1000.0)
    # What is cut is as sparse: pulses stand out of their mean until there are 2000 a second, and no more from 4000 on.
    high = Carriers(RATE, 1.0, 3, volume=volume).high[OMNI].sum(axis=0)

    def kurtosis(rate):
        at = int(np.sqrt(rate * volume / (4.0 * np.pi * 343.2**3)) * RATE)
        part = high[at : at + max(at // 10, 200)]
        return np.mean(part**4) / np.mean(part**2) ** 2

    assert kurtosis(1500.0) > 5.0
    assert kurtosis(4000.0) < 4.0
    assert np.square(high[: RATE // 100]).mean() == pytest.approx(np.square(high).mean(), rel=0.3)


def test_cuts_at_different_places_hold_the_same_noise(carriers):
    near, far = (Span(RATE, start, 20000 - start) for start in (100, 300))
    (low_near, near), (low_far, far) = carriers.cut(near), carriers.cut(far)
    np.testing.assert_array_equal(near[:, :, 200:], far)
    count = low_far.shape[2]
    np.testing.assert_array_equal(low_near[:, :, -count:], low_far)


def test_low_bands_at_the_low_rate_are_the_bands_themselves():
    noise = np.random.default_rng(0).standard_normal(1 << 15)
    thin = thinning(RATE)
    whole, low = split_bands(noise, RATE, slice(LOW)), split_bands(noise, RATE, slice(LOW), thin)
    np.testing.assert_allclose(low, whole[:, ::thin], atol=1e-6)


def test_seeds_repeat():
    one, again, other = (Carriers(RATE, 0.3, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.low, again.low)
    np.testing.assert_array_equal(one.high, again.high)
    assert np.abs(one.high - other.high).max() > 0.1
