"""A hand in a Blender window: it moves the mouse, presses buttons and keys, waits and takes pictures.

Runs inside Blender. What takes time is a generator that yields seconds to wait; `work` runs one of them to its end.
Buttons are found as a person finds them, by looking over the panel: Blender says what each would do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path

import bpy

Steps = Generator[float, None, None]

OUT = Path(os.environ["BLENDER_WINDOW_OUT"])
ARGUMENTS = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
_STEP = 9  # pixels from one look for a button to the next


def work(steps: Steps) -> None:
    """Run the steps in the window's own time, then close Blender; an exception ends it with code 1."""

    def tick() -> float:
        failed = True
        try:
            pause = next(steps, None)
            failed = False
        finally:
            if failed:
                traceback.print_exc()
                sys.stdout.flush()
                os._exit(1)  # the window would ask whether to save
        if pause is None:
            sys.exit(0)
        return pause

    bpy.context.preferences.view.show_splash = False
    bpy.context.preferences.view.smooth_view = 0
    bpy.app.timers.register(tick, first_interval=1.0, persistent=True)


class Hand:
    """The hand over the 3D View of the first window."""

    @property
    def window(self) -> bpy.types.Window:
        return bpy.context.window_manager.windows[0]

    def area(self, kind: str = "VIEW_3D") -> bpy.types.Area:
        """The largest area of a kind."""
        areas = [area for area in self.window.screen.areas if area.type == kind]
        return max(areas, key=lambda area: area.width * area.height)

    def region(self, kind: str, area: str = "VIEW_3D") -> bpy.types.Region:
        """A region of the largest area of a kind."""
        return next(region for region in self.area(area).regions if region.type == kind)

    def move(self, x: int, y: int) -> None:
        """Move the mouse, from the lower left corner of the window in pixels."""
        self.window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)

    def click(self, x: int, y: int) -> Steps:
        """Click with the left button."""
        self.move(x, y)
        yield 0.1
        for value in ("PRESS", "RELEASE"):
            self.window.event_simulate(type="LEFTMOUSE", value=value, x=x, y=y)
            yield 0.05

    def key(self, name: str, **modifiers: bool) -> Steps:
        """Press a key over the middle of the 3D View."""
        area = self.area()
        x, y = area.x + area.width // 3, area.y + area.height // 2
        self.move(x, y)
        yield 0.1
        for value in ("PRESS", "RELEASE"):
            self.window.event_simulate(type=name, value=value, x=x, y=y, **modifiers)
            yield 0.05

    def sidebar(self, tab: str) -> Steps:
        """Open the sidebar of the 3D View at a tab."""
        if not self.area().spaces.active.show_region_ui:
            yield from self.key("N")
            yield 0.8  # the tabs are there once it has been drawn
        self.region("UI").active_panel_category = tab
        self.region("UI").tag_redraw()
        yield 0.8

    def find(self, operator: str, region: str = "UI", area: str = "VIEW_3D") -> Generator[float, None, tuple[int, int]]:
        """Look for the button of an operator in a region and return its place."""
        manager = bpy.context.window_manager
        where = self.region(region, area)
        for share in 2 * (0.5, 0.3, 0.75, 0.92):  # twice: the first look may come before all is drawn
            x = where.x + int(share * where.width)
            for y in range(where.y + where.height - 4, where.y + 4, -_STEP):
                self.move(x, y)
                yield 0.02
                manager.clipboard = ""
                with bpy.context.temp_override(window=self.window, area=self.area(area), region=where):
                    try:
                        bpy.ops.ui.copy_python_command_button()
                    except RuntimeError:
                        continue  # no button there
                if manager.clipboard.startswith(f"bpy.ops.{operator}("):
                    return x, y - _STEP // 2
        raise LookupError(f"There is no button for {operator}")

    def press(self, operator: str, **where: str) -> Steps:
        """Press the button of an operator."""
        x, y = yield from self.find(operator, **where)
        yield from self.click(x, y)

    def open_only(self, label: str) -> Steps:
        """Open the panel with a label among the properties by searching for it."""
        space = self.area("PROPERTIES").spaces.active
        space.search_filter = label
        yield 1.0

    def until(self, happened: Callable[[], object], seconds: float, what: str) -> Steps:
        """Wait until something has happened."""
        end = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > end:
                self.shot("late")
                raise TimeoutError(f"{what} took more than {seconds:g} s")
            yield 0.05

    def shot(self, name: str) -> None:
        """Keep a picture of the whole screen as NAME.png."""
        # `screen.screenshot` is black where there is no graphics card.
        subprocess.run(f"xwd -root -silent | convert xwd:- '{OUT / name}.png'", shell=True, check=True)

    def rectangle(self, region: str | None = None, area: str = "VIEW_3D") -> tuple[int, int, int, int]:
        """Left, top, width and height of an area or a region within a picture."""
        found = self.area(area) if region is None else self.region(region, area)
        return found.x, self.window.height - found.y - found.height, found.width, found.height
