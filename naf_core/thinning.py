"""How random paths go on from a surface: mirrored, scattered, or both, in numbers that suit what they carry."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CUT_OFF = np.float32(10.0**-6.5)  # the paths of an emitter end when the energy left of it has fallen by this
_THINNING = np.float32(0.35)  # the number of paths falls with the energy that is left, to this power
_GRADES = 16  # of how high the sound of a path is, on either side of the middle
_MOST_COPIES = np.float32(4.0)  # of a path that is scattered; mirrored, two would take the same way


class Continued(NamedTuple):
    """Paths that go on, m of them: from which ``path`` (m,), whether it ``scatters`` (m,), and ``energy`` (8, m)."""

    path: np.ndarray
    scatters: np.ndarray
    energy: np.ndarray


def continued(
    rng: np.random.Generator, owner: np.ndarray, mirrored: np.ndarray, scattered: np.ndarray, wanted: np.ndarray
) -> Continued:
    """Draw how paths go on that send the energies ``mirrored`` and ``scattered`` (8, n) from where they are.

    ``owner`` (n,), which rises, is the emitter of each, and ``wanted`` (8, n) the number of paths that go on for each
    unit of energy, summed over the bands. On average each energy is kept in every band; that of all bands together
    varies next to not at all. Paths of one emitter are drawn in the order of how high their sound is, by systematic
    sampling, so that low and high bands hardly vary either.
    """
    parts = np.stack([np.ones(len(wanted)), np.linspace(-1.0, 1.0, len(wanted))]).astype(np.float32)
    copies, tilt = np.stack([parts @ (energy * wanted) for energy in (mirrored, scattered)], axis=2)
    tilt /= np.maximum(copies, np.float32(1e-20))
    # Numbers of 16 bits are sorted several times faster.
    small = np.int16 if len(owner) and 4 * _GRADES * (int(owner[-1]) + 1) <= np.iinfo(np.int16).max else np.int32
    grade = (_GRADES * tilt).astype(small) + 4 * _GRADES * owner[:, None].astype(small)
    np.minimum(copies, np.array([1.0, _MOST_COPIES], np.float32), out=copies)
    order = np.argsort(grade.ravel(), kind="stable")
    copies = copies.ravel()
    times = np.empty(len(order), np.int64)
    times[order] = _times_drawn(rng, copies[order])
    drawn = np.repeat(np.arange(len(order)), times)
    path, scatters = drawn // 2, drawn % 2 == 1
    energy = np.concatenate([mirrored, scattered], axis=1).take(path + len(owner) * scatters, axis=1)
    energy /= copies[drawn]
    return Continued(path, scatters, energy)


def wanted(owner: np.ndarray, energy: np.ndarray, count: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """How many paths are to go on for each unit of ``energy`` (8, n), (8, n), and the part (n,) left of the loudest.

    The emitter's ``count`` (E,) paths began with ``share`` of its energy each.
    """
    left = _sums_by_owner(owner, energy)
    began = count.astype(np.float32)[owner]
    part = (left / (began * np.float32(share))).max(axis=0)
    return began * part**_THINNING / (np.float32(len(energy)) * left), part


def _sums_by_owner(owner: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Sum of ``energy`` (8, n) over the paths of the same ``owner`` (n,), which rises, (8, n)."""
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    total = np.add.reduceat(energy, starts, axis=1)
    return np.repeat(np.maximum(total, np.float32(1e-30)), np.diff(starts, append=len(owner)), axis=1)


def _times_drawn(rng: np.random.Generator, expected: np.ndarray) -> np.ndarray:
    """How often (n,) each of n entries is drawn that is to be drawn ``expected`` (n,) times on average.

    Systematic sampling, neighbours sharing one draw: unbiased like independent draws, with much less variance of the
    number drawn.
    """
    upper = np.cumsum(expected, dtype=np.float64) + rng.random()
    return np.diff(np.floor(upper).astype(np.int64), prepend=0)
