"""Rooms that are no boxes: a floor and a ceiling of any shape over a plan, with upright walls between them."""

from __future__ import annotations

import numpy as np

from naf_core.training.rooms.carving import Carving
from naf_core.training.rooms.shapes import halves, sheet
from naf_core.training.rooms.site import Palette, Site, Zone

LIDS = ("gable", "shed", "barrel", "pointed", "dome", "hip", "zigzag", "waves")


def shell(
    site: Site,
    plan: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    palette: Palette,
    *,
    floor: bool = True,
    closed: bool = False,
    doorway: float = 0.0,
) -> None:
    """Bound the air over ``plan`` (m, n, 2) between the heights ``low`` and ``high`` (m, n) m.

    The plan turns left from its first index to its second. If it is ``closed``, the second goes round and has no
    ends. The first wall at the high end of the first index is open up to ``doorway`` m.
    """
    bottom, top = (np.concatenate([plan, height[..., None]], axis=2) for height in (low, high))
    if floor:
        site.add(sheet(bottom), palette[4])
    site.add(sheet(top)[:, ::-1], palette[5])
    edges = [(0, (0, slice(None)), False), (1, (-1, slice(None)), True)]
    if not closed:
        edges += [(2, (slice(None), 0), True), (3, (slice(None), -1), False)]
    for number, edge, turned in edges:
        lower, upper = bottom[edge].copy(), top[edge]
        quads = np.stack([lower[:-1], lower[1:], upper[1:], upper[:-1]], axis=1)
        if number == 1 and doorway:
            quads[0, :2, 2] += doorway
        corners = halves(quads)
        if len(corners):
            site.add(corners[:, ::-1] if turned else corners, palette[number])


def rise(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """How high a lid of ``shape`` is, 0..1, at ``u`` and ``v``, 0..1 across and along it."""
    across, along = np.abs(2.0 * u - 1.0), np.abs(2.0 * v - 1.0)
    if shape == "gable":
        return 1.0 - across
    if shape == "shed":
        return u + 0.0 * v
    if shape == "barrel":
        return np.sqrt(np.maximum(1.0 - across**2, 0.0))
    if shape == "pointed":
        return np.sqrt(np.maximum(1.0 - (0.5 + 0.5 * across) ** 2, 0.0)) / np.sqrt(0.75)
    if shape == "dome":
        return np.sqrt(np.maximum((1.0 - across**2) * (1.0 - along**2), 0.0))
    if shape == "hip":
        return np.minimum(np.minimum(1.0 - across, 1.0 - along) * 2.0, 1.0)
    if shape == "zigzag":
        return 1.0 - np.abs(2.0 * ((4.0 * v) % 1.0) - 1.0) + 0.0 * u
    return 0.5 + 0.25 * np.sin(6.3 * u) + 0.25 * np.cos(9.4 * v)


def lid(site: Site, carving: Carving, zone: Zone, shape: str, height: float, palette: Palette) -> None:
    """Close ``zone`` above by a ceiling of ``shape`` that rises by ``height`` m; carve nothing above it afterwards."""
    (x0, y0, _), (x1, y1, z) = zone.low, zone.high
    steps = {"gable": (4, 1), "shed": (1, 1), "barrel": (16, 1), "pointed": (16, 1), "dome": (12, 12)}
    m, n = steps.get(shape, (8, 16))
    long = bool(x1 - x0 > y1 - y0)  # the ridge runs along the longer side
    u, v = np.meshgrid(*(np.linspace(0.0, 1.0, k + 1) for k in ((n, m) if long else (m, n))), indexing="ij")
    up = rise(shape, v, u) if long else rise(shape, u, v)
    plan = np.stack([x0 + u * (x1 - x0), y0 + v * (y1 - y0)], axis=2)
    level = np.full(u.shape, z)
    shell(site, plan, level, level + height * up, palette, floor=False)
    carving.elsewhere((x0, y0, z), (x1, y1, z + 1.0))
