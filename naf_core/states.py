"""States: the room at several moments of a shot in which solid things move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naf_core.errors import UserError
from naf_core.scene import Scene

MAX_STATES = 64  # different scenes of one job
MAX_KNOTS = 10_000


@dataclass(frozen=True)
class States:
    """How a room changes: at ``times`` (K,) s, increasing, it is ``scenes[number[k]]``, and it passes in between.

    Before the first and after the last of the times it stays as it is. One scene, at one time, is a room that does not
    change. Raises UserError on other shapes and numbers.
    """

    scenes: tuple[Scene, ...]
    times: np.ndarray
    number: np.ndarray

    def __post_init__(self) -> None:
        times = np.asarray(self.times, np.float64).reshape(-1)
        number = np.asarray(self.number, np.int64).reshape(-1)
        scenes = tuple(self.scenes)
        if not (1 <= len(scenes) <= MAX_STATES and 1 <= len(times) == len(number) <= MAX_KNOTS):
            raise UserError(f"A changing room has 1 to {MAX_STATES} states, and one of them at each of its times.")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise UserError("The times at which a room changes must be finite and increase.")
        if number.min() < 0 or number.max() >= len(scenes):
            raise UserError(f"A changing room has the states 0 to {len(scenes) - 1}, and others are named.")
        for name, value in (("scenes", scenes), ("times", times), ("number", number)):
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, scene: Scene) -> States:
        """A room that does not change."""
        return cls((scene,), np.zeros(1), np.zeros(1, np.int64))

    @property
    def change(self) -> bool:
        """Whether there is more than one."""
        return len(self.scenes) > 1

    def shares(self, times: np.ndarray) -> np.ndarray:
        """How much each state counts at ``times`` (n,) in s: (n, S), each row adds up to 1."""
        times = np.asarray(times, np.float64)
        after = np.searchsorted(self.times, times, side="right").clip(1, max(len(self.times) - 1, 1))
        shares = np.zeros((len(times), len(self.scenes)))
        rows = np.arange(len(times))
        if len(self.times) == 1:
            shares[:, self.number[0]] = 1.0
            return shares
        begin, end = self.times[after - 1], self.times[after]
        part = np.clip((times - begin) / (end - begin), 0.0, 1.0)
        np.add.at(shares, (rows, self.number[after - 1]), 1.0 - part)
        np.add.at(shares, (rows, self.number[after]), part)
        return shares

    def at(self, time: float) -> int:
        """The number of the state that counts most at ``time`` in s."""
        return int(self.shares(np.array([time]))[0].argmax())

    def moments(self) -> np.ndarray:
        """The times in s at which a change begins or ends, (n,): between two of them all shares are straight lines."""
        changes = np.flatnonzero(np.diff(self.number))
        return self.times[np.unique(np.concatenate([changes, changes + 1]))] if len(changes) else np.zeros(0)


def same_room(scenes: Sequence[Scene]) -> bool:
    """Whether all ``scenes`` hold the same triangles of the same materials."""
    first = scenes[0]
    return all(
        np.array_equal(scene.vertices, first.vertices)
        and np.array_equal(scene.triangles, first.triangles)
        and np.array_equal(scene.material_index, first.material_index)
        and scene.materials == first.materials
        for scene in scenes[1:]
    )
