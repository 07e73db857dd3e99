"""What the field knows of places: linear probes from its features to rooms that the probes have not seen, and maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.manifold import TSNE
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from naf_core.decoder import forward
from naf_core.features import pair_features, read_around
from naf_core.field import Field
from naf_core.materials import Material
from naf_core.pairs import pair_geometry, sight
from naf_core.probes import visibility
from naf_core.report import volume
from naf_core.response import N_FRAMES
from naf_core.scene import Scene
from naf_core.training.rooms import make_room

FIRST_SEED = 500_100  # rooms that no training has seen
ROOMS = 60
_PATHS = 40_000  # of a scan here
_PLACES = 40  # of a room
_FOLDS = 5
_STRENGTHS = np.logspace(-2, 5, 15)
_DIRECTIONS = 32  # horizontal, in which walls are looked for
_PERPLEXITY = 30.0
QUANTITIES = ("nearest wall, m", "mean distance to walls, m", "volume, m³")


@dataclass(frozen=True)
class Finding:
    """How well a ridge regression reads logarithms of a quantity from ``features``, in rooms kept from its fit.

    ``r2`` share of their variance explained over all places; ``said`` and ``meant`` (n,) the values at these.
    """

    features: str
    quantity: str
    r2: float
    said: np.ndarray
    meant: np.ndarray


def place_features(field: Field, points: np.ndarray) -> dict[str, np.ndarray]:
    """What the field knows at ``points`` (n, 3): arrays (n, k) by name.

    "surroundings" is what the grid of probes holds of what stands around, "echo" what a place hears of itself by the
    exchange between probes, as levels of frames, and "network" the last hidden units of the decoder for such a pair.
    """
    found, caster = field.scan_, field.caster
    points = caster.off_surfaces(points)
    seen = sight(caster, found.positions, points, field.config.bandwidth)
    around, gets, rows = read_around(found, seen), found.exchange.at(seen.weight), np.arange(len(points))
    pairs = pair_geometry(caster, found.positions, found.walking, points, points, seen, seen, rows, rows)
    air = field.scene.air
    inputs = pair_features(
        around,
        around,
        found.exchange.between(gets, gets),
        pairs,
        air.absorption().astype(np.float32),
        air.speed_of_sound,
        np.zeros(len(points), np.float32),
    ).inputs
    width = field.config.width
    opened = {**field.parameters, "weight_out": np.eye(width, dtype=np.float32), "bias_out": np.zeros(width, "f4")}
    return {
        "surroundings": np.concatenate(
            [np.log(around.depths + 0.05), around.absorption, around.scattering, around.escape[:, None]], axis=1
        ),
        "echo": inputs[:, :, :N_FRAMES].mean(axis=1),
        "network": forward(opened, inputs).mean(axis=1),
    }


def wall_distances(field: Field, points: np.ndarray) -> np.ndarray:
    """Horizontal distances (n, _DIRECTIONS) m from ``points`` (n, 3) to what stands around, inf where nothing does."""
    turn = np.arange(_DIRECTIONS) * 2.0 * np.pi / _DIRECTIONS
    ways = np.stack([np.cos(turn), np.sin(turn), np.zeros(_DIRECTIONS)], axis=1).astype(np.float32)
    origins = np.repeat(np.asarray(points, np.float32), _DIRECTIONS, axis=0)
    return field.caster.intersect(origins, np.tile(ways, (len(points), 1))).distance.reshape(len(points), -1)


def probe_rooms(
    rooms: int = ROOMS,
    weights: Path | None = None,
    paths: int = _PATHS,
    progress: Callable[[float], None] | None = None,
) -> list[Finding]:
    """Probe the features at places of ``rooms`` closed rooms, at most five-fold, all places of a room in one fold.

    ``paths`` are sent in a scan; ``progress`` gets 0..1.
    """
    features: dict[str, list[np.ndarray]] = {}
    wanted, owner, seed = [], [], FIRST_SEED
    while len(wanted) < rooms:
        room = make_room(seed, _PLACES)
        field = Field.scan(room.scene, seed=seed, paths=paths, weights=weights)
        seed += 1
        air, distance = volume(room.scene, field), wall_distances(field, room.points)
        closed = np.isfinite(distance).all(axis=1)
        if not air or not closed.any():
            continue
        for name, values in place_features(field, room.points[closed]).items():
            features.setdefault(name, []).append(values)
        distance = distance[closed]
        wanted.append(np.stack([distance.min(axis=1), distance.mean(axis=1), np.full(len(distance), air)], axis=1))
        owner.append(np.full(len(distance), seed))
        if progress is not None:
            progress(len(wanted) / rooms)
    meant, groups = np.concatenate(wanted), np.concatenate(owner)
    joined = {name: np.concatenate(parts) for name, parts in features.items()}
    return [_probe(name, values, meant, groups, k) for name, values in joined.items() for k in range(len(QUANTITIES))]


def _probe(name: str, features: np.ndarray, meant: np.ndarray, groups: np.ndarray, number: int) -> Finding:
    wanted = np.log(meant[:, number])
    model = make_pipeline(StandardScaler(), RidgeCV(_STRENGTHS))
    said = cross_val_predict(model, features, wanted, groups=groups, cv=GroupKFold(min(_FOLDS, len(np.unique(groups)))))
    r2 = 1.0 - np.square(said - wanted).sum() / np.square(wanted - wanted.mean()).sum()
    return Finding(name, QUANTITIES[number], float(r2), np.exp(said), meant[:, number])


def components(features: np.ndarray, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` principal components (n, count) of standardised ``features`` (n, k), and the variance of each."""
    analysis = PCA(count)
    found = analysis.fit_transform(StandardScaler().fit_transform(features))
    return found, analysis.explained_variance_ratio_


