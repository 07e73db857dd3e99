from __future__ import annotations

import bpy
import pytest

from blender_addon.surfaces import material_of
from naf_core.errors import UserError
from naf_core.materials import CATALOGUE, DEFAULT


def settings():
    return bpy.context.scene.acoustics


def test_guessed_from_the_name() -> None:
    choice = material_of(bpy.data.materials.new("Old carpet.003"), settings())
    assert (choice.how, choice.material) == ("guessed", CATALOGUE[choice.key])
    assert "carpet" in choice.key and "guessed" in choice.text


def test_default_where_the_name_says_nothing() -> None:
    choice = material_of(bpy.data.materials.new("Material.001"), settings())
    assert (choice.how, choice.key, choice.material) == ("default", DEFAULT, CATALOGUE[DEFAULT])
    settings().default_material = "brick"
    assert material_of(bpy.data.materials.new("Material.001"), settings()).key == "brick"


def test_surfaces_without_a_material_are_the_default() -> None:
    choice = material_of(None, settings())
    assert (choice.how, choice.key) == ("default", DEFAULT)
    assert "default" in choice.text


def test_a_preset_beats_the_name() -> None:
    material = bpy.data.materials.new("Carpet")
    material.acoustics.mode, material.acoustics.preset = "PRESET", "brick"
    choice = material_of(material, settings())
    assert (choice.how, choice.key, choice.material) == ("set", "brick", CATALOGUE["brick"])
    assert choice.text == CATALOGUE["brick"].name


def test_own_values() -> None:
    material = bpy.data.materials.new("Carpet")
    material.acoustics.mode = "CUSTOM"
    material.acoustics.absorption = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0]
    material.acoustics.scattering = [1.0, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    choice = material_of(material, settings())
    assert (choice.how, choice.key, choice.material.name) == ("set", None, "Carpet")
    assert choice.material.absorption == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0], abs=1e-6)
    assert choice.material.scattering == pytest.approx([1.0, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0], abs=1e-6)


def test_a_preset_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    material = bpy.data.materials.new("Wall")
    material.acoustics.mode, material.acoustics.preset = "PRESET", "brick"
    without = {key: value for key, value in CATALOGUE.items() if key != "brick"}
    monkeypatch.setattr("blender_addon.surfaces.CATALOGUE", without)
    with pytest.raises(UserError, match=r"“Wall”.*choose another") as caught:
        material_of(material, settings())
    assert caught.value.object_name == "Wall"
    settings().default_material = "brick"
    with pytest.raises(UserError, match="default acoustic material"):
        material_of(None, settings())
