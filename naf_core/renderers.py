"""Processes that hear and render a shot side by side: in threads, NumPy's small steps would wait for Python's lock.

What they need is imported there, so that they can be started before it is imported here.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from naf_core.errors import UserError
from naf_core.stemfile import GROUPS, PARTS, StemFile, StemWriter

if TYPE_CHECKING:
    from naf_core.hearing import Hearing
    from naf_core.shot import Shot

_PATIENCE = 0.1  # s: as soon as this, a wish to cancel is heard
_MOST = 16  # processes: each takes 150 MB and more
_ALONE = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

Step = Callable[[float], None]


@dataclass(frozen=True)
class _Task:
    """Hear the emitter ``number``, or render the ``group`` of GROUPS of what is heard of it into a file ``place``."""

    number: int
    group: int | None = None
    hearing: Hearing | None = None
    place: Path | None = None


@dataclass(frozen=True)
class _Failure:
    """What a `UserError` says, on its way to the process that waits."""

    message: str
    object_name: str | None


@dataclass
class _Member:
    """One process, its ``pipe``, what it does, and whether it is ``ready`` for that: whether it knows the shot."""

    process: BaseProcess
    pipe: Connection
    task: _Task | None = None
    ready: bool = False


class Renderers:
    """``processes`` that work side by side, at most, from the moment the ``with`` block begins until it ends.

    With one, the calling process does all by itself, to the same result but for rounding. They may render one shot
    after another. Raises UserError when one breaks off.
    """

    def __init__(self, processes: int) -> None:
        self._count = min(processes, _MOST) if processes > 1 else 0
        self._members: list[_Member] = []

    def __enter__(self) -> Renderers:
        context = multiprocessing.get_context("spawn")
        with _environment(_ALONE):  # the cores are busy with the others
            for _ in range(self._count):
                here, there = context.Pipe()
                process = context.Process(target=_work, args=(there,), daemon=True)
                process.start()
                there.close()
                self._members.append(_Member(process, here))
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.process.terminate()
            member.pipe.close()
        for member in self._members:
            member.process.join()
        self._members.clear()

    @property
    def count(self) -> int:
        """How many work at once."""
        return max(len(self._members), 1)

    def begin(self, shot: Shot, places: dict[int, Path]) -> None:
        """Begin with a ``shot``; the emitters among ``places`` are to be rendered, each into its own file."""
        if any(member.task is not None for member in self._members):  # of a shot that was cancelled
            self.__exit__()
            self.__enter__()
        self._shot, self._places = shot, places
        self._hearings: dict[int, Hearing] = {}
        self._fractions: dict[tuple[int, int | None], float] = {}
        self._waiting = deque(_Task(number) for number in range(len(shot.times)))
        for member in self._members:
            member.ready = False
        self._assign()

    def hearings(self, step: Step) -> list[Hearing]:
        """What is heard of each emitter; ``step`` gets 0..1 and may raise to cancel."""
        numbers = range(len(self._shot.times))
        if self._members:
            self._wait(lambda: len(self._hearings) == len(numbers), lambda: step(self._fraction(numbers, [None])))
        else:
            for number in numbers:

                def said(fraction: float, number: int = number) -> None:
                    step((number + fraction) / len(numbers))

                self._hearings[number] = self._shot.hearing(number, said)
        return [self._hearings[number] for number in numbers]

    def render(self, number: int, step: Step) -> StemFile:
        """Render an emitter into its file, after `hearings`; ``step`` as there."""
        place, rendering = self._places[number], self._shot.rendering(number, self._hearings.pop(number))
        with StemWriter(place, len(PARTS), self._shot.fmt.channels) as writer:
            for block in rendering.blocks(*self._rendered(number, step)):
                writer.add(block)
        for group in range(len(GROUPS)):
            self._piece(number, group).unlink(missing_ok=True)
        return StemFile(place)

    def _rendered(self, number: int, step: Step) -> tuple[Step | None, Callable[[int, int], np.ndarray] | None]:
        """What `Rendering.blocks` needs: who is told how far it is, and what the processes have rendered."""
        if not self._members:
            return step, None
        groups = range(len(GROUPS))
        self._wait(
            lambda: all(self._fractions.get((number, group)) == 1.0 for group in groups),
            lambda: step(self._fraction([number], groups)),
        )
        files = [StemFile(self._piece(number, group)) for group in groups]
        return None, lambda first, last: np.concatenate([file.read(first, last) for file in files], axis=1)

    def _piece(self, number: int, group: int) -> Path:
        """Where a group is kept until all of its emitter are there."""
        return self._places[number].with_suffix(f".{group}.part")

    def _fraction(self, numbers: range | list[int], groups: range | list[int | None]) -> float:
        parts = [self._fractions.get((number, group), 0.0) for number in numbers for group in groups]
        return sum(parts) / len(parts)

    def _wait(self, done: Callable[[], bool], tell: Callable[[], None]) -> None:
        """Take in what comes until all is ``done``."""
        while not done():
            busy = {member.pipe: member for member in self._members if member.task is not None}
            for pipe in wait(list(busy), timeout=_PATIENCE):
                self._take_in(busy[pipe])
            self._assign()
            tell()

    def _take_in(self, member: _Member) -> None:
        try:
            message = member.pipe.recv()
        except (EOFError, OSError) as error:
            raise UserError(_BROKEN) from error
        task = member.task
        if isinstance(message, float):
            self._fractions[task.number, task.group] = min(message, 0.99)
            return
        member.task = None
        if isinstance(message, _Failure):
            raise UserError(message.message, message.object_name)
        self._fractions[task.number, task.group] = 1.0
        if task.group is None:
            self._hearings[task.number] = message
            if task.number in self._places:
                self._waiting.extend(
                    _Task(task.number, group, message, self._piece(task.number, group)) for group in range(len(GROUPS))
                )

    def _assign(self) -> None:
        """Give work to whoever has none."""
        for member in self._members:
            if member.task is None and self._waiting:
                try:
                    if not member.ready:
                        member.pipe.send(self._shot)
                        member.ready = True
                    member.pipe.send(self._waiting[0])
                except OSError as error:
                    raise UserError(_BROKEN) from error
                member.task = self._waiting.popleft()


_BROKEN = (
    "A process that rendered has ended before its time, perhaps for lack of memory: choose fewer threads in the"
    ' preferences. A script of your own needs the line `if __name__ == "__main__":` before what it does.'
)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Other ``values`` for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(pipe: Connection) -> None:
    """Do the tasks in the ``pipe``, each of the shot that came last, until it is closed."""
    from naf_core.shot import Shot

    try:
        while True:
            message = pipe.recv()
            if isinstance(message, Shot):
                shot = message
                continue
            try:
                result = _done(shot, message, pipe.send)
            except UserError as error:
                result = _Failure(error.message, error.object_name)
            pipe.send(result)
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return  # nobody waits for more


def _done(shot: Shot, task: _Task, step: Step) -> Hearing | None:
    """What comes of a task."""
    if task.group is None:
        hearing = shot.hearing(task.number, step)
        if hearing.legs == 1:
            hearing.leg(0)  # else both groups would make it
        return hearing
    parts = GROUPS[task.group]
    with StemWriter(task.place, len(parts), shot.fmt.channels) as writer:
        for block in shot.rendering(task.number, task.hearing).group(parts, step):
            writer.add(block)
    return None
