"""Motion: smooth positions and rotations between the frames of an animation, and the delay that they cause."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from naf_core.scene import Trajectory

# A step between two frames is a jump (a cut, not a flight) when it is this fast, and also this many times
# faster than the steps beside it; anything near the speed of sound is a jump too, for it has no delay to
# speak of.
JUMP_SPEED = 20.0  # m/s
JUMP_RATIO = 4.0
MAX_SPEED = 300.0  # m/s


class Motion:
    """Positions of a trajectory at any time: Catmull-Rom splines between the frames, broken where it jumps.

    Before the first and after the last frame the position is held. ``jumps`` (J,) are the times in seconds,
    in the middle between two frames, at which the position jumps. The spline passes through every frame (E.
    Catmull and R. Rom, A class of local interpolating splines, 1974).
    """

    def __init__(self, trajectory: Trajectory) -> None:
        times, positions = trajectory.times, trajectory.positions
        self.moves = trajectory.moves
        speed = np.linalg.norm(np.diff(positions, axis=0), axis=1) / np.diff(times)
        padded = np.concatenate([[0.0], speed, [0.0]])
        beside = np.maximum(padded[:-2], padded[2:])
        after = np.flatnonzero(((speed > JUMP_SPEED) & (speed > JUMP_RATIO * beside)) | (speed > MAX_SPEED)) + 1
        self.jumps = 0.5 * (times[after - 1] + times[after])
        self._pieces = [
            (t[0], t[-1], p[0], _catmull_rom(t, p))
            for t, p in zip(np.split(times, after), np.split(positions, after), strict=True)
        ]

    def position(self, times: np.ndarray, anchor: float | None = None) -> np.ndarray:
        """Positions (n, 3) in metres at ``times`` (n,) in seconds.

        With ``anchor``, a time in seconds, the piece between two jumps that holds at that time is continued.
        """
        times = np.asarray(times, dtype=np.float64)
        if anchor is not None or not len(self.jumps):
            return self._on_piece(0 if anchor is None else int(np.searchsorted(self.jumps, anchor)), times)
        result = np.empty((len(times), 3))
        piece = np.searchsorted(self.jumps, times)
        for index in np.unique(piece):
            result[piece == index] = self._on_piece(index, times[piece == index])
        return result

    def _on_piece(self, index: int, times: np.ndarray) -> np.ndarray:
        first, last, start, spline = self._pieces[index]
        if spline is None:
            return np.broadcast_to(start, (len(times), 3))
        return spline(np.clip(times, first, last))


class _Spline:
    """Cubics through ``positions`` (n, 3) at ``times`` (n,) with given ``speeds`` (n, 3) there (C. Hermite, 1878).

    SciPy's takes a third of a second to import, in each process that renders.
    """

    def __init__(self, times: np.ndarray, positions: np.ndarray, speeds: np.ndarray) -> None:
        step = np.diff(times)[:, None]
        slope = np.diff(positions, axis=0) / step
        bend = (speeds[:-1] + speeds[1:] - 2.0 * slope) / step
        self._times = times
        self._terms = positions[:-1], speeds[:-1], (slope - speeds[:-1]) / step - bend, bend / step

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """Positions (m, 3) at ``times`` (m,) from the first to the last."""
        piece = np.clip(np.searchsorted(self._times, times, side="right") - 1, 0, len(self._times) - 2)
        place, along, bent, twisted = (term[piece] for term in self._terms)
        t = (times - self._times[piece])[:, None]
        return place + t * (along + t * (bent + t * twisted))


def _catmull_rom(times: np.ndarray, positions: np.ndarray) -> _Spline | None:
    """A spline through ``positions`` (n, 3), or None when they all are the same point."""
    if len(times) < 2 or not np.ptp(positions, axis=0).any():
        return None
    return _Spline(times, positions, np.gradient(positions, times, axis=0))


def rotations_at(trajectory: Trajectory, times: np.ndarray) -> np.ndarray:
    """Rotation matrices (n, 3, 3), world = R @ local, at ``times`` (n,) in seconds, held beyond both ends.

    Between the frames the turn is uniform about one axis (K. Shoemake, Animating rotation with quaternion
    curves, 1985). Scale and shear, if any, are removed.
    """
    times = np.asarray(times, dtype=np.float64)
    known = trajectory.rotations
    if not np.ptp(known, axis=0).max() > 1e-9:
        return np.repeat(_orthonormal(known[:1]), len(times), axis=0)
    slerp = Slerp(trajectory.times, Rotation.from_matrix(_orthonormal(known)))
    return slerp(np.clip(times, trajectory.times[0], trajectory.times[-1])).as_matrix()


def turns(trajectory: Trajectory) -> bool:
    """Whether the rotation changes at all."""
    return bool(np.ptp(trajectory.rotations, axis=0).max() > 1e-9)


def _orthonormal(matrices: np.ndarray) -> np.ndarray:
    """The nearest proper rotations to ``matrices`` (n, 3, 3)."""
    u, _, vt = np.linalg.svd(matrices)
    u[..., -1] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def path_of_sound(
    emitter: Motion, listener: Motion, times: np.ndarray, speed_of_sound: float, anchor: float | None = None
) -> np.ndarray:
    """Vector (n, 3) in metres from the listener to where the emitter was when it sent what is heard now.

    ``times`` (n,) in seconds are times of hearing. Solves delay = |emitter(t - delay) - listener(t)| / c by
    fixed point, which converges because nothing moves faster than MAX_SPEED; the Doppler effect follows
    from it (P. M. Morse and K. U. Ingard, Theoretical Acoustics, 1968, section 11.2). ``anchor`` as in
    `Motion.position`.
    """
    ear = listener.position(times, anchor)
    offset = emitter.position(times, anchor) - ear
    if not emitter.moves:
        return offset
    delay = np.linalg.norm(offset, axis=1) / speed_of_sound
    for _ in range(40):
        offset = emitter.position(times - delay, anchor) - ear
        last, delay = delay, np.linalg.norm(offset, axis=1) / speed_of_sound
        if np.abs(delay - last).max(initial=0.0) < 1e-9:
            break
    return offset


def key_times(emitter: Trajectory, listener: Trajectory, max_step: float = 0.25) -> np.ndarray:
    """Times (K,) in seconds, increasing, at which responses are needed so that those between can be interpolated.

    Between two keys neither the emitter nor the listener moves by more than ``max_step`` metres (unless it
    does so within one frame), nor strays by more than a quarter of that from the straight line at uniform
    speed. The ends of every rest and both sides of every jump are keys. One key if nothing moves.
    """
    times = np.union1d(emitter.times, listener.times)
    if not (emitter.moves or listener.moves):
        return times[:1]
    return times[knots(times, np.stack([Motion(t).position(times) for t in (emitter, listener)], axis=1), max_step)]


def knots(times: np.ndarray, values: np.ndarray, max_step: float) -> list[int]:
    """Indices of those among ``times`` (n,) that say all of ``values`` (n, parts, d), the first and the last included.

    Between two of them no part moves by more than ``max_step`` (unless it does so in one step), nor strays by more than
    a quarter of that from the straight line at uniform speed.
    """

    def straight(first: int, last: int) -> bool:
        part = ((times[first : last + 1] - times[first]) / (times[last] - times[first]))[:, None, None]
        line = values[first] + part * (values[last] - values[first])
        stray = np.linalg.norm(values[first : last + 1] - line, axis=-1).max()
        step = np.linalg.norm(values[last] - values[first], axis=-1).max()
        return bool(step <= max_step and stray <= 0.25 * max_step)

    keys = [0]
    while keys[-1] < len(times) - 1:
        first = keys[-1]
        good, stride = first + 1, 1
        while good + stride < len(times) and straight(first, good + stride):  # gallop, then halve
            good, stride = good + stride, 2 * stride
        while stride:
            if good + stride < len(times) and straight(first, good + stride):
                good += stride
            stride //= 2
        keys.append(good)
    return keys
