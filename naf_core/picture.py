"""Pictures of a map: the bare texels for a floor, and a plate with a legend for people."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from naf_core.colours import colours
from naf_core.errors import UserError
from naf_core.floormap import STOREY_GAP, FloorMap
from naf_core.loudness import Source
from naf_core.quantities import QUANTITIES, tick_of
from naf_core.survey import FloorValues

PAPER, INK, FAINT, _WALL = (250, 250, 247), (34, 38, 46), (110, 116, 126), (46, 50, 58)
_LONGEST = 90  # letters of any text
_LONG_SIDE = 1080  # pixels of the map's longer side on the plate
_MARGIN, _HEAD, _FOOT, _BAR = 56, 112, 84, 150
_BETWEEN = 24  # pixels between two storeys
# Fonts that most systems have and that know more than Latin letters without accents, as Pillow's own does.
_SYSTEM_FONTS = ("segoeui.ttf", "Arial Unicode.ttf", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial.ttf")


def write_texels(path: Path, result: FloorValues, limits: tuple[float, float], floor: FloorMap) -> None:
    """Write the map as an RGBA picture of one pixel a texel: the floor's origin at the bottom left, no legend.

    Texels without a value are transparent. They take the colour of the nearest texel with one, so that a renderer
    that blends texels makes no dark seams.
    """
    known = np.isfinite(result.values)
    rgb = colours(result.values, limits, floor.palette)
    if floor.lines and known.any():
        line = _contours(_softened(result.values), known, limits, floor.quantity)[..., None]
        rgb = (rgb * (1.0 - line) + 255.0 * line).round().astype(np.uint8)
    if known.any():
        nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        rgb = rgb[tuple(nearest)]
    rgba = np.dstack([rgb, np.where(known, 255, 0).astype(np.uint8)])
    save_png(Image.fromarray(rgba[::-1]), path)


def write_plate(
    path: Path,
    result: FloorValues,
    limits: tuple[float, float],
    floor: FloorMap,
    sources: Sequence[Source],
    title: str,
    subtitle: str,
) -> None:
    """Write the map with its legend: colour bar, contours, scale, and where the emitters are."""
    storeys = floor.storeys()
    width_m, height_m = (float(np.linalg.norm(side)) for side in (floor.u, floor.v))
    pixels_per_metre = _LONG_SIDE / max(width_m, height_m * max(1.0, 0.5 * len(storeys)))
    width, height = (max(2, round(side * pixels_per_metre)) for side in (width_m, height_m))
    whole = len(storeys) * (height + _BETWEEN) - _BETWEEN
    # Seen from above, whichever way round the floor's sides are given.
    mirrored = np.cross(floor.u, floor.v) @ floor.normal < 0.0
    page = Image.new("RGB", (max(2 * _MARGIN + width + _BAR, 760), _HEAD + whole + _FOOT), PAPER)
    left = _MARGIN
    draw = ImageDraw.Draw(page)
    write_text(draw, (left, 34), title, 30, INK)
    write_text(draw, (left, 74), subtitle, 17, FAINT)
    bar_height = min(whole, 640)
    corner = (left + width + 44, _HEAD + (whole - bar_height) // 2)
    shades = colours(np.linspace(*limits, bar_height), limits, floor.palette)
    _draw_bar(page, corner, shades, limits, floor.quantity, floor.unit)
    _draw_scale(draw, (left, _HEAD + whole + 30), pixels_per_metre, width)

    for number in range(len(storeys)):
        rows = slice(number * (floor.height + STOREY_GAP), number * (floor.height + STOREY_GAP) + floor.height)
        top = _HEAD + (len(storeys) - 1 - number) * (height + _BETWEEN)
        part = FloorValues(result.values[rows], result.solid[rows])
        page.paste(_painted(part, limits, floor, (height, width), mirrored), (left, top))
        taken = [(left - 1e4, top - 1e4, left, top + 1e4), (left + width, top - 1e4, left + 1e4, top + 1e4)]
        for source in sources:
            across, up = _on_floor(floor, source.position)
            if not (0.0 <= across <= 1.0 and 0.0 <= up <= 1.0 and _storey_of(storeys, source.position) == number):
                continue
            across = 1.0 - across if mirrored else across
            _draw_marker(draw, (left + across * width, top + (1.0 - up) * height), source.name, taken)
    save_png(page, path)


def write_with_legend(
    picture: Path,
    path: Path,
    limits: tuple[float, float],
    quantity: str,
    unit: str,
    shades: np.ndarray,
    title: str,
    subtitle: str,
) -> None:
    """Write a ``picture`` of a scene with the legend of its map beside it; raises UserError.

    ``shades`` (n, 3) are the colours 0..255 from the lowest to the highest value as the picture shows them.
    """
    try:
        with Image.open(picture) as opened:
            shown = opened.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{picture} cannot be read as a picture ({error}): render again.") from error
    width, height = shown.size
    page = Image.new("RGB", (max(2 * _MARGIN + width + _BAR, 760), _HEAD + height + _MARGIN), PAPER)
    page.paste(shown, (_MARGIN, _HEAD))
    draw = ImageDraw.Draw(page)
    write_text(draw, (_MARGIN, 34), title, 30, INK)
    write_text(draw, (_MARGIN, 74), subtitle, 17, FAINT)
    bar_height = min(height, 640)
    corner = (_MARGIN + width + 44, _HEAD + (height - bar_height) // 2)
    places, known = np.linspace(0.0, 1.0, bar_height), np.linspace(0.0, 1.0, len(shades))
    fitted = np.stack([np.interp(places, known, shades[:, channel]) for channel in range(3)], axis=1)
    _draw_bar(page, corner, fitted.round().astype(np.uint8), limits, quantity, unit)
    save_png(page, path)


def _storey_of(storeys: Sequence[FloorMap], position: np.ndarray) -> int:
    """The highest storey that lies below a point, the lowest where none does."""
    heights = [
        float(np.median(storey.triangles @ storey.normal)) if len(storey.triangles) else -np.inf for storey in storeys
    ]
    below = [k for k, height in enumerate(heights) if height <= position @ storeys[k].normal]
    return max(below, key=lambda k: heights[k], default=0)


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a picture beside ``path`` and then give it its name; raises UserError."""
    part = path.with_name(path.name + ".part")
    try:
        picture.save(part, format="PNG")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written ({error.strerror}): choose another folder.") from error


