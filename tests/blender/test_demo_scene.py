"""The bundled demo scene: what others rely on, that its walk is possible, and that its script makes it."""

from __future__ import annotations

import importlib
from pathlib import Path

import bpy
import numpy as np
import pytest
import soundfile
from mathutils import Vector
from mathutils.bvhtree import BVHTree

SCENES = Path(__file__).resolve().parents[1] / "scenes"
DEMO = SCENES / "demo.blend"
SPEAKERS = ("Moving", "Music", "Talker")
FRAMES = range(1, 241)
MEGABYTE = 2**20


def open_demo():
    bpy.ops.wm.open_mainfile(filepath=str(DEMO))
    return bpy.context.scene


@pytest.fixture
def demo():
    return open_demo()


@pytest.fixture(scope="module")
def walk():
    """World matrices of camera, speakers and robot at every frame."""
    scene = open_demo()
    names = ("Camera", "Toy robot", *SPEAKERS)
    matrices = {name: [] for name in names}
    for frame in FRAMES:
        scene.frame_set(frame)
        for name in names:
            matrices[name].append(scene.objects[name].matrix_world.copy())
    return matrices


def triangles(objects):
    """World-space triangles (F, 3, 3) in m of the evaluated objects."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    corners = []
    for one in objects:
        evaluated = one.evaluated_get(depsgraph)
        mesh = evaluated.to_mesh()
        mesh.calc_loop_triangles()
        for triangle in mesh.loop_triangles:
            corners.append([evaluated.matrix_world @ mesh.vertices[index].co for index in triangle.vertices])
        evaluated.to_mesh_clear()
    return np.array(corners)


def solid_objects(scene):
    return [one for one in scene.objects if one.type in ("MESH", "CURVE") and not one.hide_render]


def tree(corners):
    vertices = corners.reshape(-1, 3)
    return BVHTree.FromPolygons(vertices.tolist(), np.arange(len(vertices)).reshape(-1, 3).tolist())


@pytest.fixture(scope="module")
def furniture():
    """Everything that stands still, for distances."""
    return tree(triangles([one for one in solid_objects(open_demo()) if one.name != "Toy robot"]))


def distance(surfaces, point):
    return surfaces.find_nearest(point)[3]


def positions(matrices):
    return np.array([matrix.translation for matrix in matrices])


def test_files_are_small():
    assert DEMO.stat().st_size < MEGABYTE
    assert sum(path.stat().st_size for path in (SCENES / "sounds").iterdir()) <= 1.5 * MEGABYTE


def test_scene_is_ten_seconds_in_metres(demo):
    assert (demo.frame_start, demo.frame_end) == (FRAMES[0], FRAMES[-1])
    assert demo.render.fps / demo.render.fps_base == 24.0
    assert demo.unit_settings.scale_length == 1.0
    assert demo.sequence_editor is None or len(demo.sequence_editor.strips) == 0
    assert demo.camera.name == "Camera"


def test_every_speaker_has_a_dry_sound_that_starts_with_the_scene(demo):
    assert sorted(one.name for one in demo.objects if one.type == "SPEAKER") == list(SPEAKERS)
    for name in SPEAKERS:
        speaker = demo.objects[name]
        assert not speaker.data.muted
        assert speaker.data.sound.filepath.startswith("//sounds/")
        samples, rate = soundfile.read(bpy.path.abspath(speaker.data.sound.filepath))
        assert rate == 48_000
        assert samples.shape == (480_000,)
        assert 0.01 < np.sqrt(np.mean(samples**2)) < 0.3
        assert np.abs(samples).max() < 0.99
        assert samples[0] == pytest.approx(0.0, abs=1e-3)
        assert samples[-1] == pytest.approx(0.0, abs=1e-3)
        (strip,) = [strip for track in speaker.animation_data.nla_tracks for strip in track.strips]
        assert (strip.type, strip.frame_start, strip.mute) == ("SOUND", 1.0, False)


def test_the_three_sounds_are_equally_loud_but_not_alike():
    sounds = [soundfile.read(SCENES / "sounds" / f"{name.lower()}.flac")[0] for name in SPEAKERS]
    levels = [10.0 * np.log10(np.mean(sound**2)) for sound in sounds]
    assert max(levels) - min(levels) < 6.0
    assert np.abs(np.corrcoef(sounds) - np.eye(3)).max() < 0.1


def test_floor_spans_both_rooms_without_overlap(demo):
    floor = demo.objects["Floor"].data
    assert [material.name for material in floor.materials] == ["Oak floor", "Ceramic tile"]
    corners = np.array([vertex.co for vertex in floor.vertices])
    assert np.ptp(corners[:, 2]) == 0.0
    rooms = 6.0 * 4.5 + 4.0 * 4.0 + 0.15 * 0.9
    assert sum(face.area for face in floor.polygons) == pytest.approx(rooms, rel=1e-5)
    # One sheet: going around all faces, every edge inside it is passed by two of them, the rim by one.
    passed = np.bincount([loop.edge_index for loop in floor.loops])
    assert set(passed) == {1, 2}
    rim = sum((floor.vertices[e.vertices[0]].co - floor.vertices[e.vertices[1]].co).length
              for e, count in zip(floor.edges, passed, strict=True) if count == 1)  # fmt: skip
    assert rim == pytest.approx(2 * (6.0 + 4.5) + 2 * (4.0 + 4.0) + 2 * 0.15 - 2 * 0.9, rel=1e-5)


def test_rooms_are_closed_but_for_the_doorway(furniture):
    """No ray leaves the flat, from either room; some pass from one room into the other."""
    rng = np.random.default_rng(0)
    passed = 0
    for start, room in ((Vector((3.0, 1.2, 1.3)), (0.0, 6.0)), (Vector((7.6, 1.1, 1.3)), (6.15, 10.15))):
        for direction in rng.standard_normal((3000, 3)):
            hit = furniture.ray_cast(start, Vector(direction).normalized())[0]
            assert hit is not None
            assert -0.16 <= hit.x <= 10.31
            assert -0.16 <= hit.y <= 4.66
            assert -0.01 <= hit.z <= 2.76
            passed += not room[0] - 0.16 <= hit.x <= room[1] + 0.16
    assert passed > 20


def test_size_and_materials(demo):
    surfaces = triangles(solid_objects(demo))
    assert 3000 <= len(surfaces) <= 8000
    edges = surfaces[:, 1:] - surfaces[:, :1]
    assert (np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > 1e-9).all()
    for one in solid_objects(demo):
        assert all(slot.material is not None for slot in one.material_slots)
        assert len(one.material_slots) >= 1


def test_the_walk_leads_through_the_doorway_and_touches_nothing(walk, furniture):
    path = positions(walk["Camera"])
    np.testing.assert_allclose(path[:, 2], 1.6, atol=1e-3)
    for point in path:
        for height in (0.9, 1.6):
            assert distance(furniture, Vector((*point[:2], height))) >= 0.25
    assert path[0, 0] < 2.0
    assert path[-1, 0] > 7.0
    assert np.all(np.diff(path[:, 0]) >= -1e-6)
    inside = (path[:, 0] > 6.0) & (path[:, 0] < 6.15)
    assert inside.sum() >= 2
    assert np.abs(path[inside, 1] - 1.3).max() < 0.45 - 0.25


def test_the_walk_is_at_a_walking_pace_without_jerks(walk):
    path = positions(walk["Camera"])
    speed = np.linalg.norm(np.diff(path, axis=0), axis=1) * 24.0
    assert speed.max() < 1.4
    assert np.abs(np.diff(speed)).max() * 24.0 < 2.0
    views = np.array([-matrix.col[2].to_3d() for matrix in walk["Camera"]])
    turning = np.degrees(np.arccos(np.clip(np.sum(views[1:] * views[:-1], axis=1), -1.0, 1.0))) * 24.0
    assert 5.0 < turning.max() < 60.0


def test_the_moving_speaker_crosses_the_living_room_beside_the_listener(walk, furniture):
    path = positions(walk["Moving"])
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).sum() > 4.0
    assert path[:, 0].max() < 6.0
    robot = positions(walk["Toy robot"])
    for point, below in zip(path, robot, strict=True):
        assert distance(furniture, Vector(point)) > 0.25
        assert distance(furniture, Vector((*below[:2], 0.3))) > 0.13
    apart = np.linalg.norm((path - positions(walk["Camera"]))[:, :2], axis=1)
    assert 0.4 < apart.min() < 1.0


def test_speakers_stand_free_of_all_surfaces(demo, furniture):
    for name, room in (("Talker", (0.0, 6.0)), ("Music", (6.15, 10.15))):
        place = demo.objects[name].matrix_world.translation
        assert distance(furniture, place) > 0.03
        assert room[0] < place.x < room[1]


def test_overview_sees_the_floor_of_both_rooms_below_the_ceiling(demo):
    camera = demo.objects["Overview"]
    assert -camera.matrix_world.col[2].z == pytest.approx(-1.0)
    cut = camera.location.z - camera.data.clip_start
    assert 1.9 < cut < 2.1
    surfaces = triangles(solid_objects(demo))
    low = tree(surfaces[surfaces[:, :, 2].max(axis=1) <= cut])
    rng = np.random.default_rng(0)
    for low_corner, high_corner in (((0.0, 0.0), (6.0, 4.5)), ((6.15, 0.0), (10.15, 4.0))):
        points = rng.uniform(low_corner, high_corner, (500, 2))
        seen = 0
        for x, y in points:
            ray = Vector((x, y, 0.0)) - camera.location
            hit = low.ray_cast(camera.location, ray.normalized())[0]
            seen += hit is not None and hit.z < 0.02
        assert seen / len(points) > 0.55


def description(scene):
    """Names, places and meshes of a scene, to compare two files by."""
    found = {}
    for one in scene.objects:
        place = [value for row in one.matrix_world for value in row]
        mesh = [value for vertex in one.data.vertices for value in vertex.co] if one.type == "MESH" else []
        materials = [slot.material.name for slot in one.material_slots]
        found[one.name] = (one.type, materials, np.array(place), np.array(mesh))
    return found


def test_the_script_makes_the_committed_file(tmp_path, monkeypatch):
    committed = description(open_demo())
    monkeypatch.syspath_prepend(SCENES)
    importlib.import_module("make_demo").build(tmp_path / "made.blend")
    assert [path.name for path in tmp_path.iterdir()] == ["made.blend"]
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "made.blend"))
    made = description(bpy.context.scene)
    assert made.keys() == committed.keys()
    for name, (kind, materials, place, mesh) in committed.items():
        assert made[name][:2] == (kind, materials)
        np.testing.assert_allclose(made[name][2], place, atol=1e-6)
        np.testing.assert_allclose(made[name][3], mesh, atol=1e-6)
