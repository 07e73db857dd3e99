"""Pictures of what the checks compare: a measured room, a bent decay, a corner, and noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from naf_core.bands import BANDS_HZ
from naf_core.convergence import trace_until
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES
from naf_core.tracer import trace
from naf_core.truth.bras import DATA, PARAMETERS, RAYS, read_measured, simulate
from naf_core.truth.corners import walk_past_a_corner
from naf_core.truth.coupled import BAND, decays
from naf_core.truth.furnished import EMITTER, LISTENER, furnished_room

_DPI = 100
_SIZE = (7.2, 3.1)  # inches
_FONT = 8
_LOWEST = -55.0  # dB of decay that is shown
_PATHS = 256 * 4 ** np.arange(5)
_RUNS = 16
_COMPARED = slice(1, 7)  # bands 125 Hz to 4 kHz


def save_all(folder: Path, progress: Callable[[float], None] | None = None) -> list[Path]:
    """Draw every picture into ``folder``; returns the files. Raises UserError where BRAS CR2 is missing."""
    draws = (measured_room, bent_decay, corner, noise)
    files = []
    for number, draw in enumerate(draws):
        figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
        draw(figure)
        files.append(folder / f"truth_{draw.__name__}.png")
        _save(figure, files[-1])
        if progress is not None:
            progress((number + 1) / len(draws))
    return files


def measured_room(figure: Figure, rays: int = RAYS) -> None:
    """T30 and C80 of BRAS CR2 with fitted materials by band: means of ten pairs, their range, and one JND around."""
    measured, found = read_measured(DATA), simulate(DATA, "fitted", rays=rays).parameters()
    bands = np.arange(len(BANDS_HZ))[_COMPARED]
    for axes, (key, title) in zip(figure.subplots(1, 2), (("T30_s", "T30 in s"), ("C80_dB", "C80 in dB")), strict=True):
        pairs = [values[key].reshape(10, -1)[:, _COMPARED] for values in (measured, found)]
        mean = pairs[0].mean(axis=0)
        _, jnd, relative = PARAMETERS[key]
        width = jnd * mean if relative else np.full_like(mean, jnd)
        axes.fill_between(bands, mean - width, mean + width, color="0.85", label="± 1 JND")
        for values, shift, style in ((pairs[0], -0.06, "ko-"), (pairs[1], 0.06, "C3s-")):
            middle = values.mean(axis=0)
            reach = np.abs(np.stack([values.min(axis=0), values.max(axis=0)]) - middle)
            label = "measured" if shift < 0.0 else "engine"
            axes.errorbar(bands + shift, middle, reach, fmt=style, markersize=4, linewidth=1, capsize=2, label=label)
        axes.set_xticks(bands, [_hertz(BANDS_HZ[band]) for band in bands])
        axes.set_ylim(bottom=0.0 if relative else None)
        _finish(axes, "octave band, Hz", title)


def bent_decay(figure: Figure, rays: int = 100_000) -> None:
    """The decay in a damped room with a doorway to a live one, by the engine and by the statistical theory."""
    found, theory = decays(rays)
    first, rest = figure.subplots(1, 2, width_ratios=(3, 2))
    shown = theory > theory[0] * 10.0 ** (_LOWEST / 10.0)
    found, theory = (10.0 * np.log10(values[shown]) for values in (found, theory))
    times = FRAME_EDGES[shown]
    first.plot(times, theory, "k-", linewidth=2.5, alpha=0.35, label="two coupled equations")
    first.plot(times, found, "C3.-", markersize=4, linewidth=0.8, label="engine")
    _finish(first, "s after the first sound", f"dB still to come, {_hertz(BANDS_HZ[BAND])}Hz")
    rest.axhline(0.0, color="k", linewidth=2.5, alpha=0.35)
    rest.plot(times, found - theory, "C3.-", markersize=4, linewidth=0.8, label="engine less theory")
    rest.set_ylim(-2.0, 2.0)
    _finish(rest, "s after the first sound", "dB")


def corner(figure: Figure) -> None:
    """Level along the way of a walker who comes out of a corner's shadow, by band, and the exact one."""
    along, levels, exact = walk_past_a_corner()
    axes = figure.subplots()
    axes.axvspan(along[0], 0.0, color="0.92")
    for number, band in enumerate((0, 2, 4, 6)):
        axes.plot(along, levels[:, band], color=f"C{number}", linewidth=1.3, label=f"{_hertz(BANDS_HZ[band])}Hz")
        axes.plot(along[::8], exact[::8, band], "o", color=f"C{number}", markersize=3.5, markerfacecolor="none")
    axes.plot([], [], "ko", markersize=3.5, markerfacecolor="none", label="exact wedge")
    axes.set_xlim(along[0], along[-1])
    _finish(axes, "m past the place where the emitter comes into sight (grey: hidden)", "dB re free field")


def noise(figure: Figure, runs: int = _RUNS) -> None:
    """Spread of C50 and T30 of a furnished room over repeated traces, beside the error that the engine states."""
    scene = furnished_room(5000)
    caster = Raycaster(scene)
    spread, stated = [], []
    for paths in _PATHS:
        repeated = [
            trace(scene, EMITTER, LISTENER, rays=int(paths), seed=1 + run, raycaster=caster)[0, 0].parameters()
            for run in range(runs)
        ]
        c50, t30 = (np.array([values[key][_COMPARED] for values in repeated]) for key in ("C50_dB", "T30_s"))
        spread.append([c50.std(axis=0, ddof=1), 100.0 * t30.std(axis=0, ddof=1) / t30.mean(axis=0)])
        _, told = trace_until(
            scene, EMITTER, LISTENER, c50_db=0.0, t30_percent=0.0, most_rays=int(paths), raycaster=caster
        )
        stated.append([told.c50_db[0, 0, _COMPARED], told.t30_percent[0, 0, _COMPARED]])
    spread, stated = (np.sqrt((np.array(values) ** 2).mean(axis=2)) for values in (spread, stated))
    for column, (axes, title) in enumerate(zip(figure.subplots(1, 2), ("C50, dB", "T30, %"), strict=True)):
        line = np.exp(np.log(spread[:, column] * np.sqrt(_PATHS)).mean()) / np.sqrt(_PATHS)
        axes.loglog(_PATHS, line, "k-", linewidth=2.5, alpha=0.3, label="one over the root of paths")
        axes.loglog(_PATHS, spread[:, column], "C3o", markersize=5, label=f"spread of {runs} traces")
        axes.loglog(_PATHS, stated[:, column], "C0x", markersize=6, label="stated by one trace")
        _finish(axes, "paths", f"standard error of {title}")


def _hertz(frequency: float) -> str:
    return f"{frequency / 1000:g} k" if frequency >= 1000.0 else f"{frequency:g} "


def _finish(axes: Axes, across: str, up: str) -> None:
    """Labels, grid and legend of one pair of axes."""
    axes.set_xlabel(across, fontsize=_FONT)
    axes.set_ylabel(up, fontsize=_FONT)
    axes.tick_params(labelsize=_FONT)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(fontsize=_FONT - 1, framealpha=0.9)


def _save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as PNG, beside its place first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, format="png")
    part.replace(path)
