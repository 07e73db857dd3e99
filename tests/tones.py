"""Sounds that tests of several modules share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 48000


def sine(frequency: float, seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    """A sine of full scale, float32."""
    return np.sin(2.0 * np.pi * frequency * np.arange(int(seconds * rate)) / rate).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE, **options: object) -> Path:
    """The samples as a file."""
    soundfile.write(path, samples, rate, **options)
    return path
