"""Finds something that opens a Blender window on this machine, and opens it. Knows no bpy.

Either `blender-window` (a tool that runs Blender in a change root with a screen of its own; its path may stand in the
environment variable BLENDER_WINDOW), or `blender`, `xvfb-run`, `xwd` and ImageMagick's `convert` on the PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCREEN = "1600x1000x24"
_REPOSITORY = Path(__file__).resolve().parents[2]
_NEEDED = ("blender", "xvfb-run", "xwd", "convert")
_ASK = "import sys; print('Python', *sys.version_info[:2]); sys.exit(0)"


@dataclass(frozen=True)
class Tool:
    """A way to open a Blender window: ``window_tool`` is `blender-window`, or None for programs on the PATH."""

    window_tool: str | None
    profile: Path

    def python_version(self) -> str:
        """The version of Blender's Python as in "3.13"; raises RuntimeError where Blender does not start."""
        script = self.profile / "ask.py"
        script.write_text(_ASK)
        found = re.search(r"^Python (\d+) (\d+)$", self.run(script, self.profile, timeout=120), re.MULTILINE)
        if found is None:
            raise RuntimeError("Blender does not tell the version of its Python")
        return ".".join(found.groups())

    def install(self, archive: Path) -> None:
        """Install and enable the extension; raises RuntimeError."""
        if self.window_tool is not None:
            # Blender keeps a wheel of the same name, though it may hold something else by now.
            shutil.rmtree(_root() / "user/extensions", ignore_errors=True)
            _call([self.window_tool, "install", archive], self._environment(), 300)
            return
        line = ["blender", "--command", "extension", "install-file", "-r", "user_default", "--enable", archive]
        said = _call(line, self._environment(), 300)
        if "Error" in said:
            raise RuntimeError(said)

    def run(self, script: Path, out: Path, *arguments: object, timeout: int = 600) -> str:
        """Run a script in a window, with the folder ``out`` as $BLENDER_WINDOW_OUT, and return what was said."""
        environment = self._environment() | {"BLENDER_WINDOW_OUT": str(out)}
        if self.window_tool is not None:
            line = [self.window_tool, "run", "--out", out, "--timeout", timeout, script, "--", *arguments]
        else:
            options = ["--window-geometry", "0", "0", *SCREEN.split("x")[:2], "--enable-event-simulate"]
            blender = ["blender", "--no-window-focus", *options, "--python-exit-code", "1", "--python", script]
            line = ["xvfb-run", "-a", "-s", f"-screen 0 {SCREEN}", *blender, "--", *arguments]
        return _call(line, environment, timeout + 60)

    def _environment(self) -> dict[str, str]:
        own = {"BLENDER_WINDOW_ROOT": str(_root())} if self.window_tool else {"LIBGL_ALWAYS_SOFTWARE": "1"}
        return {**os.environ, "BLENDER_USER_RESOURCES": str(self.profile), **own}


def find(profile: Path) -> Tool | str:
    """A way to open a window whose settings lie in ``profile``, or why there is none."""
    window_tool = shutil.which(os.environ.get("BLENDER_WINDOW", "blender-window"))
    if window_tool is not None:
        if os.geteuid() != 0:
            return "blender-window needs root"
        if not (_root() / "chroot/usr/bin/blender").exists():
            return "there is no Blender for blender-window yet: `blender-window setup` makes it"
        return Tool(window_tool, profile)
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        return f"there is neither blender-window nor {', '.join(missing)} on the PATH"
    return Tool(None, profile)


def package(python: str) -> Path:
    """The extension for this machine and a Python of Blender, packed from the tree as it stands."""
    options = [] if python in ("3.11", "3.13") else ["--python", python]  # without one, both of Blender's own
    line = [sys.executable, _REPOSITORY / "build.py", "package", *options]
    said = subprocess.run([str(word) for word in line], check=True, capture_output=True, text=True).stdout
    return _REPOSITORY / next(word for word in said.split() if word.endswith(".zip"))


def _root() -> Path:
    return Path(os.environ.get("BLENDER_WINDOW_ROOT", Path.home() / ".cache/blender-window"))


def _call(line: list[object], environment: dict[str, str], timeout: int) -> str:
    done = subprocess.run(
        [str(word) for word in line], env=environment, capture_output=True, text=True, errors="replace", timeout=timeout
    )
    said = done.stdout + done.stderr
    if done.returncode:
        raise RuntimeError(f"{line[0]} ended with code {done.returncode}:\n{said[-6000:]}")
    return said
