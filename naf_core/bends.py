"""Ways of sound round the edges of a scene, from one emitter to one listener, and what each carries.

Each edge is a hard wedge (naf_core.wedge). Three things go beyond the theory of one endless wedge:

- An edge that ends weighs half of (its share of the Fresnel zones along it, plus one if the path passes within its
  ends). With this the two edges of a rectangular corner of a sheet, convex or re-entrant, sum exactly to the Kirchhoff
  integral of that corner. An edge that ends at a surface is taken to go on.
- What a face reflects counts as far as the face reaches into the Fresnel zone: a reveal of 10 cm is no mirror at 63 Hz.
- Near its shadow boundary an edge of a solid weighs one, so that it makes up for the direct sound which begins or
  ends there; the other edges of the solid do not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from naf_core.air import NEAREST
from naf_core.edges import LIFT, Edges
from naf_core.raycast import Raycaster
from naf_core.wedge import coefficients, covered

WINDOW = 0.5  # m: paths that are longer than the first by this and its own detour are left to later reflections
_NEAR = 128  # edges looked at, at most, when the emitter is seen
_PARTNERS = {True: 16, False: 64}  # edges tried in twos from each end, when the emitter is seen and when it is not
_WIDE = 2.0  # m: a detour over the far side of a face that is too long to matter
_TWOS = 512  # paths over two edges that are checked, shortest first
_GRAZING = 3e-4  # m of detour: within it rays, not angles, say whether an edge hides the emitter
_SHEET = 2.0 * np.pi - 0.01  # rad of air: around a thin sheet
_ROUNDING = 1e-6  # rad
_ON_FACE = 0.02  # rad: a point is on a face within this


class Ways(NamedTuple):
    """Ways of one pair: ``amplitude`` (m, 8) is complex, without the phase of the way of ``length`` (m,) m."""

    first: np.ndarray  # apex (m, 3) on the first edge
    last: np.ndarray  # and on the last
    length: np.ndarray
    amplitude: np.ndarray
    bends: np.ndarray  # (m,) bool: into a shadow
    order: np.ndarray


class _Seat(NamedTuple):
    """Where points are about edges: ``radius`` m from the edge, ``angle`` rad from face 0, ``height`` m along it."""

    radius: np.ndarray
    angle: np.ndarray
    height: np.ndarray
    outside: np.ndarray  # bool: in the air, not between the faces


class WaySearch:
    """Looks for the ways from ``emitter`` (3,) to ``listener`` (3,), who do (``lit``) or do not see each other.

    ``bands`` (8,) are wavenumbers in 1/m.
    """

    def __init__(
        self,
        caster: Raycaster,
        edges: Edges,
        emitter: np.ndarray,
        listener: np.ndarray,
        lit: bool,
        bands: np.ndarray,
    ) -> None:
        self.caster, self.edges, self.bands = caster, edges, bands
        self.emitter, self.listener, self.lit = emitter, listener, lit
        self.direct = float(np.linalg.norm(emitter - listener))
        self.lift = max(LIFT, 20.0 * caster.epsilon)
        every = np.arange(len(edges.length))
        self.here, self.there = self._seat(every, emitter), self._seat(every, listener)

    def ways(self) -> Ways:
        """The direct path, if visible, and all that go over one edge or two."""
        nothing = np.zeros((0, 3))
        none = np.zeros(0, np.int64)
        empty = Ways(nothing, nothing, np.zeros(0), np.zeros((0, len(self.bands)), complex), none.astype(bool), none)
        found = [empty]
        if self.lit:
            flat = np.full((1, len(self.bands)), 1.0 / max(self.direct, NEAREST), complex)
            ends = self.listener[None], self.emitter[None]
            found.append(Ways(*ends, np.array([self.direct]), flat, np.zeros(1, bool), np.zeros(1, np.int64)))
        if len(self.edges.length) and self.direct > _GRAZING:
            found += self._bent()
        joined = Ways(*(np.concatenate(column) for column in zip(*found, strict=True)))
        return joined if self.lit or joined.bends.any() else empty

    def _bent(self) -> list[Ways]:
        """Paths over one edge and over two, among those no longer than what still counts."""
        here, there, every = self.here, self.there, len(self.edges.length)
        place = np.clip(_apex(here, there), 0.0, self.edges.length)
        length = _reach(here, place) + _reach(there, place)
        order = np.argsort(length, kind="stable")
        order = order[: np.searchsorted(length[order], self.direct + WINDOW)][:_NEAR] if self.lit else order
        bends = self._bends(here.angle, there.angle, length)
        sees_emitter, sees_listener, whole = (np.zeros(every, bool) for _ in range(3))
        shortest = self.direct if self.lit else np.inf
        start, size = 0, _NEAR
        while start < len(order) and length[order[start]] <= self._limit(shortest):
            rows = order[start : start + size]
            rows = rows[here.outside[rows] | there.outside[rows]]
            at = self._points(rows, place[rows])
            sees_emitter[rows] = here.outside[rows] & ~self._hidden(self.emitter, at)
            sees_listener[rows] = there.outside[rows] & ~self._hidden(self.listener, at)
            both = np.flatnonzero(sees_emitter[rows] & sees_listener[rows])
            whole[rows[both]] = ~self._crossed(self.emitter, at[both], self.listener)
            shortest = min(shortest, length[rows[whole[rows] & bends[rows]]].min(initial=np.inf))
            start, size = start + size, 4 * size
        order = order[:start]
        most = _PARTNERS[self.lit]
        partners = order[sees_emitter[order]][:most], order[sees_listener[order]][:most]
        found = [self._over_two(*partners, shortest)] if min(map(len, partners)) else []
        shortest = min([shortest, *(two.length.min(initial=np.inf) for two in found)])
        one = order[whole[order] & (length[order] < self._limit(shortest))]
        return [*found, self._over_one(one, here, there, place, length, bends)] if len(one) else found

    def _over_one(
        self, rows: np.ndarray, here: _Seat, there: _Seat, place: np.ndarray, length: np.ndarray, bends: np.ndarray
    ) -> Ways:
        """What the paths over one edge carry."""
        here, there = _rows(here, rows), _rows(there, rows)
        apex = self.edges.start[rows] + place[rows, None] * self.edges.along[rows]
        free = _apex(here, there)
        first, last = np.maximum(_reach(here, free), NEAREST), np.maximum(_reach(there, free), NEAREST)
        detour = length[rows] - self.direct
        bend = self._bend_at_one(rows, here, there, first * last / (first + last), bends[rows], detour)
        weight = self._within(rows, here, there, free)
        inside = (free >= 0.0) & (free <= self.edges.length[rows]) & (self.edges.air_angle[rows] < _SHEET)
        near = 2.0 * np.abs(covered(-np.maximum(detour, 0.0), self.bands))
        weight = weight + (1.0 - weight) * near * inside[:, None]
        amplitude = bend * weight
        amplitude /= np.sqrt(first * last * (first + last))[:, None]
        return Ways(apex, apex, length[rows], amplitude, bends[rows], np.ones(len(rows), np.int64))

    def _over_two(self, firsts: np.ndarray, lasts: np.ndarray, shortest: float) -> Ways:
        """Paths that bend into the shadow of an edge of ``firsts`` and then into that of one of ``lasts``.

        The two coefficients share the distances as in Pierce 1974 ("Diffraction of sound around corners and over wide
        barriers", J. Acoust. Soc. Am. 55, equations 27 and 28); a face that both edges share counts half (the sound
        along it is incident and reflected in one).
        """
        a, b = (grid.ravel() for grid in np.meshgrid(firsts, lasts, indexing="ij"))
        a, b = a[a != b], b[a != b]
        for newton_steps, most in ((0, 2 * _TWOS), (6, _TWOS)):
            p, q = self._straightened(a, b, newton_steps)
            length = _norm(p - self.emitter) + _norm(q - p) + _norm(q - self.listener)
            order = np.flatnonzero((length < self._limit(shortest)) & (_norm(q - p) > _GRAZING))
            order = order[np.argsort(length[order], kind="stable")]
            seats = self._seats_of_two(a[order], b[order], p[order], q[order])
            right = self._bends(seats[0].angle, seats[1].angle) & self._bends(seats[2].angle, seats[3].angle)
            order = order[right & np.all([seat.outside for seat in seats], axis=0)][:most]
            a, b, p, q, length = a[order], b[order], p[order], q[order], length[order]
        height_a, height_b = self._seat(a, p).height, self._seat(b, q).height
        at_a, at_b = self._points(a, height_a), self._points(b, height_b)
        free = ~self._hidden(self.emitter, at_a) & ~self._hidden(self.listener, at_b) & ~self._hidden(at_a, at_b)
        free &= ~self._crossed(self.emitter, at_a, at_b) & ~self._crossed(at_a, at_b, self.listener)
        free &= length < self._limit(min(shortest, length[free].min(initial=np.inf)))
        a, b, p, q, length = a[free], b[free], p[free], q[free], length[free]

        seats = self._seats_of_two(a, b, p, q)
        first, middle, last = (np.maximum(_norm(x), _GRAZING) for x in (p - self.emitter, q - p, q - self.listener))
        first, last = np.maximum(first, NEAREST), np.maximum(last, NEAREST)
        total = first + middle + last
        spread_a, spread_b = first * (middle + last) / total, last * (first + middle) / total
        turn_a, turn_b = (_beyond(here, there) for here, there in (seats[:2], seats[2:]))
        # The edge nearer to its shadow boundary is the one that the sound hardly notices.
        less = np.sqrt(spread_a) * np.sin(0.5 * turn_a) < np.sqrt(spread_b) * np.sin(0.5 * turn_b)
        spread_a = np.where(less, first * middle / (first + middle), spread_a)
        spread_b = np.where(less, spread_b, last * middle / (last + middle))
        # At its boundary that edge carries just half of what the other one sends, so that ways over it begin smoothly.
        detours = first + middle - _norm(q - self.emitter), middle + last - _norm(p - self.listener)
        slight_a, slight_b = (
            np.where(is_less[:, None], 1.0 - 2.0 * np.abs(covered(-np.maximum(detour, 0.0), self.bands)), 1.0)
            for is_less, detour in zip((less, ~less), detours, strict=True)
        )
        bend_a = self._bend_at_two(a, seats[0], seats[1], spread_a, True, slight_a)
        bend_b = self._bend_at_two(b, seats[2], seats[3], spread_b, False, slight_b)
        shared = self._on_face(a, seats[1]) & self._on_face(b, seats[2])
        amplitude = bend_a * bend_b * self._within(a, seats[0], seats[1]) * self._within(b, seats[2], seats[3])
        amplitude *= (np.where(shared, 0.5, 1.0) / np.sqrt(first * middle * last * total))[:, None]
        return Ways(p, q, length, amplitude, np.ones(len(a), bool), np.full(len(a), 2))

    def _straightened(self, a: np.ndarray, b: np.ndarray, newton_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Points (m, 3) on edges ``a`` and ``b`` between which the way from emitter to listener is shortest.

        Each in turn is set to cross its edge at equal angles, which always shortens the way; Newton steps in between
        help where the edges are close, as those of a door reveal. All this needs are products along the edges.
        """
        edges = self.edges
        along_a, along_b = edges.along[a], edges.along[b]
        between = edges.start[b] - edges.start[a]
        cosine, slide_a, slide_b = _dot(along_a, along_b), _dot(between, along_a), _dot(between, along_b)
        apart = _dot(between, between)
        here, there = _rows(self.here, a), _rows(self.there, b)
        on_b = 0.5 * edges.length[b]
        for stage in range(2):
            for _ in range(2):
                height = slide_a + on_b * cosine
                radius = np.sqrt(np.maximum(apart + on_b * (2.0 * slide_b + on_b) - height**2, 0.0))
                on_a = np.clip(_crossing(here.radius, here.height, radius, height), 0.0, edges.length[a])
                height = on_a * cosine - slide_b
                radius = np.sqrt(np.maximum(apart + on_a * (on_a - 2.0 * slide_a) - height**2, 0.0))
                on_b = np.clip(_crossing(there.radius, there.height, radius, height), 0.0, edges.length[b])
            for _ in range(newton_steps if stage == 0 else 0):
                x, y = on_a - on_b * cosine - slide_a, on_a * cosine - on_b - slide_b
                gap = apart + on_a * (on_a - 2.0 * slide_a) + on_b * (on_b + 2.0 * slide_b - 2.0 * on_a * cosine)
                gap = np.sqrt(np.maximum(gap, 1e-12))
                first, last = np.maximum(_reach(here, on_a), 1e-6), np.maximum(_reach(there, on_b), 1e-6)
                slope_a = (on_a - here.height) / first + x / gap
                slope_b = (on_b - there.height) / last - y / gap
                curve_a = here.radius**2 / first**3 + (1.0 - (x / gap) ** 2) / gap
                curve_b = there.radius**2 / last**3 + (1.0 - (y / gap) ** 2) / gap
                mixed = (x * y / gap**2 - cosine) / gap
                scale = np.maximum(curve_a * curve_b - mixed**2, 1e-9)
                on_a = np.clip(on_a - (curve_b * slope_a - mixed * slope_b) / scale, 0.0, edges.length[a])
                on_b = np.clip(on_b - (curve_a * slope_b - mixed * slope_a) / scale, 0.0, edges.length[b])
        return edges.start[a] + on_a[:, None] * along_a, edges.start[b] + on_b[:, None] * along_b

    def _seats_of_two(self, a: np.ndarray, b: np.ndarray, p: np.ndarray, q: np.ndarray) -> tuple[_Seat, ...]:
        """About edges ``a``: emitter and second apex; about edges ``b``: first apex and listener."""
        return _rows(self.here, a), self._seat(a, q), self._seat(b, p), _rows(self.there, b)

    def _terms(
        self, rows: np.ndarray, here: _Seat, there: _Seat, spread: np.ndarray, bends: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """The four terms (m, 8) of `coefficients` at edges between points here and there.

        ``spread`` (m,) m is the distance parameter of the way, without obliquity.
        """
        sine = self._sine(here, there)
        small, large = np.minimum(here.angle, there.angle), np.maximum(here.angle, there.angle)
        # Within rounding of the boundary, rays have decided on which side it is.
        least, most = np.where(bends, np.pi + _ROUNDING, 0.0), np.where(bends, 2.0 * np.pi, np.pi - _ROUNDING)
        over = np.clip(large - small, least, most) - (large - small)
        small, large = small - 0.5 * over, large + 0.5 * over
        terms = coefficients(small, large, self.edges.air_angle[rows], spread * sine**2, self.bands)
        return tuple(term / sine[:, None] for term in terms)

    def _bend_at_one(
        self, rows: np.ndarray, here: _Seat, there: _Seat, spread: np.ndarray, bends: np.ndarray, detour: np.ndarray
    ) -> np.ndarray:
        """Diffraction coefficient (m, 8) at the only edge of ways that do or do not bend into its shadow."""
        direct, other, *reflected = self._terms(rows, here, there, spread, bends)
        reflection = reflected[0] + reflected[1]
        swap = here.angle > there.angle
        for face in (0, 1):
            mine = (swap == (face == 0))[:, None]  # the listener is the one near this face
            radius, angle = (np.where(mine[:, 0], b, a) for a, b in zip(here[:2], there[:2], strict=True))
            angle = angle if face == 0 else self.edges.air_angle[rows] - angle
            width = self.edges.face_width[rows, face]
            past = np.hypot(width - radius * np.cos(angle), radius * np.sin(angle)) + width - radius
            missing = 2.0 * np.abs(covered(-np.maximum(past, 0.0) * self._sine(here, there), self.bands))
            reflection = reflection * (1.0 - missing * fading(past / _WIDE)[:, None])
        fade = 2.0 * np.abs(covered(-np.maximum(detour, 0.0), self.bands))
        return direct + other + np.where(bends[:, None], reflection, fade * reflection)

    def _bend_at_two(
        self, rows: np.ndarray, here: _Seat, there: _Seat, spread: np.ndarray, first: bool, slight: np.ndarray
    ) -> np.ndarray:
        """Diffraction coefficient (m, 8) at the ``first`` of two edges, or the last, both bending into the shadow.

        ``slight`` (m, 8), 0..1, weighs the terms that the shadow boundary has no part in: `other`, and what pairs with
        it on the face that the next edge lies on.
        """
        direct, other, *reflected = self._terms(rows, here, there, spread, np.ones(len(rows), bool))
        on_last = ((here.angle > there.angle) != first)[:, None]  # the next edge is nearer to face 1
        near, far = np.where(on_last, reflected[::-1], reflected)
        return direct + near + slight * (other + far)

    def _within(self, rows: np.ndarray, here: _Seat, there: _Seat, free: np.ndarray | None = None) -> np.ndarray:
        """Weight (m, 8) of edges for where the path crosses them: 1 far from both ends, towards 0 beyond them."""
        edges = self.edges
        free = _apex(here, there) if free is None else free
        length = _reach(here, free) + _reach(there, free)
        share, inside = -1.0 + np.zeros((len(rows), len(self.bands)), complex), np.ones(len(rows), bool)
        for end, place in ((0, np.zeros(len(rows))), (1, edges.length[rows])):
            before = (free >= 0.0) if end == 0 else (free <= place)
            extra = np.maximum(_reach(here, place) + _reach(there, place) - length, 0.0)
            part = covered(np.where(before, extra, -extra), self.bands)
            part = np.where(before[:, None], 1.0 + (part - 1.0) * fading(extra / WINDOW)[:, None], part)
            share += np.where(edges.closed[rows, end, None], before[:, None], part)
            inside &= before
        place = np.clip(free, 0.0, edges.length[rows])
        # The phase of the way counts the detour to the end, and so does the share.
        added = _reach(here, place) + _reach(there, place) - length
        return 0.5 * (share + inside[:, None]) * np.exp(1j * np.multiply.outer(added, self.bands))

    def _bends(self, start: np.ndarray, stop: np.ndarray, length: np.ndarray | None = None) -> np.ndarray:
        """Whether ways between two angles about edges bend into the shadow; near the boundary rays have told."""
        bends = np.abs(start - stop) >= np.pi - _ROUNDING
        return bends if length is None else np.where(length < self.direct + _GRAZING, not self.lit, bends)

    def _limit(self, shortest: float) -> float:
        """Longest path in m that counts beside the shortest."""
        return 2.0 * shortest + WINDOW - self.direct

    def _seat(self, rows: np.ndarray, points: np.ndarray) -> _Seat:
        """``points`` (3,) or (m, 3) about edges (m,)."""
        edges = self.edges
        offset = points - edges.start[rows]
        x, y = _dot(offset, edges.tangent[rows, 0]), _dot(offset, edges.normal[rows, 0])
        angle, air = np.arctan2(y, x) % (2.0 * np.pi), edges.air_angle[rows]
        angle = np.where(angle > np.pi + 0.5 * air, angle - 2.0 * np.pi, angle)
        outside = (angle > -_ON_FACE) & (angle < air + _ON_FACE)
        return _Seat(np.hypot(x, y), np.clip(angle, 0.0, air), _dot(offset, edges.along[rows]), outside)

    def _on_face(self, rows: np.ndarray, seat: _Seat) -> np.ndarray:
        """Whether points lie on one of the faces."""
        return (seat.angle < _ON_FACE) | (seat.angle > self.edges.air_angle[rows] - _ON_FACE)

    def _sine(self, here: _Seat, there: _Seat) -> np.ndarray:
        """Sine of the angle between the path and the edge."""
        flat = np.maximum(here.radius + there.radius, 1e-3)
        return flat / np.hypot(flat, here.height - there.height)

    def _points(self, rows: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Points (m, 3) at ``place`` (m,) m along edges, off the edge and its ends by what rays need."""
        edges, lift = self.edges, self.lift
        margin = np.minimum(lift, 0.5 * edges.length[rows])
        place = np.clip(place, margin, edges.length[rows] - margin)
        return edges.start[rows] + place[:, None] * edges.along[rows] + lift * edges.outward[rows]

    def _hidden(self, origin: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Whether something stands between ``origin`` (3,) or (m, 3) and ``points`` (m, 3)."""
        return self.caster.occluded(np.broadcast_to(origin, points.shape), points)

    def _crossed(self, before: np.ndarray, at: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Whether the turn of a path at points (m, 3) runs through a sheet that a point lies on."""
        back, onward = _directions(at, before), _directions(at, after)
        return self.caster.occluded(at + self.lift * back, at + self.lift * onward)


def _apex(here: _Seat, there: _Seat) -> np.ndarray:
    """Height (m,) m at which the shortest way between two points crosses the line of an edge."""
    return _crossing(here.radius, here.height, there.radius, there.height)


def _crossing(radius: np.ndarray, height: np.ndarray, other: np.ndarray, other_height: np.ndarray) -> np.ndarray:
    """As `_apex`, from the distances of two points to the line and their heights along it: equal angles with it."""
    flat = radius + other
    return np.where(
        flat > 1e-9, (height * other + other_height * radius) / np.maximum(flat, 1e-9), 0.5 * (height + other_height)
    )


def _reach(seat: _Seat, place: np.ndarray) -> np.ndarray:
    """Distance (m,) m from points to ``place`` (m,) m along their edges."""
    return np.hypot(seat.radius, seat.height - place)


def _beyond(here: _Seat, there: _Seat) -> np.ndarray:
    """Angle (m,) rad by which a path bends into the shadow."""
    return np.maximum(np.abs(here.angle - there.angle) - np.pi, 0.0)


def fading(ratio: np.ndarray) -> np.ndarray:
    """1 at 0, smoothly down to 0 at 1 and beyond."""
    return np.cos(0.5 * np.pi * np.clip(ratio, 0.0, 1.0)) ** 2


def _rows(seat: _Seat, rows: np.ndarray) -> _Seat:
    return _Seat(*(column[rows] for column in seat))


def _directions(origin: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Unit vectors (m, 3) from ``origin`` to ``points``, either (3,) or (m, 3)."""
    way = points - origin
    return way / np.maximum(_norm(way), 1e-9)[..., None]


def _norm(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=-1)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", a, b)
