"""A contact sheet of rooms: one of each wide kind, seen from above through whatever turns its back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from naf_core.raycast import Raycaster
from naf_core.training.rooms import WIDE_KINDS, WIDE_TRAINING, make_room
from naf_core.training.rooms.builder import Room

_COLUMNS, _WIDTH, _HEIGHT = 4, 260, 200  # pixels of one picture
_POINTS = 10
_PASSES = 60  # surfaces looked through
_TURN, _TILT = np.radians(-62.0), np.radians(48.0)
_LIGHT = np.array([0.3, -0.45, 0.84])


def look(room: Room) -> tuple[np.ndarray, np.ndarray]:
    """A parallel view of ``room``, (_HEIGHT, _WIDTH, 3) 0..1, and where its points (P, 2) lie in it, in pixels.

    Surfaces that face away from the eye are not seen, so that one looks in through walls and ceilings. Bright ones
    absorb little.
    """
    c, s = np.cos(_TURN), np.sin(_TURN)
    eye = np.array([c * np.cos(_TILT), s * np.cos(_TILT), np.sin(_TILT)])
    right = np.array([-s, c, 0.0])
    frame = np.stack([right, -np.cross(eye, right)])  # to the right and down, in the picture
    low, high = room.scene.bounds
    middle = 0.5 * (low + high)
    seen = (room.scene.vertices - middle) @ frame.T
    scale = 1.06 * float(np.max(np.ptp(seen, axis=0) / [_WIDTH, _HEIGHT]))  # m a pixel
    centre = 0.5 * (seen.min(axis=0) + seen.max(axis=0))
    across, down = np.meshgrid(np.arange(_WIDTH) + 0.5, np.arange(_HEIGHT) + 0.5)
    plane = np.stack([across - 0.5 * _WIDTH, down - 0.5 * _HEIGHT], axis=-1).reshape(-1, 2) * scale + centre
    reach = float(np.linalg.norm(high - low))
    origin = (middle + plane @ frame + eye * reach).astype(np.float32)
    caster = Raycaster(room.scene)
    picture, left = np.ones((len(origin), 3)), np.arange(len(origin))
    material = room.scene.absorption.mean(axis=1)
    for _ in range(_PASSES):
        direction = np.broadcast_to((-eye).astype(np.float32), (len(left), 3))
        hits = caster.intersect(origin[left], direction)
        met = hits.triangle >= 0
        left, triangle, distance = left[met], hits.triangle[met], hits.distance[met]
        normal = caster.normals[triangle].astype(np.float64)
        front = normal @ eye > 0.0
        absorption = material[room.scene.material_index[triangle[front]]]
        shade = 0.45 + 0.55 * np.clip(normal[front] @ _LIGHT, 0.0, 1.0)
        tint = np.stack(
            [1.0 - 0.75 * absorption**0.5, 1.0 - 0.6 * absorption**0.5, 1.0 - 0.3 * absorption**0.5], axis=1
        )
        picture[left[front]] = shade[:, None] * tint
        left, distance = left[~front], distance[~front]
        origin[left] -= (eye * (distance[:, None] + 1e-3)).astype(np.float32)
    points = ((room.points - middle) @ frame.T - centre) / scale + [0.5 * _WIDTH, 0.5 * _HEIGHT]
    return picture.reshape(_HEIGHT, _WIDTH, 3), points


def draw_sheet(path: Path, seed: int = WIDE_TRAINING) -> None:
    """Write to ``path`` a PNG with one room of each wide kind, made from ``seed``, and its points."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from PIL import Image

    rows = -(-len(WIDE_KINDS) // _COLUMNS)
    size = _COLUMNS * _WIDTH / 100, rows * (_HEIGHT + 20) / 100
    figure, every = pyplot.subplots(rows, _COLUMNS, figsize=size, dpi=100)
    for axes, kind in zip(every.ravel(), WIDE_KINDS, strict=False):
        room = make_room(seed, _POINTS, kind)
        picture, points = look(room)
        axes.imshow(picture)
        axes.scatter(*points.T, s=5, color="crimson")
        extent = np.ptp(room.scene.bounds, axis=0)
        axes.set_title(f"{kind}: {extent[0]:.1f} × {extent[1]:.1f} × {extent[2]:.1f} m", fontsize=8, pad=1)
    for axes in every.ravel():
        axes.set_axis_off()
    figure.subplots_adjust(0.0, 0.0, 1.0, 0.97, 0.0, 0.08)
    part = path.with_suffix(".part")
    figure.savefig(part, format="png")
    pyplot.close(figure)
    with Image.open(part) as image:
        image.convert("RGB").quantize(96).save(part, format="PNG", optimize=True)
    part.replace(path)
