"""Half-open places: courtyards, streets, stage sets and porches."""

from __future__ import annotations

import numpy as np

from naf_core.training.rooms.carving import Carving
from naf_core.training.rooms.dwellings import door
from naf_core.training.rooms.furniture import HOME, OUTSIDE, furnish
from naf_core.training.rooms.shapes import column, put
from naf_core.training.rooms.site import Site, Zone, between

_EARS = 3.0  # m: where people stand outdoors is no higher


def courtyard(site: Site) -> None:
    """A yard between buildings, some with an arcade, a gate or rooms that open to it."""
    rng, carving = site.rng, Carving()
    x, y = round(between(rng, 4.0, 35.0), 2), round(between(rng, 4.0, 25.0), 2)
    high = round(between(rng, 2.8, 16.0), 2)
    palette = site.palette()
    carving.air((0, 0, 0), (x, y, high), palette)
    carving.sky((0, 0, high), (x, y, high + 1.0))
    yard = site.zone((0, 0, 0), (x, y, min(high, _EARS + 1.0)))
    for low, reach in (((0, 0), (x, 0.15 * y)), ((0.85 * x, 0), (x, y))):  # a lower wing
        if rng.random() < 0.35:
            carving.solid((*low, 0), (*reach, high * rng.uniform(0.3, 0.8)), site.plain(0.4, 1.6))
            site.clear += [
                (low[0] + u * (reach[0] - low[0]), low[1] + v * (reach[1] - low[1]), 0.3 * min(x, y))
                for u in (0.1, 0.5, 0.9)
                for v in (0.1, 0.5, 0.9)
            ]
    if rng.random() < 0.5:  # an arcade
        deep, low = round(float(rng.uniform(1.8, 4.0)), 2), min(high - 0.3, round(float(rng.uniform(2.2, 4.0)), 2))
        arcade = site.zone((-deep, 0, 0), (0, y, low))
        carving.air(arcade.low, arcade.high, site.palette())
        stone, bays = site.surface(0.4, 1.2), int(rng.integers(2, 8))
        for bay in range(1, bays):
            foot = np.array([-0.3, y * bay / bays, 0.002])
            site.add(put(column(0.2, low - 0.004, 16), foot, 0.0), stone)
    if rng.random() < 0.6:
        room = site.zone(
            (0.2 * x, y + 0.3, 0),
            (
                0.2 * x + between(rng, 2.5, 7.0),
                y + 0.3 + between(rng, 2.5, 6.0),
                min(rng.uniform(2.3, 3.2), high - 0.2),
            ),
        )
        inner = site.palette()
        carving.air(room.low, room.high, inner)
        door(site, carving, yard, room, 1, inner)
        furnish(site, room, int(rng.integers(0, 10)))
    if rng.random() < 0.4:  # a gate
        at, wide = 0.4 * y, min(0.4 * y, float(rng.uniform(1.5, 4.0)))
        carving.air((0.99 * x, at, 0), (x + 2.0, at + wide, min(3.0, high - 0.2)), palette)
        carving.sky((x + 2.0, at, 0), (x + 3.0, at + wide, min(3.0, high - 0.2)))
    _niches(site, carving, 2, np.array([0.0, 0.0]), np.array([x, 0.0]), high)
    furnish(site, yard, int(rng.integers(2, 14)), OUTSIDE)
    carving.build(site)


def street(site: Site) -> None:
    """A street or an alley between houses of many heights, open above and at its ends."""
    rng, carving = site.rng, Carving()
    long, wide = round(between(rng, 12.0, 60.0), 2), round(between(rng, 2.5, 16.0), 2)
    high = round(between(rng, 5.0, 20.0), 2)
    palette, walk = site.palette(), 2.0
    low, reach = (0.0, -3.0), (long, wide + 3.0)
    carving.air((*low, 0), (*reach, high), palette)
    for start, end in (
        ((-1.0, -3.0, 0), (0.0, wide + 3.0, high)),
        ((long, -3.0, 0), (long + 1.0, wide + 3.0, high)),
        ((0, -3.0, high), (long, wide + 3.0, high + 1.0)),
        ((0, -4.0, 0), (long, -3.0, high)),
        ((0, wide + 3.0, 0), (long, wide + 4.0, high)),
    ):
        carving.sky(start, end)
    for side in (-1, 1):
        at = 0.0
        while at < long:
            front = min(long, at + between(rng, 5.0, 14.0))
            if rng.random() < 0.85:
                y = (-3.0, 0.0) if side < 0 else (wide, wide + 3.0)
                tall = high * float(rng.uniform(0.4, 1.0))
                carving.solid((at, y[0], 0), (front, y[1], tall), site.palette())
                _niches(
                    site,
                    carving,
                    2 if side < 0 else 3,
                    np.array([at, y[1 if side < 0 else 0]]),
                    np.array([front, 0.0]),
                    tall,
                )
            at = front + (float(rng.uniform(1.2, 3.0)) if rng.random() < 0.25 else 0.0)
    if wide > 6.0:
        carving.solid((0, 0, 0), (long, min(walk, 0.2 * wide), 0.12))
    zone = site.zone((0.3, min(walk, 0.2 * wide) if wide > 6.0 else 0.0, 0), (long - 0.3, wide, _EARS))
    if rng.random() < 0.4:  # a bridge or an arch across
        at = float(rng.uniform(0.2, 0.7)) * long
        carving.solid(
            (at, 0, min(3.2, 0.5 * high)),
            (at + between(rng, 0.8, 5.0), wide, min(0.9 * high, min(3.2, 0.5 * high) + 3.0)),
        )
    furnish(site, zone, int(rng.integers(3, 20)), OUTSIDE)
    carving.build(site)


