"""Baked sounds in the sequencer, and Speakers that are silent for their sake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest
import soundfile

from blender_addon import strips
from blender_addon.speakers import plays_of
from blender_addon.strips import Track
from naf_core.clip import WHOLE


@pytest.fixture
def tracks(tmp_path: Path) -> list[Track]:
    """A mix and two stems of one second."""
    made = []
    for key, name in (("mix", "Mix"), ("stem:Talker", "Talker"), ("stem:Music", "Music")):
        path = tmp_path / f"{name.lower()}.wav"
        soundfile.write(path, np.zeros((48000, 2)), 48000)
        made.append(Track(key, name, path, audible=key == "mix"))
    return made


def own(scene: bpy.types.Scene) -> dict[str, bpy.types.Strip]:
    return {strip[strips.TAG]: strip for _, strip in strips.own_strips(scene)}


def start_of(strip: bpy.types.Strip) -> int:
    return strip.left_handle if hasattr(strip, "left_handle") else strip.frame_final_start


def test_strips_lie_at_the_frame_on_channels_of_their_own(tracks: list[Track]) -> None:
    scene = bpy.context.scene
    assert strips.place(scene, tracks, 11) == []
    found = own(scene)
    assert list(found) == ["mix", "stem:Talker", "stem:Music"]
    assert [found[key].channel for key in found] == [1, 2, 3]
    assert {start_of(strip) for strip in found.values()} == {11}
    assert [found[key].mute for key in found] == [False, True, True]
    assert found["mix"].name == "Mix"
    assert not found["mix"].sound.use_mono
    assert found["mix"].sound.filepath == str(tracks[0].path)


def test_paths_are_relative_in_a_saved_file(tracks: list[Track], tmp_path: Path) -> None:
    (tmp_path / "film").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film/a.blend"))
    strips.place(bpy.context.scene, tracks, 1)
    sound = own(bpy.context.scene)["mix"].sound
    assert sound.filepath == "//../mix.wav"
    assert Path(bpy.path.abspath(sound.filepath)).samefile(tracks[0].path)


def test_strips_of_the_person_stay_and_keep_their_channels(tracks: list[Track]) -> None:
    scene = bpy.context.scene
    editor = scene.sequence_editor_create()
    theirs = editor.strips.new_sound("Theirs", str(tracks[0].path), 2, 5)
    strips.place(scene, tracks, 1)
    assert sorted(strip.channel for strip in own(scene).values()) == [1, 3, 4]
    strips.clear(scene)
    assert [strip.name for strip in editor.strips] == ["Theirs"]
    assert (theirs.channel, start_of(theirs), theirs.mute) == (2, 5, False)
    assert theirs.sound.name in bpy.data.sounds


def test_baking_again_replaces_strips_where_they_are(tracks: list[Track]) -> None:
    scene = bpy.context.scene
    strips.place(scene, tracks, 1)
    for number, strip in enumerate(own(scene).values()):
        strip.channel = 7 - number
    strips.place(scene, tracks[:2], 3)
    found = own(scene)
    assert {key: strip.channel for key, strip in found.items()} == {"mix": 7, "stem:Talker": 6}
    assert {start_of(strip) for strip in found.values()} == {3}
    assert sorted(sound.name for sound in bpy.data.sounds) == ["mix.wav", "talker.wav"]


def test_a_channel_that_was_taken_meanwhile_is_left(tracks: list[Track]) -> None:
    scene = bpy.context.scene
    strips.place(scene, tracks[:1], 1)
    scene.sequence_editor.strips.new_sound("Theirs", str(tracks[1].path), 1, 500)
    strips.place(scene, tracks[:1], 1)
    assert own(scene)["mix"].channel == 2


def test_strips_in_a_meta_strip_are_found(tracks: list[Track]) -> None:
    scene = bpy.context.scene
    strips.place(scene, tracks, 1)
    meta = scene.sequence_editor.strips.new_meta("Scene 1", 9, 1)
    own(scene)["stem:Music"].move_to_meta(meta)
    strips.place(scene, tracks, 1)
    assert len(own(scene)) == 3
    assert len(meta.strips) == 0


def test_clear_removes_a_sequencer_that_we_made_only(tracks: list[Track]) -> None:
    scene = bpy.context.scene
    scene.sequence_editor_clear()
    strips.place(scene, tracks, 1)
    strips.place(scene, tracks, 1)
    assert strips.clear(scene)
    assert scene.sequence_editor is None
    assert list(bpy.data.sounds) == []
    assert strips.MARK not in scene
    assert not strips.clear(scene)

    scene.sequence_editor_create()
    strips.place(scene, tracks, 1)
    strips.clear(scene)
    assert scene.sequence_editor is not None


def test_clear_keeps_a_sequencer_that_came_into_use(tracks: list[Track]) -> None:
    scene = bpy.context.scene
    scene.sequence_editor_clear()
    strips.place(scene, tracks, 1)
    scene.sequence_editor.strips.new_sound("Theirs", str(tracks[0].path), 9, 1)
    strips.clear(scene)
    assert [strip.name for strip in scene.sequence_editor.strips] == ["Theirs"]


def test_too_many_strips_are_warned_of(tracks: list[Track], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "N_CHANNELS", 2)
    ((message, _),) = strips.place(bpy.context.scene, tracks, 1)
    assert "music.wav" in message
    assert len(own(bpy.context.scene)) == 2


def test_silenced_speakers_are_still_heard_by_the_next_bake(speaker: Callable) -> None:
    scene = bpy.context.scene
    item = speaker("Talker", start=13)
    assert strips.silence([item]) == []
    assert all(strip.mute for _, strip in strips.sound_strips(item))
    assert not item.data.muted
    assert plays_of(item, 1, 100, 24.0, []) == ((0.5, WHOLE),)
    assert strips.any_silenced(scene)
    assert strips.restore(scene) == []
    assert not any(strip.mute for _, strip in strips.sound_strips(item))
    assert not strips.any_silenced(scene)


def test_what_the_person_muted_stays_muted(speaker: Callable) -> None:
    scene = bpy.context.scene
    item = speaker("Talker")
    ((_, strip),) = strips.sound_strips(item)
    strip.mute = True
    strips.silence([item])
    assert not strips.any_silenced(scene)
    strips.restore(scene)
    assert strip.mute


def test_silencing_twice_is_undone_once(speaker: Callable) -> None:
    item = speaker("Talker")
    strips.silence([item])
    strips.silence([item])
    assert len(item.acoustics.silenced) == 1
    strips.restore(bpy.context.scene)
    assert not any(strip.mute for _, strip in strips.sound_strips(item))


def test_a_renamed_strip_is_warned_of(speaker: Callable) -> None:
    item = speaker("Talker")
    strips.silence([item])
    ((_, strip),) = strips.sound_strips(item)
    strip.name = "Renamed"
    ((message, name),) = strips.restore(bpy.context.scene)
    assert name == "Talker"
    assert "unmute it" in message


def test_a_linked_speaker_is_warned_of(speaker: Callable, tmp_path: Path) -> None:
    speaker("Talker")
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.objects = ["Talker"]
    item = bpy.data.objects["Talker"]
    bpy.context.scene.collection.objects.link(item)
    ((message, name),) = strips.silence([item])
    assert name == "Talker"
    assert "linked" in message
