"""What a bake leaves in the file, what Clear takes back, and what becomes of both when things go wrong."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_addon import jobs, sheet, strips
from blender_addon.operators import Activity
from naf_core.errors import UserError
from tests.blender.file_data import data_of_file


def test_clear_gives_back_the_file_exactly(scene) -> None:
    before = data_of_file()
    assert len(before) > 500
    bpy.ops.acoustics.bake()
    assert data_of_file() != before
    bpy.ops.acoustics.clear()
    assert data_of_file() == before


def test_clear_leaves_what_was_there_before_us(scene, sound_path: Path) -> None:
    editor = scene.sequence_editor_create()
    editor.strips.new_sound("Own", str(sound_path), 3, 1)
    before = data_of_file()
    bpy.ops.acoustics.bake()
    bpy.ops.acoustics.loudness_map()
    bpy.ops.acoustics.clear()
    assert data_of_file() == before


def test_clear_after_saving_opening_and_baking_again(scene, tmp_path: Path) -> None:
    def opened() -> dict:
        bpy.ops.wm.save_mainfile()
        bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
        bpy.context.view_layer.update()
        return data_of_file()

    before = opened()
    bpy.ops.acoustics.bake()
    opened()
    bpy.context.scene.acoustics.map_quantity = "C50"
    bpy.ops.acoustics.bake()
    bpy.context.scene.acoustics.property_unset("map_quantity")
    opened()
    bpy.ops.acoustics.clear()
    assert opened() == before


@pytest.mark.parametrize("linked", [False, True], ids=["appended", "linked"])
def test_results_play_in_another_file(scene, tmp_path: Path, linked: bool) -> None:
    bpy.ops.acoustics.bake()
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    (tmp_path / "edit").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "edit" / "cut.blend"))
    with bpy.data.libraries.load(str(tmp_path / "film.blend"), link=linked) as (held, wanted):
        wanted.scenes = list(held.scenes)
    (brought,) = wanted.scenes
    for _ in range(2):  # also after saving and opening
        found = list(strips.own_strips(brought))
        assert sorted(strip[strips.TAG] for _, strip in found) == ["mix", "stem:Music", "stem:Talker"]
        for _, strip in found:
            assert Path(bpy.path.abspath(strip.sound.filepath, library=strip.sound.library)).is_file()
        painted = [item for item in brought.objects if item.get(sheet.MARK)]
        assert len(painted) == 1 and painted[0].data.materials[0].node_tree.nodes
        assert strips.any_silenced(brought)
        brought.use_fake_user = True
        bpy.ops.wm.save_mainfile()
        bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
        (brought,) = (item for item in bpy.data.scenes if any(strips.own_strips(item)))
    if not linked:
        with bpy.context.temp_override(scene=brought):
            assert bpy.ops.acoustics.clear() == {"FINISHED"}
        assert not any(strips.own_strips(brought)) and not strips.any_silenced(brought)


def test_moving_one_speaker_leaves_what_the_others_are_rendered_from(scene, acoustics) -> None:
    """What the stems of a bake are kept by: see the core's stems."""
    bpy.ops.acoustics.bake()
    bpy.data.objects["Talker"].location.x = 0.75
    bpy.ops.acoustics.bake()
    first, second = acoustics["jobs"]
    for name in ("vertices", "triangles", "material_index"):
        np.testing.assert_array_equal(getattr(first.scene, name), getattr(second.scene, name))
    np.testing.assert_array_equal(first.listener.trajectory.positions, second.listener.trajectory.positions)
    same = {
        one.name: np.array_equal(one.trajectory.positions, other.trajectory.positions)
        for one, other in zip(first.emitters, second.emitters, strict=True)
    }
    assert same == {"Talker": False, "Music": True}


