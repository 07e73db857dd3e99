"""The sheet: a thin object on the floor that wears the map, so that the floor stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from naf_core.errors import UserError
from naf_core.floormap import STOREY_GAP, FloorMap

from .floor import Floor, normals
from .geometry import metres_per_unit
from .strips import MARK, blend_path

COLLECTION, SHEET, MATERIAL = "Acoustics", "Loudness Map", "Acoustics Loudness"
MAP_IMAGE, LEGEND_IMAGE, UV_MAP = "Loudness Map", "Loudness Legend", "Acoustics"
# Custom properties of the sheet: the values of its lowest and highest colour, their unit, what they are, the colours.
LOWEST, HIGHEST, UNIT = "loudness_min", "loudness_max", "loudness_unit"
OPACITY = "Opacity"  # the node that holds it
QUANTITY, PALETTE = "loudness_quantity", "loudness_palette"
LEGEND = "loudness_legend"  # the picture with the legend
LIFT = 0.005  # m above the floor
LIFT_SHARE = 0.0005  # of the longer side, where that is more: seen from afar, depth is coarse


@dataclass(frozen=True)
class Map:
    """A map: its texels and its legend as pictures, the values of its colours, their unit, and what they are.

    With several ``frames``, ``image`` is the first picture of a sequence with one file for each of them. ``surface`` is
    what was asked for, None for one storey. ``opacity`` (0..1) is how much the map hides what lies below.
    """

    image: Path
    legend: Path
    lowest: float
    highest: float
    unit: str = "dB(A)"
    quantity: str = "level"
    palette: str = "viridis"
    frames: range = range(1)
    surface: FloorMap | None = None
    opacity: float = 1.0


def lay(scene: bpy.types.Scene, floor: Floor, loudness: Map) -> bpy.types.Object:
    """Lay a sheet with the map on the floor, in place of an earlier one; raises UserError, with nothing changed."""
    # Read before anything is taken away: a picture that cannot be read must leave the scene as it was.
    legend = load(loudness.legend)
    sequence = len(loudness.frames) > 1
    try:
        picture = load(loudness.image, packed=not sequence)
    except UserError:
        bpy.data.images.remove(legend)
        raise
    before = next(own_sheets(scene), None)
    hidden = (before.hide_viewport, before.hide_render) if before else (False, False)
    clear(scene)
    picture.name, picture[MARK] = MAP_IMAGE, True
    legend.name, legend[MARK] = LEGEND_IMAGE, True
    legend.use_fake_user = True  # nothing in the scene shows it
    mesh = bpy.data.meshes.new(SHEET)
    fill(mesh, floor, metres_per_unit(scene), loudness.surface)
    mesh.materials.append(glowing(picture, loudness.frames, loudness.opacity))
    sheet = bpy.data.objects.new(SHEET, mesh)
    sheet[MARK] = True
    sheet[LOWEST], sheet[HIGHEST], sheet[UNIT] = loudness.lowest, loudness.highest, loudness.unit
    sheet[QUANTITY], sheet[PALETTE], sheet[LEGEND] = loudness.quantity, loudness.palette, legend
    sheet.acoustics.surface = "IGNORED"
    sheet.hide_select = True  # clicks go through to the floor
    sheet.hide_viewport, sheet.hide_render = hidden
    for ray in ("diffuse", "glossy", "transmission", "volume_scatter", "shadow"):
        setattr(sheet, f"visible_{ray}", False)  # it lights nothing and shades nothing
    collection = bpy.data.collections.new(COLLECTION)
    collection[MARK] = True
    collection.objects.link(sheet)
    scene.collection.children.link(collection)
    return sheet


def clear(scene: bpy.types.Scene) -> bool:
    """Remove the sheets of a scene with all that belongs to them; returns whether there were any."""
    sheets = list(own_sheets(scene))
    for sheet in sheets:
        mesh = sheet.data
        materials = [material for material in mesh.materials if material is not None and material.get(MARK)]
        bpy.data.objects.remove(sheet)
        if mesh.users == 0:
            bpy.data.meshes.remove(mesh)
        for material in materials:
            if material.users == 0:
                bpy.data.materials.remove(material)
    for collection in [child for child in scene.collection.children if child.get(MARK)]:
        if not collection.objects and not collection.children:
            bpy.data.collections.remove(collection)
    # Maps of other scenes keep their pictures, and share one name for the legend of the latest.
    others = any(True for other in bpy.data.scenes if other != scene for _ in own_sheets(other))
    for image in [image for image in bpy.data.images if image.get(MARK)]:
        if image.users - image.use_fake_user <= 0 and not (image.use_fake_user and others):
            bpy.data.images.remove(image)
    return bool(sheets)


def own_sheets(scene: bpy.types.Scene) -> Iterator[bpy.types.Object]:
    """The sheets in a scene; drawn panels ask this, so only our own collection is searched."""
    for collection in scene.collection.children_recursive:
        if collection.get(MARK):
            yield from (item for item in collection.objects if item.get(MARK))


def legend_of(scene: bpy.types.Scene) -> bpy.types.Image | None:
    """The picture of a scene's map with its legend, where it is packed into the file."""
    found = next(own_sheets(scene), None)
    legend = found.get(LEGEND) if found is not None else None
    return legend if isinstance(legend, bpy.types.Image) and legend.packed_file is not None else None


