"""The training loop of the decoder: the only part of the field that needs torch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from naf_core.decoder import DecoderConfig, decode, forward, join_specular, parameter_shapes, save_decoder
from naf_core.features import N_BASES
from naf_core.response import FRAME_EDGES, N_FRAMES
from naf_core.training.dataset import FLOOR_DB
from naf_core.training.samples import Samples

_EDGE_50 = int(np.argmin(np.abs(FRAME_EDGES - 0.050)))
_E = float(np.e)
_EARLY = int(np.argmin(np.abs(FRAME_EDGES - 0.080)))  # directions count up to here, and a little beyond


@dataclass(frozen=True)
class TrainConfig:
    """How the decoder is trained."""

    epochs: float = 5.0  # more only learn the rooms by heart
    batch: int = 2048
    rate: float = 1.2e-3  # peak learning rate, one cosine down
    weight_decay: float = 0.05
    noise: float = 0.15  # added to the inputs, in standard deviations: a scan never hears twice the same
    seed: int = 0
    threads: int = 2


def losses(level: torch.Tensor, ratio: torch.Tensor, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Means over a batch of what should become small: frame levels, decays, C50 and strength in dB, directions."""
    target, direct = batch["level"], batch["direct"]
    loudest = target.max(dim=1, keepdim=True).values
    # By how much more than 20 dB a frame lies below the loudest later one is not heard.
    least = target.flip(1).cummax(dim=1).values.flip(1) - 20.0
    shown, wanted = torch.maximum(level, least), torch.maximum(target, least)
    weight = ((wanted - loudest + 60.0) / 20.0).clamp(0.0, 1.0)
    # Frames too weak to count must only stay weak.
    excess = (level - torch.maximum(wanted, loudest - 60.0)).clamp_min(0.0) * (1.0 - weight)
    # Energies relative to the target's total, so that single precision reaches all decays.
    total = torch.logsumexp(target * 0.2302585, dim=1, keepdim=True)
    shift = torch.logaddexp(total, torch.log(direct + 1e-20)[:, None])

    def decay(levels: torch.Tensor) -> torch.Tensor:
        energy = torch.exp(levels * 0.2302585 - shift)
        energy = torch.cat([energy[:, :1] + direct[:, None] * torch.exp(-shift), energy[:, 1:]], dim=1)
        return energy.flip(1).cumsum(1).flip(1)

    said, meant = decay(level), decay(target)
    said_db, meant_db = (10.0 * torch.log10(curve.clamp_min(1e-9)) for curve in (said, meant))
    heard = (meant_db > -45.0).float()
    below = (meant_db - said_db) * 0.2302585
    # Gamma deviance (McCullagh and Nelder 1989, "Generalized linear models", 8.3), going on straight beyond 4 dB: it is
    # least at the mean of noisy energies. Errors in dB are least at the median of their logarithms, which lies the
    # lower the fewer paths there were: decays learned from them alone come out too short.
    deviance = torch.where(below < 1.0, torch.exp(below.clamp_max(1.0)) - below - 1.0, _E * below - below - 1.0)
    c50 = [
        10.0 * torch.log10((curve[:, 0] - curve[:, _EDGE_50]).clamp_min(1e-6) / curve[:, _EDGE_50].clamp_min(1e-6))
        for curve in (said, meant)
    ]
    share = torch.exp((wanted - loudest) * 0.2302585)[:, : _EARLY + 6]
    share = share / share.sum(dim=1, keepdim=True)
    miss = ((ratio - batch["direction"])[:, : _EARLY + 6] ** 2).sum(dim=2)
    return {
        "frame": ((shown - wanted).abs() * weight).sum(dim=1).div(weight.sum(dim=1).clamp_min(1.0)).mean(),
        "excess": excess.mean(),
        "decay": ((said_db - meant_db).abs() * heard).sum(dim=1).div(heard.sum(dim=1).clamp_min(1.0)).mean(),
        "deviance": (deviance * heard).sum(dim=1).div(heard.sum(dim=1).clamp_min(1.0)).mean(),
        "c50": (c50[0].clamp(-25, 25) - c50[1].clamp(-25, 25)).abs().mean(),
        "strength": (said_db[:, 0] - meant_db[:, 0]).abs().mean(),
        "direction": (miss * share).sum(dim=1).mean(),
    }


