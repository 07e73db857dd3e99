"""Images of an emitter in mirrors: early reflections that are heard as sounds of their own.

The image in a sequence of planes is a fixed turn and shift of the emitter, so it moves with it (J. B. Allen and D. A.
Berkley, Image method for efficiently simulating small-room acoustics, J. Acoust. Soc. Am. 65, 1979).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from naf_core.air import NEAREST
from naf_core.bands import BAND_EDGES_HZ, N_BANDS
from naf_core.paths import Candidates, Check, discover, ears_aside
from naf_core.planes import Planes
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES, N_FRAMES, EnergyResponse
from naf_core.scene import Scene

ORDER = 3  # reflections
RAYS = 16_384  # that look for sequences of planes, shared among the places of the emitter
_PLACES = 16  # of the emitter, from which they are looked for
_CANDIDATES = 2000  # sequences of each length that are tried, those with the most energy if they should be heard
_TOGETHER = 1 << 18  # candidates looked at in one go
_FAINT = 1e-4  # of all energy at a key: an image below that stays in the reverberation
# Frames beside that of an image which give their energy where its own has too little: 20 ms together.
_SPREAD = (0, 1, -1, 2)


@dataclass(frozen=True)
class Images:
    """S images of one emitter, and what is heard of each at K keys.

    The image of an emitter at p lies at ``turn`` (S, 3, 3) @ p + ``shift`` (S, 3), in metres. ``energy`` (S, K, 8) is
    that at the listener relative to the free field at 1 m, 0 where the image is not heard; ``way`` (S, K, 3) in metres
    leads from the listener to the image.
    """

    turn: np.ndarray
    shift: np.ndarray
    energy: np.ndarray
    way: np.ndarray

    def __len__(self) -> int:
        return len(self.turn)

    def at(self, key: int) -> Images:
        """Those that are heard at one key, with that key alone."""
        heard = self.energy[:, key].any(axis=-1)
        return Images(self.turn[heard], self.shift[heard], self.energy[heard, key, None], self.way[heard, key, None])


def no_images(keys: int) -> Images:
    """None at all, at ``keys`` keys."""
    return Images(np.zeros((0, 3, 3)), np.zeros((0, 3)), np.zeros((0, keys, N_BANDS)), np.zeros((0, keys, 3)))


def find_images(
    scene: Scene, caster: Raycaster, emitters: np.ndarray, listeners: np.ndarray, most: int, order: int = ORDER
) -> Images:
    """The strongest images of an emitter at ``emitters`` (K, 3) for a listener at ``listeners`` (K, 3), key by key.

    At each key at most ``most`` images are heard, of 1 to ``order`` reflections in the scene's `planes`; each is
    checked against the geometry (M. Vorländer, Auralization, 2008, 11.3). Energies include absorption, the share that
    is not scattered, and air.
    """
    emitters, listeners = (np.asarray(points, np.float64).reshape(-1, 3) for points in (emitters, listeners))
    keys = len(emitters)
    if not (most and len(scene.triangles)):
        return no_images(keys)
    here, there = (caster.off_surfaces(points).astype(np.float64) for points in (emitters, listeners))
    check = Check(scene, caster, here, there, [ears_aside(caster, there)])
    places = here[np.unique(np.linspace(0, keys - 1, _PLACES).round().astype(int))]
    found = []
    for _, sequences in discover(caster, check.planes, places, order, RAYS // len(places)):
        if not len(sequences):  # nothing is met from where the emitter stands
            continue
        sequences = np.unique(sequences, axis=0)
        turn, shift = _isometries(sequences, check.planes)
        best = _promising(sequences, turn, shift, here, there, check)
        which, key, energy = _heard(check, sequences[best])
        found.append((turn[best][which], shift[best][which], key, energy))
    if not found:
        return no_images(keys)
    turn, shift, key, energy = (np.concatenate(column) for column in zip(*found, strict=True))
    # The same mirrors in another order may give the same image, which is heard through either.
    place = np.round(np.concatenate([turn.reshape(-1, 9), shift], axis=1), 3)
    _, first, image = np.unique(place, axis=0, return_index=True, return_inverse=True)
    heard = np.zeros((len(first), keys, N_BANDS), np.float32)
    heard[image.ravel(), key] = energy

    total = heard.mean(axis=2)  # (S, K)
    rank = np.argsort(np.argsort(-total, axis=0), axis=0)
    heard[(rank >= most) | (total < _FAINT * total.sum(axis=0))] = 0.0
    chosen = heard.any(axis=(1, 2))
    turn, shift = turn[first[chosen]], shift[first[chosen]]
    way = np.einsum("sij,kj->ski", turn, emitters) + shift[:, None] - listeners
    return Images(turn, shift, heard[chosen], way)


def _heard(check: Check, sequences: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What arrives through the sorted ``sequences`` (S, order): which (n,), at which key (n,), energy (n, 8)."""
    keys = len(check.emitters)
    step = max(1, _TOGETHER // keys)
    found = []
    for start in range(0, len(sequences), step):
        part = sequences[start : start + step]
        key = np.tile(np.arange(keys), len(part))
        candidates = check.plausible(Candidates(key, key, np.repeat(part, keys, axis=0)))
        images = check.images(candidates)
        rows, share = check.follow(candidates.mirrors, images, check.ears[0][candidates.listener])
        key = candidates.listener[rows]
        length = np.linalg.norm(images[-1][rows] - check.listeners[key], axis=1)
        codes = _codes(part, check.planes)  # ascending, as the sequences are
        which = np.searchsorted(codes, _codes(candidates.mirrors[rows], check.planes))
        found.append((start + which, key, check.scene.air.free_field(length) * share))
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def _codes(sequences: np.ndarray, mirrors: Planes) -> np.ndarray:
    """One number (n,) for each of ``sequences`` (n, order), in their order."""
    code = np.zeros(len(sequences), np.int64)
    for column in sequences.T:
        code = code * len(mirrors.offset) + column
    return code


def _isometries(sequences: np.ndarray, mirrors: Planes) -> tuple[np.ndarray, np.ndarray]:
    """Turn (S, 3, 3) and shift (S, 3) of mirroring in the planes of each of ``sequences`` (S, order)."""
    turn, shift = np.tile(np.eye(3), (len(sequences), 1, 1)), np.zeros((len(sequences), 3))
    for plane in sequences.T:
        normal = mirrors.normal[plane]
        turn -= 2.0 * normal[:, :, None] * np.einsum("si,sij->sj", normal, turn)[:, None]
        shift = mirrors.mirrored(plane, shift)
    return turn, shift


def _promising(
    sequences: np.ndarray, turn: np.ndarray, shift: np.ndarray, here: np.ndarray, there: np.ndarray, check: Check
) -> np.ndarray:
    """Indices, ascending, of those that would be the loudest at any key if nothing stood in their way."""
    best = np.zeros(len(check.planes.offset))
    np.maximum.at(best, check.planes.of_triangle, check.share[check.scene.material_index].mean(axis=1))
    reach = np.full(len(sequences), np.inf)
    for emitter, listener in zip(here, there, strict=True):
        np.minimum(reach, np.linalg.norm(turn @ emitter + shift - listener, axis=1), out=reach)
    energy = best[sequences].prod(axis=1) / np.maximum(reach, NEAREST) ** 2
    return np.sort(np.argsort(-energy)[:_CANDIDATES])


def _coherence(delay: np.ndarray) -> np.ndarray:
    """How alike two equal clicks ``delay`` (...) s apart are in each octave band, (..., 8): 1 together, 0 far apart."""
    low, high = np.array(BAND_EDGES_HZ[:-1]), np.array(BAND_EDGES_HZ[1:])
    t = delay[..., None]
    return (high * np.sinc(2.0 * high * t) - low * np.sinc(2.0 * low * t)) / (high - low)


def added(responses: EnergyResponse, images: Images) -> np.ndarray:
    """What ``images`` add to the direct sound of ``responses`` (K, ...) in each frame, (K, 8, N_FRAMES, 4) float64.

    It is their energy and how they meet the direct sound and each other: waves that arrive within the time that a band
    resolves add up or cancel.
    """
    keys = images.energy.shape[1]
    heard = images.energy.any(axis=-1)
    result = np.zeros((keys, N_FRAMES + 1, N_BANDS, 4))
    for key in range(keys):
        energy, way = images.energy[heard[:, key], key].astype(np.float64), images.way[heard[:, key], key]
        length = np.linalg.norm(way, axis=1)
        delay = np.maximum(length - float(responses.distance[key]), 0.0) / responses.speed_of_sound
        amplitude = np.sqrt(energy)
        met = np.einsum("ib,jb,ijb->ib", amplitude, amplitude, _coherence(delay[:, None] - delay)) - energy
        # The direct sound has no frame of its own to pay from: both halves of meeting it count with the image.
        met += 2.0 * np.sqrt(responses.direct[key]) * amplitude * _coherence(delay)
        frame = np.minimum(np.searchsorted(FRAME_EDGES, delay, side="right") - 1, N_FRAMES)
        np.add.at(result[key, ..., 0], frame, energy + met)
        np.add.at(result[key, ..., 1:], frame, energy[..., None] * (way / np.maximum(length, 1e-9)[:, None])[:, None])
    return result[:, :N_FRAMES].transpose(0, 2, 1, 3)


def without_images(responses: EnergyResponse, images: Images) -> EnergyResponse:
    """``responses`` (K, ...) less the energy of what is heard of ``images``, frame by frame, so that nothing doubles.

    What they have `added` is taken from the frame in which the image arrives, then from those beside it, never more
    than there is. A frame that holds less than its images keeps nothing, and what is heard is louder than it said: the
    images are exact, the frames are an estimate.
    """
    wanted = added(responses, images)
    energy = np.array(responses.energy, np.float64)
    due = wanted[..., 0]
    for step in _SPREAD:
        moved = np.zeros_like(due)
        source = slice(max(-step, 0), N_FRAMES - max(step, 0))
        target = slice(max(step, 0), N_FRAMES - max(-step, 0))
        moved[..., target] = due[..., source]
        taken = np.minimum(moved, np.maximum(energy[..., 0], 0.0))
        if step == 0:
            # The intensity goes with the energy; what remains of it cannot exceed what remains of the energy.
            part = np.divide(taken, due, out=np.zeros_like(due), where=due > 0.0)
            energy[..., 1:] -= part[..., None] * wanted[..., 1:]
        energy[..., 0] -= taken
        due = due.copy()
        due[..., source] -= taken[..., target]
    length = np.linalg.norm(energy[..., 1:], axis=-1, keepdims=True)
    energy[..., 1:] *= np.minimum(1.0, energy[..., :1] / np.maximum(length, 1e-300))
    return replace(responses, energy=energy.astype(np.float32))
