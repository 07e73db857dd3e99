"""The sound formats by name: how many channels each has, and where loudspeakers stand. Data only: it loads at once."""

from __future__ import annotations

from typing import NamedTuple


class Layout(NamedTuple):
    """Loudspeakers in the order of their channels.

    ``angles`` are azimuth to the left and elevation in degrees, None for the channel of low-frequency effects, which
    stays silent: what a room does has no such channel. ``mask`` names the places in a WAV file (Microsoft, Multiple
    channel audio data and WAVE files, 2001), whose bits ascend in the order of the channels.
    """

    angles: tuple[tuple[float, float] | None, ...]
    mask: int


# L, R, C, LFE, then surrounds. Angles: ITU-R BS.775 for 5.1; ITU-R BS.2051-3, systems I (0+7+0) and J (4+7+0).
LAYOUTS = {
    "5.1": Layout(((30, 0), (-30, 0), (0, 0), None, (110, 0), (-110, 0)), 0x60F),
    "7.1": Layout(((30, 0), (-30, 0), (0, 0), None, (135, 0), (-135, 0), (90, 0), (-90, 0)), 0x63F),
    "7.1.4": Layout(
        ((30, 0), (-30, 0), (0, 0), None, (135, 0), (-135, 0), (90, 0), (-90, 0))
        + ((45, 30), (-45, 30), (135, 30), (-135, 30)),
        0x2D63F,
    ),
}
_CHANNELS = {"binaural": 2, "stereo": 2, "stereo-ortf": 2, "stereo-ab": 2, "mono": 1}
_AMBISONIC = ("ambix", "ambix-world")

FORMATS = (*_CHANNELS, *_AMBISONIC, *LAYOUTS)
ORDERS = (1, 2, 3)


def channel_count(name: str, order: int = 1) -> int:
    """Channels of the format ``name``, one of FORMATS; ``order`` is that of ambisonics."""
    if name in _AMBISONIC:
        return (order + 1) ** 2
    return len(LAYOUTS[name].angles) if name in LAYOUTS else _CHANNELS[name]


def loudness_weights(name: str, order: int = 1) -> tuple[float, ...]:
    """How much the power of each channel counts for loudness (ITU-R BS.1770-4, annexes 1 and 3).

    Sounds from the sides count 1.41; of ambisonics only W, what one microphone would hear, for want of a standard.
    """
    if name in _AMBISONIC:
        return (1.0, *[0.0] * (channel_count(name, order) - 1))
    if name not in LAYOUTS:
        return (1.0,) * channel_count(name)
    return tuple(
        0.0 if angle is None else 1.41 if angle[1] < 30 and 60 <= abs(angle[0]) <= 120 else 1.0
        for angle in LAYOUTS[name].angles
    )
