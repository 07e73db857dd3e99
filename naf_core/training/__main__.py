"""Command line of the training: ``train`` reproduces data and weights, ``evaluate`` tests them on unseen rooms.

``calibrate`` tells how far off their answers are, ``pictures`` what they know of places.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path

from naf_core.errors import UserError
from naf_core.training.evaluate import FIRST_SEED, RAYS, as_text, evaluate, make_truth, missed, save_json
from naf_core.training.rooms import WIDE_TRAINING

_CACHE = Path(".cache")


def _train(options: argparse.Namespace) -> int:
    from naf_core.decoder import DecoderConfig, save_decoder
    from naf_core.training.dataset import make_dataset, read_rooms
    from naf_core.training.samples import join, room_samples
    from naf_core.training.train import TrainConfig, train

    shards = make_dataset(options.data, options.rooms, options.wide, options.processes)
    rooms = read_rooms(shards)
    parts = [room_samples(room) for room in rooms]
    held = max(1, len(parts) // 50)
    decoder = DecoderConfig(width=options.width, bandwidth=options.bandwidth)
    config = TrainConfig(epochs=options.epochs)
    notes = {"rooms": str(len(rooms)), "epochs": f"{options.epochs:g}", "seed": str(config.seed)}
    parameters = train(
        join(parts[held:]), join(parts[:held]), options.data / "train.checkpoint", decoder, config, notes
    )
    save_decoder(options.output, decoder, parameters, notes)
    digest = hashlib.sha256(options.output.read_bytes()).hexdigest()
    print(f"{options.output}: {options.output.stat().st_size} bytes, SHA-256 {digest}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    truths = make_truth(options.data, options.rooms, rays=options.rays, processes=options.processes)
    cores = options.processes or os.cpu_count() or 1
    result = evaluate(truths, options.weights, refined=options.refined, processes=cores)
    print(as_text(result))
    if options.json:
        save_json(result, options.json)
    short = missed(result)
    print("missed: " + ", ".join(short) if short else "all bars met")
    return 1 if short else 0


def _calibrate(options: argparse.Namespace) -> int:
    from naf_core.training.calibration import ask, expected_elsewhere, fit, keep
    from naf_core.training.pictures import save_reliability

    asked = ask(options.data, options.rooms, options.wide, options.weights, options.processes)
    expected = expected_elsewhere(asked)
    keep(options.weights, fit(asked))
    options.output.mkdir(parents=True, exist_ok=True)
    print(save_reliability(options.output / "learnt_uncertainty.png", expected, asked.errors))
    digest = hashlib.sha256(options.weights.read_bytes()).hexdigest()
    print(f"{options.weights} tells its errors now: SHA-256 {digest}")
    return 0


def _pictures(options: argparse.Namespace) -> int:
    from naf_core.training.pictures import save_all

    files, words = save_all(options.output, options.rooms, options.weights, lambda done: print(f"{done:.0%}", end=" "))
    print("\n" + "\n".join([*map(str, files), words]))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run a command of the training; returns the exit code (evaluate: 1 when a bar is missed)."""
    parser = argparse.ArgumentParser(prog="python -m naf_core.training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="trace the training rooms and train the decoder; resumes where it was")
    train.add_argument("--rooms", type=int, default=1760, help="plain rooms, seeds from 0 (default %(default)s)")
    train.add_argument(
        "--wide", type=int, default=0, help=f"wide rooms, seeds from {WIDE_TRAINING} (default %(default)s)"
    )
    train.add_argument("--epochs", type=float, default=5.0)
    train.add_argument("--width", type=int, default=256, help="hidden units (default %(default)s)")
    train.add_argument("--bandwidth", type=float, default=0.6, help="of the Gaussian kernels, m (default %(default)s)")
    train.add_argument("--data", type=Path, default=_CACHE / "teacher", help="folder of the teacher data")
    train.add_argument("--output", type=Path, default=_CACHE / "field.safetensors", help="the weights to write")
    train.add_argument("--processes", type=int, default=None, help="default: one a core")
    train.set_defaults(run=_train)
    test = commands.add_parser("evaluate", help="test the field on rooms it has never seen, against the reference")
    test.add_argument(
        "--rooms", type=int, default=200, help=f"rooms of the seeds from {FIRST_SEED} (default %(default)s)"
    )
    test.add_argument("--refined", type=int, default=0, help="rooms in which to refine, too (default %(default)s)")
    test.add_argument("--rays", type=int, default=RAYS, help="paths an emitter of the reference (default %(default)s)")
    test.add_argument("--data", type=Path, default=_CACHE / "truth", help="folder of the traced rooms")
    test.add_argument("--weights", type=Path, default=None, help="default: the bundled ones")
    test.add_argument("--json", type=Path, default=None, help="also write the tables to this file")
    test.add_argument("--processes", type=int, default=None, help="default: one a core")
    test.set_defaults(run=_evaluate)
    calibrate = commands.add_parser(
        "calibrate", help="fit what the weights tell of their own errors, and keep it there"
    )
    calibrate.add_argument("--rooms", type=int, default=35, help="plain rooms from seed 500000 (default %(default)s)")
    calibrate.add_argument("--wide", type=int, default=25, help="wide rooms (default %(default)s)")
    calibrate.add_argument("--data", type=Path, default=_CACHE / "calibration", help="folder of traced rooms and scans")
    calibrate.add_argument("--weights", type=Path, required=True, help="the file that gets the calibration")
    calibrate.add_argument("--output", type=Path, default=Path("docs/pictures"), help="folder of the picture")
    calibrate.add_argument("--processes", type=int, default=None, help="default: one a core")
    calibrate.set_defaults(run=_calibrate)
    pictures = commands.add_parser("pictures", help="draw what the field has learnt: of places, and over a floor plan")
    pictures.add_argument("--output", type=Path, default=Path("docs/pictures"), help="folder (default %(default)s)")
    pictures.add_argument("--rooms", type=int, default=60, help="rooms of the linear probe (default %(default)s)")
    pictures.add_argument("--weights", type=Path, default=None, help="default: the bundled ones")
    pictures.set_defaults(run=_pictures)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except UserError as error:
        print(error.message, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
