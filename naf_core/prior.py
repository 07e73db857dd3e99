"""What a room's geometry foretells before any recording is heard: its zero-shot field, without the directions."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from naf_core.bands import N_BANDS
from naf_core.errors import UserError
from naf_core.field import Field
from naf_core.materials import Material
from naf_core.response import FRAME_WIDTHS
from naf_core.scene import Scene
from naf_core.store import DAMAGE

ABSORPTION = (0.01, 0.99)  # that a face may have
_BOX_SCATTERING = 0.4  # of a box that stands for a room with things in it
_QUIETEST = 1e-3  # of the loudest later power: a frame that holds less is not relied on
_SILENCE = 1e-30
_MOST_BYTES = 200_000_000  # of a mesh within the file of a field
_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
_FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))


@dataclass(frozen=True)
class Prior:
    """The zero-shot field of ``scene``, which is scanned with ``seed`` when it is asked for the first time.

    ``boxed``: whether it is the box of `of_box`, which need not be stored. ``paths`` of a scan, as many as are enough
    by default.
    """

    scene: Scene
    seed: int = 0
    boxed: bool = False
    paths: int | None = None

    @cached_property
    def field(self) -> Field:
        """The field of the scene."""
        return Field.scan(self.scene, seed=self.seed, paths=self.paths)

    def logarithms(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Natural logarithms of energies of ``pairs`` (n, 6), emitter and listener in m, and what sees what.

        Direct (n, 8), which means nothing where the two do not see each other, reflected (n, 8, N_FRAMES), and whether
        they do, (n,) bool.
        """
        found = self.field.predict(pairs[:, :3], pairs[:, 3:])
        power = found.energy[..., 0] / FRAME_WIDTHS
        later = np.maximum.accumulate(power[..., ::-1], axis=-1)[..., ::-1]
        reflected = np.log(np.maximum(np.maximum(power, _QUIETEST * later), _SILENCE) * FRAME_WIDTHS)
        direct = np.log(np.maximum(found.direct.astype(np.float64), _SILENCE))
        return direct, reflected, found.direct.max(axis=1) > 0.0

    def packed(self) -> np.ndarray:
        """The scene's file as numbers (n,) uint8."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scene.h5"
            self.scene.save(path)
            return np.frombuffer(path.read_bytes(), np.uint8)

    @classmethod
    def unpacked(cls, packed: np.ndarray, seed: int) -> Prior:
        """The prior of the scene that `packed` gave; raises ValueError when it is something else."""
        if packed.dtype != np.uint8 or packed.ndim != 1 or len(packed) > _MOST_BYTES or not 0 <= seed < 2**32:
            raise ValueError("its mesh is not a file of a scene, or too large")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scene.h5"
            path.write_bytes(packed.tobytes())
            try:
                return cls(Scene.load(path), seed)
            except (*DAMAGE, UserError) as error:
                raise ValueError("its mesh cannot be read") from error

    @classmethod
    def of_box(cls, box: np.ndarray, absorption: np.ndarray, seed: int) -> Prior:
        """That of a closed ``box`` (2, 3), low and high corner in m, all of whose faces have ``absorption`` (8,)."""
        vertices = np.take_along_axis(np.asarray(box, np.float64), _CORNERS, axis=0)
        triangles = np.array([t for a, b, c, d in _FACES for t in ((a, b, c), (a, c, d))])
        walls = Material(
            "walls", tuple(float(a) for a in np.clip(absorption, *ABSORPTION)), (_BOX_SCATTERING,) * N_BANDS
        )
        return cls(Scene(vertices, triangles, np.zeros(len(triangles), int), [walls]), seed, True)
