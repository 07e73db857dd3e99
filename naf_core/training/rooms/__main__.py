"""Draws the contact sheet of the wide rooms: ``python -m naf_core.training.rooms FILE.png``."""

from __future__ import annotations

import argparse
from pathlib import Path

from naf_core.training.rooms import WIDE_TRAINING
from naf_core.training.rooms.sheet import draw_sheet

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m naf_core.training.rooms", description=__doc__)
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--seed", type=int, default=WIDE_TRAINING, help="of the rooms (default %(default)s)")
    options = parser.parse_args()
    draw_sheet(options.picture, options.seed)
