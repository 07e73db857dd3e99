"""Imports point down only, and the repository holds nothing that it should not."""

from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The core from the ground up: a module may import from the rows above its own in this list.
LAYERS = (
    ("bands", "errors", "progress", "simplification"),
    ("bundled", "store", "gains", "layouts", "quantities", "wedge", "threads", "fields", "delivery", "process", "span"),
    ("colours", "placement"),
    ("ambisonics",),
    ("air", "clip", "materials", "directivity", "carriers", "sound", "panning", "impulses", "stemfile"),
    ("mixing", "settling"),
    ("scene", "spatial"),
    ("hrir", "states", "inspection"),
    ("raycast", "response", "motion", "meshfile", "formats"),
    ("planes", "measured", "aim", "clock", "storeys"),
    ("source", "delays", "filtering", "sequences", "thinning", "spheres", "silhouettes", "floormap", "motionfile"),
    ("paths", "soundness", "direct", "synthesis", "airspace", "lattice", "speech", "edges", "job"),
    ("randompaths", "bends", "specular"),
    ("crew", "diffraction"),
    ("tracer", "patches", "reverb", "loudness", "images", "transmission"),
    ("convergence", "exchange", "early", "firstsound", "beam"),
    ("hearing", "soundlines"),
    ("gauges",),
    ("shade",),
    ("survey",),
    ("probes", "render", "picture", "accuracy"),
    ("pairs", "responseview", "uncertainty", "refinement"),
    ("features",),
    ("decoder",),
    ("field",),
    ("prior",),
    ("recorded",),
    ("placed",),
    ("rooms", "report", "painting", "stems", "standing", "sureness", "tracks", "findings"),
    ("export", "answers", "refining", "shot"),
    ("renderers",),
    ("training", "recordings", "bake"),
    ("worker", "dialogue"),
    ("truth",),
    ("__main__",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}

# The only places that may import a package which is large, optional or foreign to the rest.
HOMES = {
    "torch": ("naf_core/training", "naf_core/recordings", "tests/"),
    "embreex": ("naf_core/raycast.py",),
    "bpy": ("blender_addon/", "tests/"),
    "pyroomacoustics": ("tests/", "naf_core/truth/"),
    "acoustic_spaces": ("naf_core/truth/peers.py", "naf_core/truth/speed.py"),
}
# Reading these formats runs code from the file.
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load"}


def committed_files() -> list[Path]:
    """Files that are committed, or would be: those that .gitignore does not name. Needs no git."""
    ignored = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines())]
    files = []
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if not any(fnmatch(name, rule) for rule in ignored)]
        files += [Path(folder, name) for name in names if not any(fnmatch(name, rule) for rule in ignored)]
    return sorted(files)


FILES = committed_files()
MODULES = [file.relative_to(ROOT).as_posix() for file in FILES if file.suffix == ".py"]


def imported(tree: ast.Module, name: str) -> Iterator[str]:
    """Full dotted names of all that the module of this file name imports, wherever the statement stands."""
    package = name.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


@cache
def parse(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name)


def core_module(dotted: str) -> str | None:
    """The part of naf_core that a dotted name lies in: its module, or the package itself."""
    parts = dotted.split(".")
    if parts[0] != "naf_core":
        return None
    exists = len(parts) > 1 and any((ROOT / "naf_core").glob(f"{parts[1]}*"))
    return parts[1] if exists and parts[1] != "__init__" else ""


def violations(name: str, tree: ast.Module) -> list[str]:
    """Sentences on what a module imports and must not."""
    found = []
    in_core = name.startswith("naf_core/")
    own = name.removeprefix("naf_core/").split("/")[0].removesuffix(".py")
    for target in imported(tree, name):
        package = target.split(".")[0]
        if package in HOMES and not name.startswith(HOMES[package]):
            found.append(f"{name} imports {package}")
        if package in FORBIDDEN_MODULES:
            found.append(f"{name} imports {package}, which runs code from a file")
        if in_core and package in ("blender_addon", "tests", "build"):
            found.append(f"{name} imports {package}, which lies above it")
        if in_core and own != "__init__":
            module = core_module(target)
            if module == "" and target != "naf_core.__version__":
                found.append(f"{name} imports from the package naf_core: name the module")
            elif module and module != own and RANK.get(module, 0) >= RANK.get(own, 99):
                found.append(f"{name} imports naf_core.{module}, which is not below it")
        if name.startswith("blender_addon/") and core_module(target) in ("training", "recordings"):
            found.append(f"{name} imports {target}, which needs torch")
    return found


