"""The worker: slow work in a process of its own, which tells how far it is as lines of JSON. Knows no bpy."""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from naf_core.errors import UserError

# What the worker imports; the folders that hold these go onto its PYTHONPATH.
PACKAGES = (
    "naf_core",
    "numpy",
    "scipy",
    "h5py",
    "soundfile",
    "cffi",
    "_cffi_backend",
    "pycparser",
    "embreex",
    "safetensors",
    "array_api_compat",
    "soxr",
    "typing_extensions",
    "pyloudnorm",
    "PIL",
)
TAIL_LINES = 12  # how much of what a crashed worker said goes into its message
LONGEST_POLL_S = 0.02  # how long events are taken in at a time
GRACE_S = 0.4  # between asking a worker to end and ending it


class Worker:
    """A process that prints one JSON object a line on its standard output, each with the key "event".

    ``command`` is what to run and ``env`` its environment (this process's own by default). Unfinished results
    lie in ``<output>/.part-<process id>``; where ``output`` is given they are removed when work is cancelled or fails.
    The process ends with a "done" or an "error" event; where it dies without one, an "error" event is made of
    what it last said. Raises UserError where the command cannot be started.
    """

    STDIN: ClassVar[int] = subprocess.DEVNULL

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, output: Path | None = None
    ) -> None:
        self.result: dict[str, Any] | None = None
        self.error: UserError | None = None
        self.cancelled = False
        self._output = output
        self._deadline: float | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._said: deque[str] = deque(maxlen=TAIL_LINES)
        options: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            options = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            self._process = subprocess.Popen(
                list(command),
                env=None if env is None else dict(env),
                stdin=self.STDIN,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                **options,
            )
        except OSError as error:
            raise UserError(
                f"The worker {command[0]} cannot be started ({error.strerror}): install the extension anew."
            ) from error
        # Also runs when Blender is closed in the middle of the work.
        self._end = weakref.finalize(self, end, self._process)
        self._threads = [
            threading.Thread(target=self._read_events, daemon=True),
            threading.Thread(target=self._read_complaints, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_events(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_complaints(self) -> None:
        for line in self._process.stderr:
            if line.strip():
                self._said.append(line.rstrip())

    @property
    def running(self) -> bool:
        """Whether there is more to come."""
        return self.result is None and self.error is None and not self.cancelled

    def poll(self) -> list[dict[str, Any]]:
        """The events since the last call, without waiting; `running` then says whether there is more.

        Of very many, some are left for the next call, so that whoever calls stays quick.
        """
        events = []
        until = time.monotonic() + LONGEST_POLL_S
        while self.running and time.monotonic() < until:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                if not self._left_behind():
                    break
                line = None
            event = self._ended() if line is None else self._parse(line)
            if event is None:
                continue
            events.append(event)
            if event["event"] == "done":
                self.result = event["result"]
                self._close()
            elif event["event"] == "error":
                self.error = UserError(event["message"], event.get("object"))
                self._stop()
                self._remove_parts()
        return events

    def wait(self, on_event: Callable[[dict[str, Any]], None] | None = None, interval: float = 0.05) -> dict[str, Any]:
        """Wait for the result and return it, handing each event to ``on_event``; raises UserError on failure.

        The work is cancelled where ``on_event`` raises or the wait is interrupted.
        """
        try:
            while self.running:
                for event in self.poll():
                    if on_event is not None:
                        on_event(event)
                if self.running:
                    time.sleep(interval)
        finally:
            self.cancel()
        if self.error is not None:
            raise self.error
        if self.result is None:
            raise UserError("The work was cancelled.")
        return self.result

    def cancel(self) -> None:
        """End the process and all that it started, within a second, and remove what it had begun to write."""
        if not self.running:
            return
        self.cancelled = True
        self._stop()
        self._remove_parts()

    def _left_behind(self) -> bool:
        """Whether the process has ended while something that it started keeps its output open."""
        if self._process.poll() is None:
            return False
        self._deadline = self._deadline or time.monotonic() + 1.0
        return time.monotonic() > self._deadline

    def _parse(self, line: str) -> dict[str, Any] | None:
        """The event in a line; anything else is kept for the message of a crash."""
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict):
            kind = event.get("event")
            usable = {
                "progress": isinstance(event.get("fraction"), (int, float)),
                "warning": isinstance(event.get("message"), str),
                "error": isinstance(event.get("message"), str),
                "done": isinstance(event.get("result"), dict),
                "answer": isinstance(event.get("values"), dict),
            }
            if isinstance(kind, str) and usable.get(kind, False):
                return event
        if line.strip():
            self._said.append(line.rstrip())
        return None

    def _ended(self) -> dict[str, Any]:
        """The error of a process that closed its output without a result."""
        try:
            self._process.wait(1.0)  # so that its own exit code is reported, not ours
        except subprocess.TimeoutExpired:
            pass
        self._stop()
        code = self._process.returncode
        how = f"ended with code {code}"
        if code < 0:
            try:
                how = f"was ended by {signal.Signals(-code).name}"
            except ValueError:
                how = f"was ended by signal {-code}"
        message = f"The worker {how} before it was done."
        if code == -getattr(signal, "SIGKILL", 9):
            message += " The machine may be short of memory: lower the map resolution or simplify the scene."
        if self._said:
            reason = "\n".join(self._said)
            message += f" It last said:\n{reason}"
        return {"event": "error", "message": message}

    def _stop(self) -> None:
        """End the process and reap it."""
        self._end()
        self._close()

    def _close(self) -> None:
        """Reap the process and close its pipes."""
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(1.0)
        for pipe, thread in zip((self._process.stdout, self._process.stderr), self._threads, strict=True):
            if not thread.is_alive():
                pipe.close()

    def _remove_parts(self) -> None:
        """Remove what was not finished."""
        if self._output is not None:
            # Only its own: another Blender may be baking into the same folder.
            shutil.rmtree(self._output / f".part-{self._process.pid}", ignore_errors=True)


def end(process: subprocess.Popen) -> None:
    """End a worker and all that it started: asked first, then by force."""
    if os.name == "nt":
        if process.poll() is None:
            # terminate() would leave the worker's own processes behind.
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(process.pid)],
                capture_output=True,
                creationflags=subprocess.CREATE_NO_WINDOW,
            )
    else:
        signal_group(process, signal.SIGTERM)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            pass  # it does not listen: by force below
        signal_group(process, signal.SIGKILL)
    process.wait()


