#!/usr/bin/env python3
"""The one entrance for people and for continuous integration: sets up the environment, then runs a command.

Needs nothing but the standard library of Python 3.11 (Blender 4.5 as a module) or 3.13 (Blender 5.2).
Everything is installed into `.venv` in the repository, at the versions that pyproject.toml pins.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CACHE = ROOT / ".cache"
DIST = ROOT / "dist"
PYTHON_IN_VENV = "Scripts/python.exe" if os.name == "nt" else "bin/python"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / PYTHON_IN_VENV
STAMP = VENV / "installed.json"

# Blender modules and their Pythons. The first of a Python is the one in `.venv`; the others have a `.venv-VERSION`.
BLENDERS = {"4.5": "3.11", "5.0": "3.11", "5.2": "3.13"}
PYTHONS = ("3.11", "3.13")
OWN_BLENDER = {python: version for version, python in reversed(BLENDERS.items())}
# Distributions build Blender with Pythons of their own: these get packages of their own, since all wheels together
# are larger than an extension may be.
OTHER_PYTHONS = ("3.14",)

# A tool that runs a Blender in a change root, where one is there, and for how long it may.
WINDOW_TOOL = os.environ.get("BLENDER_WINDOW", "blender-window")
LONGEST_TEST_S = 1800

# Dependency groups of pyproject.toml that a command needs.
CORE = ("numpy", "runtime", "mesh")
GROUPS = {
    "demo": (*CORE, "blender"),
    "bake": (*CORE, "blender"),
    "test": (*CORE, "blender", "package", "train", "recordings", "pytest", "test"),
    "test in Blender": (*CORE, "blender", "package", "pytest"),
    "bench": (*CORE, "blender"),
    "evaluate": (*CORE, "truth"),
    "evaluate recordings": (*CORE, "train", "recordings"),
    "train": (*CORE, "train"),
    "package": ("numpy", "blender", "package"),
}

# Shared libraries that the Blender module loads on Linux, and the Debian packages that hold them.
SYSTEM_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libEGL.so.1": "libegl1",
}
SOFTWARE_RENDERER = "libgl1-mesa-dri"

# Programs of lossy codecs, which recordings are compared through, and the packages that hold them.
CODECS = {"ffmpeg": "ffmpeg", "opusenc": "opus-tools"}

# Platform tags of the wheels for each platform of Blender's extension system, the best first.
PLATFORMS = {
    "linux-x64": tuple(f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 26, 24, 17, 12, 5)),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_13_0_arm64",),
}
PACKAGE_LIMIT_MB = 150.0


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="build.py", description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("demo", help="bake the bundled demo scene into out/demo")
    bake = commands.add_parser("bake", help="bake the spatial audio and the loudness map of a .blend file")
    bake.add_argument("file", type=Path, metavar="FILE.blend")
    bake.add_argument("--output", type=Path, metavar="DIR", help="folder of the results (default: out/FILE)")
    test = commands.add_parser("test", help="lint, then run the tests; further arguments go to pytest")
    test.add_argument(
        "--blender",
        metavar="BLENDER",
        help=f"only the tests of the extension: in a Blender module ({', '.join(BLENDERS)}), in a Blender program, or"
        " in all modules and the program that is there",
    )
    bench = commands.add_parser("bench", help="measure speed and size on this machine")
    bench.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    evaluate = commands.add_parser(
        "evaluate", help="compare the field with the reference engine in unseen rooms, and this with the truth"
    )
    evaluate.add_argument(
        "--only", choices=("field", "reference"), help="one of both; further arguments go to its evaluation"
    )
    evaluate.add_argument(
        "--recordings", action="store_true", help="instead, fields learned from recordings against their rivals"
    )
    commands.add_parser("train", help="make the training data and train the weights of the field")
    package = commands.add_parser("package", help="build the Blender extension into dist/")
    package.add_argument(
        "--platform", choices=(*PLATFORMS, "all"), help="platform of the extension (default: this machine's)"
    )
    package.add_argument(
        "--python", choices=OTHER_PYTHONS, help="for a Blender that a distribution has built with this Python"
    )
    arguments, rest = parser.parse_known_args()
    command = arguments.command
    if rest and command not in ("test", "evaluate", "train"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")

    if command == "bake" and not arguments.file.is_file():
        fail(f"{arguments.file} is not a file: give the path of a saved .blend file.")
    if command == "test" and arguments.blender:
        return test_in_blender(arguments.blender, rest)
    if command == "evaluate" and arguments.recordings:
        return evaluate_recordings(rest)
    platforms = ()
    if command == "package":
        platforms = chosen_platforms(arguments.platform)
        use_environment(OWN_BLENDER[running_version()])  # tests pack with the Python of their own Blender
    set_up(GROUPS[command])

    if command == "demo":
        return bake_scene(ROOT / "tests/scenes/demo.blend", ROOT / "out/demo", "--picture")
    if command == "bake":
        file = arguments.file.resolve()
        return bake_scene(file, (arguments.output or ROOT / "out" / file.stem).resolve())
    if command == "test":
        return run_python("-m", "ruff", "check", ".") or run_python("-m", "pytest", *rest)
    if command == "bench":
        json_file = () if arguments.json is None else ("--json", arguments.json.resolve())
        # As in a bake that Blender starts, where linear algebra leaves it a core.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))
        return run_python("-m", "tests.benchmarks", *json_file)
    if command == "package":
        pythons = (arguments.python,) if arguments.python else PYTHONS
        return max(build_package(name, pythons) for name in platforms)
    if command == "evaluate":
        return evaluate_all(arguments.only, rest)
    return run_python("-m", "naf_core.training", command, *rest)


def fail(message: str) -> None:
    """End the program with exit code 1 and `message` on the error stream."""
    raise SystemExit(f"build.py: {message}")


def say(message: str) -> None:
    """Print one line of what is going on, at once."""
    print(message, flush=True)


def run_python(*arguments: object) -> int:
    """Run the environment's Python in the repository and return its exit code."""
    environment = dict(os.environ)
    if sys.platform == "linux":
        # Pictures are rendered without a screen: one that is named but cannot be reached would end Blender.
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            environment.pop(name, None)
        environment["LIBGL_ALWAYS_SOFTWARE"] = "1"
    return subprocess.call([str(VENV_PYTHON), *map(str, arguments)], cwd=ROOT, env=environment)


