"""Amplitude panning: which three of a set of directions surround a direction, and loudspeakers that share a sound."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull, KDTree, QhullError

from naf_core.ambisonics import degrees, encode

_TOGETHER = 4096  # directions that are looked up at once
_VIRTUAL = 400  # directions through which ambisonics are decoded
_MAX_RE = {1: (1.0, 0.577), 2: (1.0, 0.775, 0.4), 3: (1.0, 0.861, 0.612, 0.305)}  # weight of each degree


class Triangulation:
    """Triangles between ``directions`` (N, 3) that cover the sphere; raises ValueError where they do not.

    ``triangles`` (T, 3) are indices of their corners.
    """

    def __init__(self, directions: np.ndarray) -> None:
        directions = np.asarray(directions, np.float64)
        try:
            hull = ConvexHull(directions)
            self.triangles = hull.simplices
            self._inverse = np.linalg.inv(directions[self.triangles].transpose(0, 2, 1))
        except (QhullError, np.linalg.LinAlgError) as error:
            raise ValueError("the directions do not surround the listener") from error
        if hull.equations[:, 3].max() > -1e-3:  # the listener lies outside of the hull, or in a face
            raise ValueError("the directions do not surround the listener")
        self._nearest = KDTree(directions)
        beside = [np.flatnonzero((self.triangles == corner).any(axis=1)) for corner in range(len(directions))]
        most = max(map(len, beside))
        self._beside = np.array([np.resize(some if len(some) else [0], most) for some in beside])

    def weights(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Corners (n, 3) of the triangle that each of ``directions`` (n, 3) passes through, and their weights (n, 3).

        The corners' vectors times the weights, none negative, sum to the direction (V. Pulkki, Virtual sound source
        positioning using vector base amplitude panning, J. Audio Eng. Soc. 45, 1997), so the weights are continuous
        over the sphere.
        """
        directions = np.asarray(directions, np.float64)
        chosen = np.empty(len(directions), int)
        for start in range(0, len(directions), _TOGETHER):
            chosen[start : start + _TOGETHER] = self._passed(directions[start : start + _TOGETHER])
        weights = np.maximum(np.einsum("nij,nj->ni", self._inverse[chosen], directions), 0.0)
        return self.triangles[chosen], weights

    def _passed(self, directions: np.ndarray) -> np.ndarray:
        """The triangle (n,) that each of the directions passes through."""
        # Most pass one of those beside the nearest corner; the smallest of a triangle's three weights says so, and is
        # largest in the one that is passed.
        near = self._beside[self._nearest.query(directions)[1]]
        least = np.einsum("ntij,nj->nti", self._inverse[near], directions).min(axis=2)
        best = least.argmax(axis=1)
        chosen = np.take_along_axis(near, best[:, None], axis=1)[:, 0]
        lost = np.flatnonzero(least.max(axis=1) < 0.0)
        for start in range(0, len(lost), 256):
            some = lost[start : start + 256]
            chosen[some] = np.einsum("tij,nj->nti", self._inverse, directions[some]).min(axis=2).argmax(axis=1)
        return chosen


class Loudspeakers:
    """Loudspeakers around a listener.

    ``angles`` are azimuths to the left and elevations in degrees, one pair for each channel, None for a channel that
    takes no part (low-frequency effects).
    """

    def __init__(self, angles: tuple[tuple[float, float] | None, ...]) -> None:
        self.channels = len(angles)
        self._playing = np.array([index for index, angle in enumerate(angles) if angle is not None])
        azimuth, elevation = np.radians([angle for angle in angles if angle is not None]).T
        real = np.stack(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], axis=1
        )
        # An imaginary one above and one below hand their share to all those beside them (F. Zotter and M. Frank,
        # All-round ambisonic panning and decoding, J. Audio Eng. Soc. 60, 2012).
        self._triangulation = Triangulation(np.concatenate([real, [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]]))
        self._opposite = np.argmax((real * (1.0, -1.0, 1.0)) @ real.T, axis=1)
        count = len(real) + 2
        beside = np.zeros((count, count), bool)
        for triangle in self._triangulation.triangles:
            beside[np.ix_(triangle, triangle)] = True
        self._share = np.eye(len(real), count)
        for pole in range(len(real), count):
            neighbours = beside[pole, : len(real)]
            self._share[neighbours, pole] = neighbours.sum() ** -0.5

    def gains(self, directions: np.ndarray) -> np.ndarray:
        """Gains (channels, n) of sounds from ``directions`` (n, 3), whose squares sum to 1 (Pulkki 1997)."""
        # Four loudspeakers in a plane can be parted into triangles in two ways: the mean of both sides is symmetrical.
        mirrored = np.asarray(directions) * (1.0, -1.0, 1.0)
        gains = self._panned(directions) + self._panned(mirrored)[:, self._opposite]
        result = np.zeros((self.channels, len(gains)))
        result[self._playing] = (gains / np.linalg.norm(gains, axis=1, keepdims=True)).T
        return result

    def _panned(self, directions: np.ndarray) -> np.ndarray:
        """Gains (n, playing) within the triangles, not normalised."""
        index, weights = self._triangulation.weights(directions)
        wanted = np.zeros((len(index), self._share.shape[1]))
        np.put_along_axis(wanted, index, weights, axis=1)
        return wanted @ self._share.T

    def decoder(self, order: int) -> np.ndarray:
        """Matrix (channels, (order + 1)²) from ambisonics to the loudspeakers that keeps the power of a diffuse field.

        All-round decoding: through virtual loudspeakers all around, each of them panned (Zotter and Frank 2012), with
        weights by degree that gather the energy (max rE: J. Daniel, Représentation de champs acoustiques, 2000).
        """
        return self._decoders[order]

    @cached_property
    def _decoders(self) -> dict[int, np.ndarray]:
        k = np.arange(_VIRTUAL) + 0.5
        z, azimuth = 1.0 - 2.0 * k / _VIRTUAL, np.pi * (1.0 + np.sqrt(5.0)) * k
        radius = np.sqrt(1.0 - z * z)
        around = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)
        gains, result = self.gains(around), {}
        for order, weights in _MAX_RE.items():
            degree = degrees(order)
            matrix = gains @ encode(around, order).T * ((2 * degree + 1) * np.array(weights)[degree])
            result[order] = matrix / np.sqrt((np.square(matrix) / (2 * degree + 1)).sum())
        return result
