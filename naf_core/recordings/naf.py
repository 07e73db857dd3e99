"""The published neural acoustic field: one network a room, from places, time and frequency to a log-magnitude.

A. Luo, Y. Du, M. Tarr, J. Tenenbaum, A. Torralba, C. Gan, "Learning Neural Acoustic Fields", NeurIPS 2022: log-spaced
sinusoidal embeddings, a grid of learned features that emitter and listener read by Gaussian kernels of learned
bandwidth, a perceptron with a skip connection. Here positions have three coordinates, and what does not depend on time
and frequency goes through its layers once a response.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

_SLOPE = 0.1  # of the leaky rectifier
_MOST_NODES = 20_000  # of the grid


@dataclass(frozen=True)
class NafConfig:
    """What rebuilds the network and its training; the defaults are the published ones."""

    width: int = 512  # hidden units
    depth: int = 8  # layers before the output
    features: int = 64  # channels of the grid
    spacing: float = 0.25  # m between its nodes
    bandwidth: float = 0.25  # m, of the kernels at the start
    frequencies: int = 10  # of each coordinate's embedding
    place_exponent: float = 7.0  # the highest is 2 to this, in half cycles over the room
    pixel_exponent: float = 10.0  # the same for time and frequency
    epochs: int = 200
    batch: int = 20  # responses a step
    points: int = 2000  # of time and frequency in each
    rate: float = 5e-4  # of learning, falling exponentially
    last_rate: float = 5e-5
    jitter: float = 0.1  # m, standard deviation of noise on positions


BANDWIDTHS = (0.1, 0.5)  # m, between which the kernels stay
DIRECTIONS = 4  # of the head, a quarter turn apart


class Naf(nn.Module):
    """The network, for a room between the corners ``bounds`` (2, 3) in m and with ``channels`` ears."""

    def __init__(self, config: NafConfig, bounds: np.ndarray, channels: int) -> None:
        super().__init__()
        self.config = config
        size = bounds[1] - bounds[0]
        counts = [max(round(float(length) / config.spacing) + 1, 1) for length in size]
        if math.prod(counts) > _MOST_NODES:
            raise ValueError(f"a grid of {math.prod(counts)} nodes is too large: space them wider")
        axes = [np.linspace(low, high, n) for low, high, n in zip(*bounds, counts, strict=True)]
        nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        self.register_buffer("nodes", torch.tensor(nodes, dtype=torch.float32), persistent=False)
        self.register_buffer("low", torch.tensor(bounds[0], dtype=torch.float32), persistent=False)
        self.register_buffer("size", torch.tensor(np.maximum(size, 1e-3), dtype=torch.float32), persistent=False)
        self.grid = nn.Parameter(torch.randn(len(nodes), config.features) / math.sqrt(config.features))
        self.bandwidth = nn.Parameter(torch.tensor(config.bandwidth))
        coordinate = 1 + 2 * config.frequencies
        places, pixels = 6 * coordinate + 2 * config.features, 2 * coordinate
        width, half = config.width, config.depth // 2
        # The first layer and the skip see places and pixels; kept apart, places cost nothing for each pixel.
        self.from_places = nn.ModuleList(nn.Linear(places, width) for _ in range(2))
        self.from_pixels = nn.ModuleList(nn.Linear(pixels, width, bias=False) for _ in range(2))
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(config.depth - 1))
        self.skip_at = half - 1
        self.direction = nn.Parameter(0.1 * torch.randn(DIRECTIONS, width))
        self.ear = nn.Parameter(0.1 * torch.randn(channels, width))
        self.out = nn.Linear(width, 1)

    def read_grid(self, points: torch.Tensor) -> torch.Tensor:
        """Features (n, features) at ``points`` (n, 3) in m: the nodes' under normalised Gaussian kernels."""
        near = torch.cdist(points, self.nodes, compute_mode="donot_use_mm_for_euclid_dist").square()
        return torch.softmax(-0.5 * near / self.bandwidth.clamp(*BANDWIDTHS).square(), dim=-1) @ self.grid

    def places(self, emitters: torch.Tensor, listeners: torch.Tensor) -> torch.Tensor:
        """What the network is told of pairs, (n, k), from ``emitters`` and ``listeners`` (n, 3) in m."""
        both = torch.cat([(2.0 * (p - self.low) / self.size - 1.0) for p in (emitters, listeners)], dim=-1)
        known = embed(both, self.config.frequencies, self.config.place_exponent)
        return torch.cat([known, self.read_grid(emitters), self.read_grid(listeners)], dim=-1)

    def pixels(self, points: torch.Tensor) -> torch.Tensor:
        """What it is told of time and frequency, (..., k), from ``points`` (..., 2), each -1 to 1."""
        return embed(points, self.config.frequencies, self.config.pixel_exponent)

    def forward(self, places: torch.Tensor, direction: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised log-magnitudes (n, channels, m) of pairs ``places`` (n, k) at ``pixels`` (n or 1, m, k).

        ``direction`` (n,) is the number of the head's.
        """
        first, skip = self._of_places(places, direction)
        told, again = (layer(pixels)[:, None] for layer in self.from_pixels)
        return self._deeper(first[..., None, :] + told, skip[..., None, :] + again)

    def whole(self, places: torch.Tensor, direction: torch.Tensor, pixels: torch.Tensor, rows: int) -> torch.Tensor:
        """As `forward`, without gradients, for ``pixels`` (m, k) that are those of all pairs, ``rows`` at a time.

        What the first layer and the skip make of places is made once a pair, and of pixels once for all pairs.
        """
        first, skip = (part.flatten(0, 1) for part in self._of_places(places, direction))
        told, again = (layer(pixels) for layer in self.from_pixels)
        result = torch.empty(len(first), len(pixels), device=pixels.device)
        for row in range(len(first)):
            for start in range(0, len(pixels), rows):
                part = slice(start, start + rows)
                result[row, part] = self._deeper(first[row] + told[part], skip[row] + again[part])
        return result.reshape(len(places), -1, len(pixels))

    def _of_places(self, places: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the first layer, and the skip, make of pairs ``places`` (n, k): (n, channels, width) each."""
        first, skip = (layer(places)[:, None] for layer in self.from_places)
        return first + self.direction[direction][:, None] + self.ear, skip.expand(-1, len(self.ear), -1)

    def _deeper(self, hidden: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Values (...) of what the first layer has made, ``hidden`` (..., width), and of what goes into the skip."""
        hidden = nn.functional.leaky_relu(hidden, _SLOPE)
        for number, layer in enumerate(self.layers):
            hidden = layer(hidden)
            if number == self.skip_at:
                hidden = hidden + skip
            hidden = nn.functional.leaky_relu(hidden, _SLOPE, inplace=not self.training)
        return self.out(hidden)[..., 0]


def embed(values: torch.Tensor, frequencies: int, exponent: float) -> torch.Tensor:
    """``values`` (..., k), and their sines and cosines at log-spaced frequencies, (..., k (1 + 2 frequencies))."""
    rate = math.pi * 2.0 ** torch.linspace(0.0, exponent, frequencies, device=values.device)
    phase = (values[..., None] * rate).flatten(-2)
    return torch.cat([values, phase.sin(), phase.cos()], dim=-1)


def head_directions(rotations: np.ndarray) -> np.ndarray:
    """Number (n,) of the quarter turn about the vertical nearest to the heads ``rotations`` (n, 3, 3)."""
    forward = np.asarray(rotations)[:, :, 0]
    turn = np.arctan2(forward[:, 1], forward[:, 0])
    return np.round(turn / (0.5 * np.pi)).astype(int) % DIRECTIONS
