from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.air import Air
from naf_core.errors import UserError
from naf_core.materials import Material
from naf_core.scene import Emitter, Scene, Trajectory

HARD = Material("plaster", absorption=(0.1,) * 8, scattering=(0.2,) * 8)
SOFT = Material("Vorhang – schwer", tuple(np.linspace(0.1, 0.8, 8)), scattering=(0.5,) * 8, source="measured")
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
HALVES = np.array([[0, 1, 2], [0, 2, 3]])


def square() -> Scene:
    return Scene(SQUARE, HALVES, [0, 1], [HARD, SOFT], Air(temperature=15.0, humidity=40.0))


def test_a_saved_scene_comes_back_as_it_was(tmp_path):
    path = tmp_path / "room.h5"
    square().save(path)
    loaded = Scene.load(path)
    for name in ("vertices", "triangles", "material_index"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(square(), name))
    assert loaded.materials == square().materials
    assert loaded.air == square().air
    assert list(tmp_path.iterdir()) == [path]


def test_transmission_loss_is_saved_and_older_files_have_none(tmp_path):
    tight = Material("tight", (0.1,) * 8, (0.2,) * 8)
    wall = Material("wall", (0.1,) * 8, (0.2,) * 8, "measured", (10, 20, 30, 40, 50, 60, 70, np.inf))
    old = square()
    scene = Scene(old.vertices, old.triangles, [0] * len(old.triangles), [wall, tight])
    scene.save(tmp_path / "new.h5")
    assert Scene.load(tmp_path / "new.h5").materials == (wall, tight)
    np.testing.assert_array_equal(scene.transmission_loss, [wall.transmission_loss, [np.inf] * 8])
    with h5py.File(tmp_path / "new.h5", "a") as file:
        del file["materials/transmission_loss"]
    loaded = Scene.load(tmp_path / "new.h5")
    assert [material.transmission_loss for material in loaded.materials] == [None, None]
    assert loaded.materials[1] == tight


def test_an_empty_scene_is_the_free_field(tmp_path):
    empty = Scene(np.zeros((0, 3)), np.zeros((0, 3), int), np.zeros(0, int), [])
    empty.save(tmp_path / "free.h5")
    loaded = Scene.load(tmp_path / "free.h5")
    assert len(loaded.triangles) == 0
    assert loaded.absorption.shape == (0, 8)
    np.testing.assert_array_equal(loaded.bounds, np.zeros((2, 3)))


def test_areas_bounds_and_materials():
    scene = square()
    np.testing.assert_allclose(scene.triangle_areas, [0.5, 0.5])
    np.testing.assert_allclose(scene.bounds, [[0, 0, 0], [1, 1, 0]])
    assert scene.absorption.shape == scene.scattering.shape == (2, 8)
    np.testing.assert_allclose(scene.absorption[1], SOFT.absorption, rtol=1e-6)


def test_bounds_ignore_vertices_that_no_triangle_uses():
    scene = Scene([*SQUARE, (100.0, 100.0, 100.0)], HALVES, [0, 0], [HARD])
    np.testing.assert_allclose(scene.bounds[1], [1, 1, 0])


def test_triangles_without_area_are_dropped():
    # A scale of zero, a repeated corner, and one that is a line only in single precision.
    vertices = [*SQUARE, (0.5, 1e-60, 0.0)]
    scene = Scene(vertices, [[0, 1, 2], [0, 0, 1], [0, 1, 4]], [1, 0, 0], [HARD, SOFT])
    np.testing.assert_array_equal(scene.triangles, [[0, 1, 2]])
    np.testing.assert_array_equal(scene.material_index, [1])


