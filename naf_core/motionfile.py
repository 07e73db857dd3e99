"""The file of a job's motion: where everything is at each time, how loud it is, how fast and which way it sounds.

It comes from outside the worker: all arrays are bounded in size and checked in shape. What damages a file beyond that
raises one of `store.DAMAGE`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from naf_core.clip import Clip
from naf_core.directivity import Cone
from naf_core.errors import UserError
from naf_core.fields import Fields
from naf_core.scene import Emitter, Listener, Scene, Trajectory
from naf_core.states import MAX_KNOTS, MAX_STATES, States
from naf_core.store import read_array

if TYPE_CHECKING:
    import h5py

# Beyond these a file is taken for damaged: they bound what a hostile file can make the worker allocate.
MAX_FRAMES = 1_000_000
MAX_STARTS = 100_000


def write(file: h5py.File, room: States, emitters: Sequence[Emitter], listener: Listener | None) -> None:
    """Write the motion of a job, whose trajectories share their times, into an open file."""
    times = emitters[0].trajectory.times
    file["times"] = times
    if room.change:
        file["states/times"], file["states/number"] = room.times, room.number
    if listener is not None:
        _write_trajectory(file.create_group("listener"), listener.trajectory)
    for number, emitter in enumerate(emitters):
        group = file.create_group(f"emitters/{number}")
        _write_trajectory(group, emitter.trajectory)
        group["gain"], group["pitch"] = emitter.gain, emitter.pitch
        if emitter.clips:
            group["clips"] = [[c.begin, c.end, c.repeat, c.speed, float(c.backwards)] for c in emitter.clips]
        if emitter.cone is not None:
            values = (emitter.cone.inner, emitter.cone.outer, emitter.cone.outer_gain)
            group["cone"] = np.stack([np.broadcast_to(value, times.shape) for value in values], axis=1)


def read_states(file: h5py.File, load: Callable[[int], Scene], scene: Scene) -> States | None:
    """How the room changes, which is ``scene`` at first and then what ``load`` gives; None where it does not."""
    if "states" not in file:
        return None
    number = read_array(file, "states/number", (None,), MAX_KNOTS).astype(np.int64)
    count = min(int(number.max(initial=0)) + 1, MAX_STATES)
    return States((scene, *map(load, range(1, count))), read_array(file, "states/times", (None,), MAX_KNOTS), number)


def _write_trajectory(group: h5py.Group, trajectory: Trajectory) -> None:
    group["positions"] = trajectory.positions
    group["rotations"] = trajectory.rotations


def read_trajectory(file: h5py.File, name: str, times: np.ndarray) -> Trajectory:
    """The trajectory that lies in a group, at ``times`` (T,) in seconds."""
    positions = read_array(file, f"{name}/positions", (len(times), 3), MAX_FRAMES)
    return Trajectory(times, positions, read_array(file, f"{name}/rotations", (len(times), 3, 3), MAX_FRAMES))


def read_emitter(file: h5py.File, number: int, entry: Fields, times: np.ndarray) -> Emitter:
    """An emitter by its number, with ``entry`` for what is text; raises UserError where a value is out of range."""
    pitch, starts = f"emitters/{number}/pitch", entry.numbers("starts", MAX_STARTS)
    return Emitter(
        name=entry.text("name"),
        trajectory=read_trajectory(file, f"emitters/{number}", times),
        sound=entry.text("sound"),
        starts=starts,
        gain=read_array(file, f"emitters/{number}/gain", (len(times),), MAX_FRAMES),
        level=entry.number("level"),
        cone=_read_cone(file, number, entry, times),
        pitch=read_array(file, pitch, (len(times),), MAX_FRAMES) if pitch in file else 1.0,
        clips=_read_clips(file, number, entry, len(starts)),
    )


def _read_clips(file: h5py.File, number: int, entry: Fields, count: int) -> tuple[Clip, ...]:
    if f"emitters/{number}/clips" not in file:
        return ()
    values = read_array(file, f"emitters/{number}/clips", (count, 5), MAX_STARTS)
    try:
        return tuple(Clip(*map(float, row[:4]), bool(row[4])) for row in values)
    except UserError as error:
        name = entry.text("name")
        raise UserError(f"A clip of “{name}” is out of range. {error.message}", name) from error


def _read_cone(file: h5py.File, number: int, entry: Fields, times: np.ndarray) -> Cone | None:
    if f"emitters/{number}/cone" not in file:
        return None
    values = read_array(file, f"emitters/{number}/cone", (len(times), 3), MAX_FRAMES)
    try:
        return Cone(*values.T, entry.number("cone_radius") if entry.has("cone_radius") else None)
    except UserError as error:
        name = entry.text("name")
        raise UserError(f"The cone of “{name}” is out of range. {error.message}", name) from error
