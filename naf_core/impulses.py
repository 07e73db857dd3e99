"""Impulse responses for other programs: WAV files, and SOFA files (AES69-2022) of the convention SingleRoomSRIR."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from naf_core import __version__
from naf_core.errors import UserError

if TYPE_CHECKING:
    import h5py

_CONVENTION, _CONVENTION_VERSION, _SOFA_VERSION = "SingleRoomSRIR", "1.0", "2.1"
_LONGEST = 2**31  # bytes of all responses in one file


@dataclass(frozen=True)
class Impulses:
    """Impulse responses of one emitter at M moments, in a room.

    ``samples`` M arrays (n, channels), from emission on; ``emitters`` (M, 3) and ``listeners`` (M, 3) in metres;
    ``rotations`` (M, 3, 3) of the listener, world = R @ local; ``frames`` the M frames of the scene; ``channels`` the
    name of the format.
    """

    samples: Sequence[np.ndarray]
    emitters: np.ndarray
    listeners: np.ndarray
    rotations: np.ndarray
    frames: Sequence[int]
    sample_rate: int
    channels: str
    title: str


def write_sofa(path: str | Path, impulses: Impulses) -> None:
    """Write ``impulses`` as a SOFA file to ``path`` (beside it first, then renamed).

    Shorter responses are followed by silence. The receivers are the channels of the format, all at the listener's
    place. Raises UserError when the file would exceed 2 GB or cannot be written.
    """
    import h5py

    path = Path(path)
    count, receivers = len(impulses.samples), impulses.samples[0].shape[1]
    length = max(len(response) for response in impulses.samples)
    if 4 * count * receivers * length > _LONGEST:
        raise UserError(f"{path.name} would exceed 2 GB: export fewer frames at a time.")
    responses = np.zeros((count, receivers, length), np.float32)
    for row, response in zip(responses, impulses.samples, strict=True):
        row[:, : len(response)] = response.T
    part = path.with_name(path.name + ".part")
    try:
        with h5py.File(part, "w", track_order=True) as file:
            _describe(file, impulses)
            sizes = {"M": count, "R": receivers, "E": 1, "N": length, "C": 3, "I": 1}
            for number, (name, size) in enumerate(sizes.items()):
                _dimension(file, name, size, number)
            _place(file, "ListenerPosition", impulses.listeners, "MC")
            _place(file, "ListenerView", impulses.rotations[:, :, 0], "MC")
            _variable(file, "ListenerUp", impulses.rotations[:, :, 2], "MC")
            _place(file, "ReceiverPosition", np.zeros((receivers, 3, 1)), "RCI")
            _place(file, "ReceiverView", np.broadcast_to([[[1.0], [0.0], [0.0]]], (receivers, 3, 1)), "RCI")
            _variable(file, "ReceiverUp", np.broadcast_to([[[0.0], [0.0], [1.0]]], (receivers, 3, 1)), "RCI")
            _place(file, "SourcePosition", impulses.emitters, "MC")
            _place(file, "SourceView", np.broadcast_to([1.0, 0.0, 0.0], (count, 3)), "MC")
            _variable(file, "SourceUp", np.broadcast_to([0.0, 0.0, 1.0], (count, 3)), "MC")
            _place(file, "EmitterPosition", np.zeros((1, 3, 1)), "ECI")
            _place(file, "EmitterView", np.array([[[1.0], [0.0], [0.0]]]), "ECI")
            _variable(file, "EmitterUp", np.array([[[0.0], [0.0], [1.0]]]), "ECI")
            _variable(file, "MeasurementDate", np.zeros(count), "M")
            _variable(file, "Data.IR", responses, "MRN")
            rate = _variable(file, "Data.SamplingRate", np.array([float(impulses.sample_rate)]), "I")
            rate.attrs["Units"] = np.bytes_("hertz")
            _variable(file, "Data.Delay", np.zeros((1, receivers)), "IR")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written ({error}): choose another output folder.") from error


def _describe(file: h5py.File, impulses: Impulses) -> None:
    """What AES69 wants to be said of the whole file."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    frames = ", ".join(map(str, impulses.frames[:100]))
    texts = {
        "Conventions": "SOFA",
        "Version": _SOFA_VERSION,
        "SOFAConventions": _CONVENTION,
        "SOFAConventionsVersion": _CONVENTION_VERSION,
        "APIName": "Acoustic Fields",
        "APIVersion": __version__,
        "ApplicationName": "Acoustic Fields",
        "ApplicationVersion": __version__,
        "AuthorContact": "unknown",
        "Comment": f"Computed, not measured. Channels: {impulses.channels}. Frames: {frames}",
        "DataType": "FIR",
        "DatabaseName": "Acoustic Fields",
        "DateCreated": now,
        "DateModified": now,
        "License": "No license provided, ask the author for permission",
        "ListenerShortName": "listener",
        "Organization": "unknown",
        "RoomDescription": impulses.title or "untitled",
        "RoomType": "reverberant",
        "Title": impulses.title or "untitled",
    }
    for name, text in texts.items():
        file.attrs[name] = np.bytes_(text.encode("utf-8"))


def _dimension(file: h5py.File, name: str, size: int, number: int) -> None:
    """A dimension of netCDF-4, which is a data set without meaning of its own."""
    scale = file.create_dataset(name, data=np.zeros(size, ">f4"))
    scale.make_scale(f"This is a netCDF dimension but not a netCDF variable.{size:10d}")
    scale.attrs["_Netcdf4Dimid"] = np.int32(number)


def _variable(file: h5py.File, name: str, values: np.ndarray, dimensions: str) -> h5py.Dataset:
    """A variable whose axes are the ``dimensions``, a letter each."""
    packing = {"compression": "gzip"} if values.size > 10_000 else {}
    data = file.create_dataset(name, data=np.asarray(values, np.float64), **packing)
    for axis, letter in enumerate(dimensions):
        data.dims[axis].attach_scale(file[letter])
    return data


def _place(file: h5py.File, name: str, values: np.ndarray, dimensions: str) -> None:
    """Positions or directions in metres: x, y, z."""
    data = _variable(file, name, values, dimensions)
    data.attrs["Type"], data.attrs["Units"] = np.bytes_("cartesian"), np.bytes_("metre")
