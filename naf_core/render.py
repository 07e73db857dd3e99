"""Rendering: what a listener hears of an emitter over time, as an audio track in three parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from zlib import crc32

import numpy as np

from naf_core.ambisonics import turn
from naf_core.direct import BLOCK_DURATION, Clock, direct_sound
from naf_core.early import early_reflections
from naf_core.errors import UserError
from naf_core.formats import Format, format_of
from naf_core.images import Images, no_images, without_images
from naf_core.motion import Motion, rotations_at, turns
from naf_core.response import EnergyResponse
from naf_core.reverb import reverberation, ring_out
from naf_core.scene import Emitter, Listener, Trajectory
from naf_core.sound import a_weighted_calibration, read_sound

# What is heard of an emitter, in the order of `render_parts`.
PARTS = ("direct", "early", "late")

MAX_TAIL = 10.0  # s
SAMPLE_RATES = (16_000, 192_000)  # Hz
MAX_DURATION = 3600.0  # s

_CUT_FADE = 0.005  # s, where the frame range cuts into a sound
_END_FADE = 0.030  # s
_SILENCE = 10.0 ** (-90.0 / 20.0)  # of the peak: what is below at the end is left away


def render_parts(
    emitter: Emitter,
    listener: Listener,
    responses: EnergyResponse,
    response_times: np.ndarray,
    duration: float,
    sample_rate: int = 48000,
    fmt: Format | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    tail: float | None = None,
    sound: np.ndarray | None = None,
    images: Images | None = None,
    apparent: Trajectory | None = None,
) -> np.ndarray:
    """What ``listener`` hears of ``emitter``, part by part; a sample of 1 is 1 pascal (see `sound`).

    Returns (3, n, channels) float32: direct sound, early reflections and the rest (see PARTS). ``responses`` (K, ...)
    are those of the pair at ``response_times`` (K,) s, increasing (see `motion.key_times`); ``images`` those of the
    emitter at the same times, whose energy is taken from the responses, none by default. ``apparent`` is where the
    direct sound comes from, the emitter's own path by default (see `firstsound`). ``duration`` in s is the length of
    the shot; the sound stops there and rings out for ``tail`` seconds, or, by default, until it is silent, at
    most MAX_TAIL. A sound that started before time 0 is already in the room by then. ``fmt`` is that for two ears by
    default. ``sound`` (m,) are the samples of the emitter's file at ``sample_rate`` if they were read before.
    ``progress`` gets 0..1 and may raise to cancel. The same ``seed`` gives the same samples. Raises UserError on values
    out of range and on sound files that cannot be read.
    """
    fmt = fmt or format_of("binaural")
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

    parts = _heard(
        dry,
        clock,
        emitter.trajectory,
        apparent or emitter.trajectory,
        listener.trajectory,
        responses,
        images or no_images(len(times)),
        times,
        fmt,
        _own_seed(seed, emitter),
        progress,
    )[:, preroll:]
    if preroll:
        fade = min(round(_CUT_FADE * sample_rate), parts.shape[1])
        parts[:, :fade] *= np.linspace(0.0, 1.0, fade, dtype=np.float32)[:, None]
    if tail is None:
        level = np.abs(parts).max(axis=(0, 2))
        loud = np.flatnonzero(level > _SILENCE * level.max(initial=0.0))
        parts = parts[:, : max(int(loud[-1]) + 1 if len(loud) else 0, shot)]
    fade = min(round(_END_FADE * sample_rate), max(parts.shape[1] - shot, 0))
    if fade:
        parts[:, -fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)[:, None]
    return parts


def impulse_response(
    response: EnergyResponse,
    sample_rate: int = 48000,
    fmt: Format | None = None,
    seed: int = 0,
    images: Images | None = None,
    rotation: np.ndarray | None = None,
) -> np.ndarray:
    """Impulse response of one pair from emission on, direct sound included, (n, channels) float32.

    The head has the ``rotation`` (3, 3), world = R @ local, and looks along x by default. Free-field sound at 1 m would
    be a unit impulse. ``images`` are those of the pair at one key (see `Images.at`); ``fmt`` and ``seed`` as in
    `render_parts`.
    """
    batch, fmt, images = response[None], fmt or format_of("binaural"), images or no_images(1)
    direction = np.asarray(response.direct_direction, np.float64).reshape(1, 3)
    norm = np.linalg.norm(direction)
    direction = direction / norm if norm > 0.0 else np.array([[1.0, 0.0, 0.0]])
    reach = np.linalg.norm(images.way, axis=-1).max(initial=0.0) / response.speed_of_sound
    clock = Clock(sample_rate, 0.0, round((max(ring_out(batch), reach) + 0.02) * sample_rate))
    dry = np.zeros(1, np.float32)
    dry[0] = 1.0
    here = Trajectory([0.0], np.zeros((1, 3)), None if rotation is None else np.asarray(rotation)[None])
    emitter = Trajectory([0.0], direction * float(response.distance))
    # Here the listener is the origin and nothing moves: an image lies where its way leads, whatever it mirrors.
    images = Images(np.zeros_like(images.turn), images.way[:, 0], images.energy, images.way)
    return _heard(dry, clock, emitter, emitter, here, batch, images, np.zeros(1), fmt, seed, None).sum(axis=0)


def _heard(
    dry: np.ndarray,
    clock: Clock,
    emitter: Trajectory,
    apparent: Trajectory,
    listener: Trajectory,
    responses: EnergyResponse,
    images: Images,
    times: np.ndarray,
    fmt: Format,
    seed: int,
    progress: Callable[[float], None] | None,
) -> np.ndarray:
    """Direct sound, early reflections and reverberation of ``dry`` (n,) as ``fmt``, (3, length, channels) float32."""
    way = [np.linalg.norm(np.diff(path.positions, axis=0), axis=1).sum() for path in (emitter, listener)]
    tell = progress or (lambda fraction: None)
    rest = without_images(responses, images)
    late = reverberation(
        dry, clock, rest, times, seed, bool(way[1] > way[0]), lambda fraction: tell(0.5 * fraction), fmt.order
    )
    if fmt.head_locked:
        late = _turn_to_head(late, listener, clock)
    result = np.empty((len(PARTS), clock.length, fmt.channels), np.float32)
    result[2] = fmt.decode(late, clock.sample_rate).T
    tell(0.6)
    result[0] = direct_sound(
        dry, clock, apparent, listener, _as_far_as(responses, times, apparent, listener), times, fmt
    ).T
    tell(0.7)
    result[1] = early_reflections(dry, clock, emitter, listener, images, times, responses.speed_of_sound, fmt).T
    tell(1.0)
    return result


def _as_far_as(
    responses: EnergyResponse, times: np.ndarray, emitter: Trajectory, listener: Trajectory
) -> EnergyResponse:
    """The ``responses`` at ``times`` (K,) with the distance from where the ``emitter`` seems to be."""
    ends = (Motion(path).position(times) for path in (emitter, listener))
    distance = np.linalg.norm(np.subtract(*ends), axis=1)
    return replace(responses, distance=distance.astype(np.float32))


def _turn_to_head(waves: np.ndarray, listener: Trajectory, clock: Clock) -> np.ndarray:
    """Ambisonics in world axes as heard in the axes of the listener's head."""
    hop = max(round(BLOCK_DURATION * clock.sample_rate), 1)
    knots = np.arange(0, clock.length + hop, hop) if turns(listener) else np.zeros(1, int)
    return turn(waves, rotations_at(listener, clock.origin + knots / clock.sample_rate), hop)


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
