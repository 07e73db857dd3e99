from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest
import soundfile

from blender_addon.jobs import writing_temporary_files
from blender_addon.speakers import cone_of, plays_of, sound_file, speakers_of, with_sound
from naf_core.clip import WHOLE, Clip
from naf_core.errors import UserError

Make = Callable[..., bpy.types.Object]


def found() -> list[bpy.types.Object]:
    return speakers_of(bpy.context.scene, bpy.context.view_layer)


def starts(item: bpy.types.Object, warnings: list | None = None) -> tuple[float, ...]:
    plays = plays_of(item, 1, 100, 24.0, [] if warnings is None else warnings)
    assert all(clip == WHOLE for _, clip in plays)
    return tuple(start for start, _ in plays)


def strip_of(item: bpy.types.Object) -> tuple[bpy.types.NlaTrack, bpy.types.NlaStrip]:
    track = item.animation_data.nla_tracks[0]
    return track, track.strips[0]


# Which Speakers.


def test_no_speaker_is_refused() -> None:
    with pytest.raises(UserError, match="no Speaker in the scene “Scene”: add one"):
        found()


def test_speakers_that_take_part(speaker: Make) -> None:
    group = bpy.data.collections.new("Hidden")
    bpy.context.scene.collection.children.link(group)
    group.hide_render = True
    plain, hidden, left_out, inside, unseen = (speaker(name) for name in "ABCDE")
    hidden.hide_render = True
    left_out.acoustics.include = False
    bpy.context.scene.collection.objects.unlink(inside)
    group.objects.link(inside)
    unseen.hide_viewport = True
    assert found() == [plain, unseen]


def test_a_speaker_that_is_hidden_for_a_while_takes_part(speaker: Make, key: Callable) -> None:
    item = speaker()
    key(item, "hide_render", {1: True, 10: False})
    bpy.context.scene.frame_set(1)
    assert item.hide_render and found() == [item]


def test_no_speaker_left_is_refused(speaker: Make) -> None:
    speaker().acoustics.include = False
    with pytest.raises(UserError, match="No Speaker takes part: “Speaker” is excluded") as caught:
        found()
    assert caught.value.object_name == "Speaker"


def test_speakers_without_a_sound(speaker: Make) -> None:
    bare, full = speaker("Bare", path=None), speaker("Full")
    warnings: list = []
    assert with_sound([bare, full], warnings) == [full]
    assert [name for _, name in warnings] == ["Bare"]
    with pytest.raises(UserError, match="“Bare” has no sound: choose one") as caught:
        with_sound([bare], [])
    assert caught.value.object_name == "Bare"


# When they start.


def test_the_strip_says_when(speaker: Make) -> None:
    assert starts(speaker(start=1)) == (0.0,)
    assert starts(speaker(start=49)) == (2.0,)
    item = speaker(start=1)
    strip_of(item)[1].frame_start = -11
    assert starts(item) == (-0.5,)
    assert plays_of(item, -11, 100, 24.0, []) == ((0.0, WHOLE),)


def test_muted_strips_and_tracks(speaker: Make) -> None:
    item = speaker()
    track, strip = strip_of(item)
    strip.mute = True
    assert starts(item) == ()
    strip.mute, track.mute = False, True
    assert starts(item) == ()
    track.mute = False
    assert starts(item) == (0.0,)
    item.animation_data.nla_tracks.new().is_solo = True
    assert starts(item) == ()


def test_strips_muted_by_a_bake_sound_on(speaker: Make) -> None:
    item = speaker()
    track, strip = strip_of(item)
    strip.mute = True
    note = item.acoustics.silenced.add()
    note.track, note.strip = track.name, strip.name
    assert starts(item) == (0.0,)
    track.mute = True  # by the person: it stays so
    assert starts(item) == ()


