"""The reference engine: energy path tracing from emitters, connected to listeners at every bounce.

A path leaves an emitter, and at every surface part of its energy is absorbed, part scattered by Lambert's law and the
rest mirrored. Scattered energy reaches a listener by an explicit connection from the surface ("diffuse rain",
Schroeder 2011, "Physically based real-time auralization of interactive virtual environments", 5.4); mirrored energy
is caught by a sphere around the listener, save for paths mirrored up to three times since the emitter, which are
found exactly (see `paths`). The estimates are unbiased: connections and paths are thinned at random and weighted
accordingly, and a path ends only when its energy has fallen by 65 dB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_matrix

from naf_core.air import Air
from naf_core.bands import N_BANDS
from naf_core.errors import UserError
from naf_core.paths import mirror_paths
from naf_core.raycast import Raycaster, sphere_directions
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, N_FRAMES, EnergyResponse
from naf_core.scene import Scene

_FRAME_OF_MILLISECOND = np.searchsorted(FRAME_EDGES, (np.arange(6000) + 0.5) / 1000.0).astype(np.int32) - 1
_CHUNK = 1 << 15  # paths in flight: their arrays stay in the processor's cache
_CUT_OFF = 10.0**-6.5  # a path ends when its energy has fallen by this
_THINNING = 0.35  # number of paths falls with their energy to this power
_NEAREST = 0.1  # m: closer connections count as at this distance, or single paths would outshine all others
_MIRROR_ORDER = 3
_SPHERE_RAYS = 192  # rays that measure what a listener sees of its receiver sphere


@dataclass
class Balance:
    """Where the emitted energy went, as shares of it, (E, 8) each."""

    absorbed: np.ndarray
    escaped: np.ndarray
    remaining: np.ndarray


def trace(
    scene: Scene,
    emitters: np.ndarray,
    listeners: np.ndarray,
    *,
    rays: int = 20000,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    raycaster: Raycaster | None = None,
) -> EnergyResponse:
    """Trace the energy responses of all pairs of ``emitters`` (E, 3) and ``listeners`` (L, 3), in metres.

    ``rays`` paths leave each emitter. Returns an EnergyResponse with leading axes (E, L). ``progress`` is called with
    a fraction 0..1 and may raise to cancel. Raises UserError when a position is not finite.
    """
    return trace_balanced(scene, emitters, listeners, rays=rays, seed=seed, progress=progress, raycaster=raycaster)[0]


def trace_self(
    scene: Scene,
    points: np.ndarray,
    *,
    rays: int,
    seed: int,
    progress: Callable[[float], None] | None = None,
    raycaster: Raycaster | None = None,
) -> np.ndarray:
    """What each of ``points`` (P, 3) hears of itself: energy (P, 8, N_FRAMES, 4) float32, without direct sound."""
    points = positions_from(points)
    paths = _Paths(scene, raycaster or Raycaster(scene), points, None, np.random.default_rng(seed))
    paths.run_all(rays, progress)
    return paths.frames((len(points),)).astype(np.float32)


def trace_balanced(
    scene: Scene,
    emitters: np.ndarray,
    listeners: np.ndarray,
    *,
    rays: int,
    seed: int,
    progress: Callable[[float], None] | None = None,
    raycaster: Raycaster | None = None,
) -> tuple[EnergyResponse, Balance]:
    """As `trace`, and also say where the energy went."""
    emitters, listeners = (positions_from(p) for p in (emitters, listeners))
    if rays < 1:
        raise UserError(f"{rays} rays cannot be traced: ask for at least one.")
    caster = raycaster or Raycaster(scene)
    emitters, listeners = caster.off_surfaces(emitters), caster.off_surfaces(listeners)
    paths = _Paths(scene, caster, emitters, listeners, np.random.default_rng(seed))
    paths.run_all(rays, progress)
    return paths.response(), paths.balance


def positions_from(values: object) -> np.ndarray:
    """Positions (n, 3) float32 in metres from anything array-like; raises UserError when they are not finite."""
    points = np.asarray(values, dtype=np.float32)
    if points.ndim == 1:
        points = points[None]
    if points.ndim != 2 or points.shape[1] != 3:
        raise UserError(f"Positions have the shape {points.shape}: give (n, 3), in metres.")
    if not np.isfinite(points).all():
        raise UserError("A position is not a finite number.")
    return points


def direct_sound(
    scene: Scene, caster: Raycaster, emitters: np.ndarray, listeners: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Direct sound of n pairs: distance (n,), direction at the listener (n, 3), energy per band (n, 8)."""
    separation = emitters - listeners
    distance = np.linalg.norm(separation, axis=1)
    direction = separation / np.maximum(distance, 1e-6)[:, None]
    visible = ~caster.blocked(listeners, direction, distance)
    return distance, direction, direct_energy(scene.air, distance, visible)


