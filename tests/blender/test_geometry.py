from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from blender_addon import geometry
from blender_addon.geometry import SceneReading, read_scene
from naf_core.errors import UserError
from naf_core.scene import Scene

Make = Callable[..., bpy.types.Object]


def read() -> SceneReading:
    return read_scene(bpy.context.evaluated_depsgraph_get())


def area(reading: SceneReading) -> float:
    return float(reading.scene.triangle_areas.sum())


def volume(scene: Scene) -> float:
    """Volume within closed surfaces that face outwards, m³."""
    a, b, c = scene.vertices[scene.triangles].astype(float).transpose(1, 0, 2)
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6.0)


def nodes_on(item: bpy.types.Object) -> tuple[bpy.types.NodeTree, bpy.types.Node]:
    """A geometry nodes modifier, its tree and the output node."""
    tree = bpy.data.node_groups.new("Nodes", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    item.modifiers.new("Nodes", "NODES").node_group = tree
    return tree, tree.nodes.new("NodeGroupOutput")


# Where and how large things are.


def test_a_box_in_the_world(box: Make) -> None:
    box(location=(1.0, 2.0, 3.0), scale=(2.0, 1.0, 1.0))
    reading = read()
    assert reading.scene.bounds == pytest.approx(np.array([[0.0, 1.5, 2.5], [2.0, 2.5, 3.5]]))
    assert len(reading.scene.triangles) == 12
    assert area(reading) == pytest.approx(10.0)
    assert reading.warnings == ()
    assert reading.facts == {
        "frame": 1,
        "triangles": 12,
        "modelled": 12,
        "objects": 1,
        "materials": 1,
        "bounds": [[0.0, 1.5, 2.5], [2.0, 2.5, 3.5]],
    }
    assert reading.owners == (("Box", 0, 12),)
    assert reading.flat == (0,)


def test_triangles_without_area_are_counted_and_belong_to_nobody(box: Make, link: Make) -> None:
    box("First")
    mesh = bpy.data.meshes.new("Dust")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 0)], [], [(0, 1, 2), (0, 1, 3)])
    link("Dust", mesh)
    box("Last")
    reading = read()
    found = dict(zip((name for name, _, _ in reading.owners), reading.flat, strict=True))
    assert found == {"First": 0, "Dust": 1, "Last": 0}
    ends = [(first, first + count) for _, first, count in reading.owners]
    assert [end for _, end in ends[:-1]] == [first for first, _ in ends[1:]]
    assert ends[-1][1] == len(reading.scene.triangles) == 25


def test_parents_turn_and_scale(box: Make, link: Make) -> None:
    turned = (0.0, 0.0, np.pi / 2)
    parent = link("Parent", None, location=(10.0, 0.0, 0.0), rotation_euler=turned, scale=(2.0, 2.0, 2.0))
    box(parent=parent, location=(1.0, 0.0, 0.0))
    assert read().scene.bounds == pytest.approx(np.array([[9.0, 1.0, -1.0], [11.0, 3.0, 1.0]]), abs=1e-6)


def test_a_mirrored_object_keeps_its_place_and_size(box: Make) -> None:
    item = box(location=(3.0, 0.0, 0.0))
    item.data.transform(Matrix.Translation((1.0, 0.0, 0.0)))
    item.scale = (-1.0, 1.0, 1.0)
    reading = read()
    assert reading.scene.bounds == pytest.approx(np.array([[1.5, -0.5, -0.5], [2.5, 0.5, 0.5]]))
    assert area(reading) == pytest.approx(6.0)
    assert abs(volume(reading.scene)) == pytest.approx(1.0)


def test_the_unit_scale_makes_metres(box: Make) -> None:
    box(location=(100.0, 0.0, 0.0), scale=(300.0, 300.0, 300.0))
    units = bpy.context.scene.unit_settings
    units.scale_length = 0.01
    reading = read()
    assert reading.scene.bounds[:, 0] == pytest.approx([-0.5, 2.5])
    assert area(reading) == pytest.approx(54.0)
    units.system = "NONE"
    assert read().scene.bounds[:, 0] == pytest.approx([-50.0, 250.0])


def test_modifiers(box: Make) -> None:
    array = box().modifiers.new("Array", "ARRAY")
    array.count, array.relative_offset_displace = 3, (2.0, 0.0, 0.0)
    reading = read()
    assert reading.facts["triangles"] == 36
    assert reading.scene.bounds[1, 0] == pytest.approx(4.5)


