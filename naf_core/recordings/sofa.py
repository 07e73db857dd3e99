"""Recordings from SOFA files (AES69-2022): SingleRoomSRIR, and SingleRoomMIMOSRIR with several emitters."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from naf_core.errors import UserError
from naf_core.recordings.checks import clipped
from naf_core.recordings.files import read_responses
from naf_core.recordings.recordingset import MOST_CHANNELS, MOST_SAMPLES, RecordingSet
from naf_core.store import DAMAGE, read_array

CONVENTIONS = ("SingleRoomSRIR", "SingleRoomMIMOSRIR")

_MOST = 1_000_000
_SIMILAR = 0.35  # m: receivers of one listener that lie within this of it are its ears or capsules


def read_sofa(path: str | Path) -> RecordingSet:
    """Read the responses of a SOFA file, one of CONVENTIONS.

    Receivers within 0.35 m of the listener are channels of it. Those of an array that is larger, and the
    emitters of a MIMO file, become responses with places of their own. Delays are put into the responses; sample 0 is
    taken for the emission, see `recordingset.aligned` for files in which it is not. Raises UserError on other
    conventions and on files that are damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is missing: name another file.")
    try:
        with h5py.File(path, "r") as file:
            convention = _text(file, "SOFAConventions")
            if convention not in CONVENTIONS:
                raise UserError(_refusal(path, convention))
            if _text(file, "DataType") not in ("FIR", "FIR-E"):
                raise UserError(f"{path.name} holds {_text(file, 'DataType')} data: give a file with responses (FIR).")
            return _read(file, path.stem)
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read as a SOFA file ({error}): copy it again from where it came.") from error


def _refusal(path: Path, convention: str) -> str:
    wanted = " or ".join(CONVENTIONS)
    if "FreeField" in convention:
        return f"{path.name} holds {convention}: responses of a head in the free field, not of a room. Give {wanted}."
    return f"{path.name} holds the convention “{convention}”: give {wanted}."


def _read(file: h5py.File, name: str) -> RecordingSet:
    data = file["Data.IR"]
    if len(data.shape) == 3:  # (M, R, N): one emitter
        responses = read_responses(file, "Data.IR", None)[:, :, None]
    else:
        if len(data.shape) != 4 or np.prod([int(n) for n in data.shape], dtype=object) > MOST_SAMPLES:
            raise ValueError(f"Data.IR has the shape {data.shape}")
        responses = read_array(file, "Data.IR", data.shape, _MOST)
        # MRNE in version 1.0 of the convention, MREN since 1.1: the emitters are as many as their positions say.
        emitters = file["EmitterPosition"].shape[0]
        if responses.shape[3] == emitters and responses.shape[2] != emitters:
            responses = responses.swapaxes(2, 3)
    count, receivers, emitters, _ = responses.shape
    rate = np.unique(read_array(file, "Data.SamplingRate", (None,), _MOST))
    if len(rate) != 1 or rate[0] != round(rate[0]):
        raise UserError(f"{name} mixes sample rates or has none in whole hertz: convert all responses to one.")
    listener, source = _places(file, "ListenerPosition", count), _places(file, "SourcePosition", count)
    frames, aims = _axes(file, "Listener", count), _axes(file, "Source", count)
    receiver = _parts(file, "ReceiverPosition", receivers, count)
    emitter = _parts(file, "EmitterPosition", emitters, count)
    responses = _delayed(file, responses, count)
    facings = np.full((count, emitters, 3), np.nan)
    if "EmitterView" in file and "SourceView" in file:
        facings[:] = aims[:, None, :, 0]
    heads = _in_the_world(listener, frames, receiver)  # (M, R, 3)
    sources = _in_the_world(source, aims, emitter)  # (M, E, 3)
    apart = np.linalg.norm(heads - listener[:, None], axis=-1).max() > _SIMILAR
    rows = []
    for measurement in range(count):
        for e in range(emitters):
            if apart or receivers > MOST_CHANNELS:
                rows += [(measurement, e, [r], heads[measurement, r]) for r in range(receivers)]
            else:
                rows.append((measurement, e, list(range(receivers)), listener[measurement]))
    heard = np.stack([responses[m, r, e] for m, e, r, _ in rows])
    return RecordingSet(
        name,
        "simulated" if "computed" in _text(file, "Comment", "").lower() else "measured",
        int(rate[0]),
        heard,
        np.stack([sources[m, e] for m, e, _, _ in rows]),
        np.stack([place for *_, place in rows]),
        np.stack([frames[m] for m, *_ in rows]),
        np.stack([facings[m, e] for m, e, _, _ in rows]),
        notes=tuple(clipped(heard, [f"Response {row}" for row in range(len(heard))])),
    )


