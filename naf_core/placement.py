"""Where the file of a recorded room stands in a scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from naf_core.errors import UserError
from naf_core.fields import Fields

_SQUARE = 1e-3  # by which axes may miss right angles and unit length
_MAX_REACH = 1e6  # m


@dataclass(frozen=True)
class Placement:
    """A recorded field, the absolute path ``file``, whose origin lies at ``origin`` (3,) in m in the scene.

    ``axes`` (3, 3): scene = axes @ recorded + origin, a rotation. Raises UserError on other values.
    """

    file: Path
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    axes: tuple[tuple[float, float, float], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

    def __post_init__(self) -> None:
        object.__setattr__(self, "file", Path(self.file))
        origin, axes = np.asarray(self.origin, np.float64), np.asarray(self.axes, np.float64)
        if not self.file.is_absolute():
            raise UserError(f"The recorded field “{self.file}” is not an absolute path: give the full path.")
        if origin.shape != (3,) or not (np.abs(origin) < _MAX_REACH).all():  # also refuses NaN
            raise UserError("The recorded room stands nowhere: its origin is not three numbers in metres.")
        square = axes.shape == (3, 3) and np.isfinite(axes).all()
        if not square or np.abs(axes @ axes.T - np.eye(3)).max() > _SQUARE or np.linalg.det(axes) < 0.0:
            raise UserError("The recorded room is scaled, sheared or mirrored: clear the scale of its Empty.")
        object.__setattr__(self, "origin", tuple(map(float, origin)))
        object.__setattr__(self, "axes", tuple(tuple(map(float, row)) for row in axes))

    def to_recorded(self, points: np.ndarray) -> np.ndarray:
        """Positions (n, 3) of the scene in the axes of the recordings."""
        return (np.asarray(points, np.float64) - self.origin) @ np.array(self.axes)

    def to_scene(self, directions: np.ndarray) -> np.ndarray:
        """Directions (..., 3) in the axes of the recordings as they are in the scene."""
        return (np.asarray(directions, np.float64) @ np.array(self.axes).T).astype(np.float32)

    def description(self) -> dict[str, Any]:
        """What a job says of it."""
        return {"file": str(self.file), "origin": list(self.origin), "axes": [x for row in self.axes for x in row]}

    @classmethod
    def read(cls, fields: Fields) -> Placement:
        """Read a `description`; raises UserError."""
        origin, axes = fields.numbers("origin", 3), fields.numbers("axes", 9)
        if (len(origin), len(axes)) != (3, 9):
            raise UserError("The recorded room of the job needs an origin of 3 numbers and axes of 9.")
        return cls(Path(fields.text("file")), origin, tuple(axes[k : k + 3] for k in (0, 3, 6)))
