from __future__ import annotations

import numpy as np

from naf_core.bands import A_WEIGHTING_DB, BANDS_HZ, EXACT_BANDS_HZ, N_BANDS, a_weighting

# IEC 61672-1:2013, table 3: A-weighting at nominal frequencies, in dB.
TABLE = {
    10: -70.4,
    20: -50.5,
    31.5: -39.4,
    100: -19.1,
    315: -6.6,
    630: -1.9,
    3150: 1.2,
    12500: -4.3,
    20000: -9.3,
}


def test_eight_octaves_from_63_hz_to_8_khz():
    assert N_BANDS == len(BANDS_HZ) == len(EXACT_BANDS_HZ) == len(A_WEIGHTING_DB) == 8
    assert BANDS_HZ[0] == 63.0
    assert BANDS_HZ[-1] == 8000.0
    np.testing.assert_allclose(EXACT_BANDS_HZ, BANDS_HZ, rtol=0.01)
    ratio = np.array(EXACT_BANDS_HZ[1:]) / EXACT_BANDS_HZ[:-1]
    np.testing.assert_allclose(ratio, 10**0.3)  # IEC 61260-1: octaves of base ten


def test_a_weighting_of_the_octave_bands_is_the_published_one():
    np.testing.assert_allclose(A_WEIGHTING_DB, (-26.2, -16.1, -8.6, -3.2, 0.0, 1.2, 1.0, -1.1), atol=0.06)


def test_a_weighting_is_the_published_curve():
    # The standard's table is at exact frequencies, 10 ** (n / 10) Hz.
    exact = 10 ** (np.round(10 * np.log10(list(TABLE))) / 10)
    np.testing.assert_allclose(a_weighting(exact), list(TABLE.values()), atol=0.06)
    assert abs(float(a_weighting(1000.0))) < 1e-3
