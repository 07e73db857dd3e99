"""Bake, Loudness Map and Clear as scripts call them, with a stand-in for the acoustics."""

from __future__ import annotations

import time
from types import SimpleNamespace

import bpy
import pytest

from blender_addon import jobs, operators, sheet, strips, warned
from blender_addon.operators import Activity
from naf_core.errors import UserError


def state(scene: bpy.types.Scene) -> dict:
    """What must not change when a job does not come to its end."""
    kinds = ("objects", "meshes", "materials", "images", "collections", "sounds")
    return {
        "strips": sorted(strip.name for _, strip in strips.own_strips(scene)),
        "frame": scene.frame_current,
        "silenced": strips.any_silenced(scene),
        **{kind: sorted(item.name for item in getattr(bpy.data, kind)) for kind in kinds},
    }


def muted(name: str) -> bool:
    return all(strip.mute for _, strip in strips.sound_strips(bpy.data.objects[name]))


def test_bake_puts_sounds_and_map_into_the_scene(scene, acoustics, tmp_path) -> None:
    assert bpy.ops.acoustics.bake() == {"FINISHED"}
    found = {strip[strips.TAG]: strip for _, strip in strips.own_strips(scene)}
    assert sorted(found) == ["mix", "stem:Music", "stem:Talker"]
    assert [key for key, strip in found.items() if not strip.mute] == ["mix"]
    assert found["mix"].sound.filepath == "//acoustics/mix.wav"
    assert (tmp_path / "acoustics/mix.wav").is_file()
    assert muted("Talker") and muted("Music")
    assert len(list(sheet.own_sheets(scene))) == 1
    assert scene.frame_current == 15
    (job,) = acoustics["jobs"]
    assert (job.kind, job.frame_start, job.n_frames, job.fps) == ("bake", 11, 12, 24.0)
    assert [emitter.name for emitter in job.emitters] == ["Talker", "Music"] or len(job.emitters) == 2
    assert (job.map.frame_index, job.map.width, job.map.height) == (4, 16, 11)
    assert not acoustics["folder"].exists()
    assert Activity.running is None
    assert ("The scene is open.", "") in warned.warnings_of(scene)


def test_the_second_bake_hears_what_the_first_one_silenced(scene, acoustics) -> None:
    bpy.ops.acoustics.bake()
    before = state(scene)
    bpy.ops.acoustics.bake()
    assert state(scene) == before
    first, second = acoustics["jobs"]
    assert [e.name for e in second.emitters] == [e.name for e in first.emitters]
    assert [e.starts for e in second.emitters] == [e.starts for e in first.emitters]
    # The sheet of the first is no part of the room of the second.
    assert len(second.scene.triangles) == len(first.scene.triangles)


def test_clear_brings_the_scene_back(scene) -> None:
    before = state(scene)
    bpy.ops.acoustics.bake()
    assert state(scene) != before
    assert bpy.ops.acoustics.clear() == {"FINISHED"}
    assert state(scene) == before
    assert not muted("Talker")
    assert not bpy.ops.acoustics.clear.poll()


def test_a_loudness_map_needs_no_camera_and_no_sequencer(scene, acoustics) -> None:
    bpy.data.objects.remove(scene.camera)
    scene.acoustics.map_current_frame, scene.acoustics.map_frame = False, 20
    scene.acoustics.map_range = "FIXED"
    assert bpy.ops.acoustics.loudness_map() == {"FINISHED"}
    (found,) = sheet.own_sheets(scene)
    assert (found[sheet.LOWEST], found[sheet.HIGHEST]) == (40.0, 70.0)
    assert list(strips.own_strips(scene)) == []
    assert not muted("Talker")
    (job,) = acoustics["jobs"]
    assert (job.kind, job.frame_start, job.n_frames, job.map.frame_index) == ("map", 20, 1, 0)
    assert job.map.range == (40.0, 80.0)


def test_a_map_of_a_frame_outside_the_range_says_so(scene, acoustics) -> None:
    scene.frame_set(99)
    bpy.ops.acoustics.bake()
    assert acoustics["jobs"][0].map.frame_index == 11
    assert any("the map shows frame 22" in message for message, _ in warned.warnings_of(scene))


