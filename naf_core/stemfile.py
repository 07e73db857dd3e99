"""Stems on disk: the parts of one emitter as they were rendered, read and written piece by piece."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from naf_core.errors import UserError

# What is heard of an emitter, in the order of its stem.
PARTS = ("direct", "early", "late")
# The same in groups that are rendered each by itself and take about as long.
GROUPS = ("direct", "early"), ("late",)

BLOCK = 1 << 17  # samples that are read at a time
_HEADER = 128  # bytes


class StemWriter:
    """Writes a file of NumPy's format that grows: (n, parts, channels) float32.

    Its header says how long it is when the ``with`` block ends well; otherwise the file is removed. Raises UserError
    when the disk is full.
    """

    def __init__(self, path: Path, parts: int, channels: int) -> None:
        self.path, self._shape, self.length = path, (parts, channels), 0

    def __enter__(self) -> StemWriter:
        try:
            self._file = self.path.open("wb")
            self._file.write(bytes(_HEADER))
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def add(self, samples: np.ndarray) -> None:
        """The next ``samples`` (n, parts, channels)."""
        try:
            self._file.write(np.ascontiguousarray(samples, np.float32))
        except OSError as error:
            raise self._unwritable(error) from error
        self.length += len(samples)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.seek(0)
            self._file.write(_header((self.length, *self._shape)))
            self._file.close()
        except OSError as error:
            if kind is None:
                kind = type(error)
                raise self._unwritable(error) from error
        finally:
            if kind is not None:
                self.path.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"What was rendered cannot be kept in {self.path.parent} ({error.strerror}): make room on the disk, or"
            " choose another output folder."
        )


class StemFile:
    """A file of `StemWriter`: ``length`` samples of ``parts`` of ``channels``. Raises ValueError when it is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            npy.read_magic(file)
            shape, turned, kind = npy.read_array_header_1_0(file)
            self._start = file.tell()
        if len(shape) != 3 or turned or kind != np.dtype("<f4") or self._start != _HEADER:
            raise ValueError(f"{path} is no stem")
        self.length, self.parts, self.channels = shape
        if path.stat().st_size != _HEADER + 4 * self.length * self.parts * self.channels:
            raise ValueError(f"{path} is cut off")

    def blocks(self, length: int | None = None) -> Iterator[np.ndarray]:
        """All samples in order, (BLOCK, parts, channels) float32, the last block shorter; silence up to ``length``."""
        length = self.length if length is None else length
        for first in range(0, length, BLOCK):
            yield self.read(first, min(first + BLOCK, length))

    def read(self, first: int, last: int) -> np.ndarray:
        """Samples ``first`` up to ``last``, (last - first, parts, channels) float32; silence after the last of all."""
        count, size = max(min(last, self.length) - first, 0), self.parts * self.channels
        with self.path.open("rb") as file:
            file.seek(self._start + 4 * first * size)
            samples = np.fromfile(file, "<f4", count * size).reshape(-1, self.parts, self.channels)
        return np.pad(samples, ((0, last - first - len(samples)), (0, 0), (0, 0)))


def _header(shape: tuple[int, ...]) -> bytes:
    """The header of a file of NumPy's format that is always as long."""
    text = io.BytesIO()
    npy.write_array_header_1_0(text, {"descr": "<f4", "fortran_order": False, "shape": shape})
    found = text.getvalue()
    if len(found) != _HEADER:
        raise ValueError(f"a header of {len(found)} bytes for {shape}")
    return found