def test_what_is_given_is_not_changed():
    vertices, triangles = SQUARE.copy(), HALVES.copy()
    Scene(vertices, triangles, [0, 0], [HARD])
    np.testing.assert_array_equal(vertices, SQUARE)
    np.testing.assert_array_equal(triangles, HALVES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices": [[np.nan, 0, 0]] * 4}, "not finite"),
        ({"vertices": [[np.inf, 0, 0]] * 4}, "not finite"),
        ({"vertices": SQUARE + 1e7}, "from the origin"),
        ({"vertices": SQUARE[:, :2]}, "shape"),
        ({"vertices": np.zeros((2, 6))}, "shape"),
        ({"triangles": [[0, 1], [2, 3]]}, "shape"),
        ({"triangles": [[0, 1, 4], [0, 1, 2]]}, "outside 0 to 3"),
        ({"triangles": [[0, 1, -1], [0, 1, 2]]}, "outside 0 to 3"),
        ({"material_index": [0]}, "1 entries for 2 triangles"),
        ({"material_index": [0, 2]}, "materials outside"),
        ({"material_index": [-1, 0]}, "materials outside"),
    ],
)
def test_geometry_that_does_not_fit_is_refused(change, message):
    values = {"vertices": SQUARE, "triangles": HALVES, "material_index": [0, 1]} | change
    with pytest.raises(UserError, match=message):
        Scene(**values, materials=[HARD, SOFT])


def test_missing_and_foreign_files_are_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.h5"):
        Scene.load(tmp_path / "nowhere.h5")
    (tmp_path / "text.h5").write_text("not at all")
    with pytest.raises(UserError, match=r"text\.h5"):
        Scene.load(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["triangles"] = HALVES
    with pytest.raises(UserError, match="not a scene"):
        Scene.load(tmp_path / "other.h5")


@pytest.mark.parametrize("name", ["vertices", "triangles", "material_index", "materials/absorption"])
def test_a_file_that_claims_more_than_it_holds_is_refused(tmp_path, name):
    path = tmp_path / "bomb.h5"
    square().save(path)
    with h5py.File(path, "a") as file:
        kind, width = file[name].dtype, file[name].shape[1:]
        del file[name]
        file.create_dataset(name, shape=(40_000, *width), dtype=kind, chunks=(1000, *width))
    with pytest.raises(UserError, match="more than the file holds"):
        Scene.load(path)


@given(data=st.data())
def test_damaged_files_give_a_user_error_and_nothing_else(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged-scene.h5"
    square().save(path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 8))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        scene = Scene.load(path)
    except UserError as error:
        assert error.message
    else:
        assert np.isfinite(scene.vertices).all()


def test_a_trajectory_knows_whether_it_moves():
    still = Trajectory([0.0, 1.0], [(1, 2, 3), (1, 2, 3)])
    assert not still.moves
    assert Trajectory([0.0, 1.0], [(1, 2, 3), (1, 2.1, 3)]).moves
    np.testing.assert_array_equal(still.rotations, [np.eye(3)] * 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (([], np.zeros((0, 3))), "at least one"),
        (([0.0, 1.0], [(0, 0, 0)]), "one position"),
        (([0.0, 0.0], [(0, 0, 0)] * 2), "increase"),
        (([1.0, 0.0], [(0, 0, 0)] * 2), "increase"),
        (([0.0], [(0, np.nan, 0)]), "finite"),
        (([0.0, 1.0, 2.0], np.zeros((3, 2))), "shape"),
        (([0.0], [(0, 0, 0)], [np.eye(4)]), "shape"),
    ],
)
def test_trajectories_that_do_not_fit_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        Trajectory(*values)


def test_a_volume_may_be_one_number_or_one_for_each_time():
    path = Trajectory([0.0, 1.0], np.zeros((2, 3)))
    np.testing.assert_array_equal(Emitter("a", path, "a.wav", gain=0.5).gain, [0.5, 0.5])
    np.testing.assert_array_equal(Emitter("a", path, "a.wav", gain=[0.0, 1.0]).gain, [0.0, 1.0])


@pytest.mark.parametrize(
    "values",
    [
        {"gain": -1.0},
        {"gain": np.nan},
        {"gain": [1.0, 1.0, 1.0]},
        {"level": np.nan},
        {"level": 151.0},
        {"starts": (np.inf,)},
    ],
)
def test_emitters_that_do_not_fit_are_refused_by_name(values):
    with pytest.raises(UserError, match="Talker") as caught:
        Emitter("Talker", Trajectory([0.0, 1.0], np.zeros((2, 3))), "talk.wav", **values)
    assert caught.value.object_name == "Talker"
