from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naf_core.field import Field
from naf_core.training.insight import (
    QUANTITIES,
    Finding,
    components,
    flat,
    floor_places,
    neighbourhoods,
    place_features,
    probe_rooms,
    table,
    wall_distances,
)
from naf_core.training.pictures import save_places, save_probes, save_slice
from tests.shapes import box, material, scene_of


@pytest.fixture(scope="module")
def field() -> Field:
    return Field.scan(flat(), seed=1, spacing=1.2, paths=4000)


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    return probe_rooms(3, paths=500)


def test_the_flat_is_closed_and_its_rooms_are_joined(field):
    assert field.escape == 0.0
    points, shape, air = floor_places(field, 0.5, 1.2)
    assert shape == (9, 19)
    inside = np.array([[5.8, 3.2, 1.2], [9.1, 0.4, 1.2], [6.05, 3.0, 1.2]])  # shelves, fridge and wall
    for place in inside:
        nearest = np.linalg.norm(points - place, axis=1).argmin()
        assert np.linalg.norm(points[nearest] - place) > 0.2 or not air[nearest]
    assert 0.85 < air.mean() < 1.0
    response = field.predict([1.0, 1.0, 1.5], [8.0, 3.0, 1.5])
    assert (response.energy[..., 0].sum(axis=-1) > 0.0).all()
    assert (response.direct == 0.0).all()


def test_distances_to_walls_are_those_of_a_box():
    field = Field.scan(scene_of((box((0, 0, 0), (6, 4, 3)), material())), spacing=2.0, paths=400)
    distance = wall_distances(field, np.array([[2.0, 1.0, 1.5]]))[0]
    np.testing.assert_allclose(distance[[0, 8, 16, 24]], [4.0, 3.0, 2.0, 1.0], rtol=1e-5)


def test_places_alike_have_features_alike(field):
    points = np.array([[2.0, 1.0, 1.3], [2.02, 1.0, 1.3], [8.0, 3.0, 1.3]])
    for name, values in place_features(field, points).items():
        assert np.isfinite(values).all(), name
        near, far = (np.linalg.norm(values[0] - values[k]) for k in (1, 2))
        assert near < 0.2 * far, name


def test_probes_read_what_they_can_of_rooms_that_they_have_not_seen(findings):
    assert len(findings) == 9
    assert all(np.isfinite(f.r2) and f.r2 <= 1.0 and len(f.said) == len(f.meant) for f in findings)
    assert all((f.meant > 0.0).all() for f in findings)
    assert len(table(findings).splitlines()) == 2 + len(QUANTITIES)


def test_components_and_neighbourhoods_tell_two_kinds_apart():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0.0, 0.1, (30, 8)), rng.normal(3.0, 0.1, (30, 8))])
    for plane in (components(features)[0], neighbourhoods(features)):
        first, second = plane[:30, :2], plane[30:, :2]
        gap = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
        assert gap > 2.0 * first.std() * (plane.shape[1] > 2) + first.std()


def test_pictures_are_drawn_and_small(field, findings, tmp_path: Path):
    shares = save_places(tmp_path / "places.png", field, step=0.5)
    assert shares[0] >= shares[1] >= shares[2] > 0.0
    mean, most = save_slice(tmp_path / "slice.png", field, rays=300, step=0.5)
    assert 0.0 < mean < most < 6.0
    save_probes(tmp_path / "probes.png", findings)
    for file in tmp_path.iterdir():
        assert file.read_bytes().startswith(b"\x89PNG")
        assert file.stat().st_size < 150_000
