from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naf_core.colours import colours
from naf_core.floormap import FloorMap
from naf_core.loudness import Source
from naf_core.picture import write_plate, write_texels
from naf_core.survey import FloorValues

LIMITS = (40.0, 70.0)


def levels(width: int = 30, height: int = 20) -> FloorValues:
    """Louder to the right, with a wall."""
    level = np.tile(np.linspace(42, 68, width), (height, 1))
    solid = np.zeros(level.shape, bool)
    solid[5:8, 10:20] = True
    return FloorValues(np.where(solid, np.nan, level), solid)


def floor(width: float = 6.0, height: float = 4.0, **more: object) -> FloorMap:
    return FloorMap(30, 20, (0, 0, 0), (width, 0, 0), (0, height, 0), np.zeros((0, 3, 3)), **more)


def source(name: str, *position: float) -> Source:
    return Source(name, np.array(position), np.ones(8))


def plate(path: Path, **changes: object) -> np.ndarray:
    values = {"result": levels(), "limits": LIMITS, "floor": floor(), "sources": [source("Talker", 1, 1, 1)]}
    write_plate(path, **(values | changes), title="Kitchen", subtitle="A-weighted level")
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def test_one_pixel_a_texel_with_the_origin_at_the_bottom_left(tmp_path):
    result = levels()
    write_texels(tmp_path / "map.png", result, LIMITS, floor(lines=False))
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.mode == "RGBA"
        assert picture.size == (30, 20)
        pixels = np.asarray(picture)[::-1]
    known = np.isfinite(result.values)
    np.testing.assert_array_equal(pixels[..., 3], np.where(known, 255, 0))
    np.testing.assert_array_equal(pixels[known][:, :3], colours(result.values, LIMITS)[known])
    assert list(tmp_path.iterdir()) == [tmp_path / "map.png"]


def test_hidden_texels_take_the_colour_beside_them(tmp_path):
    # A renderer that filters the picture would otherwise draw a dark seam.
    result = levels()
    write_texels(tmp_path / "map.png", result, LIMITS, floor(lines=False))
    with Image.open(tmp_path / "map.png") as picture:
        pixels = np.asarray(picture)[::-1].astype(int)
    assert np.abs(pixels[5, 12, :3] - pixels[4, 12, :3]).max() <= 2


def test_a_map_without_any_level_is_wholly_transparent(tmp_path):
    empty = FloorValues(np.full((4, 4), np.nan), np.zeros((4, 4), bool))
    write_texels(tmp_path / "map.png", empty, LIMITS, floor())
    with Image.open(tmp_path / "map.png") as picture:
        assert not np.asarray(picture)[..., 3].any()


def test_the_plate_shows_map_wall_and_legend(tmp_path):
    pixels = plate(tmp_path / "plate.png", sources=[])
    flat = pixels.reshape(-1, 3).astype(int)

    def has(colour: tuple[int, int, int], at_least: int) -> bool:
        return (np.abs(flat - colour).max(axis=1) <= 6).sum() >= at_least

    assert has((46, 50, 58), 10_000), "the wall"
    assert has((250, 250, 247), 50_000), "the paper"
    for level in (44, 54, 64):
        assert has(tuple(colours(np.array([level]), LIMITS)[0]), 2000), level
    # The bar has the colours of both ends, which the levels do not reach.
    assert has((68, 1, 84), 22)
    assert has((253, 231, 37), 22)


def test_the_plate_is_seen_from_above_whichever_way_the_floor_runs(tmp_path):
    up = plate(tmp_path / "up.png", sources=[])
    result = levels()
    # The same floor given from its other corner: v runs down, and the rows with it.
    flipped = FloorValues(result.values[::-1], result.solid[::-1])
    ground = FloorMap(30, 20, (0, 4, 0), (6, 0, 0), (0, -4, 0), np.zeros((0, 3, 3)))
    down = plate(tmp_path / "down.png", result=flipped, floor=ground, sources=[])
    mirrored = down[112:-84][::-1]  # between head and foot
    assert np.abs(up[112:-84].astype(int) - mirrored).mean() > 1.0  # it is turned, not mirrored
    same = np.abs(up[112 : 112 + 720, 56 : 56 + 1080].astype(int) - down[112 : 112 + 720, 56 : 56 + 1080][::-1, ::-1])
    assert same.mean() < 1.0


