"""What every test runs under: repeatable random examples and a Blender profile of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every machine, and none rejected because a shared machine was slow.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the Blender module, wherever a test imports it, away from the person's own profile and screen."""
    profile = tempfile.TemporaryDirectory(prefix="blender-profile-")
    config.add_cleanup(profile.cleanup)
    os.environ["BLENDER_USER_RESOURCES"] = profile.name
    os.environ["LIBGL_ALWAYS_SOFTWARE"] = "1"
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        os.environ.pop(name, None)


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may write to: root is kept from those of the kernel alone."""
    folder = tmp_path / "sealed"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        folder = Path("/sys/kernel")
        if not folder.is_dir():
            pytest.skip("there is no folder that one may not write to")
    yield folder
