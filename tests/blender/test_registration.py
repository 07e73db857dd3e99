"""What the add-on brings is described, and gone when it is switched off."""

from __future__ import annotations

import bpy
import pytest

import blender_addon
from blender_addon import curve, operators, overlay

PREFIXES = ("ACOUSTICS_", "SCENE_PT_acoustics", "MATERIAL_PT_acoustics", "MATERIAL_MT_acoustics", "VIEW3D_MT_acoustics")
MENUS = (bpy.types.VIEW3D_MT_object, bpy.types.VIEW3D_MT_add)


def ours() -> list[str]:
    names = [name for name in dir(bpy.types) if name.startswith(PREFIXES)]
    return names + [name for name in ("OBJECT_PT_acoustics", "DATA_PT_acoustics") if hasattr(bpy.types, name)]


def traces() -> dict[str, object]:
    """All that the add-on could leave behind."""
    handlers = {
        name: len(getattr(bpy.app.handlers, name))
        for name in dir(bpy.app.handlers)
        if isinstance(getattr(bpy.app.handlers, name), list)
    }
    return {
        "classes": sorted(ours()),
        "handlers": handlers,
        "menus": [len(menu._dyn_ui_initialize()) for menu in MENUS],
        "properties": [
            hasattr(owner, "acoustics") for owner in (bpy.types.Scene, bpy.types.Object, bpy.types.Material)
        ],
        "drawing": len(overlay._handles),
        "icons": len(curve._previews),
        "operators": sorted(dir(bpy.ops.acoustics)),
        "subclasses": len(bpy.types.PropertyGroup.__subclasses__()),
    }


def test_nothing_is_left_after_twenty_times() -> None:
    on = traces()
    assert len(on["classes"]) > 20
    blender_addon.unregister()
    try:
        off = traces()
        assert off["classes"] == [] and off["operators"] == []
        assert off["properties"] == [False] * 3
        assert (off["drawing"], off["icons"]) == (0, 0)
        for _ in range(20):
            blender_addon.register()
            blender_addon.unregister()
        assert traces() == off
    finally:
        blender_addon.register()
    assert traces() == on


def test_a_running_job_ends_with_the_add_on(scene, acoustics) -> None:
    acoustics["mode"] = "endless"
    operators.Activity.running = operators.begin(bpy.context, operators.Wish.of(scene, "map"))
    process = operators.Activity.running.worker._process
    blender_addon.unregister()
    blender_addon.register()
    assert operators.Activity.running is None
    assert process.poll() is not None


def test_operators_say_what_they_do() -> None:
    for name in dir(bpy.ops.acoustics):
        operator = getattr(bpy.ops.acoustics, name).get_rna_type()
        assert operator.name and operator.description, name
        assert not operator.description.endswith("."), name
        for prop in operator.properties:
            if prop.identifier != "rna_type" and not prop.is_hidden:
                assert prop.description, f"{name}.{prop.identifier}"


def test_what_is_for_people_stands_in_a_menu_for_the_search() -> None:
    listed = {entry[0] for entry in operators.MENU if entry}
    for name, icon in filter(None, operators.MENU):
        assert name.split(".")[1] in dir(bpy.ops.acoustics)
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
    # The rest: buttons of the panels, and the entry of the Add menu.
    assert set(dir(bpy.ops.acoustics)) - {name.split(".")[1] for name in listed} == {
        "add_speaker",
        "cancel",
        "fix",
        "material_preset_add",
    }


def test_a_preset_of_ones_own(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "presets"
    folder.mkdir()
    monkeypatch.setattr(bpy.utils, "user_resource", lambda *_args, **_options: str(folder))
    mesh = bpy.data.meshes.new("M")
    item = bpy.data.objects.new("M", mesh)
    bpy.context.collection.objects.link(item)
    bpy.context.view_layer.objects.active = item
    material = bpy.data.materials.new("Felt")
    mesh.materials.append(material)
    material.acoustics.mode = "CUSTOM"
    material.acoustics.absorption = [0.3] * 8
    with bpy.context.temp_override(material=material):
        assert bpy.ops.acoustics.material_preset_add(name="My Felt") == {"FINISHED"}
    (file,) = folder.rglob("*.py")
    assert "own.absorption" in file.read_text() and "own.mode" in file.read_text()
