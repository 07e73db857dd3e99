"""An empty file and our properties for every test in the Blender module, and things to fill the file with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

import blender_addon
from blender_addon import worker
from naf_core.job import Job

CORNERS = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]
FACES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


@pytest.fixture(scope="session", autouse=True)
def _registered() -> Iterator[None]:
    blender_addon.register()
    yield
    blender_addon.unregister()


@pytest.fixture(autouse=True)
def _empty_file(_registered: None) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


@pytest.fixture
def link() -> Callable[..., bpy.types.Object]:
    """Makes an object of some data and links it to the scene, or to a collection."""

    def make(
        name: str,
        data: bpy.types.ID | None,
        collection: bpy.types.Collection | None = None,
        **settings: object,
    ) -> bpy.types.Object:
        item = bpy.data.objects.new(name, data)
        (collection or bpy.context.scene.collection).objects.link(item)
        for key, value in settings.items():
            setattr(item, key, value)
        return item

    return make


@pytest.fixture
def box(link: Callable) -> Callable[..., bpy.types.Object]:
    """Makes a cube of 1 m: 12 triangles, 6 m² (settings may scale it)."""

    def make(name: str = "Box", collection: bpy.types.Collection | None = None, **settings: object) -> bpy.types.Object:
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata(CORNERS, [], FACES)
        return link(name, mesh, collection, **settings)

    return make


@pytest.fixture
def sound_path(tmp_path: Path) -> Path:
    """A tenth of a second of noise."""
    import soundfile

    path = tmp_path / "noise.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(4800), 48000)
    return path


@pytest.fixture
def speaker(link: Callable, sound_path: Path) -> Callable[..., bpy.types.Object]:
    """Makes a Speaker with a sound and, as Blender does, an NLA sound strip at ``start``."""

    def make(
        name: str = "Speaker", start: int | None = 1, path: Path | None = sound_path, **settings: object
    ) -> bpy.types.Object:
        scene = bpy.context.scene
        current = scene.frame_current
        scene.frame_set(current if start is None else start)
        bpy.ops.object.speaker_add()
        scene.frame_set(current)
        item = bpy.context.object
        item.name = item.data.name = name
        if start is None:
            item.animation_data_clear()
        if path is not None:
            item.data.sound = bpy.data.sounds.load(str(path))
        for key, value in settings.items():
            setattr(item, key, value)
        return item

    return make


@pytest.fixture
def camera(link: Callable) -> Callable[..., bpy.types.Object]:
    """Makes a camera; the first is the active one."""

    def make(name: str = "Camera", **settings: object) -> bpy.types.Object:
        item = link(name, bpy.data.cameras.new(name), **settings)
        bpy.context.scene.camera = bpy.context.scene.camera or item
        return item

    return make


@pytest.fixture
def key() -> Callable[..., None]:
    """Keys values of a property at frames, with straight lines between."""

    def make(owner: bpy.types.bpy_struct, path: str, values: dict[int, object]) -> None:
        for frame, value in values.items():
            setattr(owner, path, value)
            owner.keyframe_insert(path, frame=frame)
        animation = owner.id_data.animation_data
        for layer in animation.action.layers:
            for strip in layer.strips:
                for curve in strip.channelbag(animation.action_slot).fcurves:
                    for point in curve.keyframe_points:
                        point.interpolation = "LINEAR"

    return make


@pytest.fixture
def acoustics(monkeypatch: pytest.MonkeyPatch) -> dict:
    """A stand-in for the acoustics: "mode" says what it does, "jobs" and "folder" are what it was given."""
    said: dict = {"mode": "done", "jobs": []}

    def start(folder: Path, output: Path, *_: object) -> worker.Worker:
        said["jobs"].append(Job.load(folder))
        said["folder"] = folder
        line = [sys.executable, str(Path(__file__).with_name("fake_worker.py")), str(folder), said["mode"]]
        return worker.Worker(line, worker.environment(), output)

    monkeypatch.setattr(worker, "start", start)
    return said


@pytest.fixture
def scene(acoustics: dict, box: Callable, speaker: Callable, camera: Callable, tmp_path: Path):
    """A room with a camera and two Speakers, half a second long, in a saved file, and the stand-in."""
    scene = bpy.context.scene
    box("Room", location=(0, 0, 1.25), scale=(6, 4, 2.5))
    speaker("Talker", location=(-1, 0, 1.5))
    speaker("Music", location=(1, 1, 1.0))
    camera(location=(0, -1, 1.6))
    scene.frame_start, scene.frame_end = 11, 22
    scene.frame_set(15)
    scene.acoustics.map_resolution = 16
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    return scene
