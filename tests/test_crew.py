from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

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


def test_a_script_that_its_processes_would_run_again_is_told_so(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\nfrom naf_core import Material, Scene, trace\n"
        "x, y = np.meshgrid(np.linspace(0, 5, 60), np.linspace(0, 5, 60))\n"
        "corners = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=1)\n"
        "triangles = [(i, i + 1, i + 60) for i in range(3500)]\n"
        "floor = Material('floor', (0.1,) * 8, (0.5,) * 8)\n"
        "trace(Scene(corners, triangles, np.zeros(3500, int), [floor]), [[1, 1, 1]], [[2, 2, 1]], rays=200_000,"
        " processes=2)\n"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, script],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "__main__" in done.stderr.splitlines()[-1]
