"""From energies to an impulse response: shaped noise in octave bands, as ambisonics.

The response of a pair becomes a signal of ambisonic channels (ACN order W, Y, Z, X, SN3D normalisation, world
axes) without its direct sound, whose sample 0 is the earliest possible arrival. Free-field direct sound at
1 m would be a unit impulse in W. Each octave band is noise under an envelope whose energy, frame by frame,
is exactly the response's; a part of it comes from the direction of the intensity vector, the rest from
everywhere (V. Pulkki, Spatial sound reproduction with directional audio coding, J. Audio Eng. Soc. 55,
2007).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from naf_core.ambisonics import degrees, encode
from naf_core.bands import N_BANDS
from naf_core.carriers import ALONG, AROUND, OMNI, Carriers
from naf_core.clock import Held
from naf_core.delays import TAPS, fixed_delay
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, N_FRAMES, EnergyResponse
from naf_core.settling import Wanted, groups_of, settled
from naf_core.span import LOW, Span
from naf_core.spatial import shaped_filters

CUT_DB = 70.0  # a response ends where what remains is this much below its whole energy, in every band
MAX_DURATION = 15.0  # s

# The frames of a response, and those of its tail; up to half a second they are parted until none is longer than 25 ms,
# so that decays run straight within them, too.
_FRAMES = np.append(FRAME_EDGES, np.arange(FRAME_EDGES[-1], MAX_DURATION, FRAME_WIDTHS[-1])[1:])
_PARTS = np.where(_FRAMES[:-1] < 0.5, np.ceil(np.diff(_FRAMES) / 0.025 - 1e-9), 1.0).astype(int)
_EDGES = np.append(
    np.concatenate([np.linspace(*ends, n + 1)[:-1] for *ends, n in zip(_FRAMES, _FRAMES[1:], _PARTS, strict=False)]),
    _FRAMES[-1],
)

# Reverberation is made in two parts, each by itself, so that where something moves the late one need not be made anew
# as often as the early one: of the same noise, the one fades into the other.
LATE_START, _LATE_FULL = 0.094, 0.110  # s
_NARROW = 4, 2  # low bands in which settling changes the noise itself, of the early and of the late part
_LATE_BEGIN, _EARLY_STOP = (int(np.argmin(np.abs(FRAME_EDGES - t))) for t in (0.040, 0.152))  # frames, with margins


@dataclass(frozen=True)
class Clicks:
    """What is heard beside reverberation, direct sound and images, and what all of it together has to amount to.

    ``delay`` (n,) in s from emission and ``energy`` (n, 8) of each, relative to the free field at 1 m; ``total``
    (8, N_FRAMES) is the energy of everything in each frame.
    """

    delay: np.ndarray
    energy: np.ndarray
    total: np.ndarray

    def signal(self, sample_rate: int, start: int, length: int) -> np.ndarray:
        """The pressure of a click through them at ``length`` samples from ``start`` after emission on, float32."""
        level = np.sqrt(self.energy)
        loudest = np.maximum(level.max(axis=1, keepdims=True), 1e-30)
        filters = loudest * shaped_filters(20.0 * np.log10(np.maximum(level / loudest, 1e-3)), sample_rate)
        result = np.zeros(length, np.float32)
        for taps, place in zip(filters, self.delay * sample_rate - start, strict=True):
            whole = math.floor(place) - TAPS
            moved = fixed_delay(Held(taps), place - whole, 0, len(taps) + 2 * TAPS)
            first, last = max(whole, 0), min(whole + len(moved), length)
            if first < last:
                result[first:last] += moved[first - whole : last - whole]
        return result


def _with_tail(response: EnergyResponse) -> np.ndarray:
    """Energies W, X, Y, Z (8, F, 4) of one response in all of _EDGES, continued along the slopes of its bands."""
    slope = np.minimum(np.asarray(response.tail_slope, np.float64), -1.0)
    steps = np.arange(1, len(_FRAMES) - N_FRAMES)
    ratio = 10.0 ** (slope[:, None] * FRAME_WIDTHS[-1] * steps / 10.0)
    energy = np.asarray(response.energy, np.float64)
    energy = np.concatenate([energy, energy[:, -1:] * ratio[..., None]], axis=1)
    energy[..., 0] = np.maximum(energy[..., 0], 0.0)
    return _parted(energy)


def _parted(energy: np.ndarray) -> np.ndarray:
    """Energies (8, frames, n) of all frames, the first of n omnidirectional, in the parts (8, F, n) of these.

    What remains of a decay falls straight in dB within each frame.
    """
    remaining = np.cumsum(energy[:, ::-1, 0], axis=1)[:, ::-1]
    level = np.log(np.pad(remaining, ((0, 0), (0, 1))) + 1e-30)
    fine = np.exp(np.stack([np.interp(_EDGES, _FRAMES, row) for row in level]))
    frame = np.repeat(np.arange(len(_PARTS)), _PARTS)
    part = (fine[:, :-1] - fine[:, 1:]) / np.maximum(np.exp(level[:, :-1]) - np.exp(level[:, 1:]), 1e-300)[:, frame]
    return energy[:, frame] * np.where(_PARTS[frame] > 1, part, 1.0)[..., None]


def duration(response: EnergyResponse) -> float:
    """Seconds from the earliest possible arrival until what is left of one response cannot be heard.

    That is where in each band CUT_DB less remains than the total of the strongest band; 0 without
    reflections.
    """
    return _end(_with_tail(response), response)


def _end(energy: np.ndarray, response: EnergyResponse) -> float:
    """As `duration`, of the energies `_with_tail`."""
    remaining = np.cumsum(energy[:, ::-1, 0], axis=1)[:, ::-1]
    threshold = float((remaining[:, 0] + response.direct).max()) * 10.0 ** (-CUT_DB / 10.0)
    end = 0.0
    for band in np.pad(remaining, ((0, 0), (0, 1))):
        over = np.flatnonzero(band > threshold)
        if len(over):
            last = over[-1]
            left, right = band[last], band[last + 1]
            # Between the edges the decay is exponential.
            part = np.log(left / threshold) / np.log(left / right) if right > 0.0 else 1.0
            end = max(end, float(_EDGES[last] + part * (_EDGES[last + 1] - _EDGES[last])))
    return end


def ambisonic_response(
    response: EnergyResponse, carriers: Carriers, start: int = 0, clicks: Clicks | None = None
) -> np.ndarray:
    """Impulse response of the reflections of one pair: (channels, n) float32, ACN W, Y, Z, X, ..., SN3D, world axes.

    The order is that of the ``carriers``. It is the sum of `early_response` and `late_response`.

    Sample 0 is the earliest possible arrival; ``start`` is that arrival in samples after emission, the
    place at which ``carriers`` are cut. The length is `duration`. In every band and frame the energy of the
    W component is the response's times that of a unit impulse in the band, as octave filters read it; frames too short
    for a band (63 Hz: under 19 ms) are taken together. The mean of W times X, Y, Z is the intensity. With ``clicks``
    the energies are right of all together: at low frequencies, where sounds meet in step for long, they add up by
    chance, and reverberation makes up for that.
    """
    early = early_response(response, carriers, start, clicks)
    late = late_response(response, carriers, start, early, clicks)
    if not late.shape[1]:
        return early
    first = round(LATE_START * carriers.sample_rate)
    result = np.pad(early, ((0, 0), (0, first + late.shape[1] - early.shape[1])))
    result[:, first:] += late
    return result


def early_response(
    response: EnergyResponse, carriers: Carriers, start: int = 0, clicks: Clicks | None = None
) -> np.ndarray:
    """The first 110 ms of `ambisonic_response`, (channels, n); fades out from LATE_START on, if anything follows."""
    rate, energy = carriers.sample_rate, _with_tail(response)
    ends = _end(energy, response)
    made = _made(energy, ends, carriers, start, clicks, slice(0, _EARLY_STOP))
    if ends > _LATE_FULL:
        made = made[:, : round(_LATE_FULL * rate)]
        made *= 1.0 - _fade(np.arange(made.shape[1]) / rate)
    return made


def late_response(
    response: EnergyResponse, carriers: Carriers, start: int, early: np.ndarray, clicks: Clicks | None = None
) -> np.ndarray:
    """What of `ambisonic_response` comes LATE_START after the earliest arrival, (channels, n), and fades in there.

    ``early`` is the `early_response`, beside which it is heard.
    """
    rate, energy = carriers.sample_rate, _with_tail(response)
    ends = _end(energy, response)
    if ends <= _LATE_FULL:
        return np.zeros((carriers.channels, 0), np.float32)
    made = _made(energy, ends, carriers, start, clicks, slice(_LATE_BEGIN, None), early[0])
    return made[:, round(LATE_START * rate) - round(_EDGES[_LATE_BEGIN] * rate) :]


def _fade(times: np.ndarray) -> np.ndarray:
    """How late reverberation follows on the early one, at ``times`` in s: of the same noise, it rises from 0 to 1."""
    return np.clip((times - LATE_START) / (_LATE_FULL - LATE_START), 0.0, 1.0).astype(np.float32)


def _made(
    energy: np.ndarray,
    ends: float,
    carriers: Carriers,
    start: int,
    clicks: Clicks | None,
    chosen: slice,
    early: np.ndarray | None = None,
) -> np.ndarray:
    """The part of `ambisonic_response` in the ``chosen`` frames; the whole ``ends`` so many s after its beginning.

    ``energy`` (8, F, 4) is that of all frames (see `_with_tail`).
    Beside an ``early`` part (n,) it fades in.
    """
    rate, order, channels = carriers.sample_rate, carriers.order, carriers.channels
    whole = min(round(ends * rate), int(_EDGES[-1] * rate))
    # A frame counts that has samples: rounded edges, or one that ends on an edge would begin another.
    count = min(int(np.searchsorted(np.round(_EDGES * rate), whole)), chosen.stop or len(_EDGES))
    chosen = slice(chosen.start, count)
    if chosen.start >= count:
        return np.zeros((channels, 0), np.float32)
    edges, energy = _EDGES[chosen.start : count + 1], energy[:, chosen]
    groups, first = _groups()[:, chosen], round(edges[0] * rate)
    groups = groups - groups[:, :1]
    length = min(round(edges[-1] * rate), whole) - first
    span = Span(rate, start + first, length, first)
    knots, envelope = _envelope(edges - edges[0], energy[..., 0], groups)
    if first + length < round(edges[-1] * rate):  # a part of a frame holds too little to count by itself
        groups[:, -1:] = groups[:, -2:-1]

    intensity = np.linalg.norm(energy[..., 1:], axis=-1)
    directness = np.clip(intensity / np.maximum(energy[..., 0], 1e-300), 0.0, 1.0)
    direction = energy[..., 1:] / np.maximum(intensity, 1e-300)[..., None]

    low, high = carriers.cut(span)
    low *= np.exp(np.stack([np.interp(span.low_times, knots, row) for row in envelope[:LOW]])).astype(np.float32)
    at = np.minimum(np.round(knots * rate).astype(int), length)
    for index, (begin, end) in enumerate(pairwise(at)):
        steps = max(round((knots[index + 1] - knots[index]) * rate), 1)
        here, there = envelope[LOW:, index, None], envelope[LOW:, index + 1, None]
        high[:, :, begin:end] *= np.exp(here + (there - here) * (np.arange(end - begin, dtype=np.float32) / steps))

    # The last frame may be cut off: what its envelope holds before the cut is its share of the energy.
    alone = energy[..., 0].copy()
    alone[:, -1] *= _share_before(knots, envelope, length / rate)
    total, beside, fade = alone, None, 1.0
    begin = span.start - span.onset  # of transforms
    if clicks is not None:
        total = _parted(np.pad(clicks.total, ((0, 0), (0, len(_PARTS) - N_FRAMES)))[..., None])[:, chosen, 0]
        known = np.searchsorted(_EDGES[1 : count + 1], min(_FRAMES[N_FRAMES], whole / rate) + 1e-9) - chosen.start
        total[:, known:] = alone[:, known:]
        beside = clicks.signal(rate, begin, span.n_fft)
    if early is not None:
        beside = np.zeros(span.n_fft, np.float32) if beside is None else beside
        beside[start - begin : start - begin + len(early)] += early
        middle, fade = 0.5 * (edges[:-1] + edges[1:]), _fade(edges[0] + span.low_times)
        alone = alone * np.square(_fade(middle))
        low *= fade
        high *= _fade(edges[0] + np.arange(length) / rate)
    wanted = Wanted(edges, groups, alone, total, beside, fade)
    gain, change = settled(span, low[OMNI], high[OMNI], carriers.power, wanted, _NARROW[early is not None])

    # A plane wave of power psi in a diffuse field of power 1 - psi, written so that W is one carrier
    # whatever psi: the other channels are psi times it along the direction, and the rest of their covariance from
    # other carriers.
    along = np.sqrt(directness * (1.0 - directness))
    wave = encode(direction.reshape(-1, 3), order).reshape(channels, *directness.shape)
    mix = np.zeros((count - chosen.start, channels, len(high), N_BANDS), np.float32)
    mix[:, 0, OMNI] = 1.0
    for channel, degree in list(enumerate(degrees(order)))[1:]:
        mix[:, channel, OMNI] = (directness * wave[channel]).T
        mix[:, channel, ALONG] = (along * wave[channel]).T
        mix[:, channel, AROUND + channel - 1] = np.sqrt((1.0 - directness) / (2 * degree + 1)).T
    mix[..., LOW:] *= gain.T[:, None, None, LOW:]
    within = np.searchsorted(span.low_times, edges - edges[0] - 1e-9)
    low *= np.repeat(gain[:LOW], np.diff(np.append(within[:-1], low.shape[-1])), axis=1)
    low[OMNI] += change
    result = _mixed(high, mix[..., LOW:], at[::2]) + span.full(_mixed(low, mix[..., :LOW], within))
    if length + first == whole:
        fade = min(int(0.01 * rate), length)
        result[:, length - fade :] *= np.cos(0.5 * np.pi * (np.arange(fade) + 1.0) / fade).astype(np.float32) ** 2
    return result


def _mixed(bands: np.ndarray, mix: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Channels (channels, n) of the ``bands`` (carriers, B, n), with ``mix`` (F, channels, carriers, B) in each frame.

    The frames lie between the samples ``at`` (F + 1,); the last takes the rest.
    """
    frames, channels = mix.shape[:2]
    bands = bands.reshape(-1, bands.shape[-1])
    result = np.empty((channels, bands.shape[1]), np.float32)
    for weights, first, last in zip(mix.reshape(frames, channels, -1), at[:-1], [*at[1:-1], None], strict=True):
        result[:, first:last] = weights @ bands[:, first:last]
    return result


