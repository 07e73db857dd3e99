"""The first sound: direct where the emitter is seen, bent round edges where it is not, and smooth in between.

The complex amplitudes of all short ways round edges (naf_core.bends) are summed with that of the direct sound, if it
is there, and the energy of the sum is averaged over each octave band. So the level is continuous where the emitter
disappears, the slit of a door lets less through than its two jambs, and a thin pole hides no low notes. Edges that lie
behind each other on the same side of the way (both ends of a door reveal) hide once, not twice.
"""

from __future__ import annotations

import numpy as np

from naf_core.air import NEAREST
from naf_core.bands import BAND_EDGES_HZ, EXACT_BANDS_HZ, N_BANDS
from naf_core.bends import WINDOW, Ways, WaySearch, fading
from naf_core.edges import Edges, round_faces
from naf_core.paths import EarlyPaths
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from naf_core.silhouettes import Outline, Silhouette, energy_of

_KEPT = 4  # paths of a hidden pair
_FAINT = 1e-3  # of the strongest path's energy: fainter ones are not kept


def around(scene: Scene, caster: Raycaster, edges: Edges, emitters: np.ndarray, listeners: np.ndarray) -> EarlyPaths:
    """First sound of n pairs, ``emitters`` (n, 3) and ``listeners`` (n, 3) in m; both indices name the pair.

    ``edges`` are those of the scene (find_edges), found once. ``order`` is how many edges a path goes round. A visible
    pair has one path, of order 0, whose energy edges near it have changed. A hidden one has up to four, the strongest,
    whose energies sum to that of the coherent field, and none where no way over at most two edges joins it. ``source``
    points to the last edge, ``departure`` to the first. Swapping the ends changes no energy.
    """
    speed = scene.air.speed_of_sound
    bands = 2.0 * np.pi / speed * np.array(EXACT_BANDS_HZ)
    borders = 2.0 * np.pi / speed * np.array(BAND_EDGES_HZ)
    air = scene.air.absorption()
    emitters, listeners = np.asarray(emitters, np.float64), np.asarray(listeners, np.float64)
    visible = ~(caster.occluded(listeners, emitters) | caster.occluded(emitters, listeners))
    columns: list[tuple[np.ndarray, ...]] = []
    rounded = round_faces(caster, scene)
    smooth = bool(rounded.any())
    for pair, (emitter, listener, lit) in enumerate(zip(emitters, listeners, visible, strict=True)):
        silhouette = Silhouette(caster, rounded, emitter, listener) if smooth else None
        if smooth and not lit and silhouette.hides():
            columns.append(_behind(pair, silhouette, air, borders, speed))
            continue
        ways = WaySearch(caster, edges, emitter, listener, bool(lit), bands).ways()
        if not len(ways.length):
            continue
        energy = _shares(ways, emitter, listener, bool(lit), air, borders)
        strength = energy.sum(axis=1)
        kept = np.argsort(-strength, kind="stable")[:_KEPT]
        kept = kept[strength[kept] > _FAINT * strength.max()]
        part = energy[kept].sum(axis=0)
        energy = energy[kept] * np.where(part > 0.0, energy.sum(axis=0) / np.where(part > 0.0, part, 1.0), 0.0)
        if smooth and lit:
            energy = energy * energy_of(silhouette.beside(), borders)
        index = np.full(len(kept), pair)
        source, departure = _directions(listener, ways.last[kept]), _directions(emitter, ways.first[kept])
        length = ways.length[kept]
        columns.append((index, index, ways.order[kept], length, length / speed, source, departure, energy))
    if not columns:
        return no_paths()
    return EarlyPaths(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _behind(
    pair: int, silhouette: Silhouette, air: np.ndarray, borders: np.ndarray, speed: float
) -> tuple[np.ndarray, ...]:
    """Columns of EarlyPaths for one pair that a round body hides: the shortest ways on either side of it."""
    outline, (emitter, listener) = silhouette.behind(), silhouette.ends
    if not len(outline.detour):
        return no_paths()
    best = int(outline.detour.argmin())
    middle = outline.apex - emitter
    aside = middle - (middle @ silhouette.axis)[:, None] * silhouette.axis
    other = np.flatnonzero(aside @ aside[best] < 0.0)
    halves = [np.setdiff1d(np.arange(len(aside)), other), other]
    own = [energy_of(Outline(*(column[half] for column in outline)), borders) for half in halves if len(half)]
    turns = [half[outline.detour[half].argmin()] for half in halves if len(half)]
    length = silhouette.distance + outline.detour[turns]
    energy = np.array(own) / np.maximum(np.sum(own, axis=0), 1e-300) * energy_of(outline, borders)
    energy *= np.exp(-air * length[:, None]) / max(silhouette.distance, NEAREST) ** 2
    index = np.full(len(turns), pair)
    source, departure = _directions(listener, outline.apex[turns]), _directions(emitter, outline.apex[turns])
    return index, index, np.ones(len(turns), np.int64), length, length / speed, source, departure, energy


def no_paths() -> EarlyPaths:
    """What is found where there is nothing to hear."""
    none, nothing, nowhere = np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 3))
    return EarlyPaths(none, none, none, nothing, nothing, nowhere, nowhere, np.zeros((0, N_BANDS)))


