"""A field of few recordings: one decay of the room and its changes from place to place, in closed form.

Nothing is trained by gradients. Energies are read from the recordings, kernels are chosen by leaving recordings out,
and even noise is shaped to what is predicted; the direct sound is that of the recordings, put where the positions say.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import fft

from naf_core.air import Air
from naf_core.bands import BAND_EDGES_HZ, N_BANDS
from naf_core.errors import UserError
from naf_core.recorded import (
    DIRECT,
    LATE,
    LEVEL,
    MAX_RECORDINGS,
    N_CHANGES,
    N_EARLY,
    SLOPE,
    Kernel,
    RecordedField,
    in_frames,
    read_recorded,
)
from naf_core.recordings.decays import Decays, read_decays
from naf_core.recordings.method import Tell
from naf_core.recordings.recordingset import RecordingSet
from naf_core.recordings.regression import SHAPES, choose, left_out_changes, solve
from naf_core.recordings.shaping import COLOURS, LARGEST_STEP, SETTLED, Voice, lateness, mean_sound
from naf_core.recordings.spectrogram import BINS, HOP, spectra
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, N_FRAMES, EnergyResponse
from naf_core.scene import Scene

_FEWEST = 2
_LOST = 0.25  # of what remains untold, that may be lost to keep fewer numbers
_MOST_SCATTER = 0.7  # natural logarithm of energy
_EARLY = 1 + int(np.argmin(np.abs(FRAME_EDGES - 0.06)))  # the direct sound and the frames of 60 ms
_MARGIN = 1.0  # m from the outermost positions to the walls, where no box is known
SETTLED_ON = 48  # recordings, at most, with which the voice is settled
_ROUNDS = 2
_LOUD = 2.0  # times the power of the background, from which colour is read
_SILENCE = 1e-14  # power
_STEADY = 0.3  # frames: colour changes little where few are loud


class RecordingsField:
    """Our method: see `Method` and `RecordedField`.

    ``scene`` is the room where its mesh is known; else a box stands for it: that of the recordings, or one around the
    positions. ``seed`` draws the noise. ``noisy`` responses have the background of the recordings, as a
    comparison with recordings asks.
    """

    name = "recorded field"

    def __init__(self, scene: Scene | None = None, seed: int = 0, noisy: bool = True) -> None:
        self.scene, self.seed, self.noisy = scene, seed, noisy
        self.field: RecordedField | None = None
        self.voice: Voice | None = None
        self.left: float = 1.0  # error of left-out changes, over that of a common decay

    def fit(self, train: RecordingSet, progress: Tell | None = None) -> None:
        """Learn from ``train``; ``progress`` gets 0..1 and may raise to cancel.

        Raises UserError on fewer than two recordings, more than can be solved, or no decay in any.
        """
        if not _FEWEST <= len(train) <= MAX_RECORDINGS:
            raise UserError(f"{train.name} has {len(train)} recordings: give {_FEWEST} to {MAX_RECORDINGS} of them.")
        tell = progress or (lambda fraction: None)
        arrivals = train.direct_samples
        decays = read_decays(train.responses, arrivals, train.sample_rate, lambda done: tell(0.6 * done))
        responses = train.responses
        if not train.levels_known:
            decays, gains = _levelled(decays)
            responses = responses * gains[:, None, None]
        self.field, self.left = learn(train, decays, self.scene, self.seed, lambda done: tell(0.6 + 0.2 * done))
        self.voice = _voice(responses, train, decays, self.seed)
        tell(1.0)

    def respond(self, emitters: np.ndarray, listeners: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Responses (n, channels, samples) float32; see `Method.respond`. The view does not matter."""
        return self.voice.respond(*self._asked(emitters, listeners), self.noisy)

    def log_magnitudes(self, emitters: np.ndarray, listeners: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Expected log-magnitudes (n, channels, BINS, frames); the view does not matter."""
        return self.voice.log_magnitudes(*self._asked(emitters, listeners), self.noisy)

    def energies(self, emitters: np.ndarray, listeners: np.ndarray) -> EnergyResponse:
        """Energy responses of n pairs."""
        return self.field.predict(emitters, listeners)

    def stored_bytes(self) -> int:
        """Size of the file that `save` writes."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "field.safetensors"
            self.save(path)
            return path.stat().st_size

    def save(self, path: str | Path) -> None:
        """Write what was learned to ``path`` as safetensors; `RecordedField.load` reads the field of it."""
        settings, arrays = self.voice.packed()
        self.field.save(path, {"voice": json.dumps(settings, separators=(",", ":"))}, **arrays)

    @classmethod
    def load(cls, path: str | Path, scene: Scene | None = None) -> RecordingsField:
        """Read what `save` wrote; raises UserError when it is missing, foreign or damaged."""
        result = cls(scene)
        result.field = RecordedField.load(path, scene)
        arrays, notes = read_recorded(path)
        try:
            result.voice = Voice.unpacked(json.loads(notes["voice"]), arrays)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise UserError(f"{path} cannot be read as a recorded field with its sound: {error}") from error
        return result

    def _asked(self, emitters: np.ndarray, listeners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies (n, 8) and (n, 8, N_FRAMES) and arrivals (n,) in samples."""
        found = self.field.predict(emitters, listeners)
        arrivals = np.round(found.delay * self.voice.sample_rate).astype(int)
        return found.direct, found.energy[..., 0], arrivals


def learn(
    train: RecordingSet, decays: Decays, scene: Scene | None, seed: int, progress: Tell | None = None
) -> tuple[RecordedField, float]:
    """The field of ``decays`` at the places of ``train``, and what error is left of left-out ones (see `choose`)."""
    distance = np.maximum(train.distances, 0.1)
    rate = np.median(decays.rate, axis=0)
    reflected = np.log(decays.reflected) + (distance[:, None] / train.speed_of_sound * rate)[..., None]
    direct = np.log(decays.direct) + 2.0 * np.log(distance)[:, None]
    common, common_direct = reflected.mean(axis=0), direct.mean(axis=0)
    values = _changes(reflected - common, direct - common_direct)
    pairs = np.concatenate([train.emitters, train.listeners], axis=1)
    kernel, amplitudes, left = choose(_kernels(train), pairs, distance, _turned(values), seed, progress)
    weights, trend, constant = (
        _turned(part, back=True) for part in solve(kernel, amplitudes, pairs, distance, _turned(values))
    )
    like = kernel.between(pairs, pairs)
    left_part, right_part = _fewer(weights, like, values - constant - np.log(distance)[:, None, None] * trend)
    rows, errors = left_out_changes(kernel, amplitudes, pairs, distance, _turned(values), seed)
    told = values[rows] - _turned(errors, back=True)
    scatter = _scatter(
        np.concatenate([direct[rows, :, None], reflected[rows]], axis=-1),
        np.concatenate([(common_direct + told[..., DIRECT])[..., None], common + in_frames(told)], axis=-1),
        train.sample_rate,
    )
    emitters, of_e = np.unique(train.emitters, axis=0, return_inverse=True)
    listeners, of_l = np.unique(train.listeners, axis=0, return_inverse=True)
    box = _box(train, scene)
    field = RecordedField(
        emitters,
        listeners,
        np.stack([of_e.ravel(), of_l.ravel()], axis=1),
        kernel,
        left_part,
        right_part,
        trend,
        common + in_frames(constant) + scatter[:, 1:],
        rate,
        common_direct + constant[:, DIRECT] + scatter[:, 0],
        box,
        fitted_absorption(rate, box, train.speed_of_sound),
        train.speed_of_sound,
        scene,
    )
    return field, left


def _scatter(true: np.ndarray, told: np.ndarray, sample_rate: int) -> np.ndarray:
    """What to add (8, 1 + N_FRAMES) to logarithms of energies ``told`` about which the ``true`` ones scatter.

    Both (N, 8, 1 + N_FRAMES), the direct sound first. The mean energy of what scatters is more than that of its mean
    logarithm: bands and frames scatter each on their own, and a sound has all of them. What they have in common is how
    loud one recording is, which a few loud ones do not decide for all: of that the mean logarithm counts, for direct,
    early and late sound.
    """
    width = np.diff(np.minimum(BAND_EDGES_HZ, 0.5 * sample_rate))[:, None]
    result = np.empty(true.shape[1:])
    for part in (slice(1), slice(1, _EARLY), slice(_EARLY, None)):
        energies = ((np.exp(values[..., part]) * width).sum(axis=(1, 2)) for values in (true, told))
        level = np.log(np.divide(*energies))
        apart = np.exp((true - told)[..., part] - level[:, None, None]).mean(axis=0)
        result[:, part] = np.log(apart) + level.mean()
    return np.clip(result, -_MOST_SCATTER, _MOST_SCATTER)


def fitted_absorption(rate: np.ndarray, box: np.ndarray, speed_of_sound: float) -> np.ndarray:
    """Mean absorption (8,) of the faces of ``box`` (2, 3) that gives the decay ``rate`` (8,) in 1/s, 0..1.

    C. F. Eyring, J. Acoust. Soc. Am. 1, 1930, with the air's part taken off.
    """
    x, y, z = box[1] - box[0]
    path = 2.0 * x * y * z / (x * y + y * z + z * x)  # mean free path, 4 V / S
    exponent = (rate / speed_of_sound - Air().absorption()) * path
    return 1.0 - np.exp(-np.maximum(exponent, 0.0))


def _changes(reflected: np.ndarray, direct: np.ndarray) -> np.ndarray:
    """Changes (N, 8, N_CHANGES) in logarithms ``reflected`` (N, 8, N_FRAMES) and ``direct`` (N, 8), without their mean.

    Level and slope of the late decay are a straight line through its frames, as long ones as they hold more sound.
    """
    values = np.empty((*direct.shape, N_CHANGES))
    values[..., :N_EARLY] = reflected[..., :N_EARLY]
    values[..., DIRECT] = direct
    ending = FRAME_EDGES[N_EARLY + 1 :] <= 1.0
    line = np.stack([np.ones(N_FRAMES - N_EARLY), LATE], axis=1)[ending]
    weight = FRAME_WIDTHS[N_EARLY:, None][ending]
    solved = np.linalg.solve(line.T @ (weight * line), (weight * line).T)
    values[..., [LEVEL, SLOPE]] = reflected[..., N_EARLY:][..., ending] @ solved.T
    return values


def _turned(changes: np.ndarray, back: bool = False) -> np.ndarray:
    """``changes`` (..., 8, N_CHANGES) with the early frames as their cosine transform, and ``back``.

    What early frames have in common changes more smoothly from place to place than each of them.
    """
    result = changes.copy()
    transform = fft.idct if back else fft.dct
    result[..., :N_EARLY] = transform(changes[..., :N_EARLY], norm="ortho", axis=-1)
    return result


def _kernels(train: RecordingSet) -> list[Kernel]:
    """Kernels to choose from: shapes, mirror planes of the box, and exchange where no emitter is directional."""
    mirrors: list[tuple[int, ...]] = [()]
    centre = (0.0, 0.0, 0.0)
    if train.box is not None:
        mirrors = [axes for k in range(3) for axes in itertools.combinations((0, 1), k)]
        centre = tuple(float(x) for x in train.box.mean(axis=0))
    swaps = [False] if np.isfinite(train.facings).any() else [False, True]
    return [Kernel(*shape, *rest, centre) for shape, *rest in itertools.product(SHAPES, mirrors, swaps)]


def _fewer(weights: np.ndarray, like: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``weights`` (N, 8, C) as a product (N, K) and (K, 8, C), of few K.

    As few as lose no more, of what they tell at the recorded places, than a part _LOST of what remains of ``values``.
    """
    flat = weights.reshape(len(weights), -1)
    told = like @ flat
    columns = np.linalg.svd(told, full_matrices=False)[2]
    most = _LOST * np.abs(values.reshape(told.shape) - told).mean()
    k = 1
    while k < len(columns) and np.abs(told - told @ columns[:k].T @ columns[:k]).mean() > most:
        k += 1
    return flat @ columns[:k].T, columns[:k].reshape(k, *weights.shape[1:])


def _box(train: RecordingSet, scene: Scene | None) -> np.ndarray:
    """The box (2, 3) that stands for the room: that of the recordings, of the mesh, or one around the positions."""
    if train.box is not None:
        return train.box
    if scene is not None and len(scene.triangles):
        return scene.bounds
    places = np.concatenate([train.emitters, train.listeners])
    return np.stack([places.min(axis=0) - _MARGIN, places.max(axis=0) + _MARGIN])


def _levelled(decays: Decays) -> tuple[Decays, np.ndarray]:
    """``decays`` with the same late level in all, and the amplitudes (N,) that make it so."""
    late = np.log(decays.reflected[..., N_EARLY - 4 : N_EARLY + 8]).mean(axis=(1, 2))
    gain = np.exp(late.mean() - late)
    direct, reflected = decays.direct * gain[:, None], decays.reflected * gain[:, None, None]
    return Decays(direct, reflected, decays.rate), np.sqrt(gain).astype(np.float32)


def _voice(responses: np.ndarray, train: RecordingSet, decays: Decays, seed: int) -> Voice:
    """The voice with which `Voice.respond` gives back what the recordings hold, in the mean over them."""
    rows = np.linspace(0, len(train) - 1, min(len(train), SETTLED_ON)).round().astype(int)
    arrivals, rate = train.direct_samples[rows], train.sample_rate
    wanted = Decays(decays.direct[rows], decays.reflected[rows], decays.rate[rows])
    distances = np.maximum(train.distances[rows], 0.1)
    sound = mean_sound(responses[rows], arrivals, distances, rate)
    power = np.square(np.abs(spectra(responses[rows])), dtype=np.float64).mean(axis=(0, 1))
    noise = np.sort(power, axis=-1)[:, : max(power.shape[-1] // 10, 1)].mean(axis=-1)
    background = 0.5 * np.log(np.maximum(noise, _SILENCE))
    settling, colour = np.zeros((N_BANDS, SETTLED)), np.zeros((2, BINS))
    voice = Voice(train.responses.shape[-1], rate, colour, sound, settling, background, seed)
    for _ in range(_ROUNDS):
        known, chance = voice.powers(wanted.direct, wanted.reflected, arrivals)
        known, chance = known.mean(axis=(0, 1)), chance.mean(axis=0)
        voice = replace(voice, colour=np.clip(voice.colour + _colour(power, known, chance, noise, rate), *COLOURS))
    for _ in range(_ROUNDS):
        found = read_decays(voice.respond(wanted.direct, wanted.reflected, arrivals), arrivals, rate)
        off = (np.log(wanted.reflected) - np.log(found.reflected))[..., :SETTLED].mean(axis=0)
        voice = replace(voice, settling=np.clip(voice.settling + off, -LARGEST_STEP, LARGEST_STEP))
    return voice


def _colour(
    heard: np.ndarray, known: np.ndarray, chance: np.ndarray, noise: np.ndarray, sample_rate: int
) -> np.ndarray:
    """Early and late colour (2, BINS) that brings the power ``chance`` of reflected sound nearer to what is ``heard``.

    Mean short-time powers (BINS, frames); ``known`` that of direct sound, ``noise`` (BINS,) that of the background. A
    straight line over `lateness` through the frames in which reflected sound is loud.
    """
    late = lateness(np.arange(heard.shape[-1]) * HOP / sample_rate)
    reflected = heard - known - noise[:, None]
    loud = (reflected > _LOUD * noise[:, None]) & (reflected > known) & (chance > known)
    error = 0.5 * np.log(np.maximum(reflected, _SILENCE) / np.maximum(chance, _SILENCE))
    sums = [np.where(loud, late**k, 0.0).sum(axis=1) for k in range(3)]
    sides = [np.where(loud, late**k * error, 0.0).sum(axis=1) for k in range(2)]
    count = np.maximum(sums[0], 1.0)
    slope = (sides[1] - sides[0] * sums[1] / count) / (sums[2] - sums[1] ** 2 / count + _STEADY)
    level = (sides[0] - slope * sums[1]) / count
    return np.stack([level, level + slope])
