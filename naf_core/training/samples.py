"""Training samples: what the decoder is told of each pair and band, and what it should have said."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from naf_core.features import Ends, floored_level, intensity_ratio, later, pair_features
from naf_core.pairs import Pairs
from naf_core.probes import Surroundings


@dataclass(frozen=True)
class Samples:
    """n samples, one a pair and band, in half precision to save memory.

    ``inputs`` (n, N_FEATURES); ``base`` and ``level`` (n, N_FRAMES) dB: the mean of the self-responses and the
    teacher's answer; ``direct`` (n,) energy of the direct sound. For the two ends as listener (axis 1):
    ``straight`` and ``way`` (n, 2, 3) unit vectors, ``own`` and ``direction`` (n, 2, N_FRAMES, 3) intensity ratios
    of the self-response and of the teacher, times 127.
    """

    inputs: np.ndarray
    base: np.ndarray
    level: np.ndarray
    direct: np.ndarray
    straight: np.ndarray
    way: np.ndarray
    own: np.ndarray
    direction: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)


def room_samples(record: dict[str, np.ndarray | str]) -> Samples:
    """The samples of one room record of `dataset.read_rooms`."""
    count = len(record["points"])
    i, j = np.triu_indices(count, 1)
    n = len(i)
    own, visible = record["own"], np.eye(count, dtype=bool)
    visible[i, j] = visible[j, i] = record["pairs_visible"][:n]
    # The other points stand in for the probes that a scan would have in view.
    share = (visible / visible.sum(axis=1, keepdims=True)).astype(np.float32)
    everywhere = Ends(
        own,
        (share @ own.reshape(count, -1)).reshape(own.shape),
        Surroundings(*(record[f"around_{f.name}"] for f in fields(Surroundings))),
    )
    pairs = Pairs(*(record[f"pairs_{f.name}"] for f in fields(Pairs)))
    one_way = pairs[:n]
    height = np.abs(record["points"][i, 2] - record["points"][j, 2])
    speed = float(record["speed_of_sound"])
    features = pair_features(everywhere[i], everywhere[j], one_way, record["air"], speed, height)
    own_ratios = []
    for listener in (j, i):
        shifted = later(own[listener], one_way.distance / speed)
        own_ratios.append(intensity_ratio(shifted))
    level = floored_level(10.0 ** (record["level"].astype(np.float64) / 10.0))

    def flat(values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, *values.shape[2:])

    def both(values: np.ndarray) -> np.ndarray:
        """(2n, ...) ordered pairs to (n * 8, 2, ...)."""
        paired = np.stack([values[:n], values[n:]], axis=1)
        return np.repeat(paired, 8, axis=0)

    direction = record["direction"]
    return Samples(
        inputs=flat(features.inputs).astype(np.float16),
        base=flat(features.base_level).astype(np.float16),
        level=flat(level).astype(np.float16),
        direct=record["direct"].reshape(-1).astype(np.float32),
        straight=both(pairs.direction).astype(np.float16),
        way=both(pairs.way_direction).astype(np.float16),
        own=flat(np.round(127.0 * np.stack(own_ratios, axis=2)).astype(np.int8)),
        direction=flat(np.stack([direction[:n], direction[n:]], axis=2)),
    )


def join(parts: list[Samples]) -> Samples:
    """All samples of ``parts`` as one."""
    return Samples(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Samples)))
