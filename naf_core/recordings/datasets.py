"""Measured rooms of others on which methods are compared."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from naf_core.errors import UserError
from naf_core.recordings.recordingset import RecordingSet, aligned, calibration
from naf_core.store import DAMAGE, read_array

R3VIVAL_VARIABLE = "ACOUSTIC_FIELDS_R3VIVAL"
R3VIVAL_FILES = {"000": "r3vival_absorptive_000.h5", "100": "r3vival_absorptive_100.h5"}
DECHORATE = Path(__file__).resolve().parents[2] / "tests" / "data" / "dechorate" / "dechorate_011111_src1.h5"

_MOST = 10_000_000


def r3vival(condition: str, folder: Path | None = None) -> RecordingSet:
    """The 34 responses of R3VIVAL with ``condition`` percent of the panels absorbing, "000" or "100".

    Meta, https://github.com/facebookresearch/R3VIVAL, CC BY 4.0; repacked with positions. ``folder`` holds the files,
    by default the one that the environment variable names. Raises UserError when the file is missing or something
    else.
    """
    folder = folder or Path(os.environ.get(R3VIVAL_VARIABLE) or "missing")
    path = folder / R3VIVAL_FILES[condition]
    if not path.is_file():
        raise UserError(
            f"{path.name} is missing: name the folder that holds it in {R3VIVAL_VARIABLE}; the responses are published"
            " at https://github.com/facebookresearch/R3VIVAL"
        )
    try:
        with h5py.File(path, "r") as file:
            sources = read_array(file, "source_position", (None, 3), _MOST)
            count = len(sources)
            rirs = read_array(file, "rirs", (count, file["rirs"].shape[-1]), _MOST)
            rate = int(read_array(file, "sample_rate", (), _MOST))
            direct = read_array(file, "direct_sample", (count,), _MOST)
            receiver = read_array(file, "receiver_position", (3,), _MOST)
            facings = read_array(file, "source_facing", (count, 3), _MOST)
            faces = read_array(file, "reflecting_face_distance", (6,), _MOST)
    except DAMAGE as error:
        raise UserError(f"{path.name} cannot be read as responses of R3VIVAL: {error}") from error
    found = RecordingSet(
        f"R3VIVAL {condition}",
        "measured",
        rate,
        rirs[:, None],
        sources,
        np.broadcast_to(receiver, (count, 3)),
        facings=facings,
        box=np.stack([receiver - faces[::2], receiver + faces[1::2]]),
        speed_of_sound=343.0,
        notes=(
            "One receiver and 34 sources on its height, 30 of them directional and facing it: nothing is shown of other"
            " receivers, nor of how sources radiate elsewhere.",
            "Delays were set from the positions, which are partly estimated (0.02 to 0.15 m).",
            "Levels between the two types of loudspeaker are unknown: each type was scaled to a unit direct sound. The"
            " four that radiate in all directions then excite the room by 9 dB more, wherever they stand: who knows"
            " only places takes this for one of the corners.",
        ),
    )
    found = aligned(found, direct)
    responses = found.responses.copy()
    directional = np.isfinite(facings).all(axis=1)
    for kind in (directional, ~directional):
        responses[kind] *= np.float32(calibration(found[kind]))
    return replace(found, responses=responses)


def dechorate(path: Path = DECHORATE) -> RecordingSet:
    """Twelve microphones and one source of dEchorate, room 011111, responses as published.

    D. Di Carlo et al., doi:10.1186/s13636-021-00229-0, MIT. Raises UserError when the file is missing or something
    else.
    """
    if not path.is_file():
        raise UserError(f"{path.name} is missing: it lies in tests/data/dechorate of the repository.")
    try:
        with h5py.File(path, "r") as file:
            microphones = read_array(file, "microphone_positions", (None, 3), _MOST)
            count = len(microphones)
            rirs = read_array(file, "rirs", (count, file["rirs"].shape[-1]), _MOST)
            source = read_array(file, "source_position", (3,), _MOST)
            aim = read_array(file, "source_aim", (3,), _MOST)
            size = read_array(file, "room_size", (3,), _MOST)
            polarity = read_array(file, "polarity", (count,), _MOST)
            rate = int(read_array(file, "sample_rate", (), _MOST))
            speed = float(read_array(file, "speed_of_sound", (), _MOST))
    except DAMAGE as error:
        raise UserError(f"{path.name} cannot be read as responses of dEchorate: {error}") from error
    found = RecordingSet(
        "dEchorate",
        "measured",
        rate,
        (rirs * polarity[:, None])[:, None],
        np.broadcast_to(source, (count, 3)),
        microphones,
        facings=np.broadcast_to(aim, (count, 3)),
        box=np.stack([np.zeros(3), size]),
        speed_of_sound=speed,
        levels_known=False,
        notes=(
            "One source, twelve microphones in pairs 4 to 6 cm apart: leaving one out leaves its neighbour in, which"
            " flatters whatever takes the nearest.",
            "Each response was divided by its own peak: levels are not compared.",
            "Swept from 100 Hz to 14 kHz and cut at 0.4 s, before the noise floor.",
        ),
    )
    return replace(found, responses=found.responses * np.float32(calibration(found)))
