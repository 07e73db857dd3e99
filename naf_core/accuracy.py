"""How far responses are from the truth, in room-acoustic parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from naf_core.response import EnergyResponse
from naf_core.tracer import tail_slopes

MEASURES = ("T30 %", "EDT ms", "C50 dB", "G dB")
JUDGED_BANDS = slice(1, 7)  # 125 Hz to 4 kHz
C50_LIMIT = 25.0  # dB: beyond this, early or late energy is inaudible and the figure says nothing


def errors(said: EnergyResponse, meant: EnergyResponse) -> dict[str, np.ndarray]:
    """Absolute errors of n pairs in JUDGED_BANDS, (n, 6) each, by MEASURES; NaN where there is no such figure.

    T30 has none where what is meant falls from -5 to -35 dB within one frame: that is an end and no decay.
    """
    a, b = meant.parameters(), said.parameters()
    a["T30_s"][_ends_at_once(meant)] = np.nan

    def clipped(values: np.ndarray) -> np.ndarray:
        return np.clip(values, -C50_LIMIT, C50_LIMIT)

    table = {
        "T30 %": 100.0 * np.abs(b["T30_s"] / a["T30_s"] - 1.0),
        "EDT ms": 1000.0 * np.abs(b["EDT_s"] - a["EDT_s"]),
        "C50 dB": np.abs(clipped(b["C50_dB"]) - clipped(a["C50_dB"])),
        "G dB": np.abs(b["G_dB"] - a["G_dB"]),
    }
    return {name: values[:, JUDGED_BANDS] for name, values in table.items()}


def _ends_at_once(response: EnergyResponse) -> np.ndarray:
    """Where the whole range of T30 lies within one frame, (n, 8) bool: what arrives are single echoes."""
    curve = response.schroeder()
    first, last = ((curve <= curve[..., :1] * 10.0 ** (level / 10.0)).argmax(axis=-1) for level in (-5.0, -35.0))
    return first == last


def ordered_pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (2n,) of all pairs of ``count`` points: first those in which the first is the lower, then the others."""
    i, j = np.triu_indices(count, 1)
    return np.concatenate([i, j]), np.concatenate([j, i])


def reciprocal(response: EnergyResponse) -> EnergyResponse:
    """The n unordered pairs of 2n ordered ones, both ways averaged: reciprocity halves the tracer's variance."""
    n = len(response.distance) // 2
    energy = 0.5 * (response.energy[:n] + response.energy[n:])
    return replace(response[np.arange(n)], energy=energy, tail_slope=tail_slopes(energy[..., 0]))
