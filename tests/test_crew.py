from __future__ import annotations

import time

import numpy as np
import pytest

from naf_core.crew import Crew
from naf_core.errors import UserError
from naf_core.tracer import begin, trace
from tests.shapes import box, material, scene_of

ROOM = scene_of((box([0, 0, 0], [6.0, 4.5, 3.2]), material(0.5, 0.6)))
EMITTERS = np.array([[1.7, 1.3, 1.1], [3.0, 2.0, 2.0]])
LISTENERS = np.array([[4.4, 3.1, 1.9], [5.0, 1.0, 1.0]])


def test_the_result_does_not_depend_on_the_number_of_processes():
    fractions = []
    alone = trace(ROOM, EMITTERS, LISTENERS, rays=20_000, seed=1)
    shared = trace(ROOM, EMITTERS, LISTENERS, rays=20_000, seed=1, processes=2, progress=fractions.append)
    np.testing.assert_array_equal(alone.energy, shared.energy)
    np.testing.assert_array_equal(alone.tail_slope, shared.tail_slope)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_to_cancel_ends_the_processes_at_once():
    task, paths = begin(ROOM, EMITTERS, LISTENERS, 0, None, None, 4000)
    started = time.monotonic()

    def cancel(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Crew(task, 2, paths) as crew:
        processes = [process for process, _ in crew._members]
        crew.energy(50_000_000, cancel)  # hours
    assert not any(process.is_alive() for process in processes)
    assert time.monotonic() - started < 60.0


def test_a_process_that_dies_is_an_error_and_no_endless_wait():
    task, paths = begin(ROOM, EMITTERS, LISTENERS, 0, None, None, 4000)

    def kill(fraction: float) -> None:
        crew._members[0][0].kill()

    with Crew(task, 2, paths) as crew, pytest.raises(UserError, match="fewer processes"):
        crew.energy(50_000_000, kill)