def bake_scene(file: Path, output: Path, *options: str) -> int:
    """Bake a .blend file through the add-on's own headless command."""
    return run_python("-m", "blender_addon.command", "bake", file, "--output", output, *options)


def evaluate_all(only: str | None, rest: list[str]) -> int:
    """Measure the field against the reference engine, then the engine against the truth, or `only` one of both."""
    if rest and only is None:
        fail(f"{' '.join(rest)}: say with --only what it is for, field or reference.")
    results = []
    if only != "reference":
        results.append(run_python("-m", "naf_core.training", "evaluate", *rest))
    if only != "field":
        results.append(run_python("-m", "naf_core.truth", *rest))
    return max(results)


def evaluate_recordings(rest: list[str]) -> int:
    """Compare fields learned from recordings with rivals, two of which are codecs that Debian has as packages."""
    set_up(GROUPS["evaluate recordings"])
    missing = [package for program, package in CODECS.items() if shutil.which(program) is None]
    if missing and on_debian() and os.geteuid() == 0:
        install_system_packages(missing)
    elif missing:
        say(f"Rivals are left out, since these are not installed: {', '.join(missing)}")
    return run_python("-m", "naf_core.truth", "recordings", *rest)


# Testing in every Blender.


def test_in_blender(name: str, rest: list[str]) -> int:
    """Run the tests of the extension in a Blender module or program, or in all that there are."""
    if name == "all":
        return test_in_all(rest)
    if name not in BLENDERS:
        program = shutil.which(name)
        if program is None:
            fail(f"{name} is neither a Blender program nor one of {', '.join(BLENDERS)} or all.")
        try:
            return test_in_program(program, python_inside(program), rest)
        except RuntimeError as error:
            fail(str(error))
    if BLENDERS[name] != running_version():
        python = find_python(BLENDERS[name])
        return subprocess.call([python, ROOT / "build.py", "test", "--blender", name, *rest])
    use_environment(name)
    set_up(GROUPS["test in Blender"], name)
    say(f"Testing in the Blender {name} module")
    return run_python("-m", "pytest", "tests/blender", *rest)


