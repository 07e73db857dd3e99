"""dEchorate: image arrivals of first order against the published arrival times of a measured room.

D. Di Carlo, P. Tandeitnik, C. Foy, N. Bertin, A. Deleforge, S. Gannot, "dEchorate: a calibrated room impulse response
dataset for echo-aware signal processing", EURASIP Journal on Audio, Speech, and Music Processing (2021),
doi:10.1186/s13636-021-00229-0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from naf_core.errors import UserError
from naf_core.materials import Material
from naf_core.paths import mirror_paths
from naf_core.raycast import Raycaster
from naf_core.store import DAMAGE, read_array
from naf_core.truth.box import box_scene
from naf_core.truth.figure import Figure

DATA = Path(__file__).resolve().parents[2] / "tests" / "data" / "dechorate" / "dechorate_011111_src1.h5"
# ms. The south row is left out: its picks tell of a surface 0.25 m beyond the south wall, tilted by about 4 degrees.
BARS = {"direct": 0.06, "east": 0.06, "north": 0.06, "ceiling": 0.06, "west": 0.25, "floor": 0.25}

_WALLS = (("west", "east"), ("south", "north"), ("floor", "ceiling"))  # low and high along x, y, z
_RAYS = 2048
_MOST = 10_000


class Annotations(NamedTuple):
    """Calibrated positions ``source`` (3,), ``microphones`` (M, 3) and ``room`` (3,) in m, and published arrivals.

    ``times`` (M,) in s by path; ``picked`` (M,) whether by hand, by path. ``speed_of_sound`` in m/s.
    """

    source: np.ndarray
    microphones: np.ndarray
    room: np.ndarray
    speed_of_sound: float
    times: dict[str, np.ndarray]
    picked: dict[str, np.ndarray]


def figures(progress: Callable[[float], None] | None = None) -> list[Figure]:
    """Root mean square over the microphones of image minus published arrival time, path by path."""
    if not DATA.is_file():
        note = f"{DATA.name} is missing: it lies in tests/data/dechorate of the repository."
        return [Figure(f"dEchorate, {path}", math.nan, "ms", bar, note=note) for path, bar in BARS.items()]
    known = read_annotations(DATA)
    found = arrivals(known)
    result = []
    for path, bar in BARS.items():
        error = float(np.sqrt(np.mean((found[path] - known.times[path]) ** 2))) * 1e3
        by_hand = int(known.picked[path].sum())
        note = (
            f"{len(found[path])} microphones, calibrated positions; {by_hand} times picked by hand, the others modelled"
        )
        result.append(Figure(f"dEchorate, {path}: image against published arrival", error, "ms", bar, note=note))
    if progress is not None:
        progress(1.0)
    return result


def arrivals(known: Annotations) -> dict[str, np.ndarray]:
    """Arrival times (M,) in s of the direct sound and of each wall's image, from the engine's mirror paths.

    The room is a mesh of its published size. NaN where the engine finds no path; raises UserError when it finds one
    twice.
    """
    scene = box_scene(np.zeros(3), known.room, Material("wall", (0.1,) * 8, (0.0,) * 8))
    paths = mirror_paths(scene, Raycaster(scene), known.source[None], known.microphones, order=1, rays=_RAYS)
    # A wall is told by where its image lies: beyond that wall.
    image = known.microphones[paths.listener] + paths.length[:, None] * paths.source
    result = {"direct": np.linalg.norm(known.microphones - known.source, axis=1) / known.speed_of_sound}
    for axis, names in enumerate(_WALLS):
        for name, beyond in zip(names, (image[:, axis] < 0.0, image[:, axis] > known.room[axis]), strict=True):
            listeners = paths.listener[beyond]
            if len(np.unique(listeners)) != len(listeners):
                raise UserError(f"The engine found an image behind the {name} wall twice.")
            result[name] = np.full(len(known.microphones), np.nan)
            result[name][listeners] = paths.length[beyond] / known.speed_of_sound
    return result


def read_annotations(path: Path) -> Annotations:
    """Read positions and published arrival times; raises UserError when the file is something else."""
    try:
        with h5py.File(path, "r") as file:
            microphones = read_array(file, "microphone_positions", (None, 3), _MOST)
            names = [str(name) for name in file["arrival_path"].asstr()[:_MOST]]
            times = read_array(file, "arrival_times", (len(names), len(microphones)), _MOST)
            picked = np.asarray(file["arrival_on_pick_grid"], dtype=bool).reshape(times.shape)
            return Annotations(
                read_array(file, "source_position", (3,), _MOST),
                microphones,
                read_array(file, "room_size", (3,), _MOST),
                float(read_array(file, "speed_of_sound", (), _MOST)),
                dict(zip(names, times, strict=True)),
                dict(zip(names, picked, strict=True)),
            )
    except DAMAGE as error:
        raise UserError(f"{path.name} cannot be read as annotations of dEchorate: {error}") from error
