import numpy as np
import pytest

from naf_core.carriers import OMNI, Carriers, octave_filters
from naf_core.response import FRAME_EDGES
from naf_core.settling import Wanted, groups_of, settled
from naf_core.span import LOW, Span

RATE, FRAMES = 24000, 17  # up to 152 ms
EDGES = FRAME_EDGES[: FRAMES + 1]
SPAN = Span(RATE, 300, round(EDGES[-1] * RATE))


@pytest.fixture(scope="module")
def carriers():
    return Carriers(RATE, 1.0, 2)


def energies(samples):
    """Energy of the transform's ``samples`` in each band and frame, relative to a unit impulse."""
    spectrum = np.fft.rfft(samples)
    edges = np.append(0, SPAN.onset + np.round(EDGES[1:] * RATE).astype(int))
    result = []
    for gains in octave_filters(SPAN.n_fft, RATE):
        power = np.square(np.fft.irfft(spectrum * gains, SPAN.n_fft))
        power *= SPAN.n_fft / (2.0 * np.sum(gains**2))
        result.append(np.add.reduceat(power, edges)[:-1])
    return np.array(result)


def heard(carriers, wanted, narrow=3):
    low, high = carriers.cut(SPAN)
    gain, change = settled(SPAN, low[OMNI], high[OMNI], carriers.power, wanted, narrow)
    at = np.round(EDGES * RATE).astype(int)
    within = np.searchsorted(SPAN.low_times, EDGES - 1e-9)
    count = np.diff(np.append(within[:-1], low.shape[-1]))
    low = (low[OMNI] * np.repeat(gain[:LOW], count, axis=1) + change).sum(axis=0)
    samples = np.zeros(SPAN.n_fft)
    samples[SPAN.onset : SPAN.onset + SPAN.length] = SPAN.full(low.astype(np.float32)[None])[0]
    samples[SPAN.onset : SPAN.onset + SPAN.length] += (high[OMNI] * np.repeat(gain[LOW:], np.diff(at), axis=1)).sum(0)
    return samples


@pytest.mark.parametrize("click", [0.0, 0.05, 0.3])
def test_noise_and_a_click_have_the_wanted_energies_together(carriers, click):
    groups = groups_of(EDGES)
    energy = np.tile(0.02 * 10.0 ** (-6.0 * EDGES[:-1]) * np.diff(EDGES) / 0.005, (8, 1))
    total, beside = energy.copy(), np.zeros(SPAN.n_fft, np.float32)
    beside[SPAN.onset + round(0.0125 * RATE)] = click
    total[:, 2] += click**2
    wanted = Wanted(EDGES, groups, energy, total, beside)
    has = energies(heard(carriers, wanted) + beside)
    for band, group in enumerate(groups):
        ratio = np.bincount(group, has[band]) / np.bincount(group, total[band])
        assert np.abs(10.0 * np.log10(ratio[:-1])).max() < 0.25, band  # the last rings on into silence


def test_the_change_makes_low_bands_right_that_amplitudes_leave_wrong(carriers):
    groups = groups_of(EDGES)
    energy = np.tile(0.02 * np.diff(EDGES) / 0.005, (8, 1))
    wanted = Wanted(EDGES, groups, energy, energy)
    errors = []
    for narrow in (0, 3):
        has = energies(heard(carriers, wanted, narrow))
        ratio = [np.bincount(g, a)[:-1] / np.bincount(g, b)[:-1] for g, a, b in zip(groups, has, energy, strict=True)]
        errors.append(max(np.abs(10.0 * np.log10(part)).max() for part in ratio[:3]))
    assert errors[1] < 0.25 < errors[0]


def test_groups_hold_enough_of_their_band_and_part_where_clarity_does():
    groups = groups_of(FRAME_EDGES)
    for band, group in enumerate(groups):
        begins = FRAME_EDGES[:-1][np.flatnonzero(np.diff(group, prepend=-1))]
        assert {0.02, 0.04, 0.05, 0.06, 0.08} <= set(np.round(begins, 3))
        assert (np.diff(group) <= 1).all() and (band < 4 or (np.diff(group) == 1).all())


def test_silence_is_wanted_and_had(carriers):
    none = np.zeros((8, FRAMES))
    assert not heard(carriers, Wanted(EDGES, groups_of(EDGES), none, none)).any()
