import numpy as np
import pytest

from naf_core.span import Span, thinning


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000, 96000, 192000])
def test_the_low_rate_holds_the_low_bands(rate):
    assert 2 * 771.0 < rate / thinning(rate) < 6000.0


@pytest.mark.parametrize("start", [0, 1, 417, 4803])
def test_low_samples_of_all_spans_lie_at_the_same_times_after_emission(start):
    span = Span(48000, start, 9000, before=1000)
    assert (0.0 <= span.low_times).all() and (span.low_times < 9000 / 48000).all()
    samples = span.low_times * 48000 + start
    np.testing.assert_allclose(samples / span.thin, np.arange(span.low.start, span.low.stop))
    assert span.onset >= span.before + 0.1 * 48000 - 2 * span.thin and span.n_fft == span.thin * span.n_low


def test_low_samples_become_the_sound_at_the_full_rate():
    span = Span(48000, 417, 24000)
    tone = np.sin(2.0 * np.pi * 200.0 * span.low_times) * np.sin(np.pi * span.low_times / 0.5) ** 2
    times = np.arange(24000) / 48000
    expected = np.sin(2.0 * np.pi * 200.0 * times) * np.sin(np.pi * times / 0.5) ** 2
    np.testing.assert_allclose(span.full(tone.astype(np.float32)[None])[0], expected, atol=1e-4)
