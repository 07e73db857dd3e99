"""How well the field answers in rooms it has never seen: scanned field against the reference engine at low noise."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from naf_core.accuracy import C50_LIMIT, JUDGED_BANDS, MEASURES, errors, ordered_pairs, reciprocal
from naf_core.features import LEAST_SHARE, floored_level, later
from naf_core.field import Field
from naf_core.probes import path_length, surroundings
from naf_core.raycast import Raycaster
from naf_core.response import FRAME_EDGES, EnergyResponse
from naf_core.tracer import tail_slopes, trace, trace_self
from naf_core.training.rooms import WIDE_TEST, make_room

FIRST_SEED = WIDE_TEST
POINTS = 5
RAYS = 24_000  # paths an emitter in one batch
_SELF_RAYS = 4000  # of the baseline
_LEAST_BATCHES, _SEGMENTS = 3, 5e7  # a room is traced until this many batches, or segments of paths, are done,
_WANTED_NOISE = {"T30 %": 1.0, "EDT ms": 5.0}  # or the means of its noise are as low
_BATCH_SEED = 10_000_000
_FORMAT = "acoustic-fields truth 3"
_EARLY = int(np.argmin(np.abs(FRAME_EDGES - 0.080)))
BARS = {"T30 %": 2.0, "EDT ms": 10.0, "C50 dB": 0.45, "G dB": 0.5, "direction deg": 10.0}
HIDDEN_BARS = {"C50 dB": 0.8, "G dB": 1.0}  # of pairs that do not see each other
REFINED_BARS = {"T30 %": 1.0, "EDT ms": 5.0, "C50 dB": 0.25, "G dB": 0.3, "direction deg": 7.0}
REFINED_HIDDEN_BARS = {"C50 dB": 0.4, "G dB": 0.5}


@dataclass(frozen=True)
class Truth:
    """Traced pairs of one unseen room.

    ``points`` (P, 3); ``both`` energies (2n, 8, frames, 4) of the ordered pairs (first half: i < j); ``direct``
    (2n, 8), ``distance`` (2n,), ``direction`` (2n, 3), ``speed_of_sound``.
    """

    seed: int
    kind: str
    points: np.ndarray
    response: EnergyResponse


def _trace_truth(job: tuple[Path, int, int]) -> int:
    folder, seed, rays = job
    path = folder / f"room-{seed}-{rays}.h5"
    if not path.exists():
        room = make_room(seed, POINTS)
        first, second = ordered_pairs(POINTS)
        sums, batches = 0.0, 0
        segments = path_length(surroundings(room.scene, Raycaster(room.scene), room.points))
        most = max(_LEAST_BATCHES, round(_SEGMENTS / (segments * rays * POINTS)))
        while batches < most:
            traced = trace(room.scene, room.points, room.points, rays=rays, seed=seed + batches * _BATCH_SEED)
            traced = traced[first, second]
            sums, batches = sums + traced.energy.astype(np.float64), batches + 1
            energy = (sums / batches).astype(np.float32)
            response = replace(traced, energy=energy, tail_slope=tail_slopes(energy[..., 0]))
            noise = reference_noise(response)
            if all(np.nanmean(noise[name]) <= wanted for name, wanted in _WANTED_NOISE.items()):
                break
        part = path.with_suffix(".part")
        with h5py.File(part, "w") as file:
            file.attrs.update({"format": _FORMAT, "kind": room.kind, "batches": batches})
            file["points"] = room.points
            file.create_dataset("energy", data=response.energy, compression="gzip")
            file["speed_of_sound"] = response.speed_of_sound
            for name in ("direct", "distance", "direct_direction"):
                file[name] = getattr(response, name)
        os.replace(part, path)
    return seed


def make_truth(
    folder: Path, rooms: int, first_seed: int = FIRST_SEED, rays: int = RAYS, processes: int | None = None
) -> list[Truth]:
    """Trace (or read, where done before) ``rooms`` unseen rooms at low noise, on all cores."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(first_seed, first_seed + rooms)
    started, done = time.perf_counter(), 0
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for _ in pool.imap_unordered(_trace_truth, [(folder, seed, rays) for seed in seeds]):
            done += 1
            print(f"\rtracing rooms: {done}/{rooms}, {time.perf_counter() - started:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    truths = []
    for seed in seeds:
        with h5py.File(folder / f"room-{seed}-{rays}.h5", "r") as file:
            if file.attrs.get("format") != _FORMAT:
                raise ValueError(f"{folder} holds rooms of another version: remove it and evaluate again.")
            energy = file["energy"][:]
            response = EnergyResponse(
                energy,
                file["direct"][:],
                file["distance"][:],
                file["direct_direction"][:],
                tail_slopes(energy[..., 0]),
                float(file["speed_of_sound"][()]),
            )
            truths.append(Truth(seed, str(file.attrs["kind"]), file["points"][:], response))
    return truths


def early_intensity(response: EnergyResponse, direct: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Intensity (n, 8, 3) and energy (n, 8) of the first 80 ms, with the ``direct`` sound or of reflections alone."""
    early = response.energy[:, :, :_EARLY].sum(axis=2, dtype=np.float64)
    intensity, energy = early[..., 1:], early[..., 0]
    if direct:
        intensity = intensity + response.direct[..., None] * response.direct_direction[:, None]
        energy = energy + response.direct
    return intensity, energy


def reference_noise(response: EnergyResponse) -> dict[str, np.ndarray]:
    """Expected errors of both ways averaged, (n, 6) each, from how much the ways of 2n ordered pairs differ."""
    n = len(response.distance) // 2
    there, back = response[np.arange(n)], response[np.arange(n, 2 * n)]
    return {name: 0.5 * difference for name, difference in errors(there, back).items()}


def direction_error(said: EnergyResponse, meant: EnergyResponse, direct: bool = True) -> np.ndarray:
    """Angle in degrees between the early intensities of n pairs, (n, 6); NaN where the truth has no direction."""
    a, energy = (values[:, JUDGED_BANDS] for values in early_intensity(meant, direct))
    b = early_intensity(said, direct)[0][:, JUDGED_BANDS]
    norm_a, norm_b = np.linalg.norm(a, axis=-1), np.linalg.norm(b, axis=-1)
    cosine = np.einsum("nbk,nbk->nb", a, b) / np.maximum(norm_a * norm_b, 1e-30)
    # Where less than a tenth of the early sound has a common direction, no direction is heard.
    return np.where(norm_a > 0.1 * energy, np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))), np.nan)


def exchange_baseline(field: Field, emitters: np.ndarray, listeners: np.ndarray) -> EnergyResponse:
    """The field with a network that says nothing: what its probes heard of each other."""
    silent = {k: np.zeros_like(v) if k.endswith("_out") else v for k, v in field.parameters.items()}
    return Field(field.scene, field.caster, field.scan_, field.config, silent).predict(emitters, listeners)


def self_response_baseline(field: Field, points: np.ndarray, seed: int) -> EnergyResponse:
    """The mean of the self-responses at both ends of all ordered pairs of ``points``, from their earliest arrival on.

    What a scan without an exchange would say: exact at the points, and of all the decay.
    """
    first, second = ordered_pairs(len(points))
    own = trace_self(field.scene, points, rays=_SELF_RAYS, seed=seed, raycaster=field.caster)
    response = field.predict(points[first], points[second])
    energy = later(0.5 * (own[first] + own[second]), response.delay)
    energy[..., 0] = 10.0 ** (floored_level(energy[..., 0], LEAST_SHARE) / 10.0)
    return replace(response, energy=energy, tail_slope=tail_slopes(energy[..., 0]))


def nearest_pair_baseline(truth: EnergyResponse, points: np.ndarray, caster: Raycaster) -> EnergyResponse:
    """For each ordered pair, the traced response of the other pair with the nearest ends, with its own direct sound."""
    first, second = ordered_pairs(len(points))
    ends = np.concatenate([points[first], points[second]], axis=1)
    gap = np.linalg.norm(ends[:, None, :3] - ends[None, :, :3], axis=2)
    gap = gap + np.linalg.norm(ends[:, None, 3:] - ends[None, :, 3:], axis=2)
    same = (first[:, None] == first[None]) & (second[:, None] == second[None])
    same |= (first[:, None] == second[None]) & (second[:, None] == first[None])
    nearest = np.where(same, np.inf, gap).argmin(axis=1)
    return EnergyResponse(
        truth.energy[nearest],
        truth.direct,
        truth.distance,
        truth.direct_direction,
        truth.tail_slope[nearest],
        truth.speed_of_sound,
    )


def evaluate(
    truths: list[Truth], weights: Path | None = None, spacing: float = 0.8, refined: int = 0, processes: int = 1
) -> dict[str, object]:
    """Errors of the field and of three baselines over ``truths``, as tables of means.

    In the first ``refined`` rooms the field is also refined. ``processes`` at most work side by side.
    """
    rows: dict[str, list[dict[str, np.ndarray]]] = {
        "field": [],
        "field without its network": [],
        "mean of self-responses": [],
        "nearest traced pair": [],
    }
    refined_rows: dict[str, list[dict[str, np.ndarray]]] = {"field, same rooms": [], "field, refined": []}
    labels: list[tuple[str, np.ndarray]] = []
    noise: list[dict[str, np.ndarray]] = []
    kept, started = 0, time.perf_counter()
    for number, truth in enumerate(truths):
        scene = make_room(truth.seed, POINTS).scene
        field = Field.scan(scene, seed=truth.seed, weights=weights, spacing=spacing, processes=processes)
        first, second = ordered_pairs(len(truth.points))
        emitters, listeners = truth.points[first], truth.points[second]
        asked = field.predict(emitters, listeners)
        for name, said in (
            ("field", asked),
            ("field without its network", exchange_baseline(field, emitters, listeners)),
            ("mean of self-responses", self_response_baseline(field, truth.points, truth.seed)),
            ("nearest traced pair", nearest_pair_baseline(truth.response, truth.points, field.caster)),
        ):
            rows[name].append(_errors(said, truth))
        if number < refined:
            refined_rows["field, same rooms"].append(rows["field"][-1])
            if field.can_refine:
                kept += field.refine(seed=truth.seed, processes=processes).kept
            refined_rows["field, refined"].append(_errors(field.predict(emitters, listeners), truth))
        noise.append(reference_noise(truth.response))
        labels.append((truth.kind, reciprocal(truth.response).direct[:, 0] > 0.0))
        print(
            f"\rasking the field: {number + 1}/{len(truths)}, {time.perf_counter() - started:.0f} s",
            end="",
            file=sys.stderr,
        )
    print(file=sys.stderr)
    result = {
        "rooms": len(truths),
        "pairs": int(sum(len(v) for _, v in labels)),
        "failures": {k: int(np.isnan(np.concatenate([t[k] for t in rows["field"]])).sum()) for k in MEASURES},
        "noise of the reference": _parts(noise, labels),
        "tables": {name: _parts(tables, labels) for name, tables in rows.items()},
    }
    if refined:
        tables = {name: _parts(tables, labels[:refined]) for name, tables in refined_rows.items()}
        tables["noise of the reference"] = _parts(noise[:refined], labels[:refined])
        result["refined"] = {"rooms": min(refined, len(truths)), "kept": kept, "tables": tables}
    return result


def _errors(said: EnergyResponse, truth: Truth) -> dict[str, np.ndarray]:
    """Errors of what is ``said`` of all ordered pairs of ``truth``: directions count at both ends."""
    table = errors(said[np.arange(len(said.distance) // 2)], reciprocal(truth.response))
    table["direction deg"] = direction_error(said, truth.response)
    table["reflections deg"] = direction_error(said, truth.response, direct=False)
    return table


def _parts(tables: list[dict[str, np.ndarray]], labels: list[tuple[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Means over all pairs, over those that see each other or do not, and over the rooms of each kind."""
    return {
        "all": _means(tables, labels, lambda kind, visible: np.ones(len(visible), bool)),
        "visible": _means(tables, labels, lambda kind, visible: visible),
        "hidden": _means(tables, labels, lambda kind, visible: ~visible),
        **{
            wanted: _means(tables, labels, lambda kind, visible, w=wanted: np.full(len(visible), kind == w))
            for wanted in sorted({kind for kind, _ in labels})
        },
    }


def _means(tables: list[dict[str, np.ndarray]], labels: list, choose: object) -> dict[str, float]:
    """Means over all chosen pairs and bands; pairs chosen in a room are doubled where both ways count."""
    result = {}
    for key in tables[0]:
        values = []
        for table, (kind, visible) in zip(tables, labels, strict=True):
            chosen = choose(kind, visible)
            chosen = np.concatenate([chosen, chosen]) if len(table[key]) == 2 * len(chosen) else chosen
            values.append(table[key][chosen].ravel())
        joined = np.concatenate(values)
        joined = joined[np.isfinite(joined)]
        result[key] = float(joined.mean()) if len(joined) else float("nan")
        result[f"{key} median"] = float(np.median(joined)) if len(joined) else float("nan")
    return result


def as_text(result: dict[str, object]) -> str:
    """The tables of `evaluate` for people."""
    keys = [*BARS, "reflections deg"]
    lines = [
        f"{result['rooms']} unseen rooms, {result['pairs']} pairs, means over pairs and bands 125 Hz to 4 kHz "
        "(median in brackets)",
        f"C50 is limited to +-{C50_LIMIT:g} dB; directions of the first 80 ms, and of its reflections alone, where a "
        "tenth of it has one; "
        f"left out because the truth has no such figure: {result['failures']}",
        f"{'':34}" + "".join(f"{k:>17}" for k in keys),
    ]

    def row(name: str, table: dict[str, float]) -> str:
        cells = "".join(f"{table[k]:>9.2f} ({table[f'{k} median']:5.2f})" if k in table else f"{'':17}" for k in keys)
        return f"{name:34}{cells}"

    def bars(*sets: dict[str, float]) -> None:
        for name, values in zip(("bar", "    bar, hidden"), sets, strict=True):
            cells = (f"{values[k]:>9.2f}{'':8}" if k in values else f"{'':17}" for k in keys)
            lines.append(f"{name:34}" + "".join(cells))

    def noise(parts: dict[str, dict[str, float]]) -> None:
        lines.extend(
            row(name, parts[part]) for name, part in (("noise of the reference", "all"), ("    hidden", "hidden"))
        )

    for name, tables in result["tables"].items():
        lines.append(row(name, tables["all"]))
        if name == "field":
            lines += [row(f"    {part}", tables[part]) for part in tables if part != "all"]
    noise(result["noise of the reference"])
    bars(BARS, HIDDEN_BARS)
    if "refined" in result:
        refined = result["refined"]
        lines.append(f"refined in the first {refined['rooms']} rooms; the refined scan was kept in {refined['kept']}")
        for name in ("field, same rooms", "field, refined"):
            lines += [
                row(*part)
                for part in ((name, refined["tables"][name]["all"]), ("    hidden", refined["tables"][name]["hidden"]))
            ]
        noise(refined["tables"]["noise of the reference"])
        bars(REFINED_BARS, REFINED_HIDDEN_BARS)
    return "\n".join(lines)


def missed(result: dict[str, object]) -> list[str]:
    """Which bars the field misses, in words."""
    tables = result["tables"]["field"]
    sets = [("", tables["all"], BARS), ("hidden ", tables["hidden"], HIDDEN_BARS)]
    if "refined" in result:
        tables = result["refined"]["tables"]["field, refined"]
        sets += [("refined ", tables["all"], REFINED_BARS), ("refined hidden ", tables["hidden"], REFINED_HIDDEN_BARS)]
    return [f"{name}{k} {t[k]:.2f} > {bar:g}" for name, t, bars in sets for k, bar in bars.items() if not t[k] <= bar]


def save_json(result: dict[str, object], path: Path) -> None:
    """Write the tables of `evaluate` to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(result, indent=1))
    part.replace(path)
