"""Plain rooms: boxes, L-shapes, rooms joined by doorways, attics, halls and half-open places, with simple furniture.

Their seeds are in use: every draw, and the order of the draws, stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from naf_core.air import Air
from naf_core.raycast import Raycaster, sphere_directions
from naf_core.scene import Scene
from naf_core.training.rooms.builder import Builder, Room

# Kind and share of all rooms.
KINDS = {"box": 0.18, "l_shape": 0.12, "coupled": 0.36, "sloped": 0.12, "hall": 0.12, "open": 0.10}


@dataclass
class _Quads(Builder):
    """Builds of quads, and knows what is solid."""

    solids: list[tuple[np.ndarray, np.ndarray, float]] = field(default_factory=list)

    def quad(self, a: object, b: object, c: object, d: object, material: int) -> None:
        """The quad a, b, c, d, going round."""
        points = np.array([a, b, c, d], dtype=np.float64)
        self.corners += [points[[0, 1, 2]], points[[0, 2, 3]]]
        self.index += [material, material]

    def box(self, centre: np.ndarray, size: np.ndarray, angle: float, material: int, solid: bool = True) -> None:
        """A closed box turned by ``angle`` about z."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.5
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        p = centre + (signs * size) @ turn.T
        for a, b, c, d in ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)):
            self.quad(p[a], p[b], p[c], p[d], material)
        if solid:
            self.solids.append((centre, size, angle))

    def column(self, foot: np.ndarray, radius: float, height: float, sides: int, material: int) -> None:
        """A round column or lamp: a prism of ``sides`` faces with lids."""
        turn = np.linspace(0.0, 2.0 * np.pi, sides, endpoint=False)
        ring = np.stack([np.cos(turn), np.sin(turn), np.zeros(sides)], axis=1) * radius + foot
        top = ring + [0.0, 0.0, height]
        for k in range(sides):
            n = (k + 1) % sides
            self.quad(ring[k], ring[n], top[n], top[k], material)
            self.corners += [np.array([ring[k], ring[n], foot]), np.array([top[k], top[n], foot + [0, 0, height]])]
            self.index += [material, material]
        self.solids.append((foot + [0, 0, height / 2], np.array([2 * radius, 2 * radius, height]), 0.0))

    def wall(
        self,
        start: np.ndarray,
        end: np.ndarray,
        floor: float,
        top: list[tuple[float, float]],
        holes: list[tuple[float, float, float, float]],
        material: int,
    ) -> None:
        """A wall over the ground line ``start`` to ``end``, (2,) each, with rectangular holes.

        ``top`` lists (distance along the wall, height), piecewise linear; ``holes`` (from, to, bottom, top).
        """
        length = float(np.linalg.norm(end - start))
        along = (end - start) / length
        cuts = sorted({0.0, length, *(u for u, _ in top), *(u for h in holes for u in h[:2])})
        cuts = [u for u in cuts if 0.0 <= u <= length]

        def point(u: float, z: float) -> list[float]:
            return [*(start + along * u), z]

        heights = np.array(top)
        for u, v in zip(cuts[:-1], cuts[1:], strict=True):
            if v - u < 1e-6:
                continue
            z_u, z_v = np.interp([u, v], heights[:, 0], heights[:, 1])
            bottom = floor
            for low, high in sorted((h[2], h[3]) for h in holes if h[0] <= u + 1e-6 and h[1] >= v - 1e-6):
                if low > bottom + 1e-6:
                    self.quad(point(u, bottom), point(v, bottom), point(v, low), point(u, low), material)
                bottom = max(bottom, high)
            if min(z_u, z_v) > bottom + 1e-6:
                self.quad(point(u, bottom), point(v, bottom), point(v, z_v), point(u, z_u), material)


@dataclass
class _Cell:
    """One rectangular room of a plan: its extent, height and the holes in its four walls."""

    low: np.ndarray
    high: np.ndarray
    height: float
    holes: dict[tuple[int, int], list[tuple[float, float, float, float]]] = field(default_factory=dict)


