import threading

import pytest

from naf_core.threads import ahead, process_count, thread_count, together


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(request.param))
    return request.param


def test_work_comes_in_order_whatever_the_threads(threads):
    assert thread_count() == threads
    assert list(ahead(lambda number: number**2, range(20))) == [number**2 for number in range(20)]
    assert together(lambda: "a", lambda: "b", lambda: "c", lambda: "d") == ["a", "b", "c", "d"]


def test_processes_are_as_many_as_threads_unless_they_may_be_more(threads, monkeypatch):
    monkeypatch.delenv("ACOUSTICS_PROCESSES", raising=False)
    assert process_count() == threads
    monkeypatch.setenv("ACOUSTICS_PROCESSES", "5")
    assert process_count() == 5


def test_no_more_is_done_ahead_than_was_allowed(threads):
    """So that what lies ready needs no more memory than was thought of."""
    begun = []
    made = ahead(begun.append, range(9), 1)
    next(made)
    assert len(begun) <= 2
    made.close()


def test_all_of_them_run_at_once(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    meeting = threading.Barrier(2, timeout=10.0)
    assert sorted(together(meeting.wait, meeting.wait)) == [0, 1]


def test_what_goes_wrong_in_a_thread_is_told(threads):
    def fail() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        together(lambda: None, fail)
