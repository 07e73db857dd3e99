"""Drawing a reading beside the cursor: a box of texts, and a line from the surface up to the ears."""

from __future__ import annotations

from collections.abc import Sequence

import blf
import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

SIZE, FIRST = 12.0, 17.0  # of the letters, and of those of the first line, in points
PADDING, ASIDE = 9.0, 18.0  # in pixels at a resolution scale of 1
GROUND, INK, MARK = (0.09, 0.1, 0.12, 0.86), (1.0, 1.0, 1.0, 1.0), (1.0, 0.8, 0.2, 1.0)


def draw_reading(
    context: bpy.types.Context, cursor: tuple[float, float], texts: Sequence[str], marks: Sequence[Sequence[float]]
) -> None:
    """Draw ``texts`` beside ``cursor``, and a line through ``marks``, all in pixels of the current region."""
    scale = context.preferences.system.ui_scale
    sizes = [(FIRST if not number and len(texts) > 1 else SIZE) * scale for number in range(len(texts))]
    heights = [1.5 * size for size in sizes]
    widths = []
    for text, size in zip(texts, sizes, strict=True):
        blf.size(0, size)
        widths.append(blf.dimensions(0, text)[0])
    wide, high = max(widths) + 2.0 * PADDING * scale, sum(heights) + 2.0 * PADDING * scale
    region = context.region
    # On the other side of the cursor where there is no room.
    x = cursor[0] + ASIDE * scale
    x = x if x + wide < region.width else cursor[0] - ASIDE * scale - wide
    y = min(max(cursor[1] - 0.5 * high, 0.0), max(region.height - high, 0.0))

    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    gpu.state.blend_set("ALPHA")
    corners = [(x, y, 0.0), (x + wide, y, 0.0), (x, y + high, 0.0), (x + wide, y + high, 0.0)]
    _draw(shader, "TRI_STRIP", corners, GROUND)
    if marks:
        places = [(float(a), float(b), 0.0) for a, b in marks]
        if len(places) > 1:
            _draw(shader, "LINES", places, MARK)
        turn = np.linspace(0.0, 2.0 * np.pi, 25)
        ring = np.c_[np.cos(turn), np.sin(turn), np.zeros(25)] * 5.0 * scale + places[-1]
        _draw(shader, "LINE_STRIP", ring.tolist(), MARK)
    gpu.state.blend_set("NONE")
    top = y + high - PADDING * scale
    blf.color(0, *INK)
    for text, size, height in zip(texts, sizes, heights, strict=True):
        top -= height
        blf.size(0, size)
        blf.position(0, x + PADDING * scale, top + 0.35 * size, 0.0)
        blf.draw(0, text)


def _draw(shader: gpu.types.GPUShader, kind: str, points: list, colour: tuple[float, ...]) -> None:
    shader.uniform_float("color", colour)
    batch_for_shader(shader, kind, {"pos": points}).draw(shader)
