"""The recorded room of a scene: a field learned from measurements, placed by an Empty."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from naf_core.errors import UserError
from naf_core.placement import Placement

from .geometry import metres_per_unit

_SCALE = 1e-3  # by which an Empty's scale may miss 1


def placement_of(scene: bpy.types.Scene) -> Placement | None:
    """Where the recorded room of a scene stands as its Empty does now, None where there is no recorded room.

    Without an Empty its origin and axes are those of the scene. Raises UserError where the file is missing or the Empty
    is scaled.
    """
    settings = scene.acoustics
    if not settings.recorded_field.strip():
        return None
    path = Path(bpy.path.abspath(settings.recorded_field))
    if not path.is_file():
        raise UserError(f"The recorded field {path} is missing: choose another file, or empty the field.", scene.name)
    place = settings.recorded_place
    if place is None:
        return Placement(path.resolve())
    if scene.objects.get(place.name) != place:
        raise UserError(f"“{place.name}”, which places the recorded room, is not in this scene.", place.name)
    location, rotation, scale = place.matrix_world.decompose()
    if np.abs(np.array(scale) - 1.0).max() > _SCALE:
        raise UserError(
            f"“{place.name}”, which places the recorded room, is scaled, and rooms are as large as they were"
            " recorded: clear its scale (Alt S).",
            place.name,
        )
    origin = np.array(location) * metres_per_unit(scene)
    return Placement(path.resolve(), tuple(origin), np.array(rotation.to_matrix()))