def test_in_all(rest: list[str]) -> int:
    """Run the tests of the extension in all Blender modules and in the Blender program that is there, one by one."""
    program, python, left_out = shutil.which("blender") or shutil.which(WINDOW_TOOL), "", ""
    if program is None:
        left_out = "neither `blender` nor `blender-window` is on the PATH, and BLENDER_WINDOW names no such tool"
    else:
        try:
            python = python_inside(program)
        except RuntimeError as error:
            left_out = str(error)
    results = {f"Blender {version} module": test_in_blender(version, rest) for version in BLENDERS}
    if not left_out:
        results[f"Blender program {program}"] = test_in_program(program, python, rest)
    for name, code in results.items():
        say(f"{name}: {'passed' if code == 0 else 'FAILED'}")
    if left_out:
        say(f"Left out: a Blender program, since {left_out}")
    else:
        say("Left out in the program: test_package.py, which installs the extension into Blender modules")
    return max(results.values())


def use_environment(blender: str) -> None:
    """Work with the environment of one Blender module from now on."""
    global VENV, VENV_PYTHON, STAMP
    if OWN_BLENDER[running_version()] != blender or venv_version() not in (None, running_version()):
        VENV = ROOT / f".venv-{blender}"
    VENV_PYTHON, STAMP = VENV / PYTHON_IN_VENV, VENV / "installed.json"


def find_python(version: str) -> str:
    """A Python of this version that works: on the PATH, or where pyenv keeps them."""
    name = f"python{version}" + (".exe" if os.name == "nt" else "")
    found = [Path(folder, name) for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found += sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"), reverse=True)
    for python in filter(Path.is_file, found):
        # One of pyenv's stand-ins ends with an error where that version is not switched on.
        if subprocess.run([python, "-c", "import ensurepip"], capture_output=True).returncode == 0:
            return str(python)
    fail(f"this needs Python {version} with its venv module: install it so that `{name}` is on the PATH.")


def test_in_program(program: str, python: str, rest: list[str]) -> int:
    """Run the tests of the extension inside a Blender program, with what they need beside its own packages."""
    set_up(("package",))
    packages = install_beside(python)
    say(f"Testing in {program}")
    return subprocess.call(line_inside(program, packages, *rest), cwd=ROOT)


def python_inside(program: str) -> str:
    """The version of a Blender program's Python as in "3.13"; raises RuntimeError where it does not start."""
    asked = subprocess.run(line_inside(program), cwd=ROOT, capture_output=True, text=True)
    version = re.search(r"^Python (\d+) (\d+)$", asked.stdout, re.MULTILINE)
    if version is None:
        raise RuntimeError(f"{program} does not start:\n{asked.stdout}{asked.stderr}")
    return ".".join(version.groups())


def line_inside(program: str, *arguments: object) -> list[str]:
    """The command line for inside.py in a Blender program, or in the one that blender-window opens a window of."""
    script = ROOT / "tests/blender/inside.py"
    if Path(program).name == Path(WINDOW_TOOL).name:
        options = ("run", "--factory", "--timeout", LONGEST_TEST_S)
    else:
        options = ("-b", "--factory-startup", "--python-exit-code", 1, "--python")
    return [str(word) for word in (program, *options, script, "--", *arguments)]


def install_beside(python: str) -> Path:
    """A folder with the packages that the tests need inside a Blender of another Python, which has its own NumPy."""
    groups = read_project()["dependency-groups"]
    pins = [*groups["runtime"], *groups["pytest"]]
    (own,) = chosen_platforms(None)
    folder = CACHE / f"inside-{python}-{digest_of(pins)[:12]}"
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        run_pip("install", "--target", part, *for_platform(own, python), *pins)
        part.replace(folder)
    return folder


# Setting up: system libraries, the environment, pinned packages.


def set_up(groups: tuple[str, ...], blender: str | None = None) -> None:
    """Make the environment where there is none and install the pins of `groups` that are not there yet.

    `blender` is the version of the Blender module where a group needs it, else the one for the running Python.
    """
    missing = missing_system_packages(blender="blender" in groups)
    if missing:
        install_system_packages(missing)
    make_environment()
    if "blender" in groups:
        groups += (f"blender-{blender or OWN_BLENDER[running_version()]}",)
    install_pins(groups)


def missing_system_packages(blender: bool) -> list[str]:
    """Debian packages without which the environment cannot be made or, with `blender`, used."""
    missing = []
    if not VENV_PYTHON.exists() and importlib.util.find_spec("ensurepip") is None:
        missing.append(f"python{running_version()}-venv")
    if not (blender and sys.platform == "linux"):
        return missing
    for library, package in SYSTEM_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    if on_debian() and next(Path("/usr/lib").glob("*/dri/*_dri.so"), None) is None:
        missing.append(SOFTWARE_RENDERER)
    return missing


def on_debian() -> bool:
    """Whether this is Debian or a relative of it."""
    return Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def install_system_packages(packages: list[str]) -> None:
    """Install Debian packages when root on Debian; otherwise say how and end."""
    line = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if not on_debian():
        fail(f"system packages are missing. Install what on Debian comes with this line:\n  {line}")
    if os.geteuid() != 0:
        fail(f"system packages are missing. Run this line, then the same command again:\n  sudo {line}")
    say(f"Installing system packages: {' '.join(packages)}")
    for command in ("apt-get update", line):
        result = subprocess.run(
            command.split(),
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if result.returncode:
            fail(f"`{command}` failed:\n{result.stdout}{result.stderr}")


def make_environment() -> None:
    """Make the environment with the running Python."""
    version = running_version()
    if VENV_PYTHON.exists():
        found = venv_version()
        if found not in (None, version):
            fail(
                f"{VENV} was made with Python {found}, this is {version}: use python{found}, or remove"
                " that folder to make it anew."
            )
        # One without pip is left from a run that was interrupted: it is completed below.
        if STAMP.exists() or has_pip():
            return
    say(f"Making {VENV.name} with Python {platform.python_version()}")
    result = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True)
    if result.returncode:
        fail(f"the environment could not be made:\n{result.stdout}{result.stderr}")


def venv_version() -> str | None:
    """The version of the Python that the environment was made with, None where there is none."""
    notes = VENV / "pyvenv.cfg"
    found = re.search(r"^version\w* *= *(\d+\.\d+)", notes.read_text(), re.MULTILINE) if notes.exists() else None
    return found and found[1]


def has_pip() -> bool:
    """Whether the environment's pip can be imported."""
    return subprocess.call([VENV_PYTHON, "-c", "import pip"], stderr=subprocess.DEVNULL) == 0


def read_project() -> dict:
    """The contents of pyproject.toml; its `dependency-groups` are the pins."""
    import tomllib  # not at the top: older Pythons must reach the message of check_python

    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)


