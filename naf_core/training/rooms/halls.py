"""Large and odd rooms: vaults, offices, works, churches, theatres, round rooms and tunnels."""

from __future__ import annotations

import numpy as np

from naf_core.training.rooms.carving import Carving
from naf_core.training.rooms.dwellings import door, split, storey, windows
from naf_core.training.rooms.furniture import OFFICE, WORKS, furnish
from naf_core.training.rooms.shapes import box, column, disk, pipe, put
from naf_core.training.rooms.shells import LIDS, lid, shell
from naf_core.training.rooms.site import MOST, Site, Zone, between


def vault(site: Site) -> None:
    """A room under a roof, a vault or a dome, from an attic to a hall, some with a room beside it."""
    rng, carving = site.rng, Carving()
    size = np.array([between(rng, 3.0, 26.0), between(rng, 2.5, 15.0), 0.0])
    small = float(size[:2].min())
    size[2] = float(rng.uniform(0.5, 1.8)) if rng.random() < 0.3 else between(rng, 2.0, max(2.1, 0.6 * small))
    zone, palette = site.zone((0, 0, 0), size), site.palette()
    carving.air(zone.low, zone.high, palette)
    if size[2] > 2.2 and rng.random() < 0.4:
        side = site.zone(
            (zone.high[0] + 0.2, 0, 0), (zone.high[0] + between(rng, 2.0, 7.0), size[1], rng.uniform(2.2, 3.0))
        )
        carving.air(side.low, side.high, site.palette())
        door(site, carving, zone, side, 0, palette)
        furnish(site, side, int(rng.integers(0, 8)))
    windows(site, carving, zone, sides=(0, 2, 3))
    height = max(0.12 * small, (1.9 if size[2] < 1.8 else 0.3) * rng.uniform(0.8, 1.2), small * rng.uniform(0.15, 0.5))
    shape = str(rng.choice(LIDS))
    lid(site, carving, zone, shape, height, palette)
    site.zones.append(Zone(zone.low, zone.high + [0, 0, height]))
    rows = int(rng.integers(2, 6)) if small > 6.0 and size[2] > 3.0 and rng.random() < 0.6 else 0
    _colonnade(site, zone, rows, float(size[2]) - 0.02)
    furnish(site, zone, int(rng.poisson(min(20.0, 0.3 * zone.area))))
    carving.build(site)


def office(site: Site) -> None:
    """A wide, low room full of desks, some with glazed rooms along one side."""
    rng, carving = site.rng, Carving()
    x, y, z = between(rng, 6.0, 40.0), between(rng, 5.0, 22.0), float(rng.uniform(2.4, 3.8))
    rooms = [(np.zeros(2), np.round([x, y], 2))]
    if rng.random() < 0.5:
        deep = float(rng.uniform(2.5, 4.5))
        rooms += split(
            rng, np.array([0.0, y + 0.12]), np.array([min(x, 16.0), y + 0.12 + deep]), int(rng.integers(1, 5))
        )
    zones = storey(site, carving, rooms, 0.0, z)
    windows(site, carving, zones[0], sides=(0, 1, 2))
    hall = zones[0]
    _colonnade(site, hall, int(rng.integers(0, 4)) if hall.area > 80.0 else 0, hall.size[2] - 0.02)
    if rng.random() < 0.5:  # baffles or lamps that hang
        hanging = site.surface(0.5, 6.0)
        for place in np.arange(0.8, hall.size[0] - 0.8, rng.uniform(1.0, 2.5)):
            body = box((0.06, 0.7 * hall.size[1], 0.15), (place, 0.5 * hall.size[1], hall.size[2] - 0.35))
            site.add(body, hanging)
    for zone in zones:
        furnish(site, zone, int(min(90.0, zone.area * rng.uniform(0.05, 0.3))), OFFICE)
    carving.build(site)


