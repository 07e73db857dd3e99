"""A bake, a map or a refinement as a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from naf_core.bake import run
from naf_core.field import Field
from naf_core.job import Job
from naf_core.process import work
from naf_core.progress import Emit
from naf_core.refining import refine
from naf_core.threads import process_count


def worker(folder: Path, scan: Callable[..., Field] | None = None) -> int:
    """Do the job in ``folder`` and return the exit code (see `work`); ``scan`` as in `run`, default: on all cores."""
    scan = scan or partial(Field.scan, processes=process_count())

    def do(emit: Emit) -> dict[str, Any]:
        job = Job.load(folder)
        return (refine if job.kind == "refine" else run)(job, emit, scan)

    return work(do)
