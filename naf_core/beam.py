"""The beam of an emitter with a cone: how much of its sound leaves along each path to a listener, and into the room."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from naf_core.aim import cone_at, sent, turning_times
from naf_core.air import NEAREST
from naf_core.bands import N_BANDS
from naf_core.images import Images
from naf_core.motion import Motion
from naf_core.response import N_FRAMES, EnergyResponse
from naf_core.scene import Emitter, Trajectory


class Beam:
    """What an ``emitter`` with a cone sends towards a ``listener``, relative to what it sends along its axis.

    Responses and images are those of an emitter that sends alike in all directions, at keys (K,) s at which they are
    heard. The emitter is turned as it was when it sent what is heard.
    """

    def __init__(self, emitter: Emitter, listener: Trajectory, speed_of_sound: float) -> None:
        self._emitter, self._speed = emitter, speed_of_sound
        self._paths = Motion(emitter.trajectory), Motion(listener)
        self._times = turning_times(emitter, listener)

    def first_sound(
        self, responses: EnergyResponse, keys: np.ndarray, departures: np.ndarray
    ) -> tuple[EnergyResponse, np.ndarray]:
        """The direct sound of ``responses`` (K, ...), which leaves along ``departures`` (K, 3), and its times (T,) s.

        The times are the keys and those between them at which the emitter sends more, or less. All but ``direct`` and
        ``distance`` of the result is empty. See `FirstSound.put_into` on departures.
        """
        times = np.union1d(keys, self._times)
        gain = self._towards(times, keys, departures)
        level = np.sqrt(responses.direct) * np.maximum(responses.distance, NEAREST)[:, None]
        distance = _between(times, keys, np.asarray(responses.distance)[:, None])
        direct = (_between(times, keys, level) / np.maximum(distance, NEAREST)) ** 2 * gain
        none = np.broadcast_to(np.float32(0.0), (len(times), N_BANDS, N_FRAMES, 4))
        result = replace(
            responses,
            energy=none,
            direct=direct.astype(np.float32),
            distance=distance[:, 0].astype(np.float32),
            direct_direction=none[:, 0, 0, :3],
            tail_slope=none[..., 0, 0],
        )
        return result, times

    def whole(self, responses: EnergyResponse, keys: np.ndarray, departures: np.ndarray) -> EnergyResponse:
        """The ``responses`` (K, ...) at ``keys`` (K,) s, both direct sound and all the rest, as the cone sends it."""
        gain = self._towards(keys, keys, departures)
        return replace(self.into_room(responses, keys), direct=responses.direct * gain)

    def _towards(self, times: np.ndarray, keys: np.ndarray, departures: np.ndarray) -> np.ndarray:
        """Gain (T, 8) of the first sound at ``times`` (T,), if at the ``keys`` it leaves along ``departures``."""
        here, there = (path.position(times) for path in self._paths)
        straight = np.subtract(*(path.position(keys) for path in self._paths[::-1]))
        # What bends leaves aside of the straight way, by an angle that changes as slowly as the way does.
        aside = _between(times, keys, departures - _unit(straight))
        delay = np.linalg.norm(there - here, axis=1) / self._speed
        return sent(self._emitter, times - delay, _unit(_unit(there - here) + aside))

    def reflections(self, images: Images, keys: np.ndarray) -> tuple[Images, np.ndarray]:
        """The ``images``, each of which sends as the mirrored emitter does, and their times (T,) s."""
        inside = (self._times > keys[0]) & (self._times < keys[-1])
        if images.energy[:, 0].any():
            inside |= self._times < keys[0]
        if images.energy[:, -1].any():
            inside |= self._times > keys[-1]
        times = np.union1d(keys, self._times[inside])
        here, there = (path.position(times) for path in self._paths)
        way = np.einsum("sij,tj->sti", images.turn, here) + images.shift[:, None] - there
        level = _between(times, keys, np.sqrt(images.energy) * _reach(images.way))
        energy = ((level / _reach(way)) ** 2).astype(np.float32)
        leaving = _leaving(images.turn, way)
        for image, away in enumerate(np.linalg.norm(way, axis=-1)):
            energy[image] *= sent(self._emitter, times - away / self._speed, leaving[image])
        heard = energy.any(axis=(1, 2))
        return Images(images.turn[heard], images.shift[heard], energy[heard], way[heard]), times

    def into_room(self, responses: EnergyResponse, keys: np.ndarray) -> EnergyResponse:
        """The ``responses`` (K, ...) with their reverberation, which has come from all directions of the emitter."""
        return _fed(responses, cone_at(self._emitter, keys).power)

    def still(self, response: EnergyResponse, time: float, departure: np.ndarray, images: Images) -> StillBeam:
        """The beam towards who hears ``response`` at a ``time`` in s, with ``images`` of one key (see `Images.at`)."""
        moment = np.array([time])
        direct = sent(self._emitter, moment - float(response.delay), np.asarray(departure).reshape(1, 3))[0]
        away = np.linalg.norm(images.way[:, 0], axis=-1)
        reflected = sent(self._emitter, time - away / self._speed, _leaving(images.turn, images.way)[:, 0])
        return StillBeam(direct, reflected, cone_at(self._emitter, moment).power)


@dataclass(frozen=True)
class StillBeam:
    """A `Beam` at one moment: gains of energy of ``direct`` sound (8,), of ``images`` (S, 8) and ``room`` (1, 8)."""

    direct: np.ndarray
    images: np.ndarray
    room: np.ndarray

    def first_sound(
        self, responses: EnergyResponse, keys: np.ndarray, _departures: np.ndarray
    ) -> tuple[EnergyResponse, np.ndarray]:
        """As `Beam.first_sound`, of one response."""
        return replace(responses, direct=responses.direct * self.direct), keys

    def whole(self, responses: EnergyResponse, keys: np.ndarray, _departures: np.ndarray) -> EnergyResponse:
        """As `Beam.whole`, of one response."""
        return replace(self.into_room(responses, keys), direct=responses.direct * self.direct)

    def reflections(self, images: Images, keys: np.ndarray) -> tuple[Images, np.ndarray]:
        """As `Beam.reflections`, of images of one key."""
        energy = images.energy * self.images[:, None]
        heard = energy.any(axis=(1, 2))
        return Images(images.turn[heard], images.shift[heard], energy[heard], images.way[heard]), keys

    def into_room(self, responses: EnergyResponse, _keys: np.ndarray) -> EnergyResponse:
        """As `Beam.into_room`, of one response."""
        return _fed(responses, self.room)


def _fed(responses: EnergyResponse, power: np.ndarray) -> EnergyResponse:
    """The ``responses`` (K, ...) with their reverberation weighted by ``power`` (K, 8)."""
    return replace(responses, energy=responses.energy * power[:, :, None, None].astype(np.float32))


def _leaving(turn: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Unit vectors (S, T, 3) along which sound leaves the emitter that reaches the listener from images ``way`` off."""
    return -np.einsum("sji,stj->sti", turn, _unit(way))


def _reach(way: np.ndarray) -> np.ndarray:
    return np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), NEAREST)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """``vectors`` (..., 3) of length 1; nothing where they have none."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _between(times: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``values`` (..., K, n) at ``keys`` (K,), straight between them, at ``times`` (T,): (..., T, n)."""
    if len(keys) == 1:
        return np.repeat(values, len(times), axis=-2)
    after = np.clip(np.searchsorted(keys, times), 1, len(keys) - 1)
    part = np.clip((times - keys[after - 1]) / (keys[after] - keys[after - 1]), 0.0, 1.0)[:, None]
    return values[..., after - 1, :] * (1.0 - part) + values[..., after, :] * part
