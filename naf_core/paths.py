"""Direct and mirrored paths of low order, found exactly: the early sound that random paths would meet by luck.

Each sequence of mirrors gives an image of the emitter (Allen and Berkley 1979), and each image is checked against the
geometry for every listener (Vorländer 2008, "Auralization", 11.3). Rays discover which sequences are worth a look, and
among the largest mirrors all are looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from naf_core.bands import N_BANDS
from naf_core.errors import UserError
from naf_core.planes import Planes, planes
from naf_core.raycast import Raycaster
from naf_core.scene import Scene
from naf_core.sequences import Candidates, Sequences, discover

_EXHAUSTIVE = 1 << 14  # sequences of each order among the largest mirrors that are looked at without discovery
_SAME_IMAGE = 1e-3  # m: images nearer to each other are one, mirrored in another order
_SLACK = 0.01  # m around the box of a mirror: only what misses it by more is dismissed without a ray
# Images behind an edge or corner of a room may lie exactly behind it as seen from a listener: always when emitter and
# listener coincide, often when they stand symmetrically. Rounding would then decide whether they are found never, once
# or twice. So the ways are followed from ears a little aside: from one 3 mm away at either end, or from three, of
# which two decide, nearer by in steps off a surface.
_ASIDE = 3e-3 * np.array([0.53, 0.71, 0.46])
_JURY = np.array([[3.1, 1.3, 2.3], [-2.9, 1.9, -1.7], [0.7, -3.7, 1.1]])


class EarlyPaths(NamedTuple):
    """Direct and mirrored paths, n of them.

    ``emitter`` and ``listener`` indices (n,); ``order`` (n,) number of reflections, 0 for direct sound; ``length``
    (n,) m and ``delay`` (n,) s; ``source`` (n, 3) unit direction at the listener towards the image, ``departure``
    (n, 3) unit direction at the emitter in which the sound leaves; ``energy`` (n, 8) relative to the free field at
    1 m, after absorption, scattering and air. Float64; directions are 0 where emitter and listener coincide.
    """

    emitter: np.ndarray
    listener: np.ndarray
    order: np.ndarray
    length: np.ndarray
    delay: np.ndarray
    source: np.ndarray
    departure: np.ndarray
    energy: np.ndarray


def early_paths(
    scene: Scene,
    emitters: np.ndarray,
    listeners: np.ndarray,
    *,
    order: int = 3,
    rays: int = 16384,
    progress: Callable[[float], None] | None = None,
    raycaster: Raycaster | None = None,
) -> EarlyPaths:
    """Direct sound and all mirror paths of up to ``order`` reflections (0..6) between all pairs, nearest first.

    ``emitters`` (E, 3) and ``listeners`` (L, 3) in metres; who stands within a millimetre of a surface is moved off
    it, and energies within `air.NEAREST` are those at it. Complete in rooms of few mirrors (up to 26 at order 3, 128 at
    order 2). In others ``rays`` from either end find the sequences in which smaller ones take part, and paths within a
    beam so narrow that no ray meets it are missing. ``progress`` is called with a fraction 0..1 and may raise to
    cancel. Raises UserError when a position is not finite.
    """
    caster = raycaster or Raycaster(scene)
    emitters, listeners = (_off_surfaces(caster, positions) for positions in (emitters, listeners))
    check = Check(scene, caster, emitters, listeners, [listeners + caster.epsilon * aside for aside in _JURY])
    pairs = np.indices((len(emitters), len(listeners))).reshape(2, -1)
    found = [check(Candidates(*pairs, np.zeros((pairs.shape[1], 0), np.int64)))]
    largest = [_among_the_largest(check.planes, depth) for depth in range(1, order + 1)]
    outward = [discover(caster, check.planes, end[None], order, rays) for end in emitters]
    for ear, listener in enumerate(listeners):
        inward = discover(caster, check.planes, listener[None], order, rays)
        for emitter in range(len(emitters)):
            for common, (_, away), (_, back) in zip(largest, outward[emitter], inward, strict=True):
                candidates = [common, away, back[:, ::-1]]
                if common.shape[1] == 2:
                    candidates.append(_products(outward[emitter][0][1], inward[0][1]))
                mirrors = np.concatenate(candidates)
                ends = np.broadcast_to(emitter, len(mirrors)), np.broadcast_to(ear, len(mirrors))
                found.append(check(Candidates(*ends, mirrors)))
        if progress is not None:
            progress((ear + 1) / len(listeners))
    paths = _joined(found)
    rows = np.lexsort([paths.length, paths.listener, paths.emitter])
    return EarlyPaths(*(column[rows] for column in paths))


def mirror_paths(
    scene: Scene,
    caster: Raycaster,
    emitters: np.ndarray,
    listeners: np.ndarray,
    *,
    order: int,
    rays: int,
    own: bool = False,
) -> EarlyPaths:
    """Mirror paths of 1 to ``order`` reflections from ``emitters`` (E, 3) to ``listeners`` (L, 3), for many of them.

    Only what ``rays`` from either end discover is looked at. With ``own``, emitter i is only paired with listener
    i, which is the same point.
    """
    sequences = Sequences(caster, planes(caster, scene), emitters, None if own else listeners, order, rays)
    return paths_along(scene, caster, emitters, listeners, sequences)


def paths_along(
    scene: Scene, caster: Raycaster, emitters: np.ndarray, listeners: np.ndarray, sequences: Sequences
) -> EarlyPaths:
    """The paths from ``emitters`` (E, 3) to ``listeners`` (L, 3) among those that ``sequences`` of theirs suggest."""
    emitters, listeners = emitters.astype(np.float64), listeners.astype(np.float64)
    ears, mouths = (ears_aside(caster, ends) for ends in (listeners, emitters))
    check = Check(scene, caster, emitters, listeners, [ears], mouths)
    return _joined([check(candidates) for candidates in sequences.candidates()])


def ears_aside(caster: Raycaster, listeners: np.ndarray) -> np.ndarray:
    """Ears (n, 3) float64 of ``listeners`` (n, 3) that stand 3 mm aside, on their side of all surfaces."""
    return listeners + np.where(caster.occluded(listeners, listeners + _ASIDE)[:, None], -_ASIDE, _ASIDE)


def _off_surfaces(caster: Raycaster, positions: np.ndarray) -> np.ndarray:
    points = np.asarray(positions, np.float32).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise UserError("A position is not a finite number.")
    return caster.off_surfaces(points, max(1e-3, 10.0 * caster.epsilon)).astype(np.float64)


def _joined(found: list[EarlyPaths]) -> EarlyPaths:
    if not found:
        index, number, vector = np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 3))
        return EarlyPaths(index, index, index, number, number, vector, vector, np.zeros((0, N_BANDS)))
    return EarlyPaths(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _among_the_largest(mirrors: Planes, depth: int) -> np.ndarray:
    """All sequences (n, depth) of as many of the largest mirrors as make at most _EXHAUSTIVE of them."""
    count = 1
    while count < len(mirrors.area) and (count + 1) * count ** (depth - 1) <= _EXHAUSTIVE:
        count += 1
    largest = np.argsort(-mirrors.area, kind="stable")[:count]
    sequence = largest[np.indices((len(largest),) * depth).reshape(depth, -1).T]
    return sequence[(sequence[:, 1:] != sequence[:, :-1]).all(axis=1)]


def _alike(candidates: Candidates, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Candidates of one pair and one image are one path: its number (n,), and the first candidate of each (m,)."""
    place = np.column_stack([images, candidates.emitter, candidates.listener])
    near = cKDTree(place).query_pairs(_SAME_IMAGE, output_type="ndarray") if len(place) else np.zeros((0, 2), int)
    graph = coo_matrix((np.ones(len(near), bool), near.T), shape=(len(place), len(place)))
    label = connected_components(graph, directed=False)[1]
    return label, np.unique(label, return_index=True)[1]


