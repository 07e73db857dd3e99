"""Exchange: what the probes of a scan hear of each other, from the paths that they send out anyway.

Where a path of one probe meets a surface, all probes that see this surface hear of it. So every probe's paths tell of
all pairs, without further rays: a surface patch gathers what arrives there (Siltanen et al. 2007, "The room acoustic
rendering equation"), and what a point hears is a sum over the patches that it sees. Both ends of a pair are then
described alike, by what a point gets from the patches, and between them stands one transfer matrix a band and frame,
the same for all pairs of the scene, which the paths of all probes together determine. Sound that was mirrored only,
and not often, is left out: it is found exactly for each pair (see `specular`). Other mirrored sound counts as scattered
at its last surface; what that misses is left to the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from naf_core.bands import N_BANDS
from naf_core.crew import Crew
from naf_core.patches import Patches, look_for_patches
from naf_core.randompaths import RandomPaths
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_OF_MILLISECOND, N_FRAMES
from naf_core.scene import Scene
from naf_core.specular import SPECULAR_ORDER

PATTERNS = 96  # at most: what probes get of the patches, in terms of so many patterns over them
_RIDGE = 0.1  # of the mean square of the patterns: the noise of a few hundred paths is not worth following closer
_NEAREST = 0.3  # m: a patch is not a point, so that none comes closer than this
_BATCH = 400_000  # lines of sight at a time
_CELLS = 250_000  # probes x frames x patches gathered at a time: their sums stay in the processor's cache
_MOST_WAITING = 2_000_000  # hits
_CHUNKS_A_PROCESS = 2  # with less to do, one is ready before another has started


@dataclass(frozen=True)
class Exchange:
    """How sound gets from around one of P probes to around another, save by few mirror reflections alone.

    ``receive`` (P, Q, 4): what a probe gets, as W, X, Y, Z, of Q patterns of sound leaving the surfaces. ``transfer``
    (Q, 8, N_FRAMES, Q), symmetric in Q: how much of the last pattern there is in a frame when sound sets out as the
    first. Frames count from emission. Where nothing reflects, Q is 0.
    """

    receive: np.ndarray
    transfer: np.ndarray

    def at(self, weight: np.ndarray) -> np.ndarray:
        """What n points get, (n, Q, 4), with kernels ``weight`` (n, P) over the probes."""
        count, patterns = self.receive.shape[:2]
        return (weight @ self.receive.reshape(count, 4 * patterns)).reshape(len(weight), patterns, 4)

    def between(
        self,
        emitters: np.ndarray,
        listeners: np.ndarray,
        of_emitter: np.ndarray | None = None,
        of_listener: np.ndarray | None = None,
    ) -> np.ndarray:
        """Reflected energy (n, 8, N_FRAMES, 4) from the emitters ``of_emitter`` (n,) to the listeners ``of_listener``.

        ``emitters`` (E, Q, 4) and ``listeners`` (L, Q, 4) are what they get, each with its own where nothing is said of
        pairs. W, and the intensity at the listener. W may be slightly negative where next to nothing arrives.
        """
        of_emitter = np.arange(len(emitters)) if of_emitter is None else of_emitter
        of_listener = np.arange(len(listeners)) if of_listener is None else of_listener
        patterns, frames = emitters.shape[1], N_BANDS * N_FRAMES
        energy = np.empty((len(of_emitter), frames, 4), np.float32)
        order = np.argsort(of_emitter, kind="stable")
        senders, first = np.unique(of_emitter[order], return_index=True)
        sent = np.ascontiguousarray(emitters[senders, :, 0])  # a hundred times faster than the strided view
        arriving = (sent @ self.transfer.reshape(patterns, frames * patterns)).reshape(len(sent), frames, patterns)
        for at_patterns, start, end in zip(arriving, first, np.append(first, len(order))[1:], strict=True):
            rows = order[start:end]
            ears = listeners[of_listener[rows]].transpose(1, 0, 2).reshape(patterns, 4 * len(rows))
            energy[rows] = (at_patterns @ ears).reshape(frames, len(rows), 4).swapaxes(0, 1)
        return energy.reshape(-1, N_BANDS, N_FRAMES, 4)


def trace_exchange(
    scene: Scene,
    caster: Raycaster,
    probes: np.ndarray,
    *,
    rays: int,
    seed: int,
    processes: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Exchange:
    """Let each of ``probes`` (P, 3) send ``rays`` paths, and find what passes between them.

    ``processes`` at most work side by side; the result does not depend on how many.
    """
    patches = look_for_patches(caster, probes, seed)
    heard, distance = _heard(caster, patches, probes)
    patterns = _patterns(heard)
    receive = np.ascontiguousarray(np.einsum("nq,npc->pqc", patterns, heard, optimize=True))
    # The mean way from a patch to those who see it stands for all of them: they differ by less than a frame.
    way = (distance / np.maximum(heard[..., 0].sum(axis=1), 1e-12)).astype(np.float32)
    task = _Gathering(scene, probes, patches, patterns, way, seed)
    paths = _GatheredPaths(task, caster)
    processes = min(processes, paths.chunks(rays) // _CHUNKS_A_PROCESS)
    with Crew(task, processes, paths) as crew:
        sent = crew.energy(rays, progress)
    return Exchange(receive, _transfer(receive[..., 0], sent))


@dataclass(frozen=True)
class _Gathering:
    """What a crew does for a scan: ``probes`` (P, 3) send paths, and N ``patches`` gather them.

    Of what arrives there are ``patterns`` (N, Q); sound goes on for ``way`` (N,) m to those who hear of it.
    """

    scene: Scene
    probes: np.ndarray
    patches: Patches
    patterns: np.ndarray
    way: np.ndarray
    seed: int

    def ready_paths(self) -> _GatheredPaths:
        return _GatheredPaths(self, Raycaster(self.scene))


class _GatheredPaths(RandomPaths):
    """Paths of probes, of which the patches gather what arrives from each."""

    def __init__(self, task: _Gathering, caster: Raycaster) -> None:
        nobody = np.zeros((0, 3), np.float32)
        super().__init__(task.scene, caster, task.probes, nobody, np.random.default_rng(task.seed))
        self._patches, self._patterns, self._way = task.patches, task.patterns, task.way
        self.untold = SPECULAR_ORDER
        self._sent = np.zeros((len(task.probes), N_BANDS, N_FRAMES, self._patterns.shape[1]), np.float32)
        self._hits: list[tuple[np.ndarray, ...]] = []
        self._waiting = 0

    def chunk_energy(self, rays: int, chunk: int, batch: tuple[int, ...] = ()) -> np.ndarray:
        """What a chunk sends to the patches, (P, 8, N_FRAMES, Q)."""
        super().chunk_energy(rays, chunk, batch)
        if self._hits:
            self._sum_up()
        sent, self._sent = self._sent, np.zeros_like(self._sent)
        return sent

    def _arrive(
        self,
        owner: np.ndarray,
        position: np.ndarray,
        normal: np.ndarray,
        reflected: np.ndarray,
        travelled: np.ndarray,
    ) -> None:
        # Takes note of what surfaces send back.
        patch = self._patches.at(self.caster, position, normal)
        time = ((travelled + self._way[patch]) * self.milliseconds_per_metre).astype(np.int32)
        in_time = np.flatnonzero(time < len(FRAME_OF_MILLISECOND))
        frame = FRAME_OF_MILLISECOND[time[in_time]]
        self._hits.append((owner[in_time].astype(np.int32), patch[in_time], frame, reflected[in_time]))
        self._waiting += len(owner)
        if self._waiting > _MOST_WAITING:
            self._sum_up()

    def _sum_up(self) -> None:
        """Turn the hits that wait into patterns."""
        owner, patch, frame, energy = (np.concatenate(column) for column in zip(*self._hits, strict=True))
        self._hits, self._waiting = [], 0
        count = len(self._patches)
        step = max(1, _CELLS // (N_FRAMES * count))
        order = np.argsort(owner, kind="stable")
        for start in range(0, len(self._sent), step):
            of_part = order[slice(*np.searchsorted(owner, (start, start + step), sorter=order))]
            if not len(of_part):
                continue
            size = min(step, len(self._sent) - start)
            cell = ((owner[of_part] - start) * N_FRAMES + frame[of_part]) * count + patch[of_part]
            for band in range(N_BANDS):
                arrived = np.bincount(cell, energy[of_part, band], minlength=size * N_FRAMES * count)
                arrived = arrived.astype(np.float32).reshape(size * N_FRAMES, count)
                self._sent[start : start + size, band] += (arrived @ self._patterns).reshape(size, N_FRAMES, -1)


def _transfer(lit: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """The transfer that explains best, over all P probes, what each ``sent`` (P, 8, N_FRAMES, Q) where.

    By reciprocity a probe has ``lit`` (P, Q) the surfaces as it hears of them.
    """
    lit = lit.astype(np.float64)
    count, patterns = lit.shape
    if not (count and patterns):
        return np.zeros((patterns, N_BANDS, N_FRAMES, patterns), np.float32)
    ridge = _RIDGE * (lit**2).sum() / patterns
    inverse = np.linalg.solve(lit.T @ lit + ridge * np.eye(patterns), lit.T)
    transfer = (inverse @ sent.reshape(count, -1)).reshape(patterns, N_BANDS, N_FRAMES, patterns)
    # Reciprocity: what differs between both ways is noise.
    return np.ascontiguousarray(0.5 * (transfer + transfer.swapaxes(0, -1)), dtype=np.float32)


def _heard(caster: Raycaster, patches: Patches, probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What ``probes`` (P, 3) hear of unit energy that each patch scatters: (N, P, 4), and (N,) m times W of it."""
    heard = np.zeros((len(patches), len(probes), 4), np.float32)
    distances = np.zeros(len(patches))
    step = max(1, _BATCH // max(len(probes), 1))
    for place, normal in zip(patches.places.swapaxes(0, 1), patches.normals.swapaxes(0, 1), strict=True):
        for start in range(0, len(patches), step):
            rows = slice(start, start + step)
            separation = probes[None] - place[rows, None]
            cosine = np.einsum("npk,nk->np", separation, normal[rows])
            patch, probe = np.nonzero(cosine > 0.0)
            away, cosine = separation[patch, probe], cosine[patch, probe]
            distance = np.linalg.norm(away, axis=1)
            away = away / np.maximum(distance, 1e-9)[:, None]
            seen = ~caster.blocked(place[rows][patch], away, distance)
            patch, probe, away, cosine, distance = (a[seen] for a in (patch, probe, away, cosine, distance))
            # Lambert's law, as in the tracer.
            energy = 4.0 * cosine / np.maximum(distance, 1e-9) / np.maximum(distance, _NEAREST) ** 2
            heard[start + patch, probe, 0] += energy
            heard[start + patch, probe, 1:] -= away * energy[:, None]
            distances += np.bincount(start + patch, energy * distance, minlength=len(patches))
    count = patches.places.shape[1]
    return heard / count, distances / count


def _patterns(heard: np.ndarray) -> np.ndarray:
    """The orthonormal patterns (N, Q) over N patches in which ``heard`` (N, P, 4) is told best."""
    flat = heard.reshape(len(heard), 4 * heard.shape[1]).astype(np.float64)
    keep = min(PATTERNS, *flat.shape)
    if not keep:
        return np.zeros((len(flat), 0), np.float32)
    small = flat if len(flat) <= flat.shape[1] else flat.T
    square = small @ small.T
    values, vectors = linalg.eigh(square, subset_by_index=(len(square) - keep, len(square) - 1))
    kept = values > 1e-9 * values[-1]
    vectors = vectors[:, kept]
    if small is not flat:
        vectors = flat @ vectors / np.sqrt(values[kept])
    return np.ascontiguousarray(vectors, dtype=np.float32)
