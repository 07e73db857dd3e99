"""Draws how sound flows through a bake: python -m tests.benchmarks.soundflow PICTURE.png."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import matplotlib as mpl
from PIL import Image

mpl.use("Agg")
from matplotlib import pyplot

COLOURS = 24  # of the picture, which keeps it small
HALF = 0.36  # of the height of a box

# Where each box stands (column, row), how wide it is, what it says, and its colour.
BOXES = {
    "file": (0.0, 2.0, 1.3, "sound file\nany rate, packed, video", "#dfe7f2"),
    "dry": (1.75, 2.0, 1.3, "what the Speaker sends\nstarts, pitch, volume, level", "#dfe7f2"),
    "field": (1.75, 4.0, 1.3, "acoustic field\nenergy by band, time, direction", "#efe3f4"),
    "direct": (3.6, 1.0, 1.6, "direct sound\nexact delay, 1/r, air, edges, cone", "#e3f1e3"),
    "early": (3.6, 2.0, 1.6, "early reflections\neach image as the direct sound", "#e3f1e3"),
    "late": (3.6, 3.0, 1.6, "reverberation\nshaped noise, ambisonics, turned", "#e3f1e3"),
    "format": (5.6, 2.0, 1.2, "format\nears, panning, decoding", "#fbeed8"),
    "stem": (7.2, 2.0, 1.2, "stem of the Speaker\nwet-dry, reverb gain", "#f8dfdb"),
    "mix": (8.8, 2.0, 1.1, "mix of all stems\nLUFS, true peak", "#f8dfdb"),
    "impulses": (5.6, 4.0, 1.2, "impulse responses\nWAV, SOFA", "#f8dfdb"),
    "report": (3.8, 4.9, 1.2, "report.json\nISO 3382-1", "#f8dfdb"),
}
ARROWS = (
    ("file", "dry"), ("dry", "direct"), ("dry", "early"), ("dry", "late"), ("field", "direct"), ("field", "early"),
    ("field", "late"), ("direct", "format"), ("early", "format"), ("late", "format"), ("format", "stem"),
    ("stem", "mix"), ("field", "impulses"), ("field", "report"),
)  # fmt: skip


def main(picture: Path) -> None:
    """Draw it."""
    figure, axis = pyplot.subplots(figsize=(11.0, 4.2), layout="constrained")
    for column, row, width, text, colour in BOXES.values():
        axis.add_patch(pyplot.Rectangle((column, row - HALF), width, 2 * HALF, facecolor=colour, edgecolor="#555555"))
        axis.text(column + 0.5 * width, row, text, ha="center", va="center", fontsize=6.2)
    for start, end in ARROWS:
        tail, head = BOXES[start], BOXES[end]
        places = {"xy": (head[0], head[1]), "xytext": (tail[0] + tail[2], tail[1])}
        axis.annotate("", **places, arrowprops={"arrowstyle": "->", "color": "#555555"})
    axis.set(xlim=(-0.1, 10.0), ylim=(5.3, 0.5))
    axis.axis("off")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(picture, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
