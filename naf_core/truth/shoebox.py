"""Early paths in shoeboxes against the closed form of image sources (Allen and Berkley 1979)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from naf_core.air import NEAREST
from naf_core.materials import Material
from naf_core.paths import EarlyPaths, early_paths
from naf_core.scene import Scene
from naf_core.truth.box import box_scene
from naf_core.truth.figure import Figure

_ROOMS = 20
_PAIRS = 3  # in each room: anywhere, close to walls, and on the room's planes of symmetry
_ORDER = 3
_SAME = 1e-3  # m: an image found closer than this to a computed one is that one


def figures(progress: Callable[[float], None] | None = None) -> list[Figure]:
    """Errors of delays, gains and directions over random boxes, and how many images are missing or doubled."""
    rng = np.random.default_rng(20)
    worst, wrong, images = np.zeros(4), 0, 0
    for room in range(_ROOMS):
        size = rng.uniform([2.5, 2.5, 2.2], [15.0, 12.0, 6.0])
        absorption, scattering = rng.uniform(0.02, 0.6, (6, 8)), rng.uniform(0.0, 0.6, (6, 8))
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        shift = rng.uniform(-20.0, 20.0, 3)
        scene = _turned_box(size, absorption, scattering, turn, shift)
        for kind in range(_PAIRS):
            ends = _ends(rng, kind) * size
            found = early_paths(scene, *((ends @ turn + shift)[:, None]))
            # Positions are single precision: the closed form is that of the rounded ones.
            ends = ((ends @ turn + shift).astype(np.float32) - shift) @ turn.T
            meant, missing = _image_sources(size, *ends, turn, 1.0 - absorption, 1.0 - scattering, scene)
            worst, number = _compare(found, *meant, scene.air.speed_of_sound, worst)
            wrong, images = wrong + number, images + missing
        if progress is not None:
            progress((room + 1) / _ROOMS)
    note = f"{_ROOMS} random boxes in any position, {_PAIRS} pairs each, {images} images up to order {_ORDER}"
    return [
        Figure("shoebox images: missing and doubled", float(wrong), "", 0.0, note=note),
        Figure("shoebox images: delay, worst", worst[0], "ms", 0.05),
        Figure("shoebox images: gain, worst of 8 bands", worst[1], "dB", 0.05),
        Figure("shoebox images: direction of arrival, worst", worst[2], "°", 0.1),
        Figure("shoebox images: direction of departure, worst", worst[3], "°", 0.1),
    ]


def _turned_box(
    size: np.ndarray, absorption: np.ndarray, scattering: np.ndarray, turn: np.ndarray, shift: np.ndarray
) -> Scene:
    """A box of six materials, turned by (3, 3) and shifted by (3,)."""
    walls = [
        Material(f"wall {k}", tuple(a), tuple(s)) for k, (a, s) in enumerate(zip(absorption, scattering, strict=True))
    ]
    plain = box_scene(np.zeros(3), size, walls[0])
    return Scene(plain.vertices @ turn + shift, plain.triangles, np.repeat(np.arange(6), 2), walls)


def _ends(rng: np.random.Generator, kind: int) -> np.ndarray:
    """Emitter and listener (2, 3) as parts of the room's size."""
    ends = rng.uniform(0.05, 0.95, (2, 3))
    if kind == 1:
        ends[[0, 1], rng.integers(3, size=2)] = [0.002, 0.998]
    if kind == 2:
        ends = np.full((2, 3), 0.5)
        ends[[0, 1], rng.permutation(3)[:2]] = 0.25
    return ends


def _image_sources(
    size: np.ndarray,
    emitter: np.ndarray,
    listener: np.ndarray,
    turn: np.ndarray,
    reflected: np.ndarray,
    mirrored: np.ndarray,
    scene: Scene,
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], int]:
    """Ways (n, 3) m from the listener to all images, and from the emitter's first mirror on, energies (n, 8); n."""
    cells = np.array([c for c in product(range(-_ORDER, _ORDER + 1), repeat=3) if sum(map(abs, c)) <= _ORDER])
    odd = cells % 2 == 1
    way = cells * size + np.where(odd, size - emitter, emitter) - listener
    # Each reflection at a wall turns that component round.
    leaving = -np.where(odd, -way, way)
    count = np.stack([(np.abs(cells) + (cells < 0)) // 2, (np.abs(cells) + (cells > 0)) // 2], axis=2).reshape(-1, 6)
    length = np.linalg.norm(way, axis=1)[:, None]
    gain = np.prod((reflected * mirrored) ** count[..., None], axis=1)
    energy = gain * np.exp(-scene.air.absorption() * length) / np.maximum(length, NEAREST) ** 2
    return (way @ turn, leaving @ turn, energy), len(cells)


def _compare(
    found: EarlyPaths, way: np.ndarray, leaving: np.ndarray, energy: np.ndarray, speed: float, worst: np.ndarray
) -> tuple[np.ndarray, int]:
    """Worst errors (ms, dB, degrees, degrees) so far, and the number of images missing or doubled."""
    apart = np.linalg.norm((found.length[:, None] * found.source)[None] - way[:, None], axis=2)
    same = apart < _SAME
    wrong = int((same.sum(axis=1) == 0).sum() + (same.sum(axis=0) != 1).sum() + (same.sum(axis=1) > 1).sum())
    image, path = np.nonzero(same)
    length = np.linalg.norm(way[image], axis=1)
    errors = (
        1e3 * np.abs(found.delay[path] - length / speed),
        np.abs(10.0 * np.log10(found.energy[path] / energy[image])),
        _angle(found.source[path], way[image]),
        _angle(found.departure[path], leaving[image]),
    )
    return np.maximum(worst, [error.max(initial=0.0) for error in errors]), wrong


def _angle(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Angle (n,) in degrees between vectors (n, 3)."""
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other), axis=1), np.einsum("ij,ij->i", one, other)))
