"""The published neural acoustic field as a method: training with checkpoints, whole responses, phases."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from naf_core.errors import UserError
from naf_core.recordings.method import PUBLISHED_FORMAT, Tell
from naf_core.recordings.naf import Naf, NafConfig, head_directions
from naf_core.recordings.phases import PHASES, with_phases
from naf_core.recordings.recordingset import RecordingSet, check_learnable
from naf_core.recordings.spectrogram import BINS, RATE, frame_count, log_magnitudes

# In R3VIVAL answers differ by 0.011 from those for every bin and frame, and their error by less than 0.001.
STRIDE = 3

_FORMAT = f"{PUBLISHED_FORMAT} 1"
_AROUND = 0.25  # m of grid around the outermost positions
_STEADY = 0.1  # added to deviations of log-magnitudes
_DEVIATIONS = 3.0  # by which normalised values are divided
_ROWS = 8192  # values a step of answering or of training: what the network makes of them stays in the cache
_EVERY = 60.0  # s between checkpoints
_LONGEST = 30 * RATE  # samples
_DAMAGE = (OSError, ValueError, TypeError, KeyError, RuntimeError, RecursionError)


class PublishedNaf:
    """See `Method`. ``settings`` are those of `NafConfig`.

    ``checkpoint`` is a file from which training goes on where it exists and that it writes as it goes. ``phase`` is one
    of PHASES. ``stride`` answers for every so many bins and frames only, and interpolates. ``device`` is torch's name.
    ``half`` computes the layers in bfloat16; None does so where the processor has it.
    """

    name = "published NAF"
    sample_rate = RATE

    def __init__(
        self,
        seed: int = 0,
        checkpoint: Path | None = None,
        phase: str = "direct",
        stride: int = STRIDE,
        device: str = "cpu",
        half: bool | None = None,
        **settings: float,
    ) -> None:
        if phase not in PHASES:
            raise UserError(f"There is no phase “{phase}”: choose one of {', '.join(PHASES)}.")
        self.seed, self.checkpoint, self.phase, self.stride, self.device = seed, checkpoint, phase, stride, device
        self.half = has_bfloat16() if half is None else half
        self.config = NafConfig(**settings)
        self.network: Naf | None = None
        self.losses: list[float] = []

    def fit(self, train: RecordingSet, progress: Tell | None = None) -> None:
        """Train on ``train``; ``progress`` gets 0..1 after each step and may raise to cancel.

        Where the checkpoint is of the same recordings and settings, training goes on from it. Raises UserError on
        another sample rate than RATE, on recordings of which nothing is learned (`check_learnable`), and when the
        checkpoint is of something else.
        """
        if train.sample_rate != RATE:
            raise UserError(f"{train.name} has {train.sample_rate} Hz: the published field learns at {RATE} Hz.")
        check_learnable(train)
        self._shape = train.responses.shape[1:]
        self._speed = train.speed_of_sound
        heard = log_magnitudes(train.responses)
        self._mean, self._deviation = heard.mean(axis=0), heard.std(axis=0) + _STEADY
        places = np.concatenate([train.emitters, train.listeners])
        self._bounds = np.stack([places.min(axis=0) - _AROUND, places.max(axis=0) + _AROUND])
        self._digest = _digest(train, self.config, self.seed)
        torch.manual_seed(self.seed)
        self._build()
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.config.rate)
        epoch = self._resume(optimizer) if self.checkpoint is not None and self.checkpoint.exists() else 0
        wanted = torch.tensor((heard - self._mean) / (_DEVIATIONS * self._deviation)).flatten(-2).to(self.device)
        where = [torch.tensor(p, dtype=torch.float32, device=self.device) for p in (train.emitters, train.listeners)]
        heads = torch.tensor(head_directions(train.rotations), device=self.device)
        saved = time.monotonic()
        while epoch < self.config.epochs:
            self.losses.append(self._epoch(epoch, optimizer, wanted, where, heads, progress))
            epoch += 1
            if self.checkpoint is not None and (epoch == self.config.epochs or time.monotonic() - saved >= _EVERY):
                self._save(self.checkpoint, epoch, optimizer)
                saved = time.monotonic()
        self.network.eval()
        if progress is not None:
            progress(1.0)

    def log_magnitudes(self, emitters: np.ndarray, listeners: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """What the network answers, (n, channels, BINS, frames) float32."""
        channels, samples = self._shape
        frames = frame_count(samples)
        bins, times = (np.unique(np.append(np.arange(0, n, self.stride), n - 1)) for n in (BINS, frames))
        pixel = (bins[:, None] * frames + times).ravel()
        where = [torch.tensor(np.asarray(p), dtype=torch.float32, device=self.device) for p in (emitters, listeners)]
        heads = torch.tensor(head_directions(rotations), device=self.device)
        with torch.inference_mode(), self._half():
            told = self.network.pixels(self._coordinates(torch.tensor(pixel, device=self.device)))
            answer = self.network.whole(self.network.places(*where), heads, told, _ROWS).float().cpu()
        values = answer.numpy().reshape(-1, channels, len(bins), len(times))
        values = _between(_between(values, bins, BINS, 2), times, frames, 3)
        return (values * (_DEVIATIONS * self._deviation) + self._mean).astype(np.float32)

    def respond(self, emitters: np.ndarray, listeners: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Responses (n, channels, samples) float32 with the network's magnitudes and the phases asked for."""
        distances = np.linalg.norm(np.subtract(emitters, listeners), axis=-1)
        arrivals = np.round(distances / self._speed * RATE).astype(int)
        values = self.log_magnitudes(emitters, listeners, rotations)
        return with_phases(values, self._shape[1], arrivals, self.phase, self.seed)

    def features(self, points: np.ndarray) -> np.ndarray:
        """Features of the grid, (n, features), at ``points`` (n, 3) in m."""
        with torch.inference_mode():
            points = torch.tensor(np.asarray(points), dtype=torch.float32, device=self.device)
            return self.network.read_grid(points).cpu().numpy()

    def stored_bytes(self) -> int:
        """Bytes of the network's parameters and of the mean and deviation of each pixel, in single precision."""
        return 4 * sum(p.numel() for p in self.network.parameters()) + self._mean.nbytes + self._deviation.nbytes

    def save(self, path: str | Path) -> None:
        """Write the trained network to ``path`` as safetensors (beside it first, then renamed)."""
        self._save(Path(path), self.config.epochs, None)

    @classmethod
    def load(cls, path: str | Path, phase: str = "direct", device: str = "cpu") -> PublishedNaf:
        """Read what `save` wrote, or a checkpoint; raises UserError when it is missing, foreign or damaged."""
        arrays, notes = _read(Path(path))
        try:
            result = cls(int(notes["seed"]), None, phase, device=device, **notes["config"])
            result._digest, result._speed = notes["recordings"], float(notes["speed_of_sound"])
            channels, samples = result._shape = tuple(int(n) for n in notes["shape"])
            if not 0 < channels <= 64 or not 0 < samples <= _LONGEST:
                raise ValueError("its responses are of an impossible length")
            result._take(arrays)
        except _DAMAGE as error:
            raise UserError(f"{path} cannot be read as a published field ({error}): train it again.") from error
        result.network.eval()
        return result

    def _half(self) -> torch.autocast:
        """Layers in bfloat16, sums and weights in single precision, where the processor is faster so."""
        return torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.half)

    def _build(self) -> None:
        self.network = Naf(self.config, self._bounds, self._shape[0]).to(self.device)

    def _coordinates(self, pixel: torch.Tensor) -> torch.Tensor:
        """Time and frequency, (..., 2) from -1 to 1, of numbered pixels (...,)."""
        frames = frame_count(self._shape[1])
        time, frequency = pixel % frames, torch.div(pixel, frames, rounding_mode="floor")
        return 2.0 * torch.stack([time / max(frames - 1, 1), frequency / (BINS - 1)], dim=-1) - 1.0

    def _epoch(
        self,
        epoch: int,
        optimizer: torch.optim.Optimizer,
        wanted: torch.Tensor,
        where: list[torch.Tensor],
        heads: torch.Tensor,
        progress: Tell | None,
    ) -> float:
        """Once through all recordings, ``wanted`` (N, channels, pixels); the mean loss."""
        config = self.config
        for group in optimizer.param_groups:
            group["lr"] = config.rate * (config.last_rate / config.rate) ** (epoch / max(config.epochs, 1))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        batches = list(torch.randperm(len(wanted), generator=generator).split(config.batch))
        channels, total = wanted.shape[1], 0.0
        together = max(_ROWS // (channels * config.points), 1)  # responses of which gradients are summed
        for number, rows in enumerate(batches):
            pixel = torch.randint(wanted.shape[-1], (len(rows), config.points), generator=generator).to(self.device)
            noise = config.jitter * torch.randn(2, len(rows), 3, generator=generator).to(self.device)
            rows = rows.to(self.device)
            optimizer.zero_grad(set_to_none=True)
            for part in torch.arange(len(rows), device=self.device).split(together):
                these = rows[part]
                with self._half():
                    places = self.network.places(where[0][these] + noise[0, part], where[1][these] + noise[1, part])
                    found = self.network(places, heads[these], self.network.pixels(self._coordinates(pixel[part])))
                target = torch.gather(wanted[these], 2, pixel[part, None].expand(-1, channels, -1))
                loss = torch.square(found - target).sum() / (len(rows) * channels * config.points)
                loss.backward()
                total += float(loss.detach()) * len(rows)
            optimizer.step()
            if progress is not None:
                progress((epoch + (number + 1) / len(batches)) / config.epochs)
        return total / len(wanted)

    def _save(self, path: Path, epoch: int, optimizer: torch.optim.Optimizer | None) -> None:
        """Write the network, and the state of the ``optimizer`` where there is one, as after ``epoch`` epochs."""
        from safetensors.numpy import save_file

        arrays = {f"network.{k}": v.detach().cpu().numpy() for k, v in self.network.state_dict().items()}
        arrays |= {"mean": self._mean, "deviation": self._deviation, "bounds": self._bounds}
        for name, state in _states(self.network, optimizer):
            arrays |= {f"{name}.{k}": np.asarray(v.detach().cpu().numpy(), np.float32) for k, v in state.items()}
        notes = {
            "format": _FORMAT,
            "config": json.dumps(asdict(self.config)),
            "seed": json.dumps(self.seed),
            "epoch": json.dumps(epoch),
            "recordings": json.dumps(self._digest),
            "shape": json.dumps(self._shape),
            "speed_of_sound": json.dumps(self._speed),
            "losses": json.dumps(self.losses),
        }
        part = path.with_name(path.name + ".part")
        try:
            save_file({k: np.array(v, order="C") for k, v in arrays.items()}, str(part), notes)
            part.chmod(0o644)  # safetensors gives the file to its owner alone
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise UserError(f"{path} cannot be written ({error}): choose another folder.") from error

    def _resume(self, optimizer: torch.optim.Optimizer) -> int:
        """Take network and optimizer from the checkpoint; gives the number of epochs done."""
        arrays, notes = _read(self.checkpoint)
        try:
            if notes["recordings"] != self._digest:
                raise UserError(
                    f"{self.checkpoint} was trained on other recordings or with other settings: name another file, or"
                    " remove it."
                )
            epoch, self.losses = int(notes["epoch"]), [float(x) for x in notes["losses"]]
            if not 0 <= epoch <= self.config.epochs:
                raise ValueError("its epochs are out of range")
            self._take(arrays)
            optimizer.param_groups[0]["params"] = list(self.network.parameters())
            for name, parameter in self.network.named_parameters():
                state = {k: arrays.get(f"optimizer.{name}.{k}") for k in ("exp_avg", "exp_avg_sq", "step")}
                if any(v is None for v in state.values()) or state["exp_avg"].shape != parameter.shape:
                    if epoch == self.config.epochs:
                        break  # finished, and saved without
                    raise ValueError("it lacks what training needs to go on")
                optimizer.state[parameter] = {
                    k: torch.tensor(v, device=torch.device("cpu") if k == "step" else self.device)
                    for k, v in state.items()
                }
        except _DAMAGE as error:
            raise UserError(
                f"{self.checkpoint} cannot be read as a checkpoint ({error}): remove it to begin anew."
            ) from error
        return epoch

    def _take(self, arrays: dict[str, np.ndarray]) -> None:
        """Build the network from a file's ``arrays``; raises one of _DAMAGE when they do not fit."""
        self._mean, self._deviation, self._bounds = (arrays[k] for k in ("mean", "deviation", "bounds"))
        pixels = (self._shape[0], BINS, frame_count(self._shape[1]))
        if self._mean.shape != pixels or self._deviation.shape != pixels or self._bounds.shape != (2, 3):
            raise ValueError("its means or bounds have other shapes")
        if not all(np.isfinite(a).all() for a in arrays.values()) or not (self._bounds[1] > self._bounds[0]).all():
            raise ValueError("it has values that are not finite, or bounds without room")
        self._build()
        parameters = {k.removeprefix("network."): v for k, v in arrays.items() if k.startswith("network.")}
        self.network.load_state_dict({k: torch.tensor(v) for k, v in parameters.items()})


def settings_of(path: str | Path) -> dict[str, float]:
    """The settings (see `NafConfig`) of a checkpoint; raises UserError when it is missing, foreign or damaged."""
    try:
        return asdict(NafConfig(**_read(Path(path))[1]["config"]))
    except (TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read as a checkpoint ({error}): remove it to begin anew.") from error


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16."""
    found = torch.cpu.get_capabilities()
    return any(found.get(key, False) for key in ("amx_bf16", "avx512_bf16", "bf16"))


def _states(network: Naf, optimizer: torch.optim.Optimizer | None) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """What ``optimizer`` keeps of each parameter, by name."""
    if optimizer is not None:
        for name, parameter in network.named_parameters():
            if parameter in optimizer.state:
                yield f"optimizer.{name}", optimizer.state[parameter]


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and notes of a file; raises UserError when it is none of this version."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np") as file:
            notes = dict(file.metadata() or {})
            if notes.pop("format", None) != _FORMAT:
                raise UserError(f"{path} holds no published field of this version: train it again.")
            return {k: file.get_tensor(k) for k in file.keys()}, {k: json.loads(v) for k, v in notes.items()}
    except (*_DAMAGE, SafetensorError) as error:
        raise UserError(f"{path} cannot be read as a published field ({error}): train it again.") from error


def _digest(train: RecordingSet, config: NafConfig, seed: int) -> str:
    """What tells this training from any other."""
    digest = hashlib.sha256(json.dumps([asdict(config), seed]).encode())
    for values in (train.responses, train.emitters, train.listeners, train.rotations):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _between(values: np.ndarray, known: np.ndarray, count: int, axis: int) -> np.ndarray:
    """``values``, given at the whole numbers ``known`` along ``axis``, at all of 0 .. ``count`` - 1; linear."""
    if len(known) == count:
        return values
    right = np.clip(np.searchsorted(known, np.arange(count)), 1, len(known) - 1)
    share = ((np.arange(count) - known[right - 1]) / np.diff(known)[right - 1]).astype(values.dtype)
    share = share.reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    return np.take(values, right - 1, axis) * (1.0 - share) + np.take(values, right, axis) * share
