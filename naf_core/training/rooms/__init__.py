"""Procedural rooms: scenes of many kinds, each made from one seed."""

from __future__ import annotations

from naf_core.training.rooms.builder import Room
from naf_core.training.rooms.plain import KINDS, make_plain

__all__ = ["KINDS", "Room", "make_room"]


def make_room(seed: int, n_points: int = 12, kind: str | None = None) -> Room:
    """Make the room of ``seed`` (any non-negative integer) with ``n_points`` points in its air."""
    return make_plain(seed, n_points, kind)
