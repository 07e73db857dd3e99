"""Where people live: single rooms, flats, corridors, floors above each other, stairwells and cupboards."""

from __future__ import annotations

import numpy as np

from naf_core.training.rooms.carving import Carving
from naf_core.training.rooms.furniture import clutter, furnish
from naf_core.training.rooms.shapes import box, put
from naf_core.training.rooms.shells import LIDS, lid
from naf_core.training.rooms.site import Palette, Site, Zone, between

_DOOR = (0.7, 0.8, 0.9, 1.2, 1.8, 3.0)
_DOOR_SHARE = (0.2, 0.3, 0.25, 0.1, 0.1, 0.05)
_STEP = 0.27  # m from one stair to the next


def single(site: Site) -> None:
    """One room, some with an alcove, a beam, a chimney breast or a ceiling that is no plane."""
    rng, carving = site.rng, Carving()
    size = np.array(
        [between(rng, 1.8, 11.0), between(rng, 1.8, 9.0), rng.uniform(2.2, 3.2 if rng.random() < 0.7 else 5.0)]
    )
    zone, palette = site.zone((0, 0, 0), size), site.palette()
    carving.air(zone.low, zone.high, palette)
    (x, y, z) = zone.size
    if rng.random() < 0.35 and x > 2.5:  # an alcove
        start, deep = round(float(rng.uniform(0.1, 0.4)) * x, 2), round(float(rng.uniform(0.4, 3.0)), 2)
        alcove = site.zone((start, y, 0), (rng.uniform(0.6, 1.0) * x, y + deep, z if rng.random() < 0.5 else 0.85 * z))
        carving.air(alcove.low, alcove.high, palette)
    windows(site, carving, zone, sides=(0, 2))
    if rng.random() < 0.3:
        at = float(rng.uniform(0.2, 0.8)) * x
        carving.solid((at, 0, z - rng.uniform(0.15, 0.4)), (at + rng.uniform(0.1, 0.4), y, z))
    if rng.random() < 0.3 and x > 2.5:  # a chimney breast, and what goes with it
        at, deep = float(rng.uniform(0.2, 0.5)) * x, float(rng.uniform(0.2, 0.5))
        carving.solid((at, 0, 0), (at + 1.0, deep, z))
        site.clear.append((at + 0.5, 0.0, 0.55 + deep))
    elif rng.random() < 0.35:
        lid(site, carving, zone, str(rng.choice(LIDS)), float(rng.uniform(0.2, 0.6)) * z, palette)
    furnish(site, zone, _pieces(site, zone))
    carving.build(site)


def flat(site: Site) -> None:
    """Two to six rooms with doors between them, open, ajar or without a leaf."""
    rng, carving = site.rng, Carving()
    count = int(rng.integers(2, 7))
    area = count * between(rng, 7.0, 25.0)
    width = np.sqrt(area * between(rng, 0.6, 1.7))
    rooms = split(rng, np.zeros(2), np.array([width, area / width]), count)
    height = float(rng.uniform(2.3, 3.2))
    zones = storey(site, carving, rooms, 0.0, height)
    for zone in zones:
        windows(site, carving, zone, bounds=(np.zeros(2), np.array([width, area / width])))
    for zone in zones:
        furnish(site, zone, _pieces(site, zone))
    carving.build(site)


def corridor(site: Site) -> None:
    """A long passage, straight or round a corner, with rooms along it."""
    rng, carving = site.rng, Carving()
    length, width, wall = between(rng, 6.0, 35.0), float(rng.uniform(1.1, 2.6)), float(rng.uniform(0.08, 0.3))
    rooms = [(np.zeros(2), np.array([length, width]))]
    at = 0.0
    while len(rooms) < 6:
        long = between(rng, 2.0, 8.0)
        if at + long > length:
            break
        deep = between(rng, 2.0, 6.0)
        if rng.random() < 0.7:
            low = width + wall if rng.random() < 0.6 else -wall - deep
            rooms.append((np.array([at, low]), np.array([at + long, low + deep])))
        at += long + wall
    height = float(rng.uniform(2.2, 3.4))
    zones = storey(site, carving, rooms, 0.0, height)
    if rng.random() < 0.5:  # round the corner
        side = between(rng, 4.0, 20.0)
        low, high = ((length, 0.0), (length + width, side)) if rng.random() < 0.5 else ((-width, 0.0), (0.0, side))
        turn = site.zone((*low, 0.0), (*high, zones[0].high[2]))
        carving.air(turn.low, turn.high, site.palette())
        site.ways.append(np.array([0.5 * (low[0] + high[0]), 0.5 * width, 1.2]))
        zones.append(turn)
    for zone in zones:
        furnish(site, zone, _pieces(site, zone))
    carving.build(site)


