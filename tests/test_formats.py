import numpy as np
import pytest

from naf_core import UserError
from naf_core.ambisonics import encode
from naf_core.formats import AB_DISTANCE, ORTF_DISTANCE, format_of
from naf_core.layouts import FORMATS, LAYOUTS, channel_count, loudness_weights

RATE = 48000


def towards(azimuth, elevation=0.0):
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.array([[np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)]])


def plane_wave(azimuth, samples, order=1):
    return (encode(towards(azimuth), order) * samples).astype(np.float32)


def noise(n=4800):
    return np.random.default_rng(0).standard_normal(n)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_every_format_has_its_channels_and_keeps_the_length(name, order):
    fmt = format_of(name, order)
    waves = fmt.decode(np.zeros(((fmt.order + 1) ** 2, 4800), np.float32) + 0.1, RATE)
    assert waves.shape == (fmt.channels, 4800) and waves.dtype == np.float32
    assert fmt.channels == channel_count(name, order) == len(loudness_weights(name, order))
    if fmt.ears is None:
        gains = fmt.gains(np.concatenate([towards(a, 20.0) for a in (0, 77, 200)]))
        assert gains.shape == (fmt.channels, 3)


def test_unknown_formats_and_orders_are_named():
    with pytest.raises(UserError, match=r"9\.1.*choose one of binaural"):
        format_of("9.1")
    with pytest.raises(UserError, match="order is 4"):
        format_of("ambix", 4)


def test_stereo_from_the_front_has_its_power_in_both():
    samples = noise()
    front = format_of("stereo").decode(plane_wave(0.0, samples), RATE)
    np.testing.assert_allclose(front[0], samples / np.sqrt(2.0), atol=1e-5)
    np.testing.assert_allclose(front[1], front[0], atol=1e-6)


def test_stereo_pans_from_left_to_right():
    ratios = []
    for azimuth in (90, 55, 30, 0, -30, -55, -90):
        left, right = np.std(format_of("stereo").decode(plane_wave(azimuth, noise()), RATE), axis=1)
        ratios.append(20.0 * np.log10(left / right))
    assert (np.diff(ratios) < 0).all() and ratios[0] > 15.0
    np.testing.assert_allclose(ratios, -np.array(ratios)[::-1], atol=1e-3)


def test_binaural_is_the_decoder_without_its_latency():
    fmt = format_of("binaural")
    filters, latency = fmt.ears.decoder(RATE)
    wave = plane_wave(60.0, noise(9000))
    expected = [sum(np.convolve(w, f) for w, f in zip(wave, ear, strict=True)) for ear in filters]
    expected = np.stack(expected)[:, latency : latency + 9000]
    np.testing.assert_allclose(fmt.decode(wave, RATE), expected, atol=1e-4)


@pytest.mark.parametrize(("name", "distance"), [("stereo-ortf", ORTF_DISTANCE), ("stereo-ab", AB_DISTANCE)])
def test_spaced_microphones_hear_the_nearer_side_first(name, distance):
    pair = format_of(name).ears
    for azimuth in (-90, -40, 0, 25, 90):
        delay = pair.delays(towards(azimuth))[0]
        assert delay[1] - delay[0] == pytest.approx(distance * np.sin(np.radians(azimuth)) / 343.2, abs=1e-5)
    magnitude, _ = pair.at(towards(90.0))
    cardioid = (
        0.0 if name == "stereo-ab" else 20.0 * np.log10((1 + np.sin(np.radians(55))) / (1 - np.sin(np.radians(55))))
    )
    assert magnitude[0, 0, 0] - magnitude[0, 1, 0] == pytest.approx(cardioid, abs=0.6)
    front, _ = pair.at(towards(0.0))
    np.testing.assert_allclose(front, -3.01, atol=0.1)


@pytest.mark.parametrize(("name", "distance"), [("stereo-ortf", ORTF_DISTANCE), ("stereo-ab", AB_DISTANCE)])
def test_spaced_microphones_in_a_diffuse_field_are_as_coherent_as_they_would_be(name, distance):
    """Omnidirectional ones: sin(kd) / kd, which for 50 cm is 0 at 343 Hz; noise from all around, not from one place."""
    filters, _ = format_of(name).ears.decoder(RATE)
    spectrum = np.fft.rfft(filters.astype(float), 2048)
    frequency = np.fft.rfftfreq(2048, 1.0 / RATE)
    covariance = np.einsum("ecf,c,gcf->feg", spectrum, [1, 1 / 3, 1 / 3, 1 / 3], spectrum.conj())
    coherence = np.real(covariance[:, 0, 1]) / np.sqrt(np.real(covariance[:, 0, 0] * covariance[:, 1, 1]))
    high = (frequency > 1500.0) & (frequency < 12000.0)
    assert np.abs(coherence[high].mean()) < 0.1 and coherence[frequency < 60.0].min() > 0.5
    if name == "stereo-ab":
        part = (frequency > 100.0) & (frequency < 1000.0)
        expected = np.sinc(2.0 * frequency * distance / 343.2)
        assert np.abs(coherence[part] - expected[part]).max() < 0.15


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_sound_from_a_loudspeaker_is_in_that_loudspeaker_alone(name):
    fmt = format_of(name)
    for channel, angle in enumerate(LAYOUTS[name].angles):
        if angle is not None:
            gains = fmt.gains(towards(*angle))[:, 0]
            assert gains[channel] == pytest.approx(1.0, abs=1e-6)
            assert np.abs(np.delete(gains, channel)).max() < 1e-6
        else:
            around = np.concatenate([towards(a, e) for a in range(0, 360, 30) for e in (-60, 0, 60)])
            assert not fmt.gains(around)[channel].any() and not fmt.matrix[channel].any()


@pytest.mark.parametrize(("name", "mask"), [("5.1", 0x60F), ("7.1", 0x63F), ("7.1.4", 0x2D63F)])
def test_the_mask_has_one_place_a_channel(name, mask):
    assert format_of(name).mask == mask and bin(mask).count("1") == format_of(name).channels


def test_what_counts_for_loudness():
    assert loudness_weights("5.1") == (1.0, 1.0, 1.0, 0.0, 1.41, 1.41)
    assert loudness_weights("7.1") == (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.41, 1.41)
    assert loudness_weights("ambix", 2) == (1.0, *[0.0] * 8)
    assert sum(loudness_weights("7.1.4")) == pytest.approx(4 * 1.0 + 3 * 1.0 + 2 * 1.41 + 2.0)
