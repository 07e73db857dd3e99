"""Installs the extension from its zip, bakes a scene with it and writes what happened as JSON.

Run by test_package in a Python that has the Blender module and nothing else:
`python installed_extension.py ARCHIVE FILE.blend OUTPUT REPORT`.
"""

import json
import subprocess
import sys
from pathlib import Path

import bpy

# What only the worker needs, so that enabling the extension stays quick.
WORKERS_OWN = ("array_api_compat", "embreex", "h5py", "safetensors", "scipy", "soundfile", "soxr")
WORKER_CODE = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""


def main(archive: str, blend: str, output: str) -> dict:
    bpy.ops.extensions.package_install_files(filepath=archive, repo="user_default", enable_on_install=True)
    loaded = [name for name in (*WORKERS_OWN, "torch") if name in sys.modules]

    from bl_ext.user_default.acoustic_fields import worker

    line = [worker.python_executable(), "-c", WORKER_CODE, "naf_core", "numpy", *WORKERS_OWN]
    result = subprocess.run(line, env=worker.environment(), capture_output=True, text=True, check=True)

    bpy.ops.wm.open_mainfile(filepath=blend)
    scene = bpy.context.scene
    scene.frame_end = scene.frame_start + 23  # one second is enough to see that all parts are there
    scene.acoustics.directory = output
    outcome = bpy.ops.acoustics.bake()
    strips = [strip for strip in scene.sequence_editor.strips if strip.type == "SOUND"]
    return {
        "add-ons": list(bpy.context.preferences.addons.keys()),
        "loaded": loaded,
        "worker": json.loads(result.stdout),
        "outcome": sorted(outcome),
        "sounds": [bpy.path.abspath(strip.sound.filepath) for strip in strips],
    }


if __name__ == "__main__":
    report = main(*sys.argv[1:4])
    Path(sys.argv[4]).write_text(json.dumps(report))
