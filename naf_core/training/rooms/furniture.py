"""Furniture of a few to thousands of triangles, and where it is put."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from naf_core.training.rooms.shapes import ball, box, column, curtain, disk, lathe, leaves, pipe, put, sheet
from naf_core.training.rooms.site import MOST, Site, Zone, between

_LIFT = 0.002  # m over the floor, so that no two surfaces lie on each other
_CLEAR = 0.03  # m between pieces

# A lot of triangles, the materials they may have (times the mood of the place), and whether they are thin.
Part = tuple[np.ndarray, tuple[float, float], bool]
_HARD, _WOOD, _SOFT = (0.3, 1.0), (0.5, 1.6), (2.0, 8.0)


def _table(rng: np.random.Generator) -> list[Part]:
    x, y, z = rng.uniform(0.6, 2.2), rng.uniform(0.5, 1.0), rng.uniform(0.4, 1.0)
    legs = [
        put(column(0.03, z - 0.05, 8), np.array([a * (x / 2 - 0.05), b * (y / 2 - 0.05), 0]), 0.0)
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    return [(np.concatenate([box((x, y, 0.04), (0, 0, z - 0.04)), *legs]), _WOOD, False)]


def _chair(rng: np.random.Generator) -> list[Part]:
    z = rng.uniform(0.4, 0.5)
    legs = [box((0.04, 0.04, z - 0.01), (a * 0.19, b * 0.19, 0)) for a in (-1, 1) for b in (-1, 1)]
    back = [box((0.03, 0.06, 0.4), (-0.2, y, z + 0.06)) for y in np.linspace(-0.18, 0.18, 4)]
    seat = box((0.45, 0.45, 0.05), (0, 0, z))
    return [(np.concatenate([*legs, *back]), _WOOD, False), (seat, _SOFT if rng.random() < 0.5 else _WOOD, False)]


def _sofa(rng: np.random.Generator) -> list[Part]:
    width, deep = rng.uniform(0.8, 2.6), rng.uniform(0.75, 1.0)
    parts = [box((width, deep - 0.22, 0.42), (0, 0.11, 0)), box((width, 0.2, 0.85), (0, -deep / 2 + 0.1, 0))]
    parts += [box((0.18, deep, 0.6), (side * (width / 2 + 0.1), 0, 0)) for side in (-1, 1)]
    count = max(1, round(width / 0.7))
    cushions = [
        box((width / count - 0.03, deep - 0.27, 0.15), ((k + 0.5) * width / count - width / 2, 0.11, 0.43))
        for k in range(count)
    ]
    return [(np.concatenate(parts), _SOFT, False), (np.concatenate(cushions), _SOFT, False)]


def _shelf(rng: np.random.Generator) -> list[Part]:
    width, deep, high = rng.uniform(0.5, 2.0), rng.uniform(0.22, 0.45), rng.uniform(0.8, 2.2)
    boards = [
        box((width - 0.06, deep - 0.02, 0.02), (0, 0, z))
        for z in np.linspace(0.04, high - 0.03, max(2, int(high / 0.35)) + 1)
    ]
    sides = [box((0.02, deep, high), (side * (width / 2 - 0.01), 0, 0)) for side in (-1, 1)]
    back = box((width - 0.06, 0.01, high - 0.02), (0, -deep / 2, 0.01))
    levels, books = np.linspace(0.04, high - 0.03, max(2, int(high / 0.35)) + 1), []
    for low, top in zip(levels[:-1], levels[1:], strict=True):
        at = -width / 2 + 0.05
        while rng.random() < 0.92:
            thick = rng.uniform(0.02, 0.07)
            if at + thick > width / 2 - 0.05:
                break
            size = (thick, deep * rng.uniform(0.5, 0.85), (top - low - 0.02) * rng.uniform(0.5, 0.9))
            books.append(box(size, (at + thick / 2, 0, low + 0.022)))
            at += thick + 0.004
    parts: list[Part] = [(np.concatenate([*boards, *sides, back]), _WOOD, False)]
    return [*parts, (np.concatenate(books), (1.0, 4.0), False)] if books else parts


def _cabinet(rng: np.random.Generator) -> list[Part]:
    return [(box((rng.uniform(0.4, 2.0), rng.uniform(0.35, 0.7), rng.uniform(0.5, 2.2))), _WOOD, False)]


def _bed(rng: np.random.Generator) -> list[Part]:
    x, y = rng.uniform(0.8, 2.0), rng.uniform(1.9, 2.2)
    return [
        (np.concatenate([box((x, y, 0.3)), box((x, 0.06, 0.9), (0, -y / 2 - 0.04, 0))]), _WOOD, False),
        (box((x - 0.02, y - 0.02, 0.22), (0, 0, 0.301)), _SOFT, False),
    ]


def _lamp(rng: np.random.Generator) -> list[Part]:
    z, sides = rng.uniform(1.2, 1.8), int(rng.integers(8, 24))
    profile = [
        (0.0, 0.0),
        (0.16, 0.0),
        (0.16, 0.03),
        (0.02, 0.05),
        (0.02, z - 0.3),
        (0.22, z - 0.3),
        (0.13, z),
        (0.0, z),
    ]
    return [(lathe(profile, sides), _HARD, False)]


def _plant(rng: np.random.Generator) -> list[Part]:
    radius, count = rng.uniform(0.2, 0.5), int(between(rng, 40, 900))
    pot = lathe([(0.0, 0.0), (0.15, 0.0), (0.2, 0.35), (0.17, 0.36), (0.0, 0.33)], 16)
    return [(pot, _HARD, False), (leaves(rng, count, radius, 0.06) + [0, 0, 0.45 + radius], (1.0, 4.0), True)]


def _ball(rng: np.random.Generator) -> list[Part]:
    return [(ball(rng.uniform(0.15, 0.6), int(between(rng, 6, 20))), (0.5, 5.0), False)]


def _statue(rng: np.random.Generator) -> list[Part]:
    rings, sides = int(between(rng, 10, 40)), int(between(rng, 10, 30))
    height, turn = rng.uniform(0.8, 2.0), np.linspace(0.0, 1.0, rings)
    wave = rng.normal(0.0, 0.05, 4) @ np.sin(np.outer(np.arange(1, 5), 6.3 * turn) + rng.uniform(0, 6.3, (4, 1)))
    radius = np.maximum(0.22 + wave, 0.06)
    profile = [(0.0, 0.0), *zip(radius, height * turn, strict=True), (0.0, height)]
    return [(lathe([(float(r), float(z)) for r, z in profile], sides), _HARD, False)]


def _screen(rng: np.random.Generator) -> list[Part]:
    return [(box((rng.uniform(0.8, 2.0), 0.05, rng.uniform(1.0, 2.0))), (0.5, 6.0), False)]


def _curtain(rng: np.random.Generator) -> list[Part]:
    width = rng.uniform(0.8, 3.0)
    hung = curtain(width, rng.uniform(1.6, 2.3), int(4 * width)) + [0, 0, 0.03]
    return [(hung, _SOFT, True)]


def _pillar(rng: np.random.Generator) -> list[Part]:
    return [(column(rng.uniform(0.1, 0.3), rng.uniform(1.0, 2.2), int(rng.integers(8, 24))), _HARD, False)]


def _desk(rng: np.random.Generator) -> list[Part]:
    parts = _table(rng)
    screen = box((0.03, 0.55, 0.35), (0, 0, parts[0][0][..., 2].max() + 0.05))
    return [*parts, (screen, _HARD, False)]


def _machine(rng: np.random.Generator) -> list[Part]:
    x, y, z = rng.uniform(0.8, 3.0), rng.uniform(0.6, 1.8), rng.uniform(0.6, 2.0)
    drum = put(pipe(0.2 * y, 0.9 * x, int(rng.integers(12, 32))), np.array([0, 0, z + 0.2 * y + 0.01]), 0.0)
    vents = [
        box((0.1, 0.1, rng.uniform(0.2, 0.8)), (a * x / 2 + a * 0.06, b, 0.1)) for a in (-1, 1) for b in (-0.2, 0.2)
    ]
    return [(np.concatenate([box((x, y, z)), drum, *vents]), _HARD, False)]


def _heap(rng: np.random.Generator) -> list[Part]:
    """Sacks, rubble, a bush, a rug over things: a rough hill."""
    rings, width = int(between(rng, 4, 16)), rng.uniform(0.6, 2.4)
    share = np.linspace(0.0, 1.0, rings + 1)
    plan = disk(0.5 * width * share, np.linspace(0.0, 2.0 * np.pi, 3 * rings + 1))
    up = ((1.0 - share**2) * rng.uniform(0.4, 1.2))[:, None] * rng.uniform(0.6, 1.0, plan.shape[:2])
    up[0], up[:, -1] = up[0, 0], up[:, 0]
    top = np.concatenate([plan, up[..., None]], axis=2)
    base = top * [1.0, 1.0, 0.0]
    return [(np.concatenate([sheet(top), sheet(base)[:, ::-1]]), (0.5, 5.0), False)]


HOME = (_table, _chair, _chair, _sofa, _shelf, _cabinet, _bed, _lamp, _plant, _ball, _screen, _curtain, _statue)
OFFICE = (_desk, _desk, _chair, _chair, _shelf, _cabinet, _screen, _plant)
WORKS = (_machine, _machine, _cabinet, _heap, _pillar, _table)
OUTSIDE = (_plant, _heap, _statue, _ball, _cabinet, _machine, _table, _chair)


def furnish(
    site: Site, zone: Zone, pieces: int, kinds: tuple[Callable[[np.random.Generator], list[Part]], ...] = HOME
) -> None:
    """Put up to ``pieces`` of ``kinds`` on the floor of ``zone``, out of doorways and of each other's way."""
    rng = site.rng
    for _ in range(pieces):
        parts = kinds[rng.integers(len(kinds))](rng)
        stand(site, zone, parts)


