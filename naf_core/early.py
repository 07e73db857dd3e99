"""Early reflections: each image of the emitter is heard as the emitter is, with its own delay, level and direction."""

from __future__ import annotations

import numpy as np
from scipy import signal

from naf_core.air import NEAREST
from naf_core.direct import Clock, filter_changing, nearest_of, stretches
from naf_core.formats import Format
from naf_core.gains import sweep
from naf_core.images import Images
from naf_core.motion import Motion, rotations_at, turns
from naf_core.scene import Trajectory
from naf_core.spatial import shaped_filters

KNOT_DURATION = 0.010  # s, at which directions and delays are set anew
_FILTER_KNOTS = 4  # from one filter to the next
_FINE = 4  # samples of the delay line for one of the sound
_MARGIN = 64  # samples of silence around the delay line
_TOGETHER = 16  # images mixed at a time


def early_reflections(
    dry: np.ndarray,
    clock: Clock,
    emitter: Trajectory,
    listener: Trajectory,
    images: Images,
    key_times: np.ndarray,
    speed_of_sound: float,
    fmt: Format,
) -> np.ndarray:
    """What arrives of ``dry`` (n,) through ``images`` at ``key_times`` (K,) s, as ``fmt``: (channels, length) float32.

    Each image moves as the emitter does, so its delay, Doppler shift, distance and direction follow from the motion
    of both, every 10 ms and smoothly in between; what walls and air take runs straight from key to key, and so does
    the level where an image comes into view. The filters of these, and of the ears, change every 40 ms.
    """
    result = np.zeros((fmt.channels, clock.length), np.float32)
    if not (len(images) and dry.any()):
        return result
    paths = Motion(emitter), Motion(listener)
    level, _ = _transmission(images)
    if not (paths[0].moves or paths[1].moves or turns(listener) or np.ptp(level, axis=1).any()):
        # Nothing changes: one impulse response says it all.
        reach = np.linalg.norm(images.way[:, 0], axis=1).max() / speed_of_sound
        click = Clock(clock.sample_rate, 0.0, round((reach + 0.02) * clock.sample_rate))
        impulse = _render(np.ones(1, np.float32), click, paths, listener, images, key_times, speed_of_sound, fmt)
        for channel, response in zip(result, impulse, strict=True):
            if response.any():
                whole = signal.oaconvolve(dry, response)[: len(channel)]
                channel[: len(whole)] = whole
        return result
    return _render(dry, clock, paths, listener, images, key_times, speed_of_sound, fmt)


