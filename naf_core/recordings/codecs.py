"""Lossy codecs as stores of impulse responses: AAC-LC by ffmpeg, Opus by opus-tools."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from naf_core.errors import UserError

_GAP = 0.1  # s of silence between responses, over which a codec forgets
_PEAK = 0.5  # of each response before it is stored
_GAIN_BYTES = 4  # of its level, kept beside
_LONGEST = 600.0  # s that a codec may take


@dataclass(frozen=True)
class AacLc:
    """AAC-LC by ffmpeg, ``kbits`` thousand bits a second and channel."""

    kbits: int = 12
    name: str = "AAC-LC"

    def through(self, responses: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
        """What ``responses`` have become, and bytes; raises UserError where ffmpeg is missing or fails."""
        ffmpeg = _program("ffmpeg", "ffmpeg")
        bits = f"{self.kbits * responses.shape[1]}k"
        quiet = [ffmpeg, "-nostdin", "-loglevel", "error", "-y", "-i"]

        def store(source: Path, target: Path, back: Path) -> None:
            _call([*quiet, source, "-c:a", "aac", "-b:a", bits, target])
            _call([*quiet, target, "-c:a", "pcm_f32le", back])

        return _through(responses, sample_rate, ".m4a", store)


@dataclass(frozen=True)
class Opus:
    """Opus by opus-tools, ``kbits`` thousand bits a second and channel."""

    kbits: int = 6
    name: str = "Opus"

    def through(self, responses: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
        """What ``responses`` have become, and bytes; raises UserError where opus-tools are missing or fail."""
        encoder, decoder = _program("opusenc", "opus-tools"), _program("opusdec", "opus-tools")
        bits = str(self.kbits * responses.shape[1])

        def store(source: Path, target: Path, back: Path) -> None:
            _call([encoder, "--quiet", "--music", "--bitrate", bits, source, target])
            _call([decoder, "--quiet", "--float", "--rate", str(sample_rate), target, back])

        return _through(responses, sample_rate, ".opus", store)


def _through(
    responses: np.ndarray, sample_rate: int, suffix: str, store: Callable[[Path, Path, Path], None]
) -> tuple[np.ndarray, int]:
    """All responses through one file, each at the same peak and with silence after it."""
    count, channels, length = responses.shape
    peak = np.abs(responses).max(axis=(1, 2), keepdims=True)
    level = np.where(peak > 0.0, peak, 1.0) / _PEAK
    gap = round(_GAP * sample_rate)
    row = np.pad(responses / level, ((0, 0), (0, 0), (0, gap))).transpose(0, 2, 1).reshape(-1, channels)
    with tempfile.TemporaryDirectory() as folder:
        source, target, back = (Path(folder, name) for name in ("in.wav", f"stored{suffix}", "out.wav"))
        soundfile.write(source, row, sample_rate, subtype="FLOAT")
        store(source, target, back)
        decoded, rate = soundfile.read(back, dtype="float32", always_2d=True)
        size = target.stat().st_size
    if rate != sample_rate or decoded.shape[1] != channels:
        raise UserError(f"A codec gave {decoded.shape[1]} channels at {rate} Hz back: install a newer version of it.")
    decoded = np.pad(decoded[: len(row)], ((0, max(len(row) - len(decoded), 0)), (0, 0)))
    decoded = decoded.reshape(count, length + gap, channels)[:, :length].transpose(0, 2, 1)
    return (decoded * level).astype(np.float32), size + _GAIN_BYTES * count


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UserError(
            f"{name} is not installed: install the package {package} (on Debian: apt-get install {package})."
        )
    return found


def _call(line: list[object]) -> None:
    words = [str(word) for word in line]
    try:
        result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LONGEST)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{words[0]} could not be run: {error}") from error
    if result.returncode:
        raise UserError(f"{words[0]} failed: {(result.stderr or result.stdout).strip()[-300:]}")