def works(site: Site) -> None:
    """A workshop, a plant or a store: machines, racks, pipes, a roof of sheds."""
    rng, carving = site.rng, Carving()
    size = (between(rng, 6.0, 48.0), between(rng, 5.0, 26.0), between(rng, 3.2, 12.0))
    zone, palette = site.zone((0, 0, 0), size), site.palette()
    carving.air(zone.low, zone.high, palette)
    if rng.random() < 0.3:  # an office on a gallery, or only the gallery
        deep = min(3.0, 0.3 * size[1])
        carving.solid((0, 0, 2.4), (size[0] * rng.uniform(0.3, 1.0), deep, 2.6), site.plain(0.5, 2.0))
    if rng.random() < 0.6:
        height = float(rng.uniform(0.8, 3.0))
        lid(site, carving, zone, str(rng.choice(("zigzag", "gable", "barrel", "waves"))), height, palette)
    else:
        for place in np.arange(2.0, size[0] - 2.0, rng.uniform(3.0, 6.0)):
            carving.solid((place, 0, size[2] - 0.5), (place + 0.3, size[1], size[2]))
    metal = site.surface(0.3, 1.0)
    for _ in range(int(rng.integers(0, 8))):
        duct = pipe(float(rng.uniform(0.08, 0.4)), 0.9 * size[0], int(rng.integers(10, 24)))
        at = np.array([0.5 * size[0], rng.uniform(0.6, size[1] - 0.6), size[2] - rng.uniform(1.0, 1.4)])
        if all(abs(at[1] - y) > 1.0 for _, y, r in site.clear if r == 0.0):
            site.add(put(duct, at, 0.0), metal)
            site.clear.append((float(at[0]), float(at[1]), 0.0))
    _colonnade(site, zone, int(rng.integers(0, 6)), size[2] - 1.5)
    furnish(site, zone, int(min(60.0, zone.area * rng.uniform(0.03, 0.2))), WORKS)
    carving.build(site)


def church(site: Site) -> None:
    """A nave, some with aisles, transept and choir, from a chapel to a cathedral."""
    rng, carving = site.rng, Carving()
    scale = between(rng, 0.35, 1.7)
    wide, long = round(float(rng.uniform(7.0, 10.0)) * scale, 2), round(float(rng.uniform(22.0, 36.0)) * scale, 2)
    low = max(2.6, round(float(rng.uniform(4.0, 6.0)) * scale, 2))
    high = low + round(float(rng.uniform(0.3, 1.0)) * wide, 2)
    palette = site.palette()
    nave = site.zone((0, 0, 0), (long, wide, high))
    aisle = round(wide * float(rng.uniform(0.35, 0.6)), 2) if rng.random() < 0.7 else 0.0
    sides = int(rng.integers(1, 3)) if aisle else 0
    if aisle:
        other = site.palette()
        near = -aisle, wide + (aisle if sides == 2 else 0.0)
        carving.air((0, near[0], 0), (long, near[1], low), other)
        site.zones += [Zone(np.array([0, near[0], 0.0]), np.array([long, 0.0, low]))]
        if sides == 2:
            site.zones += [Zone(np.array([0, wide, 0.0]), np.array([long, near[1], low]))]
    if rng.random() < 0.5:
        start, deep = round(0.62 * long, 2), round(0.16 * long, 2)
        reach = round(aisle + wide * float(rng.uniform(0.3, 0.7)), 2)
        tall = min(high, low + round(0.3 * wide, 2))
        cross = site.zone((start, -reach, 0), (start + deep, wide + reach, tall))
        carving.air(cross.low, cross.high, palette)
    carving.air(nave.low, nave.high, palette)
    if rng.random() < 0.7:  # a choir, two steps up
        choir = site.zone((long, 0.15 * wide, 0.0), (long + 0.8 * wide, 0.85 * wide, 0.85 * high))
        carving.air(choir.low, choir.high, palette)
        for step in range(2):
            carving.solid(
                (long + 0.4 * step, 0.15 * wide, 0.17 * step), (choir.high[0], 0.85 * wide, 0.17 * (step + 1))
            )
    if rng.random() < 0.5:  # an organ loft
        carving.solid((0, 0, 0.5 * low), (0.12 * long, wide, 0.5 * low + 0.25))
    shape = str(rng.choice(("barrel", "pointed", "gable"), p=(0.35, 0.45, 0.2)))
    lid(site, carving, nave, shape, wide * float(rng.uniform(0.25, 0.55)), palette)
    stone = site.surface(0.4, 1.0)
    if aisle:
        bays = int(rng.integers(3, 9))
        radius, facets = 0.06 * wide * float(rng.uniform(0.6, 1.2)), int(rng.integers(8, 28))
        for y in (0.0, wide)[:sides]:
            for bay in range(1, bays):
                foot = np.array([long * bay / bays, y, 0.0])
                site.add(put(column(radius, low - 0.004, facets), foot + [0, 0, 0.002], 0.0), stone)
                site.clear.append((float(foot[0]), float(foot[1]), radius))
    pews = site.surface(0.5, 1.5)
    if rng.random() < 0.75:
        for x in np.arange(0.16 * long, 0.6 * long, max(0.95, 0.02 * long)):
            for middle in (0.27, 0.73):
                for size, foot in (((0.4, 0.4 * wide, 0.05), (0.0, 0.4)), ((0.04, 0.4 * wide, 0.85), (-0.25, 0.02))):
                    site.add(box(size, (x + foot[0], middle * wide, foot[1])), pews)
    furnish(site, Zone(nave.low + [0.62 * long, 0, 0], nave.high), int(rng.integers(0, 10)))
    carving.build(site)


