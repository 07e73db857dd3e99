"""Solid things that move during a shot: when the room has changed enough to be scanned anew."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import bpy
import numpy as np

from naf_core.job import effort_of

from .animation import curves_of
from .geometry import boxes, metres_per_unit
from .object_properties import SOLID_TYPES
from .visibility import as_rendered

STEP = 0.25  # m that something moves from one state of the room to the next, where few states are enough for that
STILL = 0.01  # m: what moves by less stands still
SMALL = 1.0  # m: what is smaller from corner to corner, as a chair or a toy, changes no room
MOST = 8  # states
SCAN_SECONDS = 5.0  # that a state costs in a bake of standard quality, by experience
LOOKS = 64  # frames at which the scene is looked at; as many more where it changes

# What moves by itself, without curves of its own.
_LIVELY = {
    "BUILD",
    "CLOTH",
    "DYNAMIC_PAINT",
    "EXPLODE",
    "FLUID",
    "MESH_CACHE",
    "MESH_SEQUENCE_CACHE",
    "NODES",
    "OCEAN",
    "PARTICLE_INSTANCE",
    "PARTICLE_SYSTEM",
    "SOFT_BODY",
    "WAVE",
}
_LOOK_AGAIN_S = 2.0  # how long panels, which are drawn many times a second, believe what was found
_SOUNDLESS = ("SPEAKER", "CAMERA", "LIGHT", "LIGHT_PROBE")


_known: dict[int, tuple[float, tuple[str, ...]]] = {}


@dataclass(frozen=True)
class Course:
    """How the room changes: at each of ``frames`` it is as at the frame ``reads[numbers[k]]``, and passes in between.

    ``movers`` are the names of what moves, ``small`` of what moves and is too small to matter. A state costs
    ``scan`` seconds.
    """

    frames: tuple[int, ...]
    numbers: tuple[int, ...]
    reads: tuple[int, ...]
    movers: tuple[str, ...] = ()
    small: tuple[str, ...] = ()
    scan: float = SCAN_SECONDS

    @property
    def text(self) -> str:
        """How many states there are and what they cost, for people; "" where nothing moves."""
        if len(self.reads) < 2:
            return ""
        return f"{len(self.reads)} states of the room, about {self.scan * len(self.reads):.0f} s of scanning"


def course_of(context: bpy.types.Context, frames: Sequence[int]) -> Course:
    """The course of the room over ``frames``; leaves the scene at another frame."""
    frames = tuple(frames)
    still = Course(frames[:1], (0,), frames[:1])
    if len(frames) < 2 or not may_move(context.view_layer):
        return still
    looks = _look(context, frames)
    return replace(chosen(looks), scan=scan_seconds(context.scene)) if len(looks) > 1 else still


def scan_seconds(scene: bpy.types.Scene) -> float:
    """How long the scan of one state takes, by the quality that is chosen."""
    return SCAN_SECONDS * effort_of(scene.acoustics.quality.lower())


def may_move(view_layer: bpy.types.ViewLayer) -> bool:
    """Whether anything that is solid, or carries it, may move or come and go; mistakes are on the side of yes."""
    handlers = bpy.app.handlers
    return bool(
        handlers.frame_change_pre or handlers.frame_change_post or next(animated(bpy.data.objects), None)
    ) or any(
        next(curves_of(item.animation_data), None) is not None
        for kind in ("meshes", "curves", "metaballs", "lattices", "armatures", "shape_keys", "node_groups", "particles")
        for item in getattr(bpy.data, kind)
    )


def animated(objects: Sequence[bpy.types.Object]) -> Iterator[bpy.types.Object]:
    """Those that may move, by curves, constraints or physics, and are solid or carry something."""
    carriers = {item.parent for item in objects if item.parent is not None}
    for item in objects:
        if item.type in _SOUNDLESS and item not in carriers:
            continue
        lively = (
            item.constraints
            or item.rigid_body is not None
            or any(modifier.type in _LIVELY for modifier in item.modifiers)
            or next(curves_of(item.animation_data), None) is not None
        )
        if lively:
            yield item


def movers_of(scene: bpy.types.Scene) -> tuple[str, ...]:
    """Names of what may move and change the room: by its properties, without a look at it at other frames."""
    now = time.monotonic()
    asked, names = _known.get(scene.session_uid, (-_LOOK_AGAIN_S, ()))
    if now - asked >= _LOOK_AGAIN_S:
        least = SMALL / metres_per_unit(scene)
        names = tuple(item.name for item in animated(scene.objects) if _largest(item) >= least)
        _known.clear()
        _known[scene.session_uid] = now, names
    return names


def _largest(item: bpy.types.Object) -> float:
    """How large the largest solid thing is, from corner to corner, that an object is or carries, in Blender's unit."""
    if item.acoustics.surface == "IGNORED":
        return 0.0
    if item.instance_collection is not None:
        return math.inf
    own = item.dimensions.length if item.type in SOLID_TYPES else 0.0
    return max([own, *map(_largest, item.children)])


