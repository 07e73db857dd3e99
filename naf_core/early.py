"""Early reflections: each image of the emitter is heard as the emitter is, with its own delay, level and direction."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import cached_property

import numpy as np

from naf_core.air import NEAREST
from naf_core.clock import Clock, Held, Signal, Stretch, stretches
from naf_core.delays import DelayLine
from naf_core.direct import nearest_of
from naf_core.filtering import Blend
from naf_core.formats import Format
from naf_core.gains import lines, sweep
from naf_core.images import Images
from naf_core.motion import Motion, rotations_at, turns
from naf_core.scene import Trajectory
from naf_core.spatial import convolved, filter_length, shaped_filters

KNOT_DURATION = 0.010  # s, at which directions and delays are set anew
_FILTER_KNOTS = 4  # from one filter to the next
_LEAD = 0.010  # s by which an ear may hear before the centre of the head, at most
_TOGETHER = 16  # images mixed at a time


class EarlyReflections:
    """What arrives of ``dry`` through ``images`` at ``key_times`` (K,) s, as ``fmt``, any part of it at a time.

    Each image moves as the emitter does, so its delay, Doppler shift, distance and direction follow from the motion
    of both, every 10 ms and smoothly in between; what walls and air take runs straight from key to key, and so does
    the level where an image comes into view. The filters of these, and of the ears, change every 40 ms, and so do the
    delays of the ears.
    """

    def __init__(
        self,
        dry: Signal,
        clock: Clock,
        emitter: Trajectory,
        listener: Trajectory,
        images: Images,
        key_times: np.ndarray,
        speed_of_sound: float,
        fmt: Format,
    ) -> None:
        self._dry, self._clock, self._listener, self._images = dry, clock, listener, images
        self._times, self._speed, self._fmt = key_times, speed_of_sound, fmt
        self._paths = Motion(emitter), Motion(listener)
        self._level, self._shape_db = _transmission(images)
        changes = np.ptp(self._level, axis=1).any() or np.ptp(self._shape_db, axis=1).any()
        self._still = not (self._paths[0].moves or self._paths[1].moves or turns(listener) or changes)

    def heard(self, first: int, last: int) -> np.ndarray:
        """Samples ``first`` up to ``last`` of the clock, (channels, last - first) float32.

        They do not depend on the parts in which they are asked for.
        """
        result = np.zeros((self._fmt.channels, last - first), np.float32)
        if not len(self._images):
            return result
        if self._still:  # nothing changes: one impulse response says it all
            reach = self._impulse.shape[1] - 1
            near = self._dry.read(max(first - reach, 0), last)
            if near.any():
                near = np.pad(near, (max(reach - first, 0), 0))
                for channel, response in zip(result, self._impulse, strict=True):
                    if response.any():
                        channel[:] = convolved(near[None], response[None])[reach:]
            return result
        for stretch in stretches(self._clock, self._paths):
            start, stop = max(first, stretch.first), min(last, stretch.last)
            if start < stop:
                result[:, start - first : stop - first] += self._within(stretch, start, stop)
        return result

    @cached_property
    def _impulse(self) -> np.ndarray:
        """What is heard of a click, (channels, m), when nothing changes."""
        reach = np.linalg.norm(self._images.way[:, 0], axis=1).max() / self._speed
        rate = self._clock.sample_rate
        click = copy(self)
        click._dry, click._still = Held(np.ones(1)), False
        click._clock = Clock(rate, self._clock.origin, round((reach + 0.02) * rate))
        return click.heard(0, click._clock.length)

    def _within(self, stretch: Stretch, start: int, stop: int) -> np.ndarray | float:
        """As `heard`, within one stretch between two jumps."""
        rate, fmt, anchor = self._clock.sample_rate, self._fmt, stretch.anchor
        hop = max(round(KNOT_DURATION * rate), 1)
        # Filters change on a grid of the stretch, and have to have begun before the part that is asked for.
        grid = _FILTER_KNOTS * hop
        first = stretch.first + grid * max((start - stretch.first) // grid - 1, 0)
        knots = first + hop * np.arange(_FILTER_KNOTS * (-(-(stop - first) // grid) + 1) + 1)
        times = self._clock.origin + knots / rate
        gain = np.stack([np.interp(times, self._times, row) for row in self._level])
        heard = np.flatnonzero(gain.any(axis=1))
        if not len(heard):
            return 0.0
        way = _ways(self._images.turn[heard], self._images.shift[heard], self._paths, times, self._speed, anchor)
        length = np.linalg.norm(way, axis=-1)
        delay = length / self._speed * rate
        lead = int(_LEAD * rate)
        line = DelayLine(self._dry, int((knots - delay).min()) - lead, int((knots - delay).max()) + lead)
        if line.silent:
            return 0.0
        strength = gain[heard] / np.maximum(length, NEAREST)  # (I, K)
        way /= np.maximum(length, 1e-9)[..., None]
        if fmt.head_locked:
            way = np.einsum("kji,skj->ski", rotations_at(self._listener, times), way)
        shapes = self._shape_db[heard]

        def blend() -> Blend:
            return Blend(len(knots[::_FILTER_KNOTS]), grid, filter_length(rate))

        def pieces(image: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
            """Knots between which an image is heard, its shape there in dB, and how loud it is at each sample."""
            for part in _heard_knots(strength[image]):
                coarse = times[part][::_FILTER_KNOTS]
                shape = np.stack([np.interp(coarse, self._times, band) for band in shapes[image].T], axis=1)
                yield part, shape, lines(strength[image, part], hop)

        if fmt.ears is not None:
            ears = blend(), blend()
            for image, (towards, late) in enumerate(zip(way, delay, strict=True)):
                for part, shape, level in pieces(image):
                    coarse = knots[part][::_FILTER_KNOTS]
                    filters, extra = fmt.ears.filters(towards[part][::_FILTER_KNOTS], rate, shape)
                    for ear, own in enumerate(ears):
                        places = knots[part] - late[part] - rate * np.interp(knots[part], coarse, extra[:, ear])
                        wave = line.swept(places, hop)
                        wave *= level
                        own.add(wave, filters[:, ear], part.start // _FILTER_KNOTS)
            result = np.stack([ear.heard(stop - first) for ear in ears])
        else:
            result = np.zeros((fmt.channels, stop - first), np.float32)
            for low in range(0, len(heard), _TOGETHER):
                some, waves = slice(low, low + _TOGETHER), []
                for image, late in enumerate(delay[some], start=low):
                    own = blend()
                    for part, shape, level in pieces(image):
                        wave = line.swept(knots[part] - late[part], hop)
                        own.add(wave * level, shaped_filters(shape, rate), part.start // _FILTER_KNOTS)
                    waves.append(own.heard(stop - first))
                gains = fmt.gains(way[some].reshape(-1, 3)).reshape(fmt.channels, len(waves), -1)
                result += sweep(gains.transpose(2, 0, 1), np.stack(waves), hop)
        result *= stretch.fade(self._clock.times(first, stop))
        return result[:, start - first :]


def _transmission(images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Level (S, K) of each image at 1 m, 0 where it is not heard, and its band gains (S, K, 8) in dB relative to it."""
    length = np.maximum(np.linalg.norm(images.way, axis=-1), NEAREST)
    bands = np.sqrt(images.energy) * length[..., None]
    level = bands.max(axis=-1)
    # Where it is not heard it has no colour of its own: it takes that of the nearest key at which it is.
    for image, row in enumerate(level):
        bands[image] = bands[image, nearest_of(row > 0.0)]
    return level, 20.0 * np.log10(np.maximum(bands / bands.max(axis=-1, keepdims=True), 1e-3))


def _heard_knots(strength: np.ndarray) -> list[slice]:
    """Knots between which something is heard of an image of ``strength`` (K,), and a filter's time on either side."""
    present = np.flatnonzero(strength)
    runs = np.split(present, np.flatnonzero(np.diff(present) > 4 * _FILTER_KNOTS) + 1)
    # On the grid of the filters, so that these are the same whatever else is asked for.
    starts = [max(run[0] // _FILTER_KNOTS - 1, 0) * _FILTER_KNOTS for run in runs if len(run)]
    return [slice(start, run[-1] + _FILTER_KNOTS + 1) for start, run in zip(starts, runs, strict=False)]


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
