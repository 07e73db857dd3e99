"""A small picture of what a surface absorbs and scatters over the octave bands, as an icon for panels."""

from __future__ import annotations

from collections.abc import Sequence

import bpy.utils.previews
import numpy as np

from naf_core.bands import N_BANDS

SIZE = 128  # pixels, square as icons are
SCALE = 6.0  # of the icon in a panel
_MOST = 64  # pictures that are kept

_MARGIN, _FOOT = 4, 4
_GROUND, _GRID = (0.11, 0.11, 0.11, 1.0), (0.26, 0.26, 0.26, 1.0)
# Orange and sky blue of Okabe and Ito (2008): told apart whatever colours a reader sees.
_ABSORPTION, _SCATTERING = (0.90, 0.62, 0.0, 1.0), (0.34, 0.71, 0.91, 1.0)

_previews: list = []  # one collection while the add-on is registered


def draw(absorption: Sequence[float], scattering: Sequence[float]) -> np.ndarray:
    """Pixels (SIZE, SIZE, 4) float32, the lowest row first: a bar of absorption and a line of scattering a band."""
    picture = np.empty((SIZE, SIZE, 4), np.float32)
    picture[:] = _GROUND
    height = SIZE - _MARGIN - _FOOT
    for quarter in range(5):
        picture[_FOOT + round(quarter / 4 * (height - 1)), _MARGIN:-_MARGIN] = _GRID
    edges = np.rint(np.linspace(_MARGIN, SIZE - _MARGIN, N_BANDS + 1)).astype(int)
    for left, right, share, scattered in zip(edges[:-1], edges[1:], absorption, scattering, strict=True):
        top = _FOOT + round(float(share) * (height - 1))
        picture[_FOOT : top + 1, left + 1 : right - 1] = _ABSORPTION
        line = _FOOT + round(float(scattered) * (height - 3))
        picture[line : line + 3, left:right] = _SCATTERING
    return picture


def icon(absorption: Sequence[float], scattering: Sequence[float]) -> int:
    """Number of the icon that shows these values, 0 where icons are not to be had."""
    if not _previews:
        return 0
    (kept,) = _previews
    key = " ".join(f"{value:.2f}" for value in (*absorption, *scattering))
    if key not in kept:
        if len(kept) >= _MOST:
            kept.clear()
        preview = kept.new(key)
        preview.image_size = SIZE, SIZE
        preview.image_pixels_float.foreach_set(draw(absorption, scattering).ravel())
    return kept[key].icon_id


def register() -> None:
    """Make room for the pictures."""
    _previews.append(bpy.utils.previews.new())


def unregister() -> None:
    """Undo `register`."""
    bpy.utils.previews.remove(_previews.pop())
