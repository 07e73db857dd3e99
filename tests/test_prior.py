"""Tests of what geometry foretells of a recorded room: scans, materials made to fit, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naf_core.bands import N_BANDS
from naf_core.errors import UserError
from naf_core.prior import Prior
from naf_core.recorded import Kernel, RecordedField, foretold
from naf_core.recordings.decays import Decays
from naf_core.recordings.fittedroom import fitted_absorption, fitted_prior
from naf_core.recordings.flat import flat_mesh, flat_scene
from naf_core.recordings.learning import learn
from naf_core.recordings.recordingset import RecordingSet
from naf_core.response import N_FRAMES

BOX = np.array([[0.0, 0.0, 0.0], [5.0, 4.0, 3.0]])
FEW = 2000  # paths of a scan


def recorded(prior: Prior, count: int, seed: int) -> tuple[RecordingSet, Decays]:
    """A set without sound in it and the energies that ``prior`` foretells, which scatter as those of noise do."""
    rng = np.random.default_rng(seed)
    low, high = prior.scene.bounds + [[0.4], [-0.4]]
    emitters, listeners = rng.uniform(low, high, (2, count, 3))
    found = prior.field.predict(emitters, listeners)
    scatter = rng.gamma(8.0, 1.0 / 8.0, (count, N_BANDS, 1 + N_FRAMES))
    energy = np.maximum(found.energy[..., 0], 1e-12) * scatter[..., 1:]
    decays = Decays(np.maximum(found.direct, 1e-9) * scatter[..., 0], energy, np.full((count, N_BANDS), 20.0))
    silence = np.zeros((count, 1, 24_000), np.float32)
    return RecordingSet("made up", "simulated", 24_000, silence, emitters, listeners), decays


@pytest.fixture(scope="module")
def flat() -> tuple[RecordingSet, Decays]:
    return recorded(Prior(flat_scene(), 1, paths=FEW), 60, seed=0)


def test_materials_are_made_to_decay_as_the_recordings_do() -> None:
    true = np.linspace(0.3, 0.1, N_BANDS)
    train, decays = recorded(replace(Prior.of_box(BOX, true, 0), paths=FEW), 8, seed=0)
    fitted, factor = fitted_prior(replace(Prior.of_box(BOX, np.full(N_BANDS, 0.15), 0), paths=FEW), train, decays)
    assert fitted.scene.materials[0].absorption == pytest.approx(true, rel=0.1)
    assert factor == pytest.approx(np.log(1.0 - true) / np.log(1.0 - 0.15), rel=0.1)
    with pytest.raises(UserError, match="same origin"):
        fitted_prior(replace(Prior.of_box(BOX + 90.0, true, 0), paths=FEW), train, decays)


def test_geometry_tells_who_sees_whom_and_spares_recordings(flat: tuple[RecordingSet, Decays]) -> None:
    train, decays = flat
    prior = fitted_prior(Prior(flat_mesh(), 0, paths=FEW), train, decays)[0]
    without, over = (learn(train, decays, None, each, 0, lambda done: None) for each in (None, prior))
    assert over.error < 0.6 * without.error
    asked = np.random.default_rng(5).uniform((0.5, 0.5, 1.0), (5.5, 3.5, 2.0), (2, 20, 3))
    fields = Prior(flat_scene(), 1, paths=FEW).field, without.field, over.field
    true, *found = (each.predict(*asked).energy[:, 2:7, 5:20, 0] for each in fields)
    off = [np.abs(10.0 * np.log10(energy / true)).mean() for energy in found]
    assert off[1] < 0.75 * off[0]
    # One in the other room: what is heard of its direct sound is what hidden recordings had of it.
    here, hidden = np.array([[1.0, 3.0, 1.5]]), np.array([[5.0, 3.0, 1.5]])
    direct, _, sees = foretold(
        over.field.prior, over.field.hidden, np.append(here, hidden)[None], over.field.rate, 343.2
    )
    assert not sees[0] and (direct < np.log(1e-3)).all()
    assert (over.field.predict(here, hidden).direct < 1e-4).all()


def test_a_field_with_its_room_survives_its_file(flat: tuple[RecordingSet, Decays], tmp_path: Path) -> None:
    train, decays = flat
    path = tmp_path / "room.field"
    scene = replace(flat_mesh(), materials=flat_scene().materials[:1])
    where = np.array([[1.0, 3.0, 1.5], [2.0, 1.0, 1.5]]), np.array([5.0, 3.0, 1.5])
    for prior in (Prior(scene, 3), Prior.of_box(scene.bounds, np.full(N_BANDS, 0.25), 3)):
        boxed = replace(train, box=scene.bounds)
        prior = replace(prior, paths=FEW)
        field = learn(
            boxed[:20], Decays(*(a[:20] for a in vars(decays).values())), None, prior, 0, lambda d: None
        ).field
        field.save(path)
        assert path.stat().st_size < 10_000 - 5000 * prior.boxed
        again = RecordedField.load(path)
        assert again.prior.boxed == prior.boxed and again.kernel == field.kernel
        assert again.prior.scene.absorption == pytest.approx(prior.scene.absorption, rel=1e-3)
        again = replace(again, prior=replace(again.prior, paths=FEW))
        before, after = field.predict(*where), again.predict(*where)
        assert np.abs(np.log(after.energy[..., :25, 0] / before.energy[..., :25, 0])).mean() < 0.05
        assert np.abs(np.log(after.direct / before.direct)).mean() < 0.1
    replace(field, prior=None, hidden=None, kernel=Kernel(sight=True)).save(path)
    with pytest.raises(UserError, match="holds no room"):
        RecordedField.load(path)
    spoilt = Prior(scene, 3).packed().copy()
    spoilt[100:] = 0
    with pytest.raises(ValueError, match="mesh"):
        Prior.unpacked(spoilt, 3)


def test_the_absorption_of_a_box_gives_its_decay_by_eyring() -> None:
    path = 4.0 * 60.0 / (2.0 * (20.0 + 12.0 + 15.0))
    rate = np.full(N_BANDS, -343.2 / path * np.log(1.0 - 0.25))
    found = fitted_absorption(rate, BOX, 343.2)
    assert found[:3] == pytest.approx(0.25, abs=0.005)  # the air's part is small there
    assert (found[1:] <= found[:-1] + 1e-9).all()
