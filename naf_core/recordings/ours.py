"""A field of few recordings: one decay of the room and its changes from place to place, in closed form.

Nothing is trained by gradients. Energies are read from the recordings, kernels are chosen by leaving recordings out,
and even noise is shaped to what is predicted; the direct sound is that of the recordings, put where the positions say.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from naf_core.bands import N_BANDS
from naf_core.errors import UserError
from naf_core.prior import Prior
from naf_core.recorded import MAX_RECORDINGS, N_EARLY, RecordedField, read_recorded
from naf_core.recordings.decays import Decays, read_decays, read_whole
from naf_core.recordings.fittedroom import fitted_absorption, fitted_prior
from naf_core.recordings.learning import learn
from naf_core.recordings.method import Tell
from naf_core.recordings.recordingset import RecordingSet, check_learnable
from naf_core.recordings.shaping import COLOURS, LARGEST_STEP, SETTLED, Voice, lateness, mean_sound
from naf_core.recordings.spectrogram import BINS, HOP, spectra
from naf_core.response import EnergyResponse
from naf_core.scene import Scene

_FEWEST = 2
_WORTH = 0.97  # of the error, that has to be left for a field to be scanned
SETTLED_ON = 48  # recordings, at most, with which the voice is settled
_ROUNDS = 2
_LOUD = 2.0  # times the power of the background, from which colour is read
_SILENCE = 1e-14  # power
_STEADY = 0.3  # frames: colour changes little where few are loud


class RecordingsField:
    """Our method: see `Method` and `RecordedField`.

    ``scene`` is the room where its mesh is known, of whose materials only their ratios count; else a box stands for it:
    that of the recordings, or one around the positions. Mesh or known box, made to decay as the recordings do, are
    what the field starts from where left-out recordings are better predicted so; ``notes`` say it. ``seed`` draws the
    noise. ``noisy`` responses have the background of the recordings, as a comparison with recordings asks.
    """

    name = "recorded field"

    def __init__(self, scene: Scene | None = None, seed: int = 0, noisy: bool = True) -> None:
        self.scene, self.seed, self.noisy = scene, seed, noisy
        self.field: RecordedField | None = None
        self.voice: Voice | None = None
        self.notes: tuple[str, ...] = ()

    def fit(self, train: RecordingSet, progress: Tell | None = None) -> None:
        """Learn from ``train``; ``progress`` gets 0..1 and may raise to cancel.

        Raises UserError on fewer than two recordings or places, on more than can be solved, on one that is silent or
        ends before its direct sound, and where there is no decay in any.
        """
        if not _FEWEST <= len(train) <= MAX_RECORDINGS:
            have = f"{len(train)} recording{'s' * (len(train) != 1)}"
            raise UserError(f"{train.name} has {have}: give {_FEWEST} to {MAX_RECORDINGS} of them.")
        check_learnable(train)
        tell = progress or (lambda fraction: None)
        arrivals = train.direct_samples
        decays = read_decays(train.responses, arrivals, train.sample_rate, lambda done: tell(0.6 * done))
        responses = train.responses
        if not train.levels_known:
            decays, gains = _levelled(decays)
            responses = responses * gains[:, None, None]
        self.field = self._learned(train, decays, lambda done: tell(0.6 + 0.3 * done))
        self.voice = _voice(responses, train, decays, self.seed)
        tell(1.0)

    def _learned(self, train: RecordingSet, decays: Decays, tell: Tell) -> RecordedField:
        """The field of ``decays``, with geometry where it is known and helps."""
        self.notes = ()
        found = learn(train, decays, self.scene, None, self.seed, lambda done: tell(0.4 * done))
        room, prior = "mesh", None
        if self.scene is not None and len(self.scene.triangles):
            prior = Prior(self.scene, self.seed)
        elif train.box is not None:
            absorption = fitted_absorption(np.median(decays.rate, axis=0), train.box, train.speed_of_sound)
            room, prior = "box", Prior.of_box(train.box, absorption, self.seed)
        if prior is None:
            return found.field
        prior, factor = fitted_prior(prior, train, decays, lambda done: tell(0.4 + 0.1 * done))
        other = learn(train, decays, self.scene, prior, self.seed, lambda done: tell(0.5 + 0.5 * done))
        taken = other.error < _WORTH * found.error
        self.notes = (
            f"Left-out recordings are off by {other.error:.2f} dB with the zero-shot field of the room's {room} under"
            f" them and by {found.error:.2f} dB without: {'taken' if taken else 'left out'}. Absorption was multiplied,"
            f" from 63 Hz to 8 kHz, by {', '.join(f'{f:.2f}' for f in factor)}.",
        )
        return other.field if taken else found.field

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

    @property
    def sample_rate(self) -> int:
        """Of its responses, in Hz."""
        return self.voice.sample_rate

    def save(self, path: str | Path) -> None:
        """Write what was learned to ``path``; `RecordedField.load` reads the field of it."""
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
        voice = _settled(voice, np.log(wanted.reflected / found.reflected))
    # What is drawn as noise adds up otherwise than what was recorded, and alike in all answers.
    made = voice.respond(wanted.direct, wanted.reflected, arrivals)
    heard, found = (read_whole(sounds, arrivals, rate) for sounds in (responses[rows], made))
    return _settled(voice, np.log(heard / found)[:, None])


def _settled(voice: Voice, off: np.ndarray) -> Voice:
    """The ``voice`` with energies raised by what is missing in the mean, ``off`` (N, 8 or 1, N_FRAMES), logarithms."""
    settling = voice.settling + off[..., :SETTLED].mean(axis=0)
    return replace(voice, settling=np.clip(settling, -LARGEST_STEP, LARGEST_STEP))


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
