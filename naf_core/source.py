"""What an emitter sends: its sound file, read piece by piece, placed in time, levelled and with its volume."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from math import gcd
from pathlib import Path
from threading import Lock

import numpy as np
import soundfile
import soxr

from naf_core.clip import WHOLE, Clip, Clipped, Sound
from naf_core.clock import Clock
from naf_core.errors import UserError
from naf_core.scene import Emitter
from naf_core.sound import SAMPLE_RATES, Content

CUT_FADE = 0.005  # s, where the frame range cuts into a sound

_PIECE = 1 << 18  # samples read at a time
_VALUES = 1 << 20  # values of all channels that are held at a time: a piece of an MP3 file, which has two, at once
_MARGIN = 4096  # samples of the file around a piece, so that its resampling is that of the whole
_RUN_UP = 1 << 15  # samples of an MP3 file after a leap until it sounds as it should
_BLOCK = 1 << 16  # samples of an emitter's sound that are made at a time
_KEPT = 64  # such blocks that are kept
_LOBES, _PHASES = 16, 512  # of the windowed sinc with which a sound of another pitch is read


class Source:
    """A sound file as one channel at ``sample_rate`` Hz: ``length`` samples, of which any part can be read.

    Any format, rate (4000 to 384 000 Hz), length and number of channels that libsndfile reads; channels are averaged.
    ``content`` is what it holds (see `Content`). ``object_name`` is who needs the file, for messages. Raises UserError
    when the file is missing, unreadable or empty, or has samples that are not finite numbers - also later, when it
    changes or vanishes. ``progress`` gets 0..1.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        object_name: str | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.path, self.sample_rate, self._name = Path(path), sample_rate, object_name
        with self._opened() as file:
            self._rate, self._frames = file.samplerate, file.frames
        if not SAMPLE_RATES[0] <= self._rate <= SAMPLE_RATES[1]:
            raise UserError(
                f"The sound file {path} has {self._rate} samples a second: convert it to 48000.", object_name
            )
        if not self._frames:
            raise UserError(f"The sound file {path} is empty: choose a file with sound in it.", object_name)
        common = gcd(self._rate, sample_rate)
        self._ratio = self._rate // common, sample_rate // common  # samples of the file for those that are wanted
        self.length = max(self._frames * sample_rate // self._rate, 1)
        self.content = Content(sample_rate)
        for first in range(0, self.length, _PIECE):
            self.content.add(self.read(first, min(first + _PIECE, self.length)))
            if progress is not None:
                progress(min(first + _PIECE, self.length) / self.length)
        self.content.finish()

    def read(self, first: int, last: int) -> np.ndarray:
        """Samples from ``first`` up to ``last``, (last - first,) float32, silence before and after the file."""
        start, stop = max(first, 0), min(last, self.length)
        result = np.zeros(max(last - first, 0), np.float32)
        for low in range(start, stop, _PIECE):
            high = min(low + _PIECE, stop)
            result[low - first : high - first] = self._resampled(low, high)
        return result

    def _resampled(self, first: int, last: int) -> np.ndarray:
        per, wanted = self._ratio
        if per == wanted:
            return self._raw(first, last)
        # From a sample of the file that falls on one of the result, so that both count from the same moment.
        groups = max(first // wanted - _MARGIN // per - 1, 0)
        samples = self._raw(groups * per, min((last // wanted + 1) * per + _MARGIN, self._frames))
        made = soxr.resample(samples, self._rate, self.sample_rate, quality="VHQ")
        part = made[first - groups * wanted : last - groups * wanted]
        return np.pad(part, (0, last - first - len(part)))

    def _raw(self, first: int, last: int) -> np.ndarray:
        """Samples of the file at its own rate, its channels averaged."""
        with self._opened() as file:
            weights = np.full(file.channels, 1.0 / file.channels, np.float32)
            step = max(_VALUES // file.channels, 1)
            try:
                begin = max(first - _RUN_UP, 0) if file.format == "MP3" else first
                file.seek(begin)
                result = np.zeros(last - begin, np.float32)  # the header may have claimed more than there is
                for low in range(0, last - begin, step):
                    samples = file.read(min(step, last - begin - low), dtype="float32", always_2d=True)
                    result[low : low + len(samples)] = samples @ weights
            except (soundfile.SoundFileError, OSError) as error:
                raise self._unreadable(error) from error
        if not np.isfinite(result[first - begin :]).all():
            raise UserError(
                f"The sound file {self.path} has samples that are not finite numbers: export it again.", self._name
            )
        return result[first - begin :]

    def _opened(self) -> soundfile.SoundFile:
        if not self.path.is_file():
            raise UserError(f"The sound file {self.path} is missing: choose another file, or put it back.", self._name)
        try:
            return soundfile.SoundFile(self.path)
        except (soundfile.SoundFileError, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> UserError:
        return UserError(f"The sound file {self.path} cannot be read ({error}): convert it to WAV or FLAC.", self._name)


class Dry:
    """What ``emitter`` sends, in pascals at 1 m: ``source`` at each start, with its pitch, levelled, with its volume.

    Before the origin of the ``clock``, whose rate is that of the source, and after ``length`` samples it is cut off.
    """

    def __init__(self, emitter: Emitter, source: Source, clock: Clock, length: int) -> None:
        self._emitter, self._source, self._clock, self._length = emitter, source, clock, length
        self._gain = np.float32(source.content.calibration(emitter.level))
        self._plays = sorted(zip(emitter.starts, clips_of(emitter), strict=True), key=lambda play: play[0])
        self._sounds = {clip: source if clip == WHOLE else Clipped(source, clip) for _, clip in self._plays}
        self._played = None if (emitter.pitch == 1.0).all() else Played(emitter)
        self._blocks: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = Lock()  # direct sound and reverberation read at once

    def read(self, first: int, last: int) -> np.ndarray:
        """As `Signal.read`."""
        result = np.zeros(max(last - first, 0), np.float32)
        start, stop = max(first, 0), min(last, self._length)
        for number in range(start // _BLOCK, -(-stop // _BLOCK)) if start < stop else ():
            low, high = max(start, number * _BLOCK), min(stop, (number + 1) * _BLOCK)
            result[low - first : high - first] = self._block(number)[low - number * _BLOCK : high - number * _BLOCK]
        return result

    def _block(self, number: int) -> np.ndarray:
        with self._lock:
            if number not in self._blocks:
                self._blocks[number] = self._made(number)
                if len(self._blocks) > _KEPT:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end(number)
            return self._blocks[number]

    def _made(self, number: int) -> np.ndarray:
        first, last = number * _BLOCK, min((number + 1) * _BLOCK, self._length)
        made = self._placed(first, last)
        if made.any():
            made *= self._fades(first, last)
            made *= volume(self._emitter, self._clock, first, last)
            made *= self._gain
        return made

    def _placed(self, first: int, last: int) -> np.ndarray:
        """The sound at each start, (last - first,)."""
        result, rate = np.zeros(last - first, np.float32), self._clock.sample_rate
        for start, clip in self._plays:
            if start >= self._clock.origin + last / rate:
                break
            sound = self._sounds[clip]
            if self._played is None and clip.speed == 1.0:
                begin = round((start - self._clock.origin) * rate)
                if begin + sound.length > first:
                    result += sound.read(first - begin, last - begin)
            else:
                played = self._played or Played(self._emitter)
                result += played.read(sound, self._clock.times(first, last), float(start), clip.speed)
        return result

    def _fades(self, first: int, last: int) -> np.ndarray:
        """Gains that end the sound at the last sample, and begin it where the clock's origin cuts into it."""
        fade = min(round(CUT_FADE * self._clock.sample_rate), self._length)
        at = np.arange(first, last)
        gain = np.clip((self._length - 1 - at) / max(fade - 1, 1), 0.0, 1.0)
        if self._clock.origin < 0.0:
            gain = gain * np.clip(at / max(fade - 1, 1), 0.0, 1.0)
        return gain.astype(np.float32)


class Played:
    """How a sound of changing pitch runs: as fast as the pitch says, straight between two frames."""

    def __init__(self, emitter: Emitter) -> None:
        self._times, self._pitch = emitter.trajectory.times, emitter.pitch
        steps = 0.5 * (self._pitch[1:] + self._pitch[:-1]) * np.diff(self._times)
        self._past = np.concatenate([[0.0], np.cumsum(steps)])

    def until(self, times: np.ndarray) -> np.ndarray:
        """Seconds of sound that have been played at ``times`` (n,) in s, from the first frame on; less before it."""
        known, pitch = self._times, self._pitch
        frame = np.clip(np.searchsorted(known, times, side="right") - 1, 0, max(len(known) - 2, 0))
        inside = np.clip(times, known[0], known[-1]) - known[frame]
        slope = (pitch[frame + 1] - pitch[frame]) / (known[frame + 1] - known[frame]) if len(known) > 1 else 0.0
        beyond = np.minimum(times - known[0], 0.0) * pitch[0] + np.maximum(times - known[-1], 0.0) * pitch[-1]
        return self._past[frame] + inside * (pitch[frame] + 0.5 * slope * inside) + beyond

    def read(self, source: Sound, times: np.ndarray, start: float, speed: float = 1.0) -> np.ndarray:
        """The ``source`` that started at ``start`` as heard at ``times`` (n,) in s, (n,) float32.

        It is played ``speed`` times as fast as the pitch says. A windowed sinc that is as much wider as that is above
        1, so that nothing folds back.
        """
        at = (self.until(times) - self.until(np.array([start]))) * (speed * source.sample_rate)
        at = np.where(times < start, -1e9, at)
        wide = np.maximum(speed * np.interp(times, self._times, self._pitch), 1.0)
        reach = 4.0 * _LOBES * wide.max(initial=1.0)
        live = np.flatnonzero((at > -reach) & (at < source.length + reach))
        result = np.zeros(len(times), np.float32)
        if not len(live):
            return result
        table = _kernel()
        for part in np.array_split(live, -(-len(live) // 8192)):
            reach = int(np.ceil(_LOBES * wide[part].max()))
            whole = np.floor(at[part]).astype(np.int64)
            low = int(whole.min()) - reach
            near = source.read(low, int(whole.max()) + reach + 2)
            taps = np.arange(-reach + 1, reach + 1)
            distance = np.abs((at[part] - whole)[:, None] - taps) / wide[part, None]
            weights = np.interp(distance, np.arange(len(table)) / _PHASES, table, right=0.0) / wide[part, None]
            index = whole[:, None] - low + taps
            result[part] = np.einsum("nt,nt->n", near[index], weights)
        return result


@cache
def _kernel() -> np.ndarray:
    """Half of a windowed sinc of _LOBES zeros to either side, _PHASES values from zero to zero."""
    position = np.arange(_LOBES * _PHASES + 1) / _PHASES
    return np.sinc(position) * np.i0(8.0 * np.sqrt(1.0 - (position / _LOBES) ** 2)) / np.i0(8.0)


def sounding(emitter: Emitter, seconds: float, duration: float) -> Iterator[bool]:
    """Whether a sound of ``seconds`` is heard within 0 to ``duration`` s, start by start."""
    played = Played(emitter)
    for start, clip in zip(emitter.starts, clips_of(emitter), strict=True):
        past, lasts = played.until(np.array([start, 0.0])), clip.seconds(seconds)
        yield lasts > 0.0 and start < duration and (start >= 0.0 or float(past[1] - past[0]) < lasts)


def clips_of(emitter: Emitter) -> tuple[Clip, ...]:
    """What of its sound an emitter plays at each of its starts."""
    return emitter.clips or (WHOLE,) * len(emitter.starts)


def volume(emitter: Emitter, clock: Clock, first: int, last: int) -> np.ndarray:
    """The emitter's volume at the samples, (last - first,) float32: straight between frames, rounded over 10 ms."""
    times, gain = emitter.trajectory.times, emitter.gain
    if not np.ptp(gain):
        return np.full(last - first, gain[0], np.float32)
    step, rate = 0.001, clock.sample_rate
    knots = clock.origin + step * np.arange(int(first / rate / step) - 6, int(last / rate / step) + 8)
    window = np.hanning(13)[1:-1]
    smooth = np.convolve(np.interp(knots, times, gain), window / window.sum(), mode="same")
    return np.interp(clock.times(first, last), knots[5:-5], smooth[5:-5]).astype(np.float32)
