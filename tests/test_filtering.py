import numpy as np
import pytest

from naf_core.filtering import Blend, filter_changing

HOP = 96


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_blend_is_the_sum_of_what_passes_alone(rng):
    """Filters of their own, from knots of their own on."""
    filters = [rng.standard_normal((6, 32)).astype(np.float32), rng.standard_normal((3, 32)).astype(np.float32)]
    sounds = [rng.standard_normal(5 * HOP).astype(np.float32), rng.standard_normal(2 * HOP).astype(np.float32)]
    blend = Blend(8, HOP, 32)
    blend.add(sounds[0], filters[0])
    blend.add(sounds[1], filters[1], 4)
    first = filter_changing(np.pad(sounds[0], (0, 2 * HOP)), np.pad(filters[0], ((0, 2), (0, 0))), HOP)
    second = filter_changing(np.pad(sounds[1], (0, HOP)), np.pad(filters[1], ((0, 1), (0, 0))), HOP)
    first[4 * HOP : 7 * HOP] += second
    np.testing.assert_allclose(blend.heard(7 * HOP), first, atol=2e-5)


def test_filters_fade_into_each_other(rng):
    """From a gain of 1 to a gain of 3 over one hop, held on both sides."""
    gains = np.zeros((5, 16), np.float32)
    gains[:, 0] = 1.0, 1.0, 3.0, 3.0, 3.0
    heard = filter_changing(np.ones(4 * HOP, np.float32), gains, HOP)
    np.testing.assert_allclose(heard[:HOP], 1.0, atol=1e-5)
    np.testing.assert_allclose(heard[2 * HOP :], 3.0, atol=1e-5)
    assert heard[HOP + HOP // 2] == pytest.approx(2.0, abs=1e-5)
    assert (np.diff(heard[HOP : 2 * HOP]) > 0.0).all()


def test_what_is_asked_for_beyond_the_last_filter_is_silent():
    blend = Blend(2, HOP, 16)
    blend.add(np.ones(HOP, np.float32), np.eye(1, 16, dtype=np.float32).repeat(2, axis=0))
    heard = blend.heard(10 * HOP)
    assert heard.shape == (10 * HOP,)
    assert not np.abs(heard[3 * HOP :]).max() > 1e-6