def _transmission(images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Level (S, K) of each image at 1 m, 0 where it is not heard, and its band gains (S, K, 8) in dB relative to it."""
    length = np.maximum(np.linalg.norm(images.way, axis=-1), NEAREST)
    bands = np.sqrt(images.energy) * length[..., None]
    level = bands.max(axis=-1)
    # Where it is not heard it has no colour of its own: it takes that of the nearest key at which it is.
    for image, row in enumerate(level):
        bands[image] = bands[image, nearest_of(row > 0.0)]
    return level, 20.0 * np.log10(np.maximum(bands / bands.max(axis=-1, keepdims=True), 1e-3))


def _render(
    dry: np.ndarray,
    clock: Clock,
    paths: tuple[Motion, Motion],
    listener: Trajectory,
    images: Images,
    key_times: np.ndarray,
    speed_of_sound: float,
    fmt: Format,
) -> np.ndarray:
    """`early_reflections` of something that moves."""
    rate = clock.sample_rate
    hop = max(round(KNOT_DURATION * rate), 1)
    fine = np.pad(signal.resample_poly(np.pad(dry, _MARGIN), _FINE, 1).astype(np.float32), 2)
    origin = _FINE * _MARGIN + 2  # of the sound in the delay line
    level, shape_db = _transmission(images)
    result = np.zeros((fmt.channels, clock.length), np.float32)
    for first, last, anchor, fade in stretches(clock, paths):
        knots = first + hop * np.arange(-(-(last - first) // hop) + 1)
        times = clock.origin + knots / rate
        rotation = rotations_at(listener, times)
        gain = np.stack([np.interp(times, key_times, row) for row in level])
        heard = np.flatnonzero(gain.any(axis=1))
        for start in range(0, len(heard), _TOGETHER):
            chosen = heard[start : start + _TOGETHER]
            way = _ways(images.turn[chosen], images.shift[chosen], paths, times, speed_of_sound, anchor)
            length = np.linalg.norm(way, axis=-1)
            strength = gain[chosen] / np.maximum(length, NEAREST)  # (I, K)
            way /= np.maximum(length, 1e-9)[..., None]
            if fmt.head_locked:
                way = np.einsum("kji,skj->ski", rotation, way)
            delay = length / speed_of_sound * rate
            waves = np.zeros((1 if fmt.ears is None else 2, len(chosen), last - first), np.float32)
            for index, image in enumerate(chosen):
                for part in _heard_knots(strength[index]):
                    shape = [np.interp(times[part][::_FILTER_KNOTS], key_times, band) for band in shape_db[image].T]
                    shape, towards = np.stack(shape, axis=1), way[index, part]
                    if fmt.ears is None:
                        received = [(shaped_filters(shape, rate), 0.0)]
                    else:
                        filters, _ = fmt.ears.filters(towards[::_FILTER_KNOTS], rate, shape)
                        received = zip(filters.transpose(1, 0, 2), rate * fmt.ears.delays(towards).T, strict=True)
                    for wave, (filters, extra) in zip(waves[:, index, part.start * hop :], received, strict=True):
                        read = _delayed(fine, origin, delay[index, part] + extra, knots[part], hop)[: len(wave)]
                        wave[: len(read)] = filter_changing(read, filters, _FILTER_KNOTS * hop)
            if fmt.ears is None:
                gains = fmt.gains(way.reshape(-1, 3)).reshape(fmt.channels, *length.shape) * strength  # (C, I, K)
                result[:, first:last] += sweep(gains.transpose(2, 0, 1), waves[0], hop) * fade
            else:
                for channel, ear in zip(result, waves, strict=True):
                    channel[first:last] += sweep(strength.T[:, None], ear, hop)[0] * fade
    return result


def _heard_knots(strength: np.ndarray) -> list[slice]:
    """Knots between which something is heard of an image of ``strength`` (K,), and a filter's time on either side."""
    present = np.flatnonzero(strength)
    runs = np.split(present, np.flatnonzero(np.diff(present) > 4 * _FILTER_KNOTS) + 1)
    return [slice(max(run[0] - _FILTER_KNOTS, 0), run[-1] + _FILTER_KNOTS + 1) for run in runs if len(run)]


def _ways(
    turn: np.ndarray,
    shift: np.ndarray,
    paths: tuple[Motion, Motion],
    times: np.ndarray,
    speed_of_sound: float,
    anchor: float | None,
) -> np.ndarray:
    """Vectors (I, K, 3) from the listener at ``times`` (K,) to where the images were when they sent what is heard.

    As `motion.path_of_sound`, of which this is the same fixed point.
    """
    ear = paths[1].position(times, anchor)
    delay = np.zeros((len(turn), len(times)))
    for _ in range(40):
        sent = paths[0].position((times - delay).ravel(), anchor).reshape(*delay.shape, 3)
        way = np.einsum("sij,skj->ski", turn, sent) + shift[:, None] - ear
        last, delay = delay, np.linalg.norm(way, axis=-1) / speed_of_sound
        if not paths[0].moves or np.abs(delay - last).max(initial=0.0) < 1e-8:
            break
    return way


def _delayed(fine: np.ndarray, origin: int, delay: np.ndarray, knots: np.ndarray, hop: int) -> np.ndarray:
    """The sound in the delay line ``fine`` delayed by ``delay`` (K,) samples at the ``knots``; ((K - 1) hop,) float32.

    Between knots the delay is a cubic with continuous speed, so that nothing buzzes at the rate of the knots. Between
    the samples of the line, four to one of the sound, a cubic runs through the four nearest (Laakso et al. 1996): flat
    within 0.02 dB up to 16 kHz at 48 kHz.
    """
    position = origin + _FINE * (knots - delay)
    slope = np.gradient(position) if len(position) > 1 else np.zeros(1)
    u = np.arange(hop) / hop
    basis = np.stack([(1 + 2 * u) * (1 - u) ** 2, u * (1 - u) ** 2, u * u * (3 - 2 * u), u * u * (u - 1)])
    at = (np.stack([position[:-1], slope[:-1], position[1:], slope[1:]], axis=1) @ basis).ravel()
    whole = np.floor(at)
    p = (at - whole).astype(np.float32)
    index = np.clip(whole, 1, len(fine) - 3).astype(np.int64)
    before, here, after, beyond = (fine[index + step] for step in (-1, 0, 1, 2))
    third, half = np.float32(1.0 / 3.0), np.float32(0.5)
    # The cubic of J. L. Lagrange in the form of C. W. Farrow.
    c1 = after - third * before - half * here - half * third * beyond
    c2 = half * (before + after) - here
    c3 = half * third * (beyond - before) + half * (here - after)
    return ((c3 * p + c2) * p + c1) * p + here
