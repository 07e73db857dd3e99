from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from naf_core.errors import UserError
from naf_core.materials import CATALOGUE, DEFAULT, Material
from naf_core.meshfile import read_materials, read_mesh

OBJ = """# two faces
mtllib room.mtl
o Room
v 0 0 0
v 2 0 0
v 2 1 0
v 0 1 0
v 0 0 3
usemtl My carpet.001
f 1 2 3
usemtl odd_thing
f 1 3 4 5
"""
SOFT = Material("My carpet", absorption=(0.5,) * 8, scattering=(0.3,) * 8)


def box_file(path: Path, name: str | None = None) -> Path:
    """A box of 2 x 3 x 4 m (x, y, z of the file), its middle moved to (0, 10, 0)."""
    mesh = trimesh.creation.box((2, 3, 4))
    if name is not None:
        material = trimesh.visual.material.PBRMaterial(name=name)
        mesh.visual = trimesh.visual.TextureVisuals(material=material)
    scene = trimesh.Scene()
    scene.add_geometry(mesh, transform=trimesh.transformations.translation_matrix((0, 10, 0)))
    if path.suffix == ".ply":
        mesh.apply_translation((0, 10, 0))
        mesh.export(path)
    else:
        scene.export(path)
    return path


def test_an_obj_keeps_its_material_names_without_an_mtl_file(tmp_path):
    (tmp_path / "room.obj").write_text(OBJ)
    scene, notes = read_mesh(tmp_path / "room.obj", {"My carpet": SOFT})
    areas = np.bincount(scene.material_index, scene.triangle_areas)
    areas = dict(zip([material.name for material in scene.materials], areas, strict=True))
    assert areas == pytest.approx({"My carpet": 1.0, CATALOGUE[DEFAULT].name: 1.0 + 1.5}, abs=1e-6)
    assert len(notes) == 1
    assert "odd_thing" in notes[0]
    np.testing.assert_allclose(scene.bounds, [[0, 0, 0], [2, 1, 3]])


def test_a_glb_is_turned_so_that_z_is_up(tmp_path):
    scene, _ = read_mesh(box_file(tmp_path / "room.glb"))
    np.testing.assert_allclose(scene.bounds, [[-1, -2, 8.5], [1, 2, 11.5]], atol=1e-6)
    assert len(scene.triangles) == 12


def test_a_ply_is_taken_as_it_is(tmp_path):
    scene, notes = read_mesh(box_file(tmp_path / "room.ply"))
    np.testing.assert_allclose(scene.bounds, [[-1, 8.5, -2], [1, 11.5, 2]], atol=1e-6)
    assert scene.materials == (CATALOGUE[DEFAULT],)
    assert "no material" in notes[0]


def test_names_lead_to_materials(tmp_path):
    given_one = {"Rug": SOFT}
    scene, notes = read_mesh(box_file(tmp_path / "a.glb", "Rug"), given_one)
    assert (scene.materials, notes) == ((SOFT,), [])
    scene, notes = read_mesh(box_file(tmp_path / "b.glb", "Rug.001"), given_one)
    assert (scene.materials, notes) == ((SOFT,), [])
    scene, notes = read_mesh(box_file(tmp_path / "c.glb", "unheard of"), {"default": SOFT})
    assert (scene.materials, notes) == ((SOFT,), [])
    scene, notes = read_mesh(box_file(tmp_path / "d.glb", "Concrete wall"), given_one)
    assert "concrete" in scene.materials[0].name.lower()
    assert "Concrete wall" in notes[0]


def test_names_that_blender_wrote_without_spaces_are_known(tmp_path):
    (tmp_path / "room.obj").write_text(OBJ.replace("My carpet", "My_carpet"))
    scene, notes = read_mesh(tmp_path / "room.obj", {"My carpet": SOFT})
    assert SOFT in scene.materials
    assert not any("carpet" in note for note in notes)


