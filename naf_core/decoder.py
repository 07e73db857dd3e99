"""The decoder of the field: a small network from pair features to the energy response, one band a sample.

`forward` and `decode` are pure functions written against the array API: the same lines run on NumPy when a scene is
baked and on torch when the network is trained.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from naf_core.errors import UserError
from naf_core.features import N_BASES, N_FEATURES
from naf_core.response import N_FRAMES

N_OUTPUTS = (1 + N_BASES) * N_FRAMES  # a level and the coefficients of a direction for each frame
_NEPER = math.log(10.0) / 10.0  # a decibel of energy
_FORMAT = "acoustic-fields decoder 3"


@dataclass(frozen=True)
class DecoderConfig:
    """What rebuilds the decoder."""

    width: int = 256  # hidden units
    depth: int = 4  # hidden layers, all but the first residual
    inputs: int = N_FEATURES
    outputs: int = N_OUTPUTS
    bandwidth: float = 0.6  # m, of the Gaussian kernels that read the feature grid


def parameter_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all parameters."""
    shapes: dict[str, tuple[int, ...]] = {"mean": (config.inputs,), "deviation": (config.inputs,)}
    for k in range(config.depth):
        shapes[f"weight_{k}"] = (config.inputs if k == 0 else config.width, config.width)
        shapes[f"bias_{k}"] = (config.width,)
    shapes["weight_out"] = (config.width, config.outputs)
    shapes["bias_out"] = (config.outputs,)
    return shapes


def forward(parameters: Mapping[str, Any], inputs: Any) -> Any:
    """Network output (..., N_OUTPUTS) for ``inputs`` (..., N_FEATURES), of the same array library as both."""
    xp = array_namespace(inputs)
    hidden = (inputs - parameters["mean"]) / parameters["deviation"]
    depth = sum(name.startswith("weight_") for name in parameters) - 1
    for k in range(depth):
        step = hidden @ parameters[f"weight_{k}"] + parameters[f"bias_{k}"]
        step = xp.maximum(step, 0.1 * step)  # leaky rectifier
        hidden = step if k == 0 else hidden + step
    return hidden @ parameters["weight_out"] + parameters["bias_out"]


def decode(output: Any, base_level: Any, bases: Any) -> tuple[Any, Any]:
    """Physical response from the network's ``output`` (..., N_OUTPUTS).

    ``base_level`` (..., N_FRAMES) dB and ``bases`` (..., N_FRAMES, N_BASES, 3) as in PairFeatures. Returns levels
    (..., N_FRAMES) in dB and intensity ratios (..., N_FRAMES, 3), vectors no longer than 1.
    """
    xp = array_namespace(output)
    level = base_level + 10.0 * output[..., :N_FRAMES]
    coefficients = xp.reshape(output[..., N_FRAMES:], (*output.shape[:-1], N_FRAMES, N_BASES))
    # Sums of three terms are written out: over axes as short as these NumPy is slow.
    vector = sum(coefficients[..., k, None] * bases[..., k, :] for k in range(N_BASES))
    length = xp.sqrt(sum(vector[..., k : k + 1] ** 2 for k in range(3)) + 1e-12)
    return level, vector / xp.maximum(length, xp.ones_like(length))


def join_specular(level: Any, ratio: Any, specular: Any) -> Any:
    """Energies (..., N_FRAMES, 4) of what `decode` gives, ``level`` and ``ratio``, and ``specular`` ones together."""
    xp = array_namespace(level)
    energy = xp.exp(level * _NEPER)[..., None]
    return xp.concat([energy, energy * ratio], axis=-1) + specular


def save_decoder(
    path: Path, config: DecoderConfig, parameters: Mapping[str, np.ndarray], notes: dict[str, str]
) -> None:
    """Write the decoder to ``path`` as safetensors, with its configuration and ``notes`` on its making."""
    from safetensors.numpy import save_file

    part = path.with_name(path.name + ".part")
    metadata = {"format": _FORMAT, "config": json.dumps(asdict(config)), **notes}
    save_file({k: np.ascontiguousarray(v, np.float32) for k, v in parameters.items()}, str(part), metadata)
    part.chmod(0o644)  # safetensors gives the file to its owner alone
    part.replace(path)


def load_decoder(path: Path) -> tuple[DecoderConfig, dict[str, np.ndarray], dict[str, str]]:
    """Read a decoder: configuration, parameters by name, and the notes on its making.

    Raises UserError when the file is missing, foreign, or its parameters do not have the shapes of its configuration.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np") as file:
            notes = dict(file.metadata() or {})
            if notes.pop("format", None) != _FORMAT:
                raise UserError(f"{path} does not hold the weights of a field of this version.")
            config = DecoderConfig(**json.loads(notes.pop("config")))
            _check(config, path)
            shapes = parameter_shapes(config)
            if set(file.keys()) != set(shapes):
                raise UserError(f"{path} lacks parameters of the field, or has others: reinstall it.")
            for name, shape in shapes.items():
                stored = file.get_slice(name)
                if tuple(stored.get_shape()) != shape or stored.get_dtype() != "F32":
                    raise UserError(f"{path}: parameter “{name}” is not {shape} numbers of float32: reinstall it.")
            parameters = {name: file.get_tensor(name) for name in shapes}
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as the weights of a field: {error}") from error
    if not all(np.isfinite(p).all() for p in parameters.values()) or (parameters["deviation"] <= 0.0).any():
        raise UserError(f"{path} holds weights that are not finite numbers: reinstall it.")
    return config, parameters, notes


def _check(config: DecoderConfig, path: Path) -> None:
    """Raise UserError where ``config``, read from ``path``, cannot be that of a decoder of this version."""
    for name, low, high in (("width", 1, 65536), ("depth", 1, 64), ("bandwidth", 0.01, 100.0)):
        value = getattr(config, name)
        allowed = int if name != "bandwidth" else (int, float)
        if not isinstance(value, allowed) or isinstance(value, bool) or not low <= value <= high:
            raise UserError(f"{path}: the {name} of its network is {value!r}, not {low:g} to {high:g}: reinstall it.")
    if (config.inputs, config.outputs) != (N_FEATURES, N_OUTPUTS):
        raise UserError(f"{path} was made for another version of the field: reinstall it.")