def load(path: Path, packed: bool = True) -> bpy.types.Image:
    """A picture file as an image, ``packed`` into the .blend, which then needs no file beside it."""
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError as error:
        raise UserError(f"The picture “{path}” cannot be read: make the map again. ({error})") from error
    if packed:
        image.pack()
    image.filepath = blend_path(path)
    return image


def fill(mesh: bpy.types.Mesh, floor: Floor, metres: float, surface: FloorMap | None = None) -> None:
    """Give a mesh the triangles of the floor and their place on the map; ``metres`` is one Blender unit.

    ``surface`` is the map as it was asked for: its storeys lie one above the other in the picture.
    """
    corners = floor.triangles.reshape(-1, 3)
    points, index = np.unique(np.round(corners, 5), axis=0, return_inverse=True)
    faces = index.reshape(-1, 3)
    down = normals(points[faces]) @ floor.normal < 0.0
    faces[down] = faces[down][:, ::-1]
    sides = np.stack([floor.u, floor.v])
    lengths = np.linalg.norm(sides, axis=1)
    lift = max(LIFT, LIFT_SHARE * lengths.max())
    mesh.from_pydata(((points + lift * floor.normal) / metres).tolist(), [], faces.tolist())
    place = ((points - floor.origin) @ (sides / lengths[:, None] ** 2).T)[faces.ravel()]
    if surface is not None and surface.storey_of_triangles.any():
        rows = surface.picture_shape[0]
        storey = np.repeat(surface.storey_of_triangles, 3)
        place[:, 1] = (storey * (surface.height + STOREY_GAP) + place[:, 1] * surface.height) / rows
    layer = mesh.uv_layers.new(name=UV_MAP)
    layer.uv.foreach_set("vector", place.astype(np.float32).ravel())


def set_opacity(scene: bpy.types.Scene, opacity: float) -> None:
    """How much the maps of a scene hide what lies below, 0..1."""
    for sheet in own_sheets(scene):
        for material in sheet.data.materials:
            node = material.node_tree.nodes.get(OPACITY) if material is not None and material.get(MARK) else None
            if node is not None:
                node.inputs[1].default_value = opacity


def glowing(picture: bpy.types.Image, frames: range, opacity: float = 1.0) -> bpy.types.Material:
    """A material that shows the picture in its own light, and nothing where the picture is transparent.

    ``opacity`` (0..1) is how much it hides what lies below, in all but Solid shading.

    With several ``frames`` the picture is the first of a sequence with one file for each of them.
    """
    material = bpy.data.materials.new(MATERIAL)
    material[MARK] = True
    material.surface_render_method = "BLENDED"  # else EEVEE makes a map that lets something through of noise
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    place = tree.nodes.new("ShaderNodeUVMap")
    place.uv_map = UV_MAP
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = picture
    texture.extension = "CLIP"  # the floor may go on beyond the map
    if len(frames) > 1:
        picture.source = "SEQUENCE"
        user = texture.image_user
        user.frame_start, user.frame_duration = frames.start, len(frames)
        user.use_auto_refresh = True  # shows the map of the frame that the timeline shows
    light = tree.nodes.new("ShaderNodeEmission")
    share = tree.nodes.new("ShaderNodeMath")
    share.name, share.label, share.operation = OPACITY, OPACITY, "MULTIPLY"
    share.inputs[1].default_value = opacity
    clear_part = tree.nodes.new("ShaderNodeBsdfTransparent")
    choice = tree.nodes.new("ShaderNodeMixShader")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    link = tree.links.new
    link(place.outputs["UV"], texture.inputs["Vector"])
    link(texture.outputs["Color"], light.inputs["Color"])
    link(texture.outputs["Alpha"], share.inputs[0])
    link(share.outputs["Value"], choice.inputs["Fac"])
    link(clear_part.outputs["BSDF"], choice.inputs[1])
    link(light.outputs["Emission"], choice.inputs[2])
    link(choice.outputs["Shader"], output.inputs["Surface"])
    for column, node in enumerate((place, texture, light, share, clear_part, choice, output)):
        node.location = (240.0 * column, -200.0 * (node in (share, clear_part)))
    tree.nodes.active = texture  # the one that Solid shading shows with Texture colour
    return material