def test_a_ply_with_texture_coordinates_has_no_material_either(tmp_path):
    mesh = trimesh.creation.box((2, 3, 4))
    mesh.visual = trimesh.visual.TextureVisuals(uv=np.zeros((8, 2)))
    mesh.export(tmp_path / "room.ply")
    _, notes = read_mesh(tmp_path / "room.ply")
    assert "What has no material" in notes[0]


def test_materials_are_read_from_json(tmp_path):
    path = tmp_path / "materials.json"
    path.write_text(json.dumps({"wall": {"absorption": [0.1] * 8, "scattering": [0.2] * 8}}))
    assert read_materials(path) == {"wall": Material("wall", (0.1,) * 8, (0.2,) * 8, source="materials.json")}


def test_a_transmission_loss_is_read_from_json(tmp_path):
    path = tmp_path / "materials.json"
    entry = {"absorption": [0.1] * 8, "scattering": [0.2] * 8, "transmission_loss": [30] * 8}
    path.write_text(json.dumps({"wall": entry, "tight": {**entry, "transmission_loss": None}}))
    read = read_materials(path)
    assert read["wall"].transmission_loss == (30.0,) * 8
    assert read["tight"].transmission_loss is None


@pytest.mark.parametrize(
    "text",
    [
        '{"wall": {"absorption": [0,0,0,0,0,0,0,0], "scattering": [0,0,0,0,0,0,0,0], "transmission_loss": 30}}',
        '{"wall": {"absorption": [0,0,0,0,0,0,0,0], "scattering": [0,0,0,0,0,0,0,0], "transmission_loss": [-1]}}',
        "",
        "[]",
        "3",
        "[" * 100_000,
        '{"wall": 3}',
        '{"wall": {"absorption": [0.1]}}',
        '{"wall": {"absorption": "a", "scattering": "b"}}',
        json.dumps({"wall": {"absorption": [0.1] * 7, "scattering": [0.2] * 8}}),
        json.dumps({"wall": {"absorption": [1.1] * 8, "scattering": [0.2] * 8}}),
        json.dumps({"wall": {"absorption": [None] * 8, "scattering": [0.2] * 8}}),
        '{"wall": {"absorption": [NaN,0,0,0,0,0,0,0], "scattering": [0,0,0,0,0,0,0,0]}}',
    ],
)
def test_materials_of_another_form_are_refused(tmp_path, text):
    path = tmp_path / "materials.json"
    path.write_text(text)
    with pytest.raises(UserError):
        read_materials(path)


def test_a_file_too_large_for_materials_is_refused(tmp_path):
    path = tmp_path / "materials.json"
    with path.open("wb") as file:
        file.truncate(70_000_000)
    with pytest.raises(UserError, match="larger than 64 MB"):
        read_materials(path)


def test_a_missing_file_is_named(tmp_path):
    for read in (read_mesh, read_materials):
        with pytest.raises(UserError, match=r"nowhere\.obj"):
            read(tmp_path / "nowhere.obj")


def test_a_file_without_triangles_is_refused(tmp_path):
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\n")
    with pytest.raises(UserError, match="no triangles"):
        read_mesh(tmp_path / "points.obj")


def test_without_trimesh_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(UserError, match="pip install trimesh"):
        read_mesh(tmp_path / "room.obj")


@given(data=st.data(), kind=st.sampled_from(["obj", "glb", "ply"]))
def test_damaged_files_give_a_user_error_and_nothing_else(tmp_path_factory, data, kind):
    folder = tmp_path_factory.getbasetemp()
    whole = folder / f"whole.{kind}"
    if not whole.exists():
        whole.write_text(OBJ) if kind == "obj" else box_file(whole, "wall")
    content = bytearray(whole.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 6))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / f"damaged.{kind}"
    path.write_bytes(bytes(content))
    try:
        scene, _ = read_mesh(path)
    except UserError as error:
        assert error.message
    else:
        assert np.isfinite(scene.vertices).all()
