"""Arrays in HDF5 files that come from elsewhere: each is checked before any of it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import h5py

# What h5py raises on files that are cut off, altered or laid out otherwise.
DAMAGE = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError, MemoryError)

# File format in which h5py writes checksums of all it needs to find its way: without them HDF5 may search a
# damaged file for ever. Texts of variable length lie in a heap that has none: see `write_texts`.
CHECKED = "v110"

_MOST_COMPRESSION = 1100  # deflate shrinks zeros by 1032 at most


def read_array(file: h5py.Group, name: str, shape: tuple[int | None, ...], most: int) -> np.ndarray:
    """Read the dataset ``name`` of finite or other numbers, (shape) in the type in which it is stored.

    In ``shape``, None stands for any length up to ``most``. Raises one of DAMAGE, mostly ValueError, when the
    dataset is missing, of another shape, not of numbers, or claims more numbers than the file can hold.
    """
    data = file[name]
    if data.dtype.kind not in "fiu" or len(data.shape) != len(shape):
        raise ValueError(f"{name} is not an array of numbers with {len(shape)} dimensions")
    for length, wanted in zip(data.shape, shape, strict=True):
        if length > most if wanted is None else length != wanted:
            raise ValueError(f"{name} has the shape {data.shape}")
    # A dataset may claim any size and store nothing: reading it would allocate all it claims.
    if data.size * data.dtype.itemsize > _MOST_COMPRESSION * data.id.get_storage_size() + 4096:
        raise ValueError(f"{name} has the shape {data.shape}, more than the file holds")
    return data[()]


def write_texts(file: h5py.Group, name: str, texts: Sequence[str]) -> None:
    """Write ``texts`` as a dataset of UTF-8 strings of one length."""
    import h5py

    encoded = [text.encode("utf-8", "replace") for text in texts]
    length = max(map(len, encoded), default=1) or 1
    file.create_dataset(name, data=np.array(encoded, h5py.string_dtype("utf-8", length)))


def read_texts(file: h5py.Group, name: str, most: int) -> list[str]:
    """Read the dataset ``name`` of at most ``most`` texts; raises one of DAMAGE when it is something else."""
    data = file[name]
    if data.dtype.kind != "S" or len(data.shape) != 1 or data.shape[0] > most:
        raise ValueError(f"{name} is not a list of at most {most} texts")
    if data.size * data.dtype.itemsize > _MOST_COMPRESSION * data.id.get_storage_size() + 4096:
        raise ValueError(f"{name} is longer than the file holds")
    return [str(text) for text in data.asstr()[:]]
