"""Rendering: what a listener hears of an emitter over time, as an audio track."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zlib import crc32

import numpy as np

from naf_core.direct import Clock, direct_sound
from naf_core.errors import UserError
from naf_core.formats import check_format, decode, turn_to_head
from naf_core.response import EnergyResponse
from naf_core.reverb import reverberation, ring_out
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.sound import a_weighted_calibration, read_sound, true_peak

MAX_TAIL = 10.0  # s
PEAK_LIMIT = 10.0 ** (-1.0 / 20.0)  # -1 dBTP
SAMPLE_RATES = (16_000, 192_000)  # Hz
MAX_DURATION = 3600.0  # s

_CUT_FADE = 0.005  # s, where the frame range cuts into a sound
_END_FADE = 0.030  # s
_SILENCE = 10.0 ** (-90.0 / 20.0)  # of the peak: what is below at the end is left away


def render(
    emitter: Emitter,
    listener: Listener,
    responses: EnergyResponse,
    response_times: np.ndarray,
    duration: float,
    sample_rate: int = 48000,
    fmt: str = "binaural",
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    tail: float | None = None,
    sound: np.ndarray | None = None,
) -> np.ndarray:
    """What ``listener`` hears of ``emitter``, (n, channels) float32; a sample of 1 is 1 pascal (see `sound`).

    ``responses`` (K, ...) are those of the pair at ``response_times`` (K,) s, increasing (see
    `motion.key_times`). ``duration`` in s is the length of the shot; the sound stops there and rings out
    for ``tail`` seconds, or, by default, until it is silent, at most MAX_TAIL. A sound that started before
    time 0 is already in the room by then. ``fmt`` is one of `formats.CHANNELS`. ``sound`` (m,) are the
    samples of the emitter's file at ``sample_rate`` if they were read before. ``progress`` gets 0..1 and
    may raise to cancel. The same ``seed`` gives the same samples. Raises UserError on values out of range
    and on sound files that cannot be read.
    """
    check_format(fmt)
    times = np.asarray(response_times, np.float64).reshape(-1)
    if not SAMPLE_RATES[0] <= sample_rate <= SAMPLE_RATES[1]:
        raise UserError(f"The sample rate is {sample_rate} Hz: set it between {SAMPLE_RATES[0]} and {SAMPLE_RATES[1]}.")
    if not 0.0 < duration <= MAX_DURATION:
        raise UserError(f"The shot lasts {duration} s: set a frame range of up to {MAX_DURATION:g} s.")
    if len(times) != len(np.atleast_1d(responses.distance)) or not len(times) or (np.diff(times) <= 0).any():
        raise ValueError("response_times must increase and be as many as the responses")
    if sound is None:
        sound = read_sound(emitter.sound, sample_rate, emitter.name)

    ringing = ring_out(responses)
    preroll = min(ringing, max(0.0, -min(emitter.starts, default=0.0)))
    preroll = int(np.ceil(preroll * sample_rate))
    wanted = min(ringing + 0.02, MAX_TAIL) if tail is None else tail
    shot, rest = round(duration * sample_rate), round(wanted * sample_rate)
    clock = Clock(sample_rate, -preroll / sample_rate, preroll + shot + rest)
    dry = dry_sound(emitter, sound, clock, preroll + shot)

    waves = _heard(
        dry, clock, emitter.trajectory, listener.trajectory, responses, times, fmt, _own_seed(seed, emitter), progress
    )[preroll:]
    if preroll:
        fade = min(round(_CUT_FADE * sample_rate), len(waves))
        waves[:fade] *= np.linspace(0.0, 1.0, fade, dtype=np.float32)[:, None]
    if tail is None:
        loud = np.flatnonzero(np.abs(waves).max(axis=1) > _SILENCE * np.abs(waves).max(initial=0.0))
        waves = waves[: max(int(loud[-1]) + 1 if len(loud) else 0, shot)]
    fade = min(round(_END_FADE * sample_rate), max(len(waves) - shot, 0))
    if fade:
        waves[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)[:, None]
    return waves


def impulse_response(
    response: EnergyResponse, sample_rate: int = 48000, fmt: str = "ambix", seed: int = 0
) -> np.ndarray:
    """Impulse response of one pair from emission on, direct sound included, (n, channels) float32.

    The listener looks along x. Free-field sound at 1 m would be a unit impulse. ``fmt`` and ``seed`` as in
    `render`.
    """
    check_format(fmt)
    batch = response[None]
    direction = np.asarray(response.direct_direction, np.float64).reshape(1, 3)
    norm = np.linalg.norm(direction)
    direction = direction / norm if norm > 0.0 else np.array([[1.0, 0.0, 0.0]])
    clock = Clock(sample_rate, 0.0, round((ring_out(batch) + 0.02) * sample_rate))
    dry = np.zeros(1, np.float32)
    dry[0] = 1.0
    here = Trajectory([0.0], np.zeros((1, 3)))
    emitter = Trajectory([0.0], direction * float(response.distance))
    return _heard(dry, clock, emitter, here, batch, np.zeros(1), fmt, seed, None)


def _heard(
    dry: np.ndarray,
    clock: Clock,
    emitter: Trajectory,
    listener: Trajectory,
    responses: EnergyResponse,
    times: np.ndarray,
    fmt: str,
    seed: int,
    progress: Callable[[float], None] | None,
) -> np.ndarray:
    """Direct sound and reverberation of ``dry`` (n,) as ``fmt``, (length, channels) float32."""
    binaural, world = fmt == "binaural", fmt == "ambix-world"
    way = [np.linalg.norm(np.diff(path.positions, axis=0), axis=1).sum() for path in (emitter, listener)]
    part = None if progress is None else (lambda fraction: progress(0.8 * fraction))
    waves = reverberation(dry, clock, responses, times, seed, bool(way[1] > way[0]), part)
    if not world:
        waves = turn_to_head(waves, listener, clock.times(0, clock.length))
    direct = direct_sound(dry, clock, emitter, listener, responses, times, binaural, not world)
    if progress is not None:
        progress(0.95)
    if binaural:
        return decode(waves, fmt, clock.sample_rate) + direct.T
    waves += direct
    return decode(waves, fmt, clock.sample_rate)


def _own_seed(seed: int, emitter: Emitter) -> int:
    """A seed of the emitter's own, so that two emitters in one place do not share their noise."""
    return ((seed & 0xFFFFFFFF) << 32) | crc32(emitter.name.encode())


