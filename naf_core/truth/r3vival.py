"""R3VIVAL: the decay of a room with movable panels, absorption fitted on four responses and tested on the others.

R3VIVAL: Repository of Room Responses and 360 Videos of a Variable Acoustics Lab, Meta, CC BY 4.0,
https://github.com/facebookresearch/R3VIVAL. The files are too large for the repository: the folder that holds them is
named by the environment variable ACOUSTIC_FIELDS_R3VIVAL.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from naf_core.air import Air
from naf_core.bands import N_BANDS
from naf_core.errors import UserError
from naf_core.materials import Material
from naf_core.measured import measured_parameters
from naf_core.store import DAMAGE, read_array
from naf_core.tracer import trace
from naf_core.truth.box import box_scene
from naf_core.truth.figure import Figure

VARIABLE = "ACOUSTIC_FIELDS_R3VIVAL"
CONDITIONS = {"000": "r3vival_absorptive_000.h5", "100": "r3vival_absorptive_100.h5"}  # share of panels that absorb
BAR = 5.0  # percent
RAYS = 20_000
FITTED_ON = 4
# Absorption exponents -ln(1 - absorption) at which the room is traced, whatever was measured.
EXPONENTS = (0.1, 0.15, 0.22, 0.33, 0.5, 0.75)
SCATTERING = 0.5  # unknown, and of little effect on a decay to which absorption is fitted

_COMPARED = slice(1, 7)  # bands 125 Hz to 4 kHz
_MOST = 10_000_000


class Room(NamedTuple):
    """One condition: ``responses`` (R, n) at ``sample_rate`` Hz, sample ``direct`` (R,) of the direct sound.

    ``sources`` (R, 3), ``receiver`` (3,) and ``faces`` (6,), from the receiver to the reflecting faces -x, +x, -y, +y,
    floor and ceiling, in m.
    """

    responses: np.ndarray
    sample_rate: float
    direct: np.ndarray
    sources: np.ndarray
    receiver: np.ndarray
    faces: np.ndarray


def figures(progress: Callable[[float], None] | None = None, folder: Path | None = None) -> list[Figure]:
    """T30 of both conditions with one absorption a band, 125 Hz to 4 kHz, place by place.

    ``folder`` holds the two files; by default the one that the environment variable names.
    """
    folder = folder or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    result = []
    for number, (condition, name) in enumerate(CONDITIONS.items()):
        if folder is None or not (folder / name).is_file():
            note = (
                f"{name} is missing: name the folder that holds it in {VARIABLE}; the responses are published at"
                " https://github.com/facebookresearch/R3VIVAL"
            )
            result.append(Figure(f"R3VIVAL {condition}, T30 of each response", math.nan, "%", BAR, note=note))
        else:
            room = read_room(folder / name)
            measured = measured_decays(room)
            traced = traced_decays(room)
            result.append(compare(condition, measured, traced))
        if progress is not None:
            progress((number + 1) / len(CONDITIONS))
    return result


def compare(condition: str, measured: np.ndarray, traced: np.ndarray) -> Figure:
    """Figure from T30 ``measured`` (R, 8) and ``traced`` (exponents, R, 8).

    Every response but the last few is once among the four: sets of four that lie evenly in the list of responses.
    """
    count = len(measured)
    stride = count // FITTED_ON
    means, singles = [], []
    for first in range(stride):
        chosen = first + stride * np.arange(FITTED_ON)
        tested = np.setdiff1d(np.arange(count), chosen)
        predicted = predict(measured[chosen], traced[:, chosen], traced[:, tested])
        means.append(np.abs(predicted.mean(axis=0) / measured[tested].mean(axis=0) - 1.0)[_COMPARED].mean())
        singles.append(np.abs(predicted / measured[tested] - 1.0)[:, _COMPARED].mean())
    mean = measured.mean(axis=0)
    floor = 100.0 * float(np.abs(measured / mean - 1.0)[:, _COMPARED].mean())
    percent = 100.0 * np.array(singles)
    here, there = (values - values.mean(axis=0) for values in (traced[len(traced) // 2], measured))
    alike = (here * there).sum(axis=0) / np.maximum(np.sqrt((here**2).sum(axis=0) * (there**2).sum(axis=0)), 1e-12)
    note = (
        f"fitted on {FITTED_ON} responses, tested on the other {len(tested)}: mean of {stride} choices of the four,"
        f" {percent.min():.1f} to {percent.max():.1f} %; the measured ones differ from their own mean by {floor:.1f} %;"
        f" the mean over the room is met to {100.0 * np.mean(means):.1f} %; where the box decays longer and where the"
        f" room does have a correlation of {np.mean(alike[_COMPARED]):+.2f}"
    )
    return Figure(f"R3VIVAL {condition}, T30 of each response", float(percent.mean()), "%", BAR, note=note)


def predict(measured: np.ndarray, traced_there: np.ndarray, traced: np.ndarray) -> np.ndarray:
    """T30 (n, 8) where ``traced`` (exponents, n, 8), at the absorption that fits the mean of ``measured`` (k, 8).

    ``traced_there`` (exponents, k, 8) are the traced times where was measured. Between exponents 1 / T is taken as
    linear, which in Eyring's formula it is.
    """
    result = np.empty(traced.shape[1:])
    for band in range(N_BANDS):
        rates = 1.0 / traced_there[:, :, band].mean(axis=1)
        exponent = np.interp(1.0 / measured[:, band].mean(), rates, EXPONENTS)
        for place in range(traced.shape[1]):
            result[place, band] = 1.0 / np.interp(exponent, EXPONENTS, 1.0 / traced[:, place, band])
    return result


def measured_decays(room: Room) -> np.ndarray:
    """T30 of each response by band, (R, 8) in s, NaN where noise is too near."""
    rows = zip(room.responses, room.direct, strict=True)
    return np.stack([measured_parameters(row, room.sample_rate, int(direct))["T30_s"] for row, direct in rows])


def traced_decays(room: Room, rays: int = RAYS) -> np.ndarray:
    """T30 by absorption exponent, place and band, (exponents, R, 8) in s, in a box with the reflecting faces.

    All faces absorb alike. What leaves the receiver reaches a source as what leaves the source reaches the receiver.
    """
    low, high = room.receiver - room.faces[::2], room.receiver + room.faces[1::2]
    result = []
    for number, exponent in enumerate(EXPONENTS):
        wall = Material("face", (1.0 - math.exp(-exponent),) * N_BANDS, (SCATTERING,) * N_BANDS)
        response = trace(box_scene(low, high, wall, Air()), room.receiver[None], room.sources, rays=rays, seed=number)
        result.append(response.parameters()["T30_s"][0])
    return np.stack(result)


def read_room(path: Path) -> Room:
    """Read one condition; raises UserError when the file is something else."""
    try:
        with h5py.File(path, "r") as file:
            sources = read_array(file, "source_position", (None, 3), _MOST)
            length = file["rirs"].shape[-1]
            return Room(
                read_array(file, "rirs", (len(sources), length), _MOST),
                float(read_array(file, "sample_rate", (), _MOST)),
                read_array(file, "direct_sample", (len(sources),), _MOST),
                sources,
                read_array(file, "receiver_position", (3,), _MOST),
                read_array(file, "reflecting_face_distance", (6,), _MOST),
            )
    except DAMAGE as error:
        raise UserError(f"{path.name} cannot be read as responses of R3VIVAL: {error}") from error
