"""A field learned from recorded impulse responses: kernels over the recorded places.

Logarithms of energies, by octave band, are a common decay of the room plus what changes from place to place: the level
of the direct sound over that of the free field, that of each early frame, and level and slope of the late decay. Slopes
are common to a room but for little (G. Götz, S. J. Schlecht, V. Pulkki, IEEE/ACM Trans. Audio Speech Lang. Process. 31,
2023); the level of what is reflected falls with the distance as the decay does over the time that sound takes
(M. Barron, L.-J. Lee, J. Acoust. Soc. Am. 84, 1988). Where the room's geometry is known and helps, its zero-shot field
stands in place of these. The changes are a regression on the recorded places.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

from naf_core.bands import N_BANDS
from naf_core.errors import UserError
from naf_core.prior import Prior
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, N_FRAMES, EnergyResponse, empty_response
from naf_core.scene import Scene
from naf_core.tracer import positions_from

N_EARLY = int(np.argmin(np.abs(FRAME_EDGES - 0.08)))  # frames up to 80 ms, each on its own
LEVEL, SLOPE, DIRECT = N_EARLY, N_EARLY + 1, N_EARLY + 2  # the other changes
N_CHANGES = N_EARLY + 3
MAX_RECORDINGS = 4000

# Seconds after 80 ms on which the slope counts, up to 1 s; beyond, changes stay as they are there.
LATE = np.clip(FRAME_EDGES[N_EARLY:-1] + 0.5 * FRAME_WIDTHS[N_EARLY:] - FRAME_EDGES[N_EARLY], 0.0, 1.0)

_FORMAT = "acoustic-fields recorded 2"
_SMOOTH, _STEEP = (0.5, 0.8, 1.3, 2.0), (1.0, 2.0, 4.0, 8.0)  # m, lengths of Gaussian and exponential kernels
_MOST_BYTES = 300_000_000  # of a file
_NEAREST = 0.1  # m between emitter and listener; nearer ones count as so far apart
_REACH = 1.0  # m around a recorded place, at least, that count as recorded
_DAMAGE = (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError)


@dataclass(frozen=True)
class Kernel:
    """How alike two pairs of emitter and listener are, from how far each of the two stands from the other pair's.

    The mean of Gaussian and of exponential kernels of some lengths; the latter follow steps such as behind a corner.
    Pairs that mirror each other in planes through ``centre`` (3,) across the axes ``mirrors`` are as one, and where
    ``swaps`` so are pairs that exchange emitter and listener. Where ``sight``, pairs that see each other tell nothing
    of pairs that do not.
    """

    mirrors: tuple[int, ...] = ()
    swaps: bool = False
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sight: bool = False

    def between(
        self,
        pairs: np.ndarray,
        others: np.ndarray,
        sees: np.ndarray | None = None,
        others_see: np.ndarray | None = None,
    ) -> np.ndarray:
        """Likeness (n, m) of ``pairs`` (n, 6), emitter and listener, and ``others`` (m, 6); 1 of each to itself.

        ``sees`` (n,) and ``others_see`` (m,) bool: whether they see each other, needed where ``sight``.
        """
        like = np.zeros((len(pairs), len(others)))
        for image in self._images(pairs):
            like += self._fall(cdist(image[:, :3], others[:, :3]), cdist(image[:, 3:], others[:, 3:]))
        like /= np.sqrt(self._own(pairs)[:, None] * self._own(others))
        return like * (sees[:, None] == others_see) if self.sight else like

    def _fall(self, emitters: np.ndarray, listeners: np.ndarray) -> np.ndarray:
        """Likeness of pairs whose ``emitters`` and ``listeners`` stand so far apart, in m."""
        squares, ways = np.square(emitters) + np.square(listeners), emitters + listeners
        smooth = sum(np.exp(-0.5 / length**2 * squares) for length in _SMOOTH)
        steep = sum(np.exp(-ways / length) for length in _STEEP)
        return (smooth + steep) / (len(_SMOOTH) + len(_STEEP))

    def _own(self, pairs: np.ndarray) -> np.ndarray:
        """Sum over the images of each pair of how alike they are to it, (n,)."""
        moved = [np.linalg.norm((image - pairs).reshape(-1, 2, 3), axis=2) for image in self._images(pairs)]
        return sum(self._fall(each[:, 0], each[:, 1]) for each in moved)

    def _images(self, pairs: np.ndarray) -> list[np.ndarray]:
        """All pairs (n, 6) that are as one with ``pairs``, themselves first."""
        images = [pairs]
        for axis in self.mirrors:
            turn = np.ones(6)
            turn[[axis, axis + 3]] = -1.0
            shift = np.zeros(6)
            shift[[axis, axis + 3]] = 2.0 * self.centre[axis]
            images += [image * turn + shift for image in images]
        return images + [np.roll(image, 3, axis=1) for image in images] if self.swaps else images


@dataclass(frozen=True)
class RecordedField:
    """What N recordings tell of a room.

    ``emitters`` (E, 3) and ``listeners`` (L, 3) in m are the recorded places, ``pairs`` (N, 2) which of them made a
    recording. ``common`` (8, N_FRAMES) is the logarithm of reflected energy as at distance 0, ``rate`` (8,) of its
    late decay in 1/s, ``direct`` (8,) the logarithm of direct energy as at 1 m. Changes at a pair are its likeness to
    the recordings, times ``left`` (N, K), times ``right`` (K, 8, N_CHANGES) between -1 and 1, and ``trend`` (8,
    N_CHANGES) times the logarithm of its distance in m. ``box`` (2, 3) in m stands for the room, whose mean
    ``absorption`` (8,) fits the decay. ``scene`` is the room, for what asks geometry of a field.

    With a ``prior``, ``common`` and ``direct`` are over what it foretells (see `foretold`), ``hidden`` (8,) over that
    of the free field where emitter and listener do not see each other.
    """

    emitters: np.ndarray
    listeners: np.ndarray
    pairs: np.ndarray
    kernel: Kernel
    left: np.ndarray
    right: np.ndarray
    trend: np.ndarray
    common: np.ndarray
    rate: np.ndarray
    direct: np.ndarray
    box: np.ndarray
    absorption: np.ndarray
    speed_of_sound: float = 343.2
    scene: Scene | None = None
    prior: Prior | None = None
    hidden: np.ndarray | None = None

    def covers(self, points: np.ndarray) -> np.ndarray:
        """Whether each of ``points`` (n, 3) lies within the recorded area, (n,) bool.

        That is at most 1 m from a place of a recorded emitter or listener, or as far as these places stand apart.
        """
        points = positions_from(points).astype(np.float64)
        inside = np.zeros(len(points), bool)
        for places in (self.emitters, self.listeners):
            apart = cdist(places, places) + np.where(np.eye(len(places), dtype=bool), np.inf, 0.0)
            reach = _REACH if len(places) < 2 else max(_REACH, float(apart.min(axis=1).max()))
            inside |= cdist(points, places).min(axis=1) <= reach
        return inside

    def predict(
        self, emitters: np.ndarray, listeners: np.ndarray, progress: Callable[[float], None] | None = None
    ) -> EnergyResponse:
        """Energy responses of n pairs: ``emitters`` (n, 3) and ``listeners`` (n, 3) in metres; either may be (3,).

        Reflected sound comes evenly from all around, since the recordings do not tell from where. Returns an
        EnergyResponse with leading axis n. Raises UserError on positions that are not finite.
        """
        emitters, listeners = (positions_from(p) for p in (emitters, listeners))
        n = max(len(emitters), len(listeners))
        if {len(emitters), len(listeners)} - {1, n}:
            raise UserError(f"{len(emitters)} emitters and {len(listeners)} listeners cannot be paired.")
        pairs = np.concatenate([np.broadcast_to(p, (n, 3)) for p in (emitters, listeners)], axis=1, dtype=np.float64)
        response = empty_response((n,), self.speed_of_sound)
        apart = pairs[:, :3] - pairs[:, 3:]
        response.distance[:] = np.linalg.norm(apart, axis=1)
        response.direct_direction[:] = apart / distances_of(pairs)[:, None]
        direct, reflected, sees = foretold(self.prior, self.hidden, pairs, self.rate, self.speed_of_sound)
        changes = self.changes(pairs, sees)
        response.direct[:] = np.exp(direct + self.direct + changes[..., DIRECT])
        response.energy[..., 0] = np.exp(reflected + self.common + in_frames(changes))
        response.tail_slope[:] = np.clip(-10.0 / np.log(10.0) * self.rate, -2000.0, -2.0)
        if progress is not None:
            progress(1.0)
        return response

    def changes(self, pairs: np.ndarray, sees: np.ndarray | None = None) -> np.ndarray:
        """What differs at ``pairs`` (n, 6) from what they have in common, (n, 8, N_CHANGES), natural logarithms.

        ``sees`` (n,) bool: which of them see each other, needed where the kernel asks.
        """
        found = self.kernel.between(pairs, self._places, sees, self._see) @ self.left
        found = found @ self.right.reshape(len(self.right), -1)
        trend = np.log(distances_of(pairs))[:, None, None] * self.trend
        return found.reshape(-1, N_BANDS, N_CHANGES) + trend

    @cached_property
    def _places(self) -> np.ndarray:
        """The recorded pairs, (N, 6)."""
        return np.concatenate([self.emitters[self.pairs[:, 0]], self.listeners[self.pairs[:, 1]]], axis=1)

    @cached_property
    def _see(self) -> np.ndarray | None:
        """Which of the recorded pairs see each other, (N,) bool, where the kernel asks."""
        return self.prior.logarithms(self._places)[2] if self.kernel.sight else None

    def save(self, path: str | Path, notes: dict[str, str] | None = None, **more: np.ndarray) -> None:
        """Write the field to ``path`` (beside it first, then renamed), with ``more`` arrays beside.

        Safetensors, deflated: what few recordings tell is little beside the names of the arrays.
        """
        from safetensors.numpy import save

        path = Path(path)
        part = path.with_name(path.name + ".part")
        most = [float(f"{size:.4g}") for size in np.maximum(np.abs(self.left).max(axis=0), 1e-9)]
        settings = {"kernel": asdict(self.kernel), "speed_of_sound": self.speed_of_sound, "left": most}
        arrays = {name: _packed(getattr(self, name), kind) for name, kind in _STORED.items()} | more
        arrays["left"] = _packed(self.left / most, np.int8)
        if self.prior is not None:
            arrays["hidden"] = _packed(self.hidden, np.float16)
            settings["seed"] = self.prior.seed
            if not self.prior.boxed:
                arrays["mesh"] = self.prior.packed()
        if max(np.abs(self.emitters).max(), np.abs(self.listeners).max()) > _HALF_PRECISION:
            arrays |= {name: getattr(self, name).astype(np.float32) for name in ("emitters", "listeners")}
        metadata = {"format": _FORMAT, "settings": json.dumps(settings, separators=(",", ":")), **(notes or {})}
        packed = zlib.compress(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}, metadata), level=9)
        try:
            part.write_bytes(packed)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise UserError(f"{path} cannot be written ({error}): choose another folder.") from error

    @classmethod
    def load(cls, path: str | Path, scene: Scene | None = None) -> RecordedField:
        """Read a field written by `save`; raises UserError when it is missing, foreign or damaged.

        ``scene`` is the room around it, for what asks geometry of a field.
        """
        arrays, notes = read_recorded(path)
        try:
            settings = json.loads(notes["settings"])
            kernel = settings["kernel"]
            kernel = Kernel(
                tuple(int(axis) for axis in kernel["mirrors"]),
                bool(kernel["swaps"]),
                tuple(float(x) for x in kernel["centre"]),
                bool(kernel["sight"]),
            )
            fields = {name: _unpacked(arrays[name], kind) for name, kind in _STORED.items()}
            fields["left"] = fields["left"] * np.array([float(size) for size in settings["left"]])
            field = cls(**fields, kernel=kernel, speed_of_sound=float(settings["speed_of_sound"]), scene=scene)
            field._check()
            if "hidden" in arrays:
                field = field._with_prior(arrays, int(settings["seed"]))
            elif kernel.sight:
                raise ValueError("its kernel asks for sight, and it holds no room")
        except _DAMAGE as error:
            raise UserError(f"{path} cannot be read as a recorded field ({error}): learn it again.") from error
        return field

    def _with_prior(self, arrays: dict[str, np.ndarray], seed: int) -> RecordedField:
        """The field with the prior that stands in the ``arrays`` of its file, or that of its box."""
        hidden = _unpacked(arrays["hidden"], np.float16)
        if hidden.shape != (N_BANDS,) or not np.isfinite(hidden).all():
            raise ValueError("hidden is not of finite numbers by band")
        boxed = Prior.of_box(self.box, self.absorption, seed) if "mesh" not in arrays else None
        return replace(self, prior=boxed or Prior.unpacked(arrays["mesh"], seed), hidden=hidden)

    def _check(self) -> None:
        """Raise ValueError where arrays, read from a file, do not fit together."""
        n, k = len(self.pairs), len(self.right)
        shapes = {"emitters": (len(self.emitters), 3), "listeners": (len(self.listeners), 3), "pairs": (n, 2)}
        shapes |= {"left": (n, k), "right": (k, N_BANDS, N_CHANGES), "trend": (N_BANDS, N_CHANGES), "box": (2, 3)}
        shapes |= {"common": (N_BANDS, N_FRAMES), "rate": (N_BANDS,), "direct": (N_BANDS,)}
        shapes["absorption"] = (N_BANDS,)
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all() or not np.abs(values).max(initial=0.0) < 1e5:
                raise ValueError(f"{name} is not {shape} finite numbers")
        kernel = self.kernel
        if not 0 < n <= MAX_RECORDINGS or len(kernel.centre) != 3:
            raise ValueError("its recordings or their kernel are out of range")
        if not set(kernel.mirrors) <= {0, 1, 2} or len(kernel.mirrors) > 3 or not np.isfinite(kernel.centre).all():
            raise ValueError("its mirrors are not axes")
        inside = (self.pairs >= 0) & (self.pairs < [len(self.emitters), len(self.listeners)])
        if not inside.all() or not (self.rate > 0.0).all() or not 200.0 <= self.speed_of_sound <= 500.0:
            raise ValueError("its pairs, decays or speed of sound are out of range")


def foretold(
    prior: Prior | None, hidden: np.ndarray | None, pairs: np.ndarray, rate: np.ndarray, speed_of_sound: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What ``pairs`` (n, 6) are expected to hear but for what is learned: natural logarithms of energy.

    Direct (n, 8) and reflected (n, 8, N_FRAMES), and who sees whom, (n,) bool or None. Of a ``prior``, with ``hidden``
    (8,) over the free field where the two do not see each other; else of the free field, and of reflected sound that
    falls over the distance as it decays with ``rate`` (8,) in 1/s.
    """
    free = np.repeat(-2.0 * np.log(distances_of(pairs))[:, None], N_BANDS, axis=1)
    if prior is None:
        fall = distances_of(pairs)[:, None] / speed_of_sound * rate
        return free, np.repeat(-fall[..., None], N_FRAMES, axis=-1), None
    direct, reflected, sees = prior.logarithms(pairs)
    return np.where(sees[:, None], direct, free + hidden), reflected, sees


