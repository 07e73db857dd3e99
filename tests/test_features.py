from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from naf_core.air import Air
from naf_core.features import (
    LEAST_SHARE,
    N_BASES,
    N_FEATURES,
    PairFeatures,
    arrived,
    floored_level,
    intensity_ratio,
    later,
    pair_features,
)
from naf_core.pairs import DETOUR_LIMIT, Pairs
from naf_core.probes import N_DEPTHS, Surroundings
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, N_FRAMES

DELAYS = st.floats(0.0, 0.3)
LEVELS = st.lists(st.floats(-110.0, 20.0), min_size=N_FRAMES, max_size=N_FRAMES)


def in_frames(energy: np.ndarray) -> np.ndarray:
    """Energies (N_FRAMES,) as (1, 8, N_FRAMES, 1)."""
    return np.broadcast_to(energy.astype(np.float32)[None, None, :, None], (1, 8, N_FRAMES, 1))


def decay(reverberation_time: float, edges: np.ndarray) -> np.ndarray:
    """Energy of an exponential decay beyond each of ``edges``."""
    return 10.0 ** (-6.0 * edges / reverberation_time)


def random_energy(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    times = rng.uniform(0.2, 2.0, (n, 8, 1))
    omnidirectional = -np.diff(decay(times, FRAME_EDGES)) * rng.uniform(0.5, 2.0, (n, 8, N_FRAMES))
    direction = rng.uniform(-0.5, 0.5, (n, 8, N_FRAMES, 3))
    energy = np.concatenate([omnidirectional[..., None], omnidirectional[..., None] * direction], axis=-1)
    return energy.astype(np.float32)


def random_ends(n: int, seed: int) -> Surroundings:
    rng = np.random.default_rng(seed)
    return Surroundings(
        depths=np.sort(rng.uniform(0.2, 8.0, (n, N_DEPTHS)), axis=1).astype(np.float32),
        absorption=rng.random((n, 8), np.float32),
        scattering=rng.random((n, 8), np.float32),
        escape=rng.random(n, np.float32),
    )


def random_pairs(n: int, seed: int) -> Pairs:
    rng = np.random.default_rng(seed)
    direction, way_direction = rng.normal(size=(2, n, 3))
    distance = rng.uniform(0.2, 12.0, n)
    return Pairs(
        distance=distance.astype(np.float32),
        direction=(direction / np.linalg.norm(direction, axis=1, keepdims=True)).astype(np.float32),
        visible=rng.random(n) < 0.5,
        soft=rng.random(n, np.float32),
        way=(distance + rng.uniform(0.0, 5.0, n)).astype(np.float32),
        way_direction=(way_direction / np.linalg.norm(way_direction, axis=1, keepdims=True)).astype(np.float32),
        common=rng.random((n, 2), np.float32),
    )


def features(
    emitter: Surroundings, listener: Surroundings, pairs: Pairs, exchanged: np.ndarray | None = None
) -> PairFeatures:
    height = np.linspace(0.0, 2.0, len(pairs.distance)).astype(np.float32)
    if exchanged is None:
        exchanged = random_energy(len(pairs.distance), 99)
    return pair_features(emitter, listener, exchanged, pairs, Air().absorption(), 343.2, height)


@given(DELAYS)
def test_later_frames_of_steady_energy_are_its_overlap(delay):
    shifted = later(in_frames(FRAME_WIDTHS), np.array([delay]))
    start, end = (np.minimum(FRAME_EDGES[part] + delay, FRAME_EDGES[-1]) for part in (slice(-1), slice(1, None)))
    np.testing.assert_allclose(shifted[0, 3, :, 0], end - start, rtol=2e-3, atol=2e-6)


@given(DELAYS, st.floats(0.2, 4.0))
def test_later_frames_of_a_decay_are_the_decay_from_there_on(delay, reverberation_time):
    shifted = later(in_frames(-np.diff(decay(reverberation_time, FRAME_EDGES))), np.array([delay]))[0, 0, :, 0]
    expected = -np.diff(decay(reverberation_time, FRAME_EDGES + delay))
    # The slope of a frame is that of its neighbours, which the first and the last have on one side only.
    known = (FRAME_EDGES[:-1] > 0.0) & (FRAME_EDGES[1:] + delay < FRAME_EDGES[-2])
    known &= 60.0 * FRAME_EDGES[1:] / reverberation_time < 70.0
    np.testing.assert_allclose(10.0 * np.log10(shifted[known] / expected[known]), 0.0, atol=1.0)


def test_a_decay_keeps_its_late_frames():
    # A strong first reflection, as close to a wall, must not drown what comes 100 dB below it.
    energy = -np.diff(decay(1.0, FRAME_EDGES))
    energy[0] = 100.0
    shifted = later(in_frames(energy), np.zeros(1))[0, 0, :, 0]
    audible = energy > 1e-8
    np.testing.assert_allclose(shifted[audible], energy[audible], rtol=1e-3)


@given(DELAYS, LEVELS)
def test_no_energy_is_made_or_lost_but_what_comes_before(delay, level):
    energy = 10.0 ** (np.array(level) / 10.0)
    shifted = later(in_frames(energy), np.array([delay]))[0, 0, :, 0]
    frame = np.searchsorted(FRAME_EDGES, delay, side="right") - 1  # of which some is gone, more than an even share
    after = energy[frame + 1 :].sum()
    even = after + energy[frame] * (FRAME_EDGES[frame + 1] - delay) / FRAME_WIDTHS[frame]
    assert (shifted >= 0.0).all()
    assert after - 1e-5 * energy.sum() <= shifted.sum() <= even + 1e-5 * energy.sum()


def test_without_delay_nothing_changes():
    energy = random_energy(3, 1)[..., :1]
    np.testing.assert_allclose(later(energy, np.zeros(3)), energy, rtol=1e-3, atol=1e-12)


def test_each_pair_has_its_own_delay():
    energy = np.repeat(in_frames(FRAME_WIDTHS), 2, axis=0)
    together = later(energy, np.array([0.0, 0.1]))
    np.testing.assert_allclose(together[0], later(energy[:1], np.array([0.0]))[0])
    np.testing.assert_allclose(together[1], later(energy[1:], np.array([0.1]))[0])


@given(LEVELS)
def test_floored_levels_are_levels_but_never_shout(level):
    energy = 10.0 ** (np.array(level) / 10.0)
    floored = floored_level(energy, 0.01)
    loudest_later = np.maximum.accumulate(np.array(level)[::-1])[::-1]
    assert (floored >= np.array(level) - 1e-6).all()
    assert (floored >= loudest_later - 20.0 - 1e-6).all()
    assert (floored <= np.maximum(loudest_later, -120.0) + 1e-6).all()
    kept = np.array(level) > loudest_later - 20.0
    np.testing.assert_allclose(floored[kept], np.array(level)[kept], atol=1e-6)


def test_silence_has_a_level():
    np.testing.assert_allclose(floored_level(np.zeros(N_FRAMES), 0.01), -150.0, rtol=1e-6)


def test_ratios_are_intensity_over_energy_within_bounds():
    energy = np.array([[2.0, 1.0, -2.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 3.0, 0.0, -3.0]])
    np.testing.assert_allclose(intensity_ratio(energy), [[0.5, -1.0, 0.0], [0, 0, 0], [1.0, 0.0, -1.0]])


def test_exchanging_the_ends_changes_no_input():
    a, b, pairs = random_ends(5, 2), random_ends(5, 3), random_pairs(5, 4)
    there = features(a, b, pairs)
    back = features(b, a, replace(pairs, direction=-pairs.direction))
    np.testing.assert_array_equal(there.inputs, back.inputs)
    np.testing.assert_array_equal(there.base_level, back.base_level)


def test_the_ends_do_matter():
    a, b, pairs = random_ends(5, 2), random_ends(5, 3), random_pairs(5, 4)
    assert (features(a, b, pairs).inputs != features(a, a, pairs).inputs).any(axis=(1, 2)).all()


def test_inputs_are_finite_and_as_many_as_said():
    a, b = random_ends(4, 5), random_ends(4, 6)
    silent = np.zeros((4, 8, N_FRAMES, 4), np.float32)
    pairs = random_pairs(4, 7)
    close = replace(pairs, distance=np.zeros(4, np.float32), way=np.zeros(4, np.float32))
    for exchanged in (None, silent):
        for geometry in (pairs, close):
            made = features(a, b, geometry, exchanged)
            assert made.inputs.shape == (4, 8, N_FEATURES)
            assert made.inputs.dtype == np.float32
            for values in (made.inputs, made.base_level, made.bases):
                assert np.isfinite(values).all()
            assert np.abs(made.inputs).max() < 200.0


def test_the_base_is_what_the_probes_exchanged_from_the_earliest_arrival_on():
    a, b, pairs = random_ends(4, 8), random_ends(4, 16), random_pairs(4, 9)
    pairs = replace(pairs, way=pairs.distance)
    exchanged = random_energy(4, 10)
    base = features(a, b, pairs, exchanged).base_level
    expected = floored_level(later(exchanged, pairs.distance / 343.2)[..., 0], LEAST_SHARE)
    np.testing.assert_allclose(base, expected, atol=1e-4)
    # What the decoder is told of it does not depend on how loud the whole is, but for the one input that says so.
    louder = features(a, b, pairs, 4.0 * exchanged)
    heard = base > -110.0
    np.testing.assert_allclose((louder.base_level - base)[heard], 10.0 * np.log10(4.0), atol=1e-3)


def test_where_no_way_is_known_sound_may_arrive_at_any_time():
    pairs = replace(random_pairs(1, 3), distance=np.array([2.0]), way=np.array([2.0 + DETOUR_LIMIT]))
    assert (arrived(pairs, 343.2) == 1.0).all()


@given(st.floats(0.0, 29.9), st.floats(0.1, 10.0))
def test_nothing_arrives_before_it_has_gone_around_corners(detour, distance):
    pairs = replace(random_pairs(1, 3), distance=np.array([distance]), way=np.array([distance + detour]))
    share = arrived(pairs, 343.2)[0]
    assert (np.diff(share) >= 0.0).all()
    shortest = (detour + distance) * 0.9 - 1.0
    assert (share[(FRAME_EDGES[1:] * 343.2 + distance) <= shortest] == 0.0).all()
    assert (share[(FRAME_EDGES[:-1] * 343.2) >= detour] == 1.0).all()
    base = features(random_ends(1, 1), random_ends(1, 2), pairs).base_level[0]
    before = share == 0.0
    if before.any():
        assert (base[:, before] <= base.max(axis=1, keepdims=True) - 39.9).all()


def test_slightly_negative_exchanged_energy_counts_as_none():
    a, b, pairs = random_ends(2, 8), random_ends(2, 16), random_pairs(2, 9)
    made = features(a, b, pairs, np.full((2, 8, N_FRAMES, 4), -1e-9, np.float32))
    np.testing.assert_allclose(made.base_level, -150.0, rtol=1e-6)
    assert np.isfinite(made.inputs).all()
    assert np.isfinite(made.bases).all()


def test_directions_are_given_along_the_way_straight_and_as_heard():
    a, b, pairs = random_ends(3, 12), random_ends(3, 13), random_pairs(3, 14)
    exchanged = random_energy(3, 17)
    made = features(a, b, pairs, exchanged)
    assert made.bases.shape == (3, 8, N_FRAMES, N_BASES, 3)
    np.testing.assert_array_equal(made.bases[:, 2, 7, 0], pairs.way_direction)
    np.testing.assert_array_equal(made.bases[:, 2, 7, 1], pairs.direction)
    heard = later(exchanged, pairs.distance / 343.2) * arrived(pairs, 343.2)[:, None, :, None]
    np.testing.assert_allclose(made.bases[..., 2, :], intensity_ratio(heard), atol=1e-6)


def test_ends_are_chosen_by_row():
    ends = random_ends(4, 15)
    part = ends[np.array([2, 0])]
    np.testing.assert_array_equal(part.depths, ends.depths[[2, 0]])
    np.testing.assert_array_equal(part.escape, ends.escape[[2, 0]])
