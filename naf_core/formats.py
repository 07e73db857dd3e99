"""What a listener gets: two ears, microphones, loudspeakers or ambisonics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from naf_core.ambisonics import encode
from naf_core.errors import UserError
from naf_core.hrir import read_sofa
from naf_core.layouts import FORMATS, LAYOUTS, ORDERS, channel_count
from naf_core.panning import Loudspeakers
from naf_core.spatial import Hrtf, bundled_hrtf, convolved, microphone_pair

STEREO_ANGLE = 55.0  # degrees from the front to either microphone
ORTF_DISTANCE, AB_DISTANCE = 0.17, 0.50  # m between the microphones
_LOUDSPEAKER_ORDER = 1  # of the reverberation that loudspeakers play


@dataclass(frozen=True)
class Format:
    """The channels of a track, and how plane waves and ambisonics become them.

    Where ``ears`` is given, two receivers stand side by side: each wave passes their filters and delays. Otherwise all
    channels hear it at once, with ``gains``: directions (n, 3) to (channels, n). ``matrix`` (channels, (order + 1)²)
    takes ambisonics of ``order`` to the channels where there are no ears. Directions are in the axes of the head, or
    of the world unless ``head_locked``. ``mask`` says where the loudspeakers of a WAV file stand, 0 for none.
    """

    name: str
    channels: int
    order: int = 1
    gains: Callable[[np.ndarray], np.ndarray] | None = None
    matrix: np.ndarray | None = None
    ears: Hrtf | None = None
    head_locked: bool = True
    mask: int = 0

    def decode(self, waves: np.ndarray, sample_rate: int) -> np.ndarray:
        """Ambisonics ((order + 1)², n) as this format's channels, (channels, n) float32."""
        if self.ears is None:
            return self.matrix.astype(np.float32) @ waves
        filters, latency = self.ears.decoder(sample_rate)
        return np.stack([convolved(waves, ear, latency) for ear in filters])


def format_of(name: str, order: int = 1, hrtf: str | Path = "") -> Format:
    """The format ``name``, one of `layouts.FORMATS`.

    ``order`` 1 to 3 counts for ambisonics. ``hrtf`` is a SOFA file with the ears of "binaural"; the bundled ones
    otherwise. Raises UserError for other names and orders, and for files that hold no such set.
    """
    if name not in FORMATS:
        raise UserError(f"There is no sound format “{name}”: choose one of {', '.join(FORMATS)}.")
    if order not in ORDERS:
        raise UserError(f"The ambisonic order is {order}: set it between {ORDERS[0]} and {ORDERS[-1]}.")
    if name == "binaural":
        return Format(name, 2, ears=read_sofa(hrtf) if hrtf else bundled_hrtf())
    if name in LAYOUTS:
        return _surround(name)
    if name in _FIXED:
        return _FIXED[name]()
    return Format(
        name,
        channel_count(name, order),
        order,
        lambda directions: encode(directions, order),
        np.eye((order + 1) ** 2),
        head_locked=name == "ambix",
    )


def _mono() -> Format:
    return _linear("mono", np.array([[1.0, 0.0, 0.0, 0.0]]))


def _coincident() -> Format:
    """What two cardioids in one place, 55° to the left and right, would record.

    So a plane wave from the front has its power in the two together (S. P. Lipshitz, Stereo microphone techniques: are
    the purists wrong?, J. Audio Eng. Soc. 34, 1986).
    """
    cosine, sine = np.cos(np.radians(STEREO_ANGLE)), np.sin(np.radians(STEREO_ANGLE))
    scale = 1.0 / (np.sqrt(2.0) * (1.0 + cosine))
    return _linear("stereo", scale * np.array([[1.0, sine, 0.0, cosine], [1.0, -sine, 0.0, cosine]]))


def _linear(name: str, matrix: np.ndarray) -> Format:
    """Channels that are sums of first-order ambisonics."""
    return Format(name, len(matrix), 1, lambda directions: matrix @ encode(directions), matrix)


@cache
def _ortf() -> Format:
    """Two cardioids 17 cm apart, 55° to the left and right (Office de Radiodiffusion Télévision Française)."""
    return Format("stereo-ortf", 2, ears=microphone_pair(ORTF_DISTANCE, STEREO_ANGLE))


@cache
def _spaced() -> Format:
    """Two microphones 50 cm apart that hear alike from everywhere."""
    return Format("stereo-ab", 2, ears=microphone_pair(AB_DISTANCE, None))


@cache
def _surround(name: str) -> Format:
    layout = LAYOUTS[name]
    speakers = Loudspeakers(layout.angles)
    matrix = speakers.decoder(_LOUDSPEAKER_ORDER)
    return Format(name, speakers.channels, _LOUDSPEAKER_ORDER, speakers.gains, matrix, mask=layout.mask)


_FIXED = {"mono": _mono, "stereo": _coincident, "stereo-ortf": _ortf, "stereo-ab": _spaced}
