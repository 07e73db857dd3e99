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
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
from scipy import fft

from naf_core.ambisonics import degrees, encode
from naf_core.bands import BAND_EDGES_HZ, N_BANDS
from naf_core.carriers import ALONG, AROUND, OMNI, Carriers, octave_filters
from naf_core.clock import Held
from naf_core.delays import TAPS, fixed_delay
from naf_core.response import FRAME_EDGES, FRAME_WIDTHS, N_FRAMES, EnergyResponse
from naf_core.spatial import shaped_filters

CUT_DB = 70.0  # a response ends where what remains is this much below its whole energy, in every band
MAX_DURATION = 15.0  # s

# The frames of a response, and those of its tail.
_EDGES = np.append(FRAME_EDGES, np.arange(FRAME_EDGES[-1], MAX_DURATION, FRAME_WIDTHS[-1])[1:])

# The energies are made right as octave filters read them by so many corrections, which together stay within this
# factor of what is right for the band's own signal, up or down.
_SETTLING = 5
_BOUNDS = 0.05
_LOW = 4  # bands that settle slowly
_VALUES = 0.95  # independent values of a band in a group of frames, at least


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
    steps = np.arange(1, len(_EDGES) - N_FRAMES)
    ratio = 10.0 ** (slope[:, None] * FRAME_WIDTHS[-1] * steps / 10.0)
    energy = np.asarray(response.energy, np.float64)
    energy = np.concatenate([energy, energy[:, -1:] * ratio[..., None]], axis=1)
    energy[..., 0] = np.maximum(energy[..., 0], 0.0)
    return energy


