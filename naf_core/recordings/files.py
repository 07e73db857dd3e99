"""Recording sets as HDF5 files; the schema is in docs/recordings.md."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np

from naf_core.errors import UserError
from naf_core.recordings.recordingset import KINDS, MOST_CHANNELS, MOST_SAMPLES, RecordingSet
from naf_core.store import CHECKED, DAMAGE, read_array, read_texts, write_texts

_FORMAT = "acoustic-fields recordings 1"
_MOST_RESPONSES = 1_000_000
_MOST_NOTES = 1000


def save(recordings: RecordingSet, path: str | Path) -> None:
    """Write ``recordings`` to ``path`` (beside it first, then renamed); raises UserError when it cannot be written."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        with h5py.File(part, "w", libver=CHECKED) as file:
            file.attrs["recordings"] = np.bytes_(_FORMAT)
            write_texts(file, "about", [recordings.name, recordings.kind])
            write_texts(file, "notes", list(recordings.notes))
            for name in ("sample_rate", "speed_of_sound", "levels_known"):
                file.create_dataset(name, data=float(getattr(recordings, name)))
            for name in ("emitters", "listeners", "rotations", "facings"):
                file.create_dataset(name, data=getattr(recordings, name))
            if recordings.box is not None:
                file.create_dataset("box", data=recordings.box)
            file.create_dataset("responses", data=recordings.responses, compression="gzip", shuffle=True)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written ({error}): choose another place.") from error


def load(path: str | Path) -> RecordingSet:
    """Read what `save` wrote; raises UserError when it is missing, foreign, of another version or damaged."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is missing: import recordings first, or name another file.")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("recordings") != np.bytes_(_FORMAT):
                raise UserError(f"{path} holds no recordings of this version: import them again.")
            return _read(file)
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read as recordings ({error}): copy or import it again.") from error


def _read(file: h5py.File) -> RecordingSet:
    emitters = read_array(file, "emitters", (None, 3), _MOST_RESPONSES)
    count = len(emitters)
    responses = read_responses(file, "responses", count)
    name, kind = read_texts(file, "about", 2)
    if kind not in KINDS:
        raise ValueError(f"they are said to be {kind}")
    return RecordingSet(
        name,
        kind,
        int(read_array(file, "sample_rate", (), 1)),
        responses,
        emitters,
        read_array(file, "listeners", (count, 3), count),
        read_array(file, "rotations", (count, 3, 3), count),
        read_array(file, "facings", (count, 3), count),
        read_array(file, "box", (2, 3), 3) if "box" in file else None,
        float(read_array(file, "speed_of_sound", (), 1)),
        bool(read_array(file, "levels_known", (), 1)),
        tuple(read_texts(file, "notes", _MOST_NOTES)),
    )


def read_responses(file: h5py.Group, name: str, count: int | None) -> np.ndarray:
    """The dataset ``name`` (count, channels, samples) of responses; raises ValueError when it is not one."""
    shape = file[name].shape
    if len(shape) != 3 or shape[1] > MOST_CHANNELS or np.prod([int(n) for n in shape], dtype=object) > MOST_SAMPLES:
        raise ValueError(f"{name} has the shape {shape}")
    return read_array(file, name, (count, shape[1], shape[2]), _MOST_RESPONSES)
