"""Air over a floor: which places are connected, which are walls, and which no sound can reach."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from naf_core.raycast import Raycaster

_ROOMY = 0.35  # m: a region with less clearance everywhere is the inside of a wall or a cupboard
_SMALLEST = 0.12  # square metres of floor
_LAYERS = (-0.6, 0.75, 1.5)  # m above the ears, at which ways over and under what stands there are looked for
_RAYS = 1 << 20  # at a time


def sees(caster: Raycaster, points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Whether ``target`` (3,) is seen from ``points`` (..., 3): (...) bool."""
    flat = points.reshape(-1, 3)
    result = np.empty(len(flat), bool)
    for start in range(0, len(flat), _RAYS):
        part = flat[start : start + _RAYS]
        result[start : start + _RAYS] = ~caster.occluded(part, np.broadcast_to(target, part.shape))
    return result.reshape(points.shape[:-1])


def regions(caster: Raycaster, ears: np.ndarray, texel: float) -> tuple[np.ndarray, np.ndarray]:
    """Connected regions of air: a label for each texel (h, w), and the texels that a wall runs through (h, w) bool.

    Texels are connected where nothing stands between their ears, or between points above or below them.
    """
    height, width = ears.shape[:2]
    # A little beside the centres, where no wall stands by intention: a ray that starts in a wall may miss it.
    ears = ears + (0.0173 * texel, 0.0071 * texel, 0.0)
    index = np.arange(height * width).reshape(height, width)
    wall = np.zeros(height * width, bool)
    links = []
    for ahead, behind in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
    ):
        start, end = index[behind].ravel(), index[ahead].ravel()
        met = _share_free(caster, ears[behind].reshape(-1, 3), ears[ahead].reshape(-1, 3))
        free = met >= 1.0
        links.append((start[free], end[free]))
        wall[np.where(met < 0.5, start, end)[~free]] = True
    links += _links_over_and_under(caster, ears, index)
    start, end = (np.concatenate(side) for side in zip(*links, strict=True))
    size = max(index.size, int(max(start.max(initial=0), end.max(initial=0))) + 1)
    graph = coo_matrix((np.ones(len(start), bool), (start, end)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][: index.size]
    return labels.reshape(height, width), wall.reshape(height, width)


def _share_free(caster: Raycaster, origins: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """How far the way from ``origins`` (n, 3) to ``targets`` (n, 3) is free: (n,), 1 or more for all of it."""
    share = np.empty(len(origins))
    for start in range(0, len(origins), _RAYS):
        part = slice(start, start + _RAYS)
        way = targets[part] - origins[part]
        length = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
        share[part] = caster.intersect(origins[part], way / length[:, None]).distance / length
    return share


def _links_over_and_under(
    caster: Raycaster, ears: np.ndarray, index: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Links through layers above and below the ears, so that low screens and hatches do not part the air."""
    step = max(1, max(index.shape) // 64)
    places = np.ascontiguousarray(ears[::step, ::step])
    layers = [index[::step, ::step]]
    links = []
    for number, shift in enumerate(_LAYERS):
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


def roomy_regions(region: np.ndarray, texel: float) -> np.ndarray:
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


def reached_by(region: np.ndarray, sees: np.ndarray, roomy: np.ndarray) -> np.ndarray:
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


def without_gaps(open_air: np.ndarray, texel: float) -> np.ndarray:
    """``open_air`` (h, w) without the specks into which nobody fits, such as the gap behind a cupboard."""
    label, count = ndimage.label(open_air)
    area = np.bincount(label.ravel(), minlength=count + 1) * texel**2
    large = area >= min(_SMALLEST, area[1:].max(initial=0.0))
    return open_air & large[label]
