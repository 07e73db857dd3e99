"""What learned features of places know: a linear probe to the distances to the walls, and a map of them by t-SNE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.manifold import TSNE
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from naf_core.errors import UserError
from naf_core.raycast import Raycaster
from naf_core.recordings.method import GivesFeatures
from naf_core.recordings.recordingset import RecordingSet
from naf_core.scene import Scene

N_DIRECTIONS = 8  # horizontal, from x on anticlockwise
_FOLDS = 5
_FEWEST = 4 * _FOLDS  # places
_STRENGTHS = np.logspace(-3, 3, 13)


@dataclass(frozen=True)
class Probe:
    """How well distances to walls are read from features by a linear map, at places that it has not seen.

    ``r2`` share of the variance explained, ``error`` mean in m; ``r2_position`` and ``error_position`` the same from
    the coordinates themselves, which a feature has to beat to hold more than the place.
    """

    r2: float
    error: float
    r2_position: float
    error_position: float
    places: int


def wall_distances(points: np.ndarray, room: Scene | np.ndarray) -> np.ndarray:
    """Distances (n, N_DIRECTIONS) in m from ``points`` (n, 3) to what stands around, horizontally.

    ``room`` is a scene, or the corners (2, 3) of a box. Raises UserError where nothing is met.
    """
    turn = np.arange(N_DIRECTIONS) * 2.0 * np.pi / N_DIRECTIONS
    ways = np.stack([np.cos(turn), np.sin(turn), np.zeros(N_DIRECTIONS)], axis=1)
    if isinstance(room, Scene):
        rays = np.repeat(points, N_DIRECTIONS, axis=0), np.tile(ways, (len(points), 1))
        distance = Raycaster(room).intersect(*rays).distance.reshape(len(points), -1).astype(float)
    else:
        wall = np.where(ways[:, :2] > 0.0, room[1, :2], room[0, :2])
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = (wall - points[:, None, :2]) / np.where(np.abs(ways[:, :2]) < 1e-9, np.nan, ways[:, :2])
        distance = np.nanmin(steps, axis=2)
    if not (np.isfinite(distance) & (distance >= 0.0)).all():
        raise UserError("Some positions see no wall in some direction: the probe needs a closed room around all.")
    return distance


def places_of(recordings: RecordingSet) -> np.ndarray:
    """All different places (n, 3) of emitters and listeners."""
    return np.unique(np.round(np.concatenate([recordings.emitters, recordings.listeners]), 3), axis=0)


def linear_probe(method: GivesFeatures, points: np.ndarray, room: Scene | np.ndarray, seed: int = 0) -> Probe:
    """Probe the features of ``method`` at ``points`` (n, 3); five-fold ridge regression, strength by its own folds.

    Raises UserError with fewer than 20 places.
    """
    if len(points) < _FEWEST:
        raise UserError(f"A probe needs {_FEWEST} places, and there are {len(points)}: record more positions.")
    wanted = wall_distances(points, room)
    results = []
    for given in (method.features(points), points):
        model = make_pipeline(StandardScaler(), RidgeCV(_STRENGTHS))
        found = cross_val_predict(model, given, wanted, cv=KFold(_FOLDS, shuffle=True, random_state=seed))
        rest = np.square(found - wanted).sum() / np.square(wanted - wanted.mean(axis=0)).sum()
        results += [float(1.0 - rest), float(np.abs(found - wanted).mean())]
    return Probe(*results, len(points))


def neighbourhoods(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Places (n, 2) in a plane in which neighbours in ``features`` (n, k) stay neighbours.

    L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", J. Machine Learning Research 9 (2008).
    """
    if len(features) < 4:
        raise UserError(f"A map of features needs 4 places, and there are {len(features)}: record more positions.")
    perplexity = min(30.0, (len(features) - 1) / 3.0)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features.astype(np.float32))
