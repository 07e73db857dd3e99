"""The command line: ``python -m naf_core recordings import | train | compare | plot | export``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from naf_core.errors import UserError
from naf_core.recordings import datasets
from naf_core.recordings.checks import suspicions
from naf_core.recordings.files import load, save
from naf_core.recordings.folder import COLUMNS, file_names, read_folder
from naf_core.recordings.recordingset import RecordingSet, aligned, calibrated, split
from naf_core.recordings.sofa import read_sofa
from naf_core.recordings.spectrogram import RATE
from naf_core.sound import SAMPLE_RATES

if TYPE_CHECKING:
    from naf_core.recordings.compare import Answers, Maker
    from naf_core.recordings.method import Loaded, Method
    from naf_core.scene import Scene

KNOWN_SETS = ("r3vival-000", "r3vival-100", "dechorate", "flat")
FLAT_FOLDER = Path("out/recordings/flat")
OURS, PUBLISHED = "ours", "naf"
PUBLISHED_NAME = "published NAF"

_NEEDED = {"matplotlib": "matplotlib", "sklearn": "scikit-learn"}
_SHOWN = 3  # test places of which pictures are made


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns 0 when done and 1 after an error that the message says how to mend."""
    options = _parser().parse_args(arguments)
    try:
        if getattr(options, "seed", 0) < 0:
            raise UserError(f"The seed is {options.seed}: give 0 or more.")
        options.run(options)
    except UserError as error:
        print(f"naf_core: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nnaf_core: stopped.", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        print(f"naf_core: this needs {_NEEDED[error.name]}: install acoustic-fields[recordings].", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m naf_core recordings", description="Learn a room from measured impulse responses."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    which = f"a set (.h5, .sofa), or one of {', '.join(KNOWN_SETS)}"
    one = command("import", _import, "make a set of recordings from a folder of sound files, or from a SOFA file")
    one.add_argument("source", type=Path, metavar="FOLDER|FILE.sofa")
    one.add_argument(
        "--positions",
        type=Path,
        metavar="FILE.csv",
        help=f"table with {', '.join(COLUMNS)} (default: FOLDER/positions.csv)",
    )
    one.add_argument("--output", type=Path, required=True, metavar="SET.h5")
    one.add_argument("--sample-rate", type=int, default=48_000, metavar="HZ", help="of the set (default: 48000)")
    one.add_argument("--align", action="store_true", help="move direct sounds to where the distances put them")
    one.add_argument("--calibrate", action="store_true", help="scale direct sounds to a unit impulse at 1 m")
    one.add_argument("--levels-lost", action="store_true", help="each response was scaled on its own")
    one.add_argument("--box", type=float, nargs=6, metavar=("X", "Y", "Z", "X", "Y", "Z"), help="corners of the room")

    one = command("train", _train, "learn a room from a set")
    one.add_argument("set", metavar="SET", help=which)
    one.add_argument("--method", choices=(OURS, PUBLISHED), default=OURS, help="ours, or the published NAF")
    one.add_argument("--scene", type=Path, metavar="FILE", help="the room as a scene (.h5) or mesh, if there is one")
    one.add_argument("--hold-out", type=int, metavar="N", help="places to leave out, the same as compare does")
    one.add_argument("--checkpoint", type=Path, metavar="FILE", help="of the published NAF: go on from it, write to it")
    one.add_argument("--epochs", type=int, metavar="N", help="of the published NAF (default: 200, or the checkpoint's)")
    one.add_argument("--output", type=Path, required=True, metavar="FIELD")
    one.add_argument("--seed", type=int, default=0)

    one = command("compare", _compare, "compare methods at places that are held out: a table and pictures")
    one.add_argument("set", metavar="SET", help=which)
    one.add_argument("--test", type=int, default=10, metavar="N", help="places held out (default: 10)")
    one.add_argument("--leave-one-out", action="store_true", help="hold each place out in turn")
    one.add_argument("--learn", type=int, metavar="N", help="learn from only so many of the others")
    one.add_argument("--checkpoint", type=Path, metavar="FILE", help="of the published NAF, trained on what is learned")
    one.add_argument("--methods", nargs="+", metavar="NAME", help="of those in the table (default: all)")
    one.add_argument("--scene", type=Path, metavar="FILE", help="the room as a scene (.h5) or mesh, if there is one")
    one.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    one.add_argument("--seed", type=int, default=0)

    one = command("plot", _plot, "picture what a trained field says of its room")
    one.add_argument("set", metavar="SET", help=which)
    one.add_argument("field", type=Path, metavar="FIELD")
    one.add_argument("--hold-out", type=int, metavar="N", help="picture the places that train --hold-out left out")
    one.add_argument("--scene", type=Path, metavar="FILE", help="the room as a scene (.h5) or mesh, if there is one")
    one.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    one.add_argument("--seed", type=int, default=0, help="by which train held them out")

    one = command("export", _export, "write a field that Blender takes, without torch and without recordings")
    one.add_argument("field", type=Path, metavar="FIELD")
    one.add_argument("--output", type=Path, required=True, metavar="FILE")
    return parser


def read_set(name: str) -> RecordingSet:
    """The set that a person names: a file, or one of KNOWN_SETS."""
    if name.startswith("r3vival-") and name in KNOWN_SETS:
        return datasets.r3vival(name.removeprefix("r3vival-"))
    if name == "dechorate":
        return datasets.dechorate()
    if name == "flat":
        from naf_core.recordings.flat import flat

        return flat(FLAT_FOLDER, _progress("flat"))
    if not name.lower().endswith(".sofa"):
        return load(name)
    found = read_sofa(name)
    _say((*found.notes, *suspicions(found)))
    return found


def _say(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print(f"naf_core: {sentence}", file=sys.stderr)


def makers(scene: Scene | None, seed: int, checkpoint: Path | None = None) -> dict[str, Maker]:
    """Makers of all methods, by the name in the table: rivals, the published field (from ``checkpoint``), ours."""
    from naf_core.recordings.compare import rivals
    from naf_core.recordings.ours import RecordingsField

    learned = {PUBLISHED_NAME: partial(published, seed, checkpoint), OURS: partial(RecordingsField, scene, seed=seed)}
    return {**rivals(), **learned}


def published(seed: int, checkpoint: Path | None = None, epochs: int | None = None) -> Method:
    """The published field, with the settings of its checkpoint where it has one and ``epochs`` are not given.

    Raises UserError where torch is missing, and on a checkpoint that cannot be read.
    """
    if importlib.util.find_spec("torch") is None:
        raise UserError("The published field needs torch: install acoustic-fields[recordings].")
    from naf_core.recordings.published import PublishedNaf, settings_of

    if epochs is not None and epochs < 1:
        raise UserError(f"{epochs} epochs teach nothing: give 1 or more.")
    settings = {} if epochs is None else {"epochs": epochs}
    if epochs is None and checkpoint is not None and checkpoint.exists():
        settings = settings_of(checkpoint)
    return PublishedNaf(seed=seed, checkpoint=checkpoint, **settings)


def _import(options: argparse.Namespace) -> None:
    low, high = SAMPLE_RATES
    if not low <= options.sample_rate <= high:
        raise UserError(f"The sample rate is {options.sample_rate} Hz: set it between {low} and {high}.")
    if options.source.suffix.lower() == ".sofa":
        if options.positions is not None:
            raise UserError("A SOFA file has its own positions: leave --positions out.")
        found, names = read_sofa(options.source).at_rate(options.sample_rate), None
    else:
        table = options.positions or options.source / "positions.csv"
        found, names = read_folder(options.source, table, options.sample_rate), file_names(table)
    if options.box is not None:
        found = replace(found, box=np.reshape(options.box, (2, 3)))
    found = replace(found, levels_known=not options.levels_lost)
    _say((*found.notes, *suspicions(found, names)))
    found = aligned(found) if options.align else found
    found = calibrated(found) if options.calibrate else found
    save(found, options.output)
    count, channels, samples = found.responses.shape
    print(
        f"{options.output}: {count} response{'s' * (count > 1)} of {channels} channel{'s' * (channels > 1)},"
        f" {samples / found.sample_rate:.2f} s at {found.sample_rate} Hz"
    )


def _train(options: argparse.Namespace) -> None:
    found = read_set(options.set)
    if options.hold_out:
        found = split(found, options.hold_out, options.seed)[0]
    if options.method == PUBLISHED:
        method, found = published(options.seed, options.checkpoint, options.epochs), found.at_rate(RATE)
    else:
        from naf_core.recordings.ours import RecordingsField

        if options.checkpoint is not None:
            raise UserError("Ours learns in seconds and keeps no checkpoint: leave --checkpoint out.")
        if options.epochs is not None:
            raise UserError("Ours is found in closed form, not in epochs: leave --epochs out.")
        method = RecordingsField(_scene(options), seed=options.seed)
    method.fit(found, _progress(method.name))
    _say(getattr(method, "notes", ()))
    method.save(options.output)
    print(
        f"{options.output}: {method.name}, learned from {len(found)} responses, {options.output.stat().st_size} bytes"
    )


def _compare(options: argparse.Namespace) -> None:
    from naf_core.recordings.compare import as_markdown, compare, leave_one_out, save_table, truth

    found = read_set(options.set).at_rate(RATE)
    if options.checkpoint is not None and options.leave_one_out:
        raise UserError("Who leaves out in turn trains anew each time: leave --checkpoint out.")
    if options.checkpoint is not None and not options.checkpoint.is_file():
        raise UserError(f"{options.checkpoint} is missing: train --method naf with the same --checkpoint writes it.")
    chosen = makers(_scene(options), options.seed, options.checkpoint)
    if options.methods:
        unknown = set(options.methods) - set(chosen)
        if unknown:
            raise UserError(f"There is no method {', '.join(sorted(unknown))}: name some of {', '.join(chosen)}.")
        chosen = {name: chosen[name] for name in options.methods}
    folds = leave_one_out(found) if options.leave_one_out else [split(found, options.test, options.seed)]
    if options.learn:
        folds = [(fewer(train, options.learn, options.seed), test) for train, test in folds]
    _make_folder(options.output)
    rows, answers = compare(folds, chosen, _named_progress)
    notes = (*found.notes, *said(answers))
    save_table(rows, options.output, notes)
    print(as_markdown(rows, notes))
    save_pictures(options.output, truth(folds), folds[-1][0], answers, _scene(options))


def said(answers: dict[str, Answers]) -> list[str]:
    """What the methods of ``answers`` have to say of what they learned."""
    from naf_core.recordings.method import GivesNotes

    methods = {name: given.method for name, given in answers.items()}
    return [f"{name}: {note}" for name, m in methods.items() if isinstance(m, GivesNotes) for note in m.notes]


def fewer(train: RecordingSet, count: int, seed: int) -> RecordingSet:
    """``count`` of the recordings, drawn by ``seed``."""
    if not 0 < count <= len(train):
        raise UserError(f"{count} of {len(train)} recordings cannot be learned from: give 1 to {len(train)}.")
    return train[np.random.default_rng(seed).permutation(len(train))[:count]]


def save_pictures(
    folder: Path, test: RecordingSet, train: RecordingSet, answers: dict[str, Answers], scene: Scene | None
) -> None:
    """Pictures of what all methods answered, and of what those know that have learned."""
    from naf_core.recordings.method import GivesFeatures
    from naf_core.recordings.pictures import save_decays, save_maps, save_spectrograms

    rows = np.linspace(0, len(test) - 1, min(_SHOWN, len(test))).astype(int)
    for row in rows:
        save_spectrograms(folder / f"spectrograms_{row}.png", test, answers, int(row))
    save_decays(folder / "decays.png", test, answers, [int(row) for row in rows])
    methods = {name: given.method for name, given in answers.items() if "," not in name}
    save_maps(folder / "maps.png", methods, train)
    for method in methods.values():
        if isinstance(method, GivesFeatures):
            _features(folder, method, train, scene)


def _features(folder: Path, method: Method, recordings: RecordingSet, scene: Scene | None) -> None:
    """Picture and probe of learned features, where the room's walls are known."""
    from naf_core.recordings.pictures import save_features
    from naf_core.recordings.probing import linear_probe, places_of

    room = scene if scene is not None else recordings.box
    if room is None:
        print("naf_core: no features are pictured: the room is not known. Name it with --scene.", file=sys.stderr)
        return
    places = places_of(recordings)
    title = f"{method.name}, features of {len(places)} places"
    try:
        probe = linear_probe(method, places, room)
        title += (
            f"; distances to walls from them by ridge regression: R² {probe.r2:.3f}, {probe.error:.2f} m off"
            f" (from coordinates: {probe.r2_position:.3f}, {probe.error_position:.2f} m)"
        )
        print(title)
        save_features(folder / "features.png", method, places, room, title)
    except UserError as error:
        print(f"naf_core: {error.message}", file=sys.stderr)


def _plot(options: argparse.Namespace) -> None:
    from naf_core.recordings.compare import Answers
    from naf_core.recordings.method import GivesLogMagnitudes

    scene = _scene(options)
    method = load_field(options.field, scene)
    found = read_set(options.set).at_rate(method.sample_rate)
    train, test = split(found, options.hold_out, options.seed) if options.hold_out else (found, found)
    where = test.emitters, test.listeners, test.rotations
    logarithms = method.log_magnitudes(*where) if isinstance(method, GivesLogMagnitudes) else np.zeros(0)
    responses = method.respond(*where)
    if responses.shape != test.responses.shape:
        raise UserError(
            f"{options.field} was learned from responses of another length or other channels than those of"
            f" {options.set}: name the set that it was learned from."
        )
    _make_folder(options.output)
    save_pictures(options.output, test, train, {method.name: Answers(method, responses, logarithms)}, scene)
    print(f"Pictures: {options.output}")


def _make_folder(folder: Path) -> None:
    """Make the folder of results before anything is computed for it; raises UserError where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made a folder ({error}): choose another.") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder} cannot be written into: choose another folder.")


def load_field(path: Path, scene: Scene | None = None) -> Loaded:
    """The method that ``train`` saved at ``path``: ours, or the published field.

    Raises UserError when it is neither, or of another version.
    """
    if _is_published(path):
        published(0)
        from naf_core.recordings.published import PublishedNaf

        return PublishedNaf.load(path)
    from naf_core.recordings.ours import RecordingsField

    return RecordingsField.load(path, scene)


def _is_published(path: Path) -> bool:
    """Whether a file calls itself a published field, of whatever version and however damaged."""
    from safetensors import SafetensorError, safe_open

    from naf_core.recordings.method import PUBLISHED_FORMAT

    try:
        with safe_open(str(path), "np") as file:
            return (file.metadata() or {}).get("format", "").startswith(PUBLISHED_FORMAT)
    except (OSError, SafetensorError):
        return False


def _export(options: argparse.Namespace) -> None:
    from naf_core.recorded import RecordedField

    if _is_published(options.field):
        raise UserError(
            f"{options.field} is a published field, which Blender does not take: export what train learns without"
            " --method naf."
        )
    field = RecordedField.load(options.field)
    field.save(options.output)
    print(f"{options.output}: {options.output.stat().st_size} bytes; choose it in Blender as the field of a scene")


def _scene(options: argparse.Namespace) -> Scene | None:
    """The scene of a file: ours (.h5), or a mesh whose materials do not matter; that of the flat is known."""
    path = options.scene
    if path is None and options.set == "flat":
        from naf_core.recordings.flat import flat_mesh

        return flat_mesh()
    if path is None:
        return None
    from naf_core.meshfile import read_mesh
    from naf_core.scene import Scene

    return Scene.load(path) if path.suffix.lower() == ".h5" else read_mesh(path, None)[0]


def _named_progress(name: str, fraction: float) -> None:
    print(f"\r{name}: {100.0 * fraction:3.0f} %{' ' * 20}", end="\n" if fraction >= 1.0 else "", file=sys.stderr)


def _progress(name: str) -> Callable[[float], None]:
    return lambda fraction: _named_progress(name, fraction)
