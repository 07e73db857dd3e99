"""Settings that a bake refuses and things that are heard wrong: each is found beforehand, and mended by its button."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import pytest

from blender_addon import cautions
from blender_addon.jobs import Wish, begin
from naf_core.errors import UserError
from naf_core.materials import CATALOGUE

from .test_checklist import mend, texts


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """What was seen in the scene of another test."""
    cautions._bare.clear()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bake_range": "CUSTOM", "bake_start": 9, "bake_end": 8}, "No frame is baked"),
        ({"only_selected": True}, "none is selected"),
        ({"file_type": "FLAC", "format": "7.1.4"}, "FLAC files hold 8 channels, and this format has 12"),
        ({"file_type": "FLAC", "format": "AMBIX", "order": 2}, "FLAC files hold 8 channels, and this format has 9"),
        ({"file_type": "FLAC", "sample_type": "FLOAT"}, "no floating-point"),
        ({"hrtf": "//gone.sofa"}, "SOFA file"),
        ({"recorded_field": "//gone.h5"}, "recorded room is missing"),
        ({"map_range": "FIXED", "map_minimum": 80.0}, "ends where it begins: 80 to 80"),
        ({"impulses": True, "bake_range": "CUSTOM", "bake_start": 11, "bake_end": 12}, "current frame is not baked"),
    ],
)
def test_what_a_bake_refuses_is_said_before(scene, changes: dict[str, object], words: str) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    for name, value in changes.items():
        setattr(scene.acoustics, name, value)
    assert next(f for f in cautions.hindrances(scene) if words in f.text).serious
    if "hrtf" not in changes:  # these the worker reads
        with pytest.raises(UserError):
            begin(bpy.context, Wish.of(scene, "bake")).close()
    mend(words)
    begin(bpy.context, Wish.of(scene, "bake")).close()


@pytest.mark.parametrize("quantity", ["T30", "C50", "D50", "STI"])
def test_the_range_of_another_quantity_is_told(scene, quantity: str) -> None:
    settings = scene.acoustics
    settings.map_range = "FIXED"
    assert not any("fixed range" in text for text in texts())
    settings.map_quantity = quantity
    mend(f"40 to 80, is none of {quantity}")
    assert settings.map_minimum < 1.0 < 10.0 >= settings.map_maximum


def test_a_speaker_that_looks_away_is_turned(scene) -> None:
    talker, camera = bpy.data.objects["Talker"], scene.camera
    talker.data.cone_angle_inner, talker.data.cone_angle_outer, talker.data.cone_volume_outer = 60.0, 120.0, 0.1
    bpy.context.view_layer.update()
    mend("“Talker” looks away")
    bpy.context.view_layer.update()
    axis = -talker.matrix_world.to_3x3().col[2].normalized()
    way = camera.matrix_world.translation - talker.matrix_world.translation
    assert axis.angle(way) == pytest.approx(0.0, abs=1e-3)
    talker.rotation_euler = (0.0, 0.0, 0.0)
    talker.parent = camera  # who moves with another is not judged by one frame
    bpy.context.view_layer.update()
    assert not any("looks away" in text for text in texts())


def test_a_speaker_in_the_head_is_told(scene) -> None:
    scene.camera.location = bpy.data.objects["Music"].location
    bpy.context.view_layer.update()
    assert "“Music” is less than 10 cm from the listener, and so very loud" in texts()
    scene.unit_settings.scale_length = 100.0
    scene.camera.location.x += 0.01  # 1 m
    bpy.context.view_layer.update()
    assert not any("very loud" in text for text in texts())


def test_what_playback_would_spoil(scene) -> None:
    assert scene.use_audio, "a new scene is heard"
    for changes, words in (({"use_audio": False}, "mute"), ({"audio_volume": 0.0}, "mute"), ({}, "fall behind")):
        scene.use_audio, scene.audio_volume, scene.sync_mode = True, 1.0, "NONE"
        for name, value in changes.items():
            setattr(scene, name, value)
        assert not any(words in text for text in texts())  # nothing is baked yet
        bpy.ops.acoustics.bake()
        mend(words)
        bpy.ops.acoustics.clear()


def test_time_stretching(scene) -> None:
    scene.render.frame_map_new = 200
    mend("Time stretching")


def test_surfaces_without_material(scene, box: Callable) -> None:
    first, second = CATALOGUE[scene.acoustics.default_material].name, "Room"
    assert f"“{second}” has no material: sound meets {first}" in texts()
    box("Chair")
    box("Helper").display_type = "WIRE"
    cautions._bare.clear()
    (finding,) = [f for f in cautions.cautions(scene, []) if "no material" in f.text]
    assert finding.text == f"“Room” and 1 more have no material: sound meets {first}"
    assert bpy.ops.acoustics.find_material("EXEC_DEFAULT", preset="concrete", **finding.remedy.options) == {"FINISHED"}
    assert scene.acoustics.default_material == "concrete"


def test_a_scene_of_thousands_is_looked_at_now_and_then(scene, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(cautions, "_is_bare", lambda item: looked.append(item) or False)
    for _ in range(50):
        list(cautions.cautions(scene, []))
    assert len(looked) == len(scene.objects)