def test_strips_overlap_and_each_has_its_own_time(speaker: Make) -> None:
    """However long they are: Blender plays the sound of each to its end."""
    item = speaker(start=13)
    area = bpy.context.window_manager.windows[0].screen.areas[0]
    kind, area.type = area.type, "NLA_EDITOR"
    with bpy.context.temp_override(
        window=bpy.context.window_manager.windows[0], area=area, region=area.regions[-1], object=item
    ):
        for frame in (19, 7):
            bpy.context.scene.frame_set(frame)
            bpy.ops.nla.soundclip_add()
    area.type = kind
    strips = [strip for track in item.animation_data.nla_tracks for strip in track.strips]
    warnings: list = []
    assert set(starts(item, warnings)) == {0.25, 0.5, 0.75}
    for strip in strips:
        strip.frame_end = strip.frame_start + 1.0
        strip.mute = strip.frame_start == 19.0
    assert set(starts(item, warnings)) == {0.25, 0.5} and warnings == []


@pytest.mark.parametrize(
    ("values", "clip"),
    [
        ({"repeat": 3.0}, Clip(repeat=3.0)),
        ({"scale": 2.0}, Clip(speed=0.5)),
        ({"use_reverse": True}, Clip(backwards=True)),
        ({"action_frame_end": 48.0, "action_frame_start": 12.0}, Clip(0.5, 2.0)),
    ],
)
def test_the_clip_of_a_strip_is_followed_and_that_blender_does_not_is_said(
    speaker: Make, values: dict[str, float], clip: Clip
) -> None:
    item, warnings = speaker(start=13), []
    for name, value in values.items():
        setattr(strip_of(item)[1], name, value)
    assert plays_of(item, 1, 100, 24.0, warnings) == ((0.5, clip),)
    ((message, name),) = warnings
    assert "the bake follows it, but Blender's own playback does not" in message and name == "Speaker"


def test_a_strip_that_is_too_fast_is_named(speaker: Make) -> None:
    item = speaker()
    strip_of(item)[1].scale = 0.01
    with pytest.raises(UserError, match=r"of “Speaker” is out of range\. .* 100 times its speed"):
        plays_of(item, 1, 100, 24.0, [])


def test_without_a_strip_the_first_frame_is_taken_and_said(speaker: Make) -> None:
    item = speaker(start=None)
    warnings: list = []
    assert starts(item, warnings) == (0.0,)
    ((message, name),) = warnings
    assert "no NLA sound strip: it is taken to start at frame 1." in message and name == "Speaker"


def test_a_start_after_the_end_is_said(speaker: Make) -> None:
    warnings: list = []
    assert starts(speaker(start=101), warnings) == (100 / 24.0,)
    assert "starts after the last frame" in warnings[0][0]
    warnings.clear()
    starts(speaker(start=100), warnings)
    assert warnings == []


# Their cones.


def set_cone(item: bpy.types.Object, inner: float, outer: float, volume: float) -> bpy.types.Object:
    item.data.cone_angle_inner, item.data.cone_angle_outer, item.data.cone_volume_outer = inner, outer, volume
    return item


def test_a_cone_is_that_of_the_speaker(speaker: Make) -> None:
    item, warnings = set_cone(speaker(), 60.0, 90.0, 0.25), []
    item.acoustics.cone_size = 0.1
    found = cone_of(item, warnings)
    assert (found.inner, found.outer, found.outer_gain, found.radius) == (60.0, 90.0, 0.25, pytest.approx(0.1))
    assert warnings == []
    item.acoustics.use_cone = False
    assert cone_of(item, warnings) is None


def test_a_speaker_as_it_is_made_sends_alike_in_all_directions(speaker: Make) -> None:
    assert cone_of(speaker(), []).even


def test_an_inner_cone_wider_than_the_outer_one_is_said(speaker: Make) -> None:
    warnings: list = []
    assert cone_of(set_cone(speaker(), 360.0, 90.0, 0.0), warnings).inner == 90.0
    assert "“Speaker” is wider" in warnings[0][0]
    assert cone_of(set_cone(speaker(), 360.0, 90.0, 1.0), warnings).even
    assert len(warnings) == 1


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_cone_that_is_no_number_is_named(speaker: Make, place: int) -> None:
    values = [60.0, 90.0, 0.5]
    values[place] = np.nan
    with pytest.raises(UserError, match=r"cone of “Speaker” is out of range.*nan.*give") as caught:
        cone_of(set_cone(speaker(), *values), [])
    assert caught.value.object_name == "Speaker"


# What they play.


