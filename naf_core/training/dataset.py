"""Teacher data: procedural rooms traced by the reference engine, in HDF5 shards that can be resumed."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

from naf_core.features import intensity_ratio, read_around
from naf_core.pairs import Pairs, pair_geometry, sight
from naf_core.probes import Surroundings, scan
from naf_core.raycast import Raycaster
from naf_core.response import N_FRAMES
from naf_core.specular import specular_energy
from naf_core.tracer import tail_slopes, trace
from naf_core.training.rooms import WIDE_TRAINING, Room, make_room

FORMAT = "acoustic-fields teacher 3"
SHARD = 20  # rooms a file
POINTS = 10  # points a room; every pair of them is a sample
PATHS = 80_000  # of a scan: fewer than a user's, for there are thousands of rooms, and their noise teaches caution
FLOOR_DB = -120.0  # levels are stored no lower than this


def teacher_rays(self_energy: np.ndarray) -> int:
    """Rays for the pairs of a room: dead rooms need more paths and are cheap to trace, lively ones the reverse."""
    slope = float(np.median(tail_slopes(self_energy[..., 0])))
    return int(np.clip(1600.0 * (-slope / 120.0), 1000, 4000))


def room_record(
    room: Room, seed: int, rays: int | None = None, paths: int | None = None
) -> dict[str, np.ndarray | str]:
    """Everything that training needs to know of ``room``: ``rays`` from each point, and a scan of ``paths``."""
    caster = Raycaster(room.scene)
    points, count = caster.off_surfaces(room.points), len(room.points)
    found = scan(room.scene, caster, paths=paths, seed=seed)
    seen = sight(caster, found.positions, points)
    around = read_around(found, seen)
    gets = found.exchange.at(seen.weight)
    rays = rays or teacher_rays(found.exchange.between(gets, gets))
    response = trace(room.scene, points, points, rays=rays, seed=seed + 1, raycaster=caster)
    i, j = np.triu_indices(count, 1)
    first, second = np.concatenate([i, j]), np.concatenate([j, i])
    pairs = pair_geometry(caster, found.positions, found.walking, points, points, seen, seen, first, second)
    energy = response.energy[first, second].astype(np.float64)  # (2n, 8, frames, 4), emitter first, listener second
    both = 0.5 * (energy[: len(i), ..., 0] + energy[len(i) :, ..., 0])  # reciprocity halves the noise
    exchanged = found.exchange.between(gets[first], gets[second])
    specular = specular_energy(room.scene, caster, points, points, first, second)
    record: dict[str, np.ndarray | str] = {
        "kind": room.kind,
        "points": points,
        "air": room.scene.air.absorption().astype(np.float32),
        "speed_of_sound": np.float32(room.scene.air.speed_of_sound),
        "exchanged": _level(exchanged[: len(i), ..., 0]),
        "exchanged_direction": _direction(exchanged),
        "specular": _level(0.5 * (specular[: len(i), ..., 0] + specular[len(i) :, ..., 0])),
        "specular_direction": _direction(specular),
        "level": _level(both),
        "direction": _direction(energy),
        "direct": response.direct[i, j],
    }
    record |= {f"around_{f.name}": getattr(around, f.name) for f in fields(Surroundings)}
    record |= {f"pairs_{f.name}": getattr(pairs, f.name) for f in fields(Pairs)}
    return record


def _level(energy: np.ndarray) -> np.ndarray:
    return (10.0 * np.log10(np.maximum(energy, 10.0 ** (FLOOR_DB / 10.0)))).astype(np.float16)


def _direction(energy: np.ndarray) -> np.ndarray:
    return np.round(intensity_ratio(energy) * 127.0).astype(np.int8)


def _write_shard(job: tuple[Path, int, int]) -> tuple[int, float]:
    folder, number, end = job
    start = time.perf_counter()
    path = folder / f"shard-{number:05d}.h5"
    if not path.exists():
        part = path.with_suffix(".part")
        with h5py.File(part, "w") as file:
            file.attrs["format"] = FORMAT
            for seed in range(number * SHARD, min((number + 1) * SHARD, end)):
                group = file.create_group(f"{seed:06d}")
                for key, value in room_record(make_room(seed, POINTS), seed, paths=PATHS).items():
                    if isinstance(value, str):
                        group.attrs[key] = value
                    elif np.ndim(value) == 0:
                        group.create_dataset(key, data=value)
                    else:
                        group.create_dataset(key, data=value, compression="gzip", compression_opts=1)
        os.replace(part, path)
    return number, time.perf_counter() - start


def make_dataset(folder: Path, plain: int, wide: int, processes: int | None = None) -> list[Path]:
    """Trace ``plain`` and ``wide`` rooms into ``folder``, on all cores; shards that exist are kept.

    Their seeds go on from 0 and from WIDE_TRAINING.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = [
        (first // SHARD + k, first + count)
        for first, count in ((0, plain), (WIDE_TRAINING, wide))
        for k in range(-(-count // SHARD))
    ]
    start, done = time.perf_counter(), 0
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for _ in pool.imap_unordered(_write_shard, [(folder, *shard) for shard in shards]):
            done += 1
            elapsed = time.perf_counter() - start
            print(f"teacher data: {done}/{len(shards)} shards, {elapsed:.0f} s", file=sys.stderr, flush=True)
    return [folder / f"shard-{number:05d}.h5" for number, _ in shards]


def read_rooms(paths: list[Path]) -> list[dict[str, np.ndarray | str]]:
    """The room records in shard files ``paths``, in order of their seeds."""
    rooms = []
    for path in paths:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ValueError(f"{path} holds no teacher data of this version: remove it and train again.")
            for seed in sorted(file):
                group = file[seed]
                record: dict[str, np.ndarray | str] = {key: value[()] for key, value in group.items()}
                record["kind"] = str(group.attrs["kind"])
                if record["level"].shape[2] != N_FRAMES:
                    raise ValueError(f"{path} was made with other time frames: remove it and train again.")
                rooms.append(record)
    return rooms