def _products(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Sequences (n, 2) of one of the mirrors ``first`` (k, 1) and one of ``last`` (m, 1), some of the front."""
    some = int(np.sqrt(_EXHAUSTIVE))
    return np.stack(np.meshgrid(first[:some, 0], last[:some, 0]), axis=-1).reshape(-1, 2)


class Chains(NamedTuple):
    """Images in ``mirrors`` (m, order), one after the other: ``images``, (m, 3) each, the emitter itself first.

    ``of`` (n,) says which of them each of n candidates goes by.
    """

    mirrors: np.ndarray
    images: list[np.ndarray]
    of: np.ndarray


class Check:
    """Looks at candidates and keeps those that are paths."""

    def __init__(
        self,
        scene: Scene,
        caster: Raycaster,
        emitters: np.ndarray,
        listeners: np.ndarray,
        ears: list[np.ndarray],
        mouths: np.ndarray | None = None,
    ) -> None:
        self.scene, self.caster, self.emitters, self.listeners = scene, caster, emitters, listeners
        self.ears, self.mouths = ears, mouths
        self.planes = planes(caster, scene)
        self.share = ((1.0 - scene.absorption) * (1.0 - scene.scattering)).astype(np.float64)

    def images(self, candidates: Candidates) -> list[np.ndarray]:
        """The emitter (n, 3) and its images in one mirror after the other."""
        return self.images_of(self.emitters[candidates.emitter], candidates.mirrors)

    def images_of(self, points: np.ndarray, mirrors: np.ndarray) -> list[np.ndarray]:
        """The ``points`` (n, 3) and their images in one of the ``mirrors`` (n, order) after the other."""
        images = [points]
        for plane in mirrors.T:
            images.append(self.planes.mirrored(plane, images[-1]))
        return images

    def plausible(self, candidates: Candidates) -> Candidates:
        """Those whose path from the ear to each image in turn crosses the mirror within the box around it."""
        return candidates.take(self._plausible(candidates, self._chains(candidates)))

    def _chains(self, candidates: Candidates) -> Chains:
        return Chains(candidates.mirrors, self.images(candidates), np.arange(len(candidates.mirrors)))

    def _plausible(self, candidates: Candidates, chains: Chains) -> np.ndarray:
        here, rows = self.listeners[candidates.listener], np.arange(len(candidates.mirrors))
        for k in range(candidates.mirrors.shape[1], 0, -1):
            behind = self.planes.distance(chains.mirrors[:, k - 1], chains.images[k])
            plane, beyond = candidates.mirrors[rows, k - 1], behind[chains.of[rows]]
            before = self.planes.distance(plane, here)
            crosses = np.flatnonzero((before * beyond < 0.0) | (np.abs(before) < _SLACK))
            rows, plane, before, beyond = rows[crosses], plane[crosses], before[crosses], beyond[crosses]
            part = (np.abs(before) / np.maximum(np.abs(before) + np.abs(beyond), 1e-9))[:, None]
            here = here[crosses] * (1.0 - part) + chains.images[k][chains.of[rows]] * part
            low, high = self.planes.low[plane] - _SLACK, self.planes.high[plane] + _SLACK
            within = ((here >= low) & (here <= high)).all(axis=1)
            rows, here = rows[within], here[within]
        return rows

    def __call__(self, candidates: Candidates, chains: Chains | None = None) -> EarlyPaths:
        """The paths among ``candidates``: those that most ears find, or with mouths, in part, those that either finds.

        A path that only one of both ends finds just misses a mirror, or an obstacle; it then counts half. ``chains``
        spare work where many candidates go by the same mirrors.
        """
        chains = chains or self._chains(candidates)
        rows = self._plausible(candidates, chains)
        candidates, images = candidates.take(rows), [image[chains.of[rows]] for image in chains.images]
        label, first = _alike(candidates, images[-1])
        votes, gain = np.zeros(len(first), int), np.zeros((len(first), self.share.shape[1]))
        ways = [(candidates.mirrors, images, ears[candidates.listener]) for ears in self.ears]
        if self.mouths is not None:
            back = candidates.mirrors[:, ::-1]
            heard = self.images_of(self.listeners[candidates.listener], back)
            ways.append((back, heard, self.mouths[candidates.emitter]))
        for way in ways:
            rows, share = self.follow(*way)
            # Behind an edge the ears may disagree on the order of its mirrors, or one of them see both orders.
            found, once = np.unique(label[rows], return_index=True)
            votes[found] += 1
            gain[found] += share[once]
        kept = 2 * votes > len(self.ears) if self.mouths is None else votes > 0
        gain /= votes[:, None].clip(1) if self.mouths is None else len(ways)
        candidates = candidates.take(first[kept])
        separation = images[-1][first[kept]] - self.listeners[candidates.listener]
        length = np.linalg.norm(separation, axis=1)
        source = separation / np.maximum(length, 1e-9)[:, None]
        departure = -source
        for plane in candidates.mirrors.T[::-1]:
            normal = self.planes.normal[plane]
            departure = departure - 2.0 * np.einsum("ij,ij->i", departure, normal)[:, None] * normal
        return EarlyPaths(
            emitter=candidates.emitter,
            listener=candidates.listener,
            order=np.full(len(length), candidates.mirrors.shape[1]),
            length=length,
            delay=length / self.scene.air.speed_of_sound,
            source=source,
            departure=departure,
            energy=self.scene.air.free_field(length) * gain[kept],
        )

    def follow(self, mirrors: np.ndarray, images: list[np.ndarray], ear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Paths from ``ear`` (n, 3) that meet just their mirrors: which, and what these leave of the energy (m, 8)."""
        here, alive = ear, np.arange(len(ear))
        gain = np.ones((len(ear), self.share.shape[1]))
        for k in range(mirrors.shape[1], 0, -1):
            towards = images[k][alive] - here
            reach = np.linalg.norm(towards, axis=1)
            towards = towards / np.maximum(reach, 1e-9)[:, None]
            hits = self.caster.intersect(here, towards)
            met = (hits.triangle >= 0) & (hits.distance < reach)
            met[met] = self.planes.of_triangle[hits.triangle[met]] == mirrors[alive[met], k - 1]
            triangle, alive, towards = hits.triangle[met], alive[met], towards[met]
            gain = gain[met] * self.share[self.scene.material_index[triangle]]
            facing = self.caster.facing_normals(triangle, towards).astype(np.float64)
            here = here[met] + towards * hits.distance[met, None] + facing * self.caster.epsilon
        free = ~self.caster.occluded(here, images[0][alive])
        return alive[free], gain[free]
