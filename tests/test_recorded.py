"""Tests of the recorded field: kernels, energies, files."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from naf_core.bands import N_BANDS
from naf_core.errors import UserError
from naf_core.recorded import DIRECT, LEVEL, N_CHANGES, N_EARLY, SLOPE, Kernel, RecordedField, in_frames, read_recorded
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS

RATE = 6.0 * np.log(10.0) / 0.5  # 1/s: reverberation of half a second

coordinates = st.lists(st.floats(-9.0, 9.0), min_size=6, max_size=6)


def a_field(seed: int = 0) -> RecordedField:
    """A field of five recordings with changes drawn at random."""
    rng = np.random.default_rng(seed)
    return RecordedField(
        rng.uniform(0.0, 4.0, (5, 3)),
        np.array([[2.0, 2.0, 1.5]]),
        np.stack([np.arange(5), np.zeros(5, int)], axis=1),
        Kernel((0,), False, (2.0, 2.0, 1.0)),
        0.1 * rng.standard_normal((5, 2)),
        rng.uniform(-1.0, 1.0, (2, N_BANDS, N_CHANGES)),
        np.zeros((N_BANDS, N_CHANGES)),
        np.tile(np.log(np.diff(-np.exp(-np.minimum(RATE * FRAME_EDGES, 80.0))) + 1e-40), (N_BANDS, 1)),
        np.full(N_BANDS, RATE),
        np.zeros(N_BANDS),
        np.array([[0.0, 0.0, 0.0], [4.0, 4.0, 3.0]]),
        np.full(N_BANDS, 0.2),
    )


@given(coordinates, coordinates)
def test_mirrored_and_exchanged_pairs_are_as_one(here: list[float], there: list[float]) -> None:
    kernel = Kernel((0, 1), True, (1.0, -2.0, 0.0))
    here, there = np.array([here]), np.array([there])
    mirrored = here * [-1, 1, 1, -1, 1, 1] + [2.0, 0, 0, 2.0, 0, 0]
    exchanged = np.roll(here, 3, axis=1)
    like = kernel.between(here, there)
    assert 0.0 <= like[0, 0] <= 1.0 + 1e-9
    assert kernel.between(here, here) == pytest.approx(1.0)
    for other in (mirrored, exchanged):
        assert kernel.between(other, there) == pytest.approx(like)
        assert kernel.between(here, other) == pytest.approx(1.0)


def test_kernels_are_positive_definite() -> None:
    pairs = np.random.default_rng(0).uniform(0.0, 4.0, (40, 6))
    like = Kernel((0, 1), True, (2.0, 2.0, 0.0)).between(pairs, pairs)
    assert np.linalg.eigvalsh(like).min() > -1e-9


def test_pairs_that_do_not_see_each_other_tell_nothing_of_those_that_do() -> None:
    pairs, sees = np.random.default_rng(0).uniform(0.0, 4.0, (6, 6)), np.arange(6) % 2 == 0
    like = Kernel(sight=True).between(pairs, pairs, sees, sees)
    assert not like[0, 1::2].any()
    assert like[0, ::2] == pytest.approx(Kernel().between(pairs, pairs)[0, ::2])


def test_without_changes_the_direct_sound_is_that_of_the_free_field_and_decays_are_common() -> None:
    field = replace(a_field(), left=np.zeros((5, 2)))
    near, far = ([[2.0, 2.0, 0.5]], [[2.0, 2.0, -0.5]])
    found = field.predict(np.concatenate([near, far]), [2.0, 2.0, 1.5])
    assert found.distance == pytest.approx([1.0, 2.0])
    assert found.direct == pytest.approx(np.repeat([[1.0], [0.25]], N_BANDS, axis=1), rel=1e-5)
    assert found.direct_direction[0] == pytest.approx([0.0, 0.0, -1.0])
    # Sound that has come a metre further has decayed so much longer.
    fall = found.energy[1, :, :20, 0] / found.energy[0, :, :20, 0]
    assert fall == pytest.approx(np.full((N_BANDS, 20), np.exp(-RATE / 343.2)), rel=1e-4)
    reflected = replace(field, direct=np.full(N_BANDS, -30.0)).predict(*near, [2.0, 2.0, 1.5])
    assert reflected.parameters()["T30_s"] == pytest.approx(np.full((1, N_BANDS), 0.5), rel=0.02)


def test_changes_fall_where_they_belong() -> None:
    changes = np.zeros(N_CHANGES)
    changes[[0, LEVEL, SLOPE, DIRECT]] = 1.0, 0.5, -2.0, 9.0
    frames = in_frames(changes)
    assert frames[0] == 1.0 and not frames[1:N_EARLY].any()
    assert frames[N_EARLY] == pytest.approx(0.5 - 2.0 * 0.5 * FRAME_WIDTHS[N_EARLY])
    assert frames[-1] == pytest.approx(-1.5)  # a second on, and no further


def test_what_lies_outside_the_recorded_area_is_said() -> None:
    field = replace(a_field(), emitters=np.array([[0.0, 0.0, 1.5], [1.5, 0.0, 1.5]] + [[0.0, 1.5, 1.5]] * 3))
    assert field.covers([[0.5, 0.5, 1.5], [2.0, 2.0, 1.0], [9.0, 0.0, 1.5]]).tolist() == [True, True, False]


def test_a_field_survives_its_file(tmp_path: Path) -> None:
    field = a_field()
    field.save(tmp_path / "room.safetensors")
    again = RecordedField.load(tmp_path / "room.safetensors")
    where = np.random.default_rng(1).uniform(0.0, 4.0, (20, 3)), [2.0, 2.0, 1.5]
    before, after = field.predict(*where), again.predict(*where)
    assert after.energy[..., 0] == pytest.approx(before.energy[..., 0], rel=0.02)  # 0.1 dB
    assert after.direct == pytest.approx(before.direct, rel=0.02)
    assert not list(tmp_path.glob("*.part"))


def test_places_far_from_the_origin_are_kept_to_the_millimetre(tmp_path: Path) -> None:
    field = a_field()
    field = replace(field, emitters=field.emitters + 5000.0)
    field.save(tmp_path / "room.safetensors")
    assert RecordedField.load(tmp_path / "room.safetensors").emitters == pytest.approx(field.emitters, abs=1e-3)


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "room.safetensors"
    with pytest.raises(UserError, match="cannot be read"):
        RecordedField.load(path)
    field = a_field()
    field.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            RecordedField.load(path)
    path.write_bytes(whole)
    arrays = read_recorded(path)[0]
    path.write_bytes(zlib.compress(save(arrays, {"format": "acoustic-fields recorded 99"})))
    with pytest.raises(UserError, match="of this version"):
        RecordedField.load(path)
    spoilt = {
        "rate": -field.rate,
        "pairs": field.pairs + 7,
        "common": np.full_like(field.common, np.nan),
        "left": field.left[:2],
    }
    for name, values in spoilt.items():
        replace(field, **{name: values}).save(path)
        with pytest.raises(UserError, match="cannot be read"):
            RecordedField.load(path)


def test_positions_that_do_not_pair_or_are_not_finite_are_refused() -> None:
    field = a_field()
    with pytest.raises(UserError, match="paired"):
        field.predict(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(UserError, match="finite"):
        field.predict([np.nan, 0.0, 0.0], [0.0, 0.0, 0.0])