def install_pins(groups: tuple[str, ...]) -> None:
    """Install what the pins of `groups` ask for, and note it so that the next run passes at once."""
    pins = read_project()["dependency-groups"]
    installed = json.loads(STAMP.read_text()) if STAMP.exists() else {}
    digests = {group: digest_of(pins[group]) for group in groups}
    missing = [group for group in groups if installed.get(group) != digests[group]]
    if not missing:
        return
    (site_packages() / "acoustic_fields.pth").write_text(f"{ROOT}\n")
    say(f"Installing into {VENV.name}: {', '.join(missing)} (the first time takes a few minutes)")
    run_pip("install", *sorted({pin for group in missing for pin in pins[group]}))
    part = STAMP.with_name(STAMP.name + ".part")
    part.write_text(json.dumps({**installed, **digests}, indent=1))
    part.replace(STAMP)


def digest_of(lines: Iterable[str]) -> str:
    """A name for what some lines say."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def site_packages() -> Path:
    """The folder of the environment into which packages are installed."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    result = subprocess.run([VENV_PYTHON, "-c", code], capture_output=True, text=True, check=True)
    return Path(result.stdout.strip())


def run_pip(*arguments: object) -> None:
    """Run pip quietly; where it fails, show all it said and end."""
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    command = [str(VENV_PYTHON), "-m", "pip", *map(str, arguments), *quiet]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        fail(f"pip failed:\n{result.stdout}{result.stderr}")


# Packaging: one extension zip a platform, with the wheels of both Pythons of Blender's own builds.


def chosen_platforms(name: str | None) -> tuple[str, ...]:
    """The platforms to build for: the named one, all, or this machine's."""
    if name == "all":
        return tuple(PLATFORMS)
    if name:
        return (name,)
    systems = {"linux": "linux-x64", "win32": "windows-x64", "darwin": "macos-arm64"}
    machines = {"linux-x64": "x86_64", "windows-x64": "AMD64", "macos-arm64": "arm64"}
    own = systems.get(sys.platform, "")
    if machines.get(own) != platform.machine():
        fail(
            f"no extension is made for {sys.platform} on {platform.machine()}: choose with --platform one of"
            f" {', '.join(PLATFORMS)} or all."
        )
    return (own,)


