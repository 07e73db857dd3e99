"""Air: the speed of sound and the energy that sound loses on its way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from naf_core.bands import EXACT_BANDS_HZ
from naf_core.errors import UserError

NEAREST = 0.1  # m: sound grows no more when an emitter comes closer


@dataclass(frozen=True)
class Air:
    """The state of the air in a scene.

    ``temperature`` in degrees Celsius (-20..50), ``humidity`` in percent relative (1..100), ``pressure`` in
    kilopascal (20..200). Raises UserError outside these ranges.
    """

    temperature: float = 20.0
    humidity: float = 50.0
    pressure: float = 101.325

    def __post_init__(self) -> None:
        for name, unit, low, high in (
            ("temperature", "degrees Celsius", -20.0, 50.0),
            ("humidity", "percent", 1.0, 100.0),
            ("pressure", "kilopascal", 20.0, 200.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:  # also refuses NaN
                raise UserError(f"Air {name} {value} is outside {low:g} to {high:g} {unit}: set it within that range.")

    @property
    def speed_of_sound(self) -> float:
        """Speed of sound in m/s (ISO 9613-1:1993, equation A.5)."""
        return 343.2 * float(np.sqrt((self.temperature + 273.15) / 293.15))

    def free_field(self, distance: np.ndarray) -> np.ndarray:
        """Energy by octave band (n, 8) at ``distance`` (n,) in m, relative to that at 1 m without air.

        1/r^2, growing no more within NEAREST, times what the air leaves.
        """
        return np.exp(-distance[:, None] * self.absorption()) / np.maximum(distance, NEAREST)[:, None] ** 2

    def absorption(self, frequency: np.ndarray | tuple[float, ...] = EXACT_BANDS_HZ) -> np.ndarray:
        """Energy attenuation exponent m in 1/m: intensity falls as exp(-m * distance).

        ``frequency`` (n,) in Hz, by default the eight octave bands; returns (n,) float64. Pure-tone attenuation at
        the mid-band frequency (ISO 9613-1:1993, equations 3 to 5).
        """
        f = np.asarray(frequency, dtype=np.float64)
        kelvin, reference, triple = self.temperature + 273.15, 293.15, 273.16
        pressure = self.pressure / 101.325
        saturation = 10.0 ** (-6.8346 * (triple / kelvin) ** 1.261 + 4.6151)
        h = self.humidity * saturation / pressure  # molar concentration of water vapour, percent
        oxygen = pressure * (24.0 + 4.04e4 * h * (0.02 + h) / (0.391 + h))
        nitrogen = (
            pressure
            * (kelvin / reference) ** -0.5
            * (9.0 + 280.0 * h * np.exp(-4.170 * ((kelvin / reference) ** (-1.0 / 3.0) - 1.0)))
        )
        decibel = (
            8.686
            * f**2
            * (
                1.84e-11 / pressure * np.sqrt(kelvin / reference)
                + (kelvin / reference) ** -2.5
                * (
                    0.01275 * np.exp(-2239.1 / kelvin) / (oxygen + f**2 / oxygen)
                    + 0.1068 * np.exp(-3352.0 / kelvin) / (nitrogen + f**2 / nitrogen)
                )
            )
        )
        return decibel * np.log(10.0) / 10.0