def test_the_path_is_absolute(speaker: Make, sound_path: Path, tmp_path: Path) -> None:
    item = speaker()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "file.blend"))
    item.data.sound.filepath = "//noise.wav"
    assert Path(sound_file(item, tmp_path)) == sound_path


def test_packed_sounds_are_written_out(speaker: Make, sound_path: Path, tmp_path: Path) -> None:
    item, other = speaker(), speaker("Other")
    item.data.sound.pack()
    content = sound_path.read_bytes()
    sound_path.unlink()
    folder = tmp_path / "job"
    folder.mkdir()
    path = Path(sound_file(item, folder))
    assert path.parent == folder and path.suffix == ".wav" and path.read_bytes() == content
    other.data.sound = item.data.sound
    assert sound_file(other, folder) == str(path)
    assert list(folder.iterdir()) == [path]


def test_a_missing_file_is_refused(speaker: Make, sound_path: Path, tmp_path: Path) -> None:
    item = speaker("Radio")
    sound_path.unlink()
    with pytest.raises(UserError, match=r"“Radio”, .*noise\.wav, is not there: choose it again") as caught:
        sound_file(item, tmp_path)
    assert caught.value.object_name == "Radio"


def test_a_folder_is_no_sound(speaker: Make, tmp_path: Path) -> None:
    item = speaker()
    item.data.sound.filepath = str(tmp_path)
    with pytest.raises(UserError, match="is not there"):
        sound_file(item, tmp_path)


def test_a_file_without_permission_is_refused(speaker: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = speaker()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read every file
    with pytest.raises(UserError, match="may not be read: change the permissions"):
        sound_file(item, tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a sound at all" * 100])
def test_a_file_that_is_no_sound_is_refused(speaker: Make, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a sound: convert it to WAV, FLAC or Ogg"):
        sound_file(speaker(path=path), tmp_path)


def test_a_sound_without_samples_is_refused(speaker: Make, tmp_path: Path) -> None:
    path = tmp_path / "nothing.wav"
    soundfile.write(path, np.zeros(0), 48000)
    with pytest.raises(UserError, match="holds no samples"):
        sound_file(speaker(path=path), tmp_path)


def encoded(folder: Path) -> Path:
    """A video file with a tone of 440 Hz that lasts a second."""
    import aud

    tone = 0.5 * np.sin(2 * np.pi * 440.0 * np.arange(48000) / 48000.0)
    soundfile.write(folder / "tone.wav", tone, 48000)
    path = folder / "tone.mkv"
    aud.Sound(str(folder / "tone.wav")).write(
        str(path), 48000, aud.CHANNELS_MONO, aud.FORMAT_FLOAT32, aud.CONTAINER_MATROSKA, aud.CODEC_AAC, 192000
    )
    return path


def test_formats_that_only_blender_reads_are_converted(speaker: Make, tmp_path: Path) -> None:
    path = encoded(tmp_path)
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.info(path)
    folder = tmp_path / "job"
    folder.mkdir()
    samples, rate = soundfile.read(sound_file(speaker(path=path), folder))
    assert rate == 48000 and abs(len(samples) - 48000) < 4096
    spectrum = np.abs(np.fft.rfft(samples.reshape(len(samples), -1)[:, 0]))
    assert np.argmax(spectrum) * rate / len(samples) == pytest.approx(440.0, abs=2.0)
    assert [file.suffix for file in folder.iterdir()] == [".flac"]


def test_what_blender_would_hold_as_a_whole_is_bounded(
    speaker: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, folder = speaker(path=encoded(tmp_path)), tmp_path / "job"
    folder.mkdir()
    monkeypatch.setattr("blender_addon.speakers._DECODED", 40_000)
    with pytest.raises(UserError, match=r"“Speaker”, .*tone\.mkv, is 0\.0 hours long.*convert it to WAV") as caught:
        sound_file(item, folder)
    assert caught.value.object_name == "Speaker" and not list(folder.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="there are no limits on files elsewhere")
def test_a_full_disk_is_named_where_sounds_are_converted(speaker: Make, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    import resource

    item, folder = speaker(path=encoded(tmp_path)), tmp_path / "job"
    folder.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(UserError, match="free some space"), writing_temporary_files():
            sound_file(item, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(folder.glob("*.flac"))
