"""What a faulty mesh does to the engine: nothing, and how long early paths and the check of a mesh take."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from naf_core.materials import Material
from naf_core.paths import early_paths
from naf_core.scene import Scene
from naf_core.soundness import faults
from naf_core.tracer import trace
from naf_core.truth.box import box_scene
from naf_core.truth.figure import Figure

_SIZE = np.array([6.0, 4.5, 3.2])
_EMITTER, _LISTENER = np.array([[1.7, 1.3, 1.1]]), np.array([[4.4, 3.1, 1.9]])
_WALL = Material("wall", (0.3,) * 8, (0.4,) * 8)
_RAYS = 4000


def figures(progress: Callable[[float], None] | None = None) -> list[Figure]:
    """Energies of a shoebox whose triangles are doubled, flipped or joined by slivers, and times in large meshes."""
    plain = box_scene(np.zeros(3), _SIZE, _WALL)
    corners, rng = plain.vertices[plain.triangles].astype(np.float64), np.random.default_rng(21)
    flipped = np.where((rng.random(len(corners)) < 0.5)[:, None, None], corners[:, ::-1], corners)
    slivers = corners.copy()
    slivers[:, 2] = slivers[:, 1] + 1e-6 * (slivers[:, 2] - slivers[:, 1])
    meshes = {
        "doubled": np.concatenate([corners, corners]),
        "flipped": flipped,
        "zero-area added": np.concatenate([slivers, corners, corners[:, [0, 1, 1]]]),
    }
    result = []
    meant_paths, meant = early_paths(plain, _EMITTER, _LISTENER), trace(plain, _EMITTER, _LISTENER, rays=_RAYS).total
    for number, (name, triangles) in enumerate(meshes.items()):
        scene = _scene(triangles)
        paths, total = early_paths(scene, _EMITTER, _LISTENER), trace(scene, _EMITTER, _LISTENER, rays=_RAYS).total
        if len(paths.length) == len(meant_paths.length):
            early = np.abs(10.0 * np.log10(paths.energy.sum(axis=0) / meant_paths.energy.sum(axis=0))).max()
        else:
            early = np.inf
        all_of_it = np.abs(10.0 * np.log10(total / meant)).max()
        result.append(Figure(f"triangles {name}: early paths", float(early), "dB", 0.001))
        result.append(Figure(f"triangles {name}: all energy", float(all_of_it), "dB", 0.1, note=f"{_RAYS} rays"))
        if progress is not None:
            progress((number + 1) / (len(meshes) + 2))
    furnished = _scene(_furnished(rng, 4200))
    started = time.process_time()
    few = early_paths(furnished, _EMITTER, _LISTENER)
    taken = time.process_time() - started
    many = early_paths(furnished, _EMITTER, _LISTENER, rays=1 << 18)
    share = float(few.energy[:, 4].sum() / many.energy[:, 4].sum())
    size = f"{len(furnished.triangles)} triangles"
    result.append(Figure("early paths of a pair, with its ray structure", taken, "s", 1.0, note=f"{size}, of one core"))
    note = f"{size} in small boxes; {len(few.length)} of {len(many.length)} paths"
    result.append(Figure("early paths: energy against 16 times the rays", share, "", 0.95, at_least=True, note=note))
    large = _furnished(rng, 16_660)
    started = time.process_time()
    faults(large.reshape(-1, 3), np.arange(3 * len(large)).reshape(-1, 3))
    taken = time.process_time() - started
    result.append(Figure("check of a mesh", taken, "s", 2.0, note=f"{len(large)} triangles, of one core"))
    if progress is not None:
        progress(1.0)
    return result


def _scene(triangles: np.ndarray) -> Scene:
    index = np.arange(3 * len(triangles)).reshape(-1, 3)
    return Scene(triangles.reshape(-1, 3), index, np.zeros(len(triangles), np.int64), [_WALL])


def _furnished(rng: np.random.Generator, count: int) -> np.ndarray:
    """Triangles (12 (count + 1), 3, 3) of a room with ``count`` small boxes against its walls, ends left free."""
    room = box_scene(np.zeros(3), np.ones(3), _WALL)
    unit = room.vertices[room.triangles].astype(np.float64)
    edges = rng.uniform(0.03, 0.15, (count, 3))
    low = rng.uniform(0.0, 1.0, (count, 3)) * (_SIZE - edges)
    axis = rng.integers(3, size=count)
    low[np.arange(count), axis] = np.where(rng.random(count) < 0.5, 0.01, _SIZE[axis] - 0.16)
    boxes = (low[:, None, None] + edges[:, None, None] * unit).reshape(-1, 3, 3)
    return np.concatenate([unit * _SIZE, boxes])