LOSS_WEIGHTS = {
    "frame": 0.1,
    "excess": 0.3,
    "decay": 0.3,
    "deviance": 5.0,
    "c50": 0.6,
    "strength": 0.3,
    "direction": 2.0,
}
_BEND_WEIGHT = 1.0


def bend(level: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """Mean change in dB from frame to frame, beyond 50 ms, of what is added to the ``base`` to get to ``level``.

    The probes' exchange holds the slopes of late decays better than a teacher of a few thousand paths can teach them:
    they are to be bent only for a good reason.
    """
    return torch.diff(level - base, dim=1)[:, _EDGE_50:].abs().mean()


def batch_of(samples: Samples, rows: np.ndarray, listener: np.ndarray) -> dict[str, torch.Tensor]:
    """Samples ``rows`` as float32 tensors, with end ``listener`` (0 or 1 each) as the listener."""
    n = len(rows)
    bases = np.empty((n, N_FRAMES, N_BASES, 3), np.float32)
    bases[:, :, 0] = samples.way[rows, listener][:, None]
    bases[:, :, 1] = samples.straight[rows, listener][:, None]
    bases[:, :, 2] = samples.heard[rows, listener].astype(np.float32) / 127.0
    mirrored = 10.0 ** (samples.specular[rows].astype(np.float32)[..., None] / 10.0)
    mirrored[mirrored < 2.0 * 10.0 ** (FLOOR_DB / 10.0)] = 0.0
    towards = samples.mirrored[rows, listener].astype(np.float32) / 127.0
    arrays = {
        "specular": np.concatenate([mirrored, mirrored * towards], axis=-1),
        "inputs": samples.inputs[rows].astype(np.float32),
        "base": samples.base[rows].astype(np.float32),
        "level": samples.level[rows].astype(np.float32),
        "direct": samples.direct[rows],
        "direction": samples.direction[rows, listener].astype(np.float32) / 127.0,
        "bases": bases,
    }
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def initial_parameters(config: DecoderConfig, samples: Samples, seed: int) -> dict[str, torch.Tensor]:
    """Random weights (He et al. 2015), zero at the output, and the normalisation of the inputs."""
    generator = torch.Generator().manual_seed(seed)
    probe = samples.inputs[:: max(1, len(samples) // 200_000)].astype(np.float32)
    parameters = {}
    for name, shape in parameter_shapes(config).items():
        if name == "mean":
            parameters[name] = torch.from_numpy(probe.mean(axis=0))
        elif name == "deviation":
            parameters[name] = torch.from_numpy(np.maximum(probe.std(axis=0), 1e-2))
        elif name.startswith("bias") or name == "weight_out":
            parameters[name] = torch.zeros(shape)
        else:
            parameters[name] = torch.randn(shape, generator=generator) * (2.0 / shape[0]) ** 0.5
    for name in parameters:
        if name.startswith("weight_") and name not in ("weight_0", "weight_out"):
            parameters[name] = parameters[name] * 0.5  # residual layers start small
    return parameters


def train(
    samples: Samples,
    validation: Samples,
    checkpoint: Path,
    decoder: DecoderConfig,
    config: TrainConfig,
    notes: dict[str, str],
    report: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> dict[str, np.ndarray]:
    """Train a decoder on ``samples``; progress is kept in ``checkpoint`` and taken up again when it exists.

    Returns the trained parameters. One batch in a hundred is reported, and the losses on ``validation`` every epoch.
    """
    torch.set_num_threads(config.threads)
    parameters = initial_parameters(decoder, samples, config.seed)
    trained = [name for name in parameters if name not in ("mean", "deviation")]
    for name in trained:
        parameters[name].requires_grad_(True)
    optimiser = torch.optim.AdamW(
        [
            {"params": [parameters[n] for n in trained if n.startswith("weight")], "weight_decay": config.weight_decay},
            {"params": [parameters[n] for n in trained if n.startswith("bias")], "weight_decay": 0.0},
        ],
        lr=config.rate,
        betas=(0.9, 0.98),
    )
    per_epoch = max(1, len(samples) // config.batch)
    steps = int(config.epochs * per_epoch)
    step, average = _resume(checkpoint, parameters, optimiser, trained)
    started = time.perf_counter()
    while step < steps:
        epoch, first = divmod(step, per_epoch)
        order = np.random.default_rng([config.seed, epoch]).permutation(len(samples))
        sides = np.random.default_rng([config.seed, epoch, 1]).integers(0, 2, len(samples))
        for place in range(first, per_epoch):
            if step >= steps:
                break
            progress = step / steps
            rate = config.rate * min(1.0, step / 300.0) * (0.5 * (1.0 + np.cos(np.pi * progress)) + 0.005)
            for group in optimiser.param_groups:
                group["lr"] = rate
            rows = order[place * config.batch : (place + 1) * config.batch]
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
            batch = batch_of(samples, rows, sides[rows])
            jitter = torch.randn(batch["inputs"].shape, generator=generator) * config.noise
            inputs = batch["inputs"] + jitter * parameters["deviation"]
            level, ratio = decode(forward(parameters, inputs), batch["base"], batch["bases"])
            parts = losses(*_heard(level, ratio, batch), batch)
            loss = sum(LOSS_WEIGHTS[name] * value for name, value in parts.items())
            loss = loss + _BEND_WEIGHT * bend(level, batch["base"])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([parameters[n] for n in trained], 5.0)
            optimiser.step()
            step += 1
            keep = min(0.999, 1.0 - 1.0 / (1.0 + step / 10.0))
            with torch.no_grad():
                for name in trained:
                    average[name].lerp_(parameters[name], 1.0 - keep)
            if step % 100 == 0:
                shown = "  ".join(f"{name} {value.item():.3f}" for name, value in parts.items())
                report(f"step {step}/{steps}  {time.perf_counter() - started:.0f} s  {shown}")
        _save_checkpoint(checkpoint, parameters, average, optimiser, step)
        report(f"validation after {step} steps: {validate(parameters | average, validation)}")
    final = {n: p.detach().numpy().copy() for n, p in (parameters | average).items()}
    save_decoder(checkpoint.with_suffix(".final.safetensors"), decoder, final, notes)
    return final


@torch.no_grad()
def validate(parameters: dict[str, torch.Tensor], samples: Samples, limit: int = 40_000) -> str:
    """The losses on (at most ``limit`` of) ``samples``, as text."""
    rows = np.arange(0, len(samples), max(1, len(samples) // limit))
    batch = batch_of(samples, rows, np.zeros(len(rows), int))
    level, ratio = decode(forward(parameters, batch["inputs"]), batch["base"], batch["bases"])
    said = losses(*_heard(level, ratio, batch), batch)
    return "  ".join(f"{name} {value.item():.3f}" for name, value in said.items())


def _heard(
    level: torch.Tensor, ratio: torch.Tensor, batch: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Levels and intensity ratios of what the decoder says together with the specular paths."""
    energy = join_specular(level, ratio, batch["specular"])
    whole = energy[..., 0].clamp_min(1e-20)
    return 10.0 * torch.log10(whole), energy[..., 1:] / whole[..., None]


def _save_checkpoint(
    path: Path,
    parameters: dict[str, torch.Tensor],
    average: dict[str, torch.Tensor],
    optimiser: torch.optim.Optimizer,
    step: int,
) -> None:
    from safetensors.torch import save_file

    state = {f"parameter.{n}": p.detach().contiguous() for n, p in parameters.items()}
    for name, mean in average.items():
        state[f"average.{name}"] = mean.contiguous()
        for key, value in optimiser.state[parameters[name]].items():
            state[f"optimiser.{key}.{name}"] = torch.as_tensor(value).contiguous()
    part = path.with_name(path.name + ".part")
    save_file(state, str(part), {"step": str(step)})
    part.replace(path)


def _resume(
    path: Path, parameters: dict[str, torch.Tensor], optimiser: torch.optim.Optimizer, trained: list[str]
) -> tuple[int, dict[str, torch.Tensor]]:
    """Take up the state in ``path``, if there is one of the same shapes: the step it was left at, and the averages."""
    if not path.exists():
        return 0, {name: parameters[name].detach().clone() for name in trained}
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
        wanted = {f"parameter.{name}": tuple(parameter.shape) for name, parameter in parameters.items()}
        wanted |= {f"average.{name}": tuple(parameters[name].shape) for name in trained}
        if {name: shape for name, shape in found.items() if not name.startswith("optimiser.")} != wanted:
            raise ValueError(f"{path} belongs to a decoder of another size: remove it to start afresh.")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(file.get_tensor(f"parameter.{name}"))
        for name in trained:
            optimiser.state[parameters[name]] = {
                key: file.get_tensor(f"optimiser.{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")
            }
        average = {name: file.get_tensor(f"average.{name}") for name in trained}
        return int((file.metadata() or {})["step"]), average
