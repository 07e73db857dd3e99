"""Answers on a scene that has been scanned once: what is heard at a point, and along which lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from naf_core.bands import BANDS_HZ, N_BANDS
from naf_core.edges import find_edges
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.formats import format_of
from naf_core.gauges import Energy, gauge_of
from naf_core.images import find_images, no_images
from naf_core.job import QUALITIES, Job
from naf_core.loudness import Source, source_at
from naf_core.placed import PlacedField, first_sound_of
from naf_core.render import impulse_response
from naf_core.report import parameter_lists, volume
from naf_core.response import EnergyResponse
from naf_core.responseview import write_response
from naf_core.scene import Emitter, Scene
from naf_core.soundlines import sound_lines
from naf_core.source import Source as SoundFile
from naf_core.stems import read_scan, refined_scan
from naf_core.threads import process_count

QUANTITIES = {"T30": 3, "C50": 2, "D50": 3, "STI": 3}  # and the decimals of each

_RATE = 48_000  # Hz of impulse responses
_IMAGES = 16  # reflections that are heard one by one in them
_BENT = 16  # sources whose first sound is looked for round edges: those that may be the loudest

Progress = Callable[[float], None]


class Answers:
    """The ``job``'s emitters at its first frame in its scene, and what can be asked about them.

    ``before`` are the answers to an earlier job: its scan is kept where the scene is the same. A refined scan in the
    ``job``'s cache is used, so that the answers are those of a bake.
    """

    def __init__(self, job: Job, before: Answers | None = None, progress: Progress | None = None) -> None:
        self.job = job
        self._refined = refined_scan(job)
        same = before is not None and same_scene(before.job.scene, job.scene)
        same = same and (before.job.seed, before.job.quality) == (job.seed, job.quality)
        if same and before._refined == self._refined and job.recorded is before.job.recorded is None:
            self.field, self._first = before.field, before._first
        else:
            self.field = self._read() or Field.scan(
                job.scene, seed=job.seed, processes=process_count(), progress=progress, **QUALITIES[job.quality]
            )
            self._first = first_sound_of(self.field)
        self._edges = find_edges(job.scene, self.field.caster)
        spectra = {e.sound: SoundFile(e.sound, job.sample_rate, e.name).content.spectrum for e in job.emitters}
        made = [source_at(emitter, spectra[emitter.sound], 0.0) for emitter in job.emitters]
        self.sources = [source for source in made if source.power > 0.0]

    def _read(self) -> Field | PlacedField | None:
        """The recorded room, or the refined scan, where there is one."""
        if self.job.recorded is not None:
            return PlacedField.load(self.job.scene, self.job.recorded)
        return None if self._refined is None else read_scan(self._refined)

    @cached_property
    def _volume(self) -> float | None:
        """That of the room in m³, where it is known."""
        return None if self.job.recorded is not None else volume(self.job.scene, self.field)

    def hear(self, point: np.ndarray, nearest: bool = False, noise: float | None = None) -> dict[str, Any]:
        """What is heard at ``point`` (3,) in m of all sources, or of the ``nearest`` alone.

        "level" in dB(A) of all together; "T30" s, "C50" dB, "D50" and "STI" (with background ``noise`` in dB(A)) of
        that which is loudest there, "loudest"; "sources" with their names, levels, distances and whether they are
        hidden, the loudest first. None for what is not known. These are the values of a map and of a bake.
        """
        chosen = self.sources
        if nearest and chosen:
            chosen = [min(chosen, key=lambda source: float(np.linalg.norm(source.position - point)))]
        nothing = {"level": None, "loudest": None, "sources": [], **dict.fromkeys(QUANTITIES)}
        if not chosen:
            return nothing
        response = self.respond(chosen, point)
        power = np.array([source.power for source in chosen])
        gauges = [Energy(source.spectrum) for source in chosen]
        energy = np.array(
            [
                gauge.make(gauge.read(response[k : k + 1]), response.direct[k : k + 1], power[k])[0]
                for k, gauge in enumerate(gauges)
            ]
        )
        order = np.argsort(-energy, kind="stable")
        top = slice(order[0], order[0] + 1)
        found = dict(nothing)
        for quantity, decimals in QUANTITIES.items():
            gauge = gauge_of(quantity, None, noise)
            value = float(gauge.make(gauge.read(response[top]), response.direct[top], power[order[0]])[0])
            found[quantity] = round(value, decimals) if np.isfinite(value) else None
        found["level"], found["loudest"] = _level(energy.sum()), chosen[order[0]].name
        hidden = self.field.caster.occluded(
            np.broadcast_to(point, (len(chosen), 3)), np.array([source.position for source in chosen])
        )
        found["sources"] = [
            {
                "name": chosen[k].name,
                "level": _level(energy[k]),
                "distance_m": round(float(response.distance[k]), 2),
                "hidden": bool(hidden[k]),
            }
            for k in order
        ]
        return found

    def respond(self, sources: Sequence[Source], point: np.ndarray) -> EnergyResponse:
        """Responses of some sources at ``point`` (3,), with their first sound and as strong as they send."""
        places = np.array([source.position for source in sources])
        points = np.broadcast_to(np.asarray(point, np.float64), places.shape)
        response = self.field.predict(places, points)
        direct = np.array(response.direct) * np.stack(
            [s.gain(-way[None])[0] for s, way in zip(sources, response.direct_direction, strict=True)]
        )
        reach = np.array([source.power for source in sources]) / np.maximum(response.distance, 0.1) ** 2
        for k in np.argsort(-reach, kind="stable")[:_BENT]:
            direct[k] = self._first.energy(places[k : k + 1], points[k : k + 1], sources[k].directivity)[0]
        sent = np.stack([source.sent for source in sources])
        return replace(response, energy=response.energy * sent[:, :, None, None], direct=direct.astype(np.float32))

    def view(self, name: str, point: np.ndarray, path: Path) -> dict[str, Any]:
        """Write a picture of the impulse response from the emitter ``name`` to ``point`` (3,), see `write_response`.

        Returns "title", "distance_m", "bands_hz" and by band "T30_s", "EDT_s", "C50_dB", "G_dB" (ISO 3382-1).
        """
        emitter = self.emitter(name)
        source = next((source for source in self.sources if source.name == name), None)
        source = source or source_at(emitter, np.ones(N_BANDS), 0.0)
        response = self.respond([source], point)
        images = no_images(1)
        if source.directivity is None and self.job.recorded is None:
            images = find_images(self.job.scene, self.field.caster, source.position[None], point[None], _IMAGES)
        mono = format_of("mono")
        samples = impulse_response(response[0], _RATE, mono, self.job.seed, images, volume=self._volume)
        parameters = parameter_lists(response[0])
        distance = round(float(response.distance[0]), 2)
        place = ", ".join(f"{x:.2f}" for x in point)
        subtitle = f"Impulse response at {place} m, {distance:g} m away, frame {self.job.frame_start}"
        write_response(path, response[0], samples[:, 0], _RATE, name, subtitle)
        told = {key: parameters[key] for key in ("T30_s", "EDT_s", "C50_dB", "G_dB")}
        return {"title": name, "distance_m": distance, "bands_hz": list(BANDS_HZ), **told}

    def lines(self, name: str, point: np.ndarray, order: int) -> list[dict[str, Any]]:
        """The lines from the emitter ``name`` to ``point`` (3,), see `sound_lines`; raises UserError without it."""
        position = self.emitter(name).trajectory.positions[0]
        found = sound_lines(self.job.scene, self.field.caster, self._edges, position, point, order)
        return [
            {
                "points": np.round(line.points, 4).tolist(),
                "order": line.order,
                "edges": line.edges,
                "level": round(line.level, 2),
                "length_m": round(line.length, 3),
            }
            for line in found
        ]

    def emitter(self, name: str) -> Emitter:
        """The emitter of that name; raises UserError."""
        for emitter in self.job.emitters:
            if emitter.name == name:
                return emitter
        raise UserError(f"“{name}” is no Speaker that sounds at this frame: choose another.", name)


def same_scene(a: Scene, b: Scene) -> bool:
    """Whether two scenes sound alike: geometry, what it is made of, and air."""
    names = ("vertices", "triangles", "material_index", "absorption", "scattering", "transmission_loss")
    return a.air == b.air and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def _level(energy: float) -> float | None:
    return round(float(10.0 * np.log10(energy)), 2) if energy > 0.0 else None
