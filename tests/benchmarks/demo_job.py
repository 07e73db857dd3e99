"""Reads the demo scene with the Blender module and writes its job: python -m tests.benchmarks.demo_job FOLDER."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import bpy

import blender_addon
from blender_addon import jobs, reader

DEMO = Path(__file__).resolve().parents[1] / "scenes" / "demo.blend"


def main(folder: Path) -> None:
    """Write the job of baking the demo scene, with a loudness map, into ``folder``."""
    blender_addon.register()
    try:
        bpy.ops.wm.open_mainfile(filepath=str(DEMO), load_ui=False, use_scripts=False)
        context = bpy.context
        wish = replace(jobs.Wish.of(context.scene, "bake", folder), map_frame=context.scene.frame_start)
        reading = reader.read(context, folder)
        warnings = list(reading.warnings)
        ground = jobs.find_floor(context, wish, reading, warnings)
        jobs.job_of(context.scene, wish, reading, ground, warnings).save(folder)
    finally:
        blender_addon.unregister()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
