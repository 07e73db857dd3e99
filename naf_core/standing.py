"""Warnings of scenes that do not hold sound, and of whoever stands outside them or inside something."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from naf_core.field import Field
from naf_core.job import Job
from naf_core.raycast import sphere_directions

_OPEN_SHARE = 0.1  # of all rays: when more escape, the scene is called open
_TIGHT = 0.3  # m: whoever is surrounded more closely than this is inside something
_LOOKS = 200  # moments at which the places of emitters and listener are checked


def misplaced(job: Job, field: Field) -> Iterator[tuple[str, str | None]]:
    """Messages on the scene and the places of a ``job``, each with the name of the object concerned."""
    if not len(job.scene.triangles):
        yield "There is no geometry: what is heard is the free field, without any reflection.", None
        return
    if field.escape > _OPEN_SHARE:
        yield (
            f"The scene is open: {100 * field.escape:.0f} % of the sound gets out and does not come back."
            " Close walls and ceiling if this is meant to be a room.",
            None,
        )
    for thing in (*job.emitters, *([job.listener] if job.listener else [])):
        times = thing.trajectory.times
        looked = np.unique(np.linspace(0, len(times) - 1, _LOOKS).astype(int))
        positions = thing.trajectory.positions[looked]
        lost = ~field.covers(positions)
        if not lost.any():
            continue
        first = int(np.argmax(lost))
        directions = sphere_directions(64)
        around = field.caster.intersect(np.repeat(positions[first][None], len(directions), axis=0), directions)
        if np.isfinite(around.distance).all() and np.median(around.distance) < _TIGHT:
            where, remedy = "inside an object", "move it out, or exclude that object from the acoustics"
        else:
            where, remedy = "outside the rooms", "move it to where people can stand"
        if not lost.all():
            where = f"{where} at frame {job.frame_start + round(times[looked[first]] * job.fps)}"
        yield f"“{thing.name}” is {where}, so what is heard is a guess: {remedy}.", thing.name
