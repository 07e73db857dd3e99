"""The report of a bake: what was in the scene, what is heard at the first frame, and how long it took."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from naf_core import __version__
from naf_core.bands import BANDS_HZ
from naf_core.response import EnergyResponse
from naf_core.scene import Scene

if TYPE_CHECKING:
    from naf_core.field import Field
    from naf_core.placed import PlacedField

PARAMETERS = ("T30_s", "T20_s", "EDT_s", "C50_dB", "C80_dB", "D50", "Ts_s", "G_dB")
_DECIMALS = {"T30_s": 3, "T20_s": 3, "EDT_s": 3, "C50_dB": 2, "C80_dB": 2, "D50": 4, "Ts_s": 4, "G_dB": 2}
_VOLUME_POINTS = 4000


def parameter_lists(response: EnergyResponse) -> dict[str, list[float | None]]:
    """The ISO 3382-1 parameters of one pair: eight numbers each, None where there is none."""
    parameters = response.parameters()
    return {key: rounded(parameters[key].reshape(-1), _DECIMALS[key]) for key in PARAMETERS}


def rounded(values: Sequence[float] | np.ndarray, decimals: int) -> list[float | None]:
    """Numbers for JSON, which knows neither NaN nor infinity: those become None."""
    return [round(float(x), decimals) if np.isfinite(x) else None for x in np.asarray(values)]


def table(parameters: Mapping[str, Sequence[float | None]]) -> str:
    """The parameters as a table for people, one octave band a column."""
    heads = [f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}" for hz in BANDS_HZ]
    lines = ["{:>10}".format("Hz") + "".join(f"{head:>8}" for head in heads)]
    for key in PARAMETERS:
        name, _, unit = key.partition("_")
        decimals = 3 if unit == "s" else 2 if unit == "" else 1
        cells = [f"{'–' if x is None else f'{x:.{decimals}f}':>8}" for x in parameters[key]]
        lines.append(f"{f'{name} {unit}'.strip():>10}" + "".join(cells))
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """What computed the results."""
    return {"acoustic_fields": __version__, "python": platform.python_version(), "numpy": np.__version__}


def scene_facts(scene: Scene, name: str, field: Field | PlacedField, volume: float | None) -> dict[str, Any]:
    """The scene in numbers: size, surfaces and their absorption, air, and the scan; its ``volume`` in m³ if known."""
    recorded = field.scan_ is None
    areas = scene.triangle_areas
    by_material = np.bincount(scene.material_index, areas, minlength=len(scene.materials))
    air = scene.air
    return {
        "name": name,
        "triangles": len(scene.triangles),
        "surface_m2": round(float(areas.sum()), 2),
        "bounds_m": [rounded(corner, 3) for corner in scene.bounds],
        "volume_m3": volume,
        "recorded_room": recorded,
        "probes": 0 if recorded else len(field.scan_.positions),
        "escaping_rays": round(field.escape, 4),
        "air": {
            "temperature_C": round(air.temperature, 3),
            "humidity_percent": round(air.humidity, 3),
            "pressure_kPa": round(air.pressure, 3),
            "speed_of_sound_m_s": round(air.speed_of_sound, 2),
        },
        "materials": [
            {
                "name": material.name,
                "area_m2": round(float(area), 2),
                "absorption": list(material.absorption),
                "scattering": list(material.scattering),
                "source": material.source,
            }
            for material, area in zip(scene.materials, by_material, strict=True)
        ],
    }


def volume(scene: Scene, field: Field) -> float | None:
    """Volume in cubic metres of the air that the probes see, to a few percent; None for an open scene."""
    if not len(scene.triangles) or field.escape > 0.2:
        return None
    low, high = scene.bounds
    points = low + np.random.default_rng(0).random((_VOLUME_POINTS, 3)) * (high - low)
    return round(float(field.covers(points).mean() * np.prod(high - low)), 1)


def pair_facts(response: EnergyResponse) -> dict[str, Any]:
    """One emitter-listener pair in numbers."""
    return {
        "distance_m": round(float(response.distance), 3),
        "visible": bool(np.any(response.direct > 0.0)),
        "parameters": parameter_lists(response),
    }
