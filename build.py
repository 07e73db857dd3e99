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
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CACHE = ROOT / ".cache"
DIST = ROOT / "dist"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "installed.json"

# The Pythons for which there is a Blender module: 4.5 LTS and 5.2 LTS.
PYTHONS = ("3.11", "3.13")

# Dependency groups of pyproject.toml that a command needs.
CORE = ("numpy", "runtime", "mesh")
GROUPS = {
    "demo": (*CORE, "blender"),
    "bake": (*CORE, "blender"),
    "test": (*CORE, "blender", "package", "train", "test"),
    "bench": (*CORE, "blender"),
    "evaluate": (*CORE, "truth"),
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
    commands.add_parser("test", help="lint, then run the tests; further arguments go to pytest")
    bench = commands.add_parser("bench", help="measure speed and size on this machine")
    bench.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    evaluate = commands.add_parser(
        "evaluate", help="compare the field with the reference engine in unseen rooms, and this with the truth"
    )
    evaluate.add_argument(
        "--only", choices=("field", "reference"), help="one of both; further arguments go to its evaluation"
    )
    commands.add_parser("train", help="make the training data and train the weights of the field")
    package = commands.add_parser("package", help="build the Blender extension into dist/")
    package.add_argument(
        "--platform", choices=(*PLATFORMS, "all"), help="platform of the extension (default: this machine's)"
    )
    arguments, rest = parser.parse_known_args()
    command = arguments.command
    if rest and command not in ("test", "evaluate", "train"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")

    if command == "bake" and not arguments.file.is_file():
        fail(f"{arguments.file} is not a file: give the path of a saved .blend file.")
    platforms = chosen_platforms(arguments.platform) if command == "package" else ()
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
        return run_python("-m", "tests.benchmarks", *json_file)
    if command == "package":
        return max(build_package(name) for name in platforms)
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


# Setting up: system libraries, the environment, pinned packages.


def set_up(groups: tuple[str, ...]) -> None:
    """Make `.venv` where there is none and install the pins of `groups` that are not there yet."""
    missing = missing_system_packages(blender="blender" in groups)
    if missing:
        install_system_packages(missing)
    make_environment()
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
    """Make `.venv` with the running Python, and let it find the repository's packages."""
    version = running_version()
    if VENV_PYTHON.exists():
        found = re.search(r"^version\w* *= *(\d+\.\d+)", (VENV / "pyvenv.cfg").read_text(), re.MULTILINE)
        if found and found[1] != version:
            fail(
                f"{VENV} was made with Python {found[1]}, this is {version}: use python{found[1]}, or remove"
                " that folder to make it anew."
            )
        # One without pip is left from a run that was interrupted: it is completed below.
        if STAMP.exists() or has_pip():
            return
    say(f"Making .venv with Python {platform.python_version()}")
    result = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True)
    if result.returncode:
        fail(f"the environment could not be made:\n{result.stdout}{result.stderr}")


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
    digests = {group: hashlib.sha256("\n".join(pins[group]).encode()).hexdigest() for group in groups}
    missing = [group for group in groups if installed.get(group) != digests[group]]
    if not missing:
        return
    (site_packages() / "acoustic_fields.pth").write_text(f"{ROOT}\n")
    say(f"Installing into .venv: {', '.join(missing)} (the first time takes a few minutes)")
    run_pip("install", *sorted({pin for group in missing for pin in pins[group]}))
    part = STAMP.with_name(STAMP.name + ".part")
    part.write_text(json.dumps({**installed, **digests}, indent=1))
    part.replace(STAMP)


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


# Packaging: one extension zip a platform, with the wheels of both Pythons of Blender.


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


def build_package(platform_name: str) -> int:
    """Build dist/acoustic_fields-<version>-<platform>.zip and return 1 where it is larger than allowed."""
    manifest = (ROOT / "blender_addon/blender_manifest.toml").read_text()
    version = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)[1]
    wheels = [*download_wheels(platform_name), build_core_wheel()]

    stage = CACHE / "package" / platform_name
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(ROOT / "blender_addon", stage, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ("LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, stage)
    (stage / "wheels").mkdir()
    for wheel in wheels:
        shutil.copy(wheel, stage / "wheels")
    (stage / "blender_manifest.toml").write_text(fill_manifest(manifest, platform_name, wheels))

    archive = DIST / f"acoustic_fields-{version}-{platform_name}.zip"
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


def download_wheels(platform_name: str) -> list[Path]:
    """The pinned wheels for one platform and both Pythons, from the cache where they are there."""
    pins = read_project()["dependency-groups"]["runtime"]
    digest = hashlib.sha256("\n".join((*pins, *PYTHONS, *PLATFORMS[platform_name])).encode()).hexdigest()[:12]
    folder = CACHE / "wheels" / f"{platform_name}-{digest}"
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        say(f"Downloading the wheels for {platform_name}")
        tags = [option for tag in PLATFORMS[platform_name] for option in ("--platform", tag)]
        for python in PYTHONS:
            target = ("--dest", part, "--python-version", python, "--implementation", "cp", *tags)
            run_pip("download", "--only-binary=:all:", "--no-deps", *target, *pins)
        part.replace(folder)
    return sorted(folder.glob("*.whl"))


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
