"""What the add-on brings is described, and gone when it is switched off."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import bpy

import blender_addon
from blender_addon import curve, operators

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


def test_what_is_for_people_stands_in_a_menu_for_the_search() -> None:
    listed = {entry[0] for entry in operators.MENU if entry}
    for name, icon in filter(None, operators.MENU):
        assert name.split(".")[1] in dir(bpy.ops.acoustics)
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
    # The rest are buttons of panels, which make no sense elsewhere, and the entry of the Add menu.
    for name in set(dir(bpy.ops.acoustics)) - {name.split(".")[1] for name in listed} - {"add_speaker"}:
        assert "INTERNAL" in getattr(bpy.types, f"ACOUSTICS_OT_{name}").bl_options, name
