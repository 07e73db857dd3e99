"""The bake: a job folder goes in, sound files, a loudness map and a report come out."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from naf_core import painting, report
from naf_core.delivery import hand_over, part_folder
from naf_core.errors import UserError
from naf_core.export import export
from naf_core.field import Field
from naf_core.hearing import Hearing
from naf_core.job import QUALITIES, Job
from naf_core.placed import PlacedField, outside
from naf_core.progress import Emit, Progress
from naf_core.render import impulse_response
from naf_core.renderers import Renderers
from naf_core.rooms import Rooms
from naf_core.shot import Shot, shot_times
from naf_core.source import Source, sounding
from naf_core.standing import misplaced
from naf_core.states import States
from naf_core.stemfile import StemFile
from naf_core.stems import FOLDER, StemStore
from naf_core.sureness import sureness


def run(
    job: Job, emit: Emit, scan: Callable[..., Field] = Field.scan, renderers: Renderers | None = None
) -> dict[str, Any]:
    """Do the job and return what was written: absolute paths of the stems, the mix, the map and the report.

    ``emit`` takes events {"event": "progress" | "warning", ...}; ``scan`` makes the field of a scene. Files appear in
    the output folder only when all of them are complete. ``renderers`` do it side by side; by default this
    process alone, to the same result but for rounding. Raises UserError.
    """
    return _Bake(job, emit, scan, renderers or Renderers(1)).run()


class _Bake:
    """The steps of one job, and what they hand on."""

    def __init__(self, job: Job, emit: Emit, scan: Callable[..., Field], renderers: Renderers) -> None:
        self.job, self.emit, self.scan, self.renderers = job, emit, scan, renderers
        self.warnings: list[dict[str, Any]] = []
        self.keys = [shot_times(job, emitter) for emitter in job.emitters] if job.listener else []
        self.progress = Progress(emit, self._expected())

    def _expected(self) -> dict[str, float]:
        """How many seconds each stage takes, by experience."""
        job, bake = self.job, self.job.kind == "bake"
        keys, together = sum(map(len, self.keys)), self.renderers.count
        return {
            "sounds": 0.02 * len(job.emitters),
            "scan": 4.5 * job.scan_effort * sum(len(scene.triangles) > 0 for scene in job.room.scenes),
            "field": 0.3 + 0.005 * keys / together,
            "map": painting.seconds(job),
            "render": (0.01 * keys + (0.1 + 0.09 * job.duration) * len(job.emitters)) / together if bake else 0.0,
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
            self.shot = Shot(job, self.rooms, self.keys, sources)
            stems: list[StemFile | None] = []
            if job.kind == "bake":
                stems = [self.store.stem(emitter.name) for emitter in job.emitters]
            new = {n: self.store.place(job.emitters[n].name) for n, stem in enumerate(stems) if stem is None}
            self.renderers.begin(self.shot, new)
            for message, object_name in (misplaced if job.recorded is None else outside)(job, self.field):
                self.warn(message, object_name)
            self.refined = job.recorded is None and all(map(self.store.refined, job.room.scenes))
            self.sure = sureness(job, self.field)
            if self.sure is not None and self.sure.noticeable and not self.refined:
                self.warn(self.sure.words())
            with self.progress.stage("field", "Asking the acoustic field") as step:
                hearings = self.renderers.hearings(step)
            facts: dict[str, Any] = {"stems": [], "parts": [], "mix": None, "map": None, "impulse_responses": []}
            if job.map is not None:
                facts["map"] = self.paint(sources, part)
            if job.kind == "bake":
                facts |= self.render(stems, part)
                if job.impulse_frames or job.impulse_spacing:
                    with self.progress.stage("impulses", "Impulse responses") as step:
                        facts |= export(job, self.field, self.shot.fmt, self.respond, part, step)
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

    def paint(self, sources: dict[str, Source], part: Path) -> dict[str, Any]:
        """Write the pictures of the map."""
        spectra = {path: source.content.spectrum for path, source in sources.items()}
        with self.progress.stage("map", "Painting the map") as step:
            return painting.paint(self.rooms.at, self.job, spectra, part, step, self.warn)

    def render(self, stems: list[StemFile | None], part: Path) -> dict[str, Any]:
        """Render the stems that were not kept from the last bake, and write all of them and the mix."""
        from naf_core.tracks import write_tracks  # takes a third of a second: while the processes render

        job, rendered = self.job, []
        for number, emitter in enumerate(job.emitters):
            with self.progress.stage("render", f"Rendering “{emitter.name}”", 1.0 / len(job.emitters)) as step:
                if stems[number] is None:
                    stems[number] = self.renderers.render(number, step)
                    rendered.append(emitter.name)
        with self.progress.stage("write", "Writing the sound files", 0.8) as step:
            facts, balance = write_tracks(job, stems, self.shot.fmt, part, step)
            self.store.settle()
        if balance.held:
            self.warn(
                f"The mix has {balance.loudness:.1f} LUFS instead of {job.loudness:g}: more would exceed the peak of"
                f" {job.peak:g} dBTP. Wish for less loudness, or for sounds with lower peaks."
            )
        return {**facts, "rendered": rendered}

    def respond(
        self, number: int, here: np.ndarray, there: np.ndarray, rotations: np.ndarray, times: np.ndarray
    ) -> list[np.ndarray]:
        """Impulse responses, as `export.Respond`."""
        job, shot = self.job, self.shot
        beam = shot.beam(number)
        responses, _, departures = self.rooms.ask(times, here, there)
        images, made = shot.images(times, here, there), []
        for key, time in enumerate(times):
            response, own = responses[key], images.at(key)
            still = None if beam is None else beam.still(response, time, departures[key], own)
            turned = rotations[key]
            volume = shot.volume
            made.append(impulse_response(response, job.sample_rate, shot.fmt, job.seed, own, turned, still, volume))
        return made

    def write_report(self, part: Path, hearings: list[Hearing], facts: dict[str, Any]) -> None:
        """Write report.json."""
        job = self.job
        pairs = [report.pair_facts(hearing.opening) for hearing in hearings] or [{} for _ in job.emitters]
        text = {
            "versions": report.versions(),
            "kind": job.kind,
            "seed": job.seed,
            "scene": report.scene_facts(job.scene, job.scene_name, self.field, self.shot.volume)
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
