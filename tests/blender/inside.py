"""Runs the tests of the extension inside a Blender program, which knows nothing of their packages.

`blender -b --factory-startup --python-exit-code 1 --python tests/blender/inside.py -- PACKAGES [PYTEST OPTION...]`;
`build.py test --blender PROGRAM` makes the folder PACKAGES and runs this line. Without PACKAGES it tells the version
of Blender's Python.
"""

import os
import subprocess
import sys
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[2]


def main(*arguments: str) -> int:
    if not arguments:
        print("Python", *sys.version_info[:2])
        return 0
    if not bpy.app.background:
        return start_without_window(arguments)
    packages, *options = arguments
    # After Blender's own: its NumPy is the one that counts.
    sys.path += [packages, str(ROOT)]
    import pytest

    # The extension is installed into Blender modules, out of an environment that packs it.
    return int(pytest.main([str(ROOT / "tests/blender"), f"--ignore={ROOT}/tests/blender/test_package.py", *options]))


def start_without_window(arguments: tuple[str, ...]) -> int:
    """Run this script in a Blender of its own: the tests replace files, which a window would have to follow."""
    blender = [bpy.app.binary_path, "-b", "--factory-startup", "--python-exit-code", "1", "--python", __file__]
    without = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.call([*blender, "--", *arguments], env=without)


if __name__ == "__main__":
    exit_code = main(*sys.argv[sys.argv.index("--") + 1 :])
    sys.stdout.flush()
    sys.exit(exit_code)