def stage_set(site: Site) -> None:
    """Walls of a room that stand without a fourth, or a roof on posts: in the open, or in a dead studio."""
    rng, carving = site.rng, Carving()
    x, y = round(between(rng, 3.0, 12.0), 2), round(between(rng, 2.5, 9.0), 2)
    tall = round(float(rng.uniform(2.2, 4.0)), 2)
    margin, high = round(between(rng, 1.5, 6.0), 2), tall + round(float(rng.uniform(1.0, 4.0)), 2)
    low, reach = (-margin, -margin), (x + margin, y + margin)
    indoors = rng.random() < 0.4
    around = site.plain(3.0, 15.0) if indoors else site.palette()
    carving.air((*low, 0), (*reach, high), around)
    if not indoors:
        for start, end in (
            ((low[0] - 1, low[1], 0), (low[0], reach[1], high)),
            ((reach[0], low[1], 0), (reach[0] + 1, reach[1], high)),
            ((low[0], low[1] - 1, 0), (reach[0], low[1], high)),
            ((low[0], reach[1], 0), (reach[0], reach[1] + 1, high)),
            ((*low, high), (*reach, high + 1)),
        ):
            carving.sky(start, end)
    thick = float(rng.uniform(0.04, 0.3))
    walls = [
        ((-thick, -thick), (0.0, y + thick)),
        ((x, -thick), (x + thick, y + thick)),
        ((0.0, -thick), (x, 0.0)),
        ((0.0, y), (x, y + thick)),
    ]
    count = int(rng.integers(0, 4))
    for k in rng.permutation(4)[:count]:
        start, end = walls[k]
        face = site.plain(0.5, 2.0)
        carving.solid((*start, 0), (*end, tall), face)
        if rng.random() < 0.6:  # a doorway or a window that is a hole
            axis = 1 if k < 2 else 0
            a, b = np.array([*start, 0.0 if rng.random() < 0.6 else 0.9]), np.array([*end, min(2.05, tall - 0.1)])
            span = b[axis] - a[axis]
            a[axis] += float(rng.uniform(0.15, 0.5)) * span
            b[axis] = a[axis] + min(1.2, 0.4 * span)
            carving.air(a, b, around)
    if rng.random() < 0.45 or count == 0:
        carving.solid((-thick, -thick, tall), (x + thick, y + thick, tall + 0.2), site.plain(0.5, 3.0))
        post = site.surface(0.5, 1.0)
        for corner in ((0.2, 0.2), (x - 0.2, 0.2), (0.2, y - 0.2), (x - 0.2, y - 0.2)):
            site.add(put(column(0.1, tall - 0.004, 12), np.array([*corner, 0.002]), 0.0), post)
            site.clear.append((*corner, 0.1))
    inside = site.zone((0, 0, 0), (x, y, tall))
    furnish(site, inside, int(rng.integers(2, 16)), HOME)
    site.zones.append(Zone(np.array([*low, 0.0]), np.array([*reach, min(high, _EARS)])))
    carving.build(site)


def _niches(site: Site, carving: Carving, side: int, start: np.ndarray, end: np.ndarray, high: float) -> None:
    """Windows and doors, set back, along a front that runs in x and faces +y (``side`` 2) or -y (3)."""
    rng = site.rng
    glass = site.plain(0.3, 1.2)
    for at in np.arange(start[0] + 0.8, end[0] - 1.8, max(2.2, (end[0] - start[0]) / 6.0)):
        for floor in np.arange(0.9, min(high, 9.0) - 1.6, 3.0):
            deep = float(rng.uniform(0.08, 0.25))
            y = (start[1] - deep, start[1]) if side == 2 else (start[1], start[1] + deep)
            carving.air((at, y[0], floor), (at + 1.0, y[1], floor + 1.4), glass)