def _on_floor(floor: FloorMap, position: np.ndarray) -> tuple[float, float]:
    """Place of a point off the floor, as fractions of the floor's two sides."""
    sides = np.stack([floor.u, floor.v, floor.normal], axis=1)
    across, up, _ = np.linalg.solve(sides, position - floor.origin)
    return float(across), float(up)


def _painted(
    result: FloorValues, limits: tuple[float, float], floor: FloorMap, shape: tuple[int, int], mirrored: bool
) -> Image.Image:
    """The map enlarged to ``shape``: smooth colours, sharp walls, contours."""
    known = np.isfinite(result.values)
    order = (slice(None, None, -1), slice(None, None, -1 if mirrored else 1))
    known, solid = known[order], result.solid[order]
    level = np.where(known, result.values[order], 0.0)
    weight = _enlarge(known.astype(float), shape)
    level = _enlarge(level, shape) / np.maximum(weight, 1e-6)
    rgb = colours(level, limits, floor.palette).astype(float)
    soft = _enlarge(_softened(result.values[order]), shape) / np.maximum(weight, 1e-6)
    line = _contours(soft, weight > 0.5, limits, floor.quantity)[..., None] * floor.lines
    rgb = rgb * (1.0 - line) + 255.0 * line
    cover = _smooth_edge(weight)[..., None]
    # Where something solid meets the map, its own edge must not let the paper through.
    wall = _smooth_edge(_enlarge((solid | ndimage.binary_dilation(solid) & known).astype(float), shape))[..., None]
    ground = wall * _WALL + (1.0 - wall) * PAPER
    return Image.fromarray((rgb * cover + ground * (1.0 - cover)).round().astype(np.uint8))