def test_emitters_are_marked_where_they_are(tmp_path):
    without = plate(tmp_path / "a.png", sources=[]).astype(int)
    marked = plate(tmp_path / "b.png", sources=[source("Talker", 1.5, 3.0, 1.2)]).astype(int)
    changed = np.argwhere(np.abs(marked - without).max(axis=2) > 0)
    # 1080 pixels for 6 m; the map begins at (56, 112) from the top left.
    x, y = 56 + 1.5 * 180, 112 + (4 - 3.0) * 180
    assert np.abs(changed - (y, x)).max(axis=1).min() <= 3
    assert (np.abs(changed[:, 1] - x) < 140).all()
    assert (np.abs(changed[:, 0] - y) < 40).all()


def test_emitters_beside_the_floor_are_left_out(tmp_path):
    without = plate(tmp_path / "a.png", sources=[])
    np.testing.assert_array_equal(plate(tmp_path / "b.png", sources=[source("far", 50, 50, 1)]), without)


@pytest.mark.parametrize("name", ["", "Küche", "スピーカー", "a" * 200, "two\nlines", "🙂"])
def test_any_name_can_be_drawn(tmp_path, name):
    plate(tmp_path / "plate.png", sources=[source(name, 1, 1, 1), source(name, 1.01, 1, 1)])


@pytest.mark.parametrize(("width", "height"), [(100.0, 2.0), (2.0, 100.0), (0.2, 0.2)])
def test_floors_of_any_shape_fit_the_page(tmp_path, width, height):
    pixels = plate(tmp_path / "plate.png", floor=floor(width, height))
    assert max(pixels.shape) < 1600


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2)])
def test_maps_of_few_texels(tmp_path, shape):
    plate(tmp_path / "plate.png", result=FloorValues(np.full(shape, 55.0), np.zeros(shape, bool)))


def test_the_same_map_gives_the_same_file(tmp_path):
    plate(tmp_path / "a.png")
    plate(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_contours_lie_on_the_texels_too(tmp_path):
    # 26 dB over 30 texels: lines at 45, 50, 55 and so on.
    result = FloorValues(np.tile(np.linspace(42, 68, 300), (40, 1)), np.zeros((40, 300), bool))
    write_texels(tmp_path / "map.png", result, LIMITS, floor())
    with Image.open(tmp_path / "map.png") as picture:
        row = np.asarray(picture)[20, :, :3].astype(int)
    plain = colours(result.values, LIMITS)[20].astype(int)
    changed = np.flatnonzero(np.abs(row - plain).max(axis=1) > 40)
    at = np.unique(np.round(result.values[0, changed] / 5) * 5)
    np.testing.assert_array_equal(at, [45, 50, 55, 60, 65])
    assert np.abs(result.values[0, changed] - np.round(result.values[0, changed] / 5) * 5).max() < 0.2


@pytest.mark.parametrize(
    ("quantity", "limits", "numbers"),
    [("level", (40.0, 70.0), 7), ("T30", (0.3, 1.2), 10), ("STI", (0.4, 0.8), 9), ("C50", (-3.0, 9.0), 13)],
)
def test_the_colours_of_the_bar_are_those_of_its_numbers(tmp_path, monkeypatch, quantity, limits, numbers):
    # Each number stands at the height where the bar has the colour of that value.
    written = []

    def note(draw, place, text, size, colour, anchor="lm"):
        written.append((place, text))

    monkeypatch.setattr("naf_core.picture.write_text", note)
    ground = floor(quantity=quantity)
    result = FloorValues(np.full((20, 30), 0.5 * sum(limits)), np.zeros((20, 30), bool))
    pixels = plate(tmp_path / "plate.png", result=result, limits=limits, floor=ground, sources=[])
    left = min(place[0] for place, text in written if text.replace("-", "").replace(".", "").isdigit()) - 36
    ticks = [(place[1], float(text)) for place, text in written if place[0] == left + 36]
    assert len(ticks) == numbers
    for row, value in ticks:
        expected = colours(np.array([value]), limits)[0].astype(int)
        span = 255 / 640 * 3  # a pixel of the bar up or down
        assert np.abs(pixels[round(row), left + 10].astype(int) - expected).max() <= 2 + span
