"""Rooms, doorways and steps carved out of solid matter: boxes of air and of matter, the later over the earlier."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from naf_core.training.rooms.shapes import halves
from naf_core.training.rooms.site import Palette, Site

_SOLID, _AIR, _SKY, _ELSEWHERE = range(4)
_SKIN = -1  # the label of faces to the sky


@dataclass
class Carving:
    """Boxes along the axes in the order in which they are carved; all is solid at first.

    Surfaces arise between air and solid matter, of the palette of the matter or, if it has none, of the air. Towards
    the sky there is none; nor where the air goes on elsewhere, beyond what is carved.
    """

    boxes: list[tuple[int, tuple[float, ...], tuple[float, ...], Palette | None]] = field(default_factory=list)

    def air(self, low: object, high: object, palette: Palette) -> None:
        """Air between the corners ``low`` and ``high`` (3,) m."""
        self._add(_AIR, low, high, palette)

    def solid(self, low: object, high: object, palette: Palette | None = None) -> None:
        """Matter, such as a step, a beam or a slab."""
        self._add(_SOLID, low, high, palette)

    def sky(self, low: object, high: object) -> None:
        """Where sound leaves."""
        self._add(_SKY, low, high, None)

    def elsewhere(self, low: object, high: object) -> None:
        """Air that another surface bounds, such as a vault."""
        self._add(_ELSEWHERE, low, high, None)

    def _add(self, state: int, low: object, high: object, palette: Palette | None) -> None:
        corners = np.round(np.array([low, high], np.float64), 6)
        if (corners[0] < corners[1]).all():
            self.boxes.append((state, tuple(corners[0]), tuple(corners[1]), palette))

    def build(self, site: Site) -> None:
        """Add all surfaces to ``site``, facing the air."""
        lines = [np.unique([c[k] for _, low, high, _ in self.boxes for c in (low, high)]) for k in range(3)]
        lines = [np.concatenate([[line[0] - 1.0], line, [line[-1] + 1.0]]) for line in lines]
        shape = [len(line) - 1 for line in lines]
        state, owner = np.zeros(shape, np.int8), np.full(shape, -1)
        for number, (kind, low, high, palette) in enumerate(self.boxes):
            where = tuple(slice(*np.searchsorted(lines[k], (low[k], high[k]))) for k in range(3))
            state[where] = kind
            owner[where] = number if palette is not None else -1
        palettes = np.array([b[3] if b[3] is not None else (0,) * 6 for b in self.boxes])
        for axis in range(3):
            first, second = (np.moveaxis(state, axis, 0)[part] for part in (slice(-1), slice(1, None)))
            own, other = (np.moveaxis(owner, axis, 0)[part] for part in (slice(-1), slice(1, None)))
            for side, (inner, outer, air, matter) in enumerate(
                ((second, first, other, own), (first, second, own, other))
            ):
                face = (inner == _AIR) & ((outer == _SOLID) | (outer == _SKY))
                label = palettes[np.where((matter >= 0) & (outer == _SOLID), matter, air), 2 * axis + side]
                label = np.where(outer == _SKY, _SKIN, label)
                for plane in np.flatnonzero(face.any(axis=(1, 2))):
                    self._faces(site, lines, axis, side, plane, face[plane], label[plane])

    def _faces(
        self,
        site: Site,
        lines: list[np.ndarray],
        axis: int,
        side: int,
        plane: int,
        face: np.ndarray,
        label: np.ndarray,
    ) -> None:
        """One plane's faces, as few rectangles; ``face`` and ``label`` run along the two other axes in order."""
        one, two = (k for k in range(3) if k != axis)
        left = face.copy()
        while left.any():
            i, j = (int(k) for k in np.unravel_index(np.argmax(left), left.shape))
            same = left & (label == label[i, j])
            width = int(np.argmin(np.append(same[i, j:], False)))
            height = int(np.argmin(np.append(same[i:, j : j + width].all(axis=1), False)))
            left[i : i + height, j : j + width] = False
            corners = np.empty((4, 3))
            corners[:, axis] = lines[axis][plane + 1]
            corners[:, one] = lines[one][[i, i + height, i + height, i]]
            corners[:, two] = lines[two][[j, j, j + width, j + width]]
            # Counterclockwise about +axis, except that y lies between the others the other way round.
            if (axis == 1) != (side == 1):
                corners = corners[::-1]
            triangles = halves(corners[None])
            if label[i, j] == _SKIN:
                site.sky(triangles)
            else:
                site.add(triangles, int(label[i, j]))
