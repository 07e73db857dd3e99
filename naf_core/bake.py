"""The bake: a job folder goes in, sound files, a loudness map and a report come out."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from naf_core import report
from naf_core.colours import fit_range
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.job import Job
from naf_core.loudness import Source, floor_levels, source_at
from naf_core.motion import key_times
from naf_core.picture import write_plate, write_texels
from naf_core.raycast import sphere_directions
from naf_core.render import MAX_DURATION, mix, render
from naf_core.response import EnergyResponse
from naf_core.sound import FULL_SCALE_SPL, octave_spectrum, read_sound, write_sound

Emit = Callable[[dict[str, Any]], None]

_OPEN_SHARE = 0.1  # of all rays: when more escape, the scene is called open
_TIGHT = 0.3  # m: whoever is surrounded more closely than this is inside something
_LOOKS = 200  # moments at which the places of emitters and listener are checked
_PAUSE = 0.1  # s between two progress events


class Progress:
    """Turns the progress of stages into events with the fraction of the whole job.

    ``expected`` is how long each stage is thought to take, in any unit; stages that are not listed take no time.
    """

    def __init__(self, emit: Emit, expected: dict[str, float]) -> None:
        self.seconds: dict[str, float] = {}
        self._emit, self._expected = emit, expected
        self._total = sum(expected.values()) or 1.0
        self._done, self._last, self._shown = 0.0, 0.0, 0.0

    @contextmanager
    def stage(self, name: str, message: str, part: float = 1.0) -> Iterator[Callable[[float], None]]:
        """A stage of the job, or ``part`` of one; gives a function that takes its own fraction, 0..1."""
        start, before = time.perf_counter(), self._done
        share = part * self._expected.get(name, 0.0) / self._total

        def report_fraction(fraction: float) -> None:
            now = time.perf_counter()
            if now - self._last >= _PAUSE:
                self._last = now
                self._show(before + share * min(max(fraction, 0.0), 1.0), name, message)

        self._show(before, name, message)
        yield report_fraction
        self._done = before + share
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)

    def _show(self, fraction: float, name: str, message: str) -> None:
        self._shown = max(self._shown, min(fraction, 1.0))
        self._emit({"event": "progress", "stage": name, "fraction": round(self._shown, 4), "message": message})


def run(job: Job, emit: Emit, scan: Callable[..., Field] = Field.scan) -> dict[str, Any]:
    """Do the job and return what was written: absolute paths of the stems, the mix, the map and the report.

    ``emit`` takes events {"event": "progress" | "warning", ...}; ``scan`` makes the field of a scene. Files appear in
    the output folder only when all of them are complete. Raises UserError.
    """
    return _Bake(job, emit, scan).run()


class _Bake:
    """The steps of one job, and what they hand on."""

    def __init__(self, job: Job, emit: Emit, scan: Callable[..., Field]) -> None:
        if job.kind == "bake" and job.duration > MAX_DURATION:
            raise UserError(
                f"The frame range lasts {job.duration:.0f} s: set one of {MAX_DURATION:.0f} s at most.", job.scene_name
            )
        self.job, self.emit, self.scan = job, emit, scan
        self.warnings: list[dict[str, Any]] = []
        self.keys = [key_times(e.trajectory, job.listener.trajectory) for e in job.emitters] if job.listener else []
        self.progress = Progress(emit, self._expected())

    def _expected(self) -> dict[str, float]:
        """How many seconds each stage takes, by experience."""
        job, bake = self.job, self.job.kind == "bake"
        texels = job.map.width * job.map.height if job.map is not None else 0
        return {
            "sounds": 0.02 * len(job.emitters),
            "scan": 4.5 if len(job.scene.triangles) else 0.0,
            "field": 0.02 + 0.001 * sum(map(len, self.keys)),
            "map": 0.8 + 3e-5 * texels if texels else 0.0,
            "render": sum(0.2 + 0.025 * len(k) + 0.03 * job.duration for k in self.keys) if bake else 0.0,
            "write": 0.05 + (0.006 * job.duration * len(job.emitters) if bake else 0.0),
        }

    def warn(self, message: str, object_name: str | None = None) -> None:
        """Tell the person at once, and in the report."""
        event = {"event": "warning", "message": message, "object": object_name}
        self.warnings.append({"message": message, "object": object_name})
        self.emit(event)

    def run(self) -> dict[str, Any]:
        job = self.job
        with part_folder(job.output) as part:
            sounds = self.read_sounds()
            with self.progress.stage("scan", "Scanning the rooms") as step:
                field = self.scan(job.scene, seed=job.seed, progress=step)
            self.check_places(field)
            responses = self.predict(field)
            facts: dict[str, Any] = {"stems": [], "mix": None, "map": None}
            if job.map is not None:
                facts["map"] = self.paint(field, sounds, part)
            if job.kind == "bake":
                facts |= self.render(responses, sounds, part)
            with self.progress.stage("write", "Writing the report", 0.2):
                self.write_report(part, field, responses, facts)
                return self.hand_over(part, facts)

    def read_sounds(self) -> dict[str, np.ndarray]:
        """The samples of all sound files at the job's rate, by path."""
        sounds: dict[str, np.ndarray] = {}
        with self.progress.stage("sounds", "Reading the sounds") as step:
            for number, emitter in enumerate(self.job.emitters):
                if emitter.sound not in sounds:
                    sounds[emitter.sound] = read_sound(emitter.sound, self.job.sample_rate, emitter.name)
                step((number + 1) / len(self.job.emitters))
        for emitter in self.job.emitters:
            length = len(sounds[emitter.sound]) / self.job.sample_rate
            if not sounds[emitter.sound].any():
                self.warn(f"The sound of “{emitter.name}” is silent: choose another file.", emitter.name)
            elif not emitter.gain.any():
                self.warn(f"“{emitter.name}” is muted or has no volume in this frame range.", emitter.name)
            elif self.job.kind == "bake" and not any(
                start < self.job.duration and start + length > 0.0 for start in emitter.starts
            ):
                self.warn(f"“{emitter.name}” does not sound in this frame range: move its strip.", emitter.name)
        return sounds

    def check_places(self, field: Field) -> None:
        """Warn of a scene that does not hold sound, and of whoever stands outside it or inside something."""
        job = self.job
        if not len(job.scene.triangles):
            self.warn("There is no geometry: what is heard is the free field, without any reflection.")
            return
        if field.escape > _OPEN_SHARE:
            self.warn(
                f"The scene is open: {100 * field.escape:.0f} % of the sound gets out and does not come back."
                " Close walls and ceiling if this is meant to be a room."
            )
        for thing in (*job.emitters, *([job.listener] if job.listener else [])):
            times = thing.trajectory.times
            looked = np.unique(np.linspace(0, len(times) - 1, _LOOKS).astype(int))
            positions = thing.trajectory.positions[looked]
            lost = ~field.covers(positions)
            if not lost.any():
                continue
            first = int(np.argmax(lost))
            when = ""
            if not lost.all():
                when = f" at frame {job.frame_start + round(times[looked[first]] * job.fps)}"
            directions = sphere_directions(64)
            around = field.caster.intersect(np.repeat(positions[first][None], len(directions), axis=0), directions)
            if np.isfinite(around.distance).all() and np.median(around.distance) < _TIGHT:
                where, remedy = "inside an object", "move it out, or exclude that object from the acoustics"
            else:
                where, remedy = "outside the rooms", "move it to where people can stand"
            self.warn(f"“{thing.name}” is {where}{when}, so what is heard is a guess: {remedy}.", thing.name)

    def predict(self, field: Field) -> list[EnergyResponse]:
        """Responses of each emitter at its key times."""
        result = []
        with self.progress.stage("field", "Asking the acoustic field") as step:
            for number, (emitter, times) in enumerate(zip(self.job.emitters, self.keys, strict=False)):
                here, there = (
                    np.stack([np.interp(times, path.times, path.positions[:, k]) for k in range(3)], axis=1)
                    for path in (emitter.trajectory, self.job.listener.trajectory)
                )
                result.append(field.predict(here, there))
                step((number + 1) / len(self.keys))
        return result

    def paint(self, field: Field, sounds: dict[str, np.ndarray], part: Path) -> dict[str, Any] | None:
        """Write the pictures of the loudness map."""
        job, floor = self.job, self.job.map
        with self.progress.stage("map", "Painting the floor") as step:
            sources = [
                source_at(e, octave_spectrum(sounds[e.sound], job.sample_rate), floor.frame_index / job.fps)
                for e in job.emitters
            ]
            sources = [source for source in sources if source.energy.any()]
            frame = job.frame_start + floor.frame_index
            if not sources:
                self.warn(f"Nothing sounds at frame {frame}: the loudness map is empty.")
            result = floor_levels(field, job.scene, sources, floor, lambda f: step(0.8 * f), field.caster)
            known = np.isfinite(result.levels)
            if sources and not known.any():
                self.warn("No sound reaches the floor: is it closed off, or is another floor meant?")
            limits = floor.range_db or fit_range(result.levels)
            write_texels(part / "loudness_map.png", result, limits)
            step(0.85)
            write_plate(part / "loudness.png", result, limits, floor, sources, *self._titles(sources, frame))
            return {
                "image": "loudness_map.png",
                "legend": "loudness.png",
                "min": limits[0],
                "max": limits[1],
                "frame": frame,
                "ear_height_m": round(floor.ear_height, 3),
                "texels": [floor.width, floor.height],
                "percentiles_dBA": _percentiles(result.levels[known]),
            }

    def _titles(self, sources: Sequence[Source], frame: int) -> tuple[str, str]:
        title = self.job.scene_name or "Loudness"
        count = f"{len(sources)} emitter{'s' if len(sources) != 1 else ''}"
        height = f"{self.job.map.ear_height:g} m above the floor"
        return title, f"A-weighted sound pressure level {height}, frame {frame}, {count}"

    def render(self, responses: list[EnergyResponse], sounds: dict[str, np.ndarray], part: Path) -> dict[str, Any]:
        """Render and write the stems and the mix."""
        job = self.job
        stems = []
        for emitter, times, response in zip(job.emitters, self.keys, responses, strict=True):
            share = 1.0 / len(job.emitters)
            with self.progress.stage("render", f"Rendering “{emitter.name}”", share) as step:
                stems.append(
                    render(
                        emitter,
                        job.listener,
                        response,
                        times,
                        job.duration,
                        job.sample_rate,
                        job.format,
                        job.seed,
                        step,
                        sound=sounds[emitter.sound],
                    )
                )
        names = stem_names([emitter.name for emitter in job.emitters])
        with self.progress.stage("write", "Writing the sound files", 0.8) as step:
            total, factor = mix(stems)
            entries = []
            for number, (emitter, name, stem) in enumerate(zip(job.emitters, names, stems, strict=True)):
                samples = stem * np.float32(factor)
                write_sound(part / name, samples, job.sample_rate)
                entries.append({"emitter": emitter.name, "file": name, "peak_dB": _decibel(samples)})
                step((number + 1) / (len(stems) + 1))
            if job.mix:
                write_sound(part / "mix.wav", total, job.sample_rate)
        return {
            "stems": entries,
            "mix": {"file": "mix.wav", "peak_dB": _decibel(total)} if job.mix else None,
            "audio": {
                "format": job.format,
                "sample_rate_Hz": job.sample_rate,
                "channels": int(total.shape[1]),
                "duration_s": round(len(total) / job.sample_rate, 3),
                "scaling_dB": round(20.0 * float(np.log10(factor)), 2),
                "full_scale_dB_SPL": round(FULL_SCALE_SPL - 20.0 * float(np.log10(factor)), 2),
            },
        }

    def write_report(self, part: Path, field: Field, responses: list[EnergyResponse], facts: dict[str, Any]) -> None:
        """Write report.json."""
        job = self.job
        pairs = [report.pair_facts(response[0]) for response in responses] or [{} for _ in job.emitters]
        text = {
            "versions": report.versions(),
            "kind": job.kind,
            "seed": job.seed,
            "scene": report.scene_facts(job.scene, job.scene_name, field),
            "frames": {"start": job.frame_start, "count": job.n_frames, "fps": job.fps, "duration_s": job.duration},
            "bands_hz": list(report.BANDS_HZ),
            "listener": job.listener.name if job.listener else None,
            "emitters": [
                {
                    "name": emitter.name,
                    "sound": Path(emitter.sound).name,
                    "level_dBA_at_1_m": emitter.level,
                    "position_m": report.rounded(emitter.trajectory.positions[0], 3),
                    **pair,
                }
                for emitter, pair in zip(job.emitters, pairs, strict=True)
            ],
            **facts,
            "warnings": self.warnings,
            "timings_s": self.progress.seconds,
        }
        written = json.dumps(text, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            (part / "report.json").write_text(written, encoding="utf-8", errors="replace")
        except OSError as error:
            raise UserError(f"The report cannot be written to {job.output} ({error.strerror}).") from error

    def hand_over(self, part: Path, facts: dict[str, Any]) -> dict[str, Any]:
        """Give all files their names in the output folder."""
        output = self.job.output
        for file in sorted(part.iterdir()):
            try:
                os.replace(file, output / file.name)
            except OSError as error:
                raise UserError(
                    f"{output / file.name} cannot be written ({error.strerror}): close what uses it, or choose"
                    " another output folder."
                ) from error
        painted = facts["map"]
        if painted is not None:
            painted = {**painted, **{key: str(output / painted[key]) for key in ("image", "legend")}}
        return {
            "stems": [{"emitter": s["emitter"], "file": str(output / s["file"])} for s in facts["stems"]],
            "mix": str(output / facts["mix"]["file"]) if facts["mix"] else None,
            "map": painted,
            "report": str(output / "report.json"),
        }


@contextmanager
def part_folder(output: Path) -> Iterator[Path]:
    """A folder inside ``output``, made where needed, for what is not complete; it is gone afterwards."""
    part = output / f".part-{os.getpid()}"
    made = [folder for folder in (output, *output.parents) if not folder.exists()]
    try:
        output.mkdir(parents=True, exist_ok=True)
        part.mkdir()
    except OSError as error:
        raise UserError(
            f"Nothing can be written to the folder {output} ({error.strerror}): choose another output folder."
        ) from error
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in made:
            if not any(folder.iterdir()):
                folder.rmdir()


def stem_names(emitters: Sequence[str]) -> list[str]:
    """A file name for each emitter's sound: safe on every system, and no two alike whatever the case of letters."""
    names: list[str] = []
    taken: set[str] = set()
    for emitter in emitters:
        plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", emitter)).strip("._-")[:60] or "emitter"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        names.append(f"stem_{name}.wav")
    return names


def _percentiles(levels: np.ndarray) -> dict[str, float] | None:
    """Levels that 5, 50 and 95 % of the floor do not exceed."""
    if not len(levels):
        return None
    return {str(q): round(float(np.percentile(levels, q)), 1) for q in (5, 50, 95)}


def _decibel(samples: np.ndarray) -> float | None:
    """Peak in dB relative to full scale, None for silence."""
    peak = float(np.abs(samples).max(initial=0.0))
    return round(20.0 * float(np.log10(peak)), 2) if peak > 0.0 else None


def worker(folder: Path) -> int:
    """Do the job in ``folder``, telling events as lines of JSON on standard output; returns the exit code.

    0 done, 1 an error that a person can mend. Anything else ends the process with code 2 and a traceback on standard
    error. Being terminated removes what was begun.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    sys.excepthook = _unexpected
    try:
        result = run(Job.load(folder), _print_event)
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
