"""How right a baked click is, the table of docs/sound.md: python -m tests.benchmarks.click [SEEDS]."""

from __future__ import annotations

import sys

import numpy as np
from scipy import signal

from naf_core.bands import BAND_EDGES_HZ, BANDS_HZ
from tests.test_render import click_errors


def butterworth(n_fft: int, sample_rate: int) -> np.ndarray:
    """Gains (8, n_fft // 2 + 1) of octave filters without phase, as steep as a Butterworth filter of third order."""
    frequency = np.fft.rfftfreq(n_fft, 1.0 / sample_rate)
    rows = []
    for low, high in zip(BAND_EDGES_HZ[:-1], BAND_EDGES_HZ[1:], strict=True):
        sections = signal.butter(3, [low, high], "bandpass", fs=sample_rate, output="sos")
        rows.append(np.abs(signal.sosfreqz(sections, frequency, fs=sample_rate)[1]))
    return np.array(rows)


def main(seeds: int) -> None:
    """Print the largest errors of each octave band, and how many seeds are off by more than 2 % or 0.2 dB."""
    print("octave band in Hz:", *BANDS_HZ)
    for title, options in (("filters as steep as the bands", {}), ("Butterworth, order 3", {"filters": butterworth})):
        found = [click_errors(seed, **options) for seed in range(seeds)]
        for name, index, scale, bar in (
            ("T30 in %", 0, 100.0, 2.0),
            ("C50 in dB", 1, 1.0, 0.2),
            ("windows", 2, 1.0, 0.2),
        ):
            errors = scale * np.abs(np.array([one[index] for one in found])).reshape(seeds, 8, -1).max(axis=2)
            print(f"{title}, {name}:", *np.round(errors.max(axis=0), 2), "beyond the bar:", *(errors > bar).sum(axis=0))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 48)