def test_a_bake_without_a_map(scene, acoustics) -> None:
    scene.acoustics.map_with_bake = False
    bpy.ops.acoustics.bake()
    assert acoustics["jobs"][0].map is None
    assert list(sheet.own_sheets(scene)) == []


def test_a_bake_does_without_a_floor_and_a_map_does_not(scene) -> None:
    bpy.data.objects.remove(bpy.data.objects["Room"])
    assert bpy.ops.acoustics.bake() == {"FINISHED"}
    assert any(message.startswith("There is no loudness map.") for message, _ in warned.warnings_of(scene))
    with pytest.raises(RuntimeError, match="choose a floor object"):
        bpy.ops.acoustics.loudness_map()


def test_stems_can_sound_instead_of_the_mix(scene) -> None:
    scene.acoustics.playback = "STEMS"
    bpy.ops.acoustics.bake()
    audible = [strip[strips.TAG] for _, strip in strips.own_strips(scene) if not strip.mute]
    assert sorted(audible) == ["stem:Music", "stem:Talker"]


def test_without_a_mix_the_stems_sound(scene) -> None:
    scene.acoustics.mix = False
    bpy.ops.acoustics.bake()
    found = {strip[strips.TAG]: strip.mute for _, strip in strips.own_strips(scene)}
    assert found == {"stem:Music": False, "stem:Talker": False}


def test_ambisonic_strips_are_muted_and_speakers_play_on(scene) -> None:
    bpy.ops.acoustics.bake()
    scene.acoustics.format = "AMBIX"
    bpy.ops.acoustics.bake()
    assert all(strip.mute for _, strip in strips.own_strips(scene))
    assert not muted("Talker")
    assert any("with a decoder" in message for message, _ in warned.warnings_of(scene))


@pytest.mark.parametrize(("mode", "said"), [("error", "convert it"), ("crash", "the probe grid is empty")])
def test_a_failed_bake_changes_nothing(scene, acoustics, tmp_path, mode: str, said: str) -> None:
    before = state(scene)
    acoustics["mode"] = mode
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.acoustics.bake()
    assert state(scene) == before
    assert not (tmp_path / "acoustics").exists()
    assert not acoustics["folder"].exists()
    assert Activity.running is None


def test_a_failed_bake_keeps_the_results_of_the_one_before(scene, acoustics, tmp_path) -> None:
    bpy.ops.acoustics.bake()
    before, files = state(scene), sorted(path.name for path in (tmp_path / "acoustics").iterdir())
    acoustics["mode"] = "crash"
    with pytest.raises(RuntimeError):
        bpy.ops.acoustics.bake()
    assert state(scene) == before
    assert sorted(path.name for path in (tmp_path / "acoustics").iterdir()) == files


def test_a_cancelled_job_leaves_nothing(scene, acoustics, tmp_path) -> None:
    before = state(scene)
    acoustics["mode"] = "endless"
    running = jobs.begin(bpy.context, jobs.Wish.of(scene, "bake"))
    end = time.monotonic() + 20.0
    while not running.poll():
        assert time.monotonic() < end
        time.sleep(0.02)
    start = time.monotonic()
    running.close()
    assert time.monotonic() - start < 1.0
    assert running.worker.cancelled
    assert state(scene) == before
    assert not (tmp_path / "acoustics").exists()
    assert not acoustics["folder"].exists()


def test_a_file_that_is_not_saved_has_no_folder(scene, acoustics) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with pytest.raises(UserError, match="save it, or choose an absolute folder"):
        jobs.Wish.of(bpy.context.scene, "bake")
    assert acoustics["jobs"] == []


@pytest.mark.parametrize(("directory", "said"), [("", "choose one"), ("sounds/here", "start with //")])
def test_folders_that_lead_nowhere(scene, directory: str, said: str) -> None:
    scene.acoustics.directory = directory
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.acoustics.bake()


def test_a_folder_that_cannot_be_written_is_told_before_the_work(scene, acoustics, tmp_path) -> None:
    (tmp_path / "file").write_text("not a folder")
    scene.acoustics.directory = str(tmp_path / "file/acoustics")
    with pytest.raises(RuntimeError, match="choose another output folder"):
        bpy.ops.acoustics.bake()
    assert acoustics["jobs"] == []


def test_mistakes_in_the_scene_leave_no_folder(scene, tmp_path) -> None:
    bpy.data.objects.remove(scene.camera)
    with pytest.raises(RuntimeError, match="no listener"):
        bpy.ops.acoustics.bake()
    assert not (tmp_path / "acoustics").exists()


