"""What an inspection finds: faults of objects, openings of rooms, and who stands where none hears."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from naf_core.inspection import Inspection, Note, Owner
from naf_core.raycast import Raycaster, sphere_directions
from naf_core.soundness import Fault, faults, leaks

_LEAST = 0.002  # share of all sound: smaller openings are not told one by one
_MOST_OPENINGS = 3
_AWAY = 0.1  # m: that somebody is moved off a surface
_OUTDOORS = 0.3  # share of all directions that lead outside: who sees more stands in no room that could have a hole
_OPEN = 0.2  # who sees that much of the open, and nobody whom others hear, is outside
_WALKS, _FLIGHTS = 256, 12  # of rays that look for a way through the air
# By kind: what one triangle is, what {0} are, and what that means. Whole sentences, so that they can be translated.
_SAID = {
    "zero-area": (
        "1 triangle has no area",
        "{0} triangles have no area",
        "no sound meets them; Mesh > Clean Up > Degenerate Dissolve ends it",
    ),
    "duplicate": (
        "1 triangle lies exactly on another",
        "{0} triangles lie exactly on others",
        "of two materials there either one is heard",
    ),
    "flipped": (
        "1 triangle faces the other way",
        "{0} triangles face the other way",
        "sound meets both sides alike, so nothing changes",
    ),
    "intersecting": (
        "1 triangle is cut through",
        "{0} triangles are cut through",
        "harmless, unless a room was to be closed there",
    ),
}


def inspect(task: Inspection, progress: Callable[[float], None] | None = None) -> list[Note]:
    """What a person should know of a scene, the gravest first; ``progress`` gets 0..1."""
    tell = progress or (lambda fraction: None)
    scene, owners = task.scene, task.owners
    owner = np.repeat(np.arange(len(owners)), [o.count for o in owners])
    caster = Raycaster(scene)
    tell(0.1)
    points = np.array([person.position for person in task.people]).reshape(-1, 3)
    notes: list[Note] = []
    if len(points) and len(scene.triangles):
        open_share = np.array([_open_share(caster, point) for point in caster.off_surfaces(points)])
        notes += _seats(task, caster, owner, open_share)
        tell(0.2)
        notes += _openings(task, caster, owner, points, open_share)
    tell(0.4)
    for fault in faults(scene.vertices, scene.triangles, scene.material_index):
        notes += _of_fault(fault, owners, owner)
    flat = [(o.name, o.flat) for o in owners if o.flat]
    if flat and not any(note.kind == "zero-area" for note in notes):
        notes.append(_counted("zero-area", flat, None))
    tell(1.0)
    return notes


def run(folder: Path, emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Inspect what is in ``folder``, telling ``emit`` how far it is; returns {"notes": [as `Note`]}."""
    task = Inspection.load(folder)
    notes = inspect(task, lambda f: emit({"event": "progress", "fraction": f, "message": "Looking at the geometry"}))
    return {"notes": [asdict(note) for note in notes]}


def _of_fault(fault: Fault, owners: Sequence[Owner], owner: np.ndarray) -> list[Note]:
    """A note on each kind of fault: of the object with the most, and how many more there are."""
    counts = np.bincount(owner[fault.triangles], minlength=len(owners))
    if fault.kind == "zero-area":
        counts += [o.flat for o in owners]
    total: dict[str, int] = {}
    for row in np.flatnonzero(counts):
        total[owners[row].name] = total.get(owners[row].name, 0) + int(counts[row])
    worst = max(total, key=total.get)
    first = next(
        (k for k, row in enumerate(fault.triangles[: len(fault.places)]) if owners[owner[row]].name == worst), None
    )
    return [_counted(fault.kind, list(total.items()), None if first is None else fault.places[first])]


def _counted(kind: str, counts: Sequence[tuple[str, int]], place: np.ndarray | None) -> Note:
    """A note on so many triangles of a kind, by object."""
    name, count = max(counts, key=lambda pair: pair[1])
    one, many, meaning = _SAID[kind]
    text = one if count == 1 else many.format(count)
    if len(counts) == 2:
        text = f"{text}, and of 1 more object"
    elif len(counts) > 2:
        text = f"{text}, and of {len(counts) - 1} more objects"
    return Note(kind, f"“{name}”: {text}; {meaning}", name, _numbers(place))


def _openings(
    task: Inspection, caster: Raycaster, owner: np.ndarray, points: np.ndarray, open_share: np.ndarray
) -> list[Note]:
    """Where the scene is open, as seen by those who stand indoors."""
    indoors = open_share < _OUTDOORS
    if not indoors.any():
        name, share = task.people[0].name, 100.0 * open_share[0]
        text = (
            f"The scene is open: {share:.0f} % of the directions around “{name}” lead outside; right for outdoors, else"
            " walls or a ceiling are missing"
        )
        return [Note("leak", text, name, _numbers(points[0]))]
    found = leaks(task.scene, points[indoors], raycaster=caster)
    notes = []
    large = [o for o in found.openings if o.share >= _LEAST][: 2 * _MOST_OPENINGS]
    # From an opening much of the outside is seen; at the border of what stands before one, about as much as elsewhere.
    wide = [_open_share(caster, o.place) for o in large]
    true = [o for o, share in zip(large, wide, strict=True) if share >= 0.5 * max(wide)]
    for opening in true[:_MOST_OPENINGS]:
        beside = task.owners[_around(caster, owner, opening.place)].name
        share = 100.0 * opening.share
        text = (
            f"The room is open beside “{beside}”: {f'{share:.0f}' if share > 10.0 else f'{share:.2g}'} % of the sound"
            " goes out there; close it, unless it is a window or a door"
        )
        notes.append(Note("leak", text, beside, _numbers(opening.place)))
    if not notes and found.reflected > _LEAST:
        notes.append(Note("leak", found.message.removesuffix(".")))
    return notes


