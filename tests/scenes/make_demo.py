"""Make the bundled demo scene, demo.blend: two furnished rooms joined by a doorway.

Run `.venv/bin/python tests/scenes/make_demo.py` (with the bpy wheel 4.5, so that Blender 4.5, 5.0 and 5.2 can
open the file). Everything is made from nothing by this file and demo_*.py beside it and is CC0. The sounds
lie in sounds/; make_sounds.py makes them.

The living room spans x 0..6, y 0..4.5 and the kitchen x 6.15..10.15, y 0..4 (m); both are 2.6 m high. The
doorway between them, 0.9 x 2.1 m, is centred on y = 1.3.

- "Camera", the active one and the listener, walks at 1.6 m height from the living room into the kitchen,
  frames 1 to 240.
- "Overview" looks straight down; its clip_start cuts away all above 2.05 m, so that it sees the floors.
- "Talker" speaks on the sofa, "Music" plays from the kitchen radio, "Moving" rides on the toy robot.
- "Floor" is the floor of both rooms, oak and tiles, with the threshold between them.
"""

import math
import os
import sys
from pathlib import Path

import bpy
import demo_kitchen
import demo_living
from demo_materials import linear, make_palette
from demo_shapes import Shape
from mathutils import Matrix, Vector

FOLDER = Path(__file__).resolve().parent
FRAMES = (1, 240)
FRAME_RATE = 24
HEIGHT = 2.6
THICKNESS = 0.15
LIVING = (6.0, 4.5)
KITCHEN = (6.15, 10.15, 4.0)
DOORWAY = (0.85, 1.75, 2.1)
"""From y to y, and height."""
CUT = 2.05
"""Height in m above which the overview camera sees nothing."""

# frame: position x, y in m, direction of view in degrees (0 is +x, counterclockwise), tilt in degrees
WALK = {
    1: (0.95, 1.28, 24.0, -6.0),
    45: (1.75, 1.16, 30.0, -7.0),
    85: (3.1, 1.06, 26.0, -7.0),
    120: (4.45, 1.16, 6.0, -5.0),
    150: (5.6, 1.28, 0.0, -4.0),
    170: (6.4, 1.3, 4.0, -4.0),
    205: (7.3, 1.2, 30.0, -7.0),
    240: (7.85, 1.22, 14.0, -8.0),
}
# frame: position of the toy robot x, y in m
ROBOT_WALK = {
    1: (5.15, 1.98),
    50: (4.3, 1.7),
    100: (3.05, 1.6),
    150: (1.75, 1.58),
    185: (1.02, 1.95),
    240: (0.86, 3.2),
}


def floor(collection, palette):
    """One mesh for both floors and the threshold, without overlaps, its faces joined at their edges."""
    low, high, _ = DOORWAY
    shape = Shape()
    strips = [
        (0.0, LIVING[0], (0.0, low, high, LIVING[1]), "Oak floor"),
        (LIVING[0], KITCHEN[0], (low, high), "Oak floor"),
        (KITCHEN[0], KITCHEN[1], (0.0, low, high, KITCHEN[2]), "Ceramic tile"),
    ]
    for x0, x1, breaks, material in strips:
        for y0, y1 in zip(breaks[:-1], breaks[1:], strict=True):
            corners = [(x0, y0, 0.0), (x1, y0, 0.0), (x1, y1, 0.0), (x0, y1, 0.0)]
            shape.add(corners, [(0, 1, 2, 3)], material)
    return shape.object("Floor", collection, palette)


def ceiling(collection, palette):
    """One slab over both rooms."""
    edge = THICKNESS
    east, north = KITCHEN[1] + edge, LIVING[1] + edge
    outline = [
        (-edge, -edge), (east, -edge), (east, KITCHEN[2] + edge), (KITCHEN[0], KITCHEN[2] + edge),
        (KITCHEN[0], north), (-edge, north),
    ]  # fmt: skip
    count = len(outline)
    shape = Shape()
    vertices = [(x, y, z) for z in (HEIGHT, HEIGHT + 0.15) for x, y in outline]
    faces = [tuple(reversed(range(count))), tuple(range(count, 2 * count))]
    faces += [(side, (side + 1) % count, (side + 1) % count + count, side + count) for side in range(count)]
    shape.add(vertices, faces, "Plaster ceiling")
    shape.object("Ceiling", collection, palette)


