"""Pictures of what the field has learnt: linear probes, features over a floor plan, a slice through its energy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from naf_core.field import Field
from naf_core.threads import process_count
from naf_core.tracer import trace
from naf_core.training.calibration import reliability
from naf_core.training.insight import (
    ROOMS,
    Finding,
    components,
    flat,
    floor_places,
    neighbourhoods,
    place_features,
    probe_rooms,
    table,
)

_DPI = 100
_FONT = 8
_HEIGHT = 1.2  # m, of the slices
_STEP = 0.2  # m between places of a slice
_EMITTER = np.array([1.0, 1.0, 1.5])
_RAYS = 60_000  # from the emitter, of the traced slice
_SPAN = 3.0  # dB of difference that is shown, either way


def save_all(
    folder: Path, rooms: int = ROOMS, weights: Path | None = None, progress: Callable[[float], None] | None = None
) -> tuple[list[Path], str]:
    """Draw every picture into ``folder``; returns the files, and the figures in words (Markdown)."""
    tell = progress or (lambda fraction: None)
    folder.mkdir(parents=True, exist_ok=True)
    findings = probe_rooms(rooms, weights, progress=lambda fraction: tell(0.8 * fraction))
    field = Field.scan(flat(), processes=process_count(), weights=weights)
    tell(0.85)
    files = [folder / f"learnt_{name}.png" for name in ("probes", "places", "slice")]
    save_probes(files[0], findings)
    shares = save_places(files[1], field)
    tell(0.9)
    mean, largest = save_slice(files[2], field)
    tell(1.0)
    words = (
        f"{table(findings)}\n\n"
        f"Principal components of the network's hidden units over the flat: {', '.join(f'{s:.0%}' for s in shares)}.\n"
        f"Predicted against traced level over the flat: mean difference {mean:.2f} dB, 95 % below {largest:.2f} dB."
    )
    return files, words


def save_probes(path: Path, findings: list[Finding]) -> None:
    """What a linear probe reads from the network's features, over what is true, in rooms that it has not seen."""
    shown = [finding for finding in findings if finding.features == "network"]
    figure = Figure(figsize=(2.6 * len(shown), 2.7), dpi=_DPI, layout="constrained")
    for axes, finding in zip(figure.subplots(1, len(shown)), shown, strict=True):
        ends = [min(finding.meant.min(), finding.said.min()), max(finding.meant.max(), finding.said.max())]
        axes.plot(ends, ends, color="0.6", linewidth=1)
        axes.loglog(finding.meant, finding.said, ".", markersize=2, alpha=0.5)
        _label(axes, f"{finding.quantity}: R² {finding.r2:.2f}", "true", "read by the probe")
    figure.savefig(path)


def save_places(path: Path, field: Field, step: float = _STEP) -> np.ndarray:
    """The network's features over a floor plan: three principal components as colours, their plane, and t-SNE.

    Returns the shares (3,) of the variance that the components explain.
    """
    points, shape, air = floor_places(field, step, _HEIGHT)
    features = place_features(field, points[air])["network"]
    found, shares = components(features)
    low, high = np.percentile(found, [2, 98], axis=0)
    colours = np.clip((found - low) / (high - low), 0.0, 1.0)
    plan = np.ones((len(points), 3))
    plan[air] = colours
    figure = Figure(figsize=(8.0, 2.7), dpi=_DPI, layout="constrained")
    over, plane, near = figure.subplots(1, 3, width_ratios=(1.7, 1.0, 1.0))
    over.imshow(plan.reshape(*shape, 3), origin="lower", extent=_extent(field))
    _label(over, "three principal components as red, green, blue", "m", "m")
    plane.scatter(found[:, 0], found[:, 1], c=colours, s=4)
    _label(plane, f"the first two: {shares[0]:.0%}, {shares[1]:.0%}", "", "")
    near.scatter(*neighbourhoods(features).T, c=colours, s=4)
    _label(near, "t-SNE", "", "")
    for axes in (plane, near):
        axes.set_xticks([])
        axes.set_yticks([])
    figure.savefig(path)
    return shares


def save_slice(path: Path, field: Field, rays: int = _RAYS, step: float = _STEP) -> tuple[float, float]:
    """Levels over a floor plan, traced and predicted, and their difference.

    Levels are of all sound from one emitter (star), the mean over 125 Hz to 4 kHz, relative to the free field at 1 m.
    Returns mean and 95th percentile of the difference in dB.
    """
    points, shape, air = floor_places(field, step, _HEIGHT)
    listeners = points[air]
    traced = trace(field.scene, _EMITTER[None], listeners, rays=rays, seed=1, processes=process_count())[0]
    levels = [_level(response.total) for response in (traced, field.predict(_EMITTER, listeners))]
    figure = Figure(figsize=(8.0, 2.1), dpi=_DPI, layout="constrained")
    low, high = np.percentile(levels[0], [1, 99])
    difference = levels[1] - levels[0]
    drawn = (("traced", levels[0]), ("predicted", levels[1]), ("predicted − traced", difference))
    for axes, (title, values) in zip(figure.subplots(1, 3), drawn, strict=True):
        own = values is difference
        picture = np.full(len(points), np.nan)
        picture[air] = values
        image = axes.imshow(
            picture.reshape(shape),
            origin="lower",
            extent=_extent(field),
            cmap="RdBu_r" if own else "viridis",
            vmin=-_SPAN if own else low,
            vmax=_SPAN if own else high,
        )
        axes.plot(*_EMITTER[:2], "*", color="red", markersize=8)
        _label(axes, title, "", "")
        figure.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=_FONT - 1)
    figure.savefig(path)
    return float(np.abs(difference).mean()), float(np.percentile(np.abs(difference), 95))


def save_reliability(path: Path, expected: dict[str, np.ndarray], actual: dict[str, np.ndarray]) -> str:
    """Actual over expected errors by tenths of all pairs, one panel a measure; returns the figures (Markdown)."""
    figure = Figure(figsize=(8.0, 2.4), dpi=_DPI, layout="constrained")
    lines = ["| expected → actual | surest tenth | fifth tenth | least sure tenth |", "|---|---|---|---|"]
    for axes, name in zip(figure.subplots(1, len(expected)), expected, strict=True):
        found = reliability(expected[name], actual[name])
        ends = [0.8 * min(found.expected[0], found.actual.min()), 1.25 * max(found.expected[-1], found.actual.max())]
        axes.loglog(ends, ends, color="0.6", linewidth=1)
        axes.loglog(found.expected, found.actual, "o", markersize=4)
        _label(axes, name, "expected", "actual")
        axes.minorticks_off()
        cells = [f"{found.expected[k]:.2f} → {found.actual[k]:.2f}" for k in (0, 4, 9)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    figure.savefig(path)
    return "\n".join(lines)


def _level(total: np.ndarray) -> np.ndarray:
    """Levels (n,) in dB of energies (n, 8), means over the bands 125 Hz to 4 kHz."""
    return 10.0 * np.log10(np.maximum(total[:, 1:7], 1e-12)).mean(axis=1)


def _extent(field: Field) -> tuple[float, float, float, float]:
    low, high = field.scene.bounds
    return low[0], high[0], low[1], high[1]


def _label(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, fontsize=_FONT)
    axes.set_xlabel(across, fontsize=_FONT)
    axes.set_ylabel(up, fontsize=_FONT)
    axes.tick_params(labelsize=_FONT - 1)