@cache
def _groups() -> np.ndarray:
    """Groups (8, F) of all frames (see `groups_of`)."""
    return groups_of(_EDGES)


def _envelope(edges: np.ndarray, energy: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Natural logarithm of the amplitude: knots (2 F + 1,) in s, edges and centres, and values (8, 2 F + 1).

    It runs straight from the centre of one group to that of the next, so an exponential decay is one. A
    group that lies more than 20 dB below a neighbour, or is empty, counts as 20 dB below.
    """
    knots = np.empty(2 * len(edges) - 1)
    knots[::2], knots[1::2] = edges, 0.5 * (edges[:-1] + edges[1:])
    values = np.zeros((N_BANDS, len(knots)), np.float32)
    widths = np.diff(edges)
    for band, group in enumerate(groups):
        width = np.bincount(group, widths)
        density = np.bincount(group, energy[band]) / width
        if not density.any():
            continue
        level = 0.5 * np.log(np.maximum(density, 1e-4 * density[density > 0.0].min()))
        neighbour = np.pad(level, 1, mode="edge")
        level = np.maximum(level, np.maximum(neighbour[:-2], neighbour[2:]) - np.log(10.0))
        end = np.cumsum(width)
        # Only differences matter: the loudest group is put at 0, so that nothing overflows.
        values[band] = np.interp(knots, end - 0.5 * width, np.maximum(level - level.max(), -16.0))
    return knots, values


def _share_before(knots: np.ndarray, envelope: np.ndarray, end: float) -> np.ndarray:
    """Part (8,) of the last frame's energy that its envelope holds before ``end`` in s."""
    time = np.linspace(knots[-3], knots[-1], 65)[:-1] + (knots[-1] - knots[-3]) / 128.0
    power = np.exp(2.0 * np.stack([np.interp(time, knots[-3:], row[-3:]) for row in envelope]))
    return power[:, time < end].sum(axis=1) / power.sum(axis=1)
