"""What a listener gets: from first-order ambisonics around the head to two ears, two loudspeakers or four channels."""

from __future__ import annotations

import numpy as np
from scipy import signal

from naf_core.errors import UserError
from naf_core.motion import rotations_at, turns
from naf_core.scene import Trajectory
from naf_core.spatial import bundled_decoder

# The channels of each format. The axes of "ambix" turn with the head, those of "ambix-world" stay with the
# world; both are ambiX: ACN order W, Y, Z, X, SN3D (C. Nachbar et al., ambiX - a suggested ambisonics
# format, 2011).
CHANNELS = {"binaural": 2, "stereo": 2, "ambix": 4, "ambix-world": 4, "mono": 1}

STEREO_ANGLE = 55.0  # degrees from the front to either microphone


def check_format(fmt: str) -> None:
    """Raise UserError unless ``fmt`` is one of CHANNELS."""
    if fmt not in CHANNELS:
        raise UserError(f"There is no sound format “{fmt}”: choose one of {', '.join(CHANNELS)}.")


def turn_to_head(world: np.ndarray, listener: Trajectory, times: np.ndarray) -> np.ndarray:
    """Ambisonics (4, n) in world axes as heard in the axes of a head that turns; ``times`` (n,) s of the samples."""
    if not turns(listener):
        matrix = rotations_at(listener, times[:1])[0].astype(np.float32)
        x, y, z = matrix.T @ world[[3, 1, 2]]
        return np.stack([world[0], y, z, x])
    # Every 10 ms is dense enough for a straight line between two rotations: 10 degrees apart it is 0.4 %
    # short.
    knots = np.linspace(times[0], times[-1], max(int(np.ceil((times[-1] - times[0]) / 0.010)) + 1, 2))
    matrices = rotations_at(listener, knots)
    result = np.empty_like(world)
    result[0] = world[0]
    for channel, local in ((3, 0), (1, 1), (2, 2)):
        weights = [np.interp(times, knots, matrices[:, axis, local]).astype(np.float32) for axis in range(3)]
        result[channel] = weights[0] * world[3] + weights[1] * world[1] + weights[2] * world[2]
    return result


def decode(head: np.ndarray, fmt: str, sample_rate: int) -> np.ndarray:
    """Ambisonics (4, n) in head axes as ``fmt``: (n, channels) float32.

    Stereo is what two cardioid microphones in one place, 55 degrees to the left and right, would record (S.
    P. Lipshitz, Stereo microphone techniques: are the purists wrong?, J. Audio Eng. Soc. 34, 1986), so that
    a plane wave from the front has its power in the two together.
    """
    check_format(fmt)
    if fmt == "binaural":
        filters, latency = bundled_decoder(sample_rate)
        n = head.shape[1]
        ears = [sum(signal.oaconvolve(head[c], ear[c])[latency : latency + n] for c in range(4)) for ear in filters]
        return np.stack(ears, axis=1).astype(np.float32)
    if fmt == "stereo":
        cosine, sine = np.cos(np.radians(STEREO_ANGLE)), np.sin(np.radians(STEREO_ANGLE))
        scale = 1.0 / (np.sqrt(2.0) * (1.0 + cosine))
        middle, side = head[0] + cosine * head[3], sine * head[1]
        return (scale * np.stack([middle + side, middle - side], axis=1)).astype(np.float32)
    if fmt == "mono":
        return np.ascontiguousarray(head[:1].T)
    return np.ascontiguousarray(head.T)