def walls(collection, palette):
    """Seven walls, each seen from its room: start, direction of its front in degrees, length, openings."""
    edge, plaster, yellow = THICKNESS, "Painted plaster", "Yellow painted plaster"
    low, high, top = DOORWAY
    middle = (LIVING[0] + KITCHEN[0]) / 2.0
    door = (LIVING[1] - high, LIVING[1] - low, 0.0, top)
    plans = [
        (
            "Wall living south",
            (middle, 0.0),
            180,
            middle + edge,
            (middle - 4.0, middle - 1.8, 0.8, 2.2),
            plaster,
        ),
        ("Wall living west", (0.0, 0.0), 90, LIVING[1], None, plaster),
        ("Wall living north", (-edge, LIVING[1]), 0, KITCHEN[0] + edge, None, "Green painted plaster"),
        ("Wall kitchen south", (KITCHEN[1] + edge, 0.0), 180, KITCHEN[1] + edge - middle, None, yellow),
        ("Wall kitchen north", (KITCHEN[0], KITCHEN[2]), 0, KITCHEN[1] + edge - KITCHEN[0], None, yellow),
        ("Wall kitchen east", (KITCHEN[1], KITCHEN[2]), -90, KITCHEN[2], (1.1, 2.5, 1.1, 2.1), yellow),
        ("Partition wall", (LIVING[0], LIVING[1]), -90, LIVING[1], door, plaster),
    ]
    for name, start, turn, length, opening, front in plans:
        shape = Shape()
        partition = name == "Partition wall"
        looks = (front, yellow if partition else plaster, "Painted wood" if partition else plaster)
        shape.wall(length, HEIGHT, THICKNESS, looks, openings=[opening] if opening else [])
        shape.object(name, collection, palette, location=(*start, 0.0), turn=turn)
        if opening and not partition:
            window(name, opening, collection, palette, (*start, 0.0), turn)


def window(wall, opening, collection, palette, location, turn):
    """Frame, bars, sill and pane in an opening of a wall."""
    x0, x1, z0, z1 = opening
    shape = Shape()
    bar = 0.055
    for low, high in (
        ((x0, 0.05, z0), (x1, 0.1, z0 + bar)),
        ((x0, 0.05, z1 - bar), (x1, 0.1, z1)),
        ((x0, 0.05, z0 + bar), (x0 + bar, 0.1, z1 - bar)),
        ((x1 - bar, 0.05, z0 + bar), (x1, 0.1, z1 - bar)),
        (((x0 + x1) / 2 - 0.03, 0.05, z0 + bar), ((x0 + x1) / 2 + 0.03, 0.1, z1 - bar)),
        ((x0 - 0.04, -0.07, z0 - 0.03), (x1 + 0.04, 0.0, z0)),
    ):
        shape.box(low, high, "Painted wood")
    name = wall.replace("Wall", "Window")
    shape.object(f"{name} frame", collection, palette, location=location, turn=turn)
    pane = Shape()
    corners = [(x0, 0.075, z0), (x1, 0.075, z0), (x1, 0.075, z1), (x0, 0.075, z1)]
    pane.add(corners, [(0, 1, 2, 3)], "Window glass")
    pane.object(f"{name} pane", collection, palette, location=location, turn=turn)


def trim(collection, palette):
    """Skirting boards and the casing of the doorway."""
    low, high, top = DOORWAY
    thin, tall, wide = 0.014, 0.09, 0.07
    skirting = Shape()
    for x0, y0, x1, y1 in (
        (0.0, 0.0, LIVING[0], thin), (0.0, LIVING[1] - thin, LIVING[0], LIVING[1]),
        (0.0, thin, thin, LIVING[1] - thin), (LIVING[0] - thin, thin, LIVING[0], low - wide),
        (LIVING[0] - thin, high + wide, LIVING[0], LIVING[1] - thin),
        (KITCHEN[0], 0.0, KITCHEN[1], thin), (KITCHEN[0], KITCHEN[2] - thin, 8.0, KITCHEN[2]),
        (KITCHEN[0], thin, KITCHEN[0] + thin, low - wide),
        (KITCHEN[0], high + wide, KITCHEN[0] + thin, KITCHEN[2] - thin),
    ):  # fmt: skip
        skirting.box((x0, y0, 0.0), (x1, y1, tall), "Painted wood")
    skirting.object("Skirting boards", collection, palette)
    casing = Shape()
    for x0, x1 in ((LIVING[0] - 0.018, LIVING[0]), (KITCHEN[0], KITCHEN[0] + 0.018)):
        casing.box((x0, low - wide, 0.0), (x1, low, top), "Painted wood")
        casing.box((x0, high, 0.0), (x1, high + wide, top), "Painted wood")
        casing.box((x0, low - wide, top), (x1, high + wide, top + wide), "Painted wood")
    casing.object("Door casing", collection, palette)