def _open_share(caster: Raycaster, point: np.ndarray) -> float:
    """Share of the directions from a ``point`` (3,) that lead outside."""
    looks = sphere_directions(1024)
    origins = np.broadcast_to(np.asarray(point, np.float32), looks.shape)
    return float((caster.intersect(origins, looks).triangle < 0).mean())


def _around(caster: Raycaster, owner: np.ndarray, place: np.ndarray) -> int:
    """Whose surface is nearest to a ``place`` (3,)."""
    looks = sphere_directions(1024)
    hits = caster.intersect(np.broadcast_to(np.asarray(place, np.float32), looks.shape), looks)
    return int(owner[hits.triangle[np.argmin(hits.distance)]])


def _seats(task: Inspection, caster: Raycaster, owner: np.ndarray, open_share: np.ndarray) -> list[Note]:
    """Who lies on a surface, and who is out of reach of the listener."""
    people, notes = task.people, []
    points = np.array([person.position for person in people], np.float32)
    moved = caster.off_surfaces(points)
    shift = (moved - points).astype(np.float64)
    for person, point, here, aside in zip(people, points, moved, shift, strict=True):
        length = np.linalg.norm(aside)
        if length > 0.0:
            way = aside / length
            hit = caster.intersect(here[None], -way[None].astype(np.float32))
            other = task.owners[owner[hit.triangle[0]]].name if hit.triangle[0] >= 0 else ""
            where = f"a surface of “{other}”" if other else "a surface"
            text = f"“{person.name}” lies on {where}: move it a hand's breadth off"
            notes.append(Note("surface", text, person.name, _numbers(point), _numbers(_AWAY * way)))
    ears = [row for row, person in enumerate(people) if person.hears]
    if not ears:
        return notes
    ear = ears[0]
    apart, others = ~_reached(caster, moved, ear), np.arange(len(people)) != ear
    if others.any() and apart[others].all():
        # Nobody is reached: the listener is who is elsewhere if none but that one is outside, or shut in more closely.
        room = np.array([_room(caster, point) for point in moved])
        if open_share[ear] > _OPEN >= open_share[others].max() or room[ear] < room[others].min():
            apart = ~others
    listener = people[ear].name
    for row in np.flatnonzero(apart):
        person = people[row]
        who = "any Speaker" if row == ear else f"“{listener}”"
        if open_share[row] > _OPEN:
            text = f"“{person.name}” is outside: no way through the air leads to {who}; move it into the room"
            notes.append(Note("outside", text, person.name, _numbers(points[row])))
            continue
        other = task.owners[_surrounding(caster, owner, moved[row])].name
        text = (
            f"“{person.name}” is shut in by “{other}”: no way through the air leads to {who}; move it, open that"
            " object, or let sound ignore it"
        )
        notes.append(Note("inside", text, person.name, _numbers(points[row]), other=other))
    return notes


def _room(caster: Raycaster, point: np.ndarray) -> float:
    """How far off most of what surrounds a ``point`` (3,) is, in m."""
    looks = sphere_directions(256)
    return float(np.median(caster.intersect(np.broadcast_to(point, looks.shape), looks).distance))


def _surrounding(caster: Raycaster, owner: np.ndarray, point: np.ndarray) -> int:
    """Whose surfaces are most around a ``point`` (3,)."""
    looks = sphere_directions(256)
    hits = caster.intersect(np.broadcast_to(point, looks.shape), looks)
    met = hits.triangle[hits.triangle >= 0]
    return int(np.bincount(owner[met]).argmax())


def _reached(caster: Raycaster, points: np.ndarray, ear: int) -> np.ndarray:
    """Whether a way through the air leads from each of ``points`` (n, 3) to that of the row ``ear``: (n,) bool.

    From each, diffusely reflected rays are followed; who sees one of their places, or is seen from a place of those
    that come from the ear, is reached.
    """
    clouds = [_cloud(caster, point) for point in points]
    reached = np.zeros(len(points), bool)
    for row, point in enumerate(points):
        for cloud, target in ((clouds[ear], point), (clouds[row], points[ear])):
            reached[row] |= not caster.occluded(cloud, np.broadcast_to(target, cloud.shape)).all()
    return reached


def _cloud(caster: Raycaster, point: np.ndarray) -> np.ndarray:
    """Places (n, 3) that sound from ``point`` (3,) comes by, the point among them."""
    rng = np.random.default_rng(0)
    position, direction = np.tile(point, (_WALKS, 1)), sphere_directions(_WALKS)
    places = [point[None]]
    for _ in range(_FLIGHTS):
        hits = caster.intersect(position, direction)
        met = hits.triangle >= 0
        if not met.any():
            break
        normal = caster.facing_normals(hits.triangle[met], direction[met])
        position = position[met] + direction[met] * hits.distance[met, None] + normal * np.float32(caster.epsilon)
        scattered = rng.normal(size=normal.shape)
        direction = normal + scattered / np.linalg.norm(scattered, axis=1, keepdims=True)
        direction = (direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)).astype(np.float32)
        places.append(position)
    return np.concatenate(places).astype(np.float32)


def _numbers(vector: np.ndarray | None) -> tuple[float, float, float] | None:
    return None if vector is None else tuple(round(float(x), 4) for x in vector)
