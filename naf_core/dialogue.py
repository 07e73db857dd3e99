"""A dialogue over pipes: questions as lines of JSON come in, answers as lines of JSON go out.

Questions are objects with "ask" and a number "id"; each gets {"event": "answer", "id": ..., "values": {...}}, in which
"error" says what a person should mend. "open" with the "folder" of a job comes first, and again when anything changed.
The process ends with its input, or when nobody has asked for a while.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from naf_core.answers import Answers
from naf_core.errors import UserError
from naf_core.fields import Fields
from naf_core.job import Job
from naf_core.soundlines import MAX_ORDER

IDLE_S = 120.0
MAX_LINE = 100_000  # letters of a question

Say = Callable[[dict[str, Any]], None]


class Dialogue:
    """Answers questions one after the other; ``say`` takes the events."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._answers: Answers | None = None

    def take(self, line: str) -> None:
        """Answer one line."""
        number = None
        try:
            if len(line) > MAX_LINE:
                raise UserError("The question is too long.")
            question = Fields(_parsed(line), "a question")
            number = question.whole("id")
            values = self._reply(question)
        except UserError as error:
            values = {"error": error.message, "object": error.object_name}
        self._say({"event": "answer", "id": number, "values": values})

    def _reply(self, question: Fields) -> dict[str, Any]:
        ask = question.text("ask")
        if ask == "open":
            job = Job.load(Path(question.text("folder")))
            self._answers = Answers(job, self._answers, self._progress)
            return {"emitters": [source.name for source in self._answers.sources]}
        if self._answers is None:
            raise UserError("No scene is open yet.")
        point = np.array(question.numbers("point", 3))
        if point.shape != (3,):
            raise UserError("A point has three coordinates.")
        if ask == "hear":
            noise = question.number("noise") if question.has("noise") else None
            return self._answers.hear(point, question.flag("nearest"), noise)
        if ask == "lines":
            order = min(max(question.whole("order"), 0), MAX_ORDER)
            return {"lines": self._answers.lines(question.text("emitter"), point, order)}
        if ask == "view":
            return self._answers.view(question.text("emitter"), point, Path(question.text("picture")))
        raise UserError(f"“{ask}” is no question.")

    def _progress(self, fraction: float) -> None:
        self._say(
            {"event": "progress", "stage": "scan", "fraction": round(fraction, 4), "message": "Scanning the rooms"}
        )


def converse(lines: Iterable[str], say: Say, idle: float = IDLE_S) -> int:
    """Answer ``lines`` until they end or ``idle`` seconds have passed without one; returns the exit code."""
    waiting: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in lines:
            waiting.put(line)
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    dialogue = Dialogue(say)
    while True:
        try:
            line = waiting.get(timeout=idle)
        except queue.Empty:
            return 0
        if line is None:
            return 0
        if line.strip():
            dialogue.take(line)


def worker() -> int:
    """Answer what comes in on standard input."""
    # Not sys.stdin, whose lock a thread that still reads would hold when the interpreter ends.
    return converse(open(0, encoding="utf-8", errors="replace", closefd=False), _print_event)


def _print_event(event: dict[str, Any]) -> None:
    print(json.dumps(event, ensure_ascii=True, allow_nan=False), flush=True)


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError("The question is not JSON.") from error