def direct_energy(air: Air, distance: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Energy per band (n, 8) of the direct sound over ``distance`` (n,) m: 1/r^2 and air, 0 where not ``visible``."""
    near = np.maximum(distance, _NEAREST)[:, None]
    energy = np.exp(-air.absorption() * distance[:, None]) / near**2
    return np.where(visible[:, None], energy, 0.0).astype(np.float32)


class _Paths:
    """Accumulates what paths deliver to the listeners; without listeners, to the emitter that each path left."""

    def __init__(
        self,
        scene: Scene,
        caster: Raycaster,
        emitters: np.ndarray,
        listeners: np.ndarray | None,
        rng: np.random.Generator,
    ) -> None:
        self.scene, self.caster, self.rng = scene, caster, rng
        self.own = listeners is None
        self.emitters, self.listeners = emitters, emitters if listeners is None else listeners
        listeners = self.listeners
        self.reflection = 1.0 - scene.absorption
        self.scattering = scene.scattering
        self.air = scene.air.absorption().astype(np.float32)
        self.milliseconds_per_metre = np.float32(1000.0 / scene.air.speed_of_sound)
        if self.own:
            self.distance = np.zeros((len(emitters), 1), np.float32)
        else:
            separation = emitters[:, None] - listeners[None]
            self.distance = np.linalg.norm(separation, axis=2).astype(np.float32)
        self.energy = np.zeros((4, self.distance.size * N_FRAMES, N_BANDS))
        depth = np.empty((len(listeners), _SPHERE_RAYS), np.float32)
        for i, listener in enumerate(listeners):
            look = sphere_directions(_SPHERE_RAYS)
            depth[i] = caster.intersect(np.repeat(listener[None], len(look), 0), look).distance
        # Each listener catches mirrored paths in the part of a sphere that it sees: wide where the room is wide, or
        # few paths would be caught, and never through a wall.
        self.radius = np.clip(0.4 * np.median(depth, axis=1), 0.35, 2.0).astype(np.float32)
        seen = np.minimum(depth, self.radius[:, None]).astype(np.float64)
        self.volume = (4.0 / 3.0 * np.pi * np.mean(seen**3, axis=1)).astype(np.float32)
        zero = np.zeros((len(emitters), N_BANDS))
        self.balance = Balance(zero.copy(), zero.copy(), zero.copy())

    def run_all(self, rays: int, progress: Callable[[float], None] | None) -> None:
        """Follow ``rays`` paths from every emitter, after the exact mirror paths."""
        exact = mirror_paths(
            self.scene,
            self.caster,
            self.emitters,
            self.listeners,
            order=_MIRROR_ORDER,
            rays=min(2048, max(256, rays // 2)),
            own=self.own,
        )
        self._deposit(
            exact.emitter,
            exact.listener,
            exact.length.astype(np.float32),
            exact.source.astype(np.float32),
            exact.energy.astype(np.float32),
        )
        owners = np.repeat(np.arange(len(self.emitters)), rays)
        for start in range(0, len(owners), _CHUNK):
            self.run(owners[start : start + _CHUNK], 1.0 / rays)
            if progress is not None:
                progress(min(1.0, (start + _CHUNK) / len(owners)))

    def run(self, owner: np.ndarray, share: float) -> None:
        """Follow one path from the emitter of each entry of ``owner``, each with ``share`` of its energy."""
        n = len(owner)
        position = self.emitters[owner]
        direction = _uniform_directions(self.rng, n)
        energy = np.ones((n, N_BANDS), np.float32)  # physical energy left of the path's own share
        weight = np.full(n, share, np.float32)  # how many thinned paths this one stands for, times the share
        travelled = np.zeros(n, np.float32)
        mirrored = np.zeros(n, bool)
        exact = np.ones(n, bool)  # mirrored only since the emitter: such short paths are found by mirror_paths
        bounce = 0
        while n:
            distance, triangle = self.caster.intersect(position, direction)
            caught = mirrored & ~exact if bounce <= _MIRROR_ORDER else mirrored
            if caught.any():
                self._catch(owner, position, direction, distance, energy, weight, travelled, caught, bounce)
            hit = triangle >= 0
            if not hit.all():
                np.add.at(self.balance.escaped, owner[~hit], energy[~hit] * weight[~hit, None])
                owner, position, direction, energy = owner[hit], position[hit], direction[hit], energy[hit]
                weight, travelled, exact = weight[hit], travelled[hit], exact[hit]
                distance, triangle = distance[hit], triangle[hit]
            n = len(owner)
            if not n:
                break
            material = self.scene.material_index[triangle]
            normal = self.caster.facing_normals(triangle, direction)
            position = position + direction * distance[:, None] + normal * np.float32(self.caster.epsilon)
            travelled = travelled + distance
            before = energy
            energy = energy * np.exp(-distance[:, None] * self.air) * self.reflection[material]
            np.add.at(self.balance.absorbed, owner, (before - energy) * weight[:, None])
            scattering = self.scattering[material]
            self._connect(owner, position, normal, energy * scattering, weight, travelled, bounce)

            # One draw decides for all bands whether the path is scattered or mirrored. A band's energy is divided by
            # the chance of what was drawn, so the chance follows the bands that this path carries: then their
            # energies, each relative to the mean of all paths, keep their sum, and none can run away or die out.
            typical = np.maximum(np.average(energy, axis=0, weights=weight), 1e-30).astype(np.float32)
            relative = energy / typical
            carried = relative.sum(axis=1)
            chance = np.where(carried > 0.0, (relative * scattering).sum(axis=1) / np.maximum(carried, 1e-30), 1.0)
            scatters = self.rng.random(n, dtype=np.float32) < chance
            share_of_choice = np.maximum(np.where(scatters, chance, 1.0 - chance), np.float32(1e-12))
            factor = np.where(scatters[:, None], scattering, 1.0 - scattering) / share_of_choice[:, None]
            energy = energy * factor
            direction = np.where(
                scatters[:, None],
                _lambert_directions(self.rng, normal),
                direction - 2.0 * np.einsum("ij,ij->i", direction, normal)[:, None] * normal,
            )
            exact = exact & ~scatters

            # What a path is worth does not depend on which bands it carries.
            loudest = carried / N_BANDS * typical.max()
            wanted = share * np.maximum(loudest, 1e-9) ** -_THINNING
            survival = np.minimum(1.0, weight / wanted)
            alive = loudest > _CUT_OFF
            alive &= travelled * self.milliseconds_per_metre < 6000.0 + self.distance.max() * 3.0
            np.add.at(self.balance.remaining, owner[~alive], energy[~alive] * weight[~alive, None])
            alive &= _stratified_choice(self.rng, survival)
            owner, position, direction, energy = owner[alive], position[alive], direction[alive], energy[alive]
            weight, travelled, exact = (weight / survival)[alive], travelled[alive], exact[alive]
            mirrored = ~scatters[alive]
            n = len(owner)
            bounce += 1

    def _listeners_for(self, owner: np.ndarray, bounce: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Pairs of path and listener to connect, and the weight that makes up for those left out."""
        n, count = len(owner), len(self.listeners)
        if self.own:
            return np.arange(n), owner, 1.0
        chosen = count if bounce < 2 else max(1, int(np.ceil(count / (2.0 if bounce < 6 else 5.0))))
        path = np.repeat(np.arange(n), chosen)
        if chosen == count:
            return path, np.tile(np.arange(count), n), 1.0
        return path, self.rng.integers(count, size=n * chosen), count / chosen

    def _connect(
        self,
        owner: np.ndarray,
        position: np.ndarray,
        normal: np.ndarray,
        scattered: np.ndarray,
        weight: np.ndarray,
        travelled: np.ndarray,
        bounce: int,
    ) -> None:
        path, listener, factor = self._listeners_for(owner, bounce)
        separation = self.listeners[listener] - position[path]
        squared = np.einsum("ij,ij->i", separation, separation)
        cosine = np.einsum("ij,ij->i", separation, normal[path])
        front = cosine > 0.0
        path, listener, separation, squared, cosine = (a[front] for a in (path, listener, separation, squared, cosine))
        distance = np.sqrt(squared)
        away = separation / np.maximum(distance, 1e-9)[:, None]
        seen = ~self.caster.blocked(position[path], away, distance)
        path, listener, away, distance, cosine = (a[seen] for a in (path, listener, away, distance, cosine))
        # Lambert: intensity = power * cos / (pi d^2); a unit source in the free field gives 1 / (4 pi) at 1 m.
        near = np.maximum(distance, _NEAREST)
        strength = 4.0 * factor * (cosine / np.maximum(distance, 1e-9)) / near**2 * weight[path]
        arriving = scattered[path] * np.exp(-distance[:, None] * self.air) * strength[:, None]
        self._deposit(owner[path], listener, travelled[path] + distance, -away, arriving)

    def _catch(
        self,
        owner: np.ndarray,
        position: np.ndarray,
        direction: np.ndarray,
        distance: np.ndarray,
        energy: np.ndarray,
        weight: np.ndarray,
        travelled: np.ndarray,
        mirrored: np.ndarray,
        bounce: int,
    ) -> None:
        rows = np.flatnonzero(mirrored)
        path, listener, factor = self._listeners_for(owner[rows], bounce)
        path = rows[path]
        towards = self.listeners[listener] - position[path]
        along = np.einsum("ij,ij->i", towards, direction[path])
        radius = self.radius[listener]
        half_chord2 = radius**2 - (np.einsum("ij,ij->i", towards, towards) - along**2)
        meets = half_chord2 > 0.0
        path, listener, along = path[meets], listener[meets], along[meets]
        half_chord = np.sqrt(half_chord2[meets])
        enter, leave = np.maximum(along - half_chord, 0.0), np.minimum(along + half_chord, distance[path])
        inside = leave > enter
        path, listener, along, enter, leave = (a[inside] for a in (path, listener, along, enter, leave))
        # A random point of the chord decides for all of it whether the listener sees it.
        point = enter + self.rng.random(len(path), dtype=np.float32) * (leave - enter)
        seen = ~self.caster.occluded(self.listeners[listener], position[path] + direction[path] * point[:, None])
        path, listener, along, enter, leave = (a[seen] for a in (path, listener, along, enter, leave))
        # Mean fluence in a volume = path length inside / volume; a unit source gives 1 / (4 pi) at 1 m. The time is
        # that of a plane wave's passage by the listener itself.
        strength = 4.0 * np.pi * factor * (leave - enter) / self.volume[listener] * weight[path]
        along = np.maximum(along, 0.0)
        arriving = energy[path] * np.exp(-along[:, None] * self.air) * strength[:, None]
        self._deposit(owner[path], listener, travelled[path] + along, -direction[path], arriving)

    def _deposit(
        self, owner: np.ndarray, listener: np.ndarray, length: np.ndarray, source: np.ndarray, energy: np.ndarray
    ) -> None:
        """Add ``energy`` (n, 8) that came over ``length`` (n,) metres from unit direction ``source`` (n, 3)."""
        column = np.zeros_like(listener) if self.own else listener
        late = (length - self.distance[owner, column]) * self.milliseconds_per_metre
        in_time = late < len(_FRAME_OF_MILLISECOND)
        if not in_time.all():
            owner, column, late, source, energy = (a[in_time] for a in (owner, column, late, source, energy))
        frame = _FRAME_OF_MILLISECOND[np.maximum(late, 0.0).astype(np.int32)]
        cell = (owner * self.distance.shape[1] + column) * N_FRAMES + frame
        # One column a deposit: the product sums the rows of `energy` that fall into the same cell.
        columns = np.arange(len(cell) + 1)
        shape = (self.energy.shape[1], len(cell))
        for channel in range(4):
            part = np.ones(len(cell), np.float32) if channel == 0 else np.ascontiguousarray(source[:, channel - 1])
            self.energy[channel] += csc_matrix((part, cell, columns), shape=shape) @ energy

    def frames(self, pairs: tuple[int, ...]) -> np.ndarray:
        """The accumulated energy, (*pairs, 8, N_FRAMES, 4) float64."""
        return np.moveaxis(self.energy.reshape(4, *pairs, N_FRAMES, N_BANDS).swapaxes(-1, -2), 0, -1)

    def response(self) -> EnergyResponse:
        """What has been accumulated, as a response with leading axes (E, L)."""
        pairs = (len(self.emitters), len(self.listeners))
        energy = self.frames(pairs)
        emitter, listener = (i.ravel() for i in np.indices(pairs))
        distance, direction, direct = direct_sound(
            self.scene, self.caster, self.emitters[emitter], self.listeners[listener]
        )
        return EnergyResponse(
            energy=energy.astype(np.float32),
            direct=direct.reshape(*pairs, N_BANDS),
            distance=distance.reshape(pairs),
            direct_direction=direction.reshape(*pairs, 3),
            tail_slope=tail_slopes(energy[..., 0]),
            speed_of_sound=self.scene.air.speed_of_sound,
        )


def tail_slopes(energy: np.ndarray) -> np.ndarray:
    """Decay in dB/s beyond the last frame of ``energy`` (..., N_FRAMES), (...) float32, between -2000 and -2.

    A straight line through the levels of the frames that lie 5 to 60 dB below the loudest, later ones first.
    """
    density = np.maximum(energy / FRAME_WIDTHS, 1e-30)
    level = 10.0 * np.log10(density)
    level = level - level.max(axis=-1, keepdims=True)
    middle = FRAME_EDGES[:-1] + 0.5 * FRAME_WIDTHS
    weight = np.where((level > -60.0) & (level < -5.0), middle, 0.0)
    total = np.maximum(weight.sum(axis=-1, keepdims=True), 1e-12)
    mean_t = (weight * middle).sum(axis=-1, keepdims=True) / total
    mean_l = (weight * level).sum(axis=-1, keepdims=True) / total
    covariance = (weight * (middle - mean_t) * (level - mean_l)).sum(axis=-1)
    variance = (weight * (middle - mean_t) ** 2).sum(axis=-1)
    slope = np.where(variance > 1e-12, covariance / np.maximum(variance, 1e-12), -60.0)
    return np.clip(slope, -2000.0, -2.0).astype(np.float32)


def _stratified_choice(rng: np.random.Generator, probability: np.ndarray) -> np.ndarray:
    """Keep each of n entries with its ``probability`` (n,), neighbours sharing one draw so that few are lost in a row.

    Systematic sampling: unbiased like independent draws, with much less variance of the number kept.
    """
    upper = np.cumsum(probability, dtype=np.float64) + rng.random()
    return np.floor(upper) > np.floor(upper - probability)


def _uniform_directions(rng: np.random.Generator, n: int) -> np.ndarray:
    z = rng.random(n, dtype=np.float32) * 2.0 - 1.0
    azimuth = rng.random(n, dtype=np.float32) * np.float32(2.0 * np.pi)
    radius = np.sqrt(np.maximum(0.0, 1.0 - z * z))
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)


def _lambert_directions(rng: np.random.Generator, normal: np.ndarray) -> np.ndarray:
    """Cosine-weighted directions about ``normal`` (n, 3): a uniform point of the sphere added to it."""
    direction = normal + _uniform_directions(rng, len(normal))
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    return np.where(length > 1e-4, direction / np.maximum(length, 1e-4), normal)
