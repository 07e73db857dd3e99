"""The bake: a job folder goes in, sound files, a loudness map and a report come out."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from naf_core import painting, report
from naf_core.aim import power_times
from naf_core.beam import Beam
from naf_core.delivery import hand_over, part_folder
from naf_core.errors import UserError
from naf_core.export import export
from naf_core.field import Field
from naf_core.formats import Format, format_of
from naf_core.hearing import Hearing
from naf_core.images import Images
from naf_core.job import QUALITIES, Job
from naf_core.motion import key_times
from naf_core.placed import PlacedField, outside
from naf_core.progress import Emit, Progress
from naf_core.render import PARTS, Rendering, impulse_response
from naf_core.response import EnergyResponse
from naf_core.rooms import Rooms
from naf_core.scene import Emitter
from naf_core.source import Source, sounding
from naf_core.standing import misplaced
from naf_core.states import States
from naf_core.stemfile import StemFile, StemWriter
from naf_core.stems import FOLDER, StemStore
from naf_core.sureness import sureness
from naf_core.threads import ahead
from naf_core.tracks import write_tracks


def run(job: Job, emit: Emit, scan: Callable[..., Field] = Field.scan) -> dict[str, Any]:
    """Do the job and return what was written: absolute paths of the stems, the mix, the map and the report.

    ``emit`` takes events {"event": "progress" | "warning", ...}; ``scan`` makes the field of a scene. Files appear in
    the output folder only when all of them are complete. Raises UserError.
    """
    return _Bake(job, emit, scan).run()


class _Bake:
    """The steps of one job, and what they hand on."""

    def __init__(self, job: Job, emit: Emit, scan: Callable[..., Field]) -> None:
        self.job, self.emit, self.scan = job, emit, scan
        self.warnings: list[dict[str, Any]] = []
        self.keys = [self.key_times(emitter) for emitter in job.emitters] if job.listener else []
        self.progress = Progress(emit, self._expected())

    def key_times(self, emitter: Emitter) -> np.ndarray:
        """Times (K,) in s at which responses of ``emitter`` are needed."""
        moving = np.union1d(key_times(emitter.trajectory, self.job.listener.trajectory), power_times(emitter))
        return np.union1d(moving, self.job.room.moments())

    def _expected(self) -> dict[str, float]:
        """How many seconds each stage takes, by experience."""
        job, bake = self.job, self.job.kind == "bake"
        keys = sum(map(len, self.keys))
        return {
            "sounds": 0.02 * len(job.emitters),
            "scan": 4.5 * job.scan_effort * sum(len(scene.triangles) > 0 for scene in job.room.scenes),
            "field": 0.3 + 0.005 * keys,
            "map": painting.seconds(job),
            "render": 0.03 * keys + (0.4 + 0.1 * job.duration) * len(job.emitters) if bake else 0.0,
            "impulses": (0.3 * len(job.impulse_frames) + 20.0 * bool(job.impulse_spacing)) * len(job.emitters) * bake,
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
            sources = self.read_sounds()
            self.store = StemStore(job, part)
            for name in self.store.fresh:
                self.warn(f"“{name}” was not baked before with these settings: it is baked, too.", name)
            with self.progress.stage("scan", "Scanning the rooms") as step:
                self.rooms = self.scanned(step)
            self.field = self.rooms.fields[0]
            for message, object_name in (misplaced if job.recorded is None else outside)(job, self.field):
                self.warn(message, object_name)
            self.refined = job.recorded is None and all(map(self.store.refined, job.room.scenes))
            self.sure = sureness(job, self.field)
            if self.sure is not None and self.sure.noticeable and not self.refined:
                self.warn(self.sure.words())
            hearings = self.hearings()
            facts: dict[str, Any] = {"stems": [], "parts": [], "mix": None, "map": None, "impulse_responses": []}
            if job.map is not None:
                facts["map"] = self.paint(sources, part)
            if job.kind == "bake":
                fmt = format_of(job.format, job.order, job.hrtf)
                facts |= self.render(hearings, sources, fmt, part)
                if job.impulse_frames or job.impulse_spacing:
                    with self.progress.stage("impulses", "Impulse responses") as step:
                        facts |= export(job, self.field, fmt, self.responses_of(fmt), part, step)
            with self.progress.stage("write", "Writing the report", 0.2):
                self.write_report(part, hearings, facts)
                return self.deliver(part, facts)

    def read_sounds(self) -> dict[str, Source]:
        """All sound files at the job's rate, by path."""
        sources: dict[str, Source] = {}
        with self.progress.stage("sounds", "Reading the sounds") as step:
            count = len(self.job.emitters)
            for number, emitter in enumerate(self.job.emitters):
                if emitter.sound not in sources:
                    sources[emitter.sound] = Source(
                        emitter.sound,
                        self.job.sample_rate,
                        emitter.name,
                        lambda fraction, number=number: step((number + fraction) / count),
                    )
        for emitter in self.job.emitters:
            source = sources[emitter.sound]
            seconds = source.length / self.job.sample_rate
            if source.content.silent:
                self.warn(f"The sound of “{emitter.name}” is silent: choose another file.", emitter.name)
            elif not emitter.gain.any():
                self.warn(f"“{emitter.name}” is muted or has no volume in this frame range.", emitter.name)
            elif self.job.kind == "bake" and not any(sounding(emitter, seconds, self.job.duration)):
                self.warn(f"“{emitter.name}” does not sound in this frame range: move its strip.", emitter.name)
        return sources

    def scanned(self, progress: Callable[[float], None]) -> Rooms:
        """The fields of all states of the room, or the one that was recorded there."""
        if self.job.recorded is not None:
            return Rooms(States.of(self.job.scene), [PlacedField.load(self.job.scene, self.job.recorded)])
        fields, scenes = [], self.job.room.scenes
        for number, scene in enumerate(scenes):

            def step(fraction: float, before: int = number) -> None:
                progress((before + fraction) / len(scenes))

            scan = partial(self.scan, scene, seed=self.job.seed, progress=step, **QUALITIES[self.job.quality])
            fields.append(self.store.scan(scene, scan))
        return Rooms(self.job.room, fields)

    def hearings(self) -> list[Hearing]:
        """What the listener hears of each emitter, with the first sound of all its keys."""
        found = []
        with self.progress.stage("field", "Asking the acoustic field") as step:
            for number, (emitter, times) in enumerate(zip(self.job.emitters, self.keys, strict=False)):
                found.append(self.hearing(emitter, times, lambda f, number=number: step((number + f) / len(self.keys))))
        return found

    def hearing(self, emitter: Emitter, times: np.ndarray, progress: Callable[[float], None]) -> Hearing:
        """What the listener hears of ``emitter`` at ``times`` (K,) s."""
        listener = self.job.listener.trajectory
        here, there = emitter.trajectory.at(times), listener.at(times)
        return Hearing(
            emitter.trajectory,
            listener,
            times,
            lambda keys: self.ask(times[keys], here[keys], there[keys]),
            lambda keys: self.images(times[keys], here[keys], there[keys]),
            self.beam(emitter),
            progress,
            self.volume,
        )

    @cached_property
    def volume(self) -> float | None:
        """That of the room in m³, where it is known."""
        return report.volume(self.job.scene, self.field) if self.job.recorded is None else None

    def ask(
        self, times: np.ndarray, here: np.ndarray, there: np.ndarray
    ) -> tuple[EnergyResponse, np.ndarray, np.ndarray]:
        """Responses of pairs at ``times`` with their first sound, from where and along what it comes (`FirstSound`)."""
        return self.rooms.ask(times, here, there)

    def images(self, times: np.ndarray, here: np.ndarray, there: np.ndarray) -> Images:
        """The early reflections that are heard one by one, between an emitter and the listener at ``times``."""
        return self.rooms.images(times, here, there, self.job.reflections)

    def beam(self, emitter: Emitter) -> Beam | None:
        """What the cone of an emitter makes of what is heard of it, where it has one."""
        listener, speed = self.job.listener.trajectory, self.job.scene.air.speed_of_sound
        return None if emitter.cone is None else Beam(emitter, listener, speed)

    def paint(self, sources: dict[str, Source], part: Path) -> dict[str, Any]:
        """Write the pictures of the map."""
        spectra = {path: source.content.spectrum for path, source in sources.items()}
        with self.progress.stage("map", "Painting the map") as step:
            return painting.paint(self.rooms.at, self.job, spectra, part, step, self.warn)

    def render(self, hearings: list[Hearing], sources: dict[str, Source], fmt: Format, part: Path) -> dict[str, Any]:
        """Render and write the stems and the mix."""
        job = self.job
        rendered = []  # who was not kept from the last bake
        stems = []
        kept = [self.store.stem(emitter.name) for emitter in job.emitters]

        def prepared(number: int) -> Rendering:
            emitter = job.emitters[number]
            source = sources[emitter.sound]
            return Rendering(emitter, job.listener, hearings[number], source, job.duration, fmt, job.seed)

        # While one emitter is rendered, the noise of the next is made.
        renderings = ahead(prepared, [number for number, stem in enumerate(kept) if stem is None], 1)
        for emitter, stem in zip(job.emitters, kept, strict=True):
            with self.progress.stage("render", f"Rendering “{emitter.name}”", 1.0 / len(job.emitters)) as step:
                if stem is None:
                    with StemWriter(self.store.place(emitter.name), len(PARTS), fmt.channels) as writer:
                        for block in next(renderings).blocks(step):
                            writer.add(block)
                    stem = StemFile(self.store.place(emitter.name))
                    rendered.append(emitter.name)
                stems.append(stem)
        with self.progress.stage("write", "Writing the sound files", 0.8) as step:
            facts, balance = write_tracks(job, stems, fmt, part, step)
            self.store.settle()
        if balance.held:
            self.warn(
                f"The mix has {balance.loudness:.1f} LUFS instead of {job.loudness:g}: more would exceed the peak of"
                f" {job.peak:g} dBTP. Wish for less loudness, or for sounds with lower peaks."
            )
        return {**facts, "rendered": rendered}

    def responses_of(self, fmt: Format) -> Callable[..., list[np.ndarray]]:
        """What makes impulse responses, as `export.Respond`."""
        job = self.job

        def respond(
            number: int, here: np.ndarray, there: np.ndarray, rotations: np.ndarray, times: np.ndarray
        ) -> list[np.ndarray]:
            beam = self.beam(job.emitters[number])
            responses, _, departures = self.ask(times, here, there)
            images, made = self.images(times, here, there), []
            for key, time in enumerate(times):
                response, own = responses[key], images.at(key)
                still = None if beam is None else beam.still(response, time, departures[key], own)
                turned = rotations[key]
                made.append(impulse_response(response, job.sample_rate, fmt, job.seed, own, turned, still, self.volume))
            return made

        return respond

    def write_report(self, part: Path, hearings: list[Hearing], facts: dict[str, Any]) -> None:
        """Write report.json."""
        job = self.job
        pairs = [report.pair_facts(hearing.opening) for hearing in hearings] or [{} for _ in job.emitters]
        text = {
            "versions": report.versions(),
            "kind": job.kind,
            "seed": job.seed,
            "scene": report.scene_facts(job.scene, job.scene_name, self.field, self.volume)
            | {"quality": None if job.recorded else job.quality, "refined": self.refined},
            "sureness": None if self.sure is None else self.sure.facts(),
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

    def deliver(self, part: Path, facts: dict[str, Any]) -> dict[str, Any]:
        """Give all files their names in the output folder."""
        output, cache = self.job.output, self.job.cache
        hand_over(part, output, {} if cache is None else {FOLDER: cache})
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
