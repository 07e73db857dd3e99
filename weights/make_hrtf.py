"""Repack the KEMAR head-related transfer functions of the MIT Media Lab into hrtf.safetensors.

Run `python weights/make_hrtf.py MIT_KEMAR_normal_pinna.sofa`. The SOFA file is in the Debian package
libmysofa1, under /usr/share/libmysofa. The result is committed, so nobody has to run this; it gives the same
bytes every time.

Data: B. Gardner and K. Martin, "HRTF Measurements of a KEMAR Dummy-Head Microphone", MIT Media Lab Perceptual
Computing Technical Report 280, 1994. Copyright 1994 by the MIT Media Laboratory; provided free with no
restrictions on use, provided the authors are cited when the data is used in any research or commercial
application.

What is done to the 710 measurements (44.1 kHz, elevations -40 to 90 degrees, 1.4 m):
1. The delay of each response is where it correlates best, up to 3 kHz, with its own minimum-phase version
   (J. Nam, M. A. Kolar and J. S. Abel, "On the minimum-phase nature of head-related transfer functions",
   AES 125th Convention, 2008). Only the difference between the ears is taken from it; their mean is that of
   a sphere (R. S. Woodworth, Experimental Psychology, 1938), because the measured rings of 60 and 70
   degrees came 0.07 ms early.
2. The power spectrum is smoothed over a sixth of an octave, less than the ear resolves (J. Breebaart and A.
   Kohlrausch, "The perceptual (ir)relevance of HRTF magnitude and phase spectra", AES 110th Convention,
   2001).
3. The magnitude is divided by the mean over all directions (diffuse-field equalisation: H. Møller,
   "Fundamentals of binaural technology", Applied Acoustics 36, 1992, section 5), which removes the
   loudspeaker and the ear canal and leaves the timbre of a diffuse field neutral.
4. Below 100 Hz, where the loudspeaker gave nothing, the magnitude is 0 dB as for a small head; it blends
   into the measurement up to 800 Hz. Above 20 kHz the value at 20 kHz is held.
5. The set is symmetrical (the right ear is the mirrored left ear), so the left ear alone is stored. One
   point is added straight below: the mean of the lowest ring, because nothing was measured under -40
   degrees.
"""

import os
import sys
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import save
from scipy.spatial import SphericalVoronoi

N_FFT = 512  # 86 Hz between the stored frequencies
OVERSAMPLING = 8
HEAD_RADIUS = 0.0875  # m
SPEED_OF_SOUND = 343.0  # m/s