def make_plain(seed: int, n_points: int, kind: str | None = None) -> Room:
    """Make the plain room of ``seed`` with ``n_points`` points in its air."""
    rng = np.random.default_rng([seed, 0x0AF])
    chosen = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    kind = kind or chosen
    builder = _Quads(rng)
    # How lively all of the room is; its surfaces scatter about it.
    mood = float(np.exp(rng.uniform(np.log(0.03), np.log(0.45))))
    cells = _plan(rng, kind)
    for number, cell in enumerate(cells):
        _add_cell(builder, cell, mood, kind, is_first=number == 0)
    for cell in cells:
        _furnish(builder, cell, mood, kind)
    air = Air(temperature=float(rng.uniform(5, 30)), humidity=float(rng.uniform(20, 80)))
    scene = builder.scene(air)
    points = _points(rng, kind, scene, builder.solids, cells, n_points)
    return Room(kind, scene, points)


def _plan(rng: np.random.Generator, kind: str) -> list[_Cell]:
    if kind == "hall":
        size = np.array([rng.uniform(10, 32), rng.uniform(8, 20), rng.uniform(5, 13)])
    elif kind == "open":
        size = np.array([rng.uniform(5, 18), rng.uniform(5, 14), rng.uniform(2.5, 6)])
    else:
        size = np.array(
            [np.exp(rng.uniform(np.log(1.8), np.log(11))), np.exp(rng.uniform(np.log(1.8), np.log(9))), 0.0]
        )
        size[2] = rng.uniform(2.2, 2.8) if rng.random() < 0.6 else rng.uniform(2.2, 4.5)
    cells = [_Cell(np.zeros(2), size[:2].copy(), float(size[2]))]
    wanted = {"coupled": int(rng.choice([1, 2, 3, 4], p=[0.5, 0.28, 0.14, 0.08])), "l_shape": 1}.get(kind, 0)
    if kind == "hall" and rng.random() < 0.25:
        wanted = 1
    tries = 0
    while wanted and tries < 60:
        tries += 1
        wanted -= _attach(rng, cells, joined=kind == "l_shape")
    return cells


def _attach(rng: np.random.Generator, cells: list[_Cell], joined: bool) -> bool:
    """Try to add a cell beside one of ``cells``, with a doorway, or fully ``joined``; say whether it fitted."""
    host = cells[rng.integers(len(cells))]
    axis, side = int(rng.integers(2)), int(rng.integers(2))
    other = 1 - axis
    thickness = 0.0 if joined else float(rng.uniform(0.05, 0.3))
    size = np.exp(rng.uniform(np.log(1.8), np.log(9.0), 2))
    if not joined and rng.random() < 0.25:  # a corridor
        size[rng.integers(2)] = rng.uniform(1.2, 2.0)
    low = np.zeros(2)
    low[axis] = host.high[axis] + thickness if side else host.low[axis] - thickness - size[axis]
    low[other] = rng.uniform(host.low[other] - size[other] + 1.1, host.high[other] - 1.1)
    high = low + size
    if any((low < c.high + 0.02).all() and (high > c.low - 0.02).all() for c in cells if c is not host):
        return False
    shared = max(low[other], host.low[other]), min(high[other], host.high[other])
    height = host.height if joined else float(np.clip(host.height + rng.normal(0, 0.4), 2.2, None))
    new = _Cell(low, high, height)
    if joined:
        span = (shared[0], shared[1], 0.0, height)
    else:
        width = float(rng.choice([0.8, 0.9, 1.2, 2.0, 3.0], p=[0.35, 0.3, 0.15, 0.12, 0.08]))
        if shared[1] - shared[0] - 0.2 < max(width, 0.6):
            return False
        start = rng.uniform(shared[0] + 0.1, shared[1] - 0.1 - width)
        span = (start, start + width, 0.0, min(rng.uniform(1.95, 2.2), host.height - 0.05, height - 0.05))
    host.holes.setdefault((axis, side), []).append((*span, thickness))
    new.holes.setdefault((axis, 1 - side), []).append((*span, 0.0))
    cells.append(new)
    return True


