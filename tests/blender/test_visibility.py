from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import pytest

from blender_addon.visibility import as_rendered, in_view, render_visible

Make = Callable[..., bpy.types.Object]


def solid() -> list[str]:
    instances = bpy.context.evaluated_depsgraph_get().object_instances
    return sorted(i.object.name for i in instances if i.object.type == "MESH" and i.show_self)


def solid_as_rendered() -> list[str]:
    with as_rendered(bpy.context.view_layer):
        return solid()


def collection(name: str, **settings: object) -> bpy.types.Collection:
    made = bpy.data.collections.new(name)
    bpy.context.scene.collection.children.link(made)
    for key, value in settings.items():
        setattr(made, key, value)
    return made


def layer(name: str) -> bpy.types.LayerCollection:
    return bpy.context.view_layer.layer_collection.children[name]


def instance_by_nodes(host: bpy.types.Object, node_type: str, source: bpy.types.ID) -> None:
    """Let an object show another object or a collection by geometry nodes, as an instance."""
    tree = bpy.data.node_groups.new("Nodes", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    info, output = tree.nodes.new(node_type), tree.nodes.new("NodeGroupOutput")
    if node_type == "GeometryNodeObjectInfo":
        info.inputs["Object"].default_value, info.inputs["As Instance"].default_value = source, True
        tree.links.new(info.outputs["Geometry"], output.inputs[0])
    else:
        info.inputs["Collection"].default_value = source
        tree.links.new(info.outputs["Instances"], output.inputs[0])
    host.modifiers.new("Nodes", "NODES").node_group = tree


def test_what_the_viewport_hides_is_there_and_what_the_render_hides_is_not(box: Make) -> None:
    box("Both")
    box("Render only", hide_viewport=True)
    box("Viewport only", hide_render=True)
    box("Closed eye").hide_set(True)
    assert solid() == ["Both", "Viewport only"]
    assert solid_as_rendered() == ["Both", "Closed eye", "Render only"]
    assert solid() == ["Both", "Viewport only"]


def test_collections(box: Make) -> None:
    box("In render", collection("Render only", hide_viewport=True))
    box("In viewport", collection("Viewport only", hide_render=True))
    box("Behind a closed eye", collection("Eye"))
    box("Left out", collection("Excluded"))
    layer("Eye").hide_viewport = True
    layer("Excluded").exclude = True
    inner = bpy.data.collections.new("Inner")
    bpy.data.collections["Viewport only"].children.link(inner)
    box("Deep", inner)
    assert solid_as_rendered() == ["Behind a closed eye", "In render"]
    visible = {item.name for item in render_visible(bpy.context.view_layer)}
    assert visible == {"Behind a closed eye", "In render"}


def test_an_object_in_two_collections_is_visible_if_one_of_them_is(box: Make) -> None:
    item = box("Box", collection("Hidden", hide_render=True))
    collection("Shown").objects.link(item)
    assert render_visible(bpy.context.view_layer) == [item]
    assert solid_as_rendered() == ["Box"]


def test_modifiers_follow_the_render(box: Make) -> None:
    item = box()
    for name, viewport, render in (("Viewport", True, False), ("Render", False, True)):
        array = item.modifiers.new(name, "ARRAY")
        array.count, array.show_viewport, array.show_render = (3 if viewport else 2), viewport, render

    def n_faces() -> int:
        return len(item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.polygons)

    assert n_faces() == 18
    with as_rendered(bpy.context.view_layer):
        assert n_faces() == 12
    assert n_faces() == 18


def test_instancers_follow_the_render(box: Make, link: Make) -> None:
    source = bpy.data.collections.new("Source")
    box("Chair", source)
    box("Hidden chair", source, hide_render=True)
    box("Rendered chair", source, hide_viewport=True)
    for name in ("Hall", "Cellar"):
        hall = link(name, None, instance_type="COLLECTION", instance_collection=source)
    hall.hide_render = True
    assert solid_as_rendered() == ["Chair", "Rendered chair"]

    parent = box("Parent", instance_type="FACES")
    box("Child", parent=parent)
    parent.show_instancer_for_viewport, parent.show_instancer_for_render = True, False
    assert "Parent" in solid() and "Parent" not in solid_as_rendered()


@pytest.mark.parametrize("hide_viewport", [False, True])
@pytest.mark.parametrize("hide_render", [False, True])
def test_instances_of_nodes_follow_the_render(box: Make, link: Make, hide_viewport: bool, hide_render: bool) -> None:
    # As Cycles renders them: an Object Info node shows its object even when that is hidden, a Collection Info
    # node does not.
    source = bpy.data.collections.new("Source")
    chair = box("Chair", source, hide_viewport=hide_viewport, hide_render=hide_render)
    by_object = link("By object", bpy.data.meshes.new("By object"))
    instance_by_nodes(by_object, "GeometryNodeObjectInfo", chair)
    assert "Chair" in solid_as_rendered()
    by_object.hide_render = True
    by_collection = link("By collection", bpy.data.meshes.new("By collection"))
    instance_by_nodes(by_collection, "GeometryNodeCollectionInfo", source)
    assert ("Chair" in solid_as_rendered()) == (not hide_render)


def flags() -> list[tuple]:
    found = []
    for item in bpy.data.objects:
        eye = item.hide_get() if item.name in bpy.context.view_layer.objects else None
        switches = [(m.show_viewport, m.show_render) for m in item.modifiers]
        instancer = (item.show_instancer_for_viewport, item.show_instancer_for_render)
        found.append((item.name, item.hide_viewport, item.hide_render, eye, instancer, switches))
    for group in bpy.data.collections:
        found.append((group.name, group.hide_viewport, group.hide_render))
    for child in bpy.context.view_layer.layer_collection.children:
        found.append((child.name, child.hide_viewport, child.exclude))
    return found


@pytest.mark.parametrize("block", ["as_rendered", "in_view"])
def test_everything_is_as_before_also_after_an_error(box: Make, block: str) -> None:
    group = collection("Group", hide_viewport=True)
    layer("Group").hide_viewport = True
    items = [
        box("A", group, hide_viewport=True),
        box("B", group, hide_render=True),
        box("C"),
        box("D", show_instancer_for_viewport=False),
    ]
    items[2].hide_set(True)
    items[3].modifiers.new("Array", "ARRAY").show_viewport = False
    before = flags()
    view_layer = bpy.context.view_layer
    with (
        pytest.raises(ZeroDivisionError),
        as_rendered(view_layer) if block == "as_rendered" else in_view(view_layer, items),
    ):
        assert flags() != before
        raise ZeroDivisionError
    assert flags() == before


def test_hidden_objects_are_followed(link: Make, key: Callable) -> None:
    group = collection("Group", hide_viewport=True, hide_render=True)
    outer = collection("Outer")
    inner = bpy.data.collections.new("Inner")
    outer.children.link(inner)
    layer("Outer").hide_viewport = True
    items = [
        link("Disabled", None, hide_viewport=True),
        link("Closed eye", None),
        link("In a hidden collection", None, group),
        link("Deep in a hidden collection", None, inner),
    ]
    items[1].hide_set(True)
    for item in items:
        key(item, "location", {1: (0.0, 0.0, 0.0), 11: (10.0, 0.0, 0.0)})
    with in_view(bpy.context.view_layer, items):
        depsgraph = bpy.context.evaluated_depsgraph_get()
        bpy.context.scene.frame_set(6)
        places = [item.evaluated_get(depsgraph).matrix_world.translation.x for item in items]
    assert places == pytest.approx([5.0] * 4)


def test_keyframes_and_drivers_of_the_switches_do_not_count(box: Make, link: Make, key: Callable) -> None:
    keyed, driven, listener = box("Keyed"), box("Driven"), link("Listener", None)
    for item in (keyed, listener):
        key(item, "hide_viewport", {1: True, 5: False, 9: True})
    driven.driver_add("hide_viewport").driver.expression = "frame > 0"
    key(listener, "location", {1: (0.0, 0.0, 0.0), 11: (10.0, 0.0, 0.0)})
    scene = bpy.context.scene
    scene.frame_set(9)
    with as_rendered(bpy.context.view_layer):
        assert solid() == ["Driven", "Keyed"]
        scene.frame_set(10)
        assert solid() == ["Driven", "Keyed"]
    with in_view(bpy.context.view_layer, [listener]):
        depsgraph = bpy.context.evaluated_depsgraph_get()
        for frame in (1, 6, 11):
            scene.frame_set(frame)
            place = listener.evaluated_get(depsgraph).matrix_world.translation.x
            assert place == pytest.approx(frame - 1.0)
    scene.frame_set(9)
    assert keyed.hide_viewport and driven.hide_viewport and listener.hide_viewport
    assert solid() == []


def test_linked_objects_can_be_shown(box: Make, tmp_path: Path) -> None:
    item = box("Linked", hide_viewport=True)
    path = str(tmp_path / "library.blend")
    bpy.data.libraries.write(path, {item})
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(path, link=True) as (source, target):
        target.objects = source.objects
    bpy.context.scene.collection.objects.link(target.objects[0])
    assert solid() == []
    assert solid_as_rendered() == ["Linked"]
    assert target.objects[0].hide_viewport
