"""Ambisonics up to order 3: plane waves as spherical harmonics, and how they turn.

Channels are in ACN order with SN3D normalisation (ambiX: C. Nachbar et al., ambiX - a suggested ambisonics format,
2011): W, Y, Z, X, then the channels of degrees 2 and 3. Directions are unit vectors, x forward, y left, z up.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from naf_core.gains import sweep


def degrees(order: int) -> np.ndarray:
    """Degree of each channel, ((order + 1)²,); a channel of degree n holds 1 / (2 n + 1) of a diffuse field's power."""
    return np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)


def encode(directions: np.ndarray, order: int = 1) -> np.ndarray:
    """Gains ((order + 1)², n) of plane waves from ``directions`` (n, 3); ``order`` 0 to 3 (Nachbar et al. 2011)."""
    x, y, z = np.asarray(directions, np.float64).T
    rows = [np.ones_like(x), y, z, x]
    if order > 1:
        rows += [3**0.5 * x * y, 3**0.5 * y * z, 1.5 * z * z - 0.5, 3**0.5 * x * z, 0.75**0.5 * (x * x - y * y)]
    if order > 2:
        rows += [
            0.625**0.5 * y * (3.0 * x * x - y * y),
            15**0.5 * x * y * z,
            0.375**0.5 * y * (5.0 * z * z - 1.0),
            0.5 * z * (5.0 * z * z - 3.0),
            0.375**0.5 * x * (5.0 * z * z - 1.0),
            3.75**0.5 * z * (x * x - y * y),
            0.625**0.5 * x * (x * x - 3.0 * y * y),
        ]
    return np.stack(rows[: (order + 1) ** 2])


def turned(matrices: np.ndarray, order: int) -> np.ndarray:
    """Matrices (K, C, C) that take channels in world axes to those of heads with rotations ``matrices`` (K, 3, 3).

    World = R @ local. Exact, since a turn does not leave a degree: found by least squares over directions all around.
    """
    around, inverse = _around(order)
    count = len(around)
    local = np.einsum("nj,kji->kni", around, np.asarray(matrices, np.float64))
    encoded = encode(local.reshape(-1, 3), order).reshape(-1, len(matrices), count)
    return encoded.transpose(1, 0, 2) @ inverse


def turn(waves: np.ndarray, matrices: np.ndarray, hop: int) -> np.ndarray:
    """Ambisonics (C, n) in world axes as heard in the axes of a head that turns, (C, n) float32.

    ``matrices`` (K, 3, 3) are its rotations, world = R @ local, at the samples 0, ``hop``, 2 ``hop`` and so on; one
    holds throughout. In between the channels run straight: 10 degrees apart that is 0.4 % short in degree 1.
    """
    order = round(len(waves) ** 0.5) - 1
    return sweep(turned(matrices, order), waves, hop)


@cache
def _around(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions (n, 3) all around, and the inverse (n, C) of their gains."""
    k = np.arange(48) + 0.5
    z, azimuth = 1.0 - k / 24.0, np.pi * (1.0 + np.sqrt(5.0)) * k
    radius = np.sqrt(1.0 - z * z)
    around = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)
    return around, np.linalg.pinv(encode(around, order))
