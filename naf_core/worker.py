"""A bake, a map or a refinement as a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naf_core.job import Job
from naf_core.process import work
from naf_core.progress import Emit
from naf_core.renderers import Renderers
from naf_core.threads import process_count

if TYPE_CHECKING:
    from naf_core.field import Field

_SHORT = 3.0  # s of all emitters together, which are rendered before another process is up


def worker(folder: Path, scan: Callable[..., Field] | None = None) -> int:
    """Do the job in ``folder`` and return the exit code (see `work`); ``scan`` as in `run`, default: on all cores."""

    def do(emit: Emit) -> dict[str, Any]:
        job = Job.load(folder)
        alone = job.kind != "bake" or job.duration * len(job.emitters) < _SHORT
        with Renderers(1 if alone else process_count()) as renderers:
            # Only now: while the processes import the same.
            from naf_core.bake import run
            from naf_core.field import Field
            from naf_core.refining import refine

            how = scan or partial(Field.scan, processes=process_count())
            return refine(job, emit, how) if job.kind == "refine" else run(job, emit, how, renderers)

    return work(do)
