"""What is heard and where: geometry with acoustic materials, and the paths of emitters and listeners."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from naf_core.air import Air
from naf_core.bands import N_BANDS
from naf_core.clip import Clip
from naf_core.directivity import Cone
from naf_core.errors import UserError
from naf_core.materials import Material
from naf_core.store import CHECKED, DAMAGE, read_array, read_texts, write_texts

MAX_TRIANGLES = 50_000_000  # beyond this a scene file is taken for damaged
MAX_REACH = 1e6  # m from the origin: beyond, positions in single precision are off by decimetres
MAX_MATERIALS = 100_000
MAX_PITCH = 16.0  # times as fast, or as slow
_FORMAT = "acoustic-fields scene 1"


@dataclass(frozen=True)
class Scene:
    """Triangles, their acoustic materials and the air between them.

    ``vertices`` (V, 3) in metres, z up; ``triangles`` (F, 3) vertex indices, both sides reflect; ``material_index``
    (F,) into ``materials``. F may be 0: the free field. Triangles without area are dropped, since no sound meets
    them. Raises UserError on NaN or infinite vertices, indices out of range and shapes that do not match.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    material_index: np.ndarray
    materials: Sequence[Material]
    air: Air = field(default_factory=Air)

    def __post_init__(self) -> None:
        vertices = _rows_of_three("vertices", self.vertices, np.float64)
        triangles = _rows_of_three("triangles", self.triangles, np.int64)
        index = np.asarray(self.material_index, dtype=np.int64).reshape(-1)
        if not np.isfinite(vertices).all():
            raise UserError("The geometry has vertices that are not finite numbers: repair the mesh.")
        reach = np.abs(vertices).max(initial=0.0)
        if reach > MAX_REACH:
            raise UserError(f"The geometry lies {reach:.3g} m from the origin: keep it within {MAX_REACH:g} m.")
        if len(index) != len(triangles):
            raise UserError(f"material_index has {len(index)} entries for {len(triangles)} triangles: give one each.")
        if len(triangles) and not 0 <= triangles.min() <= triangles.max() < len(vertices):
            raise UserError(f"triangles name vertices outside 0 to {len(vertices) - 1}: repair the mesh.")
        if len(index) and not 0 <= index.min() <= index.max() < len(self.materials):
            raise UserError(f"material_index names materials outside 0 to {len(self.materials) - 1}.")
        vertices = vertices.astype(np.float32)
        solid = areas_of(vertices, triangles) > 0.0
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "triangles", triangles[solid].astype(np.int32))
        object.__setattr__(self, "material_index", index[solid].astype(np.int32))
        object.__setattr__(self, "materials", tuple(self.materials))

    @property
    def absorption(self) -> np.ndarray:
        """Absorption of each material, (M, 8) float32, 0..1."""
        return np.array([m.absorption for m in self.materials], dtype=np.float32).reshape(-1, N_BANDS)

    @property
    def scattering(self) -> np.ndarray:
        """Scattering of each material, (M, 8) float32, 0..1."""
        return np.array([m.scattering for m in self.materials], dtype=np.float32).reshape(-1, N_BANDS)

    @property
    def transmission_loss(self) -> np.ndarray:
        """Transmission loss of each material, (M, 8) float64 dB, inf where nothing passes."""
        nothing = (np.inf,) * N_BANDS
        return np.array([m.transmission_loss or nothing for m in self.materials], np.float64).reshape(-1, N_BANDS)

    @property
    def triangle_areas(self) -> np.ndarray:
        """Area of each triangle, (F,) float64, square metres."""
        return areas_of(self.vertices, self.triangles)

    @property
    def bounds(self) -> np.ndarray:
        """Lowest and highest corner of the triangles, (2, 3) float64 in metres; zeros when there are none."""
        if not len(self.triangles):
            return np.zeros((2, 3))
        used = np.ascontiguousarray(self.vertices[self.triangles.ravel()].T)  # fast along rows
        return np.stack([used.min(axis=1), used.max(axis=1)]).astype(np.float64)

    def save(self, path: str | Path) -> None:
        """Write the scene to ``path`` as HDF5 (beside it first, then renamed)."""
        import h5py

        path = Path(path)
        part = path.with_name(path.name + ".part")
        with h5py.File(part, "w", libver=CHECKED) as file:
            file.attrs["format"] = np.bytes_(_FORMAT)
            file.attrs["air"] = [self.air.temperature, self.air.humidity, self.air.pressure]
            file.create_dataset("vertices", data=self.vertices, compression="gzip")
            file.create_dataset("triangles", data=self.triangles, compression="gzip")
            file.create_dataset("material_index", data=self.material_index, compression="gzip")
            group = file.create_group("materials")
            for name in ("absorption", "scattering"):
                values = np.array([getattr(m, name) for m in self.materials], dtype=np.float64)
                group.create_dataset(name, data=values.reshape(-1, N_BANDS))
            group.create_dataset("transmission_loss", data=self.transmission_loss)
            write_texts(group, "names", [m.name for m in self.materials])
            write_texts(group, "sources", [m.source for m in self.materials])
        os.replace(part, path)

    @classmethod
    def load(cls, path: str | Path) -> Scene:
        """Read a scene written by `save`; raises UserError when the file is missing, foreign or damaged."""
        import h5py

        path = Path(path)
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("format") != np.bytes_(_FORMAT):
                    raise UserError(f"{path} is not a scene of this tool: write one with Scene.save.")
                group = file["materials"]
                absorption = read_array(group, "absorption", (None, N_BANDS), MAX_MATERIALS)
                losses = np.full(absorption.shape, np.inf)  # of files from before there was any
                if "transmission_loss" in group:
                    losses = read_array(group, "transmission_loss", (None, N_BANDS), MAX_MATERIALS)
                materials = [
                    Material(name, tuple(a), tuple(s), source, tuple(t) if np.isfinite(t).any() else None)
                    for name, source, a, s, t in zip(
                        read_texts(group, "names", MAX_MATERIALS),
                        read_texts(group, "sources", MAX_MATERIALS),
                        absorption,
                        read_array(group, "scattering", (None, N_BANDS), MAX_MATERIALS),
                        losses,
                        strict=True,
                    )
                ]
                air = Air(*(float(x) for x in np.asarray(file.attrs["air"]).reshape(3)))
                vertices = read_array(file, "vertices", (None, 3), 3 * MAX_TRIANGLES)
                triangles = read_array(file, "triangles", (None, 3), MAX_TRIANGLES)
                return cls(
                    vertices, triangles, read_array(file, "material_index", (None,), MAX_TRIANGLES), materials, air
                )
        except DAMAGE as error:
            raise UserError(f"{path} cannot be read as a scene: {error}") from error


