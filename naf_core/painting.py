"""Painting a map for a job: the survey at each of its moments, and the pictures of what it finds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from naf_core.colours import fit_range
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.firstsound import FirstSound
from naf_core.floormap import joined
from naf_core.job import Job
from naf_core.loudness import Source, source_at
from naf_core.picture import write_plate, write_texels
from naf_core.quantities import QUANTITIES, title_of
from naf_core.survey import PAIRS, FloorValues, Survey

IMAGE, LEGEND = "loudness_map.png", "loudness.png"
FOLDER = "loudness_maps"  # of the pictures of a sequence

_PAIRS_OF_MANY = 1200  # field queries for each map of several

Step = Callable[[float], None]
Warn = Callable[[str], None]


def file_name(number: int) -> str:
    """The file of a map in a sequence, counted from 1; Blender finds the others by counting."""
    return f"map_{number:05d}.png"


def seconds(job: Job) -> float:
    """How long painting takes, by experience."""
    if job.map is None:
        return 0.0
    texels, count = job.map.width * job.map.height, len(job.map.indices(job.n_frames))
    one = 0.4 + 3e-5 * texels
    return 0.4 + one + (count - 1) * (0.5 * one + 0.3)


def paint(
    at: Callable[[float], tuple[Field, FirstSound]],
    job: Job,
    spectra: dict[str, np.ndarray],
    part: Path,
    step: Step,
    warn: Warn,
) -> dict[str, Any]:
    """Write the pictures of the job's map into the folder ``part``, and return what the report says of them.

    ``at`` gives the field and the first sound at a time in s, which may be those of another state of the room.
    ``spectra`` (8,) are those of the sound files, by path. ``step`` gets the progress 0..1, ``warn`` messages.
    """
    floor = job.map
    indices = floor.indices(job.n_frames)
    many = len(indices) > 1
    storeys = floor.storeys()
    pairs = (_PAIRS_OF_MANY if many else PAIRS) // len(storeys)
    surveys: dict[int, list[Survey]] = {}  # by the state of the room

    results, sources = [], []
    for count, index in enumerate(indices):
        now = [source_at(emitter, spectra[emitter.sound], index / job.fps) for emitter in job.emitters]
        now = [source for source in now if source.power > 0.0]
        field, first = at(index / job.fps)
        if id(field) not in surveys:
            surveys[id(field)] = [Survey(field, field.scene, storey, field.caster, first, pairs) for storey in storeys]
        here = surveys[id(field)]
        results.append(survey_all(here, now, lambda f, done=count: step(0.8 * (done + f) / len(indices))))
        sources = sources or now
        step(0.8 * (count + 1) / len(indices))
    if floor.maximum:
        results = [highest(results)]
    known = [result.values[np.isfinite(result.values)] for result in results]
    if not sources:
        when = f"at frame {job.frame_start + indices[0]}" if not many else "at the frames of the map"
        warn(f"Nothing sounds {when}: the map is empty.")
    elif not any(map(len, known)):
        warn("No sound reaches the floor: is it closed off, or is another floor meant?")
    limits = floor.range or fit_range(np.concatenate(known), floor.quantity)

    frames = [job.frame_start + index for index in indices]
    images = [IMAGE]
    if len(results) > 1:
        images = write_sequence(part, results, limits, job, lambda f: step(0.8 + 0.15 * f))
    else:
        write_texels(part / IMAGE, results[0], limits, floor)
    middle = len(results) // 2
    write_plate(part / LEGEND, results[middle], limits, floor, sources, *_titles(job, sources, frames, middle))
    return {
        "image": images[0],
        "images": images,
        "frames": [frames[0], frames[0] + len(images) - 1],
        "step": floor.step,
        "legend": LEGEND,
        "quantity": floor.quantity,
        "unit": floor.unit,
        "title": title_of(floor.quantity, floor.band),
        "min": limits[0],
        "max": limits[1],
        "frame": frames[0],
        "ear_height_m": round(floor.ear_height, 3),
        "texels": list(reversed(floor.picture_shape)),
        "storeys": len(storeys),
        "percentiles": _percentiles(np.concatenate(known), QUANTITIES[floor.quantity].decimals + 1),
    }


def survey_all(surveys: Sequence[Survey], sources: Sequence[Source], step: Step) -> FloorValues:
    """What ``sources`` cause on all storeys, as one picture."""
    found = []
    for number, survey in enumerate(surveys):
        found.append(survey.at(sources, lambda f, done=number: step((done + f) / len(surveys))))
    return FloorValues(joined([part.values for part in found], np.nan), joined([part.solid for part in found], False))


def write_sequence(
    part: Path, results: Sequence[FloorValues], limits: tuple[float, float], job: Job, step: Step
) -> list[str]:
    """Write a picture for every frame from the first, each map standing until the next; returns their names."""
    (part / FOLDER).mkdir()
    names: list[str] = []
    for number, result in enumerate(results):
        first = f"{FOLDER}/{file_name(len(names) + 1)}"
        write_texels(part / first, result, limits, job.map)
        names.append(first)
        for _ in range(min(job.map.step, job.n_frames - len(names) + 1) - 1):
            names.append(f"{FOLDER}/{file_name(len(names) + 1)}")
            copy(part / first, part / names[-1])
        step((number + 1) / len(results))
    return names


def copy(picture: Path, path: Path) -> None:
    """The same picture under another name, as a hard link where the file system has these; raises UserError."""
    try:
        os.link(picture, path)
    except OSError:
        try:
            shutil.copyfile(picture, path)
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}): choose another folder.") from error


def highest(results: Sequence[FloorValues]) -> FloorValues:
    """The highest value over time at each texel; solid is what always is."""
    values = np.stack([result.values for result in results])
    empty = np.isnan(values).all(axis=0)
    top = np.where(np.isnan(values), -np.inf, values).max(axis=0)
    return FloorValues(np.where(empty, np.nan, top), np.all([result.solid for result in results], axis=0))


def _titles(job: Job, sources: Sequence[Source], frames: Sequence[int], middle: int) -> tuple[str, str]:
    floor = job.map
    if floor.maximum and len(frames) > 1:
        when = f"maximum of frames {frames[0]} to {frames[-1]}"
    else:
        when = f"frame {frames[min(middle, len(frames) - 1)]}"
    count = f"{len(sources)} emitter{'s' if len(sources) != 1 else ''}"
    where = f"{floor.ear_height:g} m above the floor" if abs(floor.normal[2]) > 0.5 else "at the surface"
    return job.scene_name or "Map", f"{title_of(floor.quantity, floor.band)} {where}, {when}, {count}"


def _percentiles(values: np.ndarray, decimals: int) -> dict[str, float] | None:
    """Values that 5, 50 and 95 % of the floor do not exceed."""
    if not len(values):
        return None
    return {str(q): round(float(np.percentile(values, q)), decimals) for q in (5, 50, 95)}
