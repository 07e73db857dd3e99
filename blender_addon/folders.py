"""The output folder of a scene: where it is, whether it can be written to, and what is left of it."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import bpy

from naf_core.errors import UserError

_LOOK_AGAIN_S = 3.0  # how long the answer of the file system is believed
_seen: dict[str, tuple[float, bool]] = {}


def is_file(path: str) -> bool:
    """Whether a file is there, for panels: asked of the file system, which may be far away, now and then only."""
    now = time.monotonic()
    asked, answer = _seen.get(path, (-_LOOK_AGAIN_S, False))
    if now - asked >= _LOOK_AGAIN_S:
        if len(_seen) > 1000:
            _seen.clear()
        answer = os.path.isfile(path)
        _seen[path] = (now, answer)
    return answer


def output_folder(scene: bpy.types.Scene) -> Path:
    """The absolute folder that the settings of a scene name; raises UserError where there is none."""
    directory = scene.acoustics.directory
    if not directory.strip():
        raise UserError("There is no output folder: choose one in the Acoustics tab.", scene.name)
    path = directory
    if directory.startswith("//"):
        if not bpy.data.filepath:
            raise UserError(
                f"The output folder “{directory}” lies beside the .blend file, which is not saved yet: save"
                " it, or choose an absolute folder in the Acoustics tab.",
                scene.name,
            )
        path = bpy.path.abspath(directory)
    path = os.path.expanduser(path)
    if not os.path.isabs(path):
        raise UserError(
            f"The output folder “{directory}” is neither absolute nor relative to the .blend file: let it"
            " start with // or choose it with the folder button.",
            scene.name,
        )
    return Path(os.path.normpath(path))


def make_folder(path: Path) -> Path | None:
    """Make a folder that can be written to; returns the topmost folder that was made. Raises UserError."""
    missing = [part for part in (path, *path.parents) if not part.exists()]
    made = missing[-1] if missing else None
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        if made is not None:
            remove_empty(made)
        raise UserError(
            f"Nothing can be written to the folder “{path}” ({error.strerror}): choose another output folder."
        ) from error
    return made


def remove_empty(path: Path) -> None:
    """Remove a folder and the folders in it as far as they hold no files and no job works in them."""
    if path.is_dir() and not path.name.startswith(".part-"):
        for part in path.iterdir():
            if part.is_dir() and not part.is_symlink():
                remove_empty(part)
        if not any(path.iterdir()):
            path.rmdir()
