from __future__ import annotations

import numpy as np
import pytest

from naf_core.planes import planes
from naf_core.raycast import Raycaster
from naf_core.sequences import Sequences, discover, numbered
from tests.shapes import box, material, scene_of

SIZE = np.array([5.0, 4.0, 3.0])
SCENE = scene_of((np.concatenate([box([0, 0, 0], SIZE), box([2, 1.5, 0], [2.3, 1.9, 0.8])]), material(0.2, 0.3)))
CASTER = Raycaster(SCENE)
MIRRORS = planes(CASTER, SCENE)
EMITTERS = np.array([[1.0, 1.0, 1.2], [4.2, 3.1, 1.7], [0.5, 3.5, 0.5]])
LISTENERS = np.array([[3.5, 0.6, 1.1], [1.4, 2.9, 2.2]])


def rows(sequences: Sequences) -> list[tuple[int, ...]]:
    return [(int(e), int(a), *map(int, m)) for c in sequences.candidates() for e, a, m in zip(*c, strict=True)]


@pytest.mark.parametrize("rays", [7, 64, 1024])
def test_swapping_the_ends_turns_every_sequence_round(rays):
    there = rows(Sequences(CASTER, MIRRORS, EMITTERS, LISTENERS, 3, rays))
    back = rows(Sequences(CASTER, MIRRORS, LISTENERS, EMITTERS, 3, rays))
    assert len(set(there)) == len(there)  # each once
    assert sorted(there) == sorted((listener, emitter, *mirrors[::-1]) for emitter, listener, *mirrors in back)


def test_both_ends_find_what_either_would_find():
    found = set(rows(Sequences(CASTER, MIRRORS, EMITTERS, LISTENERS, 2, 50)))
    for owner, away in discover(CASTER, MIRRORS, EMITTERS, 2, 50):
        assert {(e, a, *m) for e, m in zip(owner, away.tolist(), strict=True) for a in range(2)} <= found
    for ear, back in discover(CASTER, MIRRORS, LISTENERS, 2, 50):
        assert {(e, a, *m[::-1]) for a, m in zip(ear, back.tolist(), strict=True) for e in range(3)} <= found


def test_who_hears_itself_finds_both_ways_round():
    own = rows(Sequences(CASTER, MIRRORS, EMITTERS, None, 3, 40))
    assert all(emitter == listener for emitter, listener, *_ in own)
    assert sorted(own) == sorted((e, a, *mirrors[::-1]) for e, a, *mirrors in own)


def test_it_knows_its_candidates_and_nothing_else():
    sequences = Sequences(CASTER, MIRRORS, EMITTERS, LISTENERS, 3, 30)
    known = set(rows(sequences))
    rng = np.random.default_rng(1)
    mirrors = rng.integers(sequences.count, size=(3, 4000))
    emitter, listener = rng.integers(3, size=4000), rng.integers(2, size=4000)
    said = sequences.known_from_emitter(emitter, mirrors) | sequences.known_from_listener(listener, mirrors)
    meant = [row in known for row in zip(emitter, listener, *mirrors, strict=True)]
    assert 0 < sum(meant) < 4000
    np.testing.assert_array_equal(said, meant)


def test_many_ends_share_the_rays():
    crowd = np.random.default_rng(2).uniform(0.2, 2.5, (3000, 3))
    sequences = Sequences(CASTER, MIRRORS, EMITTERS, crowd, 1, 2048)
    assert sequences.rays == (1 << 20) // 3003
    assert len(np.unique(np.concatenate([c.listener for c in sequences.candidates()]))) == 3000


def test_numbers_tell_rows_apart():
    mirrors = np.indices((5, 7, 7)).reshape(3, -1)
    assert len(np.unique(numbered(list(mirrors), 7))) == mirrors.shape[1]
    assert len(numbered([np.zeros(0, int), np.zeros(0, int)], 7)) == 0
