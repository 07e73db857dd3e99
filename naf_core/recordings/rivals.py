"""Rivals that learn nothing: the nearest recording, linear interpolation between recordings, and the mean of all.

The first two move the direct sound of what they take to where the distance asked for puts it, which favours them over
the baselines of the published comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.spatial import Delaunay, KDTree

from naf_core.errors import UserError
from naf_core.recordings.method import Tell
from naf_core.recordings.recordingset import RecordingSet
from naf_core.recordings.spectrogram import log_magnitudes, magnitudes, waveform

_VIEW = 2.0  # m of distance for a unit of difference in the direction of view
_SPREAD = 0.2  # m of standard deviation below which positions do not spread along a direction
_MOST_DIRECTIONS = 4  # a triangulation in more has too many simplices
_SAMPLE_BYTES = 2  # of a WAV file


class Codec(Protocol):
    """What stores responses with losses."""

    name: str

    def through(self, responses: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
        """What ``responses`` (n, channels, samples) have become, and the bytes that this takes."""


@dataclass
class Interpolation:
    """The nearest of the recordings, or their ``linear`` interpolation; each stored through a ``codec`` or as it is.

    Recordings are compared by the positions of emitter and listener and by the direction of view, as points of one
    space. Linear weights come from a triangulation along the directions in which the points spread; outside, and
    where there is none, the nearest answers.
    """

    linear: bool = False
    codec: Codec | None = None
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = "linear" if self.linear else "nearest"
        if self.codec is not None:
            self.name += f", {self.codec.name}"

    def fit(self, train: RecordingSet, progress: Tell | None = None) -> None:
        """Keep ``train``, through the codec where there is one; raises UserError where its program is missing."""
        self._train, self._bytes = train, _SAMPLE_BYTES * train.responses.size
        self._responses = train.responses
        if self.codec is not None:
            self._responses, self._bytes = self.codec.through(train.responses, train.sample_rate)
        points = _points(train.emitters, train.listeners, train.rotations)
        self._tree = KDTree(points)
        self._mean = points.mean(axis=0)
        spread, directions = np.linalg.svd((points - self._mean) / np.sqrt(len(points)), full_matrices=False)[1:]
        self._directions = directions[spread > _SPREAD][:_MOST_DIRECTIONS].T
        self._simplices = None
        if self.linear and self._directions.shape[1] > 1 and len(points) > self._directions.shape[1] + 1:
            self._simplices = Delaunay((points - self._mean) @ self._directions, qhull_options="QJ Qbb Qc")
        if progress is not None:
            progress(1.0)

    def respond(self, emitters: np.ndarray, listeners: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Responses (n, channels, samples) as those of the training set; see `Method.respond`."""
        rows, weights = self._weights(_points(emitters, listeners, rotations))
        distances = np.linalg.norm(np.subtract(emitters, listeners), axis=-1)
        speed, rate = self._train.speed_of_sound, self._train.sample_rate
        arrivals = np.round(distances / speed * rate).astype(int)
        result = np.zeros((len(rows), *self._responses.shape[1:]), np.float32)
        for answer, taken, shares, arrival in zip(result, rows, weights, arrivals, strict=True):
            for row, share in zip(taken, shares, strict=True):
                if share > 0.0:
                    _add(answer, self._responses[row], arrival - self._train.direct_samples[row], share)
        return result

    def stored_bytes(self) -> int:
        """Bytes of the recordings as 16-bit samples, or as the codec stores them."""
        return self._bytes

    def _weights(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Recordings (n, k) that each of ``points`` takes, and their shares (n, k)."""
        nearest = self._tree.query(points)[1][:, None]
        if self._simplices is None:
            return nearest, np.ones((len(points), 1))
        flat = (points - self._mean) @ self._directions
        simplex = self._simplices.find_simplex(flat)
        inside = simplex >= 0
        transform = self._simplices.transform[simplex]
        dimensions = flat.shape[1]
        share = np.einsum("nij,nj->ni", transform[:, :dimensions], flat - transform[:, dimensions])
        share = np.concatenate([share, 1.0 - share.sum(axis=1, keepdims=True)], axis=1)
        inside &= np.isfinite(share).all(axis=1)  # a simplex without volume has no weights
        rows = np.where(inside[:, None], self._simplices.simplices[simplex], nearest)
        alone = np.eye(1, dimensions + 1)
        return rows, np.where(inside[:, None], np.clip(np.nan_to_num(share), 0.0, 1.0), alone)


@dataclass
class Mean:
    """The mean log-magnitudes of all recordings, wherever one stands: what a method has to beat to know of places."""

    seed: int = 0
    name: str = "mean of all"

    def fit(self, train: RecordingSet, progress: Tell | None = None) -> None:
        """Take the mean of ``train``."""
        self._samples = train.responses.shape[-1]
        self._mean = log_magnitudes(train.responses).mean(axis=0)
        if progress is not None:
            progress(1.0)

    def log_magnitudes(self, emitters: np.ndarray, listeners: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """The mean (n, channels, bins, frames), n times the same."""
        return np.broadcast_to(self._mean, (len(emitters), *self._mean.shape))

    def respond(self, emitters: np.ndarray, listeners: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """The mean magnitudes with random phases; see `Method.respond`."""
        size = magnitudes(self.log_magnitudes(emitters, listeners, rotations))
        turn = np.random.default_rng(self.seed).uniform(0.0, 2.0 * np.pi, size.shape).astype(np.float32)
        return waveform(size * np.exp(1j * turn), self._samples)

    def stored_bytes(self) -> int:
        """Bytes of the mean in single precision."""
        return self._mean.nbytes


def _points(emitters: np.ndarray, listeners: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Recordings as points (n, 9): where the emitter is, where the listener is, and where it looks."""
    if not (np.isfinite(emitters).all() and np.isfinite(listeners).all()):
        raise UserError("A position is not of finite numbers: give three numbers in metres.")
    return np.concatenate([emitters, listeners, _VIEW * np.asarray(rotations)[..., 0]], axis=-1)


def _add(answer: np.ndarray, response: np.ndarray, shift: int, share: float) -> None:
    """Add ``share`` of ``response`` (channels, n), moved by ``shift`` samples, to ``answer`` (channels, n)."""
    length = answer.shape[-1]
    start, stop = max(shift, 0), min(length + shift, length)
    if stop > start:
        answer[:, start:stop] += np.float32(share) * response[:, start - shift : stop - shift]
