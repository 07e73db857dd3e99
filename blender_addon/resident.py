"""The resident worker: a process that has scanned the scene and answers questions on it, one for all of Blender.

It ends by itself when nobody has asked for two minutes, and with Blender.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.app.handlers import persistent

from naf_core.errors import UserError
from naf_core.job import Job

from . import preferences, reader, worker
from .folders import output_folder


class Resident(worker.Worker):
    """The process with a pipe for questions; `answers` are the values of those that came back, by number."""

    STDIN: ClassVar[int] = subprocess.PIPE
    COMMAND: ClassVar[tuple[str, ...]] = ("-m", "naf_core", "answer")
    current: ClassVar[Resident | None] = None

    def __init__(self) -> None:
        self.answers: dict[int, dict[str, Any]] = {}
        self.fraction = 0.0
        self._asked = self._opening = 0
        self._folders: list[Path] = []  # of jobs that are not read yet
        super().__init__([preferences.python(), *self.COMMAND], worker.environment(preferences.current().threads))

    def ask(self, what: str, **values: object) -> int:
        """Ask one question, with what it needs, and return its number; raises UserError where the process is gone."""
        self._asked += 1
        line = json.dumps({"id": self._asked, "ask": what, **values}) + "\n"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError as error:
            raise UserError("The worker that answers has ended: start again.") from error
        return self._asked

    def open(self, folder: Path) -> int:
        """Hand over the job in ``folder``, which is removed when it is read; its scan is kept for the same scene."""
        self._folders.append(folder)
        number = self.ask("open", folder=str(folder))
        self._opening, self.fraction = number, 0.0
        return number

    @property
    def alive(self) -> bool:
        """Whether the process can still be asked; it ends when nobody does for long."""
        try:
            self.take_in()
        except UserError:
            return False
        return self.running and self._process.poll() is None

    def take_in(self) -> None:
        """Take in what was answered meanwhile, without waiting; raises UserError where the process failed."""
        for event in self.poll():
            if event["event"] == "answer":
                self.answers[event.get("id")] = event["values"]
                if event.get("id") == self._opening:
                    self._remove_folders()
            elif event["event"] == "progress":
                self.fraction = float(event["fraction"])
        if self.error is not None:
            raise self.error

    def answer(self, number: int) -> dict[str, Any] | None:
        """The values of an answer, None until they have come; raises UserError where the answer is an error."""
        self.take_in()
        values = self.answers.pop(number, None)
        if values is not None and "error" in values:
            raise UserError(str(values["error"]), values.get("object"))
        return values

    def wait_for(self, number: int) -> dict[str, Any]:
        """The values of an answer, which is waited for: for scripts."""
        while (values := self.answer(number)) is None:
            time.sleep(0.02)
        return values

    def _close(self) -> None:
        try:
            self._process.stdin.close()
        except OSError:
            pass  # what was still to be sent finds nobody
        super()._close()
        self._remove_folders()

    def _remove_folders(self) -> None:
        while self._folders:
            shutil.rmtree(self._folders.pop(), ignore_errors=True)


def opened(context: bpy.types.Context) -> tuple[Resident, int]:
    """The resident worker, to which the scene as it is now is handed, and the number of that; raises UserError."""
    folder = Path(tempfile.mkdtemp(prefix="acoustics-", dir=bpy.app.tempdir or None))
    try:
        job_of(context, folder).save(folder)
        if Resident.current is None or not Resident.current.alive:
            end()
            Resident.current = Resident()
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Resident.current, Resident.current.open(folder)


def job_of(context: bpy.types.Context, folder: Path) -> Job:
    """The scene and its emitters at the current frame, packed sounds written to ``folder``; raises UserError."""
    scene = context.scene
    reading = reader.read(context, folder, frames=(scene.frame_current,), with_listener=False)
    return Job(
        kind="answers",
        scene=reading.scene,
        emitters=reading.emitters,
        listener=None,
        output=folder,
        fps=reading.fps,
        frame_start=scene.frame_current,
        seed=scene.acoustics.seed,
        quality=scene.acoustics.quality.lower(),
        scene_name=scene.name,
        cache=kept_by(scene),
    )


def kept_by(scene: bpy.types.Scene) -> Path | None:
    """The folder with what bakes of a scene have kept; None in a file that was never saved."""
    try:
        return preferences.kept_in(output_folder(scene))
    except UserError:
        return None


def end() -> None:
    """End the process, if there is one."""
    if Resident.current is not None:
        running, Resident.current = Resident.current, None
        running.cancel()


@persistent
def _end(_path: str) -> None:
    """End the process before another file is opened, whose scene is another."""
    end()


def register() -> None:
    """Watch for other files."""
    bpy.app.handlers.load_pre.append(_end)


def unregister() -> None:
    """Undo `register`, and end the process."""
    bpy.app.handlers.load_pre.remove(_end)
    end()
