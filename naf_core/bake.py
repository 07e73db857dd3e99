"""The bake: a job folder goes in, sound files, a loudness map and a report come out."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import traceback
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from naf_core import painting, report
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.firstsound import FirstSound, apparent_path
from naf_core.formats import Format, format_of
from naf_core.images import Images, find_images
from naf_core.impulses import Impulses, write_sofa
from naf_core.job import Job
from naf_core.layouts import loudness_weights
from naf_core.mixing import mix, part_gains
from naf_core.motion import key_times, rotations_at
from naf_core.progress import Emit, Progress
from naf_core.raycast import sphere_directions
from naf_core.render import MAX_DURATION, PARTS, impulse_response, render_parts
from naf_core.response import EnergyResponse
from naf_core.scene import Emitter, Trajectory
from naf_core.sound import FULL_SCALE_SPL, read_sound, write_sound
from naf_core.stems import StemStore

_OPEN_SHARE = 0.1  # of all rays: when more escape, the scene is called open
_TIGHT = 0.3  # m: whoever is surrounded more closely than this is inside something
_LOOKS = 200  # moments at which the places of emitters and listener are checked
_SUBTYPES = {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}


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
        return {
            "sounds": 0.02 * len(job.emitters),
            "scan": 4.5 if len(job.scene.triangles) else 0.0,
            "field": 0.3 + 0.005 * sum(map(len, self.keys)),
            "map": painting.seconds(job),
            "render": sum(0.4 + 0.025 * len(k) + 0.1 * job.duration for k in self.keys) if bake else 0.0,
            "impulses": 0.3 * len(job.impulse_frames) * len(job.emitters) if bake else 0.0,
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
            self.store = StemStore(job, part)
            for name in self.store.fresh:
                self.warn(f"“{name}” was not baked before with these settings: it is baked, too.", name)
            with self.progress.stage("scan", "Scanning the rooms") as step:
                field = self.store.scan(job) or self.scan(job.scene, seed=job.seed, progress=step)
                self.store.keep_scan(field)
            self.check_places(field)
            self.first = FirstSound(field.scene, field.caster) if self.keys else None
            responses, apparent = self.predict(field)
            facts: dict[str, Any] = {"stems": [], "parts": [], "mix": None, "map": None, "impulse_responses": []}
            if job.map is not None:
                facts["map"] = self.paint(field, sounds, part)
            if job.kind == "bake":
                fmt = format_of(job.format, job.order, job.hrtf)
                facts |= self.render(field, responses, apparent, sounds, fmt, part)
                if job.impulse_frames:
                    facts["impulse_responses"] = self.export(field, fmt, part)
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

    def predict(self, field: Field) -> tuple[list[EnergyResponse], list[Trajectory]]:
        """Responses of each emitter at its key times, and the path on which its first sound seems to move."""
        responses, paths = [], []
        with self.progress.stage("field", "Asking the acoustic field") as step:
            for number, (emitter, times) in enumerate(zip(self.job.emitters, self.keys, strict=False)):
                response, places = self.ask(field, *self.places(emitter, times))
                responses.append(response)
                paths.append(apparent_path(emitter.trajectory, times, places, response.direct.any(axis=1)))
                step((number + 1) / len(self.keys))
        return responses, paths

    def ask(self, field: Field, here: np.ndarray, there: np.ndarray) -> tuple[EnergyResponse, np.ndarray]:
        """Responses of pairs with their first sound, and from where it is heard (see `FirstSound`)."""
        return self.first.put_into(field.predict(here, there), here, there)

    def places(self, emitter: Emitter, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where ``emitter`` and the listener are at ``times`` (K,): (K, 3) and (K, 3) in metres."""
        return emitter.trajectory.at(times), self.job.listener.trajectory.at(times)

    def images(self, field: Field, here: np.ndarray, there: np.ndarray) -> Images:
        """The early reflections that are heard one by one, between an emitter and the listener."""
        return find_images(field.scene, field.caster, here, there, self.job.reflections)

    def paint(self, field: Field, sounds: dict[str, np.ndarray], part: Path) -> dict[str, Any]:
        """Write the pictures of the map."""
        with self.progress.stage("map", "Painting the map") as step:
            return painting.paint(field, self.job, sounds, part, step, self.warn)

    def render(
        self,
        field: Field,
        responses: list[EnergyResponse],
        apparent: list[Trajectory],
        sounds: dict[str, np.ndarray],
        fmt: Format,
        part: Path,
    ) -> dict[str, Any]:
        """Render and write the stems and the mix."""
        job = self.job
        gains = part_gains(job.wetness, job.reverb_gain)
        stems, heard = [], []  # of each emitter (n, channels), and where its parts are wished for (parts, n, channels)
        rendered = []  # who was not kept from the last bake
        for emitter, times, response, seeming in zip(job.emitters, self.keys, responses, apparent, strict=True):
            share = 1.0 / len(job.emitters)
            with self.progress.stage("render", f"Rendering “{emitter.name}”", share) as step:
                parts = self.store.parts(emitter.name)
                if parts is None:
                    parts = render_parts(
                        emitter,
                        job.listener,
                        response,
                        times,
                        job.duration,
                        job.sample_rate,
                        fmt,
                        job.seed,
                        step,
                        sound=sounds[emitter.sound],
                        images=self.images(field, *self.places(emitter, times)),
                        apparent=seeming,
                    )
                    rendered.append(emitter.name)
                self.store.keep(emitter.name, parts)
                stems.append(np.einsum("p,pnc->nc", gains, parts))
                heard.append(parts if job.parts else ())
        names = stem_names([emitter.name for emitter in job.emitters], job.file_type)
        entries, pieces = [], []
        with self.progress.stage("write", "Writing the sound files", 0.8) as step:
            whole = mix(stems, job.sample_rate, loudness_weights(job.format, job.order), job.loudness, job.peak)
            if whole.held:
                self.warn(
                    f"The mix has {whole.loudness:.1f} LUFS instead of {job.loudness:g}: more would exceed the peak of"
                    f" {job.peak:g} dBTP. Wish for less loudness, or for sounds with lower peaks."
                )
            for number, (emitter, name, stem, parts) in enumerate(zip(job.emitters, names, stems, heard, strict=True)):
                samples = stem * np.float32(whole.factor)
                self.write(part / name, samples, fmt)
                entries.append({"emitter": emitter.name, "file": name, "peak_dB": _decibel(samples)})
                for label, gain, piece in zip(PARTS, gains, parts, strict=False):
                    file = name.replace(f".{job.file_type}", f"_{label}.{job.file_type}")
                    self.write(part / file, piece * (gain * np.float32(whole.factor)), fmt)
                    pieces.append({"emitter": emitter.name, "part": label, "file": file})
                step((number + 1) / (len(stems) + 1))
            if job.mix:
                self.write(part / f"mix.{job.file_type}", whole.samples, fmt)
        return {
            "stems": entries,
            "rendered": rendered,
            "parts": pieces,
            "mix": {"file": f"mix.{job.file_type}", "peak_dB": _decibel(whole.samples)} if job.mix else None,
            "audio": {
                "format": job.format,
                "sample_rate_Hz": job.sample_rate,
                "channels": fmt.channels,
                "duration_s": round(len(whole.samples) / job.sample_rate, 3),
                "scaling_dB": round(20.0 * float(np.log10(whole.factor)), 2),
                "full_scale_dB_SPL": round(FULL_SCALE_SPL - 20.0 * float(np.log10(whole.factor)), 2),
                "loudness_LUFS": round(whole.loudness, 2) if np.isfinite(whole.loudness) else None,
                "true_peak_dBTP": round(whole.peak, 2) if np.isfinite(whole.peak) else None,
            },
        }

    def write(self, path: Path, samples: np.ndarray, fmt: Format) -> None:
        """Write one sound file as the job wants it."""
        write_sound(path, samples, self.job.sample_rate, _SUBTYPES[self.job.sample_type], fmt.mask)

    def export(self, field: Field, fmt: Format, part: Path) -> list[str]:
        """Write the impulse responses of the chosen frames, and return the names of the files."""
        job, files = self.job, []
        times = (np.array(job.impulse_frames) - job.frame_start) / job.fps
        rotations = rotations_at(job.listener.trajectory, times)
        names = stem_names([emitter.name for emitter in job.emitters], "wav")
        for emitter, name in zip(job.emitters, names, strict=True):
            label = name.removeprefix("stem_").removesuffix(".wav")
            share = 1.0 / len(job.emitters)
            with self.progress.stage("impulses", f"Impulse responses of “{emitter.name}”", share) as step:
                here, there = self.places(emitter, times)
                responses, images = self.ask(field, here, there)[0], self.images(field, here, there)
                samples = []
                for number, frame in enumerate(job.impulse_frames):
                    samples.append(
                        impulse_response(
                            responses[number], job.sample_rate, fmt, job.seed, images.at(number), rotations[number]
                        )
                    )
                    if job.impulse_type != "sofa":
                        files.append(f"ir_{label}_{frame}.wav")
                        write_sound(part / files[-1], samples[-1], job.sample_rate, "FLOAT", fmt.mask)
                    step((number + 1) / len(job.impulse_frames))
                if job.impulse_type != "wav":
                    files.append(f"ir_{label}.sofa")
                    title = f"{job.scene_name}: {emitter.name}"
                    told = Impulses(
                        samples, here, there, rotations, job.impulse_frames, job.sample_rate, fmt.name, title
                    )
                    write_sofa(part / files[-1], told)
        return files

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
            target = output / file.name
            try:
                if file.is_dir() and target.is_dir():
                    shutil.rmtree(target)
                os.replace(file, target)
            except OSError as error:
                raise UserError(
                    f"{target} cannot be written ({error.strerror}): close what uses it, or choose"
                    " another output folder."
                ) from error
        painted = facts["map"]
        if painted is not None:
            painted = {**painted, **{key: str(output / painted[key]) for key in ("image", "legend")}}
            painted["images"] = [str(output / image) for image in painted["images"]]
        return {
            "stems": [{"emitter": s["emitter"], "file": str(output / s["file"])} for s in facts["stems"]],
            "parts": [{**p, "file": str(output / p["file"])} for p in facts["parts"]],
            "mix": str(output / facts["mix"]["file"]) if facts["mix"] else None,
            "impulse_responses": [str(output / file) for file in facts["impulse_responses"]],
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


def stem_names(emitters: Sequence[str], file_type: str = "wav") -> list[str]:
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
        names.append(f"stem_{name}.{file_type}")
    return names


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
