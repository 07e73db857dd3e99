"""Procedural rooms: scenes of many kinds, each made from one seed."""

from __future__ import annotations

from naf_core.training.rooms.builder import Room
from naf_core.training.rooms.plain import KINDS, make_plain
from naf_core.training.rooms.wide import WIDE_KINDS, make_wide

__all__ = ["KINDS", "WIDE_DEV", "WIDE_KINDS", "WIDE_TEST", "WIDE_TRAINING", "Room", "make_room"]

# First seeds of the wide kinds: to train on, to choose by, and to test with. Below them all, rooms are plain.
WIDE_TRAINING, WIDE_DEV, WIDE_TEST = 10_000_000, 15_000_000, 20_000_000


def make_room(seed: int, n_points: int = 12, kind: str | None = None) -> Room:
    """Make the room of ``seed`` with ``n_points`` points in its air.

    Any ``seed`` from 0 up: those below `WIDE_TRAINING` make rooms of `KINDS`, the others rooms of `WIDE_KINDS`.
    """
    return (make_plain if seed < WIDE_TRAINING else make_wide)(seed, n_points, kind)