def build_package(platform_name: str, pythons: tuple[str, ...] = PYTHONS) -> int:
    """Build dist/acoustic_fields-<version>-<platform>.zip and return 1 where it is larger than allowed."""
    manifest = (ROOT / "blender_addon/blender_manifest.toml").read_text()
    version = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)[1]
    wheels = [*download_wheels(platform_name, pythons), build_core_wheel()]

    stage = CACHE / "package" / platform_name
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(ROOT / "blender_addon", stage, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ("LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, stage)
    (stage / "wheels").mkdir()
    for wheel in wheels:
        shutil.copy(wheel, stage / "wheels")
    (stage / "blender_manifest.toml").write_text(fill_manifest(manifest, platform_name, wheels))

    name = platform_name if pythons == PYTHONS else f"{platform_name}-python{'-'.join(pythons)}"
    archive = DIST / f"acoustic_fields-{version}-{name}.zip"
    DIST.mkdir(exist_ok=True)
    part = CACHE / "package" / archive.name
    run_extension_tool("build", "--source-dir", stage, "--output-filepath", part)
    run_extension_tool("validate", part)
    part.replace(archive)
    size = archive.stat().st_size / 1e6
    say(f"{archive.relative_to(ROOT)}  {size:.1f} MB, {len(wheels)} wheels")
    if size > PACKAGE_LIMIT_MB:
        print(f"build.py: the extension is larger than {PACKAGE_LIMIT_MB:.0f} MB", file=sys.stderr)
        return 1
    return 0


def fill_manifest(manifest: str, platform_name: str, wheels: list[Path]) -> str:
    """The manifest with its platform and the list of bundled wheels."""
    # Keys of the document itself must stand before its first table.
    head, table, tail = manifest.partition("\n[")
    listed = "\n".join(f'    "./wheels/{wheel.name}",' for wheel in wheels)
    return f'{head}\nplatforms = ["{platform_name}"]\nwheels = [\n{listed}\n]\n{table}{tail}'


def download_wheels(platform_name: str, pythons: tuple[str, ...]) -> list[Path]:
    """The pinned wheels for one platform and several Pythons, from the cache where they are there."""
    pins = read_project()["dependency-groups"]["runtime"]
    name = digest_of((*pins, *pythons, *PLATFORMS[platform_name]))[:12]
    folder = CACHE / "wheels" / f"{platform_name}-{name}"
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        say(f"Downloading the wheels for {platform_name}")
        for python in pythons:
            run_pip("download", "--dest", part, *for_platform(platform_name, python), *pins)
        part.replace(folder)
    return sorted(folder.glob("*.whl"))


def for_platform(platform_name: str, python: str) -> tuple[str, ...]:
    """Options of pip that take exactly the pinned wheels for a platform and a Python."""
    tags = [option for tag in PLATFORMS[platform_name] for option in ("--platform", tag)]
    return ("--only-binary=:all:", "--no-deps", "--python-version", python, "--implementation", "cp", *tags)


def build_core_wheel() -> Path:
    """The pure-Python wheel of naf_core with its weights, for every platform."""
    for name in read_project()["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]:
        if not (ROOT / name).is_file():
            fail(f"{name} is missing: restore it, or make the weights with `build.py train`.")
    folder = CACHE / "wheels" / "core"
    shutil.rmtree(folder, ignore_errors=True)
    run_pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def run_extension_tool(command: str, *arguments: object) -> None:
    """Run a command of Blender's own extension tool, which comes with the Blender module."""
    (scripts,) = (site_packages() / "bpy").glob("*/scripts")
    tool = scripts / "addons_core/bl_pkg/cli/blender_ext.py"
    tags = scripts / "modules/_bpy_internal/extensions/tags.py"
    line = [VENV_PYTHON, tool, command, "--valid-tags", tags, *arguments]
    result = subprocess.run([str(word) for word in line], capture_output=True, text=True)
    if result.returncode:
        fail(f"Blender's extension tool failed to {command} the package:\n{result.stdout}{result.stderr}")


def running_version() -> str:
    """The running Python's version as in "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def check_python() -> None:
    """End with a message where there is no Blender module for the running Python."""
    if running_version() not in PYTHONS:
        names = " or ".join(f"python{version}" for version in PYTHONS)
        fail(f"Blender as a module needs {names}, and this is Python {running_version()}.")


if __name__ == "__main__":
    check_python()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
