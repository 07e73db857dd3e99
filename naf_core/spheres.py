"""The spheres around listeners in which mirrored paths are caught."""

from __future__ import annotations

import numpy as np

from naf_core.raycast import Raycaster, sphere_directions

_SIZE = (0.4, 0.8)  # of the early and late spheres, as shares of the median free way
_MOST = (2.0, 3.0)  # m
_LEAST = 0.35  # m
_RAYS = 192  # that measure what a listener sees of its sphere
_BATCH = 1 << 15  # rays in one go


def catching_spheres(caster: Raycaster, listeners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radius in m and seen volume in m3, (2, L) each, of the spheres in which ``listeners`` (L, 3) catch paths.

    A listener sees part of its sphere only, and catches in that part: wide where the room is wide, or few paths would
    be caught, and never through a wall. The first spheres are for early, the second for late paths, whose energy
    hardly changes from place to place and which are few.
    """
    look = sphere_directions(_RAYS)
    radius, volume = np.empty((2, 2, len(listeners)), np.float32)
    step = max(1, _BATCH // _RAYS)
    for start in range(0, len(listeners), step):
        some = listeners[start : start + step]
        depth = caster.intersect(np.repeat(some, len(look), axis=0), np.tile(look, (len(some), 1))).distance
        depth = depth.reshape(len(some), len(look))
        reach = np.clip(np.outer(_SIZE, np.median(depth, axis=1)), _LEAST, np.array(_MOST)[:, None])
        radius[:, start : start + step] = reach
        seen = np.minimum(depth, reach[..., None]).astype(np.float64)
        volume[:, start : start + step] = 4.0 / 3.0 * np.pi * np.mean(seen**3, axis=2)
    return radius, volume
