"""The legend of the map, drawn into the corner of 3D views that show overlays."""

from __future__ import annotations

import bpy
import numpy as np

from naf_core.colours import PALETTES, colours
from naf_core.quantities import QUANTITIES, tick_of, unit_of

from . import sheet

WIDTH, HEIGHT = 16, 220  # of the bar in pixels at a resolution scale of 1
LEFT, BOTTOM = 70, 60  # from the corner of the view: beside toolbar and texts of Blender's own
_STEPS = 64  # of colour in the bar

_handles: list[object] = []


def marks(lowest: float, highest: float, quantity: str) -> list[tuple[float, str]]:
    """The numbers of a scale: their place from 0 at its lower to 1 at its upper end, and their text."""
    tick = tick_of(quantity, (lowest, highest))
    counts = np.arange(np.ceil(lowest / tick - 1e-6), np.floor(highest / tick + 1e-6) + 1)
    decimals = QUANTITIES[quantity].decimals
    return [((count * tick - lowest) / (highest - lowest), f"{count * tick:.{decimals}f}") for count in counts]


def bar(palette: str) -> tuple[np.ndarray, np.ndarray]:
    """Corners (n, 2) in 0..1 and colours (n, 4) of a strip of triangles that shows a palette from below upwards."""
    up = np.linspace(0.0, 1.0, _STEPS)
    corners = np.stack([np.tile((0.0, 1.0), _STEPS), np.repeat(up, 2)], axis=1)
    shades = colours(up, (0.0, 1.0), palette) / 255.0
    return corners.astype(np.float32), np.repeat(np.c_[shades, np.ones(_STEPS)], 2, axis=0).astype(np.float32)


def draw() -> None:
    """Draw the legend of the scene's map into the current region."""
    context = bpy.context
    found = next(sheet.own_sheets(context.scene), None)
    if found is None or not context.space_data.overlay.show_overlays or not found.visible_get():
        return
    quantity, palette = found.get(sheet.QUANTITY, "level"), found.get(sheet.PALETTE, "viridis")
    if quantity not in QUANTITIES or palette not in PALETTES:
        return
    # Only in a window: the module without one has no such drawing.
    import blf
    import gpu
    from gpu_extras.batch import batch_for_shader

    scale = context.preferences.system.ui_scale
    place = np.array((LEFT, BOTTOM)) * scale
    size = np.array((WIDTH, HEIGHT)) * scale
    corners, shades = bar(palette)
    shader = gpu.shader.from_builtin("SMOOTH_COLOR")
    gpu.state.blend_set("ALPHA")
    flat = np.c_[place + corners * size, np.zeros(len(corners))]
    batch_for_shader(shader, "TRI_STRIP", {"pos": flat.tolist(), "color": shades.tolist()}).draw(shader)
    gpu.state.blend_set("NONE")
    blf.enable(0, blf.SHADOW)
    blf.shadow(0, 3, 0.0, 0.0, 0.0, 0.8)
    blf.size(0, 11.0 * scale)
    blf.color(0, 1.0, 1.0, 1.0, 1.0)
    title = found.get(sheet.UNIT) or unit_of(quantity, None) or quantity
    texts = [(1.0 + 16.0 / HEIGHT, title, 0.0)]
    texts += [(share, text, WIDTH + 6.0) for share, text in marks(found[sheet.LOWEST], found[sheet.HIGHEST], quantity)]
    for share, text, aside in texts:
        blf.position(0, place[0] + aside * scale, place[1] + share * size[1] - 4.0 * scale, 0.0)
        blf.draw(0, text)
    blf.disable(0, blf.SHADOW)


def register() -> None:
    """Draw the legend in all 3D views from now on."""
    _handles.append(bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    """Undo `register`."""
    bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")
