from __future__ import annotations

import numpy as np
import pytest

from naf_core.thinning import continued, wanted

SHARE = 1.0 / 500


def energies(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Owners (600,), mirrored and scattered energies (8, 600) of three emitters, unlike in all bands."""
    owner = np.repeat([0, 1, 2], 200)
    energy = (SHARE * rng.exponential(1.0, (8, 600)) * [[1.0]] * (1.0 + owner)).astype(np.float32)
    scattering = rng.uniform(0.1, 0.9, (8, 600)).astype(np.float32)
    return owner, energy * (1.0 - scattering), energy * scattering


def test_every_energy_is_kept_on_average():
    rng = np.random.default_rng(1)
    owner, mirrored, scattered = energies(rng)
    for_each, _ = wanted(owner, mirrored + scattered, np.full(3, 500), SHARE)
    kept = np.zeros((2, 8, 600))
    for _ in range(400):
        on = continued(rng, owner, mirrored, scattered, for_each)
        np.add.at(kept, (on.scatters.astype(int), slice(None), on.path), on.energy.T)
    for part, meant in zip(kept / 400, (mirrored, scattered), strict=True):
        assert part.sum() == pytest.approx(meant.sum(), rel=0.002)
        assert np.abs(part - meant).mean() < 0.15 * meant.mean()


def test_all_bands_vary_little_and_low_and_high_ones_too():
    rng = np.random.default_rng(2)
    owner, mirrored, scattered = energies(rng)
    # Low and high paths, as after walls that absorb unlike in the bands.
    tilt = np.linspace(-1.0, 1.0, 8)[:, None] * rng.uniform(-1.5, 1.5, 600)
    mirrored, scattered = ((part * np.exp(tilt)).astype(np.float32) for part in (mirrored, scattered))
    energy = mirrored + scattered
    for_each, _ = wanted(owner, energy, np.full(3, 500), SHARE)
    sums = np.array([continued(rng, owner, mirrored, scattered, for_each).energy.sum(axis=1) for _ in range(200)])
    spread = sums.std(axis=0) / energy.sum(axis=1)
    # Independent draws of some 1000 paths would vary by 3 % and more.
    assert spread.max() < 0.03
    assert (sums / energy.sum(axis=1)).mean(axis=1).std() < 0.005


def test_as_many_go_on_as_there_is_energy_left():
    rng = np.random.default_rng(3)
    owner, mirrored, scattered = energies(rng)
    for_each, part = wanted(owner, mirrored + scattered, np.full(3, 500), SHARE)
    on = continued(rng, owner, mirrored, scattered, for_each)
    for emitter in range(3):
        left = (mirrored + scattered)[:, owner == emitter].sum(axis=1).max()
        assert part[owner == emitter] == pytest.approx(left, rel=1e-5)
        # Mirrored a path goes on at most once, so a few are missing.
        assert 0.6 < (owner[on.path] == emitter).sum() / (500 * left**0.35) < 1.02
    assert (np.diff(on.path) >= 0).all()
    assert (np.bincount(on.path[~on.scatters]) <= 1).all()


def test_what_is_not_wanted_ends():
    rng = np.random.default_rng(4)
    owner, mirrored, scattered = energies(rng)
    for_each, _ = wanted(owner, mirrored + scattered, np.full(3, 500), SHARE)
    on = continued(rng, owner, mirrored, scattered, for_each * (owner != 1))
    assert set(owner[on.path]) == {0, 2}
    silent = np.zeros_like(mirrored)
    for_each, _ = wanted(owner, silent, np.full(3, 500), SHARE)
    assert len(continued(rng, owner, silent, silent, for_each).path) == 0