def storeys(site: Site) -> None:
    """Two to four floors above each other, joined by an open stair."""
    rng, carving = site.rng, Carving()
    floors, slab = int(rng.choice([2, 3, 4], p=[0.6, 0.3, 0.1])), float(rng.uniform(0.2, 0.4))
    height = float(rng.uniform(2.3, 3.0))
    pitch = height + slab
    steps = round(pitch / 0.18)
    run, lane = steps * _STEP, float(rng.uniform(0.9, 1.2))
    end = run + 2.0
    shaft, palette = site.zone((0, 0, 0), (end, 2 * lane, floors * pitch - slab)), site.palette()
    carving.air(shaft.low, shaft.high, palette)
    wood = site.plain(0.4, 1.5)
    for k in range(floors):
        base = k * pitch
        if k:
            carving.solid((0, lane, base - slab), (end, 2 * lane, base), wood)
            carving.solid((0, 0, base - slab), (1.0, lane, base), wood)
            carving.solid((1.0 + run, 0, base - slab), (end, lane, base), wood)
        if k < floors - 1:
            for step in range(1, steps):
                top = base + step * pitch / steps
                x = 1.0 + step * _STEP
                carving.solid((x, 0, max(top - 0.25, base)), (x + _STEP, lane, top), wood)
            site.ways.append(np.array([1.0 + 0.5 * run, 0.5 * lane, base + pitch]))
        site.ways.append(np.array([0.5, 1.5 * lane, base + 1.5]))
    stair = (shaft.low[:2], shaft.high[:2])
    low = np.array([0.0, 2.0 * lane + 0.15])
    for k in range(floors):
        high = np.array([max(between(rng, 3.0, 10.0), 2.5), low[1] + between(rng, 2.5, 8.0)])
        rooms = split(rng, low, high, int(rng.integers(1, 4 if floors < 3 else 3)))
        zones = storey(site, carving, [stair, *rooms], k * pitch, height, first=shaft)[1:]
        for zone in zones:
            furnish(site, zone, _pieces(site, zone))
    carving.build(site)


def stairs(site: Site) -> None:
    """A stairwell of flights that turn back at every landing, some with passages leading off."""
    rng, carving = site.rng, Carving()
    flights, steps = int(rng.integers(2, 11)), int(rng.integers(7, 12))
    rise, lane, well = steps * 0.175, float(rng.uniform(0.9, 1.6)), float(rng.uniform(0.1, 0.8))
    run = (steps - 1) * _STEP
    deep = 2.0 * lane + well
    landing = lane + 0.1
    length = run + 2.0 * landing
    shaft = site.zone((0, 0, 0), (length, deep, flights * rise + rng.uniform(2.3, 3.5)))
    carving.air(shaft.low, shaft.high, site.palette())
    stone = site.plain(0.4, 1.2)
    for k in range(flights):
        base, back = k * rise, k % 2 == 1
        y = deep - lane if back else 0.0
        for step in range(1, steps):
            top = base + step * 0.175
            x = landing + (run - step * _STEP if back else (step - 1) * _STEP)
            carving.solid((x, y, max(top - 0.25, 0.0)), (x + _STEP, y + lane, top), stone)
        top = base + rise
        low, high = (0.0, landing) if back else (length - landing, length)
        carving.solid((low, 0.0, top - 0.2), (high, deep, top), stone)
        site.ways += [
            np.array([0.5 * (low + high), 0.5 * deep, top + 1.4]),
            np.array([0.5 * length, y + 0.5 * lane, top + 0.4]),
        ]
        if k < flights - 1 and rng.random() < 0.35:
            wall, side = 0.2, between(rng, 2.0, 9.0)
            start, end = (-wall - side, -wall) if back else (length + wall, length + wall + side)
            passage = site.zone(
                (start, 0.0, top), (end, max(1.2, deep * rng.uniform(0.5, 1.0)), top + min(2.4, 2 * rise - 0.3))
            )
            palette = site.palette()
            carving.air(passage.low, passage.high, palette)
            stair = Zone(np.array([0.0, 0.0, top]), np.array([length, deep, top + 2.4]))
            first, second = (passage, stair) if back else (stair, passage)
            door(site, carving, first, second, 0, palette)
    carving.build(site)


