"""The worker as a process: what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kitchen import job

WORKER = """
import sys
from pathlib import Path
from tests.fake_field import DiffuseField
from naf_core.worker import worker
{more}
sys.exit(worker(Path(sys.argv[1]), DiffuseField.scan))
"""


def start(folder: Path, more: str = "") -> subprocess.Popen:
    root = Path(__file__).resolve().parent.parent
    return subprocess.Popen(
        [sys.executable, "-c", WORKER.format(more=more), str(folder)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_worker_says_one_json_object_a_line_and_nothing_else(tmp_path):
    work = job(tmp_path, map=None)
    work.save(tmp_path / "job")
    process = start(tmp_path / "job")
    out, _ = process.communicate(timeout=120)
    events = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0
    assert {event["event"] for event in events} == {"progress", "done"}
    assert Path(events[-1]["result"]["mix"]).is_file()


def test_an_error_of_the_persons_ends_with_code_1(tmp_path):
    process = start(tmp_path / "nowhere")
    out, err = process.communicate(timeout=120)
    (event,) = (json.loads(line) for line in out.splitlines())
    assert process.returncode == 1
    assert event["event"] == "error"
    assert "nowhere" in event["message"]
    assert err == ""


def test_an_unexpected_error_ends_with_code_2_and_a_traceback(tmp_path):
    job(tmp_path, map=None).save(tmp_path / "job")
    process = start(tmp_path / "job", "DiffuseField.covers = lambda *_: 1 / 0")
    out, err = process.communicate(timeout=120)
    last = json.loads(out.splitlines()[-1])
    assert process.returncode == 2
    assert last["event"] == "error"
    assert last["message"].startswith("unexpected ZeroDivisionError")
    assert "Traceback" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a terminated process is not told")
def test_a_terminated_worker_cleans_up(tmp_path):
    job(tmp_path, map=None).save(tmp_path / "job")
    process = start(tmp_path / "job", "import time; DiffuseField.covers = lambda *_: time.sleep(60)")
    for line in process.stdout:
        if json.loads(line)["stage"] == "scan":
            break
    deadline = time.monotonic() + 20
    assert list((tmp_path / "out").glob(".part-*"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert time.monotonic() < deadline
    assert process.returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "out").exists()
