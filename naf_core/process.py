"""Work as a process of its own: events go out as lines of JSON."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from naf_core.errors import UserError
from naf_core.progress import Emit


def work(do: Callable[[Emit], dict[str, Any]]) -> int:
    """Do something that tells events, as lines of JSON on standard output; returns the exit code.

    0 done, 1 an error that a person can mend. Anything else ends the process with code 2 and a traceback on standard
    error. Being terminated removes what was begun.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    sys.excepthook = _unexpected
    try:
        result = do(_print_event)
    except UserError as error:
        _print_event({"event": "error", "message": error.message, "object": error.object_name})
        return 1
    _print_event({"event": "done", "result": result})
    return 0


def _print_event(event: dict[str, Any]) -> None:
    print(json.dumps(event, ensure_ascii=True, allow_nan=False), flush=True)


def _stop(number: int, frame: FrameType | None) -> None:
    """Unwind, so that what was begun is removed."""
    raise SystemExit(128 + number)


def _unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What the interpreter calls for an exception that nothing caught."""
    traceback.print_exception(kind, error, trace)
    _print_event({"event": "error", "message": f"unexpected {kind.__name__}: {error}", "object": None})
    raise SystemExit(2)
