"""The fields of a room in all its states, asked at times: between two states the energies of both fade over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from naf_core.field import Field
from naf_core.firstsound import FirstSound
from naf_core.images import Images, find_images, no_images
from naf_core.placed import first_sound_of
from naf_core.response import EnergyResponse, empty_response
from naf_core.states import States


class Rooms:
    """One field for each of ``states``, in their order; with one state all is as that field alone answers."""

    def __init__(self, states: States, fields: Sequence[Field]) -> None:
        self.states, self.fields = states, tuple(fields)
        self._first: dict[int, FirstSound] = {}

    def first(self, number: int) -> FirstSound:
        """The first sound of a state, found when it is needed."""
        if number not in self._first:
            self._first[number] = first_sound_of(self.fields[number])
        return self._first[number]

    def ask(
        self, times: np.ndarray, emitters: np.ndarray, listeners: np.ndarray
    ) -> tuple[EnergyResponse, np.ndarray, np.ndarray]:
        """Responses of n pairs at ``times`` (n,) s with their first sound, its places and departures (`FirstSound`).

        Energies add up by the share of each state at the time. Places and directions are the mean of those of the
        states, weighted by the energy that comes from there.
        """
        if not self.states.change:
            return self._ask(0, emitters, listeners)
        count = len(emitters)
        total = empty_response((count,), self.fields[0].scene.air.speed_of_sound)
        total.tail_slope[:] = 0.0
        weights = np.zeros(count)
        means = np.zeros((3, count, 3))  # of place, departure and direction
        for number, rows, share in self._shares(times):
            response, *first = self._ask(number, emitters[rows], listeners[rows])
            total.energy[rows] += share[:, None, None, None] * response.energy
            total.direct[rows] += share[:, None] * response.direct
            total.tail_slope[rows] += share[:, None] * response.tail_slope
            total.distance[rows] = response.distance
            # What is silent counts so little that it only matters where all are.
            weight = share * (response.direct.sum(axis=1, dtype=np.float64) + 1e-30)
            weights[rows] += weight
            for mean, value in zip(means, (*first, response.direct_direction), strict=True):
                mean[rows] += weight[:, None] * value
        means /= weights[:, None]
        means[1:] /= np.maximum(np.linalg.norm(means[1:], axis=2, keepdims=True), 1e-12)
        places, departures, total.direct_direction[:] = means
        return total, places, departures

    def images(self, times: np.ndarray, emitters: np.ndarray, listeners: np.ndarray, most: int) -> Images:
        """The ``most`` strongest images of an emitter at each of n keys (see `find_images`), of each state there."""
        if not self.states.change:
            return self._images(0, emitters, listeners, most)
        count = len(emitters)
        found = []
        for number, rows, share in self._shares(times):
            images = self._images(number, emitters[rows], listeners[rows], most)
            energy = np.zeros((len(images), count, images.energy.shape[2]))
            energy[:, rows] = share[None, :, None] * images.energy
            way = np.einsum("sij,kj->ski", images.turn, emitters) + images.shift[:, None] - listeners
            found.append(Images(images.turn, images.shift, energy, way))
        return _joined(found, count)

    def at(self, time: float) -> tuple[Field, FirstSound]:
        """The field and the first sound of the state that counts most at ``time`` in s."""
        number = self.states.at(time)
        return self.fields[number], self.first(number)

    def _ask(self, number: int, emitters: np.ndarray, listeners: np.ndarray) -> tuple:
        response = self.fields[number].predict(emitters, listeners)
        return self.first(number).put_into(response, emitters, listeners)

    def _images(self, number: int, emitters: np.ndarray, listeners: np.ndarray, most: int) -> Images:
        field = self.fields[number]
        return find_images(field.scene, field.caster, emitters, listeners, most)

    def _shares(self, times: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """The number of each state that counts at any of ``times``, at which of them (m,), and how much (m,)."""
        for number, share in enumerate(self.states.shares(times).T):
            rows = np.flatnonzero(share)
            if len(rows):
                yield number, rows, share[rows]


def _joined(found: Sequence[Images], keys: int) -> Images:
    """Images of several states: those that stand in the same place are one, as loud as all of them together."""
    found = [images for images in found if len(images)]
    if not found:
        return no_images(keys)
    turn, shift, energy, way = (
        np.concatenate([getattr(images, name) for images in found]) for name in ("turn", "shift", "energy", "way")
    )
    place = np.round(np.concatenate([turn.reshape(-1, 9), shift], axis=1), 3) + 0.0  # no -0.0
    _, first, image = np.unique(place, axis=0, return_index=True, return_inverse=True)
    total = np.zeros((len(first), *energy.shape[1:]))
    np.add.at(total, image.ravel(), energy)
    return Images(turn[first], shift[first], total.astype(np.float32), way[first])
