"""Makes the pictures of the manual anew: python -m tests.window.pictures [NAME...]"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.window import tool

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "docs/pictures"
PHOTOGRAPHS = {"blender", "lines", "probe"}  # with too many colours for a small PNG
LARGEST = 1280  # pixels of a side of these


def main(names: list[str]) -> int:
    """Bake the demo in a window, take the pictures and cut them out."""
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        work = Path(folder)
        window = tool.find(work)
        if isinstance(window, str):
            print(f"There is no Blender window on this machine: {window}", file=sys.stderr)
            return 1
        window.install(tool.package(window.python_version()))
        shutil.copytree(ROOT / "tests/scenes/sounds", work / "sounds")
        blend = shutil.copy(ROOT / "tests/scenes/demo.blend", work)
        window.run(HERE / "manual.py", work, blend, work / "cuts.json", timeout=900)
        for name, cut in json.loads((work / "cuts.json").read_text()).items():
            if not names or name in names:
                keep(work / f"{name}.png", cut, FOLDER / name)
    return 0


def keep(screen: Path, cut: tuple[int, int, int, int], target: Path) -> None:
    """Cut a rectangle (left, top, width, height) out of a picture of the screen and keep it, small."""
    left, top, width, height = cut
    with Image.open(screen) as whole:
        part = whole.convert("RGB").crop((left, top, left + width, top + height))
    if target.name in PHOTOGRAPHS:
        file = target.with_suffix(".jpg")
        part.thumbnail((LARGEST, LARGEST))
        part.save(file, quality=82, optimize=True)
    else:
        file = target.with_suffix(".png")
        # By what colours there are, not by how much of each: thin lines keep theirs beside a spectrogram.
        part.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}  {part.width} x {part.height}, {file.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
