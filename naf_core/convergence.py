"""How noisy a traced response is, and tracing until it is quiet enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from naf_core.crew import Crew
from naf_core.directivity import Directivity
from naf_core.raycast import Raycaster
from naf_core.response import EnergyResponse
from naf_core.scene import Scene
from naf_core.tracer import begin, response_of, tail_slopes

_GROUPS = (4, 16)  # independent groups of paths: fewer where there are many pairs
_MOST_RESPONSES = 1 << 14  # of all groups together, where _GROUPS allows
_FIRST_RAYS = 512  # of each group, before the noise is looked at
_C50_LIMIT = 25.0  # dB: nobody hears what is beyond


@dataclass(frozen=True)
class Noise:
    """Standard errors of a traced response, (E, L, 8) each, and what they cost.

    ``c50_db`` and ``g_db`` in dB, ``t30_percent``; NaN where the response has no such figure. ``rays`` paths left each
    emitter; ``reached`` says whether that made the errors as small as wanted. ``silent`` (E, L) are the pairs of
    which nothing was heard.
    """

    c50_db: np.ndarray
    t30_percent: np.ndarray
    g_db: np.ndarray
    rays: int
    reached: bool
    silent: np.ndarray

    def words(self) -> list[str]:
        """Sentences on it for people."""
        end = "as wanted" if self.reached else "the most that was allowed"
        said = [
            f"{self.rays} paths from each emitter, {end}: standard errors of the noisiest pair"
            f" {_worst(self.c50_db):.2f} dB of C50, {_worst(self.t30_percent):.1f} % of T30,"
            f" {_worst(self.g_db):.2f} dB of G"
        ]
        if self.silent.any():
            said.append(
                f"{np.count_nonzero(self.silent)} of {self.silent.size} pairs hear nothing: a closed surface stands"
                " between them. Check whether an emitter or a listener is inside an object."
            )
        return said


def trace_until(
    scene: Scene,
    emitters: np.ndarray,
    listeners: np.ndarray,
    *,
    c50_db: float = 0.1,
    t30_percent: float = 2.0,
    most_rays: int = 200_000,
    seed: int = 0,
    directivity: Sequence[Directivity | None] | None = None,
    processes: int = 1,
    progress: Callable[[float], None] | None = None,
    raycaster: Raycaster | None = None,
) -> tuple[EnergyResponse, Noise]:
    """As `tracer.trace`, with as many paths as the wanted standard errors of C50 and T30 need.

    In every pair, the root mean square over the bands of the error of C50 is at most ``c50_db``, and of that of T30
    ``t30_percent``, unless ``most_rays`` paths from each emitter are not enough. Where emitters and listeners are the
    same points, both ways count for each pair. The errors come from groups of paths that know nothing of each other,
    by the jackknife (Efron and Stein 1981, "The jackknife estimate of variance").
    """
    pairs = max(1, np.size(emitters) * np.size(listeners) // 9)
    groups = int(np.clip(_MOST_RESPONSES // pairs, *_GROUPS))
    _, exact = begin(scene, emitters, listeners, seed, directivity, raycaster, most_rays)
    exact.add_mirror_paths(most_rays)
    task, paths = begin(scene, exact.emitters, exact.listeners, seed, directivity, exact.caster, most_rays, groups)
    paths.sequences = exact.sequences
    both_ways = directivity is None and np.array_equal(exact.emitters, exact.listeners)
    shape = (groups, *exact.distance.shape)
    most = max(1, most_rays // groups)
    done, total, ask, expected, told = 0, np.zeros_like(paths.energy), min(_FIRST_RAYS, most), most, 0.0

    def tell(part: float) -> None:
        nonlocal told
        told = max(told, min((done + part * ask) / expected, 1.0))
        if progress is not None:
            progress(told)

    alone = response_of(exact)
    with Crew(task, processes, paths) as crew:
        while True:
            total += ask * crew.energy(ask, tell, batch=(done,))
            done += ask
            paths.energy = total / done
            frames = paths.frames(shape) + exact.frames(shape[1:])
            if both_ways:
                frames = _both_ways(frames)
            response, noise = _judged(alone, frames, done * groups, c50_db, t30_percent)
            if noise.reached or done >= most:
                if progress is not None:
                    progress(1.0)
                return response, noise
            # The error falls with the square root of the number of paths; a tenth more makes sure of it.
            wanted = max(c50_db, 1e-6), max(t30_percent, 1e-6)
            missing = max(_worst(noise.c50_db) / wanted[0], _worst(noise.t30_percent) / wanted[1]) ** 2
            expected = min(most, int(1.1 * missing * done) + 1)
            ask = min(most - done, max(done // 2, min(expected - done, 4 * done)))


def _judged(
    alone: EnergyResponse, frames: np.ndarray, rays: int, c50_db: float, t30_percent: float
) -> tuple[EnergyResponse, Noise]:
    """The mean of groups of ``frames`` (groups, E, L, 8, F, 4) as a response like ``alone``, and its noise."""
    mean = frames.mean(axis=0)
    response = replace(alone, energy=mean.astype(np.float32), tail_slope=tail_slopes(mean[..., 0]))
    count, heard = len(frames), frames[..., :1]
    found = []
    for group in heard:
        others = mean[..., :1] + (mean[..., :1] - group) / (count - 1)  # the mean without this group
        without = replace(alone, energy=others, tail_slope=tail_slopes(others[..., 0]))
        values = without.parameters()
        found.append([np.clip(values["C50_dB"], -_C50_LIMIT, _C50_LIMIT), values["T30_s"], values["G_dB"]])
    found = np.array(found)
    spread = np.sqrt((count - 1) / count * ((found - found.mean(axis=0)) ** 2).sum(axis=0))
    with np.errstate(invalid="ignore"):
        t30 = 100.0 * spread[1] / found[:, 1].mean(axis=0)
    silent = response.total.sum(axis=-1) <= 0.0
    reached = _worst(spread[0]) <= c50_db and _worst(t30) <= t30_percent
    return response, Noise(spread[0], t30, spread[2], rays, reached, silent)


def _worst(error: np.ndarray) -> float:
    """Largest root mean square over the bands of ``error`` (E, L, 8), 0 where there is no figure at all."""
    known = np.isfinite(error)
    square = np.where(known, error, 0.0) ** 2
    return float(np.sqrt((square.sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)).max(initial=0.0)))


def _both_ways(frames: np.ndarray) -> np.ndarray:
    """``frames`` (groups, N, N, 8, F, 4) in which W is the mean of both ways of a pair, its direction kept."""
    one = frames[..., :1]
    mean = 0.5 * (one + one.swapaxes(1, 2))
    directed = frames[..., 1:] * (mean / np.maximum(one, 1e-30))
    # Where only the other way brought something, no direction is known.
    return np.concatenate([mean, np.where(one > 0.0, directed, 0.0)], axis=-1)