def cupboard(site: Site) -> None:
    """A closet of 1 to 8 cubic metres, every other one behind a door that stands ajar in a room."""
    rng, carving = site.rng, Carving()
    volume = between(rng, 1.15, 8.0)
    z = float(rng.uniform(1.1, 2.3)) if volume > 1.5 else float(rng.uniform(0.9, 1.8))
    width = np.sqrt(volume / z * between(rng, 0.7, 2.0))
    closet = site.zone((0, 0, 0), (width, volume / z / width, z))
    inner = site.palette()
    carving.air(closet.low, closet.high, inner)
    (x, y, z) = closet.size
    if rng.random() < 0.4:  # boards
        for level in np.arange(0.3, z - 0.2, rng.uniform(0.3, 0.6)):
            carving.solid((0, 0, level), (0.4 * x, y, level + 0.02))
    if rng.random() < 0.5:
        carving.solid((0.5 * x, 0, z - 0.15), (0.5 * x + 0.05, y, z - 0.1))
    if rng.random() < 0.5:
        wall = 0.06
        room = site.zone(
            (-0.5, y + wall, 0), (rng.uniform(2.0, 5.0), y + wall + rng.uniform(2.2, 5.0), max(2.2, z + 0.2))
        )
        outer = site.palette()
        carving.air(room.low, room.high, outer)
        door(site, carving, closet, room, 1, inner)
        furnish(site, room, _pieces(site, room))
    clutter(site, closet, int(rng.integers(2, 8)))
    while site.count < 40:
        clutter(site, closet, 1)
    carving.build(site)


