"""Sound at one hard wedge: what bends round its edge, by the uniform theory of diffraction.

Amplitudes are complex, with time as exp(j omega t), relative to a free field exp(-j k r) / r.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfc, wofz

_TURN = np.exp(0.25j * np.pi)


def transition(x: np.ndarray) -> np.ndarray:
    """Transition function F(x) for x >= 0, any shape, complex: 0 at 0, towards 1 for large x.

    F(x) = 2 j sqrt(x) exp(j x) times the Fresnel integral from sqrt(x) to infinity (Kouyoumjian and Pathak 1974,
    "A uniform geometrical theory of diffraction for an edge in a perfectly conducting surface", Proc. IEEE 62,
    equation 26).
    """
    root = np.sqrt(x)
    return np.sqrt(np.pi) * _TURN * root * wofz(1j * _TURN * root)


def coefficients(
    small: np.ndarray, large: np.ndarray, air_angle: np.ndarray, spread: np.ndarray, wavenumber: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The four terms of the diffraction coefficient of a hard wedge, each (n, bands) complex, times sin(beta_0).

    ``small`` <= ``large`` (n,) rad are the angles of emitter and listener, whichever way round, from face 0 through
    the air to face 1 at ``air_angle`` (n,); ``spread`` (n,) m is the distance parameter L of equation 32;
    ``wavenumber`` (bands,) 1/m. The terms belong to the shadow boundary of the incident sound, to the boundary on the
    other side of the wedge, and to the boundaries of what face 0 and face 1 reflect (Kouyoumjian and Pathak 1974,
    equation 25). In front of an edge that hides nothing, the last two are held at their boundary: beyond it the mirror
    paths already tell of the reflection.
    """
    n = air_angle / np.pi
    factor = -np.conj(_TURN) / (2.0 * n[:, None] * np.sqrt(2.0 * np.pi * wavenumber))

    def term(sign: float, beta: np.ndarray) -> np.ndarray:
        y = (np.pi + sign * beta) / (2.0 * n)
        y = y - np.pi * np.round(y / np.pi)
        y = np.where(np.abs(y) < 1e-9, np.where(y < 0.0, -1e-9, 1e-9), y)
        # 2 sin^2(n y) is a(beta) of equation 27, with the turn nearest to the boundary.
        return transition(2.0 * (spread * np.sin(n * y) ** 2)[:, None] * wavenumber) / np.tan(y)[:, None]

    between = large - small
    around = np.clip(small + large, np.pi, 2.0 * air_angle - np.pi)
    return tuple(factor * t for t in (term(-1.0, between), term(1.0, between), term(-1.0, around), term(1.0, around)))


def covered(detour: np.ndarray, wavenumber: np.ndarray) -> np.ndarray:
    """Share (n, bands) complex of a spherical wave cut off at a border, ``detour`` (n,) m from the straight path.

    Positive detours leave more than half: 1/2 at 0, 1 far off; negative ones (the sign says on which side) less. The
    Fresnel integral of a straight border (Born and Wolf, Principles of Optics, 8.7.3), with the detour exact.
    """
    phase = np.sqrt(np.abs(detour))[:, None] * np.sqrt(wavenumber)
    return 0.5 * erfc(-_TURN * np.sign(detour)[:, None] * phase)


def wedge_field(
    emitter: tuple[np.ndarray, np.ndarray],
    listener: tuple[np.ndarray, np.ndarray],
    height: np.ndarray,
    air_angle: np.ndarray,
    wavenumber: np.ndarray,
) -> np.ndarray:
    """Diffracted field (n, bands) of an endless hard wedge, without the phase exp(-j k length) of the path.

    ``emitter`` and ``listener`` are distances from the edge in m and angles from face 0 in rad, each (n,); ``height``
    (n,) m is how far apart they are along the edge. Kouyoumjian and Pathak 1974, equations 22 and 25.
    """
    (near, start), (far, stop) = emitter, listener
    flat = near + far
    sine = flat / np.hypot(flat, height)
    small, large = np.minimum(start, stop), np.maximum(start, stop)
    terms = coefficients(small, large, air_angle, near * far / flat * sine, wavenumber)
    first, second = near / sine, far / sine
    return sum(terms) / (sine * np.sqrt(first * second * (first + second)))[:, None]
