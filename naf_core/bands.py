"""The eight octave bands in which all acoustics of this package are computed."""

from __future__ import annotations

import numpy as np

# Nominal mid-band frequencies (IEC 61260-1:2014, base ten).
BANDS_HZ = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
N_BANDS = len(BANDS_HZ)

# Exact mid-band frequencies of the same bands, used where a filter or a formula needs them.
EXACT_BANDS_HZ = tuple(float(1000.0 * 10 ** (0.3 * k)) for k in range(-4, 4))

# Edges between the bands, one more than bands (IEC 61260-1:2014, 5.5).
BAND_EDGES_HZ = tuple(float(1000.0 * 10 ** (0.3 * (k - 0.5))) for k in range(-4, 5))


def a_weighting(frequency: np.ndarray | float) -> np.ndarray:
    """A-weighting in dB at ``frequency`` in Hz (> 0), any shape (IEC 61672-1:2013, annex E)."""
    f2 = np.square(np.asarray(frequency, dtype=np.float64))
    ratio = (12194.217**2 * f2**2) / (
        (f2 + 20.598997**2) * np.sqrt((f2 + 107.65265**2) * (f2 + 737.86223**2)) * (f2 + 12194.217**2)
    )
    return 20.0 * np.log10(ratio) + 1.9995


A_WEIGHTING_DB = tuple(float(x) for x in a_weighting(np.array(EXACT_BANDS_HZ)))
