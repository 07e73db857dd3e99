"""How far a job is."""

from __future__ import annotations

from naf_core.progress import Progress


def test_progress_is_the_share_of_all_the_work():
    events: list[dict] = []
    progress = Progress(events.append, {"a": 1.0, "b": 3.0})
    with progress.stage("a", "A"):
        pass
    with progress.stage("b", "B", 0.5) as step:
        step(1.0)
    with progress.stage("b", "B", 0.5):
        pass
    with progress.stage("c", "C"):
        pass
    fractions = {(event["stage"], event["fraction"]) for event in events}
    assert {("a", 0.0), ("b", 0.25), ("b", 0.625), ("c", 1.0)} <= fractions
    assert set(progress.seconds) == {"a", "b", "c"}