def light(collection, name, kind, location, energy, code, **settings):
    """Add a light; energy is in W, or W/m2 for a sun."""
    data = bpy.data.lights.new(name, kind)
    data.energy = energy
    data.color = linear(code)[:3]
    made = bpy.data.objects.new(name, data)
    for key, value in settings.items():
        setattr(made if hasattr(made, key) else data, key, value)
    made.location = location
    # The helping lights stand inside the picture and must not be seen in it.
    made.visible_camera = False
    collection.objects.link(made)
    return made


def facing(direction):
    """Rotation that lets -z, along which lights and cameras look, point in a direction."""
    return Vector(direction).to_track_quat("-Z", "Y").to_euler()


def lights(collection):
    """A low sun through the living room's window, sky at both windows, and the lamps."""
    sun = light(collection, "Sun", "SUN", (2.0, -4.0, 5.0), 5.0, "FFE3BC", angle=math.radians(1.5))
    sun.rotation_euler = facing((0.28, 1.0, -0.78))
    for name, place, direction, size, energy in (
        ("Sky at the living room window", (2.9, 0.02, 1.5), (0.0, 1.0, -0.15), (2.1, 1.3), 55.0),
        ("Sky at the kitchen window", (10.12, 2.2, 1.6), (-1.0, 0.0, -0.15), (1.3, 0.9), 40.0),
    ):
        window_light = light(collection, name, "AREA", place, energy, "DDEBFF", shape="RECTANGLE")
        window_light.data.size, window_light.data.size_y = size
        window_light.rotation_euler = facing(direction)
    light(collection, "Living room fill", "AREA", (2.9, 2.4, 2.55), 38.0, "FFEBD2", size=2.6)
    light(collection, "Kitchen fill", "AREA", (8.2, 2.0, 2.55), 34.0, "FFEBD2", size=2.2)
    light(collection, "Floor lamp light", "POINT", (4.12, 4.15, 1.5), 16.0, "FFC98A", shadow_soft_size=0.06)
    light(collection, "Table lamp light", "POINT", (1.15, 4.18, 0.86), 9.0, "FFC98A", shadow_soft_size=0.05)
    light(
        collection,
        "Pendant light",
        "POINT",
        (*demo_kitchen.TABLE, 1.6),
        14.0,
        "FFD9A6",
        shadow_soft_size=0.05,
    )


def sky(scene):
    """A pale sky above a green ground, as seen through the windows."""
    world = bpy.data.worlds.new("Sky")
    if bpy.app.version < (5, 0):  # later every world has nodes
        world.use_nodes = True
    tree = world.node_tree
    space = tree.nodes.new("ShaderNodeTexCoord")
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    tree.links.new(space.outputs["Generated"], split.inputs[0])
    height = tree.nodes.new("ShaderNodeMapRange")
    height.inputs["From Min"].default_value = -1.0
    tree.links.new(split.outputs["Z"], height.inputs["Value"])
    tree.links.new(height.outputs[0], ramp.inputs["Fac"])
    stops = ramp.color_ramp.elements
    stops[0].position, stops[0].color = 0.44, linear("A9B79A")
    stops[1].position, stops[1].color = 1.0, linear("8FBCEB")
    horizon = stops.new(0.5)
    horizon.color = linear("E6F0F5")
    tree.links.new(ramp.outputs["Color"], tree.nodes["Background"].inputs["Color"])
    tree.nodes["Background"].inputs["Strength"].default_value = 1.1
    scene.world = world


def walking_camera(scene, collection):
    """The listener: a camera that walks along WALK."""
    data = bpy.data.cameras.new("Camera")
    data.lens, data.clip_start = 20.0, 0.05
    camera = bpy.data.objects.new("Camera", data)
    collection.objects.link(camera)
    for frame, (x, y, yaw, tilt) in WALK.items():
        camera.location = (x, y, 1.6)
        camera.rotation_euler = (math.radians(90.0 + tilt), 0.0, math.radians(yaw - 90.0))
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)
    scene.camera = camera