def _enlarge(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bilinear enlargement of texels (h, w) to pixels ``shape``; the outermost half texels are held."""
    axes = [
        np.clip((np.arange(n) + 0.5) * size / n - 0.5, 0, size - 1) for n, size in zip(shape, values.shape, strict=True)
    ]
    return ndimage.map_coordinates(values, np.meshgrid(*axes, indexing="ij"), order=1)


def _smooth_edge(cover: np.ndarray) -> np.ndarray:
    """Share of each pixel inside the half-way line of ``cover`` (0..1): an edge one pixel wide."""
    slope = np.hypot(*np.gradient(cover))
    return np.clip((cover - 0.5) / np.maximum(slope, 1e-3) + 0.5, 0.0, 1.0)


def _softened(levels: np.ndarray) -> np.ndarray:
    """The levels (h, w) slightly smoothed, 0 where unknown: contours shall not trace single texels of a shadow."""
    known = np.isfinite(levels)
    level = np.where(known, levels, 0.0)
    share = ndimage.gaussian_filter(known.astype(float), 1.5, mode="constant")
    soft = ndimage.gaussian_filter(level, 1.5, mode="constant") / np.maximum(share, 1e-6)
    # Beside a wall the mean lies to one side, and would bend the contours.
    inner = np.clip((share - 0.8) / 0.2, 0.0, 1.0)
    return np.where(known, level + (soft - level) * inner, 0.0)


def _step(limits: tuple[float, float], quantity: str) -> float:
    """Distance of contour lines: with a short range, those between the ticks are drawn too."""
    tick = QUANTITIES[quantity].tick
    return tick_of(quantity, limits) if limits[1] - limits[0] > 3.0 * tick else tick / 5.0


def _contours(level: np.ndarray, known: np.ndarray, limits: tuple[float, float], quantity: str) -> np.ndarray:
    """Opacity (0..1) of contour lines; every second one, or else those at ticks, are stronger."""
    step = _step(limits, quantity)
    wide = step >= QUANTITIES[quantity].tick
    slope = np.hypot(*(np.gradient(level, axis=axis) if level.shape[axis] > 1 else 0.0 * level for axis in (0, 1)))
    count = np.round(level / step)
    nearest = step * count
    distance = np.abs(level - nearest) / np.maximum(slope, 1e-9)
    strong = count % (2 if wide else 5) == 0
    line = np.clip(1.25 - distance, 0.0, 1.0) * np.where(strong, 0.62, 0.34 if wide else 0.22)
    # At the edge of a shadow many contours meet: the jump is seen anyway, and lines there would only blur it.
    line *= np.clip(2.0 - slope / (0.14 * step), 0.0, 1.0)
    hair = 1e-6 * step
    span = limits[1] - limits[0]
    inside = ndimage.binary_erosion(known, iterations=2)
    inside &= (nearest > limits[0] + hair) & (nearest < limits[1] + span - hair)
    return np.where(inside, line, 0.0)


def _draw_bar(
    page: Image.Image,
    corner: tuple[int, int],
    shades: np.ndarray,
    limits: tuple[float, float],
    quantity: str,
    unit: str,
) -> None:
    """Draw a bar of the colours ``shades`` (height, 3), the lowest first, with the numbers of ``limits`` beside it."""
    (x, y), (low, high), height = corner, limits, len(shades)
    page.paste(Image.fromarray(shades[::-1, None].repeat(22, axis=1)), (x, y))
    draw = ImageDraw.Draw(page)
    write_text(draw, (x, y - 32), unit or quantity, 17, INK)
    step, tick = _step(limits, quantity), tick_of(quantity, limits)
    decimals = QUANTITIES[quantity].decimals
    for count in range(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1):
        value = count * step
        row = y + (high - value) / (high - low) * (height - 1)
        if abs(value / tick - round(value / tick)) > 1e-6:
            draw.line([(x + 22, row), (x + 25, row)], fill=FAINT, width=1)
            continue
        draw.line([(x + 22, row), (x + 29, row)], fill=FAINT, width=1)
        write_text(draw, (x + 36, row), f"{value:.{decimals}f}", 16, INK, anchor="lm")


def _draw_scale(draw: ImageDraw.ImageDraw, corner: tuple[int, int], pixels_per_metre: float, width: int) -> None:
    """A bar of a round number of metres, about a quarter of the map's width."""
    most = 0.3 * width / pixels_per_metre
    power = 10.0 ** np.floor(np.log10(most))
    length = max(m * power for m in (1.0, 2.0, 5.0) if m * power <= most)
    x, y = corner
    end = x + length * pixels_per_metre
    draw.line([(x, y), (end, y)], fill=INK, width=3)
    for tick in (x, end):
        draw.line([(tick, y - 6), (tick, y + 6)], fill=INK, width=2)
    write_text(draw, (end + 14, y), f"{length:g} m", 17, INK, anchor="lm")


def _draw_marker(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], name: str, taken: list[tuple[float, float, float, float]]
) -> None:
    """A ring where an emitter is and its name beside it, where that covers the least of what stands there already."""
    x, y = place
    font, text = _font(name, 18)
    size = draw.textbbox((0, 0), text, font=font, anchor="lt")
    w, h = size[2], size[3]
    places = [(x + 15, y - h / 2), (x - 15 - w, y - h / 2), (x - w / 2, y - 17 - h), (x - w / 2, y + 17)]
    places += [(a, b + shift) for shift in (-1.4 * h, 1.4 * h) for a, b in places[:2]]
    boxes = [(a - 3, b - 3, a + w + 3, b + h + 3) for a, b in places]
    best = min(range(len(places)), key=lambda k: (sum(_overlap(boxes[k], other) for other in taken), k))
    taken += [boxes[best], (x - 9, y - 9, x + 9, y + 9)]
    draw.text(places[best], text, fill="white", font=font, anchor="lt", stroke_width=2, stroke_fill=INK)
    draw.ellipse((x - 9, y - 9, x + 9, y + 9), fill=INK)
    draw.ellipse((x - 7, y - 7, x + 7, y + 7), fill="white")
    draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=INK)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def write_text(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    anchor: str = "lm",
) -> None:
    """Write ``text`` at ``place``, where its ``anchor`` (Pillow's) lies, in a font that has its letters."""
    font, text = _font(text, size)
    draw.text(place, text, fill=colour, font=font, anchor=anchor)


def _font(text: str, size: int) -> tuple[ImageFont.FreeTypeFont, str]:
    """A font that has the letters of ``text``, and the text; without one, accents are left off."""
    own = ImageFont.load_default(size)
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    if text.isascii():
        return own, text
    for name in _SYSTEM_FONTS:
        try:
            return ImageFont.truetype(name, size), text
        except OSError:
            continue  # not on this system
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return own, plain.strip() or "?"
