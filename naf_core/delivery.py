"""Files on their way: written in a folder of their own, and given their names when all of them are complete."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from naf_core.errors import UserError


@contextmanager
def part_folder(output: Path) -> Iterator[Path]:
    """A folder inside ``output``, made where needed, for what is not complete; it is gone afterwards."""
    part = output / f".part-{os.getpid()}"
    made = [folder for folder in (output, *output.parents) if not folder.exists()]
    try:
        output.mkdir(parents=True, exist_ok=True)
        part.mkdir()
    except OSError as error:
        raise UserError(
            f"Nothing can be written to the folder {output} ({error.strerror}): choose another output folder."
        ) from error
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in made:
            if not any(folder.iterdir()):
                folder.rmdir()


def hand_over(part: Path, output: Path, elsewhere: dict[str, Path]) -> None:
    """Move all that lies in ``part`` to ``output``, or, by its name, ``elsewhere``; raises UserError."""
    for file in sorted(part.iterdir()):
        target = elsewhere.get(file.name, output / file.name)
        try:
            if file.is_dir() and target.is_dir():
                shutil.rmtree(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.replace(file, target)
            except OSError:
                if target.parent == output:
                    raise
                shutil.move(file, target)  # to another disk
        except OSError as error:
            raise UserError(
                f"{target} cannot be written ({error.strerror}): close what uses it, or choose another output folder."
            ) from error


def stem_names(emitters: Sequence[str], file_type: str = "wav") -> list[str]:
    """A file name for each emitter's sound: safe on every system, and no two alike whatever the case of letters."""
    names: list[str] = []
    taken: set[str] = set()
    for emitter in emitters:
        plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", emitter)).strip("._-")[:60] or "emitter"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        names.append(f"stem_{name}.{file_type}")
    return names