def neighbourhoods(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Places (n, 2) in a plane in which neighbours in ``features`` (n, k) stay neighbours.

    L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", J. Machine Learning Research 9 (2008).
    """
    tsne = TSNE(perplexity=min(_PERPLEXITY, (len(features) - 1) / 3.0), init="pca", random_state=seed)
    return tsne.fit_transform(StandardScaler().fit_transform(features).astype(np.float32))


def floor_places(field: Field, step: float, height: float) -> tuple[np.ndarray, tuple[int, int], np.ndarray]:
    """Places (n, 3) a ``step`` m apart over a scene's plan at ``height`` m, rows and columns, and which are in the air.

    Air within a piece of furniture, which is joined with no other, does not count.
    """
    low, high = (corner[:2] for corner in field.scene.bounds)
    counts = np.maximum(np.round((high - low) / step).astype(int), 1)
    x, y = (low[k] + (np.arange(counts[k]) + 0.5) * (high[k] - low[k]) / counts[k] for k in (0, 1))
    points = np.stack(np.meshgrid(x, y, [height], indexing="xy"), axis=-1).reshape(-1, 3).astype(np.float32)
    joined = np.isfinite(field.scan_.walking)
    sees = visibility(field.caster, field.caster.off_surfaces(points), field.scan_.positions)
    return points, (int(counts[1]), int(counts[0])), sees[:, joined[joined.sum(axis=1).argmax()]].any(axis=1)


def flat() -> Scene:
    """A furnished flat: a living room of 6 x 4.5 m and a kitchen of 3.4 x 4.5 m, 2.6 m high, joined by a doorway."""
    plaster = Material("plaster", (0.14, 0.10, 0.06, 0.05, 0.04, 0.04, 0.05, 0.05), (0.15,) * 8)
    wood = Material("wood floor", (0.15, 0.12, 0.11, 0.10, 0.07, 0.06, 0.07, 0.07), (0.1,) * 8)
    cloth = Material("upholstery", (0.15, 0.25, 0.45, 0.60, 0.70, 0.70, 0.70, 0.70), (0.5,) * 8)
    shelf = Material("shelves", (0.20, 0.20, 0.25, 0.30, 0.30, 0.30, 0.30, 0.30), (0.6,) * 8)
    width, depth, height, wall, thick = 9.5, 4.5, 2.6, 6.0, 0.1
    low, high, lintel = 0.9, 1.8, 2.05  # of the doorway
    boxes = [
        ((wall, 0, 0), (wall + thick, low, height), 0),
        ((wall, high, 0), (wall + thick, depth, height), 0),
        ((wall, low, lintel), (wall + thick, high, height), 0),
        ((1.5, 3.6, 0.05), (3.6, 4.4, 0.8), 2),  # sofa
        ((2.0, 2.3, 0.35), (3.2, 2.9, 0.42), 1),  # table
        ((5.6, 2.3, 0.05), (5.95, 4.2, 2.0), 3),
        ((0.05, 1.6, 0.05), (0.45, 3.2, 0.75), 3),
        ((6.15, 3.85, 0.05), (9.3, 4.45, 0.9), 1),  # kitchen counter
        ((8.8, 0.1, 0.05), (9.4, 0.8, 1.9), 1),
        ((7.2, 1.6, 0.7), (8.3, 2.4, 0.74), 1),
    ]
    corners, index = [], []
    for start, end, material in [((0, 0, 0), (width, depth, height), 0), *boxes]:
        sides = _sides(np.array(start, float), np.array(end, float))
        corners.append(sides)
        index.append(np.full(len(sides), material))
    index[0][8:10] = 1  # its floor
    triangles = np.concatenate(corners)
    rows = np.arange(3 * len(triangles)).reshape(-1, 3)
    return Scene(triangles.reshape(-1, 3), rows, np.concatenate(index), [plaster, wood, cloth, shelf])


def _sides(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The triangles (12, 3, 3) of a box: those facing -x, +x, -y, +y, -z, +z."""
    corner = np.array([[(low, high)[k >> axis & 1][axis] for axis in range(3)] for k in range(8)])
    faces = ((0, 2, 6, 4), (1, 3, 7, 5), (0, 1, 5, 4), (2, 3, 7, 6), (0, 1, 3, 2), (4, 5, 7, 6))
    return np.concatenate([corner[[[a, b, c], [a, c, d]]] for a, b, c, d in faces])


def table(findings: Sequence[Finding]) -> str:
    """The probes' R² as a table for people and for Markdown."""
    names = list(dict.fromkeys(f.features for f in findings))
    lines = [f"| R², rooms not seen | {' | '.join(names)} |", f"|---{'|---' * len(names)}|"]
    for quantity in QUANTITIES:
        cells = [f"{f.r2:.2f}" for name in names for f in findings if (f.features, f.quantity) == (name, quantity)]
        lines.append(f"| {quantity} | {' | '.join(cells)} |")
    return "\n".join(lines)
