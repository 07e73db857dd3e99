"""Two rooms and a doorway: the bent decay of a damped room that a live one feeds, against the statistical theory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from naf_core.air import Air
from naf_core.materials import Material
from naf_core.response import FRAME_EDGES
from naf_core.scene import Scene
from naf_core.tracer import trace
from naf_core.truth.box import box_scene
from naf_core.truth.diffuse import free_path_spread
from naf_core.truth.figure import Figure

BAND = 4  # 1 kHz
RAYS = 20_000
ABSORPTION = (0.3, 0.03)  # of the damped room, where everything stands, and of the live one
_SIZES = np.array([[6.0, 5.0, 3.0], [7.0, 5.0, 3.0]])  # m, side by side along x, as deep and high
_DOOR = (2.0, 2.7)  # m: from and to along y
_EMITTER = np.array([1.4, 1.2, 1.5])
_LISTENERS = np.array([[4.2, 3.9, 1.2], [1.2, 4.1, 1.7], [3.1, 2.6, 1.2], [4.9, 1.0, 1.4], [2.2, 3.4, 0.8]])
_FROM, _LOWEST = 0.03, -50.0  # s: later the field is mixed; dB


def figures(progress: Callable[[float], None] | None = None) -> list[Figure]:
    """The decay of sound in the damped room at 1 kHz, mean of five listeners, against two coupled equations."""
    found, theory = decays()
    shown = (FRAME_EDGES >= _FROM) & (theory > theory[0] * 10.0 ** (_LOWEST / 10.0))
    error = 10.0 * np.log10(found[shown] / theory[shown])
    if progress is not None:
        progress(1.0)
    note = f"level and decay, nothing fitted, to {-_LOWEST:.0f} dB below the start; mean {error.mean():+.2f} dB"
    return [Figure("double slope of two rooms and a doorway, worst", float(np.abs(error).max()), "dB", 1.0, note=note)]


def decays(rays: int = RAYS) -> tuple[np.ndarray, np.ndarray]:
    """Energy still to come at FRAME_EDGES, means of the listeners: by the engine, and as expected; (N_FRAMES + 1,)."""
    response = trace(rooms(), _EMITTER, _LISTENERS, rays=rays, seed=1)[0]
    theory = [expected(FRAME_EDGES + delay) for delay in response.delay]
    return response.schroeder()[:, BAND].mean(axis=0), np.mean(theory, axis=0)


def expected(times: np.ndarray) -> np.ndarray:
    """Energy still to come at ``times`` (n,) in s after the emission, by the statistical theory.

    Each room loses energy to its surfaces, to the air and through the doorway to the other, of whose loss it is fed
    (Kuttruff 2017, "Room Acoustics", 6th ed., 5.9), with his correction of the exponents for the spread of free paths.
    """
    rng, air, door = np.random.default_rng(0), Air(), (_DOOR[1] - _DOOR[0]) * _SIZES[0, 2]
    volume, area = _SIZES.prod(axis=1), 2.0 * (_SIZES * np.roll(_SIZES, 1, axis=1)).sum(axis=1)
    partition = _SIZES[0, 1] * _SIZES[0, 2] - door
    absorbing = (area - door - partition) * ABSORPTION + partition * ABSORPTION[0]
    exponent = -np.log(1.0 - absorbing / (area - door))
    exponent *= 1.0 - 0.5 * np.array([free_path_spread(size, rng) for size in _SIZES]) * exponent
    loss = air.speed_of_sound * (((area - door) * exponent + door) / (4.0 * volume) + air.absorption()[BAND])
    rates = np.diag(-loss)
    rates[[0, 1], [1, 0]] = air.speed_of_sound * door / (4.0 * volume)
    values, vectors = np.linalg.eig(rates)
    # Where the free field at 1 m hears 1, an emitter gives 4 pi.
    share = np.linalg.solve(vectors, [4.0 * np.pi / volume[0], 0.0])
    return air.speed_of_sound * (vectors[0] * share / -values * np.exp(values * times[:, None])).sum(axis=1)


def rooms() -> Scene:
    """Both rooms; the partition, as high as they are, absorbs on either side as the damped one does."""
    (wall, depth, high), end = _SIZES[0], _SIZES[:, 0].sum()
    materials = [Material(name, (a,) * 8, (1.0,) * 8) for name, a in zip(("damped", "live"), ABSORPTION, strict=True)]
    damped = box_scene(np.zeros(3), _SIZES[0], materials[0])
    live = box_scene(np.array([wall, 0.0, 0.0]), np.array([end, depth, high]), materials[1])
    corners = [damped.vertices[np.delete(damped.triangles, [2, 3], axis=0)], live.vertices[live.triangles[2:]]]
    for low, far in ((0.0, _DOOR[0]), (_DOOR[1], depth)):
        a, b, c, d = [wall, low, 0.0], [wall, far, 0.0], [wall, far, high], [wall, low, high]
        corners.append(np.array([[a, b, c], [a, c, d]]))
    index = np.repeat([0, 1, 0, 0], [len(part) for part in corners])
    vertices = np.concatenate(corners).reshape(-1, 3)
    return Scene(vertices, np.arange(len(vertices)).reshape(-1, 3), index, materials)