def signal_group(process: subprocess.Popen, number: int) -> None:
    """Send a signal to the worker's group, which outlives the worker while its own processes do."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # all of them have ended; macOS refuses a group of which only a zombie is left


class Followed:
    """Work that goes on in a ``worker``, and the ``fraction`` of it that is done."""

    def __init__(self, work: Worker) -> None:
        self.worker, self.fraction = work, 0.0

    def poll(self) -> bool:
        """Take in what the worker has said; returns whether there was anything."""
        events = self.worker.poll()
        for event in events:
            self.note(event)
        return bool(events)

    def note(self, event: dict[str, Any]) -> None:
        """Take in one event of the worker."""
        if event["event"] == "progress":
            self.fraction = min(max(float(event["fraction"]), self.fraction), 1.0)


def start(folder: Path, output: Path, python: str, threads: int = 0) -> Worker:
    """Start the acoustics on a job folder whose results go to ``output``; ``threads`` as in `environment`."""
    return Worker([python, "-m", "naf_core", "bake", str(folder)], environment(threads), output)


def python_executable() -> str:
    """The Python to run the worker with: Blender's own; raises UserError where there is none."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    candidates = [sys.executable, *(str(Path(sys.prefix) / "bin" / n) for n in (name, "python3"))]
    for candidate in candidates:
        # An embedding program may name itself as the executable.
        if candidate and Path(candidate).name.lower().startswith("python") and Path(candidate).is_file():
            return candidate
    raise UserError("Blender's own Python is not found: install Blender anew from an official build.")


_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def environment(threads: int = 0) -> dict[str, str]:
    """This process's environment with a PYTHONPATH on which the worker finds naf_core and what it needs.

    ``threads`` are the cores that it may use, 0 for all but one.
    """
    folders: dict[str, None] = {}  # an ordered set
    missing = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            missing.append(package)
            continue
        origin = Path(spec.origin)
        folders[str(origin.parents[1] if spec.submodule_search_locations else origin.parent)] = None
    if missing:
        raise UserError(
            f"Parts of the extension are missing ({', '.join(missing)}): install it anew from its zip file,"
            " made for this Blender version and platform."
        )
    result = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    result["PYTHONPATH"] = os.pathsep.join(folders)
    result["PYTHONUTF8"] = "1"
    result["PYTHONNOUSERSITE"] = "1"  # a package of the user's must not stand in for ours
    result["PYTHONSAFEPATH"] = "1"  # nor a folder beside the .blend
    if not threads and "OMP_NUM_THREADS" not in result:  # a choice counts for the tracing, too
        result.setdefault("ACOUSTICS_PROCESSES", str(os.cpu_count() or 1))
    # One core is left to Blender: threads of linear algebra wait for each other in a busy loop, and where Blender takes
    # a core of two for drawing, a map took thirty times as long.
    count = str(threads or max(1, (os.cpu_count() or 1) - 1))
    result |= {name: count for name in _THREADS if threads or name not in result}
    return result
