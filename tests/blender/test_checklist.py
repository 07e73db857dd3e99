"""The check-list: what it finds, and that what it offers mends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import pytest

from blender_addon import checklist, strips
from blender_addon.geometry import read_scene
from naf_core.materials import CATALOGUE


def texts() -> list[str]:
    return [finding.text for finding in checklist.findings(bpy.context.scene)]


def mend(words: str, **more: object) -> None:
    """Press the button of the finding whose text holds ``words``."""
    (finding,) = [f for f in checklist.findings(bpy.context.scene) if words in f.text]
    group, name = finding.remedy.operator.split(".")
    assert getattr(getattr(bpy.ops, group), name)("EXEC_DEFAULT", **finding.remedy.options, **more) == {"FINISHED"}
    assert not any(words in text for text in texts())


def test_a_scene_that_is_ready_has_no_findings(scene) -> None:
    bpy.data.objects["Room"].data.materials.append(bpy.data.materials.new("Brick wall"))
    assert texts() == []


def test_an_empty_file_says_what_it_lacks_and_each_is_mended(sound_path: Path, tmp_path: Path) -> None:
    found = list(checklist.findings(bpy.context.scene))
    assert [f.serious for f in found] == [True, True, True]
    mend("Nobody listens")
    assert bpy.context.scene.camera.location.z == pytest.approx(1.6)
    mend("Nothing sounds", filepath=str(sound_path))
    mend("Save the .blend", filepath=str(tmp_path / "film.blend"))
    assert texts() == []


def test_a_linked_material_is_told_and_not_offered(scene, tmp_path: Path) -> None:
    library = tmp_path / "library.blend"
    far = bpy.data.materials.new("Zzz")
    bpy.data.libraries.write(str(library), {far}, fake_user=True)
    bpy.data.materials.remove(far)
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.materials = ["Zzz"]
    room = bpy.data.objects["Room"].data.materials
    room.append(bpy.data.materials["Zzz"])
    (finding,) = [f for f in checklist.findings(scene) if "Zzz" in f.text]
    assert finding.remedy is None
    room.append(bpy.data.materials.new("Qqq"))
    mend("“Qqq” and 1 more materials", preset="concrete")
    bpy.data.materials["Zzz"].override_create(remap_local_usages=True)
    mend("Zzz", preset="brick")
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    (here,) = [material for material in bpy.data.materials if material.override_library]
    assert (here.acoustics.mode, here.acoustics.preset) == ("PRESET", "brick")


def test_many_objects_are_simplified_at_once(scene, box: Callable) -> None:
    chairs = [box(f"Chair {number}") for number in range(3)]
    for item in bpy.context.view_layer.objects:
        item.select_set(item in chairs)
    assert bpy.ops.acoustics.set_surface(surface="IGNORED") == {"FINISHED"}
    assert [item.acoustics.surface for item in chairs] == ["IGNORED"] * 3
    assert bpy.data.objects["Room"].acoustics.surface == "SOLID"
    bpy.ops.object.select_all(action="DESELECT")
    assert not bpy.ops.acoustics.set_surface.poll()


def test_a_camera_of_the_scene_is_taken_before_a_new_one_is_made(camera: Callable) -> None:
    item = camera("Head")
    bpy.context.scene.camera = None
    mend("Nobody listens")
    assert bpy.context.scene.camera == item


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda item: setattr(item.data, "muted", True), "muted"),
        (lambda item: setattr(item.data, "volume", 0.0), "volume is 0"),
        (lambda item: setattr(item.acoustics, "include", False), "left out"),
        (lambda item: setattr(item, "hide_render", True), "hidden in renders"),
        (lambda item: setattr(strips_of(item)[0], "mute", True), "muted in the NLA"),
        (lambda item: setattr(item.animation_data.nla_tracks[0], "mute", True), "muted in the NLA"),
        (lambda item: move_to_hidden(item), "in no collection"),
        (lambda item: cone(item, 60.0, 90.0, 1.0), "volume outside is 1"),
        (lambda item: cone(item, 90.0, 60.0, 0.5), "inner cone is wider"),
        (lambda item: (cone(item, 60.0, 90.0, 0.5), setattr(item.acoustics, "use_cone", False)), "not used"),
    ],
)
def test_what_keeps_a_speaker_silent_is_mended(scene, change: Callable, words: str) -> None:
    change(bpy.data.objects["Talker"])
    mend(f"Talker: {words}" if words in ("muted", "left out") else words)
    assert bpy.data.objects["Talker"].data.volume == 1.0
    assert not any(text.startswith("Talker:") for text in texts())


def strips_of(item: bpy.types.Object) -> list[bpy.types.NlaStrip]:
    return [strip for _, strip in strips.sound_strips(item)]


def move_to_hidden(item: bpy.types.Object) -> None:
    """Leave the Speaker in a collection alone that renders do not show."""
    hidden = bpy.data.collections.new("Hidden")
    bpy.context.scene.collection.children.link(hidden)
    hidden.hide_render = True
    for collection in item.users_collection:
        collection.objects.unlink(item)
    hidden.objects.link(item)


def cone(item: bpy.types.Object, inner: float, outer: float, volume: float) -> None:
    item.data.cone_angle_inner, item.data.cone_angle_outer, item.data.cone_volume_outer = inner, outer, volume


def test_a_speaker_without_sound_or_with_a_missing_file(scene, sound_path: Path, tmp_path: Path) -> None:
    data = bpy.data.objects["Talker"].data
    data.sound = None
    mend("no sound", filepath=str(sound_path))
    lost = bpy.data.sounds.load(str(sound_path))
    lost.filepath = str(tmp_path / "gone.wav")
    data.sound = lost
    mend("missing", filepath=str(sound_path))


def test_a_sound_after_the_last_frame_is_moved(scene) -> None:
    item = bpy.data.objects["Talker"]
    (strip,) = [strip for _, strip in strips.sound_strips(item)]
    strip.frame_start = 500
    mend("starts after the last frame")
    assert strip.frame_start == scene.frame_start


def test_two_cameras_say_which_one_listens(scene, camera: Callable) -> None:
    camera("Second")
    assert any(text.startswith("2 cameras: “Camera” listens") for text in texts())
    mend("2 cameras")
    assert scene.acoustics.listener.name == "Camera"
    scene.acoustics.listener = None
    scene.timeline_markers.new("Cut", frame=12).camera = bpy.data.objects["Second"]
    assert not any("2 cameras" in text for text in texts())


def test_cameras_of_markers_listen_without_an_active_one(scene) -> None:
    scene.timeline_markers.new("Cut", frame=12).camera = scene.camera
    scene.camera = None
    assert not any("Nobody listens" in text for text in texts())


def test_a_listener_of_another_scene_is_named(scene) -> None:
    other = bpy.data.objects.new("Ghost", None)
    scene.acoustics.listener = other
    assert next(iter(checklist.findings(scene))).serious
    mend("“Ghost” is not in this scene")
    assert scene.acoustics.listener is None


def test_unknown_materials_are_chosen_by_search(scene) -> None:
    material = bpy.data.materials.new("Xyzzy")
    bpy.data.objects["Room"].data.materials.append(material)
    mend("Xyzzy", preset="brick")
    assert (material.acoustics.mode, material.acoustics.preset) == ("PRESET", "brick")


def test_strips_that_were_deleted_by_hand(scene) -> None:
    bpy.ops.acoustics.bake()
    strips.remove(scene)
    mend("strips that are gone")
    assert not strips.any_silenced(scene)


def test_a_range_of_ones_own(scene) -> None:
    scene.acoustics.bake_range = "CUSTOM"
    scene.acoustics.bake_start, scene.acoustics.bake_end = -5, 0
    assert any("starts after the last frame" in text for text in texts())


def test_linked_speakers_are_named_but_not_mended(scene, tmp_path: Path) -> None:
    item = bpy.data.objects["Talker"]
    item.data.muted = True
    bpy.data.libraries.write(str(tmp_path / "lib.blend"), {item}, fake_user=True)
    bpy.data.objects.remove(item)
    with bpy.data.libraries.load(str(tmp_path / "lib.blend"), link=True) as (_, into):
        into.objects = ["Talker"]
    scene.collection.objects.link(into.objects[0])
    (finding,) = [f for f in checklist.findings(scene) if "Talker" in f.text]
    assert finding.remedy is None


def test_values_are_taken_over_to_be_edited() -> None:
    material = bpy.data.materials.new("Brick wall")
    assert bpy.ops.acoustics.edit_material(material="Brick wall") == {"FINISHED"}
    assert material.acoustics.mode == "CUSTOM"
    brick = min(
        CATALOGUE.values(),
        key=lambda m: sum((a - b) ** 2 for a, b in zip(m.absorption, material.acoustics.absorption, strict=True)),
    )
    assert tuple(material.acoustics.absorption) == pytest.approx(brick.absorption)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fix", {"kind": "UNMUTE", "target": "nobody"}),
        ("choose_sound", {"speaker": "nobody"}),
        ("add_speaker", {"filepath": "//missing.wav"}),
        ("find_material", {"material": "nothing"}),
        ("edit_material", {"material": "nothing"}),
    ],
)
def test_names_that_are_not_there_are_errors(name: str, options: dict) -> None:
    with pytest.raises(RuntimeError, match="There is no"):
        getattr(bpy.ops.acoustics, name)("EXEC_DEFAULT", **options)


def test_a_listener_of_ones_choice(scene) -> None:
    bpy.context.view_layer.objects.active = bpy.data.objects["Room"]
    assert bpy.ops.acoustics.set_listener() == {"FINISHED"}
    assert scene.acoustics.listener.name == "Room"


def test_the_new_speaker_sounds_at_its_level(sound_path: Path) -> None:
    bpy.ops.acoustics.add_speaker(filepath=str(sound_path), level=55.0)
    item = bpy.context.object
    assert (item.name, item.acoustics.level) == ("noise", 55.0)
    assert len(list(strips.sound_strips(item))) == 1


def test_simplified_objects_are_their_hull(box: Callable) -> None:
    mesh = bpy.data.meshes.new("Star")
    corners = [(0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0), (0, 0, 2), (2, 0, 2), (2, 2, 2), (0, 2, 2), (1, 1, 1)]
    mesh.from_pydata(corners, [], [(a, b, 8) for a in range(4) for b in range(4, 8)])
    item = bpy.data.objects.new("Star", mesh)
    bpy.context.scene.collection.objects.link(item)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    assert read_scene(depsgraph).scene.triangle_areas.sum() < 20.0
    item.acoustics.surface = "SIMPLIFIED"
    found = read_scene(bpy.context.evaluated_depsgraph_get()).scene
    assert len(found.triangles) == 12
    assert found.triangle_areas.sum() == pytest.approx(24.0)


def test_flat_objects_have_no_hull_and_stay(link: Callable) -> None:
    mesh = bpy.data.meshes.new("Sheet")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [], [(0, 1, 2, 3)])
    link("Sheet", mesh).acoustics.surface = "SIMPLIFIED"
    assert len(read_scene(bpy.context.evaluated_depsgraph_get()).scene.triangles) == 2