def test_edit_mode_is_read_as_it_is_shown(box: Make) -> None:
    import bmesh

    item = box()
    bpy.context.view_layer.objects.active = item
    bpy.ops.object.mode_set(mode="EDIT")
    edited = bmesh.from_edit_mesh(item.data)
    bmesh.ops.translate(edited, verts=edited.verts[:], vec=(0.0, 0.0, 5.0))
    bmesh.update_edit_mesh(item.data)
    bounds = read().scene.bounds
    bpy.ops.object.mode_set(mode="OBJECT")
    assert bounds[:, 2] == pytest.approx([4.5, 5.5])


# Types of objects.


def test_a_curve_with_a_bevel_is_read_once(link: Make) -> None:
    curve = bpy.data.curves.new("Pipe", "CURVE")
    curve.dimensions = "3D"
    line = curve.splines.new("POLY")
    line.points.add(1)
    line.points[1].co = (10.0, 0.0, 0.0, 1.0)
    curve.bevel_depth, curve.bevel_resolution = 0.5, 30
    link("Pipe", curve)
    reading = read()
    assert reading.facts["objects"] == 1
    assert area(reading) == pytest.approx(np.pi * 10.0, rel=0.01)


def test_text_surface_and_metaball(link: Make) -> None:
    text = bpy.data.curves.new("Text", "FONT")
    text.body, text.extrude = "I", 0.5
    link("Text", text)
    sizes = [read().scene.bounds]
    assert read().facts["objects"] == 1
    assert sizes[0][:, 2] == pytest.approx([-0.5, 0.5])

    bpy.data.objects.remove(bpy.data.objects["Text"])
    bpy.ops.surface.primitive_nurbs_surface_sphere_add(location=(0.0, 0.0, 5.0))
    reading = read()
    assert reading.facts["objects"] == 1
    assert reading.scene.bounds.mean(axis=0) == pytest.approx([0.0, 0.0, 5.0], abs=1e-3)

    bpy.data.objects.remove(bpy.context.object)
    for x in (0.0, 1.0):
        bpy.ops.object.metaball_add(location=(x, 0.0, 0.0))
    reading = read()
    assert reading.facts["objects"] == 1  # the family is one body
    assert reading.scene.bounds.mean(axis=0)[0] == pytest.approx(0.5, abs=0.05)


def test_cameras_lights_and_speakers_are_not_solid(camera: Make, speaker: Make, link: Make) -> None:
    camera()
    speaker()
    link("Light", bpy.data.lights.new("Light", "AREA"))
    link("Empty", None)
    reading = read()
    assert reading.facts["triangles"] == 0
    assert reading.warnings == (("Nothing in the scene is solid: it sounds as in the open air.", None),)


def test_what_is_not_solid_is_named(box: Make, link: Make) -> None:
    hairy = box("Hairy")
    hairy.modifiers.new("Hair", "PARTICLE_SYSTEM").particle_system.settings.type = "HAIR"
    link("Fog", bpy.data.volumes.new("Fog"))
    link("Points", bpy.data.pointclouds.new("Points"))
    link("Fur", bpy.data.hair_curves.new("Fur"))
    reading = read()
    assert reading.facts["objects"] == 1
    assert {name for _, name in reading.warnings} == {"Hairy", "Fog", "Points", "Fur"}


def test_loose_edges_and_empty_meshes_are_no_matter(link: Make, box: Make) -> None:
    box()
    edge = bpy.data.meshes.new("Edge")
    edge.from_pydata([(0, 0, 0), (9, 9, 9)], [(0, 1)], [])
    link("Edge", edge)
    link("Nothing", bpy.data.meshes.new("Nothing"))
    reading = read()
    assert reading.warnings == () and reading.facts["objects"] == 1


# Instances.


def test_collection_instances_also_nested(box: Make, link: Make) -> None:
    inner, outer = bpy.data.collections.new("Inner"), bpy.data.collections.new("Outer")
    box(collection=inner, location=(0.0, 1.0, 0.0))
    inner.instance_offset = (0.0, 1.0, 0.0)
    for x in (0.0, 2.0):
        copy = link(f"In{x}", None, outer, location=(x, 0.0, 0.0))
        copy.instance_type, copy.instance_collection = "COLLECTION", inner
    for z in (0.0, 10.0):
        copy = link(f"Out{z}", None, location=(0.0, 0.0, z))
        copy.instance_type, copy.instance_collection = "COLLECTION", outer
    reading = read()
    assert reading.facts["objects"] == 4
    assert reading.scene.bounds == pytest.approx(np.array([[-0.5, -0.5, -0.5], [2.5, 0.5, 10.5]]))
    assert volume(reading.scene) == pytest.approx(4.0)