def theatre(site: Site) -> None:
    """Rows of seats that rise before a stage, some with a balcony and a fly tower; lecture rooms among them."""
    rng, carving = site.rng, Carving()
    rows = int(between(rng, 5, 26))
    tread, step = round(float(rng.uniform(0.85, 1.1)), 2), round(float(rng.uniform(0.08, 0.32)), 2)
    front, back = round(float(rng.uniform(1.5, 4.0)), 2), round(float(rng.uniform(1.0, 2.5)), 2)
    deep, wide = front + rows * tread + back, between(rng, 6.0, 10.0 + rows)
    high = rows * step + max(2.6, between(rng, 0.12, 0.5) * deep)
    house, palette = site.zone((0, 0, 0), (deep, wide, high)), site.palette()
    wide, high = float(house.size[1]), float(house.size[2])
    carving.air(house.low, house.high, palette)
    carpet = site.plain(0.5, 5.0)
    for k in range(rows):
        carving.solid((front + k * tread, 0, 0), (house.high[0], wide, (k + 1) * step), carpet)
    stage = between(rng, 2.0, 10.0)
    tower = between(rng, 2.5, 3.0) if stage < 4.0 else max(3.0, high * float(rng.uniform(0.7, 1.6)))
    inset = wide * float(rng.uniform(0.0, 0.15))
    platform = site.zone((-stage, inset, 0.6), (0.0, wide - inset, 0.6 + tower))
    carving.air(platform.low, platform.high, site.palette())
    arch = min(high, 0.6 + tower, max(2.6, 0.75 * high))
    carving.solid((-0.3, 0, arch), (0.0, wide, 0.6 + tower + 1.0))
    if rows > 10 and rng.random() < 0.5:
        start, level = front + 0.55 * rows * tread, rows * step + 2.5
        if high - level > 2.8:
            carving.solid((start, 0, level), (house.high[0], wide, level + 0.3), carpet)
            carving.solid((start, 0, level), (start + 0.12, wide, level + 1.1))
    seats = site.surface(1.5, 8.0)
    chunks = max(1, round(wide / 5.0))
    for k in range(rows):
        for chunk in range(chunks):
            middle, width = wide * (chunk + 0.5) / chunks, 0.85 * wide / chunks
            foot = front + (k + 0.6) * tread, (k + 1) * step
            site.add(box((0.42, width, 0.12), (foot[0], middle, foot[1] + 0.36)), seats)
            site.add(box((0.07, width, 0.75), (foot[0] + 0.27, middle, foot[1] + 0.1)), seats)
    panels = site.surface(0.4, 6.0)
    for place in (
        np.arange(1.0, 0.8 * deep, rng.uniform(1.5, 4.0)) if rng.random() < 0.5 and high > rows * step + 3.4 else ()
    ):
        site.add(box((1.0, 0.8 * wide, 0.05), (float(place), 0.5 * wide, high - 0.5)), panels)
    furnish(site, platform, int(rng.integers(0, 8)))
    carving.build(site)


