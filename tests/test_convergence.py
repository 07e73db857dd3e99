from __future__ import annotations

import numpy as np
import pytest

from naf_core.convergence import trace_until
from naf_core.tracer import trace
from tests.shapes import box, material, scene_of, two_rooms

EMITTER, LISTENER = np.array([1.7, 1.3, 1.1]), np.array([4.4, 3.1, 1.9])
ROOM = scene_of((box([0, 0, 0], [6.0, 4.5, 3.2]), material(0.4, 0.6)))


def test_the_stated_error_is_the_one_that_repetitions_show():
    found, said = [], []
    for seed in range(100, 120):
        response, noise = trace_until(ROOM, EMITTER, LISTENER, c50_db=0.0, most_rays=1600, seed=seed)
        found.append([response.parameters()[key] for key in ("C50_dB", "T30_s", "G_dB")])
        said.append([noise.c50_db, noise.t30_percent, noise.g_db])
    found, said = np.array(found), np.array(said)
    spread, mean = found.std(axis=0, ddof=1), found.mean(axis=0)
    spread[1] *= 100.0 / mean[1]
    # Twenty repetitions tell a standard error within 16 %, and the eight bands are much alike.
    ratio = np.sqrt((said**2).mean(axis=0).mean(axis=-1) / (spread**2).mean(axis=-1)).ravel()
    assert ((ratio > 0.65) & (ratio < 1.55)).all(), ratio


def test_it_stops_when_the_errors_are_small_enough_and_says_so():
    response, noise = trace_until(ROOM, EMITTER, LISTENER, c50_db=0.3, t30_percent=8.0, seed=1)
    assert noise.reached
    assert 512 < noise.rays < 100_000
    assert np.sqrt((noise.c50_db**2).mean()) <= 0.3
    assert np.sqrt((noise.t30_percent**2).mean()) <= 8.0
    assert f"{noise.rays} paths from each emitter, as wanted" in noise.words()[0]
    plain = trace(ROOM, EMITTER, LISTENER, rays=16_000, seed=2)
    assert response.energy.shape == plain.energy.shape
    difference = response.parameters()["C50_dB"] - plain.parameters()["C50_dB"]
    assert np.abs(difference).max() < 4.0 * 0.3


def test_it_stops_at_the_most_paths_that_are_allowed():
    _, noise = trace_until(ROOM, EMITTER, LISTENER, c50_db=1e-6, most_rays=1000, seed=1)
    assert not noise.reached
    assert 900 <= noise.rays <= 1000
    assert "the most that was allowed" in noise.words()[0]


def test_both_ways_of_a_pair_count_alike():
    ends = np.stack([EMITTER, LISTENER])
    response, noise = trace_until(ROOM, ends, ends, most_rays=2000, seed=3)
    np.testing.assert_allclose(response.energy[0, 1, ..., 0], response.energy[1, 0, ..., 0], rtol=1e-5)
    np.testing.assert_allclose(noise.c50_db[0, 1], noise.c50_db[1, 0], rtol=1e-4)
    length = np.linalg.norm(response.energy[..., 1:], axis=-1)
    assert (length <= response.energy[..., 0] * (1.0 + 1e-4) + 1e-12).all()


def test_a_sealed_emitter_is_said_to_be_unheard():
    sealed = scene_of((np.concatenate([box([0, 0, 0], [6, 4.5, 3.2]), box([1, 1, 1], [2, 2, 2])]), material(0.3, 0.5)))
    response, noise = trace_until(sealed, [[1.5, 1.5, 1.5], [3.0, 3.0, 1.0]], LISTENER, most_rays=3000, seed=4)
    np.testing.assert_array_equal(noise.silent, [[True], [False]])
    assert "1 of 2 pairs hear nothing" in noise.words()[1]
    assert (response.energy[0] == 0.0).all()
    assert np.isnan(noise.c50_db[0]).all()
    assert np.isfinite(noise.c50_db[1]).all()


def test_progress_rises_to_one_and_may_cancel():
    fractions = []
    trace_until(ROOM, EMITTER, LISTENER, c50_db=0.3, t30_percent=10.0, seed=5, progress=fractions.append)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0

    def cancel(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trace_until(ROOM, EMITTER, LISTENER, seed=5, progress=cancel)


def test_the_same_seed_gives_the_same_noise():
    scene = two_rooms(material(0.6, 0.5))
    one, other = (trace_until(scene, EMITTER, LISTENER, most_rays=500, seed=6) for _ in range(2))
    np.testing.assert_array_equal(one[0].energy, other[0].energy)
    np.testing.assert_array_equal(one[1].c50_db, other[1].c50_db)
