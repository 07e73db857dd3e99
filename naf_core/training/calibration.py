"""Calibrating the uncertainty of the field: a log-linear model of its errors in rooms that no training has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from naf_core.accuracy import MEASURES, errors, ordered_pairs, reciprocal
from naf_core.decoder import load_decoder, save_decoder
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.scene import Scene
from naf_core.threads import process_count
from naf_core.training.evaluate import POINTS, RAYS, make_truth, reference_noise
from naf_core.training.rooms import WIDE_DEV, make_room
from naf_core.uncertainty import NOTE, QUANTITIES, Calibration

FIRST_SEED = 500_000  # plain rooms that no training has seen, and no evaluation looks at; wide ones from WIDE_DEV
PLAIN, WIDE = 35, 25  # rooms
_SCAN_SEED = 7  # other paths than those of the reference
_RIDGE = 0.01
_FOLDS = 10
_LEAST = 1e-4  # of an error: none at all has no logarithm


@dataclass(frozen=True)
class Asked:
    """Pairs of which the truth is known: ``quantities`` (n, 6, F), and by MEASURES (n, 6) each their ``errors``.

    ``noise`` is what of these is the reference's own, and ``room`` (n,) tells which pairs are of one room.
    """

    quantities: np.ndarray
    errors: dict[str, np.ndarray]
    noise: dict[str, np.ndarray]
    room: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Asked:
        picked = ({name: values[rows] for name, values in table.items()} for table in (self.errors, self.noise))
        return Asked(self.quantities[rows], *picked, self.room[rows])


@dataclass(frozen=True)
class Reliability:
    """Means of ``expected`` and of ``actual`` errors (parts,), by parts of all pairs and bands in order of the first.

    The reference's own noise is part of both.
    """

    expected: np.ndarray
    actual: np.ndarray


def ask(
    folder: Path,
    plain: int = PLAIN,
    wide: int = WIDE,
    weights: Path | None = None,
    processes: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Asked:
    """Ask the field with ``weights`` in so many ``plain`` and ``wide`` rooms.

    Truths and scans are kept in ``folder`` for the next time; a scan is done anew where its file holds but the scene.
    """
    parts = []
    spans = ((first, count) for first, count in ((FIRST_SEED, plain), (WIDE_DEV, wide)) if count)
    truths = [truth for first, count in spans for truth in make_truth(folder, count, first, RAYS, processes)]
    for number, truth in enumerate(truths):
        field = _scanned(folder / f"scan-{truth.seed}.h5", truth.seed, weights)
        first, second = (ends[: len(ends) // 2] for ends in ordered_pairs(len(truth.points)))
        ends = truth.points[first], truth.points[second]
        found = errors(field.predict(*ends), reciprocal(truth.response))
        # Of one pair the noise is not well known itself: that of its room is.
        noise = {
            name: np.tile(np.sqrt(np.nanmean(np.square(values), axis=0)), (len(first), 1))
            for name, values in reference_noise(truth.response).items()
        }
        parts.append(Asked(field.quantities(*ends), found, noise, np.full(len(first), number)))
        if progress is not None:
            progress((number + 1) / len(truths))

    def joined(tables: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {name: np.concatenate([table[name] for table in tables]) for name in MEASURES}

    return Asked(
        np.concatenate([part.quantities for part in parts]),
        joined([part.errors for part in parts]),
        joined([part.noise for part in parts]),
        np.concatenate([part.room for part in parts]),
    )


def _scanned(path: Path, seed: int, weights: Path | None) -> Field:
    """The field kept at ``path``; its scene is scanned (again), where it is not of this version."""
    try:
        return Field.load(path, weights)
    except UserError:
        scene = Scene.load(path) if path.is_file() else make_room(seed, POINTS).scene
        field = Field.scan(scene, seed=seed + _SCAN_SEED, processes=process_count(), weights=weights)
        field.save(path)
        return field


def fit(asked: Asked) -> Calibration:
    """The calibration of greatest likelihood, errors taken as gamma distributed, noise of the reference put aside.

    What was measured is sqrt(expected² + noise²) on average; a small ridge keeps the slopes from following few rooms.
    """
    flat = asked.quantities.reshape(-1, len(QUANTITIES))
    mean, deviation = np.nanmean(flat, axis=0), np.maximum(np.nanstd(flat, axis=0), 1e-3)
    model = Calibration(mean, deviation, np.zeros((len(MEASURES), len(QUANTITIES) + 1)))
    inputs = model.standard(flat)
    slopes = []
    for name in MEASURES:
        found, noise = asked.errors[name].ravel(), asked.noise[name].ravel()
        known = np.isfinite(found) & np.isfinite(noise)
        slopes.append(_slopes(inputs[known], np.maximum(found[known], _LEAST), noise[known]))
    return Calibration(mean, deviation, np.array(slopes))


def _slopes(inputs: np.ndarray, found: np.ndarray, noise: np.ndarray) -> np.ndarray:
    def loss(slopes: np.ndarray) -> tuple[float, np.ndarray]:
        own = np.exp(2.0 * np.clip(inputs @ slopes, -12.0, 12.0))
        mean = np.sqrt(own + noise**2)
        gradient = inputs.T @ ((1.0 / mean - found / mean**2) * own / mean) / len(found)
        gradient[1:] += 2.0 * _RIDGE * slopes[1:]
        return float((np.log(mean) + found / mean).mean() + _RIDGE * (slopes[1:] ** 2).sum()), gradient

    start = np.zeros(inputs.shape[1])
    start[0] = np.log(found.mean())
    return minimize(loss, start, jac=True, method="L-BFGS-B").x


def expected_elsewhere(asked: Asked) -> dict[str, np.ndarray]:
    """Errors (n, 6) expected of each pair by a calibration in other rooms, the noise of the reference included."""
    folds = asked.room % min(_FOLDS, len(np.unique(asked.room)))
    found = {name: np.full(values.shape, np.nan) for name, values in asked.errors.items()}
    for fold in np.unique(folds):
        own = folds == fold
        for name, values in fit(asked[~own]).expected(asked[own].quantities).items():
            found[name][own] = np.hypot(values, asked.noise[name][own])
    return found


def reliability(expected: np.ndarray, actual: np.ndarray, parts: int = 10) -> Reliability:
    """What was ``expected`` and ``actual`` (n, 6) in each of ``parts`` of all pairs and bands, the surest first."""
    known = np.isfinite(expected) & np.isfinite(actual)
    expected, actual = expected[known], actual[known]
    order = np.array_split(np.argsort(expected, kind="stable"), parts)
    return Reliability(*(np.array([values[rows].mean() for rows in order]) for values in (expected, actual)))


def keep(weights: Path, calibration: Calibration) -> None:
    """Write ``calibration`` into the file of the ``weights`` whose errors it tells."""
    config, parameters, notes = load_decoder(weights)
    save_decoder(weights, config, parameters, {**notes, NOTE: calibration.text()})