def rotunda(site: Site) -> None:
    """A round, oval, many-sided or fan-shaped room, under a dome, a cone or a flat ceiling."""
    rng, carving = site.rng, Carving()
    radius = round(between(rng, 1.6, 16.0), 2)
    palette = site.palette()
    fan = rng.random() < 0.25
    if fan:
        spread = float(rng.uniform(0.35, 1.1))
        angles = np.linspace(-spread, spread, int(rng.integers(6, 20)))
        inner, stretch = float(rng.uniform(0.15, 0.5)) * radius, 1.0
    else:
        sides = int(rng.choice([5, 6, 8, 12, 24, 48]))
        angles = (np.arange(sides + 1) - 0.5) * 2.0 * np.pi / sides
        inner, stretch = 0.0, 1.0 if rng.random() < 0.6 else float(rng.uniform(0.5, 0.9))
    rings = int(rng.integers(4, 12))
    radii = np.linspace(inner, radius, rings + 1)
    plan = disk(radii, angles, stretch)
    share = np.broadcast_to(radii[:, None] / radius, plan.shape[:2])
    eaves = max(2.3, between(rng, 0.2, 1.2) * radius)
    kind = rng.choice(["dome", "cone", "flat", "bowl"])
    if kind == "dome":
        ceiling = eaves + float(rng.uniform(0.3, 1.0)) * radius * np.sqrt(np.maximum(1.0 - share**2, 0.0))
    elif kind == "cone":
        ceiling = eaves + float(rng.uniform(0.2, 0.9)) * radius * (1.0 - share)
    else:
        ceiling = np.full(share.shape, eaves)
    floor = np.zeros(share.shape)
    if kind == "bowl" or (fan and rng.random() < 0.5):  # seats rise all around
        floor = 0.35 * (eaves - 2.0) * np.maximum(0.0, share - 0.4) / 0.6
    opening = 0.0
    half = float(radius * np.sin(angles[1] - angles[0]) / 2.0) if not fan else 0.0
    facet = plan[-1, :2]
    passage = not fan and kind != "bowl" and 0.35 < half * stretch < 4.0 and rng.random() < 0.6
    if passage:  # through the side that faces x
        opening = 2.1
        (x, y), (_, top) = facet
        site.ways.append(np.array([x, 0.0, 1.2]))
        hall = site.zone((x, min(y, -1.0), 0.0), (x + between(rng, 2.0, 12.0), max(top, 1.0), rng.uniform(2.3, 3.2)))
        start = x + 0.2
        hall = Zone(np.array([start, *hall.low[1:]]), hall.high + [0.5, 0.0, 0.0])
        site.zones[-1] = hall
        other = site.palette()
        carving.air(hall.low, hall.high, other)
        carving.air((x, y, 0.0), (start, top, opening), other)
        carving.elsewhere((x - 1.0, y, 0.0), (x, top, opening))
        furnish(site, hall, int(rng.integers(0, 10)))
        carving.build(site)
    shell(site, plan, floor, ceiling, palette, closed=not fan, doorway=opening)
    tall = float(ceiling.max())
    low, high = plan.reshape(-1, 2).min(axis=0), plan.reshape(-1, 2).max(axis=0)
    site.zones.append(Zone(np.array([*low, 0.0]), np.array([*high, tall])))
    if not fan and radius > 5.0 and rng.random() < 0.5:  # a ring of columns
        stone, count, thick = site.surface(0.4, 1.2), int(rng.integers(6, 17)), 0.03 * radius + 0.1
        for turn in np.linspace(0.0, 2.0 * np.pi, count, endpoint=False) + 0.3:
            foot = np.array([0.72 * radius * np.cos(turn), 0.72 * stretch * radius * np.sin(turn), 0.0])
            under = float(np.interp(0.72 * radius, radii, floor[:, 0]))
            site.add(put(column(thick, eaves - under - 0.02, 16), foot + [0, 0, under + 0.01], 0.0), stone)
            site.clear.append((float(foot[0]), float(foot[1]), thick))
    if not fan and kind != "bowl":
        side = 0.6 * stretch * radius
        furnish(site, Zone(np.array([-side, -side, 0.0]), np.array([side, side, eaves])), int(rng.integers(2, 14)))
    if fan or kind == "bowl":
        reach = 0.38 * radius
        middle = 0.5 * (inner + radius) if fan else 0.0
        stand = Zone(
            np.array([middle - 0.3 * reach, -0.3 * reach, 0.4 * eaves]),
            np.array([middle + 0.3 * reach, 0.3 * reach, eaves - 0.1]),
        )
        body = box((0.5 * stand.size[0], 0.5 * stand.size[1], 0.05), (middle, 0.0, float(eaves - 0.5)))
        site.add(body, site.surface(0.5, 4.0))


