"""The tracks of a bake: stems, their parts and the mix, from what was rendered to sound files, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from naf_core.delivery import stem_names
from naf_core.formats import Format
from naf_core.job import Job
from naf_core.layouts import loudness_weights
from naf_core.mixing import Balance, MixMeter, part_gains
from naf_core.sound import FULL_SCALE_SPL, SoundWriter
from naf_core.stemfile import PARTS, StemFile

SUBTYPES = {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}


@dataclass
class _Track:
    """A file that is written, its loudest sample as yet."""

    file: str
    writer: SoundWriter
    peak: float = 0.0

    def add(self, samples: np.ndarray) -> None:
        self.writer.add(samples)
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0.0)))

    @property
    def peak_db(self) -> float | None:
        """Peak in dB relative to full scale, None for silence."""
        return round(20.0 * math.log10(self.peak), 2) if self.peak > 0.0 else None


def write_tracks(
    job: Job, stems: Sequence[StemFile], fmt: Format, folder: Path, step: Callable[[float], None]
) -> tuple[dict[str, Any], Balance]:
    """Mix the ``stems`` of the job's emitters and write its tracks into ``folder``.

    Reads the stems twice: once to know how loud the mix becomes, once to write it. Returns what the report says of
    them, and how they were scaled. ``step`` gets the progress 0..1.
    """
    gains = part_gains(job.wetness, job.reverb_gain)
    length = max(stem.length for stem in stems)
    meter = MixMeter(len(stems), job.sample_rate, loudness_weights(job.format, job.order))
    done = 0
    for blocks in _together(stems, length):
        meter.add([np.einsum("p,npc->nc", gains, block) for block in blocks])
        done += len(blocks[0])
        step(0.5 * done / length)
    balance = meter.balance(job.loudness, job.peak)
    gains = gains * np.float32(balance.factor)

    names = stem_names([emitter.name for emitter in job.emitters], job.file_type)
    with ExitStack() as open_files:

        def track(name: str, length: int) -> _Track:
            writer = SoundWriter(
                folder / name, job.sample_rate, fmt.channels, length, SUBTYPES[job.sample_type], fmt.mask
            )
            return _Track(name, open_files.enter_context(writer))

        mix = track(f"mix.{job.file_type}", length) if job.mix else None
        tracks = [track(name, stem.length) for name, stem in zip(names, stems, strict=True)]
        pieces = [
            [track(name.replace(f".{job.file_type}", f"_{label}.{job.file_type}"), stem.length) for label in PARTS]
            for name, stem in zip(names, stems, strict=True)
            if job.parts
        ]
        done = 0
        for blocks in _together(stems, length):
            whole = np.zeros((len(blocks[0]), fmt.channels), np.float32)
            for number, (block, stem) in enumerate(zip(blocks, stems, strict=True)):
                samples = np.einsum("p,npc->nc", gains, block)
                whole += samples
                own = max(min(stem.length - done, len(block)), 0)
                tracks[number].add(samples[:own])
                for part, piece in enumerate(pieces[number]) if job.parts else ():
                    piece.add(block[:own, part] * gains[part])
            if mix is not None:
                mix.add(whole)
            done += len(whole)
            step(0.5 + 0.5 * done / length)
    facts = {
        "stems": [
            {"emitter": emitter.name, "file": track.file, "peak_dB": track.peak_db}
            for emitter, track in zip(job.emitters, tracks, strict=True)
        ],
        "parts": [
            {"emitter": emitter.name, "part": label, "file": piece.file}
            for emitter, three in zip(job.emitters, pieces, strict=False)
            for label, piece in zip(PARTS, three, strict=True)
        ],
        "mix": None if mix is None else {"file": mix.file, "peak_dB": mix.peak_db},
        "audio": {
            "format": job.format,
            "sample_rate_Hz": job.sample_rate,
            "channels": fmt.channels,
            "duration_s": round(length / job.sample_rate, 3),
            "scaling_dB": round(20.0 * math.log10(balance.factor), 2),
            "full_scale_dB_SPL": round(FULL_SCALE_SPL - 20.0 * math.log10(balance.factor), 2),
            "loudness_LUFS": round(balance.loudness, 2) if math.isfinite(balance.loudness) else None,
            "true_peak_dBTP": round(balance.peak, 2) if math.isfinite(balance.peak) else None,
        },
    }
    return facts, balance


def _together(stems: Sequence[StemFile], length: int) -> Iterator[list[np.ndarray]]:
    """The same samples of all stems, block by block; shorter stems are followed by silence."""
    for blocks in zip(*(stem.blocks(length) for stem in stems), strict=True):
        yield list(blocks)
