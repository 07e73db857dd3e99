"""Random paths from emitters, connected to listeners at every bounce: the engine below `tracer`.

A path leaves an emitter, and at every surface part of its energy is absorbed, part scattered by Lambert's law and the
rest mirrored. Scattered energy reaches a listener by an explicit connection from the surface ("diffuse rain",
Schroeder 2011, "Physically based real-time auralization of interactive virtual environments", 5.4); mirrored energy
is caught by a sphere around the listener, save for paths mirrored up to three times since the emitter by mirrors that
were found to join the two: these are known exactly (see `paths`). The estimates are unbiased: connections and paths
are thinned and split at random and weighted accordingly, and paths end only when 65 dB less of them is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_matrix

from naf_core.air import NEAREST
from naf_core.bands import N_BANDS
from naf_core.directivity import Directivity, gains
from naf_core.errors import UserError
from naf_core.paths import EarlyPaths, paths_along
from naf_core.planes import planes
from naf_core.raycast import Raycaster, sphere_directions
from naf_core.response import FRAME_OF_MILLISECOND, N_FRAMES
from naf_core.scene import Scene
from naf_core.sequences import Sequences
from naf_core.spheres import catching_spheres
from naf_core.thinning import CUT_OFF, continued, wanted

_CHUNK = 1 << 15  # paths in flight: their arrays stay in the processor's cache
_BLOCK = 1 << 15  # connections, and deposits, worked on at a time
_MOST_CONNECTIONS = 64  # of a path to listeners at one bounce
_MOST_BOUNCES = 5000  # only paths in closets with hardly any absorption get there
_MIRROR_ORDER = 3


@dataclass
class Balance:
    """Where the emitted energy went, as shares of it, (E, 8) each."""

    absorbed: np.ndarray
    escaped: np.ndarray
    remaining: np.ndarray


class RandomPaths:
    """Accumulates what paths deliver to the listeners; without listeners, to the emitter that each path left.

    Inside, arrays are component-major, (3, n) and (8, n), because NumPy is fast along long rows; the methods that
    others may extend, `_arrive`, `_connect` and `_deposit`, see them as (n, 3) and (n, 8).
    """

    def __init__(
        self,
        scene: Scene,
        caster: Raycaster,
        emitters: np.ndarray,
        listeners: np.ndarray | None,
        rng: np.random.Generator,
        directivity: Sequence[Directivity | None] | None = None,
        times: int = 1,
    ) -> None:
        self.scene, self.caster, self.places = scene, caster, emitters
        emitters = np.tile(emitters, (times, 1))
        directivity = None if directivity is None else tuple(directivity) * times
        self.rng, self.seed = rng, rng.bit_generator.seed_seq
        self.own = listeners is None
        self.emitters, self.listeners = emitters, emitters if listeners is None else listeners
        self.directivity = directivity
        self.reflection = np.ascontiguousarray(1.0 - scene.absorption.T)
        self.scattering = np.ascontiguousarray(scene.scattering.T)
        self.normals = np.ascontiguousarray(caster.normals.T)
        self.material = scene.material_index.astype(np.intp)
        self.air = scene.air.absorption().astype(np.float32)[:, None]
        self.milliseconds_per_metre = np.float32(1000.0 / scene.air.speed_of_sound)
        if self.own:
            self.distance = np.zeros((len(emitters), 1), np.float32)
        else:
            separation = emitters[:, None] - self.listeners[None]
            self.distance = np.linalg.norm(separation, axis=2).astype(np.float32)
        self.energy = np.zeros((self.distance.size * N_FRAMES * 4, N_BANDS))
        self.waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.count_waiting = 0
        self.radius, self.volume = catching_spheres(caster, self.listeners)
        self.untold = 0  # reflections: `_arrive` is not told of what was only mirrored, so often at most
        self.sequences: Sequences | None = None
        self.balance: Balance | None = None

    def run_all(self, rays: int, progress: Callable[[float], None] | None) -> None:
        """Follow ``rays`` paths from every emitter, after the exact mirror paths."""
        self.add_mirror_paths(rays)
        self.run_random(rays, progress)

    def look_for_mirrors(self, rays: int) -> None:
        """Discover with up to ``rays`` rays from every end which sequences of mirrors are to be known exactly."""
        self.sequences = Sequences(
            self.caster,
            planes(self.caster, self.scene),
            self.places,
            None if self.own else self.listeners,
            _MIRROR_ORDER,
            min(2048, max(256, rays // 2)),
        )

    def add_mirror_paths(self, rays: int) -> None:
        """Add the exact paths of few mirror reflections, found with up to ``rays`` rays."""
        self.look_for_mirrors(rays)
        self.deposit(paths_along(self.scene, self.caster, self.places, self.listeners, self.sequences))

    def deposit(self, exact: EarlyPaths) -> None:
        """Add what ``exact`` paths of the emitters bring."""
        energy = exact.energy
        if self.directivity is not None:
            energy = energy * gains(self.directivity, exact.emitter, exact.departure)
        self._deposit(
            exact.emitter,
            exact.listener,
            exact.length.astype(np.float32),
            exact.source.astype(np.float32),
            energy.astype(np.float32),
        )
        self._settle()

    def run_random(self, rays: int, progress: Callable[[float], None] | None = None) -> None:
        """Follow ``rays`` random paths from every emitter; ``progress`` gets 0..1 after every chunk of them."""
        chunks = self.chunks(rays)
        for chunk in range(chunks):
            self.energy += self.chunk_energy(rays, chunk)
            if progress is not None:
                progress((chunk + 1) / chunks)

    def chunks(self, rays: int) -> int:
        """Into how many chunks ``rays`` paths from every emitter are divided, so that little memory is needed."""
        if rays < 1:
            raise UserError(f"{rays} rays cannot be traced: ask for at least one.")
        heard = 1 if self.own else min(len(self.listeners), _MOST_CONNECTIONS)
        return max(1, -(-len(self.emitters) * rays * (4 + heard) // (5 * _CHUNK)))

    def chunk_energy(self, rays: int, chunk: int, batch: tuple[int, ...] = ()) -> np.ndarray:
        """What chunk ``chunk`` of ``rays`` paths from every emitter brings, as an array like ``energy``.

        It depends on nothing that was traced before. Chunks of another ``batch`` are independent of these.
        """
        # Evenly spread directions, turned at random for every emitter: each is uniform, all are unlike.
        lattice = sphere_directions(rays)
        turns = _random_rotations(np.random.default_rng(_child(self.seed, *batch, 0)), len(self.emitters))
        self.rng = np.random.default_rng(_child(self.seed, *batch, chunk + 1))
        which = np.arange(chunk, len(self.emitters) * rays, self.chunks(rays))
        owner = which // rays
        before, self.energy = self.energy, np.zeros_like(self.energy)
        self.run(owner, np.einsum("nij,nj->in", turns[owner], lattice[which % rays]), 1.0 / rays)
        self._settle()
        brought, self.energy = self.energy, before
        return brought

    def run(self, owner: np.ndarray, direction: np.ndarray, share: float) -> None:
        """Follow one path from the emitter of each entry of ``owner`` (n,), which rises, along ``direction`` (3, n).

        Each carries ``share`` of its emitter's energy.
        """
        n = len(owner)
        position = self.emitters.T[:, owner]
        energy = np.full((N_BANDS, n), share, np.float32)
        if self.directivity is not None:
            energy *= gains(self.directivity, owner, direction.T).T
        travelled = np.zeros(n, np.float32)
        mirrored = np.zeros(n, bool)
        count = np.bincount(owner)
        early = np.ones(n, bool)  # mirrored only since the emitter, by the mirrors of ``sequence``
        sequence: list[np.ndarray] = []
        farthest = (6000.0 + self.distance.max(initial=0.0) * 3.0) / self.milliseconds_per_metre
        for bounce in range(_MOST_BOUNCES):
            distance, triangle = self.caster.intersect(position.T, direction.T)
            caught = mirrored
            if sequence:
                caught = caught & ~(early & self.sequences.known_from_emitter(owner % len(self.places), sequence))
            caught = np.flatnonzero(caught)
            if len(caught):
                late = ~early if sequence else None
                self._catch(owner, position, direction, distance, energy, travelled, caught, bounce, late, sequence)
            hit = triangle >= 0
            if not hit.all():
                self._account("escaped", owner[~hit], energy[:, ~hit])
                hit = np.flatnonzero(hit)
                owner, travelled, early = owner[hit], travelled[hit], early[hit]
                sequence = [mirrors[hit] for mirrors in sequence]
                distance, triangle = distance[hit], triangle[hit]
                position, direction, energy = position[:, hit], direction[:, hit], energy[:, hit]
            if not len(owner):
                return
            normal = self.normals.take(triangle, axis=1)
            cosine = _dot(normal, direction)
            normal *= np.where(cosine > 0.0, np.float32(-1.0), np.float32(1.0))  # towards where the path came from
            position = position + direction * distance + normal * np.float32(self.caster.epsilon)
            travelled = travelled + distance
            material = self.material[triangle]
            before = energy
            energy = np.exp(-self.air * distance)
            energy *= before
            energy *= self.reflection.take(material, axis=1)
            if self.balance is not None:
                self._account("absorbed", owner, before - energy)
            scattering = self.scattering.take(material, axis=1)
            scattered = energy * scattering
            told = np.where(early, scattered, energy) if bounce < self.untold else energy
            self._arrive(owner, position.T, normal.T, told.T, travelled)
            self._connect(owner, position.T, normal.T, scattered.T, travelled, bounce)

            for_each, part = wanted(owner, energy, count, share)
            alive = (part > CUT_OFF) & (travelled < farthest)
            if self.balance is not None:
                self._account("remaining", owner[~alive], energy[:, ~alive])
            on = continued(self.rng, owner, energy - scattered, scattered, for_each * alive)
            energy, kept, scatters = on.energy, on.path, on.scatters
            direction = direction[:, kept] + (2.0 * np.abs(cosine[kept])) * normal[:, kept]
            rough = np.flatnonzero(scatters)
            direction[:, rough] = _lambert_directions(self.rng, normal[:, kept[rough]])
            owner, travelled, position = owner[kept], travelled[kept], position[:, kept]
            early, mirrored = early[kept] & ~scatters, ~scatters
            if self.sequences is None or bounce >= _MIRROR_ORDER:
                sequence = []
            else:
                sequence = [mirrors[kept] for mirrors in (*sequence, self.sequences.mirror_of[triangle])]
            if not len(owner):
                return
        self._account("remaining", owner, energy)

    def _account(self, where: str, owner: np.ndarray, energy: np.ndarray) -> None:
        """Book ``energy`` (8, n) of the emitters ``owner`` (n,)."""
        if self.balance is not None:
            sums = getattr(self.balance, where)
            for band in range(N_BANDS):
                sums[:, band] += np.bincount(owner, energy[band], len(sums))

    def _pairs(self, n: int, bounce: int) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
        """Which of ``n`` paths are connected to which listeners: indices of both, in blocks, and their weight."""
        count = len(self.listeners)
        share = 1.0 if bounce < 2 else 0.5 if bounce < 6 else 0.2
        chosen = min(_MOST_CONNECTIONS, int(np.ceil(count * share)))
        # Every listener gets its turn after all others, in an order drawn anew: none is left out for long.
        order = np.arange(count) if chosen == count else self.rng.permutation(count)
        for start in range(0, n * chosen, _BLOCK):
            turn = np.arange(start, min(start + _BLOCK, n * chosen))
            yield turn // chosen, order[turn % count], count / chosen

    def _arrive(
        self,
        owner: np.ndarray,
        position: np.ndarray,
        normal: np.ndarray,
        reflected: np.ndarray,
        travelled: np.ndarray,
    ) -> None:
        """Called once a bounce with all n hits; does nothing here.

        ``reflected`` (n, 8) is the energy that the surface sends back, scattered and mirrored together, save what was
        mirrored only, up to ``untold`` times since the emitter; ``position`` and ``normal`` (n, 3), ``travelled`` (n,)
        m.
        """

    def _connect(
        self,
        owner: np.ndarray,
        position: np.ndarray,
        normal: np.ndarray,
        scattered: np.ndarray,
        travelled: np.ndarray,
        bounce: int,
    ) -> None:
        """Deliver ``scattered`` (n, 8) from surface points ``position`` (n, 3) with ``normal`` (n, 3) to listeners."""
        position, normal, scattered, listeners = position.T, normal.T, scattered.T, self.listeners.T
        own = ((np.arange(len(owner)), owner, 1.0),)
        for path, listener, factor in own if self.own else self._pairs(len(owner), bounce):
            separation = listeners[:, listener] - position[:, path]
            cosine = _dot(separation, normal[:, path])
            front = np.flatnonzero(cosine > 0.0)
            path, listener, separation, cosine = path[front], listener[front], separation[:, front], cosine[front]
            distance = np.sqrt(_dot(separation, separation))
            away = separation / np.maximum(distance, np.float32(1e-9))
            seen = np.flatnonzero(~self.caster.blocked(position.T[path], away.T, distance))
            path, listener, away, distance, cosine = (
                path[seen],
                listener[seen],
                away[:, seen],
                distance[seen],
                cosine[seen],
            )
            # Lambert: intensity = power * cos / (pi d^2); a unit source in the free field gives 1 / (4 pi) at 1 m.
            near = np.maximum(distance, np.float32(NEAREST))
            strength = 4.0 * factor * (cosine / np.maximum(distance, np.float32(1e-9))) / near**2
            arriving = np.exp(-self.air * distance) * scattered[:, path]
            arriving *= strength
            self._deposit(owner[path], listener, travelled[path] + distance, -away.T, arriving.T)

    def _catch(
        self,
        owner: np.ndarray,
        position: np.ndarray,
        direction: np.ndarray,
        distance: np.ndarray,
        energy: np.ndarray,
        travelled: np.ndarray,
        rows: np.ndarray,
        bounce: int,
        late: np.ndarray | None,
        sequence: list[np.ndarray],
    ) -> None:
        """Deliver what the paths ``rows`` carry along their next segment through the spheres of listeners.

        Unless all are ``late`` (n,), listeners do not hear those of which they know the ``sequence`` of mirrors.
        """
        radius, volume = (values[int(bounce > _MIRROR_ORDER)] for values in (self.radius, self.volume))
        own = ((np.arange(len(rows)), owner[rows], 1.0),)
        for path, listener, factor in own if self.own else self._pairs(len(rows), bounce):
            path = rows[path]
            towards = self.listeners.T[:, listener] - position[:, path]
            along = _dot(towards, direction[:, path])
            half_chord2 = radius[listener] ** 2 - (_dot(towards, towards) - along**2)
            meets = np.flatnonzero(half_chord2 > 0.0)
            path, listener, along = path[meets], listener[meets], along[meets]
            half_chord = np.sqrt(half_chord2[meets])
            enter, leave = np.maximum(along - half_chord, 0.0), np.minimum(along + half_chord, distance[path])
            inside = np.flatnonzero(leave > enter)
            path, listener, along, enter, leave = (a[inside] for a in (path, listener, along, enter, leave))
            if late is not None:
                unknown = late[path]
                unknown |= ~self.sequences.known_from_listener(listener, [mirrors[path] for mirrors in sequence])
                path, listener, along, enter, leave = (a[unknown] for a in (path, listener, along, enter, leave))
            # A random point of the chord decides for all of it whether the listener sees it.
            point = enter + self.rng.random(len(path), dtype=np.float32) * (leave - enter)
            point = position[:, path] + direction[:, path] * point
            seen = np.flatnonzero(~self.caster.occluded(self.listeners[listener], point.T))
            path, listener, along, enter, leave = (a[seen] for a in (path, listener, along, enter, leave))
            # Mean fluence in a volume = path length inside / volume; a unit source gives 1 / (4 pi) at 1 m. The time
            # is that of a plane wave's passage by the listener itself.
            strength = 4.0 * np.pi * factor * (leave - enter) / volume[listener]
            along = np.maximum(along, 0.0)
            arriving = np.exp(-self.air * along) * energy[:, path]
            arriving *= strength
            self._deposit(owner[path], listener, travelled[path] + along, -direction.T[path], arriving.T)

    def _deposit(
        self, owner: np.ndarray, listener: np.ndarray, length: np.ndarray, source: np.ndarray, energy: np.ndarray
    ) -> None:
        """Add ``energy`` (n, 8) that came over ``length`` (n,) metres from unit direction ``source`` (n, 3)."""
        column = np.zeros_like(listener) if self.own else listener
        late = (length - self.distance[owner, column]) * self.milliseconds_per_metre
        in_time = np.flatnonzero(late < len(FRAME_OF_MILLISECOND))
        frame = FRAME_OF_MILLISECOND[np.maximum(late[in_time], 0.0).astype(np.int32)]
        cell = (owner[in_time] * self.distance.shape[1] + column[in_time]) * N_FRAMES + frame
        channels = np.ones((len(in_time), 4), np.float32)
        channels[:, 1:] = source[in_time]
        self.waiting.append((cell, channels, energy[in_time]))
        self.count_waiting += len(cell)
        if self.count_waiting > max(_BLOCK, len(self.energy) // 4):
            self._settle()

    def _settle(self) -> None:
        """Sum what waits: many deposits at a time, because each sum costs as much as a thousand of them."""
        if not self.waiting:
            return
        cell, channels, energy = (np.concatenate(part) for part in zip(*self.waiting, strict=True))
        self.waiting, self.count_waiting = [], 0
        # One column a deposit: the product sums the rows of `energy` that fall into the same cell and channel.
        row = (4 * cell[:, None] + np.arange(4)).ravel()
        starts = np.arange(0, 4 * len(cell) + 1, 4)
        self.energy += csc_matrix((channels.ravel(), row, starts), shape=(len(self.energy), len(cell))) @ energy

    def frames(self, pairs: tuple[int, ...]) -> np.ndarray:
        """The accumulated energy, (*pairs, 8, N_FRAMES, 4) float64."""
        return np.moveaxis(self.energy.reshape(*pairs, N_FRAMES, 4, N_BANDS), -1, -3)


def _child(seed: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """The seed that ``key`` names below ``seed``."""
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Scalar products of the columns of ``a`` and ``b`` (3, n)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _random_rotations(rng: np.random.Generator, n: int) -> np.ndarray:
    """Uniformly distributed rotations (n, 3, 3) float32, from random unit quaternions (Shoemake 1992)."""
    w, x, y, z = (q := rng.normal(size=(4, n))) / np.linalg.norm(q, axis=0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0).astype(np.float32)


def _lambert_directions(rng: np.random.Generator, normal: np.ndarray) -> np.ndarray:
    """Cosine-weighted directions (3, n) about ``normal`` (3, n): a uniform point of the sphere added to it."""
    z = rng.random(normal.shape[1], dtype=np.float32) * np.float32(2.0) - np.float32(1.0)
    azimuth = rng.random(normal.shape[1], dtype=np.float32) * np.float32(2.0 * np.pi)
    radius = np.sqrt(1.0 - z * z)
    direction = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z])
    direction += normal
    length = np.sqrt(_dot(direction, direction))
    return np.where(length > 1e-4, direction / np.maximum(length, np.float32(1e-4)), normal)
