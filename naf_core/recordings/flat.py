"""A flat of two rooms, simulated by the reference engine on a grid: a room of which everything is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from naf_core.air import Air
from naf_core.bands import N_BANDS
from naf_core.formats import format_of
from naf_core.materials import Material
from naf_core.recordings.files import load, save
from naf_core.recordings.recordingset import RecordingSet
from naf_core.recordings.spectrogram import RATE
from naf_core.render import impulse_response
from naf_core.scene import Scene
from naf_core.tracer import trace

_SPACING = 0.5  # m between the positions
_EMITTERS = 8
_RAYS = 48_000  # two such simulations differ by about 2 % of T60; with a third of the rays by 3 %
_SECONDS = 0.8


def flat_scene() -> Scene:
    """A flat of two rooms, 6.0 x 4.0 x 2.6 m, joined by a doorway of 0.9 x 2.1 m."""
    materials = [
        Material("plaster", (0.10, 0.08, 0.06, 0.05, 0.05, 0.05, 0.05, 0.05), (0.3,) * 8),
        Material("carpet", (0.05, 0.08, 0.15, 0.25, 0.35, 0.40, 0.45, 0.50), (0.4,) * 8),
        Material("ceiling", (0.15, 0.12, 0.10, 0.10, 0.12, 0.12, 0.15, 0.15), (0.3,) * 8),
    ]
    x, y, z, wall, door, lintel = 6.0, 4.0, 2.6, 3.5, (1.0, 1.9), 2.1
    quads = [
        ((0, 0, 0), (x, 0, 0), (x, y, 0), (0, y, 0), 1),
        ((0, 0, z), (x, 0, z), (x, y, z), (0, y, z), 2),
        ((0, 0, 0), (x, 0, 0), (x, 0, z), (0, 0, z), 0),
        ((0, y, 0), (x, y, 0), (x, y, z), (0, y, z), 0),
        ((0, 0, 0), (0, y, 0), (0, y, z), (0, 0, z), 0),
        ((x, 0, 0), (x, y, 0), (x, y, z), (x, 0, z), 0),
        ((wall, 0, 0), (wall, door[0], 0), (wall, door[0], z), (wall, 0, z), 0),
        ((wall, door[1], 0), (wall, y, 0), (wall, y, z), (wall, door[1], z), 0),
        ((wall, door[0], lintel), (wall, door[1], lintel), (wall, door[1], z), (wall, door[0], z), 0),
    ]
    vertices = np.array([corner for *corners, _ in quads for corner in corners], float)
    triangles = np.concatenate([4 * k + np.array([[0, 1, 2], [0, 2, 3]]) for k in range(len(quads))])
    return Scene(vertices, triangles, np.repeat([m for *_, m in quads], 2), materials, Air())


def flat_mesh() -> Scene:
    """The flat as one knows it who has its mesh and nothing else: all of one material, which nobody has measured."""
    scene = flat_scene()
    unknown = [Material("unknown", (0.1,) * N_BANDS, (0.3,) * N_BANDS)]
    return replace(scene, materials=unknown, material_index=np.zeros_like(scene.material_index))


def flat(folder: Path, progress: Callable[[float], None] | None = None) -> RecordingSet:
    """Responses of the flat, simulated once by the reference engine and kept in ``folder``.

    Listeners stand 0.5 m apart at 1.5 m, emitters on places drawn from the same grid; every pair has its own noise.
    """
    path = folder / f"flat_{_EMITTERS}_{_RAYS}.h5"  # other numbers are another set
    if path.is_file():
        return load(path)
    scene = flat_scene()
    steps = (np.arange(0.25, size, _SPACING) for size in (6.0, 4.0))
    grid = np.stack(np.meshgrid(*steps, [1.5], indexing="ij"), axis=-1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(grid))[:_EMITTERS])
    traced = trace(scene, grid[chosen], grid, rays=_RAYS, seed=0, progress=progress)
    pairs = [(e, p) for e in range(len(chosen)) for p in range(len(grid)) if chosen[e] != p]
    responses = np.zeros((len(pairs), 1, round(_SECONDS * RATE)), np.float32)
    for row, ((e, p), response) in enumerate(zip(pairs, responses, strict=True)):
        samples = impulse_response(traced[e, p], RATE, format_of("mono"), seed=row)[: response.shape[-1], 0]
        response[0, : len(samples)] = samples
        if progress is not None:
            progress((row + 1) / len(pairs))
    e, p = np.array(pairs).T
    result = RecordingSet(
        "two-room flat",
        "simulated",
        RATE,
        responses,
        grid[chosen[e]],
        grid[p],
        speed_of_sound=scene.air.speed_of_sound,
        notes=(
            "Simulated by the reference engine, on which the zero-shot field was trained: it shows what a method learns"
            " of a room, not whether the room is real. The fine structure of each response is noise of its own.",
        ),
    )
    folder.mkdir(parents=True, exist_ok=True)
    save(result, path)
    return result
