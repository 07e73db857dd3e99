"""Runs the tests of the extension inside a Blender program, which knows nothing of their packages.

`blender -b --factory-startup --python-exit-code 1 --python tests/blender/inside.py -- PACKAGES [PYTEST OPTION...]`;
`build.py test --blender PROGRAM` makes the folder PACKAGES and runs this line.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(packages: str, *options: str) -> int:
    # After Blender's own: its NumPy is the one that counts.
    sys.path += [packages, str(ROOT)]
    import pytest

    # Packing the extension needs an environment of its own.
    return int(pytest.main([str(ROOT / "tests/blender"), f"--ignore={ROOT}/tests/blender/test_package.py", *options]))


if __name__ == "__main__":
    exit_code = main(*sys.argv[sys.argv.index("--") + 1 :])
    sys.stdout.flush()
    sys.exit(exit_code)