def overview_camera(collection):
    """A camera straight above the flat whose clip_start takes the ceiling away."""
    data = bpy.data.cameras.new("Overview")
    height = 13.0
    data.clip_start, data.clip_end = height - CUT, height + 1.0
    width = KITCHEN[1] + 2.0 * THICKNESS
    # The widest that is to be seen is the cut through the walls, which lies nearer than the floor.
    data.lens = data.sensor_width * (height - CUT) / (1.06 * width)
    camera = bpy.data.objects.new("Overview", data)
    camera.location = (KITCHEN[1] / 2.0, LIVING[1] / 2.0, height)
    collection.objects.link(camera)


def speaker(collection, name, sound, *, volume=1.0):
    """Add a speaker with its sound strip, which only Blender's own operator can make."""
    bpy.ops.object.speaker_add()
    made = bpy.context.object
    made.name = made.data.name = name
    for other in list(made.users_collection):
        other.objects.unlink(made)
    collection.objects.link(made)
    made.data.sound = bpy.data.sounds.load(str(FOLDER / "sounds" / sound))
    made.data.sound.name = sound
    made.data.sound.filepath = f"//sounds/{sound}"
    made.data.volume = volume
    return made


def sources(collection, palette):
    """The three speakers and the robot that carries one of them."""
    talker = speaker(collection, "Talker", "talker.flac")
    talker.location = (2.15, 3.72, 1.2)
    talker.rotation_euler = facing((0.0, -1.0, 0.0))
    music = speaker(collection, "Music", "music.flac", volume=0.8)
    music.location = (9.72, 1.4, 1.02)
    music.rotation_euler = facing((-1.0, -0.2, 0.0))
    robot = demo_kitchen.toy_robot().object("Toy robot", collection, palette)
    stops = list(ROBOT_WALK.items())
    for number, (frame, place) in enumerate(stops):
        before, after = stops[max(number - 1, 0)][1], stops[min(number + 1, len(stops) - 1)][1]
        robot.location = (*place, 0.0)
        robot.rotation_euler.z = math.atan2(after[1] - before[1], after[0] - before[0]) % (2.0 * math.pi)
        robot.keyframe_insert("location", frame=frame)
        robot.keyframe_insert("rotation_euler", index=2, frame=frame)
    moving = speaker(collection, "Moving", "moving.flac", volume=0.6)
    moving.parent = robot
    moving.matrix_parent_inverse = Matrix.Identity(4)
    moving.location = (0.0, 0.0, 0.55)
    moving.rotation_euler = facing((1.0, 0.0, 0.0))


def settings(scene):
    """Frame range, units and how the scene is rendered."""
    scene.frame_start, scene.frame_end = FRAMES
    scene.render.fps, scene.render.fps_base = FRAME_RATE, 1.0
    scene.unit_settings.system, scene.unit_settings.scale_length = "METRIC", 1.0
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 16
    scene.cycles.max_bounces = 5
    scene.cycles.sample_clamp_indirect = 3.0
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    scene.cycles.use_denoising = True
    # With so few lights, choosing one at random costs less than the tree that would choose well.
    scene.cycles.use_light_tree = False
    scene.render.resolution_x, scene.render.resolution_y = 1280, 720
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.view_settings.exposure = 0.35


def build(path):
    """Make the scene in an empty file and save it at path."""
    path = Path(path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.name = "Demo"
    settings(scene)
    scene.frame_set(FRAMES[0])
    collections = {}
    for name in ("Building", "Living room", "Kitchen", "Lights", "Cameras", "Sources"):
        collections[name] = bpy.data.collections.new(name)
        scene.collection.children.link(collections[name])
    palette = make_palette()
    floor(collections["Building"], palette)
    walls(collections["Building"], palette)
    ceiling(collections["Building"], palette)
    trim(collections["Building"], palette)
    demo_living.furnish(collections["Living room"], palette)
    demo_kitchen.furnish(collections["Kitchen"], palette)
    sky(scene)
    lights(collections["Lights"])
    walking_camera(scene, collections["Cameras"])
    overview_camera(collections["Cameras"])
    sources(collections["Sources"], palette)
    scene.frame_set(FRAMES[0])
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    part = path.with_name(f".part-{path.name}")
    bpy.ops.wm.save_as_mainfile(filepath=str(part), compress=True, relative_remap=False, copy=True)
    os.replace(part, path)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "demo.blend")
