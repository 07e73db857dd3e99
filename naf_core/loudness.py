"""Loudness: the A-weighted levels that emitters cause at points and over a floor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from naf_core.airspace import reached_by, regions, roomy_regions, sees, without_gaps
from naf_core.bands import A_WEIGHTING_DB, N_BANDS
from naf_core.job import FloorMap
from naf_core.lattice import Lattice
from naf_core.materials import Material
from naf_core.raycast import Raycaster
from naf_core.response import EnergyResponse
from naf_core.scene import Emitter, Scene

NEAREST = 0.1  # m: closer to an emitter the level is that at this distance
_PAIRS = 3000  # emitter-point pairs that one map may ask of the field
_BATCH = 512  # pairs predicted at a time: bounds memory, and lets a person cancel
_NOTHING_DB = -100.0


class Predictor(Protocol):
    """What is asked of a field."""

    def predict(self, emitters: np.ndarray, listeners: np.ndarray) -> EnergyResponse:
        """Responses of pairs of ``emitters`` (N, 3) and ``listeners`` (N, 3), in metres."""


@dataclass(frozen=True)
class Source:
    """An emitter at one moment: ``position`` (3,) in m; ``energy`` (8,) A-weighted, 10^(dB(A)/10) at 1 m."""

    name: str
    position: np.ndarray
    energy: np.ndarray


@dataclass(frozen=True)
class FloorLevels:
    """Levels over a floor: ``levels`` (height, width) in dB(A), NaN off the floor and where nobody can hear.

    ``solid`` (height, width) bool: what stands at the height of the ears, on the floor and beside it.
    """

    levels: np.ndarray
    solid: np.ndarray


def source_at(emitter: Emitter, spectrum: np.ndarray, time: float) -> Source:
    """The emitter at ``time`` in seconds, sounding steadily with the mean ``spectrum`` (8,) of its sound.

    ``spectrum`` is energy by octave band in any unit; it is scaled so that all bands together give the emitter's
    A-weighted level at 1 m in the free field, times its gain.
    """
    times = emitter.trajectory.times
    position = [np.interp(time, times, emitter.trajectory.positions[:, axis]) for axis in range(3)]
    gain = float(np.interp(time, times, emitter.gain))
    weighted = np.asarray(spectrum, np.float64) * 10.0 ** (np.array(A_WEIGHTING_DB) / 10.0)
    total = weighted.sum()
    energy = weighted / total * 10.0 ** (emitter.level / 10.0) * gain**2 if total > 0.0 else np.zeros(N_BANDS)
    return Source(emitter.name, np.array(position), energy)


def levels(field: Predictor, sources: Sequence[Source], points: np.ndarray) -> np.ndarray:
    """A-weighted level of all ``sources`` together at ``points`` (n, 3) in metres: (n,) dB(A), -inf for silence."""
    points = np.asarray(points, np.float64).reshape(-1, 3)
    total = sum((_predicted(field, source, points, direct=True) for source in sources), np.zeros(len(points)))
    with np.errstate(divide="ignore"):
        return 10.0 * np.log10(total)


def floor_levels(
    field: Predictor,
    scene: Scene,
    sources: Sequence[Source],
    floor: FloorMap,
    progress: Callable[[float], None] | None = None,
    caster: Raycaster | None = None,
) -> FloorLevels:
    """Levels over all texels of ``floor``.

    The direct sound is exact at every texel. Reflected sound, which varies slowly, is predicted on a lattice and
    interpolated between the lattice points that see the texel, so that walls and doorways stay sharp.
    """
    caster = caster or Raycaster(scene)
    sources = [source for source in sources if source.energy.any()]
    ears, covered = _ears(floor)
    texel = max(np.linalg.norm(floor.u) / floor.width, np.linalg.norm(floor.v) / floor.height)
    region, wall = regions(caster, ears, texel)
    roomy = roomy_regions(region, texel)
    seen = np.array([sees(caster, ears, source.position) for source in sources]).reshape(-1, *covered.shape)
    reached = reached_by(region, seen, roomy)
    open_air = without_gaps(covered & ~wall & reached.any(axis=0), texel)
    reached &= open_air

    reflected = _reflected(field, caster, sources, ears, reached, progress)
    total = np.zeros(covered.shape)
    for number, source in enumerate(sources):
        total += np.where(reached[number], 10.0 ** (reflected[number] / 10.0), 0.0)
        share = _share_seen(caster, floor, ears, seen[number], reached[number], source.position)
        total += np.where(reached[number], share * _direct(scene, source, ears), 0.0)
    with np.errstate(divide="ignore"):
        level = 10.0 * np.log10(total)
    solid = np.where(covered, ~open_air, wall | ~roomy)
    return FloorLevels(np.where(open_air & (total > 0.0), level, np.nan), solid)


def _reflected(
    field: Predictor,
    caster: Raycaster,
    sources: Sequence[Source],
    ears: np.ndarray,
    reached: np.ndarray,
    progress: Callable[[float], None] | None,
) -> np.ndarray:
    """Levels (S, h, w) in dB(A) of what surfaces reflect, at the texels that each source reaches (S, h, w)."""
    lattice = Lattice(caster, ears, reached.any(axis=0), max(16, _PAIRS // max(1, len(sources))))
    flat = ears.reshape(-1, 3)
    values = np.full((len(sources), len(lattice.nodes)), np.nan)
    for number, source in enumerate(sources):

        def report(fraction: float, before: int = number) -> None:
            if progress is not None:
                progress((before + fraction) / len(sources))

        wanted = reached[number].ravel()[lattice.nodes]
        energy = _predicted(field, source, flat[lattice.nodes[wanted]], direct=False, progress=report)
        values[number, wanted] = _decibel(energy)
    result = lattice.spread(values)
    for number, source in enumerate(sources):
        left = np.flatnonzero(reached[number] & np.isnan(result[number]))
        if len(left):
            # Nooks from which no lattice point is seen have points of their own.
            row, column = np.unravel_index(left, reached.shape[1:])
            cell = row // lattice.step * reached.shape[2] + column // lattice.step
            chosen = left[np.unique(cell, return_index=True)[1]]
            level = _decibel(_predicted(field, source, flat[chosen], direct=False))
            result[number].ravel()[left] = level[cKDTree(flat[chosen]).query(flat[left])[1]]
    return np.nan_to_num(result, nan=_NOTHING_DB)


def _predicted(
    field: Predictor,
    source: Source,
    points: np.ndarray,
    direct: bool,
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """A-weighted energy of one source at ``points`` (n, 3): (n,), with or without the direct sound."""
    result = np.zeros(len(points))
    if not source.energy.any():
        return result
    for start in range(0, len(points), _BATCH):
        part = points[start : start + _BATCH]
        response = field.predict(np.broadcast_to(source.position, part.shape), part)
        bands = response.total if direct else response.total - response.direct
        result[start : start + _BATCH] = np.maximum(bands, 0.0) @ source.energy
        if progress is not None:
            progress(min(1.0, (start + _BATCH) / len(points)))
    return result


def _direct(scene: Scene, source: Source, points: np.ndarray) -> np.ndarray:
    """A-weighted energy of the direct sound at ``points`` (..., 3) that nothing hides: (...)."""
    distance = np.maximum(np.linalg.norm(points - source.position, axis=-1), NEAREST)
    return np.exp(-distance[..., None] * scene.air.absorption()) @ source.energy / distance**2


def _share_seen(
    caster: Raycaster,
    floor: FloorMap,
    ears: np.ndarray,
    seen: np.ndarray,
    wanted: np.ndarray,
    position: np.ndarray,
) -> np.ndarray:
    """Share of each texel (h, w) from which ``position`` (3,) is seen: fractions along the edges of shadows."""
    share = seen.astype(float)
    edge = np.flatnonzero((ndimage.maximum_filter(seen, 3) != ndimage.minimum_filter(seen, 3)) & wanted)
    parts = (np.arange(4) + 0.5) / 4.0 - 0.5
    hits = np.zeros(len(edge))
    for a in parts:
        for b in parts:
            points = ears.reshape(-1, 3)[edge] + a * floor.u / floor.width + b * floor.v / floor.height
            hits += sees(caster, points, position)
    share.ravel()[edge] = hits / len(parts) ** 2
    return share


def _ears(floor: FloorMap) -> tuple[np.ndarray, np.ndarray]:
    """Ear positions over all texels (h, w, 3), and which texels the floor's triangles cover (h, w) bool."""
    ears = floor.centres()
    covered = np.ones(ears.shape[:2], bool)
    if len(floor.triangles):
        silent = Material("floor", absorption=(0.0,) * N_BANDS, scattering=(0.0,) * N_BANDS)
        corners = floor.triangles.reshape(-1, 3)
        faces = np.arange(len(corners)).reshape(-1, 3)
        caster = Raycaster(Scene(corners, faces, np.zeros(len(faces), int), [silent]))
        top = corners[:, 2].max() + 1.0
        covered[:] = False
        # A ray may slip between two triangles along their common edge: a second one, a little beside, does not.
        for shift in (0.0, 0.013, -0.029):
            missing = np.flatnonzero(~covered)
            origins = ears.reshape(-1, 3)[missing] + shift * (floor.u / floor.width + floor.v / floor.height)
            origins[:, 2] = top
            distance = caster.intersect(origins, np.tile((0.0, 0.0, -1.0), (len(missing), 1))).distance
            hit = np.isfinite(distance)
            covered.ravel()[missing[hit]] = True
            ears.reshape(-1, 3)[missing[hit], 2] = top - distance[hit]
    ears[..., 2] += floor.ear_height
    return ears, covered


def _decibel(energy: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(energy, 10.0 ** (_NOTHING_DB / 10.0)))
