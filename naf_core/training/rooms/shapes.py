"""Closed bodies and thin sheets as triangles, corners (n, 3, 3) in m; bodies face outwards, counterclockwise."""

from __future__ import annotations

import numpy as np

_BOX = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
_CORNER = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])


def halves(quads: np.ndarray) -> np.ndarray:
    """The triangles (2n, 3, 3) of ``quads`` (n, 4, 3), without those that have no area."""
    corners = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return corners[np.linalg.norm(normal, axis=1) > 1e-9]


def box(size: tuple[float, float, float], foot: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """A box of ``size`` whose base has its middle at ``foot``."""
    return halves((_CORNER * size + foot)[_BOX])


def sheet(points: np.ndarray) -> np.ndarray:
    """A surface over a grid of ``points`` (m, n, 3); it faces where the first index turns to the second, up."""
    quads = np.stack([points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]], axis=2)
    return halves(quads.reshape(-1, 4, 3))


def lathe(profile: list[tuple[float, float]], sides: int) -> np.ndarray:
    """What ``profile``, pairs of radius and height from the foot up, sweeps about z: closed if its radii end at 0."""
    radius, height = np.array(profile, np.float64).T
    turn = np.linspace(0.0, 2.0 * np.pi, sides + 1)
    turn[-1] = 0.0  # the seam is one line
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)[:, None] * radius[:, None]
    return sheet(np.concatenate([ring, np.broadcast_to(height[:, None], (*ring.shape[:2], 1))], axis=2))


def column(radius: float, height: float, sides: int) -> np.ndarray:
    """A round column."""
    return lathe([(0.0, 0.0), (radius, 0.0), (radius, height), (0.0, height)], sides)


def ball(radius: float, rings: int) -> np.ndarray:
    """A ball that stands at the origin."""
    turn = np.linspace(0.0, np.pi, rings + 1)
    profile = np.stack([radius * np.sin(turn), radius * (1.0 - np.cos(turn))], axis=1)
    profile[[0, -1], 0] = 0.0
    return lathe([(float(r), float(z)) for r, z in profile], 2 * rings)


def pipe(radius: float, length: float, sides: int) -> np.ndarray:
    """A round bar along x, about the origin."""
    return column(radius, length, sides)[..., [2, 0, 1]] - [0.5 * length, 0.0, 0.0]


def curtain(width: float, height: float, folds: int) -> np.ndarray:
    """A hanging sheet along x in ``folds`` waves."""
    along = np.linspace(-0.5, 0.5, 4 * folds + 1)
    wave = 0.25 * width / folds * np.sin(2.0 * np.pi * folds * along)
    rows = [np.stack([along * width, wave, np.full(len(along), z)], axis=1) for z in (0.0, height)]
    return sheet(np.stack(rows, axis=1))


def leaves(rng: np.random.Generator, count: int, radius: float, size: float) -> np.ndarray:
    """``count`` loose leaves in a ball about the origin."""
    middle = rng.normal(size=(count, 3))
    middle *= radius * rng.random((count, 1)) ** (1 / 3) / np.linalg.norm(middle, axis=1, keepdims=True)
    return middle[:, None] + size * rng.uniform(-1.0, 1.0, (count, 3, 3))


def disk(radii: np.ndarray, angles: np.ndarray, stretch: float = 1.0) -> np.ndarray:
    """The plan (m, n, 2) of a round room, or of a part of one, about the origin; a full turn ends where it began."""
    c, s = np.cos(angles), np.sin(angles)
    if abs(angles[-1] - angles[0] - 2.0 * np.pi) < 1e-9:
        c[-1], s[-1] = c[0], s[0]
    return np.stack([radii[:, None] * c, stretch * radii[:, None] * s], axis=2)


def put(body: np.ndarray, foot: np.ndarray, angle: float) -> np.ndarray:
    """``body`` turned by ``angle`` about z and moved from the origin to ``foot`` (3,)."""
    c, s = np.cos(angle), np.sin(angle)
    return body @ np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]) + foot
