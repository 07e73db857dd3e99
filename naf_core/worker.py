"""The bake as a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from naf_core.bake import run
from naf_core.field import Field
from naf_core.job import Job
from naf_core.process import work


def worker(folder: Path, scan: Callable[..., Field] = Field.scan) -> int:
    """Do the job in ``folder`` and return the exit code (see `work`); ``scan`` as in `run`."""
    return work(lambda emit: run(Job.load(folder), emit, scan))
