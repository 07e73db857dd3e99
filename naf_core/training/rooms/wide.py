"""Rooms of every kind that scenes have, from a cupboard to a cathedral and a street."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from naf_core.air import Air
from naf_core.training.rooms import dwellings, halls, outdoors
from naf_core.training.rooms.builder import Room
from naf_core.training.rooms.furniture import furnish
from naf_core.training.rooms.points import choose_points
from naf_core.training.rooms.site import Site, between

# Kind, what makes it, and its share of all rooms.
_MAKERS: dict[str, tuple[Callable[[Site], None], float]] = {
    "single": (dwellings.single, 0.11),
    "flat": (dwellings.flat, 0.17),
    "corridor": (dwellings.corridor, 0.08),
    "storeys": (dwellings.storeys, 0.08),
    "stairs": (dwellings.stairs, 0.04),
    "cupboard": (dwellings.cupboard, 0.05),
    "vault": (halls.vault, 0.07),
    "office": (halls.office, 0.06),
    "works": (halls.works, 0.04),
    "church": (halls.church, 0.06),
    "theatre": (halls.theatre, 0.05),
    "rotunda": (halls.rotunda, 0.06),
    "tunnel": (halls.tunnel, 0.03),
    "courtyard": (outdoors.courtyard, 0.04),
    "street": (outdoors.street, 0.03),
    "set": (outdoors.stage_set, 0.03),
}
WIDE_KINDS = {kind: share for kind, (_, share) in _MAKERS.items()}
_FEWEST = 50  # triangles
_STREAM = 0x51DE  # of random numbers: another than that of the plain rooms


def kind_of(seed: int) -> str:
    """The kind of the wide room of ``seed``."""
    return _draw_kind(np.random.default_rng([seed, _STREAM]))


def _draw_kind(rng: np.random.Generator) -> str:
    return str(rng.choice(list(WIDE_KINDS), p=list(WIDE_KINDS.values())))


def make_site(seed: int, kind: str | None = None) -> tuple[str, Site, Air]:
    """The kind of the wide room of ``seed``, all that bounds it, and its air."""
    rng = np.random.default_rng([seed, _STREAM])
    chosen = _draw_kind(rng)
    kind = kind or chosen
    # From bare concrete to a studio.
    site = Site(rng, mood=between(rng, 0.012, 0.45))
    _MAKERS[kind][0](site)
    if rng.random() < 0.4:
        site.wedge = float(rng.uniform(-0.15, 0.15)) / max(float(np.abs(c[..., 1]).max()) for c in site.corners)
    while site.count < _FEWEST:
        furnish(site, site.zones[0], 1)
    air = Air(temperature=float(rng.uniform(5, 30)), humidity=float(rng.uniform(20, 80)))
    site.temper(air)
    return kind, site, air


def make_wide(seed: int, n_points: int, kind: str | None = None) -> Room:
    """Make the wide room of ``seed`` with ``n_points`` points in its air."""
    kind, site, air = make_site(seed, kind)
    scene = site.scene(air)
    return Room(kind, scene, choose_points(site, scene, n_points))
