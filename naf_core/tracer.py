"""The reference engine: energy responses of emitters and listeners, by tracing random paths between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from naf_core.air import Air
from naf_core.bands import N_BANDS
from naf_core.crew import Crew, Task
from naf_core.directivity import Directivity, gains
from naf_core.errors import UserError
from naf_core.randompaths import Balance, RandomPaths
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, EnergyResponse
from naf_core.scene import Scene


def trace(
    scene: Scene,
    emitters: np.ndarray,
    listeners: np.ndarray,
    *,
    rays: int = 20000,
    seed: int = 0,
    directivity: Sequence[Directivity | None] | None = None,
    processes: int = 1,
    progress: Callable[[float], None] | None = None,
    raycaster: Raycaster | None = None,
) -> EnergyResponse:
    """Trace the energy responses of all pairs of ``emitters`` (E, 3) and ``listeners`` (L, 3), in metres.

    ``rays`` paths leave each emitter, whose ``directivity`` may be given for each (default: all alike in all
    directions). ``processes`` at most work side by side; the result does not depend on how many. Returns an
    EnergyResponse with leading axes (E, L). ``progress`` is called with a fraction 0..1 and may raise to cancel.
    Raises UserError when a position is not finite.
    """
    task, paths = begin(scene, emitters, listeners, seed, directivity, raycaster, rays)
    processes = min(processes, paths.chunks(rays))
    paths.add_mirror_paths(rays)
    with Crew(task, processes, paths) as crew:
        paths.energy += crew.energy(rays, progress)
    return response_of(paths)


def trace_self(
    scene: Scene,
    points: np.ndarray,
    *,
    rays: int,
    seed: int,
    progress: Callable[[float], None] | None = None,
    raycaster: Raycaster | None = None,
) -> np.ndarray:
    """What each of ``points`` (P, 3) hears of itself: energy (P, 8, N_FRAMES, 4) float32, without direct sound."""
    points = positions_from(points)
    paths = RandomPaths(scene, raycaster or Raycaster(scene), points, None, np.random.default_rng(seed))
    paths.run_all(rays, progress)
    return paths.frames((len(points),)).astype(np.float32)


def trace_balanced(
    scene: Scene,
    emitters: np.ndarray,
    listeners: np.ndarray,
    *,
    rays: int,
    seed: int,
    directivity: Sequence[Directivity | None] | None = None,
    progress: Callable[[float], None] | None = None,
    raycaster: Raycaster | None = None,
) -> tuple[EnergyResponse, Balance]:
    """As `trace`, and also say where the energy went."""
    _, paths = begin(scene, emitters, listeners, seed, directivity, raycaster, rays)
    zero = np.zeros((len(paths.emitters), N_BANDS))
    paths.balance = Balance(zero, zero.copy(), zero.copy())
    paths.run_all(rays, progress)
    return response_of(paths), paths.balance


def begin(
    scene: Scene,
    emitters: np.ndarray,
    listeners: np.ndarray,
    seed: int,
    directivity: Sequence[Directivity | None] | None,
    raycaster: Raycaster | None,
    rays: int,
    times: int = 1,
) -> tuple[Task, RandomPaths]:
    """What is to be traced, checked, and the paths that will do it, from ``times`` emitters in place of each.

    ``rays`` from each emitter are thought of.
    """
    emitters, listeners = (positions_from(p) for p in (emitters, listeners))
    if directivity is not None and len(directivity) != len(emitters):
        raise UserError(f"There are {len(directivity)} directivities for {len(emitters)} emitters: give one each.")
    caster = raycaster or Raycaster(scene)
    emitters, listeners = caster.off_surfaces(emitters), caster.off_surfaces(listeners)
    directivity = None if directivity is None else tuple(directivity)
    task = Task(scene, emitters, listeners, seed, directivity, rays, times)
    return task, task.paths(caster)


def response_of(paths: RandomPaths) -> EnergyResponse:
    """What ``paths`` brought, as a response with leading axes (E, L), the direct sound included."""
    pairs = (len(paths.emitters), len(paths.listeners))
    energy = paths.frames(pairs)
    emitter, listener = (i.ravel() for i in np.indices(pairs))
    distance, direction, direct = direct_sound(
        paths.scene, paths.caster, paths.emitters[emitter], paths.listeners[listener]
    )
    if paths.directivity is not None:
        direct = direct * gains(paths.directivity, emitter, -direction)
    return EnergyResponse(
        energy=energy.astype(np.float32),
        direct=direct.reshape(*pairs, N_BANDS),
        distance=distance.reshape(pairs),
        direct_direction=direction.reshape(*pairs, 3),
        tail_slope=tail_slopes(energy[..., 0]),
        speed_of_sound=paths.scene.air.speed_of_sound,
    )


def positions_from(values: object) -> np.ndarray:
    """Positions (n, 3) float32 in metres from anything array-like; raises UserError when they are not finite."""
    points = np.asarray(values, dtype=np.float32)
    if points.ndim == 1:
        points = points[None]
    if points.ndim != 2 or points.shape[1] != 3:
        raise UserError(f"Positions have the shape {points.shape}: give (n, 3), in metres.")
    if not np.isfinite(points).all():
        raise UserError("A position is not a finite number.")
    return points


def direct_sound(
    scene: Scene, caster: Raycaster, emitters: np.ndarray, listeners: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Direct sound of n pairs: distance (n,), direction at the listener (n, 3), energy per band (n, 8)."""
    separation = emitters - listeners
    distance = np.linalg.norm(separation, axis=1)
    direction = separation / np.maximum(distance, 1e-6)[:, None]
    visible = ~caster.blocked(listeners, direction, distance)
    return distance, direction, direct_energy(scene.air, distance, visible)


def direct_energy(air: Air, distance: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Energy per band (n, 8) of the direct sound over ``distance`` (n,) m: 1/r^2 and air, 0 where not ``visible``."""
    return np.where(visible[:, None], air.free_field(distance), 0.0).astype(np.float32)


def tail_slopes(energy: np.ndarray) -> np.ndarray:
    """Decay in dB/s beyond the last frame of ``energy`` (..., N_FRAMES), (...) float32, between -2000 and -2.

    A straight line through the levels of the frames that lie 5 to 60 dB below the loudest, later ones first.
    """
    density = np.maximum(energy / FRAME_WIDTHS, 1e-30)
    level = 10.0 * np.log10(density)
    level = level - level.max(axis=-1, keepdims=True)
    middle = FRAME_EDGES[:-1] + 0.5 * FRAME_WIDTHS
    weight = np.where((level > -60.0) & (level < -5.0), middle, 0.0)
    total = np.maximum(weight.sum(axis=-1, keepdims=True), 1e-12)
    mean_t = (weight * middle).sum(axis=-1, keepdims=True) / total
    mean_l = (weight * level).sum(axis=-1, keepdims=True) / total
    covariance = (weight * (middle - mean_t) * (level - mean_l)).sum(axis=-1)
    variance = (weight * (middle - mean_t) ** 2).sum(axis=-1)
    slope = np.where(variance > 1e-12, covariance / np.maximum(variance, 1e-12), -60.0)
    return np.clip(slope, -2000.0, -2.0).astype(np.float32)
