"""Refine as scripts call it, with a stand-in for the acoustics, and what the sidebar says of it."""

from __future__ import annotations

import time

import bpy
import pytest

from blender_addon import jobs, panels, resident, sheet, strips, warned
from blender_addon.operators import Activity
from blender_addon.refine import Outcome
from tests.blender.test_operators import state
from tests.blender.test_panels import drawn

WORDS = "Refined. G dB 0.50 before, 0.20 after."


def test_refine_keeps_a_scan_says_what_came_of_it_and_changes_nothing(scene, acoustics, tmp_path) -> None:
    before = state(scene)
    assert bpy.ops.acoustics.refine() == {"FINISHED"}
    assert state(scene) == before
    (job,) = acoustics["jobs"]
    # The room as a bake reads it, and nothing to write.
    assert (job.kind, job.frame_start, job.n_frames, job.map, job.listener) == ("refine", 11, 12, None, None)
    assert job.output == tmp_path / "acoustics" and (job.output / ".stems").is_dir()
    assert not acoustics["folder"].exists()
    assert Outcome.of(scene) == (("INFO", WORDS), ("ERROR", "The scene is open."))
    assert WORDS in " ".join(drawn(panels.ACOUSTICS_PT_main))
    assert "The scene is open." in drawn(panels.ACOUSTICS_PT_main) and not warned.warnings_of(scene)
    bpy.ops.acoustics.bake()
    assert [len(j.scene.triangles) for j in acoustics["jobs"]] == [12, 12]
    assert len(list(strips.own_strips(scene))) == 3 and any(sheet.own_sheets(scene))


def test_it_says_nothing_of_a_room_that_has_changed(scene) -> None:
    def change_weather() -> None:
        scene.acoustics.temperature = 5.0

    def move() -> None:
        bpy.data.objects["Room"].location.z += 0.5

    def shape() -> None:
        bpy.data.objects["Room"].data.vertices[0].co.x -= 1.0
        bpy.data.objects["Room"].data.update()

    def material() -> None:
        bpy.data.objects["Room"].data.materials.append(bpy.data.materials.new("Felt"))

    def ignore() -> None:
        bpy.data.objects["Room"].acoustics.surface = "IGNORED"

    def choose() -> None:
        bpy.data.materials["Felt"].acoustics.mode = "CUSTOM"

    def folder() -> None:
        scene.acoustics.directory = "//elsewhere/"

    for change in (change_weather, move, shape, material, choose, ignore, folder):
        if change is folder:
            bpy.data.objects["Room"].acoustics.surface = "SOLID"
        bpy.context.view_layer.update()
        Outcome.keep(scene, WORDS)
        bpy.data.objects["Talker"].location.x += 0.1  # no part of the room
        bpy.context.view_layer.update()
        assert Outcome.of(scene) == (("INFO", WORDS),)
        change()
        bpy.context.view_layer.update()
        assert Outcome.of(scene) == (), change.__name__


def test_a_bake_and_a_map_do_not_make_it_forget(scene) -> None:
    bpy.ops.acoustics.refine()
    bpy.ops.acoustics.bake()
    bpy.ops.acoustics.loudness_map()
    bpy.context.view_layer.update()
    assert Outcome.of(scene)


def test_nothing_is_said_in_another_file(scene) -> None:
    bpy.ops.acoustics.refine()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert Outcome.of(bpy.context.scene) == ()


@pytest.mark.parametrize(("mode", "told"), [("error", "convert it"), ("crash", "the probe grid is empty")])
def test_a_failed_refinement_changes_nothing(scene, acoustics, tmp_path, mode: str, told: str) -> None:
    bpy.ops.acoustics.refine()
    before = sorted((tmp_path / "acoustics").rglob("*"))
    acoustics["mode"] = mode
    with pytest.raises(RuntimeError, match=told):
        bpy.ops.acoustics.refine()
    assert sorted((tmp_path / "acoustics").rglob("*")) == before
    assert Outcome.of(scene) == () and Activity.running is None


def test_a_cancelled_refinement_leaves_nothing(scene, acoustics, tmp_path) -> None:
    acoustics["mode"] = "endless"
    running = jobs.begin(bpy.context, jobs.Wish.of(scene, "refine"))
    end = time.monotonic() + 20.0
    while not running.poll():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert running.text.endswith("Scanning the rooms")
    running.close()
    assert running.worker.cancelled
    assert not (tmp_path / "acoustics").exists()
    assert not acoustics["folder"].exists()


def test_the_button_says_why_it_is_grey(scene, tmp_path) -> None:
    (tmp_path / "room.h5").write_bytes(b"")
    scene.acoustics.recorded_field = str(tmp_path / "room.h5")
    with pytest.raises(RuntimeError, match="A recorded room answers here"):
        bpy.ops.acoustics.refine()
    scene.acoustics.recorded_field = ""
    assert bpy.ops.acoustics.refine.poll()
    for name in ("Talker", "Music"):
        data = bpy.data.objects[name].data
        bpy.data.objects.remove(bpy.data.objects[name])
        bpy.data.speakers.remove(data)
    with pytest.raises(RuntimeError, match="Add a Speaker"):
        bpy.ops.acoustics.refine()


def test_the_probe_looks_where_it_is_kept(scene, tmp_path) -> None:
    job = resident.job_of(bpy.context, tmp_path)
    assert job.cache == tmp_path / "acoustics" / ".stems"
    scene.acoustics.directory = ""
    assert resident.job_of(bpy.context, tmp_path).cache is None


def test_an_empty_cache_holds_no_refined_scan(scene) -> None:
    bpy.ops.acoustics.refine()
    bpy.ops.acoustics.clear_cache("EXEC_DEFAULT")
    assert Outcome.of(scene) == ()
