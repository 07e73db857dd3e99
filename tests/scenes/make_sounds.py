"""Make the three dry sounds of the demo scene: speech, a small band on the radio, a walking toy robot.

Run `.venv/bin/python tests/scenes/make_sounds.py` to write talker.flac, music.flac and moving.flac into
tests/scenes/sounds: each 10 s, mono, 48 kHz, 16 bit, without any room. It needs numpy, scipy, soundfile and,
for the speech only, the program espeak-ng (Debian: `apt-get install espeak-ng`). The results are committed,
so nobody has to run it; it draws every random number from a fixed seed and gives the same sounds again with
the same espeak-ng (1.51).

The sounds are made for this project from nothing else than this file and are CC0.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, lfilter, resample_poly, sosfilt

SAMPLE_RATE = 48_000
DURATION = 10.0
LOUDNESS = -22.0
"""Integrated loudness of each sound, LUFS."""
BEAT = 60.0 / 108.0
"""Both musical sounds keep one tempo and one key, so that they agree when heard together."""
FOLDER = Path(__file__).parent / "sounds"

SPEECH = (
    "Good morning! Walk past my sofa, through the doorway, and into the kitchen. "
    "My voice will stay behind, while the radio comes closer."
)
VOICE = ["-v", "en-gb", "-s", "165", "-p", "44", "-g", "2"]


def hertz(note):
    """Frequency in Hz of a MIDI note number (69 is A4, 440 Hz)."""
    return 440.0 * 2.0 ** ((note - 69) / 12.0)


def seconds(duration):
    """Sample times in s of a sound that lasts duration s."""
    return np.arange(round(duration * SAMPLE_RATE)) / SAMPLE_RATE


def noise_band(rng, duration, low, high):
    """White noise between two frequencies in Hz."""
    sections = butter(2, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfilt(sections, rng.standard_normal(round(duration * SAMPLE_RATE)))


def pluck(rng, note, duration, brightness=0.5, decay=0.996):
    """A plucked string (Karplus and Strong 1983), tuned by linear interpolation in the delay line."""
    period = SAMPLE_RATE / hertz(note)
    whole = int(period - 0.5)
    fraction = period - 0.5 - whole
    excitation = np.zeros(round(duration * SAMPLE_RATE))
    burst = lfilter([brightness], [1.0, brightness - 1.0], rng.uniform(-1.0, 1.0, whole))
    excitation[:whole] = burst - burst.mean()
    loop = decay * np.convolve([0.5, 0.5], [1.0 - fraction, fraction])
    feedback = np.concatenate([[1.0], np.zeros(whole - 1), -loop])
    return lfilter([1.0], feedback, excitation) * np.exp(-seconds(duration) / 1.5)


def piano(rng, note, duration):
    """A struck stiff string: slightly stretched partials that decay the sooner the higher, and a hammer."""
    time = seconds(duration)
    tone = np.zeros_like(time)
    for partial in range(1, 15):
        frequency = hertz(note) * partial * np.sqrt(1.0 + 4e-4 * partial**2)
        if frequency > 16_000.0:
            break
        strength = partial**-1.3 * abs(np.sin(np.pi * partial / 7.3))
        decay = 1.1 / (1.0 + 0.35 * partial)
        for detune in (0.9996, 1.0004):
            phase = rng.uniform(0.0, 2.0 * np.pi)
            tone += strength * np.exp(-time / decay) * np.sin(2.0 * np.pi * frequency * detune * time + phase)
    hammer = noise_band(rng, duration, 800.0, 5000.0) * np.exp(-time / 0.008)
    return (tone + 0.4 * hammer) * (1.0 - np.exp(-time / 0.002))


def comb_tooth(note, duration):
    """One tooth of a music box: the bending modes of a clamped bar."""
    time = seconds(duration)
    tone = np.zeros_like(time)
    for ratio, strength, decay in (
        (1.0, 1.0, 0.55),
        (2.0, 0.12, 0.3),
        (6.27, 0.35, 0.09),
        (17.55, 0.08, 0.03),
    ):
        if hertz(note) * ratio < 18_000.0:
            tone += strength * np.exp(-time / decay) * np.sin(2.0 * np.pi * hertz(note) * ratio * time)
    return tone


def shaker(rng):
    """One soft stroke of a shaker."""
    time = seconds(0.12)
    return noise_band(rng, 0.12, 4500.0, 12_000.0) * np.minimum(time / 0.02, 1.0) * np.exp(-time / 0.025)


def brush(rng):
    """A brush on a snare drum."""
    time = seconds(0.3)
    return noise_band(rng, 0.3, 300.0, 7000.0) * np.exp(-time / 0.06) * (1.0 - np.exp(-time / 0.004))


def kick():
    """A soft bass drum, its pitch falling from 120 to 50 Hz."""
    time = seconds(0.35)
    phase = 2.0 * np.pi * np.cumsum(50.0 + 70.0 * np.exp(-time / 0.03)) / SAMPLE_RATE
    return np.sin(phase) * np.exp(-time / 0.11)


def footstep(rng, pitch):
    """A tin foot on the floor: a tap and the ring of the casing."""
    time = seconds(0.2)
    ring = sum(
        np.exp(-time / (0.035 / n)) * np.sin(2.0 * np.pi * pitch * ratio * time)
        for n, ratio in enumerate((1.0, 2.76, 5.4, 8.93), start=1)
    )
    return 0.5 * ring + 1.2 * noise_band(rng, 0.2, 1200.0, 9000.0) * np.exp(-time / 0.006)


def mix(track, start, sound, gain):
    """Add a sound to the track from start s on, cut off at the track's end."""
    first = round(start * SAMPLE_RATE)
    piece = sound[: max(len(track) - first, 0)]
    track[first : first + len(piece)] += gain * piece