def test_results_play_from_another_folder(scene, tmp_path: Path) -> None:
    scene.acoustics.map_time, scene.acoustics.map_step = "SEQUENCE", 4
    bpy.ops.acoustics.bake()
    bpy.ops.wm.save_mainfile()
    moved = tmp_path / "elsewhere" / "copy"
    moved.mkdir(parents=True)
    shutil.move(tmp_path / "film.blend", moved / "film.blend")
    shutil.move(tmp_path / "acoustics", moved / "acoustics")
    bpy.ops.wm.open_mainfile(filepath=str(moved / "film.blend"))
    found = [strip.sound for _, strip in strips.own_strips(bpy.context.scene)]
    assert len(found) == 3
    images = [image for image in bpy.data.images if image.get(sheet.MARK)]
    assert len(images) == 2
    for item in (*found, *images):
        path = Path(bpy.path.abspath(item.filepath))
        assert path.is_file() and moved in path.parents


def test_the_file_stays_small(scene, tmp_path: Path) -> None:
    before = (tmp_path / "film.blend").stat().st_size
    bpy.ops.acoustics.bake()
    bpy.ops.wm.save_mainfile()
    assert (tmp_path / "film.blend").stat().st_size < before + 300_000


def test_a_range_of_its_own(scene, acoustics) -> None:
    scene.acoustics.bake_range = "CUSTOM"
    scene.acoustics.bake_start, scene.acoustics.bake_end = 13, 18
    bpy.ops.acoustics.bake()
    (job,) = acoustics["jobs"]
    assert (job.frame_start, job.n_frames) == (13, 6)
    start = "left_handle" if bpy.app.version >= (5, 2) else "frame_start"
    assert {getattr(strip, start) for _, strip in strips.own_strips(scene)} == {13}


def test_the_preview_range(scene, acoustics) -> None:
    scene.acoustics.bake_range = "PREVIEW"
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 12, 14
    bpy.ops.acoustics.bake()
    assert (acoustics["jobs"][0].frame_start, acoustics["jobs"][0].n_frames) == (12, 3)


def test_a_range_that_ends_before_it_starts(scene) -> None:
    scene.acoustics.bake_range = "CUSTOM"
    scene.acoustics.bake_start, scene.acoustics.bake_end = 20, 10
    with pytest.raises(RuntimeError, match="set the last frame"):
        bpy.ops.acoustics.bake()


def test_only_the_selected_speakers_are_made_anew(scene, acoustics) -> None:
    scene.acoustics.only_selected = True
    for item in scene.objects:
        item.select_set(item.name == "Music")
    bpy.ops.acoustics.bake()
    assert acoustics["jobs"][0].kept == ("Talker",)
    bpy.data.objects["Music"].select_set(False)
    with pytest.raises(RuntimeError, match="select some"):
        bpy.ops.acoustics.bake()


def test_settings_of_the_sound_reach_the_job(scene, acoustics) -> None:
    settings = scene.acoustics
    settings.format, settings.order, settings.file_type = "AMBIX-WORLD", 2, "WAV"
    settings.sample_type, settings.reflections, settings.wetness = "FLOAT", 5, 0.25
    settings.reverb_gain, settings.normalise, settings.loudness, settings.peak = 3.0, True, -20.0, -2.0
    settings.parts = settings.impulses = True
    settings.impulse_type, settings.quality = "BOTH", "DRAFT"
    bpy.ops.acoustics.bake()
    (job,) = acoustics["jobs"]
    assert (job.format, job.order, job.file_type, job.sample_type) == ("ambix-world", 2, "wav", "float")
    assert (job.reflections, job.wetness, job.reverb_gain) == (5, 0.25, 3.0)
    assert (job.loudness, job.peak, job.parts, job.impulse_type) == (-20.0, -2.0, True, "both")
    assert (job.impulse_frames, job.quality) == ((15,), "draft")


def test_impulse_responses_outside_the_range_are_told(scene) -> None:
    scene.acoustics.impulses = True
    scene.frame_set(99)
    with pytest.raises(RuntimeError, match="current frame"):
        bpy.ops.acoustics.bake()


