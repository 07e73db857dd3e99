"""Lines of sound, drawn into the 3D views until they are hidden; nothing of them is in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent

from naf_core.colours import colours

from .geometry import metres_per_unit

# By number of reflections: direct sound, then one to three; told apart by people who do not see red or green
# (M. Okabe and K. Ito 2008).
ORDERS = ((0.94, 0.89, 0.26), (0.34, 0.71, 0.91), (0.0, 0.62, 0.45), (0.8, 0.47, 0.65))
BENT = (0.9, 0.62, 0.0)  # round edges
DEEPEST = 30.0  # dB below the strongest line, where the colours of levels end
WIDTH = 2.0  # pixels at a resolution scale of 1

_lines: list[tuple[np.ndarray, tuple[float, float, float, float]]] = []
_of: list[str] = []  # the scene they belong to
_handles: list[object] = []


def shown() -> bool:
    """Whether lines are drawn."""
    return bool(_lines)


def drawn() -> list[tuple[np.ndarray, tuple[float, float, float, float]]]:
    """The lines: corners (n, 3) in Blender units, and a colour each."""
    return list(_lines)


def show(scene: bpy.types.Scene, found: Sequence[dict[str, Any]], colour: str) -> None:
    """Draw lines as the worker told them (see `Answers.lines`), coloured by "ORDER" or "LEVEL"."""
    hide()
    scale = metres_per_unit(scene)
    loudest = max((line["level"] for line in found), default=0.0)
    # The strongest last, so that they lie on top.
    for line in sorted(found, key=lambda line: line["level"]):
        strength = float(np.clip(1.0 + (line["level"] - loudest) / DEEPEST, 0.0, 1.0))
        if colour == "LEVEL":
            shade = colours(np.array(strength), (0.0, 1.0)) / 255.0
        else:
            shade = BENT if line["edges"] else ORDERS[min(line["order"], len(ORDERS) - 1)]
        _lines.append((np.array(line["points"]) / scale, (*map(float, shade), 0.35 + 0.65 * strength)))
    _of.append(scene.name)
    if not _handles:
        _handles.append(bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", "POST_VIEW"))


def hide() -> None:
    """Draw them no more."""
    _lines.clear()
    _of.clear()
    while _handles:
        bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")


def draw() -> None:
    """Draw the lines into the current 3D view."""
    context = bpy.context
    if not context.space_data.overlay.show_overlays or context.scene.name not in _of:
        return
    # Only in a window: the module without one has no such drawing.
    import gpu
    from gpu_extras.batch import batch_for_shader

    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    gpu.state.blend_set("ALPHA")
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", WIDTH * context.preferences.system.ui_scale)
    for points, shade in _lines:
        shader.uniform_float("color", shade)
        batch_for_shader(shader, "LINE_STRIP", {"pos": points.tolist()}).draw(shader)
    gpu.state.blend_set("NONE")


@persistent
def _hide(_path: str) -> None:
    """Hide the lines before another file is opened."""
    hide()


def register() -> None:
    """Watch for other files."""
    bpy.app.handlers.load_pre.append(_hide)


def unregister() -> None:
    """Undo `register`."""
    bpy.app.handlers.load_pre.remove(_hide)
    hide()