def test_instances_of_geometry_nodes(box: Make, link: Make) -> None:
    chair = box("Chair")
    chair.data.materials.append(bpy.data.materials.new("Wood"))
    host = bpy.data.meshes.new("Host")
    host.from_pydata([(0, 0, 0), (5, 0, 0), (10, 0, 0)], [], [])
    tree, output = nodes_on(link("Host", host))
    points = tree.nodes.new("GeometryNodeInstanceOnPoints")
    info = tree.nodes.new("GeometryNodeObjectInfo")
    info.inputs["Object"].default_value = chair
    info.inputs["As Instance"].default_value = True
    points.inputs["Scale"].default_value = (1.0, 1.0, 2.0)
    tree.links.new(tree.nodes.new("NodeGroupInput").outputs[0], points.inputs["Points"])
    tree.links.new(info.outputs["Geometry"], points.inputs["Instance"])
    tree.links.new(points.outputs[0], output.inputs[0])
    bpy.context.scene.collection.objects.unlink(chair)
    reading = read()
    assert reading.facts["objects"] == 3
    assert reading.scene.bounds == pytest.approx(np.array([[-0.5, -0.5, -1.0], [10.5, 0.5, 1.0]]))
    assert [name for name, _ in reading.choices] == ["Wood"]


def test_meshes_that_geometry_nodes_make(link: Make) -> None:
    tree, output = nodes_on(link("Host", bpy.data.meshes.new("Host"), location=(0.0, 0.0, 7.0)))
    cube, metal = tree.nodes.new("GeometryNodeMeshCube"), tree.nodes.new("GeometryNodeSetMaterial")
    metal.inputs["Material"].default_value = bpy.data.materials.new("Steel")
    tree.links.new(cube.outputs["Mesh"], metal.inputs["Geometry"])
    tree.links.new(metal.outputs[0], output.inputs[0])
    reading = read()
    assert reading.scene.bounds[:, 2] == pytest.approx([6.5, 7.5])
    assert [(name, choice.how) for name, choice in reading.choices] == [("Steel", "guessed")]


def test_instances_on_vertices(box: Make, link: Make) -> None:
    host = bpy.data.meshes.new("Host")
    host.from_pydata([(0, 0, 0), (5, 0, 0)], [], [])
    parent = link("Host", host, instance_type="VERTS")
    box(parent=parent)
    reading = read()
    # The child itself and one on each vertex, as Blender shows them.
    assert reading.scene.bounds[:, 0] == pytest.approx([-0.5, 5.5])


def test_speakers_in_instances_are_named(speaker: Make, link: Make) -> None:
    collection = bpy.data.collections.new("Radio")
    item = speaker("Radio")
    bpy.context.scene.collection.objects.unlink(item)
    collection.objects.link(item)
    link("Copy", None, instance_type="COLLECTION", instance_collection=collection)
    said = ("The Speaker “Radio” is instanced by “Copy”: instances are not heard.", "Radio")
    assert said in read().warnings


def test_excluded_objects_and_instancers(box: Make, link: Make) -> None:
    box("Kept")
    box("Left out").acoustics.surface = "IGNORED"
    collection = bpy.data.collections.new("Set")
    box("Inside", collection)
    copies = link("Copies", None, instance_type="COLLECTION", instance_collection=collection)
    assert read().facts["objects"] == 2
    copies.acoustics.surface = "IGNORED"
    assert read().facts["objects"] == 1


# Materials.


def test_materials_of_faces(box: Make) -> None:
    item = box(scale=(2.0, 1.0, 1.0))
    for name in ("Concrete", "Carpet", "Unused glass"):
        item.data.materials.append(bpy.data.materials.new(name))
    item.data.polygons[0].material_index = 1  # the face towards -x, 1 m²
    reading = read()
    assert [name for name, _ in reading.choices] == ["Concrete", "Carpet"]
    areas = np.bincount(reading.scene.material_index, reading.scene.triangle_areas)
    assert areas == pytest.approx([9.0, 1.0])
    assert reading.scene.materials == tuple(choice.material for _, choice in reading.choices)


def test_materials_linked_to_the_object(box: Make, link: Make) -> None:
    first = box("First")
    first.data.materials.append(bpy.data.materials.new("Concrete"))
    second = link("Second", first.data, location=(0.0, 0.0, 5.0))
    second.material_slots[0].link = "OBJECT"
    second.material_slots[0].material = bpy.data.materials.new("Carpet")
    reading = read()
    names = [name for name, _ in reading.choices]
    heights = reading.scene.vertices[reading.scene.triangles][:, :, 2].mean(axis=1)
    for name, above in (("Concrete", False), ("Carpet", True)):
        chosen = reading.scene.material_index == names.index(name)
        assert chosen.sum() == 12 and ((heights[chosen] > 2.0) == above).all()


def test_materials_of_text_and_curves(link: Make) -> None:
    text = bpy.data.curves.new("Text", "FONT")
    text.body = "I"
    text.materials.append(bpy.data.materials.new("Brass metal"))
    link("Text", text)
    assert [name for name, _ in read().choices] == ["Brass metal"]