def test_every_format_is_one_of_the_core(scene, acoustics) -> None:
    items = scene.acoustics.bl_rna.properties["format"].enum_items
    for item in items:
        scene.acoustics.format = item.identifier
        bpy.ops.acoustics.bake()
    assert [job.format for job in acoustics["jobs"]] == [item.identifier.lower() for item in items]


def test_the_time_that_is_left() -> None:
    assert jobs.time_left(1.0, 0.5) is None
    assert jobs.time_left(30.0, 0.01) is None
    assert jobs.time_left(10.0, 0.5) == "10 s left"
    assert jobs.time_left(61.0, 0.1) == "10 min left"


# What goes wrong.


def begun(scene: bpy.types.Scene, acoustics: dict, mode: str = "endless") -> jobs.Running:
    """A bake whose worker has said its first words."""
    acoustics["mode"] = mode
    running = jobs.begin(bpy.context, jobs.Wish.of(scene, "bake"))
    end = time.monotonic() + 30.0
    while not running.poll():
        assert time.monotonic() < end
        time.sleep(0.02)
    return running


@pytest.mark.parametrize("folder", [".", "acoustics"])
def test_a_read_only_folder(scene, acoustics, sealed: Path, folder: str) -> None:
    scene.acoustics.directory = str(sealed / folder)
    before = data_of_file()
    with pytest.raises(RuntimeError, match=r"(permitted|Permission denied|Read-only).*choose another output folder"):
        bpy.ops.acoustics.bake()
    assert acoustics["jobs"] == [] and data_of_file() == before
    assert Activity.running is None and not (sealed / "acoustics").exists()


def test_a_file_that_was_never_saved_is_told_to_be(acoustics, box, speaker, camera) -> None:
    box("Room", scale=(6, 4, 2.5))
    speaker()
    camera()
    with pytest.raises(RuntimeError, match="not saved yet: save it"):
        bpy.ops.acoustics.bake()


def test_a_worker_that_is_killed_changes_nothing(scene, acoustics, tmp_path: Path) -> None:
    before = data_of_file()
    running = begun(scene, acoustics)
    os.kill(running.worker._process.pid, signal.SIGKILL)
    with pytest.raises(UserError, match="SIGKILL"):
        running.worker.wait(running.note)
    running.close()
    assert data_of_file() == before
    assert not (tmp_path / "acoustics").exists()


def test_a_disk_that_is_full_changes_nothing(scene, acoustics, tmp_path: Path) -> None:
    bpy.ops.acoustics.bake()
    before, files = data_of_file(), sorted((tmp_path / "acoustics").iterdir())
    acoustics["mode"] = "full"
    with pytest.raises(RuntimeError, match="No space left on device"):
        bpy.ops.acoustics.bake()
    assert data_of_file() == before
    assert sorted((tmp_path / "acoustics").iterdir()) == files


def test_undo_while_a_bake_runs(scene, acoustics) -> None:
    bpy.ops.ed.undo_push(message="before")
    bpy.data.objects["Music"].location.x = 0.5
    bpy.ops.ed.undo_push(message="moved")
    running = begun(scene, acoustics, "done")
    bpy.ops.ed.undo()
    assert bpy.data.objects["Music"].location.x == 1.0
    running.worker.wait(running.note)
    running.finish()
    assert sorted(strip[strips.TAG] for _, strip in strips.own_strips(bpy.context.scene))[0] == "mix"
    assert strips.any_silenced(bpy.context.scene)


def test_a_speaker_that_is_removed_while_a_bake_runs(scene, acoustics) -> None:
    running = begun(scene, acoustics, "done")
    bpy.data.objects.remove(bpy.data.objects["Music"])
    running.worker.wait(running.note)
    running.finish()
    assert len(list(strips.own_strips(scene))) == 3


