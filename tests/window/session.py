"""Installs nothing, presses everything: a bake that is cancelled, one that is done, undone, done again and cleared.

Run in a window by test_window.py: `session.py FILE.blend REPORT.json`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import bpy

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parent / "blender")]

from file_data import data_of_file  # noqa: E402
from hand import ARGUMENTS, OUT, Hand, Steps, work  # noqa: E402

FILE, REPORT = ARGUMENTS
EXTENSION = "bl_ext.user_default.acoustic_fields"
LONGEST_BAKE = 600.0  # s


def session() -> Steps:
    from bl_ext.user_default.acoustic_fields import overlay, panels, preferences, sheet, strips
    from bl_ext.user_default.acoustic_fields.operators import Activity, JobOperator

    hand, report = Hand(), {}
    # A view that reading the scene has changed is drawn eight times to smooth it: half a second each in software.
    bpy.context.preferences.system.viewport_aa = "OFF"
    ticks = own_times(JobOperator, "modal")
    parts = [cls for cls in vars(panels).values() if isinstance(cls, type) and issubclass(cls, bpy.types.Panel)]
    drawings = [own_times(cls, "draw") for cls in parts if cls is not bpy.types.Panel]
    views: list[float] = []  # when the 3D View was drawn
    bpy.types.SpaceView3D.draw_handler_add(lambda: views.append(time.monotonic()), (), "WINDOW", "POST_PIXEL")

    def done() -> bool:
        return Activity.running is None

    def results() -> dict[str, int]:
        scene = bpy.context.scene
        return {"strips": len(list(strips.own_strips(scene))), "sheets": len(list(sheet.own_sheets(scene)))}

    def bake(name: str) -> Steps:
        """Press Bake, watch how promptly Blender ticks meanwhile, and wait for the end."""
        yield from hand.press("acoustics.bake")
        yield from hand.until(lambda: not done(), 120.0, "the start of a bake")
        for times in (ticks, views, *drawings):
            times.clear()
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
        # What is ours: the tick without its last, which writes the results, and the drawing of all panels of the tab.
        report[name] = {
            **results(),
            "seconds": sum(late) + 0.05 * len(late),
            "late_p95_ms": p95_ms(late),
            "late": [round(1e3 * seconds) for seconds in late if seconds > 0.1],
            "views_drawn": len(views),
            "ticks": len(ticks),
            "tick_p95_ms": p95_ms(ticks[:-1]),
            "last_tick_ms": 1e3 * ticks[-1],
            "drawings": max(map(len, drawings)),
            "drawing_ms": 1e3 * sum(sum(times) / len(times) for times in drawings if times),
        }
        yield 3.0  # the panels have unfolded
        hand.shot(name)

    bpy.ops.wm.open_mainfile(filepath=FILE, load_ui=False)
    bpy.context.scene.frame_end = bpy.context.scene.frame_start + 59
    yield 1.0
    yield from hand.sidebar("Acoustics")
    hand.shot("opened")
    yield from scene_tab(hand)
    bpy.ops.ed.undo_push(message="Opened")
    before = data_of_file()
    report["idle"] = yield from idle(hand)

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
    report["legend"] = legend(hand, overlay, next(sheet.own_sheets(bpy.context.scene)))
    yield from hand.press("acoustics.clear")
    yield 1.0
    hand.shot("cleared")
    report["cleared"] = {**results(), "changed": changes(before, data_of_file())}

    # The worker, tested from the preferences.
    bpy.ops.acoustics.test_python("INVOKE_DEFAULT")
    yield from hand.until(lambda: preferences.Testing.running is None, 120.0, "the test of the worker")
    report["worker"] = preferences.current().tested

    report["command"] = yield from command(hand)

    # Off and on: twenty times as the add-on does it, and once as Blender does, which takes the wheels away and back.
    kept, ours, add_on = handlers(), classes(), sys.modules[EXTENSION]
    for _ in range(20):
        add_on.unregister()
        add_on.register()
    report["more"] = handlers() - kept + len(classes()) - len(ours)
    report["classes"] = len(ours)
    bpy.ops.preferences.addon_disable(module=EXTENSION)
    report["left"] = sorted(dir(bpy.ops.acoustics)) + classes()
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    yield 0.5
    Path(REPORT).write_text(json.dumps(report, indent=1))


def scene_tab(hand: Hand) -> Steps:
    """Look at the settings among the properties of the scene."""
    hand.area("PROPERTIES").spaces.active.context = "SCENE"
    yield 0.5
    yield from hand.open_only("Quality")
    yield 1.5  # the panels unfold
    hand.shot("scene-tab")
    yield from hand.open_only("")


def idle(hand: Hand) -> Generator[float, None, dict[str, float]]:
    """How late Blender is with no work going on: with nothing to draw, and where it draws the sidebar or the view."""
    found = {}
    for name in ("nothing", "UI", "WINDOW"):
        late, drawn = [], time.monotonic()
        for _ in range(60):
            start = time.monotonic()
            if name != "nothing" and start > drawn + 0.5:
                drawn = start
                hand.region(name).tag_redraw()
            yield 0.05
            late.append(time.monotonic() - start - 0.05)
        found[name] = p95_ms(late)
    return found


def legend(hand: Hand, overlay: ModuleType, sheet: bpy.types.Object) -> dict[str, object]:
    """Where the numbers of the legend stand beside its bar in a picture of the screen, and what its colours mean."""
    scale, view = bpy.context.preferences.system.ui_scale, hand.region("WINDOW")
    lowest, highest, quantity = sheet["loudness_min"], sheet["loudness_max"], sheet["loudness_quantity"]
    x = view.x + scale * (overlay.LEFT + 0.5 * overlay.WIDTH)
    base = hand.window.height - 1 - view.y - scale * overlay.BOTTOM
    marks = [
        (x, base - scale * min(max(share, 0.01), 0.99) * overlay.HEIGHT, float(text))  # within the bar at its ends
        for share, text in overlay.marks(lowest, highest, quantity)
    ]
    return {"marks": marks, "limits": (lowest, highest), "palette": sheet["loudness_palette"]}


def command(hand: Hand) -> Generator[float, None, dict[str, object]]:
    """Bake the open file by the command that farms call, in a Blender without a window; returns what came of it."""
    film, output = OUT / "film.blend", OUT / "command"
    bpy.ops.wm.save_as_mainfile(filepath=str(film), copy=True)
    line = [bpy.app.binary_path, "-b", film, "--command", "acoustics_bake", "--output", output]
    with open(OUT / "command.txt", "w") as said:
        process = subprocess.Popen(list(map(str, line)), stdout=said, stderr=subprocess.STDOUT)
    yield from hand.until(lambda: process.poll() is not None, LONGEST_BAKE, "the command")
    return {"code": process.returncode, "files": sorted(file.name for file in output.iterdir())}


def handlers() -> int:
    """How many functions Blender calls by itself."""
    found = (getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers))
    return sum(len(listed) for listed in found if isinstance(listed, list))


def classes() -> list[str]:
    """The classes of ours that Blender knows."""
    bases = (bpy.types.Operator, bpy.types.Panel, bpy.types.Menu, bpy.types.PropertyGroup, bpy.types.AddonPreferences)
    known = (cls for base in bases for cls in base.__subclasses__() if cls.__module__.startswith(EXTENSION))
    return sorted(cls.__name__ for cls in known if cls.is_registered)


def own_times(owner: type, name: str) -> list[float]:
    """Note from now on the seconds of processor time that each call of a method takes."""
    times: list[float] = []
    method = getattr(owner, name)

    def timed(*arguments: object) -> object:
        start = time.thread_time()
        try:
            return method(*arguments)
        finally:
            times.append(time.thread_time() - start)

    # Blender counts the arguments that are declared.
    declared = {
        "draw": lambda own, context: timed(own, context),
        "modal": lambda own, context, event: timed(own, context, event),
    }
    setattr(owner, name, declared[name])
    return times


def p95_ms(times: list[float]) -> float:
    """What 95 of 100 times stay below, in ms."""
    return 1e3 * sorted(times)[int(0.95 * (len(times) - 1))] if times else 0.0


def changes(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """What two states of a file differ in."""
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


work(session())
