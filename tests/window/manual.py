"""The pictures of the manual: what a person sees from the first look to the map, taken in a window.

Run by pictures.py: `manual.py FILE.blend CUTS.json`; CUTS names what to cut out of each picture of the screen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import bpy
from mathutils import Euler, Vector

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))

from hand import ARGUMENTS, OUT, Hand, Steps, work  # noqa: E402

FILE, CUTS = ARGUMENTS
LONGEST_BAKE = 600.0  # s
EXTENSION = "bl_ext.user_default.acoustic_fields"


def manual() -> Steps:
    from bl_ext.user_default.acoustic_fields.operators import Activity

    hand, cuts = Hand(), {}

    def keep(name: str, region: str | None = None, area: str = "VIEW_3D") -> Steps:
        yield 1.2  # what moves has come to rest
        hand.shot(name)
        cuts[name] = hand.rectangle(region, area)

    # The first look: Blender's own first file.
    hand.move(300, 400)
    yield from hand.sidebar("Acoustics")
    yield from keep("check-list", "UI")

    bpy.ops.wm.open_mainfile(filepath=FILE, load_ui=False)
    yield 1.0
    scene = bpy.context.scene
    scene.frame_end = scene.frame_start + 47
    for item in scene.objects:  # what moves is the matter of another page, and takes its time
        if item.type == "MESH" and item.animation_data is not None:
            item.acoustics.surface = "IGNORED"
    yield from hand.sidebar("Acoustics")
    yield from hand.press("acoustics.bake")
    yield from hand.until(
        lambda: Activity.running is not None and Activity.running.fraction > 0.35, LONGEST_BAKE, "a bake"
    )
    hand.move(300, 400)
    yield from keep("running", "UI")
    yield from hand.until(lambda: Activity.running is None, LONGEST_BAKE, "a bake")
    yield 1.0

    # The map, seen from above.
    view = hand.area().spaces.active
    with bpy.context.temp_override(window=hand.window, area=hand.area(), region=hand.region("WINDOW")):
        bpy.ops.object.select_all(action="DESELECT")
        bpy.ops.acoustics.show_map()
        bpy.ops.acoustics.look_inside()
        sheet = next(item for item in scene.objects if item.get("loudness_unit") is not None)
        middle = sum((Vector(corner) for corner in sheet.bound_box), Vector()) / 8.0
        looking = view.region_3d
        looking.view_location = sheet.matrix_world @ middle
        looking.view_rotation = Euler((0.65, 0.0, 0.35)).to_quaternion()
        looking.view_distance = 1.6 * max(sheet.dimensions)
    hand.area().tag_redraw()
    yield 8.0  # the message at the foot of the window is gone
    yield from keep("blender")
    cuts["blender"] = (0, 0, hand.window.width, hand.window.height)
    yield from keep("baked", "UI")
    yield from presets(hand, keep, cuts)
    yield from views(hand, keep, cuts)

    # The strips.
    area = hand.area()
    area.ui_type = "SEQUENCE_EDITOR"
    yield 1.0
    with bpy.context.temp_override(window=hand.window, area=area, region=hand.region("WINDOW", "SEQUENCE_EDITOR")):
        bpy.ops.sequencer.view_all()
    yield from keep("strips", None, "SEQUENCE_EDITOR")
    area.ui_type = "VIEW_3D"

    # The tabs of materials and Speakers.
    properties = hand.area("PROPERTIES").spaces.active
    floor = next(item for item in scene.objects if item.type == "MESH" and item.active_material is not None)
    talker = next(item for item in scene.objects if item.type == "SPEAKER")
    for name, item, tab in (("material", floor, "MATERIAL"), ("speaker", talker, "DATA")):
        bpy.context.view_layer.objects.active = item
        item.select_set(True)
        yield 0.5
        properties.context = tab
        yield 0.5
        yield from hand.open_only("Acoustics")
        yield from keep(name, "WINDOW", "PROPERTIES")

    # The preferences.
    area = hand.area()
    area.ui_type = "PREFERENCES"
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Acoustic"
    bpy.ops.preferences.addon_expand(module=EXTENSION)
    yield from keep("preferences", None, "PREFERENCES")
    left, top, width, _ = cuts["preferences"]
    cuts["preferences"] = left + 175, top + 255, width - 175, 185  # ours alone, without the folders of this machine
    area.ui_type = "VIEW_3D"

    # The same in another language.
    view = bpy.context.preferences.view
    if "de_DE" in bpy.app.translations.locales:
        view.language, view.use_translate_interface, view.use_translate_tooltips = "de_DE", True, True
        yield 1.0
        yield from hand.sidebar("Acoustics")
        yield from keep("german", "UI")
    Path(CUTS).write_text(json.dumps(cuts))


def presets(hand: Hand, keep: Callable[..., Steps], cuts: dict) -> Steps:
    """The presets of a bake, as the head of their panel opens them."""
    view = hand.region("WINDOW")
    x, y = view.x + view.width // 2, view.y + view.height // 2
    hand.move(x, y)
    yield 0.3
    with bpy.context.temp_override(window=hand.window, area=hand.area(), region=view):
        bpy.ops.wm.call_panel(name="ACOUSTICS_PT_bake_presets", keep_open=True)
    yield from keep("presets")
    cuts["presets"] = (x - 130, hand.window.height - y - 30, 300, 420)
    yield from hand.key("ESC")


def views(hand: Hand, keep: Callable[..., Steps], cuts: dict) -> Steps:
    """The probe over the floor, and the impulse response."""
    from bl_ext.user_default.acoustic_fields import lines
    from bl_ext.user_default.acoustic_fields import views as shown
    from bl_ext.user_default.acoustic_fields.probe_tool import ACOUSTICS_OT_probe

    yield from hand.press("acoustics.probe")
    view = hand.region("WINDOW")
    hand.move(view.x + int(0.364 * view.width), view.y + int(0.64 * view.height))  # the floor of the living room
    yield from hand.until(lambda: ACOUSTICS_OT_probe.values, LONGEST_BAKE, "a reading")
    yield from keep("probe")
    yield from hand.key("ESC")
    yield from hand.press("acoustics.response_view")
    yield from hand.until(shown.own_pictures, LONGEST_BAKE, "an impulse response")
    (picture,) = shown.own_pictures()
    (OUT / "response.png").write_bytes(picture.packed_file.data)
    cuts["response"] = (0, 0, *picture.size)
    yield from hand.key("ESC")  # the popover
    yield from hand.press("acoustics.show_lines")
    yield from hand.until(lines.shown, LONGEST_BAKE, "lines of sound")
    yield from keep("lines")
    bpy.ops.acoustics.show_lines("INVOKE_DEFAULT")  # hides them
    hand.move(300, 400)  # off the button, whose tooltip would be on the next picture
    yield 0.5


work(manual())