def test_new_names_while_a_bake_runs(scene, acoustics) -> None:
    bpy.ops.ed.undo_push(message="before")
    running = begun(scene, acoustics, "done")
    scene.name, bpy.data.objects["Music"].name = "Shot 7", "Band"
    other = bpy.data.scenes.new("Scene")
    bpy.ops.ed.undo_push(message="renamed")
    bpy.data.objects["Talker"].location.x = 0.5
    bpy.ops.ed.undo_push(message="moved")
    bpy.ops.ed.undo()
    running.worker.wait(running.note)
    running.finish()
    scene, other = bpy.data.scenes["Shot 7"], bpy.data.scenes["Scene"]
    assert len(list(strips.own_strips(scene))) == 3 and not any(strips.own_strips(other))
    # No Speaker sounds beside its stem, whatever its name is by now.
    assert all(len(bpy.data.objects[name].acoustics.silenced) == 1 for name in ("Talker", "Band"))


def test_saved_under_another_name_while_a_bake_runs(scene, acoustics, tmp_path: Path) -> None:
    running = begun(scene, acoustics, "done")
    (tmp_path / "versions").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "versions" / "film_2.blend"))
    running.worker.wait(running.note)
    running.finish()
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    for _, strip in strips.own_strips(bpy.context.scene):
        assert strip.sound.filepath.startswith("//") and Path(bpy.path.abspath(strip.sound.filepath)).is_file()


def test_a_full_disk_for_temporary_files_is_told(scene, acoustics, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    def refuse(*_args, **_options):
        raise OSError(28, "No space left on device")

    before = data_of_file()
    monkeypatch.setattr(jobs.Job, "save", refuse)
    with pytest.raises(RuntimeError, match=r"temporary files .*No space left on device.*free some space"):
        bpy.ops.acoustics.bake()
    monkeypatch.setattr(jobs.tempfile, "mkdtemp", refuse)
    with pytest.raises(RuntimeError, match="No space left on device"):
        bpy.ops.acoustics.bake()
    assert data_of_file() == before and Activity.running is None
    assert not (tmp_path / "acoustics").exists()


def test_two_blenders_bake_into_one_folder(scene, acoustics, tmp_path: Path) -> None:
    """A second job in the same folder goes on when the first is cancelled."""
    first, second = begun(scene, acoustics), begun(scene, acoustics)
    parts = set((tmp_path / "acoustics").glob(".part-*"))
    assert len(parts) == 2
    first.close()
    assert len(set((tmp_path / "acoustics").glob(".part-*"))) == 1
    second.close()
    assert list((tmp_path / "acoustics").iterdir()) == []


def test_another_file_while_a_bake_runs(scene, acoustics, tmp_path: Path) -> None:
    Activity.running = begun(scene, acoustics)
    folder, process = acoustics["folder"], Activity.running.worker._process
    start = time.monotonic()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert Activity.running is None
    assert time.monotonic() - start < 5.0
    assert process.poll() is not None
    assert not folder.exists() and not (tmp_path / "acoustics").exists()


def test_cancelling_takes_less_than_a_second(scene, acoustics) -> None:
    before = data_of_file()
    Activity.running = begun(scene, acoustics)
    start = time.monotonic()
    assert bpy.ops.acoustics.cancel() == {"FINISHED"}
    Activity.end()
    assert time.monotonic() - start < 1.0
    assert data_of_file() == before


def test_a_tick_takes_little_time_however_much_the_worker_says(scene, acoustics) -> None:
    acoustics["mode"] = "chatty"
    running = jobs.begin(bpy.context, jobs.Wish.of(scene, "bake"))
    ticks = []
    while running.worker.running:
        start = time.thread_time()  # which no other work on the machine lengthens
        running.poll()
        assert running.text
        ticks.append(time.thread_time() - start)
        time.sleep(0.02)
    running.close()
    assert running.worker.result is not None
    assert sorted(ticks)[int(0.95 * (len(ticks) - 1))] < 0.1
