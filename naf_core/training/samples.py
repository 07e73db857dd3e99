"""Training samples: what the decoder is told of each pair and band, and what it should have said."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from naf_core.features import LEAST_SHARE, floored_level, intensity_ratio, later, pair_features
from naf_core.pairs import Pairs
from naf_core.probes import Surroundings


@dataclass(frozen=True)
class Samples:
    """n samples, one a pair and band, in half precision to save memory.

    ``inputs`` (n, N_FEATURES); ``base``, ``specular`` and ``level`` (n, N_FRAMES) dB: the probes' exchange, exact
    specular paths and the teacher's answer; ``direct`` (n,) energy of the direct sound. For the two ends as listener
    (axis 1): ``straight`` and ``way`` (n, 2, 3) unit vectors; ``heard``, ``mirrored`` and ``direction`` (n, 2,
    N_FRAMES, 3) intensity ratios of the probes' exchange, of the specular paths and of the teacher, times 127.
    """

    inputs: np.ndarray
    base: np.ndarray
    specular: np.ndarray
    level: np.ndarray
    direct: np.ndarray
    straight: np.ndarray
    way: np.ndarray
    heard: np.ndarray
    mirrored: np.ndarray
    direction: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)


def room_samples(record: dict[str, np.ndarray | str]) -> Samples:
    """The samples of one room record of `dataset.read_rooms`."""
    count = len(record["points"])
    i, j = np.triu_indices(count, 1)
    n = len(i)
    around = Surroundings(*(record[f"around_{f.name}"] for f in fields(Surroundings)))
    pairs = Pairs(*(record[f"pairs_{f.name}"] for f in fields(Pairs)))
    one_way = pairs[:n]
    height = np.abs(record["points"][i, 2] - record["points"][j, 2])
    speed = float(record["speed_of_sound"])
    strength = 10.0 ** (np.concatenate([record["exchanged"]] * 2).astype(np.float32)[..., None] / 10.0)
    exchanged = np.concatenate([strength, strength * (record["exchanged_direction"] / np.float32(127.0))], axis=-1)
    features = pair_features(around[i], around[j], exchanged[:n], one_way, record["air"], speed, height)
    delay = one_way.distance / speed

    def at_both(there: np.ndarray, here: np.ndarray) -> np.ndarray:
        """Intensity ratios (n * 8, 2, ...) of energies (n, ...) at the two ends."""
        ratios = [intensity_ratio(later(energy, delay)) for energy in (there, here)]
        return flat(np.round(127.0 * np.stack(ratios, axis=2)).astype(np.int8))

    level = floored_level(10.0 ** (record["level"].astype(np.float64) / 10.0), LEAST_SHARE)

    def flat(values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, *values.shape[2:])

    def both(values: np.ndarray) -> np.ndarray:
        """(2n, ...) ordered pairs to (n * 8, 2, ...)."""
        paired = np.stack([values[:n], values[n:]], axis=1)
        return np.repeat(paired, 8, axis=0)

    def both_ways(values: np.ndarray) -> np.ndarray:
        """(2n, 8, ...) ordered pairs to (n * 8, 2, ...)."""
        return flat(np.stack([values[:n], values[n:]], axis=2))

    return Samples(
        inputs=flat(features.inputs).astype(np.float16),
        base=flat(features.base_level).astype(np.float16),
        specular=flat(record["specular"]).astype(np.float16),
        level=flat(level).astype(np.float16),
        direct=record["direct"].reshape(-1).astype(np.float32),
        straight=both(pairs.direction).astype(np.float16),
        way=both(pairs.way_direction).astype(np.float16),
        heard=at_both(exchanged[:n], exchanged[n:]),
        mirrored=both_ways(record["specular_direction"]),
        direction=both_ways(record["direction"]),
    )


def join(parts: list[Samples]) -> Samples:
    """All samples of ``parts`` as one."""
    return Samples(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Samples)))
