"""Loudness: the A-weighted levels that emitters cause at points and over a floor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from naf_core.bands import A_WEIGHTING_DB, N_BANDS
from naf_core.job import FloorMap
from naf_core.materials import Material
from naf_core.raycast import Raycaster
from naf_core.response import EnergyResponse
from naf_core.scene import Emitter, Scene

NEAREST = 0.1  # m: closer to an emitter the level is that at this distance
_PAIRS = 3000  # emitter-point pairs that one map may ask of the field
_BATCH = 512  # pairs predicted at a time: bounds memory, and lets a person cancel
_ROOMY = 0.35  # m: a region with less clearance everywhere is the inside of a wall or a cupboard
_SMALLEST = 0.12  # square metres of floor
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
    region, wall = _regions(caster, ears)
    shape = covered.shape
    flat = ears.reshape(-1, 3)
    sees = np.array([~caster.occluded(flat, np.broadcast_to(s.position, flat.shape)) for s in sources])
    roomy = _roomy(region, _texel_size(floor))
    reached = _reached(region, sees.reshape(-1, *shape), roomy)
    open_air = _without_gaps(covered & ~wall & reached.any(axis=0), _texel_size(floor))

    lattice = _Lattice(caster, ears, open_air, len(sources))
    total = np.zeros(shape)
    for number, source in enumerate(sources):
        wanted = open_air & reached[number]
        nodes = lattice.nodes[wanted.ravel()[lattice.nodes]]
        done = number / len(sources)

        def report(fraction: float, done: float = done) -> None:
            if progress is not None:
                progress(done + fraction / len(sources))

        energy = _predicted(field, source, flat[nodes], direct=False, progress=report)
        total += np.where(wanted, lattice.spread(nodes, energy, field, source, wanted), 0.0)
        seen = _share_seen(caster, floor, ears, sees[number].reshape(shape), wanted, source.position)
        total += np.where(wanted, seen * _direct(scene, source, ears), 0.0)
    with np.errstate(divide="ignore"):
        level = 10.0 * np.log10(total)
    solid = np.where(covered, ~open_air, wall | ~roomy)
    return FloorLevels(np.where(open_air & (total > 0.0), level, np.nan), solid)


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
    sees: np.ndarray,
    wanted: np.ndarray,
    position: np.ndarray,
) -> np.ndarray:
    """Share of each texel (h, w) from which ``position`` (3,) is seen: fractions along the edges of shadows."""
    share = sees.astype(float)
    edge = np.flatnonzero((ndimage.maximum_filter(sees, 3) != ndimage.minimum_filter(sees, 3)) & wanted)
    parts = (np.arange(4) + 0.5) / 4.0 - 0.5
    hits = np.zeros(len(edge))
    for a in parts:
        for b in parts:
            points = ears.reshape(-1, 3)[edge] + a * floor.u / floor.width + b * floor.v / floor.height
            hits += ~caster.occluded(points, np.broadcast_to(position, points.shape))
    share.ravel()[edge] = hits / len(parts) ** 2
    return share


def _texel_size(floor: FloorMap) -> float:
    """The larger side of a texel in metres."""
    return max(float(np.linalg.norm(floor.u)) / floor.width, float(np.linalg.norm(floor.v)) / floor.height)


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


def _regions(caster: Raycaster, ears: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Connected regions of air: a label for each texel (h, w), and the texels that a wall runs through (h, w) bool.

    Texels are connected where nothing stands between their ears, or between points above or below them.
    """
    height, width = ears.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    wall = np.zeros(height * width, bool)
    links = []
    for ahead, behind in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
    ):
        start, end = index[behind].ravel(), index[ahead].ravel()
        way = (ears[ahead] - ears[behind]).reshape(-1, 3)
        length = np.linalg.norm(way, axis=1)
        met = caster.intersect(ears[behind].reshape(-1, 3), way / np.maximum(length, 1e-9)[:, None]).distance
        free = met >= length
        links.append((start[free], end[free]))
        nearer = met < 0.5 * length
        wall[np.where(nearer, start, end)[~free]] = True
    links += _links_over_and_under(caster, ears, index)
    start, end = (np.concatenate(side) for side in zip(*links, strict=True))
    size = max(index.size, int(max(start.max(initial=0), end.max(initial=0))) + 1)
    graph = coo_matrix((np.ones(len(start), bool), (start, end)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][: index.size]
    return labels.reshape(height, width), wall.reshape(height, width)


def _links_over_and_under(
    caster: Raycaster, ears: np.ndarray, index: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Links through layers above and below the ears, so that low screens and hatches do not part the air."""
    step = max(1, max(index.shape) // 64)
    places = np.ascontiguousarray(ears[::step, ::step])
    layers = [index[::step, ::step]]
    links = []
    for number, shift in enumerate((-0.6, 0.75, 1.5)):
        layer = places + (0.0, 0.0, shift)
        name = index.size + number * layers[0].size + np.arange(layers[0].size).reshape(layers[0].shape)
        pairs = [
            (places, layer, layers[0], name),
            (layer[:, :-1], layer[:, 1:], name[:, :-1], name[:, 1:]),
            (layer[:-1], layer[1:], name[:-1], name[1:]),
        ]
        for origins, targets, start, end in pairs:
            free = ~caster.occluded(origins.reshape(-1, 3), targets.reshape(-1, 3))
            links.append((start.ravel()[free], end.ravel()[free]))
    return links


def _roomy(region: np.ndarray, texel: float) -> np.ndarray:
    """Which texels (h, w) lie in a region that has room for a head somewhere; ``texel`` is their size in m."""
    same = np.ones(region.shape, bool)
    for axis in (0, 1):
        change = np.diff(region, axis=axis) != 0
        before, behind = [[(0, 0), (0, 0)] for _ in range(2)]
        before[axis], behind[axis] = (1, 0), (0, 1)
        same &= ~np.pad(change, before) & ~np.pad(change, behind)
    clearance = np.zeros(region.max() + 1)
    np.maximum.at(clearance, region, ndimage.distance_transform_edt(np.pad(same, 1))[1:-1, 1:-1] * texel)
    return (clearance >= _ROOMY)[region]


def _reached(region: np.ndarray, sees: np.ndarray, roomy: np.ndarray) -> np.ndarray:
    """Which texels the sound of each source can reach at all, (S, h, w) bool.

    ``region`` (h, w) labels, ``sees`` (S, h, w), ``roomy`` (h, w).
    """
    reached = np.zeros(sees.shape, bool)
    for number, seen in enumerate(sees):
        known = np.zeros(region.max() + 1, bool)
        known[region[seen & roomy]] = True
        # A source that sees none of the map's air stands in a room beyond it, or is shut in: where its sound comes
        # through cannot be told from here, so it may reach every region that is more than the inside of a wall.
        reached[number] = known[region] if known.any() else roomy
    return reached


def _without_gaps(open_air: np.ndarray, texel: float) -> np.ndarray:
    """``open_air`` (h, w) without the specks into which nobody fits, such as the gap behind a cupboard."""
    label, count = ndimage.label(open_air)
    area = np.bincount(label.ravel(), minlength=count + 1) * texel**2
    large = area >= min(_SMALLEST, area[1:].max(initial=0.0))
    return open_air & large[label]


class _Lattice:
    """Every so-many-th texel, at which reflected sound is predicted, and the way back to all texels."""

    def __init__(self, caster: Raycaster, ears: np.ndarray, open_air: np.ndarray, n_sources: int) -> None:
        self.ears, self.shape = ears, open_air.shape
        budget = max(16, _PAIRS // max(1, n_sources))
        self.step = max(2, int(np.ceil(np.sqrt(open_air.sum() / budget))))
        first = self.step // 2
        rows, columns = (np.arange(min(first, n - 1), n, self.step) for n in self.shape)
        index = np.arange(open_air.size).reshape(self.shape)
        grid = index[np.ix_(rows, columns)]
        self.nodes = grid[open_air.ravel()[grid]]
        # Cubic B-spline weights over 4 x 4 lattice points: positive and smooth, so contours have no corners.
        weights, neighbours = [], []
        for axis, places in enumerate((rows, columns)):
            position = (np.arange(self.shape[axis]) - places[0]) / self.step
            base = np.floor(position).astype(int)
            t = (position - base)[:, None]
            weights.append(
                np.concatenate(
                    [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
                )
                / 6.0
                + 1e-4
            )
            neighbours.append(base[:, None] + np.arange(-1, 3))
        texels = np.flatnonzero(open_air)
        i, j = np.unravel_index(texels, self.shape)
        a, b = (np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4))
        row, column = neighbours[0][i][:, a], neighbours[1][j][:, b]
        inside = (row >= 0) & (row < len(rows)) & (column >= 0) & (column < len(columns))
        node = grid[np.clip(row, 0, len(rows) - 1), np.clip(column, 0, len(columns) - 1)]
        weight = np.where(inside & open_air.ravel()[node], weights[0][i][:, a] * weights[1][j][:, b], 0.0)
        where = np.nonzero(weight)
        flat = ears.reshape(-1, 3)
        hidden = caster.occluded(flat[texels[where[0]]], flat[node[where]])
        weight[where[0][hidden], where[1][hidden]] = 0.0
        self.texels, self.node, self.weight = texels, node, weight

    def spread(
        self, nodes: np.ndarray, energy: np.ndarray, field: Predictor, source: Source, wanted: np.ndarray
    ) -> np.ndarray:
        """Energy (h, w) at the ``wanted`` texels from ``energy`` (n,) at ``nodes`` (n,), interpolated in dB."""
        level = np.zeros(wanted.size)
        known = np.zeros(wanted.size, bool)
        level[nodes] = _decibel(energy)
        known[nodes] = True
        weight = self.weight * known[self.node]
        total = weight.sum(axis=1)
        result = np.full(wanted.size, np.nan)
        found = total > 0.0
        result[self.texels[found]] = (weight * level[self.node]).sum(axis=1)[found] / total[found]
        left = np.flatnonzero(wanted.ravel() & np.isnan(result))
        if len(left):
            result[left] = self._fill(left, field, source)
        return 10.0 ** (np.nan_to_num(result, nan=_NOTHING_DB) / 10.0).reshape(self.shape)

    def _fill(self, left: np.ndarray, field: Predictor, source: Source) -> np.ndarray:
        """Levels (n,) in dB of texels ``left`` (n,) that see no lattice point: nooks get points of their own."""
        i, j = np.unravel_index(left, self.shape)
        _, chosen = np.unique((i // self.step) * self.shape[1] + j // self.step, return_index=True)
        flat = self.ears.reshape(-1, 3)
        level = _decibel(_predicted(field, source, flat[left[chosen]], direct=False))
        return level[cKDTree(flat[left[chosen]]).query(flat[left])[1]]


def _decibel(energy: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(energy, 10.0 ** (_NOTHING_DB / 10.0)))