@dataclass(frozen=True)
class Trajectory:
    """Where something is and how it is turned, over time.

    ``times`` (T,) in seconds, increasing; ``positions`` (T, 3) in metres; ``rotations`` (T, 3, 3) with
    world = R @ local, where the local axes are x forward, y left, z up. T is at least 1; before the first and after
    the last time the ends are held. Raises UserError on other shapes or values that are not finite.
    """

    times: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray | None = None

    def __post_init__(self) -> None:
        times = np.asarray(self.times, dtype=np.float64).reshape(-1)
        positions = _rows_of_three("positions", self.positions, np.float64)
        rotations = self.rotations if self.rotations is not None else np.broadcast_to(np.eye(3), (len(times), 3, 3))
        rotations = np.asarray(rotations, dtype=np.float64)
        if rotations.ndim != 3 or rotations.shape[1:] != (3, 3):
            raise UserError(f"Rotations have the shape {rotations.shape}: give (n, 3, 3).")
        if not len(times) == len(positions) == len(rotations) or not len(times):
            raise UserError("A trajectory needs one position and one rotation for each of its times, at least one.")
        if not (np.isfinite(times).all() and np.isfinite(positions).all() and np.isfinite(rotations).all()):
            raise UserError("A trajectory has values that are not finite numbers.")
        if (np.diff(times) <= 0).any():
            raise UserError("The times of a trajectory must increase.")
        for name, value in (("times", times), ("positions", positions), ("rotations", rotations)):
            object.__setattr__(self, name, value)

    def at(self, times: np.ndarray) -> np.ndarray:
        """Positions (n, 3) in metres at ``times`` (n,) in seconds, straight from one to the next."""
        return np.stack([np.interp(times, self.times, axis) for axis in self.positions.T], axis=1)

    @property
    def moves(self) -> bool:
        """Whether the position changes by more than a tenth of a millimetre."""
        return bool(np.ptp(self.positions, axis=0).max() > 1e-4)


