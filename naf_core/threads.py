"""Work that is done ahead in threads: NumPy and SciPy let others run while they compute."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given, Made = TypeVar("Given"), TypeVar("Made")


def thread_count() -> int:
    """How many threads may work: as many as OMP_NUM_THREADS says, or as there are cores."""
    wished = os.environ.get("OMP_NUM_THREADS", "")
    return max(int(wished) if wished.isdigit() else os.cpu_count() or 1, 1)


def process_count() -> int:
    """How many processes may trace: as many as ACOUSTICS_PROCESSES says, or as threads may work.

    They may be more than these: they leave a core that was spared for others to whoever wants it at once.
    """
    wished = os.environ.get("ACOUSTICS_PROCESSES", "")
    return max(int(wished), 1) if wished.isdigit() else thread_count()


def ahead(work: Callable[[Given], Made], things: Iterable[Given], most: int | None = None) -> Iterator[Made]:
    """``work`` of each of ``things``, in their order; as many are done ahead as there are threads, or ``most``."""
    count = thread_count()
    if count == 1:
        yield from map(work, things)
        return
    count = count if most is None else min(count, most)
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[Made]] = deque()
        for thing in things:
            waiting.append(pool.submit(work, thing))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def together(*works: Callable[[], Made]) -> list[Made]:
    """What all of ``works`` make, done at once where there are threads for that."""
    return list(ahead(lambda work: work(), works))