def _add_cell(builder: _Quads, cell: _Cell, mood: float, kind: str, is_first: bool) -> None:
    rng = builder.rng

    def surface(low: float, high: float) -> int:
        return builder.material(
            float(np.clip(mood * np.exp(rng.uniform(np.log(low), np.log(high))), 0.012, 0.95)), rng.uniform(0.08, 0.7)
        )

    floor, ceiling, wall = surface(0.5, 2.0), surface(0.5, 2.5), surface(0.4, 1.6)
    (x0, y0), (x1, y1), h = cell.low, cell.high, cell.height
    builder.quad([x0, y0, 0], [x1, y0, 0], [x1, y1, 0], [x0, y1, 0], floor)
    roof = None
    if kind == "sloped" and is_first:
        roof = (
            float(rng.uniform(0.9, 0.8 * h)) if rng.random() < 0.5 else 1.6,
            float(h + rng.uniform(0.3, 2.0)),
            bool(rng.random() < 0.5),
        )
    if kind == "sloped" and roof is not None:
        eaves, ridge, gable = roof
        middle = 0.5 * (x0 + x1) if gable else x1
        profile = [(x0, eaves), (middle, ridge), (x1, eaves)] if gable else [(x0, eaves), (x1, ridge)]
        for (xa, za), (xb, zb) in zip(profile[:-1], profile[1:], strict=True):
            builder.quad([xa, y0, za], [xb, y0, zb], [xb, y1, zb], [xa, y1, za], ceiling)
    else:
        profile = [(x0, h), (x1, h)]
        roofless = kind == "open" and rng.random() < 0.7
        if not roofless:
            builder.quad([x0, y0, h], [x1, y0, h], [x1, y1, h], [x0, y1, h], ceiling)
    missing = rng.integers(4) if kind == "open" and rng.random() < 0.6 else -1
    lines = {
        (0, 0): (np.array([x0, y0]), np.array([x0, y1])),
        (0, 1): (np.array([x1, y0]), np.array([x1, y1])),
        (1, 0): (np.array([x0, y0]), np.array([x1, y0])),
        (1, 1): (np.array([x0, y1]), np.array([x1, y1])),
    }
    for number, ((axis, side), (start, end)) in enumerate(lines.items()):
        if number == missing:
            continue
        material = wall if rng.random() < 0.7 else surface(0.4, 3.0)
        origin = start[1 - axis]
        if axis == 0:
            z = float(np.interp(start[0], *np.array(profile).T))
            top = [(0.0, z), (y1 - y0, z)]
        else:
            top = [(x - x0, z) for x, z in profile]
        doors = cell.holes.get((axis, side), [])
        holes = [(a - origin, b - origin, low, high) for a, b, low, high, _ in doors]
        if not doors and rng.random() < 0.45:
            holes += _windows(builder, rng, start, end, min(z for _, z in top), surface)
        builder.wall(start, end, 0.0, top, holes, material)
        for a, b, _low, high, thickness in doors:
            if thickness:
                _reveal(builder, axis, side, start[axis], a, b, high, thickness, floor, material)


def _windows(
    builder: _Quads, rng: np.random.Generator, start: np.ndarray, end: np.ndarray, height: float, surface: object
) -> list[tuple[float, float, float, float]]:
    """A window in a wall: a pane of another material, or, one time in five, open."""
    length = float(np.linalg.norm(end - start))
    width = float(rng.uniform(0.5, 0.7 * length)) if length > 1.0 else 0.0
    low, high = 0.9, min(2.1, height - 0.15)
    if width < 0.4 or high < low + 0.3:
        return []
    u = float(rng.uniform(0.1, length - width - 0.1)) if length > width + 0.2 else 0.05
    hole = (u, min(u + width, length - 0.05), low, high)
    if rng.random() > 0.2:
        along = (end - start) / length
        a, b = start + along * hole[0], start + along * hole[1]
        pane = builder.material(float(np.exp(rng.uniform(np.log(0.03), np.log(0.3)))), rng.uniform(0.05, 0.3))
        builder.quad([*a, low], [*b, low], [*b, high], [*a, high], pane)
    return [hole]


def _reveal(
    builder: _Quads,
    axis: int,
    side: int,
    at: float,
    a: float,
    b: float,
    high: float,
    thickness: float,
    floor: int,
    wall: int,
) -> None:
    """The four inner faces of a doorway through a thick wall."""
    to = at + thickness if side else at - thickness

    def point(depth: float, u: float, z: float) -> list[float]:
        return [depth, u, z] if axis == 0 else [u, depth, z]

    builder.quad(point(at, a, 0), point(at, b, 0), point(to, b, 0), point(to, a, 0), floor)
    builder.quad(point(at, a, high), point(at, b, high), point(to, b, high), point(to, a, high), wall)
    for u in (a, b):
        builder.quad(point(at, u, 0), point(at, u, high), point(to, u, high), point(to, u, 0), wall)


