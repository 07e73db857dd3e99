"""The worker: progress, results, crashes and cancelling, with small programs in its place; no Blender."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from blender_addon import worker
from blender_addon.worker import Worker
from naf_core.errors import UserError

HEAD = """
import json, os, sys, time
def say(**event):
    print(json.dumps(event), flush=True)
"""


def run(body: str, output: Path | None = None) -> Worker:
    return Worker([sys.executable, "-c", HEAD + textwrap.dedent(body)], output=output)


def until(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_progress_and_result_arrive_in_order():
    job = run("""
        say(event="progress", stage="scan", fraction=0.25, message="Scanning")
        say(event="warning", message="The scene is open.", object=None)
        say(event="done", result={"mix": "mix.wav"})
    """)
    events = []
    assert job.wait(events.append) == {"mix": "mix.wav"}
    assert [e["event"] for e in events] == ["progress", "warning", "done"]
    assert events[0]["fraction"] == 0.25
    assert not job.running
    assert job.error is None


def test_poll_does_not_wait():
    job = run("time.sleep(30)")
    start = time.monotonic()
    assert job.poll() == []
    assert time.monotonic() - start < 0.1
    assert job.running
    job.cancel()


def test_an_error_event_becomes_a_user_error():
    job = run("""
        say(event="error", message="“Talker” has no sound: choose one.", object="Talker")
        time.sleep(30)
    """)
    with pytest.raises(UserError, match="choose one") as caught:
        job.wait()
    assert caught.value.object_name == "Talker"


def test_a_crash_tells_what_was_said_last():
    job = run("""
        say(event="progress", stage="scan", fraction=0.1, message="")
        raise RuntimeError("the probe grid is empty")
    """)
    with pytest.raises(UserError, match=r"ended with code 1[\s\S]*the probe grid is empty"):
        job.wait()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_killed_worker_names_the_signal_and_memory():
    job = run("import signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(UserError, match=r"SIGKILL[\s\S]*memory"):
        job.wait()


def test_ending_without_a_result_is_an_error():
    with pytest.raises(UserError, match="ended with code 0 before it was done"):
        run("pass").wait()


def test_lines_that_are_no_events_are_ignored():
    job = run("""
        print("Loading weights…"); print("[1, 2]"); print("{"); print('"x"'); print()
        print('{"event": 5}'); print('{"event": "progress"}'); print('{"event": "dance"}')
        print('{"event": "done"}'); print('{"event": "error"}'); print("[" * 100000)
        sys.stdout.flush(); sys.stdout.buffer.write(b"\\xff\\xfe\\n"); sys.stdout.flush()
        say(event="done", result={"ok": True})
    """)
    events = []
    assert job.wait(events.append) == {"ok": True}
    assert [e["event"] for e in events] == ["done"]


def test_much_output_does_not_block_the_worker():
    job = run("""
        for n in range(3000):
            say(event="progress", stage="trace", fraction=n / 3000, message="x" * 100)
            print("chatter " * 20, file=sys.stderr)
        say(event="done", result={})
    """)
    until(lambda: job._process.poll() is not None)  # without anyone reading
    polls = []
    while job.running:
        polls.append(len(job.poll()))
    assert sum(polls) == 3001


def test_cancel_takes_under_a_second_and_leaves_nothing(tmp_path):
    other = tmp_path / ".part-other"  # of another Blender that bakes into the same folder
    other.mkdir()
    (tmp_path / "mix.wav").write_bytes(b"earlier")
    job = run(
        f"""
        import signal, subprocess
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a worker that does not listen
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        part = {str(tmp_path)!r} + "/.part-" + str(os.getpid())
        os.mkdir(part)
        open(part + "/stem.wav", "w").close()
        say(event="progress", stage="scan", fraction=0.1, message=str(child.pid))
        time.sleep(60)
    """,
        tmp_path,
    )
    events = []
    until(lambda: events.extend(job.poll()) or events)
    start = time.monotonic()
    job.cancel()
    assert time.monotonic() - start < 1.0
    assert job.cancelled
    assert not job.running
    assert job._process.poll() is not None
    child = int(events[0]["message"])
    until(lambda: not alive(child))
    assert sorted(p.name for p in tmp_path.iterdir()) == [".part-other", "mix.wav"]
    job.cancel()  # twice does no harm


def test_a_crash_leaves_no_part_files(tmp_path):
    job = run(f"os.mkdir({str(tmp_path)!r} + '/.part-' + str(os.getpid())); sys.exit(3)", tmp_path)
    with pytest.raises(UserError, match="code 3"):
        job.wait()
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_wait_ends_the_worker():
    def interrupt(_event):
        raise KeyboardInterrupt

    job = run("""say(event="progress", stage="scan", fraction=0, message=""); time.sleep(60)""")
    with pytest.raises(KeyboardInterrupt):
        job.wait(interrupt)
    assert job._process.poll() is not None


@pytest.mark.skipif(os.name == "nt", reason="pipes are inherited otherwise there")
def test_a_worker_whose_own_process_lives_on_counts_as_ended():
    job = run("""
        import subprocess
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        sys.exit(4)
    """)
    with pytest.raises(UserError, match="code 4"):
        job.wait()


def test_a_worker_ends_with_the_program_that_started_it(tmp_path):
    script = tmp_path / "closes.py"
    script.write_text(
        "import sys\nfrom worker import Worker\n"  # its package needs Blender
        "w = Worker([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(w._process.pid, flush=True)\n"
    )
    env = worker.environment()
    env["PYTHONPATH"] += os.pathsep + str(Path(worker.__file__).parent)
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=30)
    pid = int(done.stdout)
    until(lambda: not alive(pid))


def test_a_missing_program_is_an_error():
    with pytest.raises(UserError, match="cannot be started"):
        Worker([str(Path("no") / "such" / "python")])


def test_the_environment_finds_the_core(tmp_path):
    code = "import naf_core, numpy, h5py, sys; print(naf_core.__file__)"
    (tmp_path / "naf_core.py").write_text("raise SystemExit('the wrong one')")
    command = [worker.python_executable(), "-c", code]
    done = subprocess.run(command, env=worker.environment(), cwd=tmp_path, capture_output=True, text=True)
    assert Path(done.stdout.strip()).parent.name == "naf_core", done.stderr


def test_the_environment_leaves_a_core_to_blender_unless_the_person_says_otherwise(monkeypatch):
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("ACOUSTICS_PROCESSES", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    for cores, threads in ((1, "1"), (2, "1"), (8, "7"), (None, "1")):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found = worker.environment()
        assert found["OPENBLAS_NUM_THREADS"] == found["MKL_NUM_THREADS"] == threads
        assert found["OMP_NUM_THREADS"] == "7" and "ACOUSTICS_PROCESSES" not in found
    # The preferences come first, for what traces, too.
    found = worker.environment(3)
    assert {found[name] for name in worker._THREADS} == {"3"} and "ACOUSTICS_PROCESSES" not in found
    # Who says nothing has all cores trace.
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    found = worker.environment()
    assert (found["OMP_NUM_THREADS"], found["ACOUSTICS_PROCESSES"]) == ("7", "8")


def test_the_environment_drops_what_steers_python(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("PYTHONSTARTUP", "x.py")
    found = worker.environment()
    assert "PYTHONHOME" not in found
    assert "PYTHONSTARTUP" not in found


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(worker, "PACKAGES", ("numpy", "no_such_package"))
    with pytest.raises(UserError, match=r"\(no_such_package\)"):
        worker.environment()


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
