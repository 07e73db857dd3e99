"""How far off the field's answers probably are, from what the field itself tells of a pair.

What is known of a pair at no great cost (do its ends see each other, how strong is its sound, do two halves of the
probes say the same) is put into a small log-linear model of the errors of T30, EDT, C50 and G. It was fitted to the
errors in rooms that no network was taught on, and its coefficients lie with the weights whose errors they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from naf_core.accuracy import JUDGED_BANDS, MEASURES, errors
from naf_core.exchange import Exchange
from naf_core.probes import Scan
from naf_core.response import EnergyResponse

QUANTITIES = (
    "hidden",
    "distance",
    "escape",
    "decay",
    "bend",
    "direct",
    "strength",
    *(f"halves {name}" for name in MEASURES),
)
NOTE = "uncertainty"  # under which the notes of the weights hold a calibration
_FURTHEST = 3.0  # standard deviations from the rooms of the calibration: it is not followed further
_MOST = 8.0  # exponent: errors beyond some 3000 % say nothing more
_FAINTEST = -40.0  # dB, of the direct sound beside all


@dataclass(frozen=True)
class Calibration:
    """The model: log of the expected error = ``slopes`` (4, F + 1) · (1, standardised quantities), by MEASURES.

    ``mean`` and ``deviation`` (F,) are those of the quantities in the rooms of the calibration.
    """

    mean: np.ndarray
    deviation: np.ndarray
    slopes: np.ndarray

    def standard(self, quantities: np.ndarray) -> np.ndarray:
        """A one, and how ``quantities`` (..., F) differ from the usual in deviations, 0 where unknown: (..., F + 1)."""
        z = np.nan_to_num((quantities - self.mean) / self.deviation)
        return np.concatenate([np.ones((*z.shape[:-1], 1)), np.clip(z, -_FURTHEST, _FURTHEST)], axis=-1)

    def expected(self, quantities: np.ndarray) -> dict[str, np.ndarray]:
        """Expected absolute errors (...) for ``quantities`` (..., F), by MEASURES."""
        found = np.exp(np.minimum(self.standard(quantities) @ self.slopes.T, _MOST))
        return {name: found[..., k] for k, name in enumerate(MEASURES)}

    def text(self) -> str:
        """What `calibration_from` reads."""
        arrays = {"mean": self.mean, "deviation": self.deviation, "slopes": self.slopes}
        rounded = {name: np.round(values, 6).tolist() for name, values in arrays.items()}
        return json.dumps({"quantities": QUANTITIES, "measures": MEASURES, **rounded})


def calibration_from(text: str) -> Calibration:
    """The calibration that `Calibration.text` wrote; raises ValueError where it is none of this version."""
    try:
        read = json.loads(text)
        if [*read["quantities"], *read["measures"]] != [*QUANTITIES, *MEASURES]:
            raise ValueError("it tells errors by other quantities")
        found = Calibration(*(np.array(read[name], np.float64) for name in ("mean", "deviation", "slopes")))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it lacks a part, or has one of another kind ({error})") from error
    count = len(QUANTITIES)
    if (found.mean.shape, found.deviation.shape, found.slopes.shape) != (
        (count,),
        (count,),
        (len(MEASURES), count + 1),
    ):
        raise ValueError("it has other numbers of values than quantities")
    if not all(np.isfinite(values).all() for values in (found.mean, found.slopes)) or not (found.deviation > 0.0).all():
        raise ValueError("it has values that are not finite numbers")
    return found


def every_other(found: Scan, start: int) -> Scan:
    """The scan as every other of its probes, from ``start`` (0 or 1) on, tells it; all of it where there is but one."""
    rows = slice(start, None, 2) if len(found.positions) > 1 else slice(None)
    return replace(
        found,
        positions=found.positions[rows],
        around=found.around[rows],
        sees=found.sees[rows, rows],
        walking=found.walking[rows, rows],
        exchange=Exchange(found.exchange.receive[rows], found.exchange.transfer),
    )


def quantities_of(
    said: EnergyResponse, halves: Sequence[EnergyResponse], visible: np.ndarray, escape: np.ndarray
) -> np.ndarray:
    """What errors are told by, (n, 6, QUANTITIES) in JUDGED_BANDS, NaN where unknown.

    ``said`` is the answer to n pairs, ``halves`` those of two halves of the probes; ``visible`` (n,) bool; ``escape``
    (n,) is the larger share of rays that leave the scene at either end.
    """
    told = {name: values[:, JUDGED_BANDS] for name, values in said.parameters().items()}
    apart = [errors(half, said) for half in halves]
    with np.errstate(divide="ignore", invalid="ignore"):
        decay = np.log(told["EDT_s"] + 1e-3)
        direct = (10.0 * np.log10(said.direct / np.maximum(said.total, 1e-30)))[:, JUDGED_BANDS]
        columns = {
            "hidden": ~visible[:, None],
            "distance": np.log(said.distance + 0.3)[:, None],
            "escape": np.log(escape + 0.01)[:, None],
            "decay": decay,
            "bend": np.abs(decay - np.log(told["T30_s"])),
            "direct": np.maximum(direct, _FAINTEST),
            "strength": told["G_dB"],
        }
        columns |= {f"halves {name}": np.log(0.5 * (apart[0][name] + apart[1][name]) + 0.01) for name in MEASURES}
    return np.stack([np.broadcast_to(columns[name], decay.shape) for name in QUANTITIES], axis=-1).astype(np.float64)


def mean_expected(expected: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Means of expected errors over all pairs and bands that have a figure, by MEASURES; NaN where none has."""
    return {name: float(v[np.isfinite(v)].mean()) if np.isfinite(v).any() else np.nan for name, v in expected.items()}