def distances_of(pairs: np.ndarray) -> np.ndarray:
    """From emitter to listener of ``pairs`` (n, 6), (n,) m; what is nearer counts as 0.1 m apart."""
    return np.maximum(np.linalg.norm(pairs[:, :3] - pairs[:, 3:], axis=1), _NEAREST)


# Half precision and 127 steps keep all well within what recordings tell.
_STORED = {"pairs": np.uint16, "left": np.int8, "right": np.int8, "box": np.float32}
_STORED |= dict.fromkeys(("emitters", "listeners", "trend", "common", "rate", "direct", "absorption"), np.float16)
_HALF_PRECISION = 16.0  # m from the origin: 4 mm
_STEPS = 127.0  # of numbers between -1 and 1


def _packed(values: np.ndarray, kind: type) -> np.ndarray:
    """``values`` as they are stored: those of int8 lie between -1 and 1."""
    return np.round(np.clip(values, -1.0, 1.0) * _STEPS).astype(kind) if kind is np.int8 else np.asarray(values, kind)


def _unpacked(values: np.ndarray, kind: type) -> np.ndarray:
    """What `_packed` has stored; raises ValueError when ``values`` are of another kind."""
    if values.dtype != kind and (kind, values.dtype) != (np.float16, np.float32):
        raise ValueError(f"it has numbers of {values.dtype} in place of {np.dtype(kind)}")
    wide = values.astype(np.int64 if kind is np.uint16 else np.float64)
    return wide / _STEPS if kind is np.int8 else wide


def in_frames(changes: np.ndarray) -> np.ndarray:
    """``changes`` (..., N_CHANGES) in each frame, (..., N_FRAMES)."""
    late = changes[..., LEVEL, None] + changes[..., SLOPE, None] * LATE
    return np.concatenate([changes[..., :N_EARLY], late], axis=-1)


def read_recorded(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All arrays of a recorded field's file, and its notes; raises UserError when it is something else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        inflating = zlib.decompressobj()
        data = inflating.decompress(Path(path).read_bytes(), _MOST_BYTES)
        notes = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
        if notes.get("format") != _FORMAT:
            raise UserError(f"{path} holds no recorded field of this version: learn it again from the recordings.")
        if not inflating.eof:
            raise ValueError("it is cut off, or too large")
        return load(data), notes
    except (*_DAMAGE, AttributeError, zlib.error, SafetensorError) as error:
        raise UserError(f"{path} cannot be read as a recorded field ({error}): learn it again.") from error