def split(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Up to ``count`` rectangles, pairs of corners (2,) m, into which walls part that from ``low`` to ``high``."""
    parts = [(low, high)]
    wall = float(rng.uniform(0.08, 0.25))
    while len(parts) < count:
        parts.sort(key=lambda part: -float(np.prod(part[1] - part[0])))
        first, last = parts[0]
        size = last - first
        axis = int(np.argmax(size))
        if size[axis] < 3.4:
            break
        cut = first[axis] + size[axis] * rng.uniform(0.35, 0.65)
        one, other = last.copy(), first.copy()
        one[axis], other[axis] = cut, cut + wall
        parts[:1] = [(first, one), (other, last)]
    return [(np.round(a, 2), np.round(b, 2)) for a, b in parts]


def storey(
    site: Site,
    carving: Carving,
    rooms: list[tuple[np.ndarray, np.ndarray]],
    base: float,
    height: float,
    first: Zone | None = None,
) -> list[Zone]:
    """Carve those of ``rooms`` that doors can join to the first one, and these doors; returns their zones.

    The floors lie at ``base`` m, the ceilings ``height`` m above or lower. The first room may exist: ``first``.
    """
    rng = site.rng
    joints = []
    for i, (low, high) in enumerate(rooms):
        for j, (other_low, other_high) in enumerate(rooms):
            for axis in (0, 1):
                side = 1 - axis
                shared = min(high[side], other_high[side]) - max(low[side], other_low[side])
                if 0.0 < other_low[axis] - high[axis] < 0.5 and shared > 1.3:
                    joints.append((i, j, axis))
    joined, used = {0}, []
    while True:
        free = [joint for joint in joints if (joint[0] in joined) != (joint[1] in joined)]
        if not free:
            break
        used.append(free[rng.integers(len(free))])
        joined |= set(used[-1][:2])
    used += [joint for joint in joints if joint not in used and set(joint[:2]) <= joined and rng.random() < 0.2]
    zones: dict[int, Zone] = {}
    palettes: dict[int, Palette] = {}
    for k in sorted(joined):
        low, high = rooms[k]
        palettes[k] = site.palette()
        if k == 0 and first is not None:
            zones[k] = Zone(np.array([*low, base]), np.array([*high, base + height]))
            continue
        lower = rng.uniform(0.0, 0.5) if rng.random() < 0.3 else 0.0
        zones[k] = site.zone((*low, base), (*high, base + max(2.15, height - lower)))
        carving.air(zones[k].low, zones[k].high, palettes[k])
    for i, j, axis in used:
        door(site, carving, zones[i], zones[j], axis, palettes[i])
    return list(zones.values())


def door(site: Site, carving: Carving, one: Zone, other: Zone, axis: int, palette: Palette) -> None:
    """A doorway from ``one`` to ``other``, which lies beyond it along ``axis``, and perhaps a leaf, open or ajar."""
    rng, side = site.rng, 1 - axis
    low, high = max(one.low[side], other.low[side]), min(one.high[side], other.high[side])
    edge = min(0.15, 0.15 * (high - low))
    width = min(float(rng.choice(_DOOR, p=_DOOR_SHARE)), high - low - 2.0 * edge - 0.01)
    start = float(rng.uniform(low + edge, high - edge - width))
    base = max(one.low[2], other.low[2])
    top = min(base + float(rng.uniform(1.95, 2.2)), one.high[2] - 0.05, other.high[2] - 0.05)
    corners = np.empty((2, 3))
    corners[:, axis] = one.high[axis], other.low[axis]
    corners[:, side] = start, start + width
    corners[:, 2] = base, top
    corners = np.round(corners, 2)
    carving.air(*corners, palette)
    way = corners.mean(axis=0)
    site.ways.append(way)
    if width > 1.3 or rng.random() < 0.35:
        site.clear.append((float(way[0]), float(way[1]), 0.5 * width + 0.25))
        return
    room, out = (other, 1.0) if rng.random() < 0.5 else (one, -1.0)
    near_end = rng.random() < 0.5
    hinge = np.empty(2)
    hinge[axis] = (corners[1, axis] if out > 0.0 else corners[0, axis]) + 0.04 * out
    hinge[side] = corners[0, side] + 0.02 if near_end else corners[1, side] - 0.02
    leaf = width - 0.04
    turn = float(np.radians(between(rng, 7.0, 95.0)))
    if room.size[axis] < leaf + 0.1:  # no room for it to open wide
        turn = min(turn, 0.9 * float(np.arcsin(max(room.size[axis] - 0.1, 0.05) / leaf)))
    ahead = np.empty(2)
    ahead[axis], ahead[side] = out * np.sin(turn), np.cos(turn) * (1.0 if near_end else -1.0)
    middle = hinge + 0.5 * leaf * ahead
    body = box((leaf, 0.04, top - base - 0.03))
    site.add(put(body, np.array([*middle, base + 0.01]), float(np.arctan2(ahead[1], ahead[0]))), site.surface(0.5, 2.0))
    gap = np.empty(2)
    gap[axis], gap[side] = out * np.sin(0.5 * turn), np.cos(0.5 * turn) * (1.0 if near_end else -1.0)
    site.ways.append(np.array([*(hinge + 0.98 * leaf * gap), way[2]]))
    site.clear += [
        (float(middle[0]), float(middle[1]), 0.5 * leaf + 0.05),
        (float(way[0]), float(way[1]), 0.5 * width + 0.3),
    ]


def windows(
    site: Site,
    carving: Carving,
    zone: Zone,
    sides: tuple[int, ...] = (0, 1, 2, 3),
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Windows in walls of ``zone``: panes in niches, one in twelve open; with ``bounds``, only in its outer walls."""
    rng = site.rng
    for number in sides:
        axis, upper = divmod(number, 2)
        side = 1 - axis
        at = (zone.high if upper else zone.low)[axis]
        outer = bounds is None or abs(at - bounds[upper][axis]) < 0.02
        length, z = zone.size[side], zone.size[2]
        if not outer or rng.random() < 0.45 or length < 1.2 or z < 1.9:
            continue
        width = float(rng.uniform(0.5, 0.8 * length))
        start = zone.low[side] + float(rng.uniform(0.1, length - width - 0.1))
        deep = float(rng.uniform(0.05, 0.3))
        glass = list(site.plain(0.4, 1.4))
        corners = np.empty((2, 3))
        corners[:, side] = start, start + width
        corners[:, 2] = zone.low[2] + np.array([0.9 if rng.random() < 0.7 else 0.1, min(2.2, z - 0.2)])
        corners[:, axis] = (at, at + deep) if upper else (at - deep, at)
        carving.air(*corners, tuple(glass))
        if rng.random() < 1.0 / 12.0:
            corners[:, axis] += deep if upper else -deep
            carving.sky(*corners)


def _pieces(site: Site, zone: Zone) -> int:
    """How many pieces of furniture ``zone`` may get: from none to crowded."""
    return int(site.rng.poisson(min(16.0, zone.area * site.rng.uniform(0.0, 0.6))))
