"""Command line of the truth checks: ``python -m naf_core.truth [CHECK ...] [--json FILE] [--pictures FOLDER]``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from naf_core.errors import UserError
from naf_core.truth.figure import Figure, as_text, save_json

# Modules of this package that each hold `figures`: theory first, then other simulators, then measured rooms.
CHECKS = (
    "shoebox",
    "meshes",
    "corners",
    "diffuse",
    "coupled",
    "balance",
    "peers",
    "speed",
    "bras",
    "dechorate",
    "r3vival",
)
# Run only when they are named: fields learned from recordings, for which torch is needed, and an hour.
ON_REQUEST = ("recordings",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks or the named ones; returns 1 when a bar is missed or a check breaks off, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m naf_core.truth",
        description="Compare the reference engine with theory, peers and measured rooms.",
    )
    parser.add_argument(
        "checks",
        nargs="*",
        metavar="CHECK",
        help=f"of {', '.join(CHECKS)} (default: these), {', '.join(ON_REQUEST)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="draw the pictures of the manual into FOLDER instead"
    )
    options = parser.parse_args(arguments)
    unknown = set(options.checks) - {*CHECKS, *ON_REQUEST}
    if unknown:
        names = ", ".join((*CHECKS, *ON_REQUEST))
        parser.error(f"there is no check {', '.join(sorted(unknown))}: name some of {names}")
    if options.pictures and (options.checks or options.json):
        parser.error("--pictures stands alone: it runs no check")
    try:
        if options.pictures:
            return _draw(options.pictures)
        checks = {name: _run(name) for name in options.checks or CHECKS}
    except UserError as error:
        print(f"naf_core.truth: {error.message}", file=sys.stderr)
        return 1
    if options.json:
        save_json(checks, options.json)
    met = [figure.met for figures in checks.values() for figure in figures]
    print(f"{met.count(True)} bars met, {met.count(False)} missed, {met.count(None)} without data")
    return 1 if False in met else 0


def _draw(folder: Path) -> int:
    """Draw all pictures; returns 0."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("Pictures need matplotlib: install acoustic-fields[recordings].")
    files = importlib.import_module("naf_core.truth.pictures").save_all(folder, _progress("pictures"))
    print("", *files, sep="\n")
    return 0


def _progress(name: str) -> Callable[[float], None]:
    """Says how far ``name`` has come."""
    started = time.perf_counter()

    def progress(fraction: float) -> None:
        print(f"\r{name}: {100.0 * fraction:3.0f} %, {time.perf_counter() - started:.0f} s", end="", file=sys.stderr)

    return progress


def _run(name: str) -> list[Figure]:
    """The figures of one check, printed as soon as they are known."""
    figures = importlib.import_module(f"naf_core.truth.{name}").figures(_progress(name))
    print(file=sys.stderr)
    print(as_text(figures), flush=True)
    return figures


if __name__ == "__main__":
    sys.exit(main())
