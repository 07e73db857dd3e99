"""An inspection of a scene before anything is baked: what is looked at, and the notes on what was found.

The folder of an inspection holds ``scene.h5`` (see `Scene.save`) and ``inspection.json``: whose the triangles are, and
who sounds and hears. It comes from outside the worker, so every value is checked.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from naf_core.errors import UserError
from naf_core.fields import Fields, read_json
from naf_core.scene import Scene

SCENE_FILE, FILE = "scene.h5", "inspection.json"
MAX_OWNERS, MAX_PEOPLE = 1_000_000, 2000


@dataclass(frozen=True)
class Owner:
    """An object of ``name`` that has ``count`` triangles of the scene, and had ``flat`` more without area."""

    name: str
    count: int
    flat: int = 0


@dataclass(frozen=True)
class Person:
    """Who sounds, or ``hears``, at ``position`` (3,) m."""

    name: str
    position: tuple[float, float, float]
    hears: bool = False


@dataclass(frozen=True)
class Note:
    """What was found: ``text`` for people, of the object ``name`` and about ``place`` (3,) m where there is one.

    ``kind`` is one of those of `Fault`, "leak", "surface", "inside" or "outside"; ``way`` (3,) m is where to move who
    lies on a surface, ``other`` the object that somebody is inside of.
    """

    kind: str
    text: str
    name: str | None = None
    place: tuple[float, float, float] | None = None
    way: tuple[float, float, float] | None = None
    other: str | None = None


@dataclass(frozen=True)
class Inspection:
    """What is inspected: a ``scene`` whose triangles belong to the ``owners`` in this order, and who is there."""

    scene: Scene
    owners: tuple[Owner, ...]
    people: tuple[Person, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "owners", tuple(self.owners))
        object.__setattr__(self, "people", tuple(self.people))
        if len(self.owners) > MAX_OWNERS or len(self.people) > MAX_PEOPLE:
            raise UserError(f"An inspection takes {MAX_OWNERS} objects and {MAX_PEOPLE} Speakers at most.")
        if min((min(o.count, o.flat) for o in self.owners), default=0) < 0:
            raise UserError("An object of the inspection has less than no triangles: write it again.")
        if sum(o.count for o in self.owners) != len(self.scene.triangles):
            raise UserError("The objects of the inspection do not have as many triangles as its scene: write it again.")
        for person in self.people:
            if np.shape(person.position) != (3,) or not (np.abs(person.position) < 1e6).all():
                raise UserError(f"The position of “{person.name}” is not three numbers in metres.", person.name)

    def save(self, folder: str | Path) -> None:
        """Write the folder, making it where needed."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.scene.save(folder / SCENE_FILE)
        text = {"owners": [asdict(o) for o in self.owners], "people": [asdict(p) for p in self.people]}
        part = folder / (FILE + ".part")
        part.write_text(json.dumps(text, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(part, folder / FILE)

    @classmethod
    def load(cls, folder: str | Path) -> Inspection:
        """Read a folder written by `save`; raises UserError when it is missing, foreign or damaged."""
        folder = Path(folder)
        text = Fields(read_json(folder / FILE), folder / FILE)
        owners = [Owner(e.text("name"), e.whole("count"), e.whole("flat")) for e in text.entries("owners", MAX_OWNERS)]
        people = [
            Person(e.text("name"), e.numbers("position", 3), e.flag("hears"))
            for e in text.entries("people", MAX_PEOPLE)
        ]
        return cls(Scene.load(folder / SCENE_FILE), tuple(owners), tuple(people))