def duration(response: EnergyResponse) -> float:
    """Seconds from the earliest possible arrival until what is left of one response cannot be heard.

    That is where in each band CUT_DB less remains than the total of the strongest band; 0 without
    reflections.
    """
    energy = _with_tail(response)
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

    The order is that of the ``carriers``.

    Sample 0 is the earliest possible arrival; ``start`` is that arrival in samples after emission, the
    place at which ``carriers`` are cut. The length is `duration`. In every band and frame the energy of the
    W component is the response's times that of a unit impulse in the band, exactly; frames too short for a
    band (63 Hz: under 22 ms) are taken together. The mean of W times X, Y, Z is the intensity. With ``clicks`` the
    energies are right of all together: at low frequencies, where sounds meet in step for long, they add up by chance,
    and reverberation makes up for that.
    """
    rate = carriers.sample_rate
    energy = _with_tail(response)
    length = min(round(duration(response) * rate), int(_EDGES[-1] * rate))
    order = carriers.order
    channels = (order + 1) ** 2
    if not length:
        return np.zeros((channels, 0), np.float32)
    n_frames = int(np.searchsorted(_EDGES, length / rate))
    edges, energy, groups = _EDGES[: n_frames + 1], energy[:, :n_frames], _groups()[:, :n_frames]
    knots, envelope = _envelope(edges, energy[..., 0], groups)

    intensity = np.linalg.norm(energy[..., 1:], axis=-1)
    directness = np.clip(intensity / np.maximum(energy[..., 0], 1e-300), 0.0, 1.0)
    direction = energy[..., 1:] / np.maximum(intensity, 1e-300)[..., None]

    shaped = carriers.cut(start, start + length)
    at = np.minimum(np.round(knots * rate).astype(int), length)
    for index, (first, last) in enumerate(pairwise(at)):
        steps = max(round((knots[index + 1] - knots[index]) * rate), 1)
        low, high = envelope[:, index, None], envelope[:, index + 1, None]
        shaped[:, :, first:last] *= np.exp(low + (high - low) * (np.arange(last - first, dtype=np.float32) / steps))

    frames = list(pairwise(at[::2]))
    # The last frame may be cut off: what its envelope holds before the cut is its share of the energy.
    wanted = energy[..., 0].copy()
    wanted[:, -1] *= _share_before(knots, envelope, length / rate)
    beside = None
    if clicks is not None:
        pad = _pad(rate)
        total = np.pad(clicks.total, ((0, 0), (0, max(n_frames - N_FRAMES, 0))))[:, :n_frames]
        total[:, N_FRAMES:] = wanted[:, N_FRAMES:]
        total[:, -1] = wanted[:, -1]
        beside = clicks.signal(rate, start - pad, length + 2 * pad), total
    gain = _gains(wanted, groups, shaped[OMNI], frames, carriers, beside)

    # A plane wave of power psi in a diffuse field of power 1 - psi, written so that W is one carrier
    # whatever psi: the other channels are psi times it along the direction, and the rest of their covariance from
    # other carriers.
    along = np.sqrt(directness * (1.0 - directness))
    wave = encode(direction.reshape(-1, 3), order).reshape(channels, *directness.shape)
    mix = np.zeros((n_frames, channels, len(shaped), N_BANDS), np.float32)
    mix[:, 0, OMNI] = gain.T
    for channel, degree in list(enumerate(degrees(order)))[1:]:
        mix[:, channel, OMNI] = (gain * directness * wave[channel]).T
        mix[:, channel, ALONG] = (gain * along * wave[channel]).T
        mix[:, channel, AROUND + channel - 1] = (gain * np.sqrt((1.0 - directness) / (2 * degree + 1))).T
    result = np.empty((channels, length), np.float32)
    shaped = shaped.reshape(-1, length)
    for weights, (first, last) in zip(mix.reshape(n_frames, channels, -1), frames, strict=True):
        result[:, first:last] = weights @ shaped[:, first:last]

    fade = min(int(0.01 * rate), length)
    result[:, length - fade :] *= np.cos(0.5 * np.pi * (np.arange(fade) + 1.0) / fade).astype(np.float32) ** 2
    return result


def _gains(
    wanted: np.ndarray,
    groups: np.ndarray,
    omni: np.ndarray,
    frames: list[tuple[int, int]],
    carriers: Carriers,
    beside: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Amplitudes (8, F) with which the bands ``omni`` (8, n) hold the energies ``wanted`` (8, F).

    First the energy of each band's own signal is made right, group by group. That is not yet what an octave
    filter reads, since a short group holds few independent values and neighbouring bands overlap: so the
    sum is filtered and the amplitudes corrected a few times. ``beside`` are what else is heard (n + 2 pads,), and the
    energies (8, F) that both together have to have.
    """
    power = np.stack([np.einsum("bt,bt->b", part, part) for part in (omni[:, a:b] for a, b in frames)], axis=1)
    square = np.stack(
        [_ratio(g, w * p, m)[g] for g, w, p, m in zip(groups, wanted, carriers.power, power, strict=True)]
    )
    bounds = _BOUNDS * square, square / _BOUNDS
    length, pad = omni.shape[1], _pad(carriers.sample_rate)  # what rings before the first arrival is in the first group
    n_fft = -(-(length + 2 * pad) // 16384) * 16384  # in steps, so that the filters can be kept
    filters = _octave_filters(n_fft, carriers.sample_rate)
    reference = [2.0 / n_fft * float(np.square(f, dtype=np.float64).sum()) for f in filters]
    signal = np.zeros(n_fft, np.float32)
    edges = np.array([0, *(pad + last for _, last in frames[:-1]), n_fft])

    def read(spectrum: np.ndarray, band: int) -> tuple[np.ndarray, int]:
        """What an octave filter passes, and of how many samples it leaves one: those of low bands end early."""
        gains = filters[band]
        thin = n_fft // (2 * (len(gains) - 1))
        return fft.irfft(spectrum[: len(gains)] * gains, n_fft // thin), thin

    heard = None
    if beside is not None:
        spectrum = fft.rfft(beside[0], n_fft)
        heard = [read(spectrum, band)[0] for band in range(N_BANDS)]
    for turn in range(_SETTLING):
        weights = np.sqrt(square).astype(np.float32)
        for frame, (first, last) in enumerate(frames):
            signal[pad + first : pad + last] = weights[:, frame] @ omni[:, first:last]
        spectrum = fft.rfft(signal)
        # Low bands, where groups hold few values, take all turns; high ones two.
        for band, group in enumerate(groups if turn in (0, _SETTLING - 2) else groups[:_LOW]):
            noise, thin = read(spectrum, band)
            at, scale = edges[:-1] // thin, thin * reference[band]
            own = np.add.reduceat(np.square(noise), at)
            if heard is None:
                factor = _ratio(group, wanted[band] * scale, own)
            else:
                meeting = np.bincount(group, np.add.reduceat(noise * heard[band], at))
                rest = beside[1][band] * scale - np.add.reduceat(np.square(heard[band]), at)
                factor = _share(np.bincount(group, own), meeting, np.bincount(group, rest))
            square[band] = np.clip(square[band] * factor[group], bounds[0][band], bounds[1][band])
    return np.sqrt(square)


def _share(own: np.ndarray, meeting: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Squares of the factors x with which x² ``own`` + 2 x ``meeting`` is the ``rest``, or as near as it gets."""
    root = np.sqrt(np.maximum(np.square(meeting) + own * rest, 0.0))
    factor = np.divide(root - meeting, own, out=np.zeros(len(own)), where=own > 0.0)
    return np.square(np.maximum(factor, 0.0))


def _pad(sample_rate: int) -> int:
    """Samples beside a response in which octave filters may ring."""
    return int(0.1 * sample_rate)


def _ratio(group: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Ratio of the sums over each group, 0 where the divisor is 0."""
    above, below = np.bincount(group, above), np.bincount(group, below)
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0.0)


@cache
def _groups() -> np.ndarray:
    """Groups (8, F) of neighbouring frames in which a band can hold a given energy: at least 1 / bandwidth long.

    50 and 80 ms, where clarity is measured, always part two groups.
    """
    apart = np.isclose(_EDGES[:, None], (0.050, 0.080)).any(axis=1)
    result = np.zeros((N_BANDS, len(_EDGES) - 1), int)
    for band, width in enumerate(np.diff(BAND_EDGES_HZ)):
        begin, group = 0.0, 0
        for frame in range(1, len(_EDGES) - 1):
            if apart[frame] or _EDGES[frame] - begin >= _VALUES / width:
                begin, group = _EDGES[frame], group + 1
            result[band, frame] = group
    return result


@lru_cache(maxsize=4)
def _octave_filters(n_fft: int, sample_rate: int) -> tuple[np.ndarray, ...]:
    """Gains (n,) float32 of the octave filters, those of the low bands only up to an eighth of the spectrum."""
    gains = octave_filters(n_fft, sample_rate).astype(np.float32)
    eighth = n_fft // 16 + 1
    return tuple(row[:eighth] if not row[eighth:].any() else row for row in gains)


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
