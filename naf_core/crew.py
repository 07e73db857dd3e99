"""Processes that trace side by side. Threads would wait for each other: embreex holds Python's lock while it works."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Protocol

import numpy as np

from naf_core.directivity import Directivity
from naf_core.errors import UserError
from naf_core.randompaths import RandomPaths
from naf_core.raycast import Raycaster
from naf_core.scene import Scene

_PATIENCE = 0.2  # s: as soon as this, a wish to cancel is heard
_AHEAD = 2  # chunks a process may be ahead of the slowest


class Work(Protocol):
    """What a crew can do."""

    def ready_paths(self) -> RandomPaths:
        """Paths of which chunks can be asked for; every process makes its own."""


@dataclass(frozen=True)
class Task:
    """What is traced: ``scene``, ``emitters`` (E, 3), ``listeners`` (L, 3), ``seed`` and the emitters' directivity.

    ``rays`` look for mirrors; in place of each emitter there are ``times`` of them, which know nothing of each other.
    """

    scene: Scene
    emitters: np.ndarray
    listeners: np.ndarray
    seed: int
    directivity: tuple[Directivity | None, ...] | None
    rays: int
    times: int

    def paths(self, caster: Raycaster) -> RandomPaths:
        """The paths that do it."""
        rng = np.random.default_rng(self.seed)
        return RandomPaths(self.scene, caster, self.emitters, self.listeners, rng, self.directivity, self.times)

    def ready_paths(self) -> RandomPaths:
        """As `paths`, knowing all mirrors, for a process of its own."""
        paths = self.paths(Raycaster(self.scene))
        paths.look_for_mirrors(self.rays)
        return paths


class Crew:
    """``processes`` that do a ``task``, or the calling process alone with its own ``paths``, to the same result.

    Leaving its ``with`` block ends the processes at once. Raises UserError when one of them breaks off.
    """

    def __init__(self, task: Work, processes: int, paths: RandomPaths) -> None:
        self._paths = paths
        self._task = task
        self._count = processes if processes > 1 else 0
        self._members: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def __enter__(self) -> Crew:
        context = multiprocessing.get_context("spawn")
        for _ in range(self._count):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there,), daemon=True)
            process.start()
            there.close()
            self._members.append((process, here))
        # Only now, by the pipe: what a process is given at its start is waited for even when it has died.
        try:
            for _, pipe in self._members:
                _send(pipe, self._task)
        except UserError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process, pipe in self._members:
            process.terminate()
            pipe.close()
        for process, _ in self._members:
            process.join()
        self._members.clear()

    def energy(
        self, rays: int, progress: Callable[[float], None] | None = None, batch: tuple[int, ...] = ()
    ) -> np.ndarray:
        """What ``rays`` paths from every emitter bring: the sum of what the chunks of the paths bring.

        ``progress`` gets 0..1 several times a second and may raise.
        """
        chunks = self._paths.chunks(rays)
        tell = progress or (lambda fraction: None)
        if not self._members:
            total = self._paths.chunk_energy(rays, 0, batch)
            tell(1 / chunks)
            for chunk in range(1, chunks):
                total += self._paths.chunk_energy(rays, chunk, batch)
                tell((chunk + 1) / chunks)
            return total
        # Sums depend on their order, so chunks are added in theirs, whichever process brings them when.
        idle, coming, brought, added = [pipe for _, pipe in self._members], deque(range(chunks)), {}, 0
        total: np.ndarray | None = None
        while added < chunks:
            while idle and coming and coming[0] < added + _AHEAD * len(self._members):
                _send(idle.pop(), (rays, coming.popleft(), batch))
            for pipe in wait([pipe for _, pipe in self._members if pipe not in idle], timeout=_PATIENCE):
                chunk, energy = _receive(pipe)
                brought[chunk] = energy
                idle.append(pipe)
            while added in brought:
                energy = brought.pop(added)
                total = energy if total is None else np.add(total, energy, out=total)
                added += 1
            tell(added / chunks)
        return total


def _send(pipe: Connection, message: object) -> None:
    try:
        pipe.send(message)
    except OSError as error:
        raise UserError(_BROKEN) from error


def _receive(pipe: Connection) -> tuple[int, np.ndarray]:
    try:
        return pipe.recv()
    except (EOFError, OSError) as error:
        raise UserError(_BROKEN) from error


_BROKEN = (
    "A process that traced has ended before its time, perhaps for lack of memory: use fewer processes. A script of your"
    ' own needs the line `if __name__ == "__main__":` before what it does.'
)


def _work(pipe: Connection) -> None:
    """Trace the chunks of the task, first in the pipe, that it asks for until it is closed."""
    try:
        paths = pipe.recv().ready_paths()
        while True:
            rays, chunk, batch = pipe.recv()
            pipe.send((chunk, paths.chunk_energy(rays, chunk, batch)))
    except (EOFError, OSError, KeyboardInterrupt):
        return  # nobody waits for more