def test_the_check_sees_what_is_forbidden() -> None:
    upwards = ast.parse("def f():\n    from naf_core.field import Field\n    import blender_addon.reader")
    assert sorted(violations("naf_core/tracer.py", upwards)) == [
        "naf_core/tracer.py imports blender_addon, which lies above it",
        "naf_core/tracer.py imports naf_core.field, which is not below it",
    ]
    relative = ast.parse("from . import field\nfrom .field import Field")
    assert len(violations("naf_core/scene.py", relative)) == 2
    assert violations("naf_core/job.py", ast.parse("import bpy\nimport torch")) == [
        "naf_core/job.py imports bpy",
        "naf_core/job.py imports torch",
    ]
    assert violations("blender_addon/reader.py", ast.parse("import bpy\nimport naf_core.scene")) == []


def test_every_core_module_has_its_layer() -> None:
    names = {name.split("/")[1].removesuffix(".py") for name in MODULES if name.startswith("naf_core/")}
    assert names - {"__init__"} <= set(RANK), "give the new module a row in LAYERS"


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name: str) -> None:
    assert violations(name, parse(name)) == []


def test_the_core_imports_only_what_is_declared_and_bundled() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = {pin.partition("==")[0] for pin in project["dependency-groups"]["runtime"]}
    declared = {re.match(r"[\w-]+", line)[0] for line in project["project"]["dependencies"]}
    assert declared <= pinned | {"numpy"}  # which comes with Blender

    names = {"PIL": "pillow", "array_api_compat": "array-api-compat"}
    for name in MODULES:
        if not name.startswith("naf_core/") or name.startswith((*HOMES["torch"], "naf_core/truth/")):
            continue
        packages = {target.split(".")[0] for target in imported(parse(name), name)}
        foreign = packages - sys.stdlib_module_names - {"naf_core", "trimesh"}  # trimesh: an extra
        assert {names.get(package, package) for package in foreign} <= declared, name


@pytest.mark.parametrize("name", MODULES)
def test_no_code_from_files_and_no_broad_except(name: str) -> None:
    found = []
    for node in ast.walk(parse(name)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called in FORBIDDEN_CALLS or options.get("allow_pickle", "False") != "False":
                found.append(f"line {node.lineno}: {called}")
        if isinstance(node, ast.ExceptHandler):
            caught = "everything" if node.type is None else ast.unparse(node.type)
            if {"everything", "Exception", "BaseException"} & set(re.findall(r"\w+", caught)):
                found.append(f"line {node.lineno}: catches {caught}")
    assert found == []


def test_no_path_of_one_machine() -> None:
    # Put together here, so that this file is not found itself.
    folders = "|".join(("work", "root", "tmp", "var/tmp", r"home/\w+", r"Users/\w+"))
    pattern = re.compile(rf"(?<![\w.])/(?:{folders})/[\w.]".encode())
    found = []
    for file in FILES:
        match = pattern.search(blend_bytes(file) if file.suffix == ".blend" else file.read_bytes())
        if match:
            found.append(f"{file.relative_to(ROOT)}: {match[0].decode()}")
    assert found == []


def blend_bytes(file: Path) -> bytes:
    """What a .blend file holds; Blender stores the path that it was saved under."""
    data = file.read_bytes()
    if data.startswith(b"BLENDER"):
        return data
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


def test_weights_and_sounds_stay_small() -> None:
    weights = sum(file.stat().st_size for file in FILES if (ROOT / "weights") in file.parents)
    sounds = sum(file.stat().st_size for file in FILES if file.suffix in (".flac", ".wav", ".ogg", ".mp3"))
    assert weights <= 20e6
    assert sounds <= 3e6


def test_top_level_is_the_fixed_one() -> None:
    top = {file.relative_to(ROOT).parts[0] for file in FILES}
    folders = {"blender_addon", "naf_core", "weights", "tests", "docs", ".ci"}
    files = {"build.py", "README.md", "pyproject.toml", "LICENSE", "CHANGELOG.md", "NOTICE", ".gitignore"}
    assert top <= folders | files
