"""The neural acoustic field: a scanned scene that answers at once for any emitter and listener."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from naf_core.accuracy import ordered_pairs, reciprocal
from naf_core.bands import N_BANDS
from naf_core.bundled import FIELD, bundled_file
from naf_core.decoder import DecoderConfig, decode, forward, join_specular, load_decoder
from naf_core.errors import UserError
from naf_core.exchange import PATTERNS, Exchange, trace_exchange
from naf_core.features import pair_features, read_around
from naf_core.pairs import pair_geometry, sight
from naf_core.probes import N_DEPTHS, Scan, Surroundings, enough_paths, scan, surroundings
from naf_core.raycast import Raycaster
from naf_core.refinement import Refinement, far_apart, mean_errors
from naf_core.response import N_FRAMES, EnergyResponse, empty_response
from naf_core.scene import MAX_REACH, Scene
from naf_core.specular import specular_energy
from naf_core.store import CHECKED, DAMAGE, read_array
from naf_core.tracer import direct_energy, positions_from, tail_slopes, trace
from naf_core.uncertainty import NOTE, Calibration, calibration_from, every_other, quantities_of

if TYPE_CHECKING:
    import h5py

_BATCH = 256  # pairs a step: fewer or more take longer, and their features stay small beside the scene
_MAX_PROBES = 5000  # of a file; what may be read of it grows with their square
_PLACES = 10  # between which pairs are traced to see whether refining helped
_REFINED = 8  # times the paths of a scan
_REFINED_SEED = 7919  # other paths than those of a scan with the same seed
_FORMAT = "acoustic-fields field 3"


@dataclass
class Field:
    """A scene, its scan and the network that reads it; ``calibration`` tells how far off it is, where that is known."""

    scene: Scene
    caster: Raycaster
    scan_: Scan
    config: DecoderConfig
    parameters: dict[str, np.ndarray]
    calibration: Calibration | None = None

    @classmethod
    def scan(
        cls,
        scene: Scene,
        *,
        seed: int = 0,
        spacing: float = 0.8,
        paths: int | None = None,
        effort: float = 1.0,
        processes: int = 1,
        progress: Callable[[float], None] | None = None,
        weights: Path | None = None,
    ) -> Field:
        """Scan ``scene`` and read the bundled weights (or those at ``weights``): a field ready to be asked.

        Probes stand ``spacing`` metres apart and send ``paths`` together, by default ``effort`` times as many as are
        enough, which are the more the sooner they end. ``processes`` at most work side by side; the result does not
        depend on how many. ``progress`` gets 0..1 and may raise to cancel. A scene without triangles gives the free
        field.
        """
        config, parameters, calibration = _read_weights(weights)
        caster = Raycaster(scene)
        return cls(
            scene,
            caster,
            scan(
                scene,
                caster,
                spacing=spacing,
                paths=paths,
                effort=effort,
                seed=seed,
                processes=processes,
                progress=progress,
            ),
            config,
            parameters,
            calibration,
        )

    @property
    def escape(self) -> float:
        """Mean share of a probe's rays that leave the scene, 0 (closed) to 1; 1 without geometry."""
        return float(self.scan_.around.escape.mean()) if len(self.scan_.positions) else 1.0

    def covers(self, points: np.ndarray) -> np.ndarray:
        """Whether each of ``points`` (n, 3) sees any probe, (n,) bool: if not, it lies outside or within something."""
        points = self.caster.off_surfaces(positions_from(points))
        return ~sight(self.caster, self.scan_.positions, points, self.config.bandwidth).lost

    def predict(
        self, emitters: np.ndarray, listeners: np.ndarray, progress: Callable[[float], None] | None = None
    ) -> EnergyResponse:
        """Energy responses of n pairs: ``emitters`` (n, 3) and ``listeners`` (n, 3) in metres; either may be (3,).

        Returns an EnergyResponse with leading axis n. Raises UserError on positions that are not finite.
        """
        emitters, listeners = (positions_from(p) for p in (emitters, listeners))
        n = max(len(emitters), len(listeners))
        if {len(emitters), len(listeners)} - {1, n}:
            raise UserError(f"{len(emitters)} emitters and {len(listeners)} listeners cannot be paired.")
        emitters, listeners = (np.broadcast_to(p, (n, 3)) for p in (emitters, listeners))
        response = empty_response((n,), self.scene.air.speed_of_sound)
        unique_e, of_e = np.unique(emitters, axis=0, return_inverse=True)
        unique_l, of_l = np.unique(listeners, axis=0, return_inverse=True)
        of_e, of_l = of_e.ravel(), of_l.ravel()
        unique_e, unique_l = self.caster.off_surfaces(unique_e), self.caster.off_surfaces(unique_l)
        probes = self.scan_.positions
        sight_e, sight_l = (sight(self.caster, probes, p, self.config.bandwidth) for p in (unique_e, unique_l))
        pairs = pair_geometry(self.caster, probes, self.scan_.walking, unique_e, unique_l, sight_e, sight_l, of_e, of_l)
        response.distance[:] = pairs.distance
        response.direct_direction[:] = pairs.direction
        response.direct[:] = direct_energy(self.scene.air, pairs.distance, pairs.visible)
        if not len(probes):
            return response
        specular = specular_energy(self.scene, self.caster, unique_e, unique_l, of_e, of_l)
        exchange = self.scan_.exchange
        around_e, around_l = read_around(self.scan_, sight_e), read_around(self.scan_, sight_l)
        gets_e, gets_l = exchange.at(sight_e.weight), exchange.at(sight_l.weight)
        air = self.scene.air.absorption().astype(np.float32)
        height = np.abs(emitters[:, 2] - listeners[:, 2])
        for start in range(0, n, _BATCH):
            rows = slice(start, start + _BATCH)
            here, there = of_e[rows], of_l[rows]
            exchanged = exchange.between(gets_e, gets_l, here, there)
            features = pair_features(
                around_e[here], around_l[there], exchanged, pairs[rows], air, response.speed_of_sound, height[rows]
            )
            level, ratio = decode(forward(self.parameters, features.inputs), features.base_level, features.bases)
            energy = join_specular(level, ratio, specular[rows])
            response.energy[rows] = energy
            response.tail_slope[rows] = tail_slopes(energy[..., 0])
            if progress is not None:
                progress(min(1.0, (start + _BATCH) / n))
        return response

    def uncertainty(self, emitters: np.ndarray, listeners: np.ndarray) -> dict[str, np.ndarray]:
        """Expected absolute errors of n pairs in JUDGED_BANDS, (n, 6) each, by `accuracy.MEASURES`.

        Positions as in `predict`, which is asked three times. NaN where there is no such figure. Raises UserError
        without a calibration.
        """
        if self.calibration is None:
            raise UserError("These weights come without a calibration of their errors: use the bundled ones.")
        return self.calibration.expected(self.quantities(emitters, listeners))

    def quantities(self, emitters: np.ndarray, listeners: np.ndarray) -> np.ndarray:
        """What the errors of n pairs are told by, (n, 6, QUANTITIES): see `uncertainty.quantities_of`."""
        said = self.predict(emitters, listeners)
        halves = [replace(self, scan_=every_other(self.scan_, k)).predict(emitters, listeners) for k in (0, 1)]
        ends = [np.broadcast_to(positions_from(p), (len(said.distance), 3)) for p in (emitters, listeners)]
        escape = np.ones(len(ends[0]))
        if len(self.scan_.positions):
            escape = np.max([surroundings(self.scene, self.caster, p).escape for p in ends], axis=0)
        return quantities_of(said, halves, said.direct.max(axis=1) > 0.0, escape)

    @property
    def can_refine(self) -> bool:
        """Whether there is something to refine: two probes that air joins."""
        return bool(np.isfinite(self.scan_.walking).sum() >= len(self.scan_.positions) + 2)

    def refine(
        self,
        *,
        paths: int | None = None,
        rays: int = 20_000,
        seed: int = 0,
        processes: int = 1,
        progress: Callable[[float], None] | None = None,
    ) -> Refinement:
        """Send ``paths`` from the probes, eight times those of a scan by default, and keep what is nearer to the truth.

        The truth are pairs of places between the probes, traced with ``rays`` paths from each place, which tell the
        field nothing else. ``processes`` at most work side by side. ``progress`` gets 0..1 and may raise to cancel;
        then, and where more paths do not help, the field stays as it was. Raises UserError without geometry.
        """
        probes = self.scan_.positions
        if not self.can_refine:
            raise UserError("There is nothing to refine: the scene has no geometry, or room for one probe only.")
        tell = progress or (lambda fraction: None)
        paths = _REFINED * enough_paths(self.scan_.around) if paths is None else paths
        exchange = trace_exchange(
            self.scene,
            self.caster,
            probes,
            rays=max(1, paths // len(probes)),
            seed=seed + _REFINED_SEED,
            processes=processes,
            progress=lambda fraction: tell(0.8 * fraction),
        )
        places = self._between_probes(seed)
        traced = trace(
            self.scene,
            places,
            places,
            rays=rays,
            seed=seed + _REFINED_SEED,
            processes=processes,
            progress=lambda fraction: tell(0.8 + 0.2 * fraction),
            raycaster=self.caster,
        )
        here, there = ordered_pairs(len(places))
        meant, n = reciprocal(traced[here, there]), len(here) // 2
        refined = replace(self, scan_=replace(self.scan_, exchange=exchange))
        before, after = (mean_errors(f.predict(places[here[:n]], places[there[:n]]), meant) for f in (self, refined))
        result = Refinement(before, after, n)
        if result.kept:
            self.scan_ = refined.scan_
        return result

    def _between_probes(self, seed: int) -> np.ndarray:
        """Some places (n, 3) far from each other and not far from probes, which they see.

        They lie in the largest of the spaces that air joins: what passes into a shut cupboard is no measure.
        """
        joined = np.isfinite(self.scan_.walking)
        probes = self.scan_.positions[joined[joined.sum(axis=1).argmax()]]
        near = probes[far_apart(probes, _PLACES)]
        aside = np.random.default_rng(seed).uniform(-0.4, 0.4, near.shape).astype(np.float32)
        places = self.caster.off_surfaces(near + aside)
        return np.where(self.caster.occluded(near, places)[:, None], near, places)

    def save(self, path: str | Path) -> None:
        """Write scene and scan to ``path`` as HDF5 (beside it first, then renamed); the network is not part of it."""
        import h5py

        path = Path(path)
        part = path.with_name(path.name + ".part")
        self.scene.save(part)
        with h5py.File(part, "a", libver=CHECKED) as file:
            file.attrs["field"] = np.bytes_(_FORMAT)
            group = file.create_group("scan")
            arrays = {name: getattr(self.scan_, name) for name in ("positions", "walking")}
            arrays["sees"] = self.scan_.sees.astype(np.uint8)
            arrays |= {"receive": self.scan_.exchange.receive, "transfer": self.scan_.exchange.transfer}
            arrays |= {f"around_{f.name}": getattr(self.scan_.around, f.name) for f in fields(Surroundings)}
            for name, values in arrays.items():
                group.create_dataset(name, data=values, compression="gzip")
        os.replace(part, path)

    @classmethod
    def load(cls, path: str | Path, weights: Path | None = None) -> Field:
        """Read a field written by `save`; raises UserError when it is missing, foreign or damaged.

        The network is the bundled one (or that at ``weights``).
        """
        import h5py

        config, parameters, calibration = _read_weights(weights)
        scene = Scene.load(path)
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("field") != np.bytes_(_FORMAT):
                    raise UserError(f"{path} holds no field of this version: scan the scene again.")
                found = _read_scan(file["scan"])
        except DAMAGE as error:
            raise UserError(f"{path} cannot be read as a field: {error}") from error
        return cls(scene, Raycaster(scene), found, config, parameters, calibration)


def _read_weights(
    path: Path | None,
) -> tuple[DecoderConfig, dict[str, np.ndarray], Calibration | None]:
    """The network at ``path``, or the bundled one, and the calibration of its errors where it has one."""
    path = path or bundled_file(FIELD)
    config, parameters, notes = load_decoder(path)
    try:
        return config, parameters, calibration_from(notes[NOTE]) if NOTE in notes else None
    except ValueError as error:
        raise UserError(f"{path} holds a calibration that cannot be read: {error}. Reinstall it.") from error


def _read_scan(group: h5py.Group) -> Scan:
    """The scan that `Field.save` wrote; raises one of DAMAGE when anything about it is not as it was written."""
    positions = read_array(group, "positions", (None, 3), _MAX_PROBES)
    count = len(positions)

    def read(name: str, shape: tuple[int, ...], highest: float) -> np.ndarray:
        values = read_array(group, name, (count, *shape), count)
        if not ((values >= 0.0) & (values <= highest)).all():  # also refuses NaN
            raise ValueError(f"{name} has values outside 0 to {highest:g}")
        return values.astype(np.float32)

    if not (np.abs(positions) <= MAX_REACH).all():
        raise ValueError("positions are not finite numbers, or out of reach")
    around = Surroundings(
        read("around_depths", (N_DEPTHS,), MAX_REACH),
        read("around_absorption", (N_BANDS,), 1.001),
        read("around_scattering", (N_BANDS,), 1.001),
        read("around_escape", (), 1.001),
    )
    sees = read("sees", (count,), 1.0) > 0.5
    receive = read_array(group, "receive", (count, None, 4), PATTERNS).astype(np.float32)
    patterns = receive.shape[1]
    transfer = read_array(group, "transfer", (patterns, N_BANDS, N_FRAMES, patterns), PATTERNS)
    transfer = transfer.astype(np.float32)
    if not (np.isfinite(receive).all() and np.isfinite(transfer).all()):
        raise ValueError("the exchange between probes has values that are not finite")
    walking = read("walking", (count,), np.inf)
    return Scan(positions.astype(np.float32), around, sees, walking, Exchange(receive, transfer))
