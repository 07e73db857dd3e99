"""How far a job is: events with a fraction for whoever waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Emit = Callable[[dict[str, Any]], None]

_PAUSE = 0.1  # s between two progress events


class Progress:
    """Turns the progress of stages into events with the fraction of the whole job.

    ``expected`` is how long each stage is thought to take, in any unit; stages that are not listed take no time.
    """

    def __init__(self, emit: Emit, expected: dict[str, float]) -> None:
        self.seconds: dict[str, float] = {}
        self._emit, self._expected = emit, expected
        self._total = sum(expected.values()) or 1.0
        self._done, self._last, self._shown = 0.0, 0.0, 0.0

    @contextmanager
    def stage(self, name: str, message: str, part: float = 1.0) -> Iterator[Callable[[float], None]]:
        """A stage of the job, or ``part`` of one; gives a function that takes its own fraction, 0..1."""
        start, before = time.perf_counter(), self._done
        share = part * self._expected.get(name, 0.0) / self._total

        def report_fraction(fraction: float) -> None:
            now = time.perf_counter()
            if now - self._last >= _PAUSE:
                self._last = now
                self._show(before + share * min(max(fraction, 0.0), 1.0), name, message)

        self._show(before, name, message)
        yield report_fraction
        self._done = before + share
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)

    def _show(self, fraction: float, name: str, message: str) -> None:
        self._shown = max(self._shown, min(fraction, 1.0))
        self._emit({"event": "progress", "stage": name, "fraction": round(self._shown, 4), "message": message})
