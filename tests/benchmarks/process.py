"""A command, how long it takes and how much memory it and all that it starts hold at most."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PAUSE = 0.1  # s between two looks at the memory


@dataclass(frozen=True)
class Run:
    """What a command did: exit ``code``, ``seconds``, ``peak`` memory in bytes (NaN but on Linux), its ``output``."""

    code: int
    seconds: float
    peak: float
    output: str


def measure(command: Sequence[object], environment: Mapping[str, str], folder: Path, timeout: float) -> Run:
    """Run ``command`` in ``folder`` and watch it; ends it after ``timeout`` seconds with a TimeoutExpired."""
    line = [str(word) for word in command]
    peak = 0 if sys.platform == "linux" else math.nan
    start = time.perf_counter()
    with subprocess.Popen(
        line, cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        output = ""
        while True:
            try:
                output = process.communicate(timeout=_PAUSE)[0]
                break
            except subprocess.TimeoutExpired:
                if sys.platform == "linux":
                    peak = max(peak, sum(map(held, tree(process.pid))))
                if time.perf_counter() - start > timeout:
                    process.kill()
                    raise
        return Run(process.returncode, time.perf_counter() - start, float(peak), output)


def tree(root: int) -> list[int]:
    """Process ids of ``root`` and all its descendants, from /proc."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                # The name in brackets may hold spaces and brackets itself; state and parent follow the last one.
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue  # it has ended meanwhile
            children.setdefault(parent, []).append(int(folder.name))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def held(process: int) -> int:
    """Memory of a process in bytes, its share of what it has in common with others (PSS); 0 when it has ended."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    except (OSError, IndexError):
        pass  # it has ended meanwhile
    return 0