class Look:
    """Where everything solid is at a frame: its ``keys``, ``names`` and bounding ``boxes`` (n, 8, 3) in metres."""

    def __init__(self, frame: int, found: dict[tuple, tuple[str, np.ndarray]]) -> None:
        self.frame, self.keys = frame, tuple(found)
        self.names = tuple(name for name, _ in found.values())
        self.boxes = np.array([box for _, box in found.values()], np.float32).reshape(-1, 8, 3)
        with np.errstate(invalid="ignore", over="ignore"):
            self.sizes = np.linalg.norm(np.ptp(self.boxes, axis=1), axis=1)

    def moved(self, other: Look) -> dict[str, tuple[float, float]]:
        """How far in m the corners of each thing are from where they are in ``other``, and its size, by name.

        What only one of them has counts as moved by its size; what stands still is left out.
        """
        found: dict[str, tuple[float, float]] = {}
        if self.keys == other.keys:
            with np.errstate(invalid="ignore", over="ignore"):
                way = np.linalg.norm(self.boxes - other.boxes, axis=2).max(axis=1, initial=0.0)
            for k in np.flatnonzero(way > STILL):  # what is no number is told of elsewhere
                self._note(found, k, float(way[k]))
            return found
        places = {key: k for k, key in enumerate(other.keys)}
        for k, key in enumerate(self.keys):
            if key not in places:
                self._note(found, k, float(self.sizes[k]))
                continue
            way = float(np.linalg.norm(self.boxes[k] - other.boxes[places.pop(key)], axis=1).max())
            if way > STILL:
                self._note(found, k, way)
        for k in places.values():
            other._note(found, k, float(other.sizes[k]))
        return found

    def apart(self, other: Look) -> float:
        """How far in m the largest of these ways is, of what is not small."""
        return max((way for way, size in self.moved(other).values() if size >= SMALL), default=0.0)

    def _note(self, found: dict[str, tuple[float, float]], k: int, way: float) -> None:
        before = found.get(self.names[k], (0.0, 0.0))
        found[self.names[k]] = max(way, before[0]), max(float(self.sizes[k]), before[1])


def _look(context: bpy.types.Context, frames: tuple[int, ...]) -> list[Look]:
    """Looks at frames all over the shot, and more of them where it changes."""
    scene, view_layer = context.scene, context.view_layer
    # What the render shows is set by `as_rendered`, once unless it changes.
    blinks = any(
        curve.data_path == "hide_render" for item in bpy.data.objects for curve in curves_of(item.animation_data)
    )
    scene.frame_set(frames[0])
    with nullcontext() if blinks else as_rendered(view_layer):

        def look(place: int) -> Look:
            scene.frame_set(frames[place])
            with as_rendered(view_layer) if blinks else nullcontext():
                return Look(frames[place], boxes(context.evaluated_depsgraph_get()))

        places = np.unique(np.linspace(0, len(frames) - 1, min(LOOKS, len(frames))).round().astype(int)).tolist()
        looks = {place: look(place) for place in places}
        differ = {
            (first, second)
            for first, second in zip(places, places[1:], strict=False)
            if looks[first].apart(looks[second]) > STILL
        }
        for _ in range(LOOKS):
            first, second = max(differ, key=lambda gap: gap[1] - gap[0], default=(0, 0))
            if second - first < 2:
                break
            middle = (first + second) // 2
            looks[middle] = look(middle)
            differ.discard((first, second))
            for gap in ((first, middle), (middle, second)):
                if looks[gap[0]].apart(looks[gap[1]]) > STILL:
                    differ.add(gap)
    return [looks[place] for place in sorted(looks)]


def chosen(looks: Sequence[Look], most: int = MOST) -> Course:
    """The course through ``looks`` with at most ``most`` states, as fine as that allows."""
    moved: dict[str, tuple[float, float]] = {}
    for look in looks[1:]:
        moved |= {name: both for name, both in look.moved(looks[0]).items() if both[1] >= moved.get(name, both)[1]}
    step = STEP
    while True:
        knots, reads = _through(looks, step)
        if len(reads) <= most:
            break
        step *= 1.5
    movers = tuple(name for name, (_, size) in moved.items() if size >= SMALL)
    return Course(
        tuple(looks[look].frame for look, _ in knots),
        tuple(number for _, number in knots),
        tuple(looks[look].frame for look in reads),
        movers if len(reads) > 1 else (),
        tuple(name for name in moved if len(reads) < 2 or name not in movers),
    )


def _through(looks: Sequence[Look], step: float) -> tuple[list[tuple[int, int]], list[int]]:
    """Knots (look, number of the state) and the looks of the states, ``step`` metres from each other or at rest."""
    reads, knots = [0], [(0, 0)]
    now, rest = 0, 0  # the state that holds, and the last look at which it did
    for here in range(1, len(looks)):
        way = looks[reads[now]].apart(looks[here])
        if way <= 0.25 * step:
            rest = here
            continue
        settled = here + 1 == len(looks) or looks[here].apart(looks[here + 1]) <= STILL
        if way < step and not settled:
            continue
        if rest > knots[-1][0]:
            knots.append((rest, now))
        known = [k for k, read in enumerate(reads) if looks[read].apart(looks[here]) <= 0.25 * step]
        now = known[0] if known else len(reads)
        if not known:
            reads.append(here)
        knots.append((here, now))
        rest = here
    return knots, reads
