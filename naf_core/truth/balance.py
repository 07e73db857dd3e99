"""Two conservation laws: energy goes somewhere, and sound that goes one way can go back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from naf_core.convergence import trace_until
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from naf_core.tracer import trace_balanced
from naf_core.training.rooms import make_room
from naf_core.truth.figure import Figure
from naf_core.truth.furnished import EMITTER, LISTENER, furnished_room

_RAYS = 20_000
_RUNS = 20
_ROOMS = {"box": 31, "coupled": 32, "hall": 33, "open": 34}  # kinds and seeds of procedural rooms
_MOST_RAYS = 4000
_BANDS = slice(1, 7)  # 125 Hz to 4 kHz


def figures(progress: Callable[[float], None] | None = None) -> list[Figure]:
    """Energy lost or made in five rooms, and how reciprocal pairs differ beside their stated noise."""
    rooms = [(kind, make_room(seed, 6, kind)) for kind, seed in _ROOMS.items()]
    scenes = [(kind, room.scene, room.points) for kind, room in rooms]
    scenes.append(("furnished", furnished_room(5000), np.stack([EMITTER, LISTENER])))
    lost, differing = [], []
    for number, (kind, scene, points) in enumerate(scenes):
        lost.append((_lost(scene, points), kind))
        if progress is not None:
            progress((number + 0.5) / len(scenes))
        differing.append(_difference(scene, points, number))
        if progress is not None:
            progress((number + 1) / len(scenes))
    (worst, error), where = max(lost)
    difference = np.abs(np.concatenate(differing))
    known = np.isfinite(difference)
    ratio = np.sqrt(np.nanmean(difference**2, axis=(0, 2)))
    return [
        Figure(
            "energy absorbed + escaped - emitted",
            worst,
            "%",
            0.1,
            note=f"worst band of five rooms ({where}), mean of {_RUNS} traces of {_RAYS} paths, its standard error"
            f" {error:.3f}; the worst band of each: "
            + ", ".join(f"{kind} {value:.3f} ± {error:.3f}" for (value, error), kind in lost),
        ),
        Figure(
            "reciprocity: differences of both ways in units of their stated error, rms",
            float(ratio.max()),
            "",
            1.3,
            note=f"worst of C50 {ratio[0]:.2f}, T30 {ratio[1]:.2f} and G {ratio[2]:.2f}, {len(difference)} pairs in the"
            " bands 125 Hz to 4 kHz; 1.1 is expected of errors told from 16 groups;"
            f" {100.0 * (difference[known] <= 2.0).mean():.0f} % lie within twice the error",
        ),
    ]


def _lost(scene: Scene, points: np.ndarray) -> tuple[float, float]:
    """Worst band's share in percent of emitted energy that is neither absorbed nor escaped, and its standard error."""
    caster, found = Raycaster(scene), []
    for run in range(_RUNS):
        _, balance = trace_balanced(scene, points[:1], points[1:2], rays=_RAYS, seed=run, raycaster=caster)
        found.append(100.0 * (balance.absorbed + balance.escaped - 1.0)[0])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(_RUNS)
    worst = int(np.abs(mean).argmax())
    return float(abs(mean[worst])), float(error[worst])


def _difference(scene: Scene, points: np.ndarray, seed: int) -> np.ndarray:
    """(pairs, 3, 6): how C50, T30 and G differ when ends are swapped, in units of the stated standard error."""
    half = len(points) // 2
    ends = points[:half], points[half:]
    there, back = (
        trace_until(scene, a, b, c50_db=0.0, most_rays=_MOST_RAYS, seed=2 * seed + k)
        for k, (a, b) in enumerate((ends, ends[::-1]))
    )
    result = []
    for key, error in (("C50_dB", "c50_db"), ("T30_s", "t30_percent"), ("G_dB", "g_db")):
        one, other = there[0].parameters()[key], back[0].parameters()[key].swapaxes(0, 1)
        squares = getattr(there[1], error) ** 2 + getattr(back[1], error).swapaxes(0, 1) ** 2
        scale = 50.0 * (one + other) if key == "T30_s" else 100.0
        difference = 100.0 * (one - other) / scale * (100.0 if key == "T30_s" else 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            result.append((difference / np.sqrt(squares))[..., _BANDS].reshape(half * half, -1))
    found = np.stack(result, axis=1)
    return np.where(np.isfinite(found), found, np.nan)
