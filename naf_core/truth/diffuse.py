"""Diffuse boxes: their decay against Eyring's formula with Kuttruff's correction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from naf_core.air import Air
from naf_core.materials import Material
from naf_core.response import FRAME_EDGES, decay_time
from naf_core.tracer import trace
from naf_core.truth.box import box_scene
from naf_core.truth.figure import Figure

BOXES = 20
_RAYS = 4000
_CHORDS = 200_000


def figures(progress: Callable[[float], None] | None = None) -> list[Figure]:
    """T30 of random boxes whose walls all absorb alike and scatter all, in eight bands, against theory."""
    rng = np.random.default_rng(20)
    kuttruff, eyring = [], []
    for number in range(BOXES):
        size = rng.uniform([3.0, 3.0, 2.4], [9.0, 7.0, 5.0])
        absorption = rng.uniform(0.05, 0.3, 8)
        wall = Material("wall", tuple(absorption), (1.0,) * 8)
        scene = box_scene(np.zeros(3), size, wall, Air(rng.uniform(10, 30), rng.uniform(30, 70)))
        ends = size * rng.uniform(0.15, 0.85, (8, 3))
        response = trace(scene, ends[:2], ends[2:], rays=_RAYS, seed=number)
        # The decay that all pairs share: their curves added up.
        curve = np.concatenate([response.schroeder(), np.zeros((2, 6, 8, 1))], axis=-1).sum(axis=(0, 1))
        found = decay_time(curve, -5.0, -35.0, edges=np.append(FRAME_EDGES, 60.0))
        exponent = -np.log(1.0 - absorption)
        spread = free_path_spread(size, rng)
        eyring.append(found / reverberation_time(size, exponent, scene.air) - 1.0)
        corrected = exponent * (1.0 - 0.5 * spread * exponent)
        kuttruff.append(found / reverberation_time(size, corrected, scene.air) - 1.0)
        if progress is not None:
            progress((number + 1) / BOXES)
    kuttruff, eyring = 100.0 * np.array(kuttruff), 100.0 * np.array(eyring)
    return [
        Figure(
            "T30 of 20 diffuse boxes against Kuttruff",
            float(np.abs(kuttruff).max()),
            "%",
            3.0,
            note=f"worst of 20 boxes in 8 bands, absorption 0.05 to 0.3; mean {kuttruff.mean():+.2f} %, rms"
            f" {np.sqrt((kuttruff**2).mean()):.2f} %; against Eyring without the correction: mean"
            f" {eyring.mean():+.2f} %, worst {np.abs(eyring).max():.2f} %",
        )
    ]


def reverberation_time(size: np.ndarray, exponent: np.ndarray, air: Air) -> np.ndarray:
    """Time (8,) in s of a 60 dB decay in a box of ``size`` (3,) m: 24 ln 10 V / (c (S a + 4 m V)).

    ``exponent`` (8,) is a: -ln(1 - absorption) for Eyring (Kuttruff 2017, "Room Acoustics", 6th ed., 5.23).
    """
    volume, surface = size.prod(), 2.0 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    loss = surface * exponent + 4.0 * air.absorption() * volume
    return 24.0 * np.log(10.0) / air.speed_of_sound * volume / loss


def free_path_spread(size: np.ndarray, rng: np.random.Generator) -> float:
    """Variance of the free paths in a box of ``size`` (3,) m over their squared mean (Kuttruff 2017, 5.4).

    Of chords that leave random points of the walls by Lambert's law, computed here from the planes of the box alone.
    """
    faces = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    axis = rng.choice(3, _CHORDS, p=faces / faces.sum())
    rows = np.arange(_CHORDS)
    start = rng.random((_CHORDS, 3)) * size
    start[rows, axis] = 0.0
    sine2, azimuth = rng.random(_CHORDS), rng.uniform(0.0, 2.0 * np.pi, _CHORDS)
    way = np.empty((_CHORDS, 3))
    way[rows, axis] = np.sqrt(1.0 - sine2)
    way[rows, (axis + 1) % 3] = np.sqrt(sine2) * np.cos(azimuth)
    way[rows, (axis + 2) % 3] = np.sqrt(sine2) * np.sin(azimuth)
    with np.errstate(divide="ignore"):
        chord = (np.where(way > 0.0, size - start, start) / np.abs(way)).min(axis=1)
    return float(chord.var() / chord.mean() ** 2)
