"""A set of impulse responses of one room: what was recorded, between which positions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import soxr

from naf_core.errors import UserError
from naf_core.measured import find_direct
from naf_core.sound import SAMPLE_RATES

MOST_SAMPLES = 2**30  # of all responses together: 4 GB
MOST_CHANNELS = 64
MAX_REACH = 1e4  # m from the origin
LONGEST = 30.0  # s of one response
KINDS = ("measured", "simulated")

_SAME_PLACE = 0.01  # m
_BEFORE, _AFTER = 0.001, 0.002  # s around the direct sound in which no reflection is expected


@dataclass(frozen=True)
class RecordingSet:
    """N impulse responses of one room, of the same rate, length and channels.

    ``responses`` (N, channels, samples) float32: sample 0 is the emission, and the direct sound of a free field at 1 m
    is about a unit impulse. ``sample_rate`` in Hz. ``emitters`` and ``listeners`` (N, 3) in m, z up; ``rotations``
    (N, 3, 3) of the listener, world = R @ local, local x forwards, y to the left, z up; ``facings`` (N, 3) unit
    vectors along which the emitters radiate, NaN where in all directions. ``box`` (2, 3): low and high corner of
    the reflecting faces, where they are known. ``levels_known``: whether levels of the responses can be compared.
    ``notes`` are what a person should know. Raises UserError on anything that does not fit together.
    """

    name: str
    kind: str
    sample_rate: int
    responses: np.ndarray
    emitters: np.ndarray
    listeners: np.ndarray
    rotations: np.ndarray | None = None
    facings: np.ndarray | None = None
    box: np.ndarray | None = None
    speed_of_sound: float = 343.2
    levels_known: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        responses = np.asarray(self.responses, np.float32)
        if responses.ndim != 3 or 0 in responses.shape:
            raise UserError(f"{self.name} holds no responses: its array has the shape {responses.shape}.")
        count, channels, samples = responses.shape
        if self.kind not in KINDS:
            raise UserError(f"{self.name} is said to be {self.kind}: say {' or '.join(KINDS)}.")
        if not SAMPLE_RATES[0] <= self.sample_rate <= SAMPLE_RATES[1]:
            raise UserError(f"{self.name} has a sample rate of {self.sample_rate} Hz: convert it to 48000.")
        if channels > MOST_CHANNELS:
            raise UserError(f"{self.name} has {channels} channels: give at most {MOST_CHANNELS}.")
        if samples > LONGEST * self.sample_rate:
            raise UserError(
                f"Responses of {self.name} last {samples / self.sample_rate:.0f} s: cut them to {LONGEST:g} s."
            )
        bad = np.flatnonzero(~np.isfinite(responses).all(axis=(1, 2)))
        if len(bad):
            raise UserError(
                f"Response {bad[0]} of {self.name} has samples that are not finite numbers: export it again."
            )
        if not 200.0 <= self.speed_of_sound <= 500.0:
            raise UserError(f"{self.name} has a speed of sound of {self.speed_of_sound:g} m/s: it should be near 343.")
        rotations = np.broadcast_to(np.eye(3), (count, 3, 3)) if self.rotations is None else self.rotations
        facings = np.full((count, 3), np.nan) if self.facings is None else self.facings
        arrays = {"emitters": (self.emitters, (count, 3)), "listeners": (self.listeners, (count, 3))}
        arrays |= {"rotations": (rotations, (count, 3, 3)), "facings": (facings, (count, 3))}
        if self.box is not None:
            arrays["box"] = self.box, (2, 3)
        for key, (values, shape) in arrays.items():
            values = np.asarray(values, np.float64)
            if values.shape != shape:
                raise UserError(f"The {key} of {self.name} have the shape {values.shape}, not {shape}.")
            if key != "facings" and not (np.isfinite(values).all() and np.abs(values).max() < MAX_REACH):
                raise UserError(f"The {key} of {self.name} are not all finite and within {MAX_REACH:g} m: mend them.")
            object.__setattr__(self, key, values)
        if self.box is not None and not (self.box[1] > self.box[0]).all():
            raise UserError(f"The box of {self.name} has no volume: give its low corner first, then its high one.")
        object.__setattr__(self, "responses", responses)

    def __len__(self) -> int:
        return len(self.responses)

    def __getitem__(self, rows: np.ndarray | slice) -> RecordingSet:
        """The responses in ``rows``, an array of indices or of truth values, or a slice."""
        arrays = {key: getattr(self, key)[rows] for key in _BY_RESPONSE}
        return replace(self, **arrays)

    @property
    def distances(self) -> np.ndarray:
        """From emitter to listener, (N,) in m."""
        return np.linalg.norm(self.emitters - self.listeners, axis=1)

    @property
    def direct_samples(self) -> np.ndarray:
        """Sample (N,) int at which the direct sound arrives if it comes straight."""
        return np.round(self.distances / self.speed_of_sound * self.sample_rate).astype(int)

    def at_rate(self, sample_rate: int) -> RecordingSet:
        """The set at another ``sample_rate`` in Hz; spectra keep their level, a unit impulse its energy by band."""
        if sample_rate == self.sample_rate:
            return self
        count, channels, _ = self.responses.shape
        rows = self.responses.reshape(count * channels, -1)
        rows = np.stack([soxr.resample(row, self.sample_rate, sample_rate, quality="VHQ") for row in rows])
        # An impulse of the same spectrum is taller the more samples a second there are.
        rows *= np.float32(self.sample_rate / sample_rate)
        return replace(self, sample_rate=sample_rate, responses=rows.reshape(count, channels, -1))

    def lasting(self, seconds: float) -> RecordingSet:
        """The set with responses cut to ``seconds``, or continued by silence."""
        length = max(round(seconds * self.sample_rate), 1)
        responses = self.responses[..., :length]
        responses = np.pad(responses, ((0, 0), (0, 0), (0, length - responses.shape[-1])))
        return replace(self, responses=responses)


_BY_RESPONSE = ("responses", "emitters", "listeners", "rotations", "facings")


def direct_found(recordings: RecordingSet) -> np.ndarray:
    """Sample (N,) int at which the direct sound is found in the responses, whatever the positions say.

    That of the channel in which it comes first.
    """
    rate = recordings.sample_rate
    return np.array([min(find_direct(row, rate) for row in response) for response in recordings.responses])


def aligned(recordings: RecordingSet, found: np.ndarray | None = None) -> RecordingSet:
    """The set with each response moved so that its direct sound arrives when its distance says.

    ``found`` (N,) are the samples at which the direct sounds lie, by default as `direct_found` has them. What is moved
    beyond the ends is lost.
    """
    found = direct_found(recordings) if found is None else np.asarray(found)
    moved = np.zeros_like(recordings.responses)
    length = moved.shape[-1]
    for row, response, shift in zip(moved, recordings.responses, recordings.direct_samples - found, strict=True):
        start, stop = max(shift, 0), min(length + shift, length)
        if stop > start:
            row[:, start:stop] = response[:, start - shift : stop - shift]
    return replace(recordings, responses=moved)


def calibration(recordings: RecordingSet) -> float:
    """Factor by which the responses become those of a source that gives a unit impulse at 1 m.

    Read from the energy of the direct sounds, which have to lie where the positions say, times the squared
    distance; the median counts. Raises UserError where there is no direct sound.
    """
    rate = recordings.sample_rate
    before, after = round(_BEFORE * rate), round(_AFTER * rate)
    energies = []
    for response, direct in zip(recordings.responses, recordings.direct_samples, strict=True):
        part = response[:, max(direct - before, 0) : direct + after].astype(np.float64)
        energies.append(np.square(part).sum(axis=-1).mean())
    level = float(np.median(np.array(energies) * recordings.distances**2))
    if level <= 0.0:
        raise UserError(f"{recordings.name} has no direct sound where its positions say: check them, or align it.")
    return 1.0 / np.sqrt(level)


def calibrated(recordings: RecordingSet) -> RecordingSet:
    """The set in the unit of `calibration`."""
    return replace(recordings, responses=recordings.responses * np.float32(calibration(recordings)))


def places(recordings: RecordingSet) -> np.ndarray:
    """Number (N,) of the place of each response, in order of appearance; the same where both ends stand alike."""
    both = np.round(np.concatenate([recordings.emitters, recordings.listeners], axis=1) / _SAME_PLACE)
    _, first, number = np.unique(both, axis=0, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number.ravel()]


def check_learnable(recordings: RecordingSet) -> None:
    """Raise UserError where ``recordings`` are of one place, or one is silent or ends before its direct sound."""
    name, samples = recordings.name, recordings.responses.shape[-1]
    if not places(recordings).any():
        raise UserError(
            f"{name} has recordings of one place only, from which nothing is learned of others: record more positions."
        )
    for row in np.flatnonzero(recordings.direct_samples >= samples)[:1]:
        raise UserError(
            f"Response {row} of {name} ends before the direct sound comes over {recordings.distances[row]:.1f} m:"
            " check its position, or cut less off."
        )
    for row in np.flatnonzero(~recordings.responses.any(axis=(1, 2)))[:1]:
        raise UserError(f"Response {row} of {name} is silent: record it again, or leave it out.")


def split(recordings: RecordingSet, test: int, seed: int) -> tuple[RecordingSet, RecordingSet]:
    """Training and test part, with ``test`` places held out by ``seed``; all responses of a place stay together.

    Raises UserError when no place would be left to learn from, or none to test.
    """
    number = places(recordings)
    count = int(number.max()) + 1
    if not 0 < test < count:
        raise UserError(
            f"{recordings.name} has responses of {count} place{'s' * (count > 1)}: {test} cannot be held out."
            " Record more positions, or hold out fewer."
        )
    held = np.isin(number, np.random.default_rng(seed).permutation(count)[:test])
    return recordings[~held], recordings[held]


def joined(parts: list[RecordingSet], name: str) -> RecordingSet:
    """One set of several of the same room, rate, length and channels; raises UserError where they differ."""
    for one, other in pairwise(parts):
        if one.sample_rate != other.sample_rate or one.responses.shape[1:] != other.responses.shape[1:]:
            raise UserError(f"{one.name} and {other.name} differ in sample rate, length or channels.")
    arrays = {key: np.concatenate([getattr(part, key) for part in parts]) for key in _BY_RESPONSE}
    return replace(parts[0], name=name, **arrays)
