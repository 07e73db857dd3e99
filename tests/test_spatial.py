import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from naf_core import UserError
from naf_core.ambisonics import encode
from naf_core.bundled import bundled_file
from naf_core.spatial import Hrtf, band_interpolation, bundled_hrtf, minimum_phase

RATE = 48000
LEFT, RIGHT = 0, 1
HEAD_RADIUS, SPEED = 0.0875, 343.0


def towards(azimuth, elevation=0.0):
    """Unit vector (1, 3): azimuth in degrees to the left, elevation upwards."""
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.array([[np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)]])


def ears(azimuth, elevation=0.0):
    """Impulse responses (2, 2048) at the ears, with their delays against 10 ms."""
    filters, delay = bundled_hrtf().filters(towards(azimuth, elevation), RATE)
    frequency = np.fft.rfftfreq(2048, 1.0 / RATE)
    shift = np.exp(-2j * np.pi * frequency * (delay[0][:, None] + 0.010))
    return np.fft.irfft(np.fft.rfft(filters[0].astype(float), 2048) * shift, 2048)


def time_difference(left, right, low=300.0, high=1500.0):
    """Delay of the right ear in s where the ears correlate best, in a band of frequencies."""
    n = 16 * 2048
    frequency = np.fft.rfftfreq(2048, 1.0 / RATE)
    cross = np.fft.rfft(left) * np.conj(np.fft.rfft(right)) * ((frequency > low) & (frequency < high))
    correlation = np.roll(np.fft.irfft(cross, n), n // 2)
    return (n // 2 - np.argmax(correlation)) / (16 * RATE)


@pytest.mark.parametrize("azimuth", [15, 30, 45, 60, 75, 90, 120, 150, -30, -60, -90])
def test_the_delay_between_the_ears_is_woodworths(azimuth):
    """ITD = a / c (theta + sin theta), R. S. Woodworth 1938, within 10 % or 15 µs."""
    _, delay = bundled_hrtf().at(towards(azimuth))
    lateral = np.arcsin(np.sin(np.radians(azimuth)))
    expected = HEAD_RADIUS / SPEED * (lateral + np.sin(lateral))
    assert delay[0, RIGHT] - delay[0, LEFT] == pytest.approx(expected, rel=0.1, abs=15e-6)


@pytest.mark.parametrize("azimuth", [30, 60, 90, 120])
def test_what_comes_from_the_left_is_earlier_and_louder_in_the_left_ear(azimuth):
    left, right = ears(azimuth)
    assert time_difference(left, right) > 0.0002
    assert 10.0 * np.log10(np.sum(left**2) / np.sum(right**2)) > 6.0
    mirrored = ears(-azimuth)
    np.testing.assert_allclose(mirrored[::-1], [left, right], atol=1e-6)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (180, 0), (0, 45), (0, 90), (0, -90)])
def test_the_median_plane_is_the_same_in_both_ears(azimuth, elevation):
    left, right = ears(azimuth, elevation)
    np.testing.assert_allclose(left, right, atol=1e-6)


def test_sound_from_ahead_arrives_at_the_time_of_the_head():
    left, _ = ears(0.0)
    assert abs(np.argmax(np.abs(left)) - 0.010 * RATE) <= 2


def test_each_ear_hears_the_power_of_a_diffuse_field():
    hrtf = bundled_hrtf()
    filters, _ = hrtf.filters(hrtf.directions, RATE)
    power = np.einsum("n,nef->ef", hrtf.areas, np.abs(np.fft.rfft(filters, 1024)) ** 2)
    frequency = np.fft.rfftfreq(1024, 1.0 / RATE)
    np.testing.assert_allclose(10.0 * np.log10(power[:, frequency < 18000.0]), 0.0, atol=0.6)


@given(st.floats(-180.0, 180.0), st.floats(-90.0, 90.0))
def test_weights_give_the_direction_back(azimuth, elevation):
    hrtf = bundled_hrtf()
    direction = towards(azimuth, elevation)
    index, weights = hrtf.weights(direction)
    assert weights.sum() == pytest.approx(1.0) and (weights >= 0.0).all()
    middle = weights[0] @ hrtf.directions[index[0]]
    assert np.degrees(np.arccos(min(middle @ direction[0] / np.linalg.norm(middle), 1.0))) < 1e-3


def test_a_small_step_changes_little():
    """No jump anywhere on a way around the head and over it, at half a degree a step."""
    circle = np.concatenate(
        [
            np.stack([towards(a)[0] for a in np.arange(0, 360, 0.5)]),
            np.stack([towards(20.0, e)[0] for e in np.arange(-90, 90, 0.5)]),
        ]
    )
    magnitude, delay = bundled_hrtf().at(circle)
    for part in (slice(0, 720), slice(720, None)):
        assert np.abs(np.diff(magnitude[part], axis=0)).max() < 4.0  # dB, in the deepest notch
        assert np.abs(np.diff(magnitude[part], axis=0)).mean() < 0.15
        assert np.abs(np.diff(delay[part], axis=0)).max() < 12e-6


@pytest.mark.parametrize("rate", [16000, 44100, 48000, 96000])
def test_any_sample_rate_gives_the_same_response(rate):
    filters, _ = bundled_hrtf().filters(towards(40.0, 10.0), rate)
    reference, _ = bundled_hrtf().filters(towards(40.0, 10.0), 48000)
    for frequency in (500.0, 2000.0, 6000.0):
        values = [
            np.abs(np.exp(-2j * np.pi * frequency / r * np.arange(f.shape[-1])) @ f[0].T)
            for f, r in ((filters, rate), (reference, 48000))
        ]
        np.testing.assert_allclose(20.0 * np.log10(values[0] / values[1]), 0.0, atol=0.5)


