"""Figures of the add-on in the Blender module: python -m tests.benchmarks.add_on FOLDER writes figures.json there."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import bpy
import numpy as np

import blender_addon
from blender_addon import geometry, jobs, reader
from tests.benchmarks.demo_job import DEMO
from tests.benchmarks.figure import Figure
from tests.blender.file_data import data_of_file

SIDE = 708  # corners along each side of a square of 1 M triangles
TREES, TREE_SIDE = 2000, 24  # instances of a mesh of about 1000 triangles
SPEAKERS = 3
WATCHED_S = 20.0  # of a bake


def waves(name: str, side: int, length: float) -> bpy.types.Mesh:
    """A square of ``length`` metres with ``side`` corners along each side, in waves of 2 cm."""
    x, y = np.meshgrid(np.linspace(0.0, length, side), np.linspace(0.0, length, side))
    places = np.stack([x, y, 0.02 * np.sin(20.0 * x) * np.cos(20.0 * y)], axis=-1).astype(np.float32)
    index = np.arange(side * side, dtype=np.int32).reshape(side, side)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1).reshape(-1, 4)
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(side * side)
    mesh.vertices.foreach_set("co", places.ravel())
    mesh.loops.add(quads.size)
    mesh.loops.foreach_set("vertex_index", quads.ravel())
    mesh.polygons.add(len(quads))
    mesh.polygons.foreach_set("loop_start", np.arange(0, quads.size, 4, dtype=np.int32))
    mesh.update(calc_edges=True)
    return mesh


def reading_figures() -> Iterator[Figure]:
    """How long large scenes take to be read, simplification included."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    link = bpy.context.scene.collection.objects.link
    link(bpy.data.objects.new("Waves", waves("Waves", SIDE, 5.0)))
    yield reading("reading 1 M triangles", 10.0)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    link, tree = bpy.context.scene.collection.objects.link, waves("Tree", TREE_SIDE, 1.0)
    for number in range(TREES):
        item = bpy.data.objects.new("Tree", tree)
        item.location = (number % 50 * 2.0, number // 50 * 2.0, 0.0)
        link(item)
    yield reading(f"reading {TREES} instances of one mesh", 10.0)


def reading(name: str, bar: float) -> Figure:
    """One reading of the open file."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    start = time.perf_counter()
    facts = geometry.read_scene(depsgraph).facts
    took = time.perf_counter() - start
    return Figure(name, took, "s", bar, f"{facts['modelled']} triangles become {facts['triangles']}")


def manager_figures(folder: Path) -> Iterator[Figure]:
    """What a bake of the demo costs Blender while it runs, and what is left when it is cancelled."""
    bpy.ops.wm.open_mainfile(filepath=str(DEMO), load_ui=False, use_scripts=False)
    context = bpy.context
    context.view_layer.update()
    before = data_of_file()
    start = time.perf_counter()
    running = jobs.begin(context, jobs.Wish.of(context.scene, "bake", folder / "cancelled"))
    frames = len(reader.frames_of(context.scene))
    yield Figure("reading the demo before a bake", time.perf_counter() - start, "s", None, f"{frames} frames")
    ticks, until = [], time.monotonic() + WATCHED_S
    while running.worker.running and running.fraction < 0.9 and time.monotonic() < until:
        start = time.perf_counter()
        running.poll()
        assert running.text
        ticks.append(time.perf_counter() - start)
        time.sleep(0.1)
    yield Figure("tick during a bake, 95 of 100", 1e3 * float(np.quantile(ticks, 0.95)), "ms", 100.0, f"{len(ticks)}")
    start = time.perf_counter()
    running.worker.cancel()
    running.close()
    yield Figure("cancelling a bake", time.perf_counter() - start, "s", 1.0)
    after = data_of_file()
    changed = sum(before.get(name) != after.get(name) for name in {*before, *after})
    left = len(list((folder / "cancelled").iterdir())) if (folder / "cancelled").exists() else 0
    yield Figure("what a cancelled bake changed", changed + left, "", 0.0, f"of {len(before)} values and files")


def again_figures(folder: Path) -> Iterator[Figure]:
    """What is rendered anew by a second bake, after one of three Speakers was moved."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.frame_end, scene.acoustics.map_with_bake = 24, False
    bpy.ops.mesh.primitive_cube_add(size=1.0, location=(0.0, 0.0, 1.25), scale=(6.0, 4.0, 2.5))
    bpy.ops.object.camera_add(location=(0.0, -1.0, 1.6))
    scene.camera = bpy.context.object
    sounds = sorted((DEMO.parent / "sounds").glob("*.*"))
    for number in range(SPEAKERS):
        bpy.ops.object.speaker_add(location=(number - 1.0, 1.0, 1.5))
        bpy.context.object.data.sound = bpy.data.sounds.load(str(sounds[number % len(sounds)]))
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "again.blend"))
    took, anew = [], []
    for _ in range(2):
        start = time.perf_counter()
        bpy.ops.acoustics.bake()
        took.append(time.perf_counter() - start)
        report = json.loads((folder / "acoustics" / "report.json").read_text(encoding="utf-8"))
        anew.append(len(report["rendered"]))
        bpy.context.object.location.x += 0.5
    yield Figure("Speakers rendered anew after one was moved", anew[1], "", 1.0, f"of {anew[0]}")
    yield Figure("bake after one Speaker was moved", took[1], "s", None, f"{took[0]:.1f} s the first time")


def main(folder: Path) -> None:
    """Write all figures to figures.json in ``folder``."""
    blender_addon.register()
    try:
        figures = [*reading_figures(), *again_figures(folder), *manager_figures(folder)]
    finally:
        blender_addon.unregister()
    (folder / "figures.json").write_text(json.dumps([asdict(figure) for figure in figures]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
