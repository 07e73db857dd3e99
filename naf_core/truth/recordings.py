"""Fields learned from recordings, against the recordings that were held out and against rivals.

Tables and pictures are written to OUTPUT, a folder a set. What each set can show stands in its notes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from naf_core.errors import UserError
from naf_core.recordings.commands import (
    FLAT_FOLDER,
    OURS,
    PUBLISHED_NAME,
    fewer,
    makers,
    published,
    said,
    save_pictures,
)
from naf_core.recordings.compare import Fold, Maker, Row, compare, leave_one_out, save_table, truth
from naf_core.recordings.datasets import dechorate, r3vival
from naf_core.recordings.flat import flat, flat_mesh
from naf_core.recordings.measures import FIGURES
from naf_core.recordings.recordingset import split
from naf_core.recordings.spectrogram import RATE
from naf_core.scene import Scene
from naf_core.truth.figure import Figure

OUTPUT = Path("out/recordings")
SEED = 0
R3VIVAL_TEST, FEW = 10, 6  # places held out of 34; recordings that are to do
FLAT_SHARE = 10  # one place in so many is held out
# The published field learns the flat for an hour or more: it goes on from this checkpoint, or is left out.
FLAT_PUBLISHED = FLAT_FOLDER / "naf.checkpoint"

_BETTER = ("c50_db", "edt_ms", "spectral")
_UNITS = {"c50_db": "dB", "edt_ms": "ms", "spectral": "", "t60_percent": "%"}
_LIMITS_MS = {PUBLISHED_NAME: 200.0, OURS: 20.0}
_LIMITS_MINUTES = {PUBLISHED_NAME: 30.0, OURS: 5.0}
_ENERGY_MS = 1.0
_AAC_SHARE = 0.1

Progress = Callable[[float], None]


def figures(progress: Progress | None = None) -> list[Figure]:
    """All bars: both conditions of R3VIVAL, dEchorate one by one, and the simulated flat."""
    parts = (partial(_r3vival, "000"), partial(_r3vival, "100"), _dechorate, _flat)
    result = []
    for number, part in enumerate(parts):
        result += part()
        if progress is not None:
            progress((number + 1) / len(parts))
    return result


def _r3vival(condition: str) -> list[Figure]:
    name = f"R3VIVAL {condition}"
    try:
        found = r3vival(condition).at_rate(RATE)
    except UserError as error:
        return [Figure(f"{name}, ours, {FIGURES['t60_percent']}", math.nan, "%", 4.0, note=error.message)]
    train, test = split(found, R3VIVAL_TEST, SEED)
    rows = _compared([(train, test)], makers(None, SEED), f"r3vival-{condition}")
    few = _compared(
        [(fewer(train, FEW, SEED), test)], {OURS: makers(None, SEED)[OURS]}, f"r3vival-{condition}-few", pictures=False
    )
    best = f"24 learned from, {R3VIVAL_TEST} held out"
    result = [_against(f"{name}, ours", rows, rows[OURS], key, set(rows) - {OURS}, best) for key in _BETTER]
    result.append(_figure(f"{name}, ours", rows[OURS], "t60_percent", 4.0, best))
    result += [
        _against(f"{name}, ours from {FEW}", rows, few[OURS], key, {"linear"}, "linear has 24") for key in _BETTER
    ]
    for method, minutes in _LIMITS_MINUTES.items():
        row = rows[method]
        result.append(Figure(f"{name}, {method}, learning", row.fit_s / 60.0, "min", minutes, note=row.left_out))
        result.append(
            Figure(
                f"{name}, {method}, one waveform of many", row.response_ms, "ms", _LIMITS_MS[method], note=row.left_out
            )
        )
    result.append(Figure(f"{name}, ours, one energy response of many", rows[OURS].energy_ms, "ms", _ENERGY_MS))
    stored = rows["nearest, AAC-LC"]
    size = math.nan if stored.left_out else _AAC_SHARE * stored.bytes / 1e3
    note = stored.left_out or "a tenth of the recordings as AAC-LC"
    value = math.nan if stored.left_out else rows[OURS].bytes / 1e3
    return [*result, Figure(f"{name}, ours, stored", value, "kB", size, note=note)]


def _dechorate() -> list[Figure]:
    found = dechorate().at_rate(RATE)
    chosen = {key: make for key, make in makers(None, SEED).items() if key != PUBLISHED_NAME}
    rows = _compared(leave_one_out(found), chosen, "dechorate")
    note = "each of 12 microphones left out in turn; its neighbour at 4 to 6 cm stays"
    return [_against("dEchorate, ours", rows, rows[OURS], "spectral", {"nearest", "linear"}, note)]


def _flat() -> list[Figure]:
    found = flat(FLAT_FOLDER)
    scene = flat_mesh()
    train, test = split(found, len(found) // FLAT_SHARE, SEED)
    chosen = makers(scene, SEED)
    note = f"{len(train)} learned from, {len(test)} held out; the mesh is known, its materials are not"
    if FLAT_PUBLISHED.is_file():
        chosen[PUBLISHED_NAME] = partial(published, SEED, FLAT_PUBLISHED)
    else:
        del chosen[PUBLISHED_NAME]
    rows = _compared([(train, test)], chosen, "flat-compared", scene=scene)
    result = [
        _figure("two-room flat, ours", rows[OURS], key, bar, note)
        for key, bar in (("t60_percent", 1.6), ("c50_db", 0.4))
    ]
    for key, bar in (("t60_percent", 4.0), ("c50_db", 1.1)):
        if PUBLISHED_NAME in rows:
            result.append(_figure(f"two-room flat, {PUBLISHED_NAME}", rows[PUBLISHED_NAME], key, bar, note))
        else:
            lacking = (
                f"{FLAT_PUBLISHED} is missing: python -m naf_core recordings train flat --method naf"
                f" --hold-out {len(test)} --epochs 60 --checkpoint {FLAT_PUBLISHED}"
                f" --output {FLAT_FOLDER / 'naf.safetensors'}"
            )
            result.append(
                Figure(f"two-room flat, {PUBLISHED_NAME}, {FIGURES[key]}", math.nan, _UNITS[key], bar, note=lacking)
            )
    return result


def _compared(
    folds: Sequence[Fold], chosen: dict[str, Maker], folder: str, *, scene: Scene | None = None, pictures: bool = True
) -> dict[str, Row]:
    """Rows by method; table and pictures go to the folder of this name."""
    rows, answers = compare(folds, chosen)
    notes = (*folds[0][1].notes, *said(answers))
    save_table(rows, OUTPUT / folder, notes)
    if pictures:
        save_pictures(OUTPUT / folder, truth(folds), folds[-1][0], answers, scene)
    return {row.method: row for row in rows}


def _figure(what: str, row: Row, key: str, bar: float, note: str) -> Figure:
    """One error of a method against a bar; a figure that could not be read for some pairs says so."""
    lacking = row.failures.get(key, 0)
    note = row.left_out or note + (f"; {lacking} could not be read" if lacking else "")
    return Figure(f"{what}, {FIGURES[key]}", row.figures.get(key, math.nan), _UNITS[key], bar, note=note)


def _against(what: str, rows: dict[str, Row], row: Row, key: str, others: set[str], note: str) -> Figure:
    """One error of a method; the bar is the best of the ``others``, whose name is noted."""
    known = {name: rows[name].figures[key] for name in others if key in rows[name].figures}
    best = min(known, key=known.__getitem__)
    left_out = sorted(name for name in others if rows[name].left_out)
    note = f"{note}; best of the others: {best}" + (f"; without {', '.join(left_out)}" if left_out else "")
    return _figure(what, row, key, known[best], note)