def test_band_gains_are_applied():
    shape = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, -3.0, -9.0, -24.0]])
    with_bands, _ = bundled_hrtf().filters(towards(0.0), RATE, shape)
    plain, _ = bundled_hrtf().filters(towards(0.0), RATE)
    ratio = np.abs(np.fft.rfft(with_bands, 4096) / np.fft.rfft(plain, 4096))[0, 0]
    frequency = np.fft.rfftfreq(4096, 1.0 / RATE)
    for wanted, centre in zip(shape[0], (63, 125, 250, 500, 1000, 1995, 3981, 7943), strict=True):
        assert 20.0 * np.log10(ratio[np.argmin(np.abs(frequency - centre))]) == pytest.approx(wanted, abs=0.7)


def test_band_interpolation_is_flat_for_equal_bands():
    np.testing.assert_allclose(np.ones(8) @ band_interpolation(np.linspace(0.0, 24000.0, 100)), 1.0)


def test_minimum_phase_of_a_flat_spectrum_is_a_click():
    click = minimum_phase(np.full((3, 257), 6.0), 256)
    np.testing.assert_allclose(click[:, 0], 10 ** (6.0 / 20.0), rtol=1e-5)
    assert np.abs(click[:, 1:]).max() < 1e-5


def test_encoding_is_ambix():
    np.testing.assert_allclose(encode(towards(90.0))[:, 0], [1, 1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(encode(towards(0.0, 90.0))[:, 0], [1, 0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(encode(towards(0.0))[:, 0], [1, 0, 0, 1], atol=1e-12)


class TestDecoder:
    def decoded(self, azimuth):
        filters, latency = bundled_hrtf().decoder(RATE)
        response = np.einsum("ect,c->et", filters.astype(float), encode(towards(azimuth))[:, 0])
        return np.pad(np.roll(response, 480 - latency, axis=1), ((0, 0), (0, 2048 - response.shape[1])))

    def test_a_diffuse_field_has_its_power_and_coherence(self):
        filters, _ = bundled_hrtf().decoder(RATE)
        spectrum = np.fft.rfft(filters.astype(float), 1024)
        frequency = np.fft.rfftfreq(1024, 1.0 / RATE)
        covariance = np.einsum("ecf,c,gcf->feg", spectrum, [1, 1 / 3, 1 / 3, 1 / 3], spectrum.conj())
        audible = (frequency > 40.0) & (frequency < 18000.0)
        power = np.abs(covariance[audible][:, [0, 1], [0, 1]])
        np.testing.assert_allclose(10.0 * np.log10(power), 0.0, atol=0.6)
        coherence = np.abs(covariance[:, 0, 1]) / np.abs(covariance[:, 0, 0])
        assert coherence[frequency < 120.0].min() > 0.9
        assert coherence[(frequency > 1500.0) & (frequency < 12000.0)].mean() < 0.25

    @pytest.mark.parametrize("azimuth", [45, 90, 135])
    def test_the_left_is_left(self, azimuth):
        left, right = self.decoded(azimuth)
        assert time_difference(left, right, 100.0, 700.0) > 0.0002
        assert 10.0 * np.log10(np.sum(left**2) / np.sum(right**2)) > 6.0
        np.testing.assert_allclose(self.decoded(-azimuth)[::-1], [left, right], atol=1e-3)

    def test_time_zero_is_kept(self):
        left, _ = self.decoded(0.0)
        assert abs(np.argmax(np.abs(left)) - 480) <= 4

    def test_it_fades_to_nothing_at_both_ends(self):
        filters, latency = bundled_hrtf().decoder(RATE)
        assert np.abs(filters[..., [0, -1]]).max() < 1e-3 * np.abs(filters).max()
        assert 0 < latency < filters.shape[-1]


def good():
    return load_file(bundled_file("hrtf.safetensors"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("delay"), "cannot be read"),
        (lambda d: d.update(delay=d["delay"][:-1].copy()), "do not match"),
        (lambda d: d.update(delay=d["delay"] + 1.0), "out of range"),
        (lambda d: d.update(magnitude_db=np.full_like(d["magnitude_db"], np.nan)), "not finite"),
        (lambda d: d.update(directions=2.0 * d["directions"]), "not unit vectors"),
        (lambda d: d.update({k: v[:3].copy() for k, v in d.items() if k != "frequency"}), "of no use"),
        (lambda d: d.update(frequency=d["frequency"][::-1].copy()), "out of range"),
        (lambda d: d.update(directions=np.tile([[1.0, 0.0, 0.0]], (len(d["delay"]), 1)).astype("f4")), "surround"),
    ],
)
def test_damaged_sets_are_refused(tmp_path, change, message):
    data = good()
    change(data)
    save_file(data, tmp_path / "set.safetensors", {"format": "acoustic-fields hrtf 1"})
    with pytest.raises(UserError, match=message):
        Hrtf.load(tmp_path / "set.safetensors")


def test_foreign_and_missing_files_are_refused(tmp_path):
    save_file(good(), tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match="not an HRTF set of this tool"):
        Hrtf.load(tmp_path / "foreign.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    for name in ("text.safetensors", "missing.safetensors"):
        with pytest.raises(UserError, match="cannot be read"):
            Hrtf.load(tmp_path / name)
    with pytest.raises(UserError, match="install Acoustic Fields again"):
        bundled_file("no_such_file")


def test_the_bundled_file_is_small():
    assert bundled_file("hrtf.safetensors").stat().st_size < 1_500_000