def dry_sound(emitter: Emitter, sound: np.ndarray, clock: Clock, length: int) -> np.ndarray:
    """What the emitter sends, (length,) float32 in pascals at 1 m: its sound at each start, levelled, with its volume.

    ``sound`` (m,) at the clock's rate. Before the clock's origin and after ``length`` it is cut off.
    """
    dry = np.zeros(length, np.float32)
    for start in emitter.starts:
        first = round((start - clock.origin) * clock.sample_rate)
        source = slice(max(-first, 0), max(min(len(sound), length - first), 0))
        if source.stop > source.start:
            dry[first + source.start : first + source.stop] += sound[source]
    fade = min(round(_CUT_FADE * clock.sample_rate), length)
    dry[length - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    if clock.origin < 0.0:
        dry[:fade] *= np.linspace(0.0, 1.0, fade, dtype=np.float32)
    dry *= volume(emitter, clock, length)
    return dry * np.float32(a_weighted_calibration(sound, clock.sample_rate, emitter.level))


def volume(emitter: Emitter, clock: Clock, length: int) -> np.ndarray:
    """The emitter's volume at each sample, (length,) float32: straight between frames, rounded over 10 ms."""
    times, gain = emitter.trajectory.times, emitter.gain
    if not np.ptp(gain):
        return np.full(length, gain[0], np.float32)
    step = 0.001
    knots = clock.origin + step * np.arange(-6, int(length / clock.sample_rate / step) + 8)
    window = np.hanning(13)[1:-1]
    smooth = np.convolve(np.interp(knots, times, gain), window / window.sum(), mode="same")
    return np.interp(clock.times(0, length), knots[5:-5], smooth[5:-5]).astype(np.float32)


def mix(stems: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """The sum of ``stems`` (n, channels), and the factor (at most 1) by which it and the stems must be scaled.

    Shorter stems are followed by silence. The sum is already scaled; multiply the stems by the same factor
    before they are written, so that they keep their proportions. The factor keeps the true peak of the sum
    and of every stem at -1 dBTP (ITU-R BS.1770) or below, so that nothing is clipped.
    """
    length = max(len(stem) for stem in stems)
    total = np.zeros((length, stems[0].shape[1]), np.float32)
    for stem in stems:
        total[: len(stem)] += stem
    peak = max(true_peak(samples) for samples in (total, *stems))
    factor = min(1.0, PEAK_LIMIT / peak) if peak > 0.0 else 1.0
    return total * np.float32(factor), factor