def minimum_phase(magnitude, n_fft):
    """Impulse responses (n, n_fft) of minimum phase with the given magnitudes (n, n_fft // 2 + 1)."""
    floor = 1e-5 * magnitude.max(axis=-1, keepdims=True)
    cepstrum = np.fft.irfft(np.log(np.maximum(magnitude, floor)), n_fft)
    fold = np.zeros(n_fft)
    fold[0], fold[1 : n_fft // 2], fold[n_fft // 2] = 1.0, 2.0, 1.0
    return np.fft.irfft(np.exp(np.fft.rfft(cepstrum * fold)), n_fft)


def delays(responses, sample_rate):
    """Delay of each response (n, taps) against its minimum-phase version up to 3 kHz, in seconds."""
    n = 4 * responses.shape[1]
    spectrum = np.fft.rfft(responses, n)
    reference = np.fft.rfft(minimum_phase(np.abs(spectrum), n), n)
    frequency = np.fft.rfftfreq(n, 1.0 / sample_rate)
    band = np.clip((frequency - 100.0) / 200.0, 0.0, 1.0) * np.clip((4000.0 - frequency) / 2000.0, 0.0, 1.0)
    correlation = np.fft.irfft(band * spectrum * np.conj(reference), OVERSAMPLING * n)
    peak = correlation[:, : OVERSAMPLING * responses.shape[1]].argmax(axis=1)
    rows = np.arange(len(peak))
    left, centre, right = (correlation[rows, peak + k] for k in (-1, 0, 1))
    vertex = 0.5 * (left - right) / (left - 2.0 * centre + right)
    return (peak + vertex) / (OVERSAMPLING * sample_rate)


def sphere_delays(lateral):
    """Arrival time in s at a point of a rigid sphere against its centre; `lateral` is the cosine of incidence."""
    return HEAD_RADIUS / SPEED_OF_SOUND * np.where(lateral > 0.0, -lateral, np.arccos(lateral) - 0.5 * np.pi)


def smoothed(power, width):
    """Power spectra (n, bins) averaged over `width` octaves around each bin."""
    bins = np.arange(power.shape[1])
    low = np.floor(bins * 2.0 ** (-0.5 * width)).astype(int)
    high = np.minimum(np.ceil(bins * 2.0 ** (0.5 * width)).astype(int), bins[-1])
    total = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    return (total[:, high + 1] - total[:, low]) / (high + 1 - low)


def main(path):
    """Read the SOFA file at `path` and write hrtf.safetensors beside this script."""
    with h5py.File(path, "r") as file:
        responses = file["Data.IR"][:, 0, :]
        mirrored = file["Data.IR"][:, 1, :]
        azimuth, elevation = np.radians(file["SourcePosition"][:, :2]).T
        sample_rate = float(file["Data.SamplingRate"][0])
    directions = np.stack(
        [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], axis=1
    )
    opposite = np.argmax(directions @ (directions * [1.0, -1.0, 1.0]).T, axis=1)
    if not np.array_equal(responses[opposite], mirrored):
        raise SystemExit(f"{path} is not symmetrical: both ears would have to be stored.")

    onset = delays(responses, sample_rate)
    # The response proper: from 1 ms before its onset over 6.8 ms, faded out, so that late noise does not
    # count.
    first = np.maximum(np.round(onset * sample_rate).astype(int) - 44, 0)
    window = np.r_[np.ones(N_FFT // 2), 0.5 + 0.5 * np.cos(np.pi * (np.arange(44) + 0.5) / 44)]
    padded = np.pad(responses, ((0, 0), (0, N_FFT)))
    cut = np.stack([row[i : i + len(window)] for row, i in zip(padded, first, strict=True)]) * window
    power = smoothed(np.abs(np.fft.rfft(cut, N_FFT)) ** 2, 1.0 / 6.0)

    area = SphericalVoronoi(directions).calculate_areas()
    diffuse = (area[:, None] * power).sum(axis=0) / area.sum()
    decibel = 10.0 * np.log10(np.maximum(power / diffuse, 1e-5))
    frequency = np.fft.rfftfreq(N_FFT, 1.0 / sample_rate)
    decibel[:, frequency > 20000.0] = decibel[:, frequency <= 20000.0][:, -1:]
    position = np.clip(np.log(np.maximum(frequency, 1.0) / 100.0) / np.log(800.0 / 100.0), 0.0, 1.0)
    decibel *= 0.5 - 0.5 * np.cos(np.pi * position)

    lowest = elevation < np.radians(-39.0)
    lateral = directions[:, 1]
    delay = 0.5 * (sphere_delays(lateral) + sphere_delays(-lateral) + onset - onset[opposite])
    directions = np.vstack([directions, [0.0, 0.0, -1.0]])
    decibel = np.vstack([decibel, decibel[lowest].mean(axis=0)])
    delay = np.append(delay, 0.0)

    target = Path(__file__).with_name("hrtf.safetensors")
    part = target.with_name(target.name + ".part")
    part.write_bytes(
        save(
            {
                "directions": np.ascontiguousarray(directions, np.float32),
                "magnitude_db": np.ascontiguousarray(decibel, np.float16),
                "delay": np.ascontiguousarray(delay, np.float32),
                "frequency": np.ascontiguousarray(frequency, np.float32),
            },
            metadata={
                "format": "acoustic-fields hrtf 1",
                "source": "KEMAR, normal pinna: Gardner and Martin, MIT Media Lab, 1994",
                "licence": "free with no restrictions on use, provided the authors are cited",
            },
        )
    )
    os.replace(part, target)
    print(f"{target}: {len(directions)} directions, {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1])
