"""What the add-on brings is described, and gone when it is switched off."""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import bpy

import blender_addon
from blender_addon import curve, operators, presets

PACKAGE = blender_addon.__name__
KINDS = (
    bpy.types.AddonPreferences,
    bpy.types.Gizmo,
    bpy.types.GizmoGroup,
    bpy.types.Header,
    bpy.types.Menu,
    bpy.types.Operator,
    bpy.types.Panel,
    bpy.types.PropertyGroup,
    bpy.types.UIList,
)


def ours(thing: object) -> bool:
    return (getattr(thing, "__module__", None) or "").split(".")[0] == PACKAGE


def subclasses(kind: type) -> Iterator[type]:
    for cls in kind.__subclasses__():
        yield cls
        yield from subclasses(cls)


def modules() -> list[object]:
    return [module for name, module in sys.modules.items() if name.split(".")[0] == PACKAGE]


def traces() -> dict[str, list]:
    """All that the add-on could leave behind, each as a list that is empty while it is switched off."""
    menus = [getattr(bpy.types, name) for name in dir(bpy.types)]
    handlers = (getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers))
    keymaps = bpy.context.window_manager.keyconfigs.addon
    functions = [function for module in modules() for _, function in inspect.getmembers(module, inspect.isfunction)]
    return {
        "classes": sorted(
            {cls.__name__ for kind in KINDS for cls in subclasses(kind) if ours(cls) and cls.is_registered}
        ),
        "handlers": [entry for listed in handlers if isinstance(listed, list) for entry in listed if ours(entry)],
        "menus": [
            (menu.__name__, entry.__name__)
            for menu in menus
            for entry in getattr(getattr(menu, "draw", None), "_draw_funcs", ())
            if ours(entry)
        ],
        "keys": [
            item.idname
            for keymap in (keymaps.keymaps if keymaps else ())
            for item in keymap.keymap_items
            if item.idname.startswith("acoustics.")
        ],
        "timers": [function.__name__ for function in functions if bpy.app.timers.is_registered(function)],
        "properties": [owner for owner in bpy.types.ID.__subclasses__() if hasattr(owner, "acoustics")],
        # By convention, `_handles` of a module holds what it draws into spaces.
        "drawing": [module.__name__ for module in modules() for _ in getattr(module, "_handles", ())],
        "icons": list(curve._previews),
        "operators": sorted(dir(bpy.ops.acoustics)),
        "commands": list(blender_addon._commands),
    }


def test_nothing_is_left_after_twenty_times() -> None:
    on = traces()
    for kind in ("handlers", "menus", "properties", "drawing", "icons", "operators", "commands"):
        assert on[kind], f"the test sees no {kind}"
    assert len(on["classes"]) > 20
    blender_addon.unregister()
    try:
        for _ in range(20):
            blender_addon.register()
            blender_addon.unregister()
        assert {kind: found for kind, found in traces().items() if found} == {}
    finally:
        blender_addon.register()
    for kind, found in traces().items():
        assert len(found) == len(on[kind]), kind


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


# What a script must say for an operator to do something; for the others nothing.
GIVEN = {
    "add_speaker": lambda folder: {"filepath": str(folder / "sound.wav")},
    "choose_sound": lambda folder: {"speaker": "Talker", "filepath": str(folder / "sound.wav")},
    "edit_material": lambda folder: {"material": "Brick wall"},
    "export_map": lambda folder: {"filepath": str(folder / "map.png")},
    "find_material": lambda folder: {"material": "Brick wall", "preset": "concrete"},
    "fix": lambda folder: {"kind": "CAMERA"},
    "ignore_object": lambda folder: {"target": "Room"},
    "move_off": lambda folder: {"target": "Talker", "way": (0.0, 0.0, 0.1)},
    "preset_load": lambda folder: {"filepath": next(Path(presets.__file__).parent.rglob("Film_5.1.py")).as_posix()},
    "show_place": lambda folder: {"target": "Room"},
}
# These ask the true worker, or the screen: other tests call them. Nothing runs that could be cancelled.
ELSEWHERE = {"cancel", "check_geometry", "look_inside", "probe", "response_view", "show_lines", "test_python"}


def test_all_operators_work_from_scripts(scene, sound_path: Path, tmp_path: Path) -> None:
    shutil.copy(sound_path, tmp_path / "sound.wav")
    room = bpy.data.objects["Room"]
    room.data.materials.append(bpy.data.materials.new("Brick wall"))
    names = ["bake", "loudness_map", *sorted(set(dir(bpy.ops.acoustics)) - {"bake", "loudness_map", "clear"}), "clear"]
    for name in names:
        if name in ELSEWHERE or name.endswith("preset_add"):
            continue
        room.select_set(True)
        bpy.context.view_layer.objects.active = room
        (tmp_path / "acoustics/.stems").mkdir(parents=True, exist_ok=True)
        given = GIVEN[name](tmp_path) if name in GIVEN else {}
        assert getattr(bpy.ops.acoustics, name)("EXEC_DEFAULT", **given) == {"FINISHED"}, name


def test_what_changes_the_file_can_be_undone() -> None:
    # The rest change what is shown, or files beside the .blend.
    shown = {"cancel", "check_geometry", "clear_cache", "export_map", "look_inside", "probe", "refine", "show_geometry"}
    shown |= {"show_lines", "test_python"}
    for name in set(dir(bpy.ops.acoustics)) - shown:
        if not name.endswith("preset_add"):
            assert "UNDO" in getattr(bpy.types, f"ACOUSTICS_OT_{name}").bl_options, name


def test_what_is_for_people_stands_in_a_menu_for_the_search() -> None:
    listed = {entry[0] for entry in operators.MENU if entry}
    for name, icon in filter(None, operators.MENU):
        assert name.split(".")[1] in dir(bpy.ops.acoustics)
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
    # The rest are buttons of panels, which make no sense elsewhere, and the entry of the Add menu.
    for name in set(dir(bpy.ops.acoustics)) - {name.split(".")[1] for name in listed} - {"add_speaker"}:
        assert "INTERNAL" in getattr(bpy.types, f"ACOUSTICS_OT_{name}").bl_options, name
