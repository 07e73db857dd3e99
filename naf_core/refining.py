"""Refining the room of a job: the scans of its states are refined, and kept for the next bake or map."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from naf_core.delivery import hand_over, part_folder
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.job import QUALITIES, Job
from naf_core.progress import Emit, Progress
from naf_core.refinement import Refinement, pooled
from naf_core.stems import FOLDER, StemStore
from naf_core.threads import process_count

_SCAN, _REFINE = 4.5, 45.0  # s, by experience


def refine(job: Job, emit: Emit, scan: Callable[..., Field] = Field.scan) -> dict[str, Any]:
    """Refine the scan of each state of the room that is not refined yet, and keep it where that helped.

    Returns "words", a text for people, "states" of the room and how many of them are "refined" now. ``emit`` and
    ``scan`` as in `bake.run`. What is kept changes only when all states are done. Raises UserError, also where a
    recorded room answers.
    """
    if job.recorded is not None:
        raise UserError(
            "A recorded room answers in this scene, and only a modelled one can be refined: empty its file first."
        )
    scenes, results = job.room.scenes, []
    count = len(scenes)
    progress = Progress(emit, {"scan": _SCAN * job.scan_effort * count, "refine": _REFINE * count})
    with part_folder(job.output) as part:
        store = StemStore(job, part)
        for number, scene in enumerate(scenes, 1):
            which = f"state {number} of {count} of the room" if count > 1 else "the room"
            with progress.stage("scan", f"Scanning {which}", 1.0 / count) as step:
                options = QUALITIES[job.quality]
                field = store.scan(scene, partial(scan, scene, seed=job.seed, progress=step, **options))
            with progress.stage("refine", f"Refining {which}", 1.0 / count) as step:
                if not store.refined(scene):
                    results.append(field.refine(seed=job.seed, processes=process_count(), progress=step))
                    if results[-1].kept:
                        store.keep_refined(field)
        refined = sum(map(store.refined, scenes))
        hand_over(part, job.output, {} if job.cache is None else {FOLDER: job.cache})
    return {"words": _words(results, count, refined), "states": count, "refined": refined}


def _words(results: list[Refinement], states: int, refined: int) -> str:
    """What came of it: ``refined`` of all ``states`` are refined now, ``results`` are those of this time."""
    if not results:
        return "The room is refined already, and has not changed since."
    words = pooled([result for result in results if result.kept] or results).words()
    return words if states == 1 else f"{refined} of {states} states of the room are refined now. {words}"