def tunnel(site: Site) -> None:
    """A passage under a vault that winds, from a cellar to a cave of rough walls."""
    rng = site.rng
    length, width = between(rng, 6.0, 60.0), between(rng, 1.6, 9.0)
    height = max(2.0, width * float(rng.uniform(0.5, 1.0)))
    m, n = int(np.clip(length / rng.uniform(0.4, 1.2), 12, 90)), int(rng.integers(6, 19))
    along = np.linspace(0.0, 1.0, m + 1)
    # Never tighter than the passage is wide.
    tightest = 0.9 / (0.5 * width + 1.0)
    bend = np.clip(
        rng.normal(0.0, 1.2, 3) @ np.cos(np.outer([0, 1, 2], np.pi * along)) * 2.0 / length, -tightest, tightest
    )
    heading = np.concatenate([[0.0], np.cumsum(bend[1:] * length / m)])
    heading = np.clip(heading, -1.5, 1.5)
    ahead = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    middle = np.concatenate([np.zeros((1, 2)), np.cumsum(0.5 * (ahead[1:] + ahead[:-1]) * length / m, axis=0)])
    left = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    across = np.linspace(-0.5, 0.5, n + 1)
    rough = float(rng.uniform(0.02, 0.12)) * width if rng.random() < 0.5 else 0.0
    broad = width * (1.0 + (0.25 * np.sin(rng.uniform(2.0, 6.0) * np.pi * along) if rough else 0.0 * along))
    plan = middle[:, None] + left[:, None] * (across[None, :] * broad[:, None])[..., None]
    spring = float(rng.uniform(0.15, 0.6)) * height
    crown = spring + (height - spring) * np.sqrt(np.maximum(1.0 - 4.0 * across**2, 0.0))
    ceiling = np.tile(crown, (m + 1, 1)) + np.abs(rng.normal(0.0, 1.0, plan.shape[:2])) * rough
    floor = -np.abs(rng.normal(0.0, 0.3, plan.shape[:2])) * rough
    palette = site.palette()
    shell(site, plan, floor, ceiling, palette)
    for k in range(0, m, max(1, m // 12)):
        site.ways.append(np.array([*middle[k], 0.5 * height]))
        low, high = plan[k : k + 2].reshape(-1, 2).min(axis=0), plan[k : k + 2].reshape(-1, 2).max(axis=0)
        site.zones.append(Zone(np.array([*low, 0.0]), np.array([*high, height])))
    stone = site.surface(0.5, 3.0)
    for k in range(1, m, max(2, m // int(rng.integers(2, 9)))):
        if rng.random() < 0.6 and site.count < MOST:
            side = between(rng, 0.2, 0.25 * width)
            foot = np.array([*(middle[k] + left[k] * width * rng.uniform(-0.2, 0.2)), 0.01])
            site.add(put(box((side, side, between(rng, 0.2, 0.6 * height))), foot, float(rng.uniform(0, 3))), stone)


def _colonnade(site: Site, zone: Zone, pairs: int, height: float) -> None:
    """``pairs`` of columns in two rows."""
    rng = site.rng
    radius, sides = float(rng.uniform(0.12, 0.35)), int(rng.integers(4, 24))
    material = site.surface(0.4, 1.5)
    for k in range(pairs):
        for share in (0.28, 0.72):
            foot = zone.low + zone.size * [(k + 0.5) / pairs, share, 0.0] + [0.0, 0.0, 0.005]
            site.add(put(column(radius, height - 0.01, sides), foot, 0.0), material)
            site.clear.append((float(foot[0]), float(foot[1]), radius))