def _text(file: h5py.File, name: str, default: str | None = None) -> str:
    value = file.attrs.get(name, default)
    if value is None:
        raise ValueError(f"it has no {name}")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _places(file: h5py.File, name: str, count: int) -> np.ndarray:
    """Positions (count, 3) in metres, of as many measurements or of one for all."""
    data = file[name]
    values = np.broadcast_to(read_array(file, name, (None, 3), _MOST), (count, 3))
    return _cartesian(data, values)


def _parts(file: h5py.File, name: str, parts: int, count: int) -> np.ndarray:
    """Positions (count, parts, 3) relative to listener or source, in metres: of all measurements, or of each."""
    shape = file[name].shape
    values = read_array(file, name, (parts, 3, None) if len(shape) == 3 else (parts, 3), _MOST).reshape(parts, 3, -1)
    return np.broadcast_to(_cartesian(file[name], np.moveaxis(values, 2, 0)), (count, parts, 3))


def _cartesian(data: h5py.Dataset, values: np.ndarray) -> np.ndarray:
    """Coordinates (..., 3) in metres of ``values`` in the type that the variable says."""
    kind = data.attrs.get("Type", b"cartesian")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind == "cartesian":
        return np.asarray(values, np.float64)
    if kind != "spherical":
        raise ValueError(f"{data.name} is {kind}, not cartesian or spherical")
    azimuth, elevation, radius = np.radians(values[..., 0]), np.radians(values[..., 1]), values[..., 2]
    level = np.cos(elevation) * radius
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation) * radius], axis=-1)


def _axes(file: h5py.File, who: str, count: int) -> np.ndarray:
    """Axes (count, 3, 3) of listener or source, world = R @ local; those of the world where nothing is said."""
    if f"{who}View" not in file:
        return np.broadcast_to(np.eye(3), (count, 3, 3))
    view = _places(file, f"{who}View", count)
    up = np.broadcast_to([0.0, 0.0, 1.0], (count, 3))
    if f"{who}Up" in file:
        values = np.broadcast_to(read_array(file, f"{who}Up", (None, 3), _MOST), (count, 3))
        # The type of Up is that of View, and often left out.
        up = _cartesian(file[f"{who}View"], values) if "Type" not in file[f"{who}Up"].attrs else values
    left = np.cross(up, view)
    axes = np.stack([view, left, np.cross(view, left)], axis=-1)
    length = np.linalg.norm(axes, axis=1, keepdims=True)
    if not (length > 1e-6).all():
        raise ValueError(f"{who}View and {who}Up do not span the axes of a {who.lower()}")
    return axes / length


def _in_the_world(origin: np.ndarray, axes: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Positions (count, parts, 3) of ``local`` (count, parts, 3) at ``origin`` (count, 3)."""
    return origin[:, None] + np.einsum("mij,mpj->mpi", axes, local)


def _delayed(file: h5py.File, responses: np.ndarray, count: int) -> np.ndarray:
    """The responses (M, R, E, N) float32 with the delays in samples that the file has beside them."""
    if "Data.Delay" not in file or not len(file["Data.Delay"].shape):
        return responses.astype(np.float32)
    shape = file["Data.Delay"].shape
    if any(have not in (1, want) for have, want in zip(shape, responses.shape[:3], strict=False)) or len(shape) > 3:
        raise ValueError(f"Data.Delay has the shape {shape}")
    delay = read_array(file, "Data.Delay", shape, _MOST)
    delay = np.broadcast_to(delay.reshape(*shape, *(1,) * (3 - len(shape))), responses.shape[:3])
    length = responses.shape[-1]
    if not ((delay >= 0) & (delay < 10 * length)).all():
        raise ValueError("Data.Delay has values that are negative or far beyond the responses")
    whole = np.round(delay).astype(int)
    result = np.zeros((*responses.shape[:3], length + int(whole.max())), np.float32)
    for at in np.ndindex(responses.shape[:3]):
        result[at][whole[at] : whole[at] + length] = responses[at]
    return result
