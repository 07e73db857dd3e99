"""Methods side by side: each learns from the same recordings and answers for the same places that were held out."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from naf_core.errors import UserError
from naf_core.recordings.codecs import AacLc, Opus
from naf_core.recordings.measures import (
    FIGURES,
    level_free_logarithms,
    room_errors,
    room_figures,
    spectral_errors,
    spectrogram_of,
)
from naf_core.recordings.method import GivesEnergies, GivesLogMagnitudes, Method, Tell
from naf_core.recordings.recordingset import RecordingSet, places
from naf_core.recordings.rivals import Interpolation, Mean
from naf_core.recordings.spectrogram import RATE

Fold = tuple[RecordingSet, RecordingSet]  # learned from, tested on
Maker = Callable[[], Method]

_TIMED = 16  # pairs for which one answer is timed
_SLOW = 3.0  # s, beside which it does not matter that the first call is slower


@dataclass(frozen=True)
class Row:
    """What one method did on one set.

    ``figures`` by the keys of `measures.FIGURES`; ``failures``: how many figures it lacks that the recordings have.
    ``bytes`` stored, ``fit_s`` to learn, ``response_ms`` and ``energy_ms`` for one answer among many (NaN without
    energies). ``left_out`` says why there are no figures.
    """

    data: str
    method: str
    learned: int
    tested: int
    figures: dict[str, float] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    fit_s: float = math.nan
    response_ms: float = math.nan
    energy_ms: float = math.nan
    left_out: str = ""


@dataclass(frozen=True)
class Answers:
    """What a method answered for the test places of all folds: ``responses``, and ``logarithms`` of magnitudes.

    ``method`` is that of the last fold; ``logarithms`` are empty where it knows none but those of its responses.
    """

    method: Method
    responses: np.ndarray
    logarithms: np.ndarray


def rivals() -> dict[str, Maker]:
    """Makers of the rivals, by name."""
    kinds = [(linear, codec) for linear in (False, True) for codec in (None, AacLc(), Opus())]
    return {Interpolation(*kind).name: partial(Interpolation, *kind) for kind in kinds} | {Mean.name: Mean}


def leave_one_out(recordings: RecordingSet) -> list[Fold]:
    """As many folds as there are places, each with one place held out; raises UserError when there is only one."""
    number = places(recordings)
    if number.max() < 1:
        raise UserError(f"{recordings.name} has responses of one place: none can be left out. Record more positions.")
    return [(recordings[number != place], recordings[number == place]) for place in range(number.max() + 1)]


def truth(folds: Sequence[Fold]) -> RecordingSet:
    """The test parts of all ``folds`` as one set."""
    tests = [test for _, test in folds]
    keys = ("responses", "emitters", "listeners", "rotations", "facings")
    arrays = {key: np.concatenate([getattr(test, key) for test in tests]) for key in keys}
    first = tests[0]
    return RecordingSet(
        first.name,
        first.kind,
        first.sample_rate,
        box=first.box,
        speed_of_sound=first.speed_of_sound,
        levels_known=first.levels_known,
        notes=first.notes,
        **arrays,
    )


def compare(
    folds: Sequence[Fold], makers: dict[str, Maker], progress: Callable[[str, float], None] | None = None
) -> tuple[list[Row], dict[str, Answers]]:
    """Let each of ``makers`` learn and answer; gives a row each and, by name, what it answered.

    All sets have the sample rate RATE. A method that cannot learn is left out with its reason. ``progress`` gets the
    name of the method and 0..1.
    """
    true = truth(folds)
    if true.sample_rate != RATE:
        raise UserError(f"{true.name} has {true.sample_rate} Hz: methods are compared at {RATE} Hz.")
    direct = true.direct_samples
    wanted = spectrogram_of(true.responses, true.levels_known)
    measured = room_figures(true.responses, RATE, direct)
    rows, answers = [], {}
    for name, make in makers.items():

        def tell(fraction: float, name: str = name) -> None:
            if progress is not None:
                progress(name, fraction)

        learned = len(folds[0][0])
        try:
            given, fit_s = _answer(folds, make, tell)
        except UserError as error:
            rows.append(Row(true.name, name, learned, len(true), left_out=error.message))
            continue
        if given.responses.shape != true.responses.shape or not np.isfinite(given.responses).all():
            rows.append(
                Row(true.name, name, learned, len(true), left_out="it answered with something else than responses")
            )
            continue
        answers[name] = given
        of_wave = spectrogram_of(given.responses, true.levels_known)
        logarithms = given.logarithms if len(given.logarithms) else of_wave
        if len(given.logarithms) and not true.levels_known:
            logarithms = level_free_logarithms(given.logarithms)
        figures = spectral_errors(logarithms, wanted)
        figures["spectral_wave"] = spectral_errors(of_wave, wanted)["spectral"]
        errors, failures = room_errors(room_figures(given.responses, RATE, direct), measured)
        response_ms, energy_ms = _timed(given.method, true)
        rows.append(
            Row(
                true.name,
                name,
                learned,
                len(true),
                {**figures, **errors},
                failures,
                given.method.stored_bytes(),
                fit_s,
                response_ms,
                energy_ms,
            )
        )
    return rows, answers


def _answer(folds: Sequence[Fold], make: Maker, tell: Tell) -> tuple[Answers, float]:
    """The answers of all folds, and the mean seconds of learning."""
    responses, logarithms, seconds = [], [], 0.0
    for number, (train, test) in enumerate(folds):
        method = make()
        start = time.perf_counter()
        method.fit(train, lambda fraction, number=number: tell((number + fraction) / len(folds)))
        seconds += time.perf_counter() - start
        where = test.emitters, test.listeners, test.rotations
        responses.append(method.respond(*where))
        if isinstance(method, GivesLogMagnitudes):
            logarithms.append(method.log_magnitudes(*where))
    given = Answers(method, np.concatenate(responses), np.concatenate(logarithms) if logarithms else np.zeros(0))
    return given, seconds / len(folds)


def _timed(method: Method, true: RecordingSet) -> tuple[float, float]:
    """Milliseconds a waveform and an energy response, among up to 16; the second call counts, unless it is slow."""
    part = true[:_TIMED]
    calls = [lambda: method.respond(part.emitters, part.listeners, part.rotations)]
    if isinstance(method, GivesEnergies):
        calls.append(lambda: method.energies(part.emitters, part.listeners))
    result = [math.nan, math.nan]
    for number, call in enumerate(calls):
        for _ in range(2):
            start = time.perf_counter()
            call()
            seconds = time.perf_counter() - start
            if seconds > _SLOW:
                break
        result[number] = 1e3 * seconds / len(part)
    return result[0], result[1]


def as_markdown(rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """One table of all ``rows``; what was left out, what failed and ``notes`` stand below."""
    columns = ["data", "method", "learned", *FIGURES.values(), "stored kB", "learning s", "response ms", "energy ms"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    said = list(notes)
    for row in rows:
        if row.left_out:
            said.append(f"{row.data}, {row.method}: left out, {row.left_out}")
            continue
        values = [row.figures[key] for key in FIGURES]
        values += [row.bytes / 1e3, row.fit_s, row.response_ms, row.energy_ms]
        cells = [row.data, row.method, str(row.learned), *("–" if math.isnan(v) else f"{v:.3g}" for v in values)]
        lines.append(f"| {' | '.join(cells)} |")
        lacking = [f"{count} of {FIGURES[key]}" for key, count in row.failures.items() if count]
        if lacking:
            said.append(f"{row.data}, {row.method}: figures that could not be read: {', '.join(lacking)}")
    return "\n".join([*lines, "", *(f"- {line}" for line in said)]) + "\n"


def save_table(rows: Sequence[Row], folder: Path, notes: Sequence[str] = ()) -> None:
    """Write ``rows`` to table.json and table.md in ``folder``; what is not a number is null."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"notes": list(notes), "rows": [_plain(asdict(row)) for row in rows]}
    texts = {
        "table.json": json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        "table.md": as_markdown(rows, notes),
    }
    for name, text in texts.items():
        part = folder / (name + ".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, folder / name)


def _plain(value: object) -> object:
    """A value as JSON can have it."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
