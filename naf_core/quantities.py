"""What a map can show: the quantities with their units, the steps of their scales and how far these reach."""

from __future__ import annotations

from dataclasses import dataclass

from naf_core.bands import BANDS_HZ


@dataclass(frozen=True)
class Quantity:
    """One quantity. All numbers are in ``unit``.

    Scales begin and end at multiples of ``tick`` and span ``least`` to ``most``; ``usual`` is the range of a map
    without values. ``banded``: it is taken in one octave band, or over bands; else always over speech.
    """

    title: str
    unit: str
    tick: float
    least: float
    most: float
    usual: tuple[float, float]
    decimals: int
    banded: bool = True


# T30, C50 and D50 after ISO 3382-1:2009, STI after IEC 60268-16:2020.
QUANTITIES = {
    "level": Quantity("Sound pressure level", "dB", 5.0, 10.0, 60.0, (40.0, 70.0), 0),
    "T30": Quantity("Reverberation time T30", "s", 0.1, 0.2, 30.0, (0.0, 1.0), 1),
    "C50": Quantity("Clarity C50", "dB", 1.0, 4.0, 60.0, (-5.0, 10.0), 0),
    "D50": Quantity("Definition D50", "", 0.05, 0.2, 1.0, (0.0, 1.0), 2),
    "STI": Quantity("Speech transmission index STI", "", 0.05, 0.2, 1.0, (0.0, 1.0), 2, banded=False),
}

MID_BANDS = (3, 4)  # 500 Hz and 1 kHz, whose mean is the single number of ISO 3382-1:2009, table A.1
_MOST_TICKS = 12


def unit_of(quantity: str, band: int | None) -> str:
    """The unit of a quantity in octave band ``band``, None for the number over bands."""
    return "dB(A)" if quantity == "level" and band is None else QUANTITIES[quantity].unit


def title_of(quantity: str, band: int | None) -> str:
    """A quantity in words, with the band in which it is taken."""
    found = QUANTITIES[quantity]
    if not found.banded:
        return found.title
    if band is not None:
        return f"{found.title}, {BANDS_HZ[band]:g} Hz"
    return f"A-weighted {found.title[0].lower()}{found.title[1:]}" if quantity == "level" else f"{found.title}, mid"


def tick_of(quantity: str, limits: tuple[float, float]) -> float:
    """Distance of the numbers on a scale between ``limits``: at most a dozen of them."""
    tick = QUANTITIES[quantity].tick
    return next(tick * m for m in (1, 2, 5, 10, 20, 50, 100, 1000) if limits[1] - limits[0] <= _MOST_TICKS * tick * m)