@dataclass(frozen=True)
class Emitter:
    """A Speaker: a sound, where it is, how loud it is and when it starts.

    ``sound`` is the path of an audio file; ``starts`` the times in seconds at which it starts (may be negative);
    ``gain`` (T,) linear volume at the trajectory's times (0 is silent); ``level`` the A-weighted sound pressure
    level in dB at 1 m in the free field when the gain is 1 (0..150). ``pitch`` (T,) is how fast the sound plays
    (1/16..16), 2 an octave higher and in half the time. ``cone``, of one value or (T,), points along the
    trajectory's forward axis, where the level is that at 1 m; None sends alike in all directions. ``clips`` say what
    of the sound is played at each start; by default all of it, once.
    """

    name: str
    trajectory: Trajectory
    sound: str
    starts: tuple[float, ...] = (0.0,)
    gain: np.ndarray | float = 1.0
    level: float = 70.0
    cone: Cone | None = None
    pitch: np.ndarray | float = 1.0
    clips: tuple[Clip, ...] = ()

    def __post_init__(self) -> None:
        gain = np.asarray(self.gain, dtype=np.float64)
        if gain.ndim and gain.shape != self.trajectory.times.shape:
            raise UserError(f"The volume of “{self.name}” is not given at each of its times.", self.name)
        gain = np.broadcast_to(gain, self.trajectory.times.shape).copy()
        if not (np.isfinite(gain).all() and (gain >= 0).all()):
            raise UserError(f"The volume of “{self.name}” is negative or not a number.", self.name)
        if not np.isfinite(np.asarray(self.starts, dtype=np.float64)).all():
            raise UserError(f"A start of “{self.name}” is not a finite number of seconds.", self.name)
        if len(self.clips) not in (0, len(self.starts)):
            raise UserError(f"The clips of “{self.name}” are not given for each of its starts.", self.name)
        if not 0.0 <= self.level <= 150.0:
            raise UserError(f"The level of “{self.name}” is {self.level} dB: set it between 0 and 150.", self.name)
        if self.cone is not None and self.cone.inner.shape not in ((), self.trajectory.times.shape):
            raise UserError(f"The cone of “{self.name}” is not given at each of its times.", self.name)
        if self.cone is not None and self.cone.even:
            object.__setattr__(self, "cone", None)
        pitch = np.asarray(self.pitch, dtype=np.float64)
        if pitch.ndim and pitch.shape != self.trajectory.times.shape:
            raise UserError(f"The pitch of “{self.name}” is not given at each of its times.", self.name)
        if not ((pitch >= 1.0 / MAX_PITCH) & (pitch <= MAX_PITCH)).all():
            raise UserError(
                f"The pitch of “{self.name}” is out of range: set it between {1.0 / MAX_PITCH:g} and {MAX_PITCH:g}.",
                self.name,
            )
        object.__setattr__(self, "gain", gain)
        object.__setattr__(self, "pitch", np.broadcast_to(pitch, self.trajectory.times.shape).copy())
        object.__setattr__(self, "starts", tuple(float(s) for s in self.starts))


@dataclass(frozen=True)
class Listener:
    """Who hears: the camera or a chosen object, over time."""

    name: str
    trajectory: Trajectory


def areas_of(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Areas (F,) float64 of ``triangles`` (F, 3) between ``vertices`` (V, 3), which are taken in single precision."""
    corners = np.asarray(vertices, np.float32)[triangles].astype(np.float64)
    return 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)


def _rows_of_three(what: str, values: object, dtype: type) -> np.ndarray:
    """``values`` as an array (n, 3), where nothing at all is (0, 3); raises UserError on other shapes."""
    array = np.asarray(values, dtype=dtype)
    if array.size == 0:
        return array.reshape(0, 3)
    if array.ndim != 2 or array.shape[1] != 3:
        raise UserError(f"The {what} have the shape {array.shape}: give (n, 3).")
    return array
