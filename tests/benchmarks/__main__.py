"""Measures speed, memory and size of the demo's bake and its parts: python -m tests.benchmarks [--json FILE]."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from naf_core.field import Field
from naf_core.job import Job
from naf_core.raycast import Hits, Raycaster, sphere_directions
from naf_core.scene import Scene
from naf_core.tracer import trace
from tests.benchmarks.equal_error import equal_error_figures, network_figures
from tests.benchmarks.field import field_figures
from tests.benchmarks.figure import Figure, machine, save
from tests.benchmarks.process import measure
from tests.benchmarks.sound import sound_figures

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 600.0  # s for each command
RAYS = 20_000


class CountingRaycaster(Raycaster):
    """Counts the segments of paths (first hits) and all rays, connections included."""

    segments = rays = 0

    def intersect(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        self.segments += len(origins)
        self.rays += len(origins)
        return super().intersect(origins, directions)

    def blocked(self, origins: np.ndarray, directions: np.ndarray, distances: np.ndarray) -> np.ndarray:
        self.rays += len(origins)
        return super().blocked(origins, directions, distances)


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """The shortest of ``times`` runs of ``work``, in seconds."""
    best = math.inf
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def environment() -> dict[str, str]:
    """The environment of processes that load the Blender module: no screen, software rendering, own profile."""
    result = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return {**result, "LIBGL_ALWAYS_SOFTWARE": "1"}


def bake_figures(folder: Path) -> Iterator[Figure]:
    """The demo's bake as a person starts it, from a cold process to the last file."""
    command = [sys.executable, "-m", "blender_addon.command", "bake", ROOT / "tests/scenes/demo.blend"]
    run = measure([*command, "--output", folder / "baked"], environment(), ROOT, TIMEOUT)
    if run.code:
        raise SystemExit(f"the bake of the demo failed with code {run.code}:\n{run.output}")
    yield Figure("demo bake from cold", run.seconds, "s", 60.0)
    yield Figure("demo bake, peak memory of all processes", run.peak / 1e6, "MB", 2000.0)


def demo_job(folder: Path) -> Job:
    """The demo's bake as the add-on hands it to the core."""
    with_blender("demo_job", folder)
    return Job.load(folder)


def add_on_figures(folder: Path) -> Iterator[Figure]:
    """What large scenes and a running bake cost Blender."""
    folder.mkdir()
    with_blender("add_on", folder)
    for row in json.loads((folder / "figures.json").read_text(encoding="utf-8")):
        yield Figure(**row)


def with_blender(module: str, folder: Path) -> None:
    """Run one of the modules beside this one in a process of its own, which loads the Blender module."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", str(folder)]
    result = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if result.returncode:
        raise SystemExit(f"{module} failed:\n{result.stdout}{result.stderr}")


def tracer_figures(scene: Scene, emitter: np.ndarray, listener: np.ndarray) -> Iterator[Figure]:
    """How much of Embree's speed the reference tracer keeps."""
    caster = CountingRaycaster(scene)
    took = seconds(lambda: trace(scene, emitter, listener, rays=RAYS, seed=0, raycaster=caster))
    traced = caster.segments / took
    directions = sphere_directions(500_000)
    directions = directions[np.random.default_rng(0).permutation(len(directions))]  # as incoherent as paths are
    origins = np.repeat(np.asarray(listener, np.float32).reshape(1, 3), len(directions), axis=0)
    raw = len(directions) / seconds(lambda: caster.intersect(origins, directions), times=3)
    yield Figure("reference tracer", traced / 1e6, "M segments/s", note=f"{RAYS} paths in {took:.1f} s")
    yield Figure("Embree alone", raw / 1e6, "M rays/s")
    yield Figure("share of Embree that the tracer keeps", 100.0 * traced / raw, "%")


def package_figures() -> Iterator[Figure]:
    """Size of the extension's zip, which is built where it is missing."""
    if not any((ROOT / "dist").glob("acoustic_fields-*.zip")):
        line = [sys.executable, str(ROOT / "build.py"), "package"]
        result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if not any((ROOT / "dist").glob("acoustic_fields-*.zip")):
            raise SystemExit(f"the extension could not be built:\n{result.stdout}{result.stderr}")
    for archive in sorted((ROOT / "dist").glob("acoustic_fields-*.zip")):
        yield Figure(f"extension {archive.stem}", archive.stat().st_size / 1e6, "MB", 150.0)


def main() -> int:
    """Print all figures as they come; returns 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args()
    facts, figures = machine(), []
    print(", ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)

    def show(measured: Iterator[Figure]) -> None:
        for figure in measured:
            figures.append(figure)
            print(figure.line(), flush=True)

    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        folder = Path(name)
        show(bake_figures(folder))
        job = demo_job(folder / "job")
        show(add_on_figures(folder / "add_on"))
        field = Field.scan(job.scene, seed=job.seed)
        show(field_figures(job, field, seconds))
        show(equal_error_figures(job, field, seconds))
        show(network_figures(field, seconds))
        show(sound_figures(job, field, seconds, ROOT))
        show(tracer_figures(job.scene, job.emitters[0].trajectory.positions[0], job.listener.trajectory.positions[0]))
        show(package_figures())
    if options.json:
        save(figures, facts, options.json)
    missed = [figure.name for figure in figures if figure.met is False]
    print("all bars met" if not missed else f"missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
