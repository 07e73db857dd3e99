"""The command line: ``python -m naf_core predict``, ``bake`` and ``recordings``."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from naf_core import __version__
from naf_core.bands import BANDS_HZ
from naf_core.errors import UserError
from naf_core.layouts import FORMATS
from naf_core.response import EnergyResponse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 when done and 1 after an error that the message says how to mend."""
    words = _plain_numbers(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["recordings"]:
        return _recordings(words[1:])
    options = _parser().parse_args(words)
    if options.command == "bake":
        from naf_core.worker import worker

        return worker(options.folder)
    if options.command == "check":
        from naf_core import findings
        from naf_core.process import work

        return work(lambda emit: findings.run(options.folder, emit))
    if options.command == "answer":
        from naf_core.dialogue import worker

        return worker()
    try:
        _predict(options)
    except UserError as error:
        print(f"naf_core: {error.message}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m naf_core", description="Room acoustics of any triangle scene, from a neural acoustic field."
    )
    parser.add_argument("--version", action="version", version=f"Acoustic Fields {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    predict = commands.add_parser("predict", help="what a listener hears of an emitter: ISO 3382-1 parameters")
    predict.add_argument("scene", type=Path, metavar="SCENE", help="scene or field (.h5), or mesh (.obj, .glb, .ply)")
    for name, who in (("--emitter", "sounds"), ("--listener", "hears")):
        predict.add_argument(
            name, type=float, nargs=3, required=True, metavar=("X", "Y", "Z"), help=f"who {who}: metres, z up"
        )
    predict.add_argument(
        "--engine",
        choices=("field", "reference"),
        default="field",
        help="the neural field (default), or the ray tracer that it was trained on",
    )
    predict.add_argument("--json", action="store_true", help="print JSON instead of a table")
    predict.add_argument("--ir", type=Path, metavar="OUT.wav", help="write the impulse response, direct sound included")
    predict.add_argument(
        "--format", choices=FORMATS, default="ambix", help="channels of the impulse response (default: ambix)"
    )
    predict.add_argument("--sample-rate", type=int, default=48000, metavar="HZ", help="of the impulse response")
    predict.add_argument("--materials", type=Path, metavar="FILE.json", help="acoustic materials of a mesh, by name")
    predict.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")

    bake = commands.add_parser("bake", help="do the job in a job folder, telling events as lines of JSON")
    bake.add_argument("folder", type=Path, metavar="JOBFOLDER")
    check = commands.add_parser("check", help="look for what is odd about the scene in a folder, as lines of JSON")
    check.add_argument("folder", type=Path, metavar="FOLDER")
    commands.add_parser("answer", help="answer questions, lines of JSON on the standard input, on a scene scanned once")
    commands.add_parser("recordings", help="learn a room from measured responses: import, train, compare, plot, export")
    return parser


def _recordings(words: Sequence[str]) -> int:
    """Run a command on recordings, which are not part of what the extension bundles."""
    if importlib.util.find_spec("naf_core.recordings") is None:
        print("naf_core: recordings need the whole project, not the copy within the extension.", file=sys.stderr)
        return 1
    try:
        from naf_core.recordings.commands import main as run
    except ModuleNotFoundError as error:
        if (error.name or "naf_core").startswith("naf_core"):
            raise
        print(f"naf_core: recordings need {error.name}: install acoustic-fields[recordings].", file=sys.stderr)
        return 1
    return run(words)


def _plain_numbers(arguments: Sequence[str]) -> list[str]:
    """The arguments with numbers such as -1e-05 written out, which argparse would take for options."""
    return [f"{float(word):.12f}" if re.fullmatch(r"-\d*\.?\d+[eE][+-]?\d+", word) else word for word in arguments]


def _predict(options: argparse.Namespace) -> None:
    from naf_core.report import parameter_lists, table

    emitter, listener = np.array(options.emitter), np.array(options.listener)
    for name, position in (("emitter", emitter), ("listener", listener)):
        if not (np.isfinite(position).all() and np.abs(position).max() < 1e6):
            raise UserError(f"The {name} is at {position.tolist()}: give three numbers in metres.")
    if options.seed < 0:
        raise UserError(f"The seed is {options.seed}: give 0 or more.")
    if options.ir is not None:
        from naf_core.render import SAMPLE_RATES

        low, high = SAMPLE_RATES
        if options.ir.suffix.lower() != ".wav":
            raise UserError(f"{options.ir} does not end in .wav: the impulse response is written as a WAV file.")
        if not low <= options.sample_rate <= high:
            raise UserError(f"The sample rate is {options.sample_rate} Hz: set it between {low} and {high}.")
    response, notes = _respond(options, emitter, listener)
    for note in notes:
        print(f"naf_core: {note}", file=sys.stderr)
    if options.ir is not None:
        from naf_core.formats import format_of
        from naf_core.render import impulse_response
        from naf_core.sound import write_sound

        samples = impulse_response(response, options.sample_rate, format_of(options.format), options.seed)
        write_sound(options.ir, samples, options.sample_rate, subtype="FLOAT")
    parameters = parameter_lists(response)
    if options.json:
        print(json.dumps({"bands_hz": list(BANDS_HZ), **parameters}, allow_nan=False))
        return
    sight = "in sight" if np.any(response.direct > 0.0) else "hidden"
    print(f"{options.scene}: emitter and listener {float(response.distance):.2f} m apart, {sight}; {options.engine}")
    print(table(parameters))
    if options.ir is not None:
        print(f"Impulse response: {options.ir} ({options.format}, {options.sample_rate} Hz)")


def _respond(
    options: argparse.Namespace, emitter: np.ndarray, listener: np.ndarray
) -> tuple[EnergyResponse, list[str]]:
    """The response of the pair, and what a person should know about it."""
    from naf_core.convergence import trace_until
    from naf_core.field import Field
    from naf_core.meshfile import SUFFIXES, read_materials, read_mesh
    from naf_core.scene import Scene
    from naf_core.threads import process_count

    suffix, field, notes = options.scene.suffix.lower(), None, []
    if suffix == ".h5":
        if options.materials is not None:
            raise UserError(f"{options.scene} has its own materials: leave --materials out.")
        if options.engine == "field" and _holds_a_field(options.scene):
            field = Field.load(options.scene)
            scene = field.scene
        else:
            scene = Scene.load(options.scene)
    elif suffix in SUFFIXES:
        scene, notes = read_mesh(options.scene, read_materials(options.materials) if options.materials else None)
    else:
        raise UserError(f"{options.scene} is not a scene: give a file that ends in .h5, {', '.join(SUFFIXES)}.")
    if not len(scene.triangles):
        notes.append("There is no geometry: this is the free field.")
    if options.engine == "reference":
        response, noise = trace_until(scene, emitter[None], listener[None], seed=options.seed)
        return response[0, 0], [*notes, *noise.words()]
    if field is None:
        field = Field.scan(scene, seed=options.seed, processes=process_count())
    if len(scene.triangles):
        for name, seen in zip(("emitter", "listener"), field.covers(np.stack([emitter, listener])), strict=True):
            if not seen:
                notes.append(f"The {name} is outside the rooms or inside an object, so this is a guess.")
    return field.predict(emitter[None], listener[None])[0], notes


def _holds_a_field(path: Path) -> bool:
    """Whether an .h5 file holds a scan beside its scene."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "field" in file.attrs
    except OSError as error:
        raise UserError(f"{path} cannot be read as a scene: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
