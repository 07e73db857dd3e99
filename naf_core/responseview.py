"""A picture of an impulse response: how each octave band dies away, and what is heard when and at which pitch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from naf_core.bands import BANDS_HZ
from naf_core.colours import colours
from naf_core.picture import FAINT, INK, PAPER, save_png, write_text
from naf_core.response import FRAME_EDGES, EnergyResponse

WIDTH, HEIGHT = 1200, 900  # pixels

_LEFT, _RIGHT, _TOP, _BETWEEN, _BOTTOM = 84, 150, 104, 70, 56
_DEEPEST = -60.0  # dB of the decay curves
_FAINTEST = -80.0  # dB of the spectrogram below its loudest
_LOWEST_HZ, _HIGHEST_HZ = 50.0, 16_000.0
_DURATIONS = (0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # s that are shown
_WINDOW = 1024  # samples at 48 kHz
_PALETTE = "inferno"


def decay_curves(response: EnergyResponse) -> tuple[np.ndarray, np.ndarray]:
    """Decay of one pair after Schroeder: times (n,) in s after the first possible arrival, and levels (8, n) in dB.

    Each band starts at 0 dB; -inf where nothing is left, or nothing was ever heard.
    """
    curve = response.schroeder().reshape(len(BANDS_HZ), -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10.0 * np.log10(curve / curve[:, :1])
    return FRAME_EDGES, np.nan_to_num(level, nan=-np.inf, neginf=-np.inf)


def spectrogram(samples: np.ndarray, sample_rate: int, rows: int, columns: int, duration: float) -> np.ndarray:
    """Level (rows, columns) in dB below the loudest, of ``samples`` (n,) over ``duration`` s.

    Rows go from 16 kHz down to 50 Hz, evenly in octaves; each is the mean energy within its bounds (Hann windows of
    21 ms at 48 kHz, a column where each is centred).
    """
    size = int(2 ** np.round(np.log2(_WINDOW * sample_rate / 48_000.0)))
    padded = np.pad(np.asarray(samples, np.float64), (size // 2, size + int(duration * sample_rate)))
    starts = (np.arange(columns) * duration / columns * sample_rate).astype(int)
    energy = np.empty((columns, size // 2 + 1))
    for first in range(0, columns, 128):
        pieces = padded[starts[first : first + 128, None] + np.arange(size)] * np.hanning(size)
        energy[first : first + 128] = np.abs(np.fft.rfft(pieces, axis=1)) ** 2
    width = sample_rate / size
    edges = np.geomspace(_HIGHEST_HZ, _LOWEST_HZ, rows + 1)
    total = np.concatenate([np.zeros((columns, 1)), np.cumsum(energy, axis=1)], axis=1)
    place = np.clip(edges / width + 0.5, 0.0, size // 2 + 1)
    whole = np.minimum(place.astype(int), size // 2)
    upto = total[:, whole] + (place - whole) * (total[:, whole + 1] - total[:, whole])
    density = -np.diff(upto, axis=1) / -np.diff(edges)
    found = density.T
    return 10.0 * np.log10(np.maximum(found / max(found.max(), 1e-300), 1e-30))


def write_response(
    path: Path, response: EnergyResponse, samples: np.ndarray, sample_rate: int, title: str, subtitle: str
) -> None:
    """Write the picture of one pair: ``samples`` (n,) are its impulse response. Raises UserError where it cannot."""
    page = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(page)
    write_text(draw, (_LEFT, 34), title, 28, INK)
    write_text(draw, (_LEFT, 70), subtitle, 17, FAINT)
    width = WIDTH - _LEFT - _RIGHT
    height = (HEIGHT - _TOP - _BETWEEN - _BOTTOM) // 2
    times, levels = decay_curves(response)
    duration = _duration(times, levels)
    _draw_decay(draw, (_LEFT, _TOP, width, height), times, levels, duration)
    corner = _LEFT, _TOP + height + _BETWEEN
    found = spectrogram(samples, sample_rate, height, width, duration)
    page.paste(Image.fromarray(colours(found, (_FAINTEST, 0.0), _PALETTE)), corner)
    _draw_axes(page, (*corner, width, height), duration)
    save_png(page, path)


def _duration(times: np.ndarray, levels: np.ndarray) -> float:
    """Seconds in which all bands have died away by 60 dB, as far as they are shown; a round number."""
    last = times[np.minimum((levels > _DEEPEST).sum(axis=1), len(times) - 1)].max()
    return next(step for step in _DURATIONS if step >= min(last, _DURATIONS[-1]))


def _draw_decay(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], times: np.ndarray, levels: np.ndarray, duration: float
) -> None:
    x, y, width, height = box
    for level in range(0, int(_DEEPEST) - 1, -10):
        row = y + level / _DEEPEST * height
        draw.line([(x, row), (x + width, row)], fill=(222, 222, 218))
        write_text(draw, (x - 10, row), f"{level}", 15, FAINT, anchor="rm")
    write_text(draw, (x - 10, y - 20), "dB", 15, FAINT, anchor="rm")
    _time_ticks(draw, x, y + height, width, duration)
    shades = colours(np.linspace(0.0, 0.92, len(BANDS_HZ)), (0.0, 1.0))
    for band, (hertz, level) in enumerate(zip(BANDS_HZ, levels, strict=True)):
        shade = tuple(int(c) for c in shades[band])
        shown = (level >= _DEEPEST) & (times <= duration)
        points = [
            (x + t / duration * width, y + value / _DEEPEST * height)
            for t, value in zip(times[shown], level[shown], strict=True)
        ]
        if len(points) > 1:
            draw.line(points, fill=shade, width=3)
        row = y + 14 + band * 26
        draw.line([(x + width + 18, row), (x + width + 44, row)], fill=shade, width=4)
        write_text(draw, (x + width + 54, row), f"{hertz:g} Hz", 15, INK)


def _draw_axes(page: Image.Image, box: tuple[int, int, int, int], duration: float) -> None:
    """Frequencies, times and the colours of the spectrogram."""
    draw = ImageDraw.Draw(page)
    x, y, width, height = box
    octaves = np.log2(_HIGHEST_HZ / _LOWEST_HZ)
    for hertz in (*BANDS_HZ, 16_000.0):
        row = y + np.log2(_HIGHEST_HZ / hertz) / octaves * height
        draw.line([(x - 6, row), (x, row)], fill=FAINT)
        write_text(draw, (x - 10, row), f"{hertz / 1000:g}k" if hertz >= 1000 else f"{hertz:g}", 15, FAINT, anchor="rm")
    write_text(draw, (x - 10, y - 20), "Hz", 15, FAINT, anchor="rm")
    _time_ticks(draw, x, y + height, width, duration)
    ramp = colours(np.linspace(0.0, _FAINTEST, height)[:, None].repeat(18, axis=1), (_FAINTEST, 0.0), _PALETTE)
    page.paste(Image.fromarray(ramp), (x + width + 22, y))
    for level in range(0, int(_FAINTEST) - 1, -20):
        write_text(draw, (x + width + 48, y + level / _FAINTEST * height), f"{level} dB", 15, INK)


def _time_ticks(draw: ImageDraw.ImageDraw, x: int, y: int, width: int, duration: float) -> None:
    step = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if duration / step <= 8.0)
    for count in range(int(duration / step + 1e-6) + 1):
        column = x + count * step / duration * width
        draw.line([(column, y), (column, y + 6)], fill=FAINT)
        write_text(draw, (column, y + 18), f"{count * step:g} s", 15, FAINT, anchor="mm")
