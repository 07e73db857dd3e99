"""Pictures of what methods answered: spectrograms and decays beside the recorded ones, maps of the floor, features."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from naf_core.measured import fit_decay, schroeder
from naf_core.recordings.compare import Answers
from naf_core.recordings.measures import level_free_logarithms, spectrogram_of
from naf_core.recordings.method import GivesFeatures, Method
from naf_core.recordings.probing import neighbourhoods, wall_distances
from naf_core.recordings.recordingset import RecordingSet
from naf_core.recordings.spectrogram import FLOOR, HOP
from naf_core.scene import Scene

_DPI = 100
_DECIBEL = 20.0 / np.log(10.0)
_MAP_POINTS = (24, 240)
_MAP_SECONDS = 30.0  # that one map may take
_MARGIN = 0.5  # m around the positions, where no box is known
_LOWEST = -60.0  # dB of decay that is shown


def save_spectrograms(path: Path, recordings: RecordingSet, answers: dict[str, Answers], row: int) -> None:
    """Spectrograms of response ``row`` of the test set, recorded and as each method answered, in dB."""
    known = recordings.levels_known
    shown = {"recorded": spectrogram_of(recordings.responses[row : row + 1], known)}
    for name, given in answers.items():
        logarithms = given.logarithms[row : row + 1]
        if not len(logarithms):
            shown[name] = spectrogram_of(given.responses[row : row + 1], known)
        else:
            shown[name] = logarithms if known else level_free_logarithms(logarithms)
    columns = min(len(shown), 3)
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * lines), dpi=_DPI, layout="constrained")
    high = max(float(values.max()) for values in shown.values()) * _DECIBEL
    low = max(np.log(FLOOR) * _DECIBEL, high - 70.0)
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    image, rate = None, recordings.sample_rate
    for axis, (name, values) in zip(axes, shown.items(), strict=False):
        extent = (0.0, values.shape[-1] * HOP / rate, 0.0, 0.5e-3 * rate)
        image = axis.imshow(
            values[0, 0] * _DECIBEL, origin="lower", aspect="auto", extent=extent, vmin=low, vmax=high, cmap="magma"
        )
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=7)
    figure.supxlabel("s after emission", fontsize=8)
    figure.supylabel("kHz", fontsize=8)
    figure.colorbar(image, ax=list(axes), label="dB")
    _save(figure, path)


def save_decays(path: Path, recordings: RecordingSet, answers: dict[str, Answers], rows: Sequence[int]) -> None:
    """Decay curves of some responses of the test set, recorded (black) and as each method answered."""
    figure = Figure(figsize=(3.2 * len(rows), 3.0), dpi=_DPI, layout="constrained")
    axes = figure.subplots(1, len(rows), squeeze=False, sharey=True)[0]
    for axis, row in zip(axes, rows, strict=True):
        direct, rate = int(recordings.direct_samples[row]), recordings.sample_rate
        for name, given in answers.items():
            _draw_decay(axis, given.responses[row, 0, direct:], rate, name, linewidth=1.0)
        _draw_decay(axis, recordings.responses[row, 0, direct:], rate, "recorded", color="black", linewidth=1.8)
        axis.set_title(f"{recordings.distances[row]:.2f} m apart", fontsize=8)
        axis.set_xlabel("s after the direct sound", fontsize=8)
        axis.set_ylim(_LOWEST, 1.0)
        axis.tick_params(labelsize=7)
    axes[0].set_ylabel("dB", fontsize=8)
    axes[-1].legend(fontsize=6)
    _save(figure, path)


def _draw_decay(axis: Axes, response: np.ndarray, sample_rate: int, name: str, **style: object) -> None:
    """Draw the decay of a ``response`` (n,) from its direct sound on."""
    power = np.square(response.astype(np.float64))
    decay = fit_decay(power, sample_rate)
    if decay is not None:
        curve = schroeder(power, sample_rate, decay)
        level = 10.0 * np.log10(np.maximum(curve / curve[0], 1e-12))
        axis.plot(np.arange(len(curve)) / sample_rate, level, label=name, **style)


def save_maps(path: Path, methods: dict[str, Method], recordings: RecordingSet) -> None:
    """Level over the floor, one picture a method: where the listener stands or, with few listeners, the emitter.

    In dB over the direct sound at 1 m. The other end stays where the first recording has it.
    """
    ends = recordings.emitters, recordings.listeners
    many = [len(np.unique(np.round(end, 2), axis=0)) for end in ends]
    moving = 0 if many[0] > many[1] else 1
    still, height = ends[1 - moving][0], float(np.median(ends[moving][:, 2]))

    def levels(method: Method, points: np.ndarray) -> np.ndarray:
        both = [np.broadcast_to(still, points.shape)] * 2
        both[moving] = points
        return level_of(method.respond(*both, np.broadcast_to(recordings.rotations[0], (len(points), 3, 3))))

    maps, extent = {}, (0.0, 0.0, 0.0, 0.0)
    for name, method in methods.items():
        start = time.perf_counter()
        levels(method, ends[moving][:1])
        each = time.perf_counter() - start  # slow ones get a coarser map
        points, shape, extent = _floor(recordings, height, int(np.clip(_MAP_SECONDS / each, *_MAP_POINTS)))
        maps[name] = levels(method, points).reshape(shape)
    figure = Figure(figsize=(max(3.6 * len(maps) + 0.6, 5.0), 3.1), dpi=_DPI, layout="constrained")
    axes = figure.subplots(1, len(maps), squeeze=False, sharey=True)[0]
    low, high = np.percentile(np.concatenate([values.ravel() for values in maps.values()]), [2, 98])
    image, (fixed, what) = None, (("listener", "emitter"), ("emitter", "listener"))[moving]
    for axis, (name, values) in zip(axes, maps.items(), strict=True):
        image = axis.imshow(values, origin="lower", extent=extent, vmin=low, vmax=high, cmap="viridis")
        axis.plot(*ends[moving][:, :2].T, "o", color="white", markeredgecolor="black", markersize=3, label=what)
        axis.plot(*still[:2], "*", color="red", markersize=9, label=fixed)
        axis.set_title(name, fontsize=8)
        axis.set_xlabel("x in m", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0].set_ylabel("y in m", fontsize=8)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        fontsize=7,
        title_fontsize=7,
        title=f"recorded places; level by the place of the {what}, {height:.1f} m high",
    )
    figure.colorbar(image, ax=list(axes)).set_label("dB over the direct sound at 1 m", fontsize=8)
    _save(figure, path)


def level_of(responses: np.ndarray) -> np.ndarray:
    """Energy (n,) in dB of ``responses`` (n, channels, samples), free field at 1 m = 0, mean of channels."""
    energy = np.square(responses, dtype=np.float64).sum(axis=-1).mean(axis=-1)
    return 10.0 * np.log10(np.maximum(energy, 1e-12))


def _floor(recordings: RecordingSet, height: float, most: int) -> tuple[np.ndarray, tuple[int, int], tuple[float, ...]]:
    """At ``most`` so many points (n, 3) over the floor, their rows and columns, and the edges in m."""
    places = np.concatenate([recordings.emitters, recordings.listeners])
    low, high = places.min(axis=0) - _MARGIN, places.max(axis=0) + _MARGIN
    if recordings.box is not None:
        low, high = recordings.box
    size = high[:2] - low[:2]
    counts = np.maximum((size / np.sqrt(size.prod() / most)).astype(int), 2)
    x, y = (low[k] + (np.arange(counts[k]) + 0.5) * size[k] / counts[k] for k in (0, 1))
    points = np.stack(np.meshgrid(x, y, [height], indexing="xy"), axis=-1).reshape(-1, 3)
    return points, (int(counts[1]), int(counts[0])), (low[0], high[0], low[1], high[1])


def save_features(
    path: Path, method: GivesFeatures, points: np.ndarray, room: Scene | np.ndarray, title: str, seed: int = 0
) -> None:
    """Features of places in a plane by t-SNE, coloured by x, by y and by the distance to the nearest wall."""
    plane = neighbourhoods(method.features(points), seed)
    colours = {"x in m": points[:, 0], "y in m": points[:, 1]}
    colours["nearest wall in m"] = wall_distances(points, room).min(axis=1)
    figure = Figure(figsize=(10.0, 3.3), dpi=_DPI, layout="constrained")
    figure.suptitle(title, fontsize=8)
    for axis, (name, values) in zip(figure.subplots(1, 3), colours.items(), strict=True):
        dots = axis.scatter(*plane.T, c=values, s=10, cmap="viridis")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_xlabel("t-SNE 1", fontsize=8)
        axis.set_ylabel("t-SNE 2", fontsize=8)
        figure.colorbar(dots, ax=axis, label=name)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as PNG, beside its place first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, format="png")
    part.replace(path)
