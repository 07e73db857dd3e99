"""Recordings from a folder of sound files and a table of their positions."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
import soxr

from naf_core.errors import UserError
from naf_core.recordings.checks import clipped
from naf_core.recordings.recordingset import LONGEST, MOST_CHANNELS, MOST_SAMPLES, RecordingSet
from naf_core.sound import SAMPLE_RATES

COLUMNS = ("file", "emitter_x", "emitter_y", "emitter_z", "listener_x", "listener_y", "listener_z")
_MOST_ROWS = 100_000
_MOST_BYTES = 32_000_000  # of the table


def read_folder(folder: str | Path, table: str | Path, sample_rate: int = 48_000) -> RecordingSet:
    """Read the sound files in ``folder`` that ``table`` names, at ``sample_rate`` in Hz.

    The table is CSV with the header COLUMNS, positions in metres, z up; `azimuth` in degrees, anticlockwise from x, is
    where the listener looks, if there is such a column. Rates may differ and are converted; shorter responses are
    continued by silence. Raises UserError on files that are missing, unreadable, without samples, outside the
    folder or of differing channels, and on rows that are not numbers.
    """
    folder, table = Path(folder), Path(table)
    rows = _rows(table)
    samples, converted, notes = [], set(), []
    for number, row in enumerate(rows):
        path = folder / row["file"]
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{table.name}, row {number + 2}: {row['file']} lies outside {folder}.")
        sound, rate = _read(path)
        if sound.shape[1] != (samples[0].shape[0] if samples else sound.shape[1]):
            raise UserError(
                f"{path.name} has {sound.shape[1]} channels and the first file {samples[0].shape[0]}:"
                " import files of each kind apart."
            )
        notes += clipped([sound.T], [row["file"]])
        if rate != sample_rate:
            converted.add(rate)
            # A response is scaled as in RecordingSet.at_rate: its spectrum keeps its level.
            sound = soxr.resample(sound, rate, sample_rate, quality="VHQ") * (rate / sample_rate)
        samples.append(np.ascontiguousarray(sound.T, np.float32))
        if sum(part.size for part in samples) > MOST_SAMPLES:
            raise UserError(f"The files in {folder} hold more than {MOST_SAMPLES} samples: import fewer at a time.")
    lengths = {part.shape[1] for part in samples}
    longest = max(lengths)
    if longest * len(samples) * samples[0].shape[0] > MOST_SAMPLES:
        raise UserError(f"The longest file in {folder} makes the set too large: cut it.")
    responses = np.stack([np.pad(part, ((0, 0), (0, longest - part.shape[1]))) for part in samples])
    if converted:
        notes.append(f"Files at {', '.join(map(str, sorted(converted)))} Hz were converted to {sample_rate} Hz.")
    if len(lengths) > 1:
        short = min(lengths) / sample_rate
        notes.append(f"Responses differ in length, from {short:.2f} s: shorter ones are continued by silence.")
    ends = [[[float(row[f"{who}_{axis}"]) for axis in "xyz"] for row in rows] for who in ("emitter", "listener")]
    turn = np.radians([float(row.get("azimuth") or 0.0) for row in rows])
    cos, sin, zero, one = np.cos(turn), np.sin(turn), np.zeros(len(rows)), np.ones(len(rows))
    rotations = np.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], axis=-1).reshape(-1, 3, 3)
    return RecordingSet(
        folder.resolve().name, "measured", sample_rate, responses, ends[0], ends[1], rotations, notes=tuple(notes)
    )


def file_names(table: str | Path) -> list[str]:
    """Names of the files in ``table``, in the order in which `read_folder` takes them; raises UserError as it does."""
    return [row["file"] for row in _rows(Path(table))]


def _rows(table: Path) -> list[dict[str, str]]:
    """Rows of the table, all cells that are wanted filled with finite numbers."""
    if not table.is_file():
        raise UserError(f"The table of positions {table} is missing: give a CSV file with {', '.join(COLUMNS)}.")
    if table.stat().st_size > _MOST_BYTES:
        raise UserError(f"{table.name} is too large for a table of positions.")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{table.name} has no column {', '.join(missing)}: the header is {','.join(COLUMNS)}, with commas."
                )
            rows = [row for row, _ in zip(reader, range(_MOST_ROWS + 1), strict=False)]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise UserError(f"{table.name} cannot be read as CSV in UTF-8: {error}") from error
    if not rows:
        raise UserError(f"{table.name} has no rows: give one for each file.")
    if len(rows) > _MOST_ROWS:
        raise UserError(f"{table.name} has more than {_MOST_ROWS} rows: import fewer at a time.")
    for number, row in enumerate(rows):
        for name in (*COLUMNS[1:], "azimuth"):
            text = row.get(name)
            if name == "azimuth" and not text:
                continue
            try:
                finite = np.isfinite(float(text or ""))
            except ValueError:
                finite = False
            if not finite:
                raise UserError(f"{table.name}, row {number + 2}: {name} is “{text}”, not a number in metres.")
        if not row["file"]:
            raise UserError(f"{table.name}, row {number + 2} names no file.")
    return rows


def _read(path: Path) -> tuple[np.ndarray, int]:
    """Samples (n, channels) float32 of a sound file, and its rate in Hz."""
    if not path.is_file():
        raise UserError(f"{path} is missing: put it back, or take it out of the table.")
    try:
        with soundfile.SoundFile(path) as file:
            rate, channels = file.samplerate, file.channels
            if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1] or channels > MOST_CHANNELS:
                raise UserError(f"{path.name} has {channels} channels at {rate} Hz: convert it to WAV at 48000 Hz.")
            sound = file.read(int(LONGEST * rate) + 1, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise UserError(f"{path.name} cannot be read as sound ({error}): convert it to WAV.") from error
    if not len(sound) or len(sound) > LONGEST * rate:
        raise UserError(
            f"{path.name} is {'empty' if not len(sound) else f'longer than {LONGEST:g} s'}: cut or replace it."
        )
    if not np.isfinite(sound).all():
        raise UserError(f"{path.name} has samples that are not finite numbers: export it again.")
    return sound, rate
