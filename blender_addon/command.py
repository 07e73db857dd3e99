"""Baking without a window, from the Blender module or from Blender itself.

python -m blender_addon.command bake FILE.blend --output DIR [--picture]
blender -b FILE.blend --command acoustics_bake --output DIR [--picture]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import bpy

from naf_core.errors import UserError

from . import picture
from .jobs import Wish, begin, result_files

# Shares of the progress bar: the worker takes most of the time.
READ, WORK = 0.05, 0.9
BAR = 28  # characters
QUIET_STEP = 0.1  # of the progress, between two lines where nobody watches


def main(arguments: Sequence[str]) -> int:
    """Run `bake FILE` in the Blender module and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m blender_addon.command", description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    bake = commands.add_parser("bake", help="bake the spatial audio and the loudness map of a .blend file")
    bake.add_argument("file", type=Path, metavar="FILE.blend")
    add_options(bake)
    chosen = parser.parse_args(arguments)

    from . import register, unregister

    register()
    try:
        return guarded(open_and_bake, chosen.file, chosen.output, chosen.picture)
    finally:
        unregister()


def bake_open_file(arguments: Sequence[str]) -> int:
    """Bake the file that Blender has open and return the exit code: the command `acoustics_bake`."""
    parser = argparse.ArgumentParser(prog="blender -b FILE.blend --command acoustics_bake")
    add_options(parser)
    chosen = parser.parse_args(arguments)
    return guarded(bake_file, chosen.output, chosen.picture)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that both ways of baking have."""
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--picture", action="store_true", help="also render the floor wearing its map")


def guarded(work: object, *values: object) -> int:
    """Call ``work`` and return 0, or 1 with a message where a person has to do something."""
    try:
        work(*values)
    except UserError as error:
        print(f"Error: {error.message}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("Cancelled: nothing was written", file=sys.stderr, flush=True)
        return 130
    return 0


def open_and_bake(file: Path, output: Path, with_picture: bool) -> None:
    """Open a .blend file and bake it; raises UserError."""
    if not file.is_file():
        raise UserError(f"{file} is not a file: give the path of a saved .blend file.")
    try:
        # Scripts in the file do not run, and its windows are not needed.
        with quiet():
            bpy.ops.wm.open_mainfile(filepath=str(file.resolve()), load_ui=False, use_scripts=False)
    except RuntimeError as error:
        raise UserError(f"{file} cannot be opened: {str(error).strip()}") from error
    bake_file(output, with_picture)


def bake_file(output: Path, with_picture: bool) -> None:
    """Bake the open file into ``output``, save it there under another name and say where all lies."""
    if not bpy.data.filepath:
        raise UserError("There is no file to bake: name a saved .blend file before --command.")
    source = Path(bpy.data.filepath)
    output = output.expanduser().resolve()
    bar = ProgressBar(sys.stdout)
    context = bpy.context
    wish = Wish.of(context.scene, "bake", output)
    running = begin(context, wish, lambda fraction: bar.show(READ * fraction, "Reading the scene"))
    try:
        running.worker.wait(lambda event: (running.note(event), bar.show_running(running)))
        running.finish()
    finally:
        running.close()
    bar.show(WORK, "Saving")
    baked = save_copy(source, output)
    files = [baked, *result_files(running.worker.result)]
    if with_picture:
        bar.show(WORK + 0.02, "Rendering the picture")
        with quiet():
            floor = picture.render(context.scene, output)
        if floor is not None:
            files.append(floor)
    bar.end()
    for message, name in dict.fromkeys(running.warnings):
        print(f"Warning: {message}" if not name or name in message else f"Warning: {name}: {message}")
    print(f"Results in {output}:")
    for path in files:
        print(f"  {path.relative_to(output)}  ({size_text(path.stat().st_size)})")
    sys.stdout.flush()


def save_copy(source: Path, output: Path) -> Path:
    """Save the open file to ``output`` as <name>_baked.blend, its relative paths adapted."""
    target = output / f"{source.stem}_baked.blend"
    bpy.context.preferences.filepaths.save_version = 0  # no .blend1 beside it
    try:
        with quiet():
            bpy.ops.wm.save_as_mainfile(filepath=str(target), relative_remap=True, compress=True, check_existing=False)
    except RuntimeError as error:
        raise UserError(f"{target} cannot be written: {str(error).strip()}") from error
    return target


@contextmanager
def quiet() -> Iterator[None]:
    """Keep from the standard output what Blender itself says within the block."""
    sys.stdout.flush()
    own, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(own, 1)
        os.close(own)
        os.close(nowhere)


def size_text(size: int) -> str:
    """A file size for people."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(size / 1e3, 0.1):.1f} kB"


class ProgressBar:
    """One line that fills up on a terminal; elsewhere a line now and then."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._live = stream, stream.isatty()
        self._start = time.monotonic()
        self._shown = (-1.0, "")

    def show(self, fraction: float, message: str) -> None:
        """Show how much of the whole, 0..1, is done and what goes on."""
        seconds = int(time.monotonic() - self._start)
        clock = f"{seconds // 60}:{seconds % 60:02d}"
        if self._live:
            full = round(BAR * fraction)
            line = f"[{'█' * full}{'·' * (BAR - full)}] {fraction:4.0%}  {clock}  {message}"
            self._stream.write(f"\r\x1b[K{line}")
            self._stream.flush()
        elif message != self._shown[1] or fraction >= self._shown[0] + QUIET_STEP:
            self._shown = (fraction, message)
            print(f"{fraction:4.0%}  {clock}  {message}", file=self._stream, flush=True)

    def show_running(self, running: object) -> None:
        """Show how far a job's worker is."""
        self.show(READ + (WORK - READ) * running.fraction, running.message)

    def end(self) -> None:
        """Show that all is done."""
        self.show(1.0, "Done")
        if self._live:
            self._stream.write("\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