def _furnish(builder: _Quads, cell: _Cell, mood: float, kind: str) -> None:
    rng = builder.rng
    area = float(np.prod(cell.high - cell.low))
    count = int(rng.poisson(min(14.0, area * rng.uniform(0.0, 0.55))))
    for _ in range(count):
        material = builder.material(
            float(np.clip(mood * np.exp(rng.uniform(-1.0, 1.6)), 0.012, 0.95)), rng.uniform(0.1, 0.8)
        )
        room_height = min(cell.height, 2.2)
        style = rng.choice(["block", "cupboard", "table", "column", "panel"], p=[0.4, 0.2, 0.2, 0.1, 0.1])
        size = np.array([rng.uniform(0.3, 2.0), rng.uniform(0.3, 0.9), rng.uniform(0.3, 1.0)])
        if style == "cupboard":
            size[2] = rng.uniform(1.0, room_height - 0.1)
        if style == "panel":
            size[1:] = 0.02, rng.uniform(0.8, room_height - 0.1)
        margin = 0.5 * float(np.linalg.norm(size[:2])) + 0.02
        room = cell.high - cell.low - 2.0 * margin
        if (room <= 0.05).any():
            continue
        centre = cell.low + margin + rng.random(2) * room
        angle = float(rng.choice([0.0, np.pi / 2])) if rng.random() < 0.6 else float(rng.uniform(0, np.pi))
        foot = np.array([*centre, 0.0])
        if style == "column":
            builder.column(
                foot,
                float(rng.uniform(0.1, 0.3)),
                room_height - 0.05 if kind != "hall" else cell.height - 0.05,
                10,
                material,
            )
        elif style == "table":
            height = rng.uniform(0.4, 1.0)
            builder.box(foot + [0, 0, height - 0.02], np.array([size[0], size[1], 0.04]), angle, material)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            for sx in (-1, 1):
                for sy in (-1, 1):
                    leg = centre + turn @ (np.array([sx, sy]) * (size[:2] * 0.5 - 0.04))
                    builder.box(
                        np.array([*leg, height / 2 - 0.03]), np.array([0.05, 0.05, height - 0.06]), angle, material
                    )
        else:
            builder.box(foot + [0, 0, size[2] / 2 + 0.001], size, angle, material)


def _points(
    rng: np.random.Generator,
    kind: str,
    scene: Scene,
    solids: list[tuple[np.ndarray, np.ndarray, float]],
    cells: list[_Cell],
    count: int,
) -> np.ndarray:
    """Points at least 0.15 m from every surface and outside all furniture; some close to another one."""
    caster = Raycaster(scene)
    directions = sphere_directions(64)
    area = np.array([np.prod(c.high - c.low) for c in cells])
    # Large rooms draw more points, yet no small room goes without.
    share = np.sqrt(area) / np.sqrt(area).sum()
    points: list[np.ndarray] = []
    while len(points) < count:
        cell = cells[rng.choice(len(cells), p=share)]
        if points and rng.random() < 0.2:
            near = points[rng.integers(len(points))]
            offset = rng.normal(size=3)
            point = near + offset / np.linalg.norm(offset) * rng.uniform(0.2, 1.2)
        else:
            top = cell.height - 0.2 if rng.random() < 0.25 else min(2.2, cell.height - 0.2)
            point = np.array([*(cell.low + rng.random(2) * (cell.high - cell.low)), rng.uniform(0.2, top)])
        inside = any((c.low <= point[:2]).all() and (point[:2] <= c.high).all() for c in cells)
        if not inside or point[2] < 0.1 or any(_within(point, *solid) for solid in solids):
            continue
        hits = caster.intersect(np.tile(point.astype(np.float32), (64, 1)), directions)
        # Under a sloped roof the box of the room reaches outside: from there nothing is met upwards.
        above = caster.intersect(point[None].astype(np.float32), np.array([[0, 0, 1]], np.float32)).distance[0]
        roofed = kind == "open" or np.isfinite(above)
        if hits.distance.min() > 0.15 and roofed:
            points.append(point)
    return np.array(points, np.float32)


def _within(point: np.ndarray, centre: np.ndarray, size: np.ndarray, angle: float) -> bool:
    x, y, z = point - centre
    local = np.array([x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle), z])
    return bool((np.abs(local) <= size / 2 + 0.05).all())