def test_faces_without_a_material_and_beyond_the_last_slot(box: Make) -> None:
    box("Bare")
    item = box("Odd")
    item.data.materials.append(bpy.data.materials.new("Wood"))
    for face in item.data.polygons:
        face.material_index = 7
    reading = read()
    assert {name: choice.how for name, choice in reading.choices} == {"": "default", "Wood": "guessed"}
    assert np.bincount(reading.scene.material_index).tolist() == [12, 12]


def test_materials_of_one_name_in_two_files_stay_two(box: Make, tmp_path: Path) -> None:
    foreign = box("Foreign")
    foreign.data.materials.append(bpy.data.materials.new("M"))
    foreign.data.materials[0].acoustics.mode = "PRESET"
    foreign.data.materials[0].acoustics.preset = "brick"
    path = str(tmp_path / "library.blend")
    bpy.data.libraries.write(path, {foreign})
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(path, link=True) as (source, target):
        target.objects = source.objects
    bpy.context.scene.collection.objects.link(target.objects[0])
    own = box("Own")
    own.data.materials.append(bpy.data.materials.new("M"))
    assert sorted(choice.how for name, choice in read().choices if name == "M") == ["default", "set"]


def test_the_air_comes_from_the_settings() -> None:
    settings = bpy.context.scene.acoustics
    settings.temperature, settings.humidity, settings.pressure = 5.0, 80.0, 90.0
    air = read().scene.air
    assert (air.temperature, air.humidity, air.pressure) == pytest.approx((5.0, 80.0, 90.0))


# What is broken.


def test_vertices_that_are_no_numbers(box: Make) -> None:
    box("Good")
    box("Bad").data.vertices[3].co.x = float("nan")
    box("Worse").data.vertices[3].co.x = float("inf")
    box("Far").data.vertices[3].co.x = 1e7
    reading = read()
    assert reading.facts["objects"] == 1
    assert [name for _, name in reading.warnings] == ["Bad", "Worse", "Far"]
    assert all("left out" in message for message, _ in reading.warnings)


def test_a_scale_of_zero_or_no_number(box: Make) -> None:
    box("Good")
    box("Flat", scale=(1.0, 1.0, 0.0), location=(0.0, 0.0, 3.0))  # a plate: it still reflects
    box("Point", scale=(0.0, 0.0, 0.0))
    box("Line", scale=(1.0, 0.0, 0.0))
    box("Lost").matrix_world = Matrix.Scale(float("nan"), 4)
    reading = read()
    assert reading.facts["objects"] == 2
    assert {name for _, name in reading.warnings} == {"Point", "Line", "Lost"}
    assert reading.scene.bounds[1, 2] == pytest.approx(3.0)


def test_strange_sizes_are_said(box: Make) -> None:
    item = box(scale=(0.01, 0.01, 0.01))
    assert "unit scale" in read().warnings[0][0]
    item.scale = (90_000.0, 1.0, 1.0)
    assert "9e+04 m" in read().warnings[0][0]


def test_too_many_triangles_are_refused(box: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "MAX_TRIANGLES", 20)
    box("First")
    assert read().facts["triangles"] == 12
    box("Second")
    with pytest.raises(UserError, match="more than 20 triangles"):
        read()


def test_reading_leaves_no_meshes_behind(box: Make) -> None:
    box().modifiers.new("Array", "ARRAY")
    before = len(bpy.data.meshes)
    read()
    assert len(bpy.data.meshes) == before


def test_a_quarter_million_triangles_take_a_moment(link: Make) -> None:
    import time

    n = 354
    x, y = np.meshgrid(np.arange(n, dtype=np.float32), np.arange(n, dtype=np.float32))
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).reshape(-1)
    quads = np.stack([corner, corner + 1, corner + n + 1, corner + n], axis=1).astype(np.int32)
    mesh = bpy.data.meshes.new("Large")
    mesh.vertices.add(n * n)
    mesh.vertices.foreach_set("co", np.stack([x, y, 0 * x], axis=-1).reshape(-1))
    mesh.loops.add(quads.size)
    mesh.loops.foreach_set("vertex_index", quads.reshape(-1))
    mesh.polygons.add(len(quads))
    mesh.polygons.foreach_set("loop_start", np.arange(0, quads.size, 4, dtype=np.int32))
    mesh.update(calc_edges=True)
    link("Large", mesh)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    start = time.process_time()
    reading = read_scene(depsgraph)
    seconds = time.process_time() - start
    assert area(reading) == pytest.approx((n - 1.0) ** 2)
    assert reading.facts["triangles"] > 249_000
    assert seconds < 2.0  # about 0.2 s
