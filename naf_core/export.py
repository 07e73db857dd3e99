"""Impulse responses for other programs: of chosen frames, and of a grid of places around the listener."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from naf_core.delivery import stem_names
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.formats import Format
from naf_core.impulses import Impulses, write_sofa
from naf_core.job import MAX_IMPULSES, Job
from naf_core.motion import rotations_at
from naf_core.report import rounded
from naf_core.sound import write_sound

_FROM_WALLS = 0.1  # m

# Impulse responses of the pairs of an emitter: from its number, places (n, 3) of it and of the listener, the listener's
# rotations (n, 3, 3), and times (n,) in s.
Respond = Callable[[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray], list[np.ndarray]]


def export(
    job: Job, field: Field, fmt: Format, respond: Respond, folder: Path, step: Callable[[float], None]
) -> dict[str, Any]:
    """Write the job's impulse responses into ``folder``; returns the names of the files, and the places of the grid."""
    times = (np.array(job.impulse_frames, float) - job.frame_start) / job.fps
    path = job.listener.trajectory
    sets = []  # label, times, places and rotations of the listener
    if len(times):
        sets.append(("", times, path.at(times), rotations_at(path, times), [str(f) for f in job.impulse_frames]))
    grid = np.zeros((0, 3))
    if job.impulse_spacing:
        when = times[:1] if len(times) else np.zeros(1)
        grid = places_around(field, path.at(when)[0], job.impulse_spacing)
        turned = np.repeat(rotations_at(path, when), len(grid), axis=0)
        names = [f"grid_{number:04d}" for number in range(1, len(grid) + 1)]
        sets.append(("_grid", np.repeat(when, len(grid)), grid, turned, names))
    files = []
    labels = [name.removeprefix("stem_").removesuffix(".wav") for name in stem_names([e.name for e in job.emitters])]
    for number, (emitter, label) in enumerate(zip(job.emitters, labels, strict=True)):
        for kind, moments, there, rotations, names in sets:
            here = emitter.trajectory.at(moments)
            samples = respond(number, here, there, rotations, moments)
            if job.impulse_type != "sofa":
                for name, response in zip(names, samples, strict=True):
                    files.append(f"ir_{label}_{name}.wav")
                    write_sound(folder / files[-1], response, job.sample_rate, "FLOAT", fmt.mask)
            if job.impulse_type != "wav":
                files.append(f"ir_{label}{kind}.sofa")
                title = f"{job.scene_name}: {emitter.name}"
                frames = np.round(moments * job.fps).astype(int) + job.frame_start
                told = Impulses(samples, here, there, rotations, frames, job.sample_rate, fmt.name, title)
                write_sofa(folder / files[-1], told)
        step((number + 1) / len(job.emitters))
    return {"impulse_responses": files, "impulse_grid_m": [rounded(place, 3) for place in grid]}


def places_around(field: Field, listener: np.ndarray, spacing: float) -> np.ndarray:
    """Places (n, 3) of a level grid through the ``listener`` (3,) that lie within the rooms, ``spacing`` m apart.

    Raises UserError where there are more than `MAX_IMPULSES` of them, or none.
    """
    low, high = field.scene.bounds[0] + _FROM_WALLS, field.scene.bounds[1] - _FROM_WALLS
    x, y = (
        listener[axis]
        + spacing
        * np.arange(
            np.ceil((low[axis] - listener[axis]) / spacing), np.floor((high[axis] - listener[axis]) / spacing) + 1
        )
        for axis in (0, 1)
    )
    if len(x) * len(y) > 100 * MAX_IMPULSES:
        raise UserError(f"A grid of {spacing:g} m has too many places here: set a larger spacing.")
    grid = np.stack([*np.meshgrid(x, y, indexing="ij"), np.full((len(x), len(y)), listener[2])], axis=-1).reshape(-1, 3)
    grid = grid[field.covers(grid)] if len(grid) else grid
    if not 0 < len(grid) <= MAX_IMPULSES:
        raise UserError(
            f"A grid of {spacing:g} m has {len(grid)} places in the rooms: choose 1 to {MAX_IMPULSES} by its spacing."
        )
    return grid
