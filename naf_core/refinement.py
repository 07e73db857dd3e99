"""What refining a field in its own scene has brought: errors of traced pairs before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naf_core.accuracy import errors
from naf_core.response import EnergyResponse

_JND = {"T30 %": 5.0, "C50 dB": 1.0, "G dB": 1.0}  # just noticeable differences, ISO 3382-1 annex A


@dataclass(frozen=True)
class Refinement:
    """Mean errors, by `accuracy.MEASURES`, of ``pairs`` traced pairs ``before`` and ``after`` more paths were sent.

    ``kept`` says whether the field now answers with these: not where it was better before.
    """

    before: dict[str, float]
    after: dict[str, float]
    pairs: int

    @property
    def kept(self) -> bool:
        """Whether the sum of errors, in just noticeable differences, is smaller than before."""
        before, after = (sum(table[name] / unit for name, unit in _JND.items()) for table in (self.before, self.after))
        return after < before

    def words(self) -> str:
        """Two sentences for people."""
        text = "Refined." if self.kept else "Refining did not help here: the field stays as it was."
        t30, c50, strength = (f"{self.before[name]:.2f} → {self.after[name]:.2f}" for name in _JND)
        message = f"Mean errors of {self.pairs} traced pairs: T30 {t30} %, C50 {c50} dB, G {strength} dB."
        return f"{text} {message}"


def pooled(results: Sequence[Refinement]) -> Refinement:
    """Several refinements as one, each counting as much as it has pairs."""
    weight = np.array([result.pairs for result in results], float)

    def mean(tables: Sequence[dict[str, float]]) -> dict[str, float]:
        return {name: float(np.average([table[name] for table in tables], weights=weight)) for name in tables[0]}

    return Refinement(mean([r.before for r in results]), mean([r.after for r in results]), int(weight.sum()))


def mean_errors(said: EnergyResponse, meant: EnergyResponse) -> dict[str, float]:
    """Means of `accuracy.errors` over all pairs and bands that have a figure, 0 where none has."""
    table = errors(said, meant)
    return {name: float(np.nanmean(v)) if np.isfinite(v).any() else 0.0 for name, v in table.items()}


def far_apart(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most ``count`` of ``points`` (n, 3), each as far as can be from those before it."""
    chosen = np.zeros(min(count, len(points)), int)
    gap = np.full(len(points), np.inf)
    for k in range(1, len(chosen)):
        gap = np.minimum(gap, np.linalg.norm(points - points[chosen[k - 1]], axis=1))
        chosen[k] = gap.argmax()
    return chosen