def stand(site: Site, zone: Zone, parts: list[Part]) -> bool:
    """Put ``parts`` somewhere on the floor of ``zone``, every other time along a wall; say whether there was room."""
    rng = site.rng
    points = np.concatenate([part[0].reshape(-1, 3) for part in parts])
    middle = 0.5 * (points[:, :2].min(axis=0) + points[:, :2].max(axis=0))
    size = np.ptp(points, axis=0)
    count = sum(len(part[0]) for part in parts)
    if size[2] > zone.size[2] - 0.05 or site.count + count > MOST:
        return False
    radius = 0.5 * float(np.hypot(*size[:2]))
    along = rng.random() < 0.5
    angle = 0.5 * np.pi * int(rng.integers(4)) if along or rng.random() < 0.4 else float(rng.uniform(0.0, 2.0 * np.pi))
    turned = np.abs([np.cos(angle), np.sin(angle)])
    half = 0.5 * np.array([turned @ size[:2], turned[::-1] @ size[:2]]) + 0.02
    low, high = zone.low[:2] + half, zone.high[:2] - half
    if (low > high).any():
        return False
    for _ in range(8):
        place = low + rng.random(2) * (high - low)
        if along:
            side, axis = int(rng.integers(2)), int(rng.integers(2))
            place[axis] = (low, high)[side][axis]
        if all(np.hypot(place[0] - x, place[1] - y) > radius + r + _CLEAR for x, y, r in site.clear):
            break
    else:
        return False
    site.clear.append((float(place[0]), float(place[1]), radius))
    for corners, (less, more), thin in parts:
        foot = np.array([*place, zone.low[2] + _LIFT])
        site.add(put(corners - [*middle, 0.0], foot, angle), site.surface(less, more), thin)
    return True


def clutter(site: Site, zone: Zone, pieces: int) -> None:
    """Put small things, a tenth to a third of the size of ``zone``, on its floor."""
    rng = site.rng
    for _ in range(pieces):
        size = zone.size * rng.uniform(0.1, 0.33, 3)
        kind = rng.integers(3)
        if kind == 0:
            body = box(tuple(size))
        elif kind == 1:
            body = ball(0.5 * float(size.min()), int(rng.integers(5, 12)))
        else:
            body = column(0.5 * float(size[:2].min()), float(size[2]), int(rng.integers(8, 20)))
        stand(site, zone, [(body, (0.5, 6.0), False)])
