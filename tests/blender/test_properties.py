from __future__ import annotations

import bpy
import pytest

from blender_addon import material_properties, properties
from naf_core.air import Air
from naf_core.errors import UserError
from naf_core.materials import CATALOGUE, DEFAULT

GROUPS = (properties.SceneAcoustics, properties.ObjectAcoustics, properties.MaterialAcoustics)


def described(group: type) -> list[bpy.types.Property]:
    return [p for p in group.bl_rna.properties if p.identifier not in ("rna_type", "name")]


@pytest.mark.parametrize("group", GROUPS)
def test_each_property_says_what_it_is(group: type) -> None:
    for prop in described(group):
        if not prop.is_hidden:
            assert prop.name and prop.description, prop.identifier
            assert not prop.description.endswith("."), prop.identifier


@pytest.mark.parametrize("group", GROUPS)
def test_settings_cannot_be_animated(group: type) -> None:
    # They are read once a job: a keyframe on one would be a promise that is not kept.
    assert [p.identifier for p in described(group) if p.is_animatable] == []


@pytest.mark.parametrize("group", GROUPS)
def test_numbers_have_limits(group: type) -> None:
    for prop in described(group):
        if prop.type == "FLOAT":
            assert prop.hard_min > -1e6 and prop.hard_max < 1e6, prop.identifier
            assert prop.hard_min <= prop.soft_min < prop.soft_max <= prop.hard_max, prop.identifier


def test_defaults() -> None:
    settings = bpy.context.scene.acoustics
    assert (settings.format, settings.sample_rate) == ("BINAURAL", "48000")
    assert settings.directory == "//acoustics/"
    assert settings.listener is None and settings.floor is None and settings.mix
    assert settings.ear_height == pytest.approx(1.6) and settings.map_resolution == 256
    assert settings.default_material == DEFAULT
    item = bpy.data.objects.new("Thing", None)
    assert item.acoustics.include and item.acoustics.level == 70.0
    assert bpy.data.materials.new("Brick").acoustics.mode == "GUESS"


def test_limits_of_the_air_are_those_of_the_core() -> None:
    properties_of = properties.SceneAcoustics.bl_rna.properties
    for name in ("temperature", "humidity", "pressure"):
        for limit in (properties_of[name].hard_min, properties_of[name].hard_max):
            Air(**{name: limit})
        for outside in (properties_of[name].hard_min - 1.0, properties_of[name].hard_max + 1.0):
            with pytest.raises(UserError):
                Air(**{name: outside})


def test_every_material_of_the_catalogue_can_be_chosen() -> None:
    own = bpy.data.materials.new("M").acoustics
    for key in CATALOGUE:
        own.preset = key
        assert own.preset == key
        bpy.context.scene.acoustics.default_material = key
        assert bpy.context.scene.acoustics.default_material == key


def test_presets_have_numbers_that_do_not_depend_on_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {item[0]: item[3] for item in material_properties.PRESETS if item[0]}
    assert len(set(numbers.values())) == len(numbers) == len(CATALOGUE)
    grown = {"Newest": ("a_new_one", *CATALOGUE)}
    monkeypatch.setitem(CATALOGUE, "a_new_one", CATALOGUE[DEFAULT])
    monkeypatch.setattr(material_properties, "GROUPS", grown)
    after = {item[0]: item[3] for item in material_properties.preset_items() if item[0]}
    assert {key: after[key] for key in numbers} == numbers


def test_settings_are_saved_with_the_file(tmp_path) -> None:
    settings = bpy.context.scene.acoustics
    settings.format, settings.temperature, settings.default_material = "AMBIX", -5.0, "brick"
    listener = bpy.data.objects.new("Ears", None)
    bpy.context.collection.objects.link(listener)
    settings.listener = listener
    listener.acoustics.include, listener.acoustics.level = False, 93.5
    material = bpy.data.materials.new("M")
    material.use_fake_user = True
    material.acoustics.mode = "CUSTOM"
    material.acoustics.absorption = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    path = str(tmp_path / "file.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert bpy.context.scene.acoustics.format == "BINAURAL"
    bpy.ops.wm.open_mainfile(filepath=path)
    settings = bpy.context.scene.acoustics
    assert (settings.format, settings.temperature, settings.default_material) == ("AMBIX", -5.0, "brick")
    assert settings.listener == bpy.data.objects["Ears"]
    assert not settings.listener.acoustics.include and settings.listener.acoustics.level == 93.5
    assert tuple(bpy.data.materials["M"].acoustics.absorption)[7] == pytest.approx(0.8)


def test_unregister_mirrors_register() -> None:
    properties.unregister()
    try:
        for owner in (bpy.types.Scene, bpy.types.Object, bpy.types.Material):
            assert not hasattr(owner, "acoustics")
    finally:
        properties.register()
    assert bpy.context.scene.acoustics.mix