def first_sound(paths: EarlyPaths, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One arrival for each of ``count`` pairs: length (count,) m, direction (count, 3), energy (count, 8).

    The length is that of the shortest path, inf where there is none; the direction at the listener that of the sum of
    all intensities, zero where there is none; the energy their sum.
    """
    length = np.full(count, np.inf)
    np.minimum.at(length, paths.listener, paths.length)
    intensity, energy = np.zeros((count, 3)), np.zeros((count, N_BANDS))
    np.add.at(intensity, paths.listener, paths.source * paths.energy.sum(axis=1)[:, None])
    np.add.at(energy, paths.listener, paths.energy)
    return length, intensity / np.maximum(np.linalg.norm(intensity, axis=1, keepdims=True), 1e-300), energy


def _shares(
    ways: Ways, emitter: np.ndarray, listener: np.ndarray, lit: bool, air: np.ndarray, borders: np.ndarray
) -> np.ndarray:
    """Energy (m, 8) of the coherent sum of all ways, shared out to those that are arrivals of their own.

    These are the direct sound if there is one, else the ways into the shadow, in proportion to their own energies.
    """
    own = ways.order == 0 if lit else ways.bends
    shortest = ways.length[own].min()
    window = WINDOW + max(shortest - float(np.linalg.norm(emitter - listener)), 0.0)
    weight = _novelty(ways, emitter, listener) * fading((ways.length - shortest) / window)
    amplitude = ways.amplitude * weight[:, None] * np.exp(-0.5 * ways.length[:, None] * air)
    # Mean of exp(-j k difference) over each band, from one border to the other: what turns with it is told at each end.
    turned = amplitude * np.exp(-1j * ways.length[:, None] * 0.5 * (borders[:-1] + borders[1:]))
    apart = np.abs(ways.length[:, None] - ways.length)
    total = np.array(
        [
            (band @ np.sinc(apart * step) @ band.conj()).real
            for band, step in zip(turned.T, np.diff(borders) / (2.0 * np.pi), strict=True)
        ]
    )
    share = np.abs(amplitude) ** 2 * own[:, None]
    return np.maximum(total, 0.0) * share / np.maximum(share.sum(axis=0), 1e-300)


def _novelty(ways: Ways, emitter: np.ndarray, listener: np.ndarray) -> np.ndarray:
    """Weight (m,) 0..1 of each way: 0 for an edge that stands behind a stronger one on the same side."""
    axis = _directions(emitter, listener)
    aside = 0.5 * (ways.first + ways.last) - emitter
    aside = aside - (aside @ axis)[:, None] * axis
    on_axis = np.linalg.norm(aside, axis=1) < 1e-5  # m: no side
    aside = _directions(np.zeros(3), aside)
    body = np.where(ways.bends[:, None], -aside, aside)  # from the way towards what hides
    strength = np.abs(ways.amplitude).sum(axis=1)
    order = np.argsort(-strength, kind="stable")
    same = np.where(on_axis[:, None] | on_axis, 1.0, np.maximum(body @ body.T, 0.0))[np.ix_(order, order)]
    bent = ways.order[order] > 0
    counts = np.tril(np.ones_like(same, bool), -1) & bent[:, None] & bent
    weight = np.empty(len(strength))
    weight[order] = np.where(counts, 1.0 - same, 1.0).prod(axis=1)
    return weight


def _directions(origin: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Unit vectors from ``origin`` (3,) to ``points`` (..., 3); zero for the origin itself."""
    way = points - origin
    return way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-9)
