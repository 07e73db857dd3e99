"""Installs nothing, presses everything: a bake that is cancelled, one that is done, undone, done again and cleared.

Run in a window by test_window.py: `session.py FILE.blend REPORT.json`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import bpy

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parent / "blender")]

from file_data import data_of_file  # noqa: E402
from hand import ARGUMENTS, Hand, Steps, work  # noqa: E402

FILE, REPORT = ARGUMENTS
EXTENSION = "bl_ext.user_default.acoustic_fields"
LONGEST_BAKE = 600.0  # s


def session() -> Steps:
    from bl_ext.user_default.acoustic_fields import preferences, sheet, strips
    from bl_ext.user_default.acoustic_fields.operators import Activity

    hand, report = Hand(), {}

    def done() -> bool:
        return Activity.running is None

    def results() -> dict[str, int]:
        scene = bpy.context.scene
        return {"strips": len(list(strips.own_strips(scene))), "sheets": len(list(sheet.own_sheets(scene)))}

    def bake(name: str) -> Steps:
        """Press Bake, watch how promptly Blender ticks meanwhile, and wait for the end."""
        yield from hand.press("acoustics.bake")
        yield from hand.until(lambda: not done(), 120.0, "the start of a bake")
        late, before, shown = [], time.monotonic(), False
        while not done():
            yield 0.05
            now = time.monotonic()
            late.append(now - before - 0.05)
            before = now
            if not shown and Activity.running is not None and Activity.running.fraction > 0.3:
                shown = True
                hand.shot(f"{name}-running")
                before = time.monotonic()
            if sum(late) + 0.05 * len(late) > LONGEST_BAKE:
                raise TimeoutError(name)
        late.sort()
        report[name] = {**results(), "tick_p95_ms": 1000 * late[int(0.95 * (len(late) - 1))], "ticks": len(late)}
        yield 1.0
        hand.shot(name)

    bpy.ops.wm.open_mainfile(filepath=FILE, load_ui=False)
    bpy.context.scene.frame_end = bpy.context.scene.frame_start + 59
    yield 1.0
    yield from hand.sidebar("Acoustics")
    hand.shot("opened")
    bpy.ops.ed.undo_push(message="Opened")
    before = data_of_file()

    # Cancelled in the middle.
    yield from hand.press("acoustics.bake")
    yield from hand.until(lambda: not done() and Activity.running.fraction > 0.05, 200.0, "the start of a bake")
    yield 0.5
    place = yield from hand.find("acoustics.cancel")
    hand.shot("cancelling")
    start = time.monotonic()
    yield from hand.click(*place)
    yield from hand.until(done, 30.0, "cancelling")
    report["cancel_s"] = time.monotonic() - start
    yield 0.5
    after = data_of_file()
    report["cancelled"] = {**results(), "changed": changes(before, after)}

    # Done, undone, done again: this time from what was kept.
    yield from bake("baked")
    yield from hand.key("Z", ctrl=True)
    yield 1.0
    hand.shot("undone")
    report["undone"] = {**results(), "changed": changes(before, data_of_file())}
    yield from bake("again")

    yield from hand.press("acoustics.show_map")
    yield 1.5
    hand.shot("map")
    yield from hand.press("acoustics.clear")
    yield 1.0
    hand.shot("cleared")
    report["cleared"] = {**results(), "changed": changes(before, data_of_file())}

    # The worker, tested from the preferences.
    bpy.ops.acoustics.test_python("INVOKE_DEFAULT")
    yield from hand.until(lambda: preferences.Testing.running is None, 120.0, "the test of the worker")
    report["worker"] = preferences.current().tested

    bpy.ops.preferences.addon_disable(module=EXTENSION)
    report["left"] = sorted(dir(bpy.ops.acoustics))
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    yield 0.5
    Path(REPORT).write_text(json.dumps(report, indent=1))


def changes(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """What two states of a file differ in."""
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


work(session())