def talker():
    """The speech, without the silence around it."""
    program = shutil.which("espeak-ng")
    if program is None:
        sys.exit("talker.flac needs the program espeak-ng: install it (Debian: apt-get install espeak-ng)")
    wave = subprocess.run([program, *VOICE, "--stdout", SPEECH], check=True, capture_output=True).stdout
    # A stream has no length in its header that soundfile would accept, so the samples are taken after it.
    header = wave.index(b"data") + 8
    rate = int(np.frombuffer(wave[24:28], "<u4")[0])
    speech = np.frombuffer(wave[header:], "<i2").astype(float) / 2**15
    loud = np.flatnonzero(np.abs(speech) > 0.01)
    speech = resample_poly(speech[loud[0] : loud[-1] + rate // 10], SAMPLE_RATE, rate)
    track = np.zeros(round(DURATION * SAMPLE_RATE))
    if len(speech) > len(track) - 0.2 * SAMPLE_RATE:
        sys.exit(f"The speech lasts {len(speech) / SAMPLE_RATE:.1f} s, too long for {DURATION:.0f} s: shorten it")
    mix(track, 0.15, speech, 1.0)
    return track


def music():
    """Four bars and a last chord: guitar arpeggios, a piano tune, bass and light percussion."""
    rng = np.random.default_rng(2)
    track = np.zeros(round(DURATION * SAMPLE_RATE))
    chords = [(48, 55, 59, 64, 67), (45, 52, 55, 60, 64), (50, 57, 60, 65, 69), (43, 53, 59, 62, 65)]
    for bar, chord in enumerate(chords):
        start = 4 * bar * BEAT
        for eighth, string in enumerate((1, 2, 3, 4, 3, 2, 4, 3)):
            swing = 0.06 * BEAT * (eighth % 2)
            mix(track, start + eighth * BEAT / 2 + swing, pluck(rng, chord[string], 2.0), 0.28)
        for beat, step in ((0.0, 0), (1.5, 0), (2.0, 7), (3.5, 2)):
            mix(track, start + beat * BEAT, pluck(rng, chord[0] - 12 + step, 1.2, 0.12, 0.994), 0.9)
        for eighth in range(8):
            mix(track, start + eighth * BEAT / 2, shaker(rng), 0.12 if eighth % 2 else 0.07)
        for beat in (0, 2):
            mix(track, start + beat * BEAT, kick(), 0.3)
            mix(track, start + (beat + 1) * BEAT, brush(rng), 0.1)
    tune = [
        (0.0, 76), (1.0, 79), (1.5, 81), (2.0, 79), (3.0, 76),
        (4.0, 72), (4.5, 76), (5.0, 79), (6.0, 76), (7.0, 74), (7.5, 72),
        (8.0, 77), (9.0, 81), (9.5, 79), (10.0, 77), (11.0, 74),
        (12.0, 71), (12.5, 74), (13.0, 77), (14.0, 76), (14.5, 74), (15.0, 71),
    ]  # fmt: skip
    for beat, note in tune:
        mix(track, beat * BEAT + 0.008 * rng.random(), piano(rng, note, 1.4), 0.16)
    for order, note in enumerate((36, 48, 55, 64, 69, 74)):
        mix(track, 16 * BEAT + 0.03 * order, pluck(rng, note, 1.5), 0.3)
    mix(track, 16 * BEAT, piano(rng, 72, 1.4), 0.2)
    return track


def moving():
    """A clockwork robot: steps on every eighth, a ratchet between them, a music box in its chest."""
    rng = np.random.default_rng(3)
    track = np.zeros(round(DURATION * SAMPLE_RATE))
    for eighth in range(round(DURATION / BEAT * 2)):
        start = eighth * BEAT / 2
        mix(track, start, footstep(rng, 520.0 if eighth % 2 else 610.0), 0.35)
        for tooth in range(4):
            tick = noise_band(rng, 0.02, 3000.0, 14_000.0) * np.exp(-seconds(0.02) / 0.0015)
            mix(track, start + tooth * BEAT / 8, tick, 0.18)
    tune = (84, 88, 91, 88, 93, 91, 88, 84, 86, 89, 93, 89, 91, 89, 86, 83, 84)
    for beat, note in enumerate(tune):
        mix(track, beat * BEAT, comb_tooth(note, 2.0), 0.3)
        mix(track, (beat + 0.5) * BEAT, comb_tooth(note - 12, 1.5), 0.12)
    return track


def loudness(sound):
    """Integrated loudness in LUFS (ITU-R BS.1770-4) of a mono sound at 48 kHz."""
    shelf = lfilter(
        [1.53512485958697, -2.69169618940638, 1.19839281085285],
        [1.0, -1.69065929318241, 0.73248077421585],
        sound,
    )
    weighted = lfilter([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621], shelf)
    block, hop = round(0.4 * SAMPLE_RATE), round(0.1 * SAMPLE_RATE)
    starts = range(0, len(weighted) - block + 1, hop)
    power = np.array([np.mean(weighted[start : start + block] ** 2) for start in starts])
    power = power[-0.691 + 10.0 * np.log10(power + 1e-20) > -70.0]
    gate = 0.1 * power.mean()
    return -0.691 + 10.0 * np.log10(power[power > gate].mean())


def finish(sound):
    """Fade both ends, bring the sound to LOUDNESS and make sure that no peak clips."""
    fade_in, fade_out = round(0.005 * SAMPLE_RATE), round(0.4 * SAMPLE_RATE)
    sound = sound - sound.mean()
    sound[:fade_in] *= np.linspace(0.0, 1.0, fade_in)
    sound[-fade_out:] *= np.linspace(1.0, 0.0, fade_out) ** 2
    sound = sound * 10.0 ** ((LOUDNESS - loudness(sound)) / 20.0)
    peak = np.abs(sound).max()
    if peak > 0.95:
        sys.exit(f"A peak of {peak:.2f} would clip at {LOUDNESS} LUFS: soften the sound")
    return sound


def main():
    """Write the three files."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in (("talker", talker), ("music", music), ("moving", moving)):
        sound = finish(make())
        path = FOLDER / f"{name}.flac"
        part = path.with_name(path.name + ".part")
        soundfile.write(part, sound, SAMPLE_RATE, subtype="PCM_16", format="FLAC", compression_level=1.0)
        os.replace(part, path)
        peak = 20.0 * np.log10(np.abs(sound).max())
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, {LOUDNESS} LUFS, peak {peak:.1f} dB")


if __name__ == "__main__":
    main()