def test_buttons_say_why_they_are_grey(scene) -> None:
    for name in ("Talker", "Music"):
        data = bpy.data.objects[name].data
        bpy.data.objects.remove(bpy.data.objects[name])
        bpy.data.speakers.remove(data)
    for operator in (bpy.ops.acoustics.bake, bpy.ops.acoustics.loudness_map):
        with pytest.raises(RuntimeError, match="Add a Speaker"):
            operator()
    with pytest.raises(RuntimeError, match="no baked strips"):
        bpy.ops.acoustics.clear()
    with pytest.raises(RuntimeError):
        bpy.ops.acoustics.cancel()


def test_a_second_job_waits_for_the_first(scene, acoustics) -> None:
    acoustics["mode"] = "endless"
    Activity.running = jobs.begin(bpy.context, jobs.Wish.of(scene, "map"))
    try:
        with pytest.raises(RuntimeError, match="A job is running"):
            bpy.ops.acoustics.bake()
        assert bpy.ops.acoustics.cancel() == {"FINISHED"}
        assert Activity.running.worker.cancelled
    finally:
        Activity.end()


def test_a_scene_that_is_gone_is_an_error(scene, acoustics) -> None:
    running = jobs.begin(bpy.context, jobs.Wish.of(scene, "bake"))
    running.worker.wait(running.note)
    other = bpy.data.scenes.new("Other")
    bpy.data.scenes.remove(scene)
    other.name = "Scene"
    with pytest.raises(UserError, match="is gone: the files are in"):
        running.finish()
    assert list(strips.own_strips(other)) == []


def test_names_that_people_call() -> None:
    for name in ("bake", "loudness_map", "clear"):
        assert getattr(bpy.ops.acoustics, name).get_rna_type().description
    assert bpy.types.ACOUSTICS_PT_main.bl_category == "Acoustics"
    assert "draw_menu" in {entry.__name__ for entry in bpy.types.VIEW3D_MT_object._dyn_ui_initialize()}


def test_progress_is_drawn_now_and_then_and_in_our_sidebars_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, said, now = [], [], [100.0]

    def region(kind: str, tab: str) -> SimpleNamespace:
        return SimpleNamespace(type=kind, active_panel_category=tab, tag_redraw=lambda: drawn.append((kind, tab)))

    regions = [region("WINDOW", "UNSUPPORTED"), region("UI", "Acoustics"), region("UI", "View")]
    areas = [SimpleNamespace(type=kind, regions=regions) for kind in ("VIEW_3D", "OUTLINER")]
    context = SimpleNamespace(
        window_manager=SimpleNamespace(windows=[SimpleNamespace(screen=SimpleNamespace(areas=areas))]),
        workspace=SimpleNamespace(status_text_set=said.append),
    )
    monkeypatch.setattr(operators.time, "monotonic", lambda: now[0])
    job = operators.JobOperator()
    job.bl_label, job._running = "Bake", SimpleNamespace(text="10%")
    job._show(context)
    assert drawn == [("UI", "Acoustics")] and "10%" in said[-1]
    job._running.text, now[0] = "11%", 100.1
    job._show(context)
    assert len(said) == 1
    now[0] = 101.0
    job._show(context)
    assert len(said) == len(drawn) == 2 and "11%" in said[-1]
    now[0] = 105.0
    job._show(context)  # nothing new
    assert len(said) == len(drawn) == 2


def test_progress_is_drawn_less_often_where_drawing_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [100.0], []
    workspace = SimpleNamespace(status_text_set=said.append)
    context = SimpleNamespace(window_manager=SimpleNamespace(windows=[]), workspace=workspace)
    monkeypatch.setattr(operators.time, "monotonic", lambda: now[0])
    for drawing, most, least in ((0.01, 22, 18), (0.5, 5, 3)):  # s a drawing
        job = operators.JobOperator()
        job.bl_label, job._running = "Bake", SimpleNamespace(text="")
        said.clear()
        end = now[0] + 10.0
        while now[0] < end:
            job._running.text = f"{now[0]:.2f}"
            count = len(said)
            job._show(context)
            now[0] += operators.TICK_S + (drawing if len(said) > count else 0.0)
        assert least <= len(said) <= most
