"""What is asked of a method that answers for a room after hearing recordings of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from naf_core.recordings.recordingset import RecordingSet
from naf_core.response import EnergyResponse

Tell = Callable[[float], None]
PUBLISHED_FORMAT = "acoustic-fields published NAF"  # what files of the published field begin to call themselves


class Method(Protocol):
    """Learns from a set, then answers for other positions. ``name`` is what tables call it."""

    name: str

    def fit(self, train: RecordingSet, progress: Tell | None = None) -> None:
        """Learn from ``train``; ``progress`` gets 0..1 and may raise to cancel. Raises UserError when it cannot."""

    def respond(self, emitters: np.ndarray, listeners: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Responses (n, channels, samples) float32 as those of the training set.

        ``emitters`` and ``listeners`` (n, 3) in m, ``rotations`` (n, 3, 3) of the listener, world = R @ local.
        """

    def stored_bytes(self) -> int:
        """Bytes that have to be kept to answer."""


class Loaded(Method, Protocol):
    """A method that was read from its file, whose responses have ``sample_rate`` Hz."""

    sample_rate: int


@runtime_checkable
class GivesLogMagnitudes(Protocol):
    """A method that knows log-magnitudes better than those of one waveform, whose fine structure is drawn."""

    def log_magnitudes(self, emitters: np.ndarray, listeners: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Expected values (n, channels, bins, frames) of `spectrogram.log_magnitudes`."""


@runtime_checkable
class GivesEnergies(Protocol):
    """A method that knows energies by band and frame before it makes a waveform."""

    def energies(self, emitters: np.ndarray, listeners: np.ndarray) -> EnergyResponse:
        """Energy responses of n pairs."""


@runtime_checkable
class GivesFeatures(Protocol):
    """A method that has learned features of places."""

    def features(self, points: np.ndarray) -> np.ndarray:
        """Features (n, k) at ``points`` (n, 3)."""


@runtime_checkable
class GivesNotes(Protocol):
    """A method that says what it has found in learning."""

    notes: tuple[str, ...]
