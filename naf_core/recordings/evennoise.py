"""Noise whose spectrogram is even: it fluctuates far less, over time and frequency, than noise does by chance.

Chance makes the log-magnitudes of noise scatter by 0.64 about their mean, and of two noises of the same power differ by
0.69 in the mean. A response that is shaped from even noise differs from a recorded one of the right power by 0.52,
which is near the 0.49 of the best constant: the recording's own chance is left, that of the prediction is gone.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from naf_core.recordings.spectrogram import HOP, WINDOW, spectra, waveform

_ROUNDS = 60
_MOMENTUM = 0.99


@lru_cache(maxsize=8)
def even_noise(n_samples: int, seed: int) -> np.ndarray:
    """Noise (n_samples,) float32 of unit power, white, whose short-time magnitudes are alike, as near as may be.

    White noise whose magnitudes are set to one and whose phases are found by iterated projection (N. Perraudin, P.
    Balazs, P. L. Sondergaard, "A fast Griffin-Lim algorithm", IEEE WASPAA 2013). Read-only, as it is kept.
    """
    length = -(-n_samples // HOP) * HOP + 2 * WINDOW
    noise = np.random.default_rng(seed).standard_normal(length).astype(np.float32)
    spectrum = before = spectra(noise)
    for _ in range(_ROUNDS):
        noise = waveform(spectrum / np.maximum(np.abs(spectrum), 1e-12), length)
        now = spectra(noise)
        spectrum, before = now + _MOMENTUM * (now - before), now
    noise = noise[WINDOW : WINDOW + n_samples]
    noise = noise / np.sqrt(np.mean(np.square(noise, dtype=np.float64))).astype(np.float32)
    noise.setflags(write=False)
    return noise
