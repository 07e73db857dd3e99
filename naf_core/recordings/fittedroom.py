"""Geometry whose materials are made to decay as the recordings do: what the zero-shot field starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from naf_core.air import Air
from naf_core.bands import N_BANDS
from naf_core.errors import UserError
from naf_core.prior import ABSORPTION, Prior
from naf_core.recordings.decays import Decays
from naf_core.recordings.method import Tell
from naf_core.recordings.recordingset import RecordingSet
from naf_core.response import FRAME_EDGES, decay_time

_ROUNDS = 3  # scans after which materials are put right
_PATHS = 20_000  # of these: they are to tell one decay
_MOST_PAIRS = 200  # of which decays are read
_LARGEST = 5.0  # factor of a step
_COVERED = 0.5  # of the places, at least, that the geometry has to hold


def fitted_absorption(rate: np.ndarray, box: np.ndarray, speed_of_sound: float) -> np.ndarray:
    """Mean absorption (8,) of the faces of ``box`` (2, 3) that gives the decay ``rate`` (8,) in 1/s, 0..1.

    C. F. Eyring, J. Acoust. Soc. Am. 1, 1930, with the air's part taken off.
    """
    x, y, z = box[1] - box[0]
    path = 2.0 * x * y * z / (x * y + y * z + z * x)  # mean free path, 4 V / S
    exponent = (rate / speed_of_sound - Air().absorption()) * path
    return 1.0 - np.exp(-np.maximum(exponent, 0.0))


def fitted_prior(
    prior: Prior, train: RecordingSet, decays: Decays, progress: Tell | None = None
) -> tuple[Prior, np.ndarray]:
    """``prior`` with other materials, with which it decays as ``decays`` of ``train`` do, and the factors (8,) on them.

    One factor a band on the absorption exponents -ln(1 - a) of all materials: by Eyring's formula decays go with them,
    but for the air, so a few scans find it. Raises UserError where the recordings do not lie within the geometry.
    """
    tell = progress or (lambda fraction: None)
    pairs = np.concatenate([train.emitters, train.listeners], axis=1)
    pairs = pairs[np.linspace(0, len(pairs) - 1, min(len(pairs), _MOST_PAIRS)).astype(int)]
    wanted, whole = _decay_rates(decays.reflected), np.ones(N_BANDS)
    paths, prior = prior.paths, replace(prior, paths=_PATHS)
    air = train.speed_of_sound * prior.scene.air.absorption()
    for number in range(_ROUNDS):
        if prior.field.covers(pairs.reshape(-1, 3)).mean() < _COVERED:
            raise UserError(
                f"Less than half of the positions of {train.name} lie within the room's geometry: check that both have"
                " the same origin, axes and unit."
            )
        reflected = prior.field.predict(pairs[:, :3], pairs[:, 3:]).energy[..., 0].astype(np.float64)
        had = _decay_rates(reflected)
        with np.errstate(invalid="ignore", divide="ignore"):
            factor = np.maximum(wanted - air, 0.0) / np.maximum(had - air, 1e-3)
        factor = np.where(np.isfinite(factor), np.clip(factor, 1.0 / _LARGEST, _LARGEST), 1.0)
        whole *= factor
        prior = _with_factor(prior, factor)
        tell((number + 1) / _ROUNDS)
    return replace(prior, paths=paths), whole


def _with_factor(prior: Prior, factor: np.ndarray) -> Prior:
    """``prior`` with the absorption exponents of all materials times ``factor`` (8,)."""
    materials = []
    for material in prior.scene.materials:
        absorption = 1.0 - (1.0 - np.asarray(material.absorption, np.float64)) ** factor
        materials.append(replace(material, absorption=tuple(float(a) for a in np.clip(absorption, *ABSORPTION))))
    return replace(prior, scene=replace(prior.scene, materials=materials))


def _decay_rates(reflected: np.ndarray) -> np.ndarray:
    """Median rate (8,) in 1/s of the decays of energies (n, 8, N_FRAMES) from -5 to -25 dB; NaN where there is none."""
    curve = np.cumsum(reflected[..., ::-1], axis=-1)[..., ::-1]
    curve = np.concatenate([curve, 1e-9 * curve[..., :1]], axis=-1)
    times = decay_time(curve, -5.0, -25.0, edges=FRAME_EDGES)
    known = np.isfinite(times).any(axis=0)
    return np.where(known, 6.0 * np.log(10.0) / np.nanmedian(np.where(known, times, 1.0), axis=0), np.nan)
