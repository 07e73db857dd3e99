"""The data files that come with the package: the field's weights and the head-related transfer functions."""

from __future__ import annotations

from pathlib import Path

from naf_core.errors import UserError

FIELD, HRTF = "field.safetensors", "hrtf.safetensors"


def bundled_file(name: str) -> Path:
    """Path of a bundled file, in the package's folder weights or, in the repository, beside the package.

    Raises UserError when it is missing.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "weights", package.parent / "weights"):
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"The bundled file {name} is missing: install Acoustic Fields again.")
