"""The furniture of the demo scene's kitchen and the toy robot; placed as in demo_living."""

import math

import bpy
from demo_living import curtain, curtain_rod, picture, plant
from demo_shapes import Shape, repeat
from mathutils import Matrix

TABLE = (7.45, 2.65)


def furnish(collection, palette):
    """Put everything into the kitchen."""
    cabinets((0.6, 0.6, 0.6, 0.6, 0.25, 0.6)).object(
        "Counter east", collection, palette, location=(10.14, 2.36, 0.0), turn=-90.0
    )
    cabinets((0.45, 0.45)).object("Counter north", collection, palette, location=(8.45, 3.99, 0.0))
    stove().object("Stove", collection, palette, location=(9.22, 3.99, 0.0))
    splash(1.53).object("Splash tiles north", collection, palette, location=(8.765, 3.995, 0.0))
    splash(0.85).object("Splash tiles east", collection, palette, location=(10.145, 3.425, 0.0), turn=-90.0)
    wall_cupboards((0.45, 0.45)).object("Wall cupboards", collection, palette, location=(8.45, 3.99, 1.42))
    hood().object("Extractor hood", collection, palette, location=(9.22, 3.99, 1.5))
    sink().object("Sink", collection, palette, location=(9.84, 2.36, 0.9))
    tap(collection, palette, (10.06, 2.36, 0.9))
    fridge().object("Fridge", collection, palette, location=(10.13, 0.36, 0.0), turn=-90.0)
    pantry().object("Pantry cupboard", collection, palette, location=(8.98, 0.01, 0.0), turn=180.0)
    table().object("Kitchen table", collection, palette, location=(*TABLE, 0.0))
    first = None
    for number in range(4):
        angle = math.radians(45.0 + 90.0 * number)
        spot = (TABLE[0] + 0.62 * math.cos(angle), TABLE[1] + 0.62 * math.sin(angle), 0.0)
        turn = -45.0 + 90.0 * number
        if first is None:
            first = chair().object("Chair 1", collection, palette, location=spot, turn=turn)
        else:
            repeat(first, f"Chair {number + 1}", collection, spot, turn)
    crockery().object("Crockery", collection, palette, location=(*TABLE, 0.75))
    pendant_lamp().object("Pendant lamp", collection, palette, location=(*TABLE, 0.0))
    case = Shape()
    case.box((-0.18, -0.07, 0.0), (0.18, 0.07, 0.2), "Red plastic")
    case.object("Radio", collection, palette, location=(9.9, 1.45, 0.9), turn=-78.0, bevel=0.025, segments=2)
    radio_fittings().object("Radio fittings", collection, palette, location=(9.9, 1.45, 0.9), turn=-78.0)
    plant(0.07, 0.12, 8, 0.22, seed=5).object("Herbs", collection, palette, location=(9.95, 3.2, 0.9))
    wall_shelf().object("Wall shelf", collection, palette, location=(7.3, 0.01, 1.45), turn=180.0)
    picture(0.5, 0.6, seed=12).object("Kitchen picture", collection, palette, location=(6.155, 3.1, 1.6), turn=90.0)
    left = curtain("Linen curtain", 0.36, 2.24, folds=4).object(
        "Kitchen curtain left", collection, palette, location=(10.08, 2.92, 0.0), turn=90.0
    )
    left.scale.z, left.location.z = 0.56, 0.98
    repeat(left, "Kitchen curtain right", collection, (10.08, 1.48, 0.98), 90.0)
    curtain_rod(1.9).object("Kitchen curtain rod", collection, palette, location=(10.08, 2.2, 2.24), turn=90.0)


def cabinets(widths):
    """Floor cupboards with a worktop at 0.9 m; each width in m is one door."""
    shape = Shape()
    length = sum(widths)
    left = -length / 2.0
    shape.box((left, -0.53, 0.0), (-left, -0.01, 0.1), "Black plastic")
    shape.box((left, -0.58, 0.1), (-left, 0.0, 0.86), "Blue painted wood")
    shape.box((left, -0.62, 0.86), (-left, 0.0, 0.9), "Marble worktop")
    for width in widths:
        for low, high in ((0.11, 0.66), (0.67, 0.85)):
            shape.box((left + 0.004, -0.6, low), (left + width - 0.004, -0.58, high), "Blue painted wood")
        middle = left + width / 2.0
        shape.box((middle - 0.07, -0.62, 0.755), (middle + 0.07, -0.6, 0.77), "Brass")
        left += width
    return shape


def wall_cupboards(widths):
    """Cupboards on the wall, 0.6 m high, their underside at z = 0."""
    shape = Shape()
    left = -sum(widths) / 2.0
    shape.box((left, -0.32, 0.0), (-left, 0.0, 0.6), "Blue painted wood")
    for width in widths:
        shape.box((left + 0.004, -0.34, 0.005), (left + width - 0.004, -0.32, 0.595), "Blue painted wood")
        shape.box((left + width - 0.06, -0.36, 0.05), (left + width - 0.045, -0.34, 0.19), "Brass")
        left += width
    return shape


def stove():
    """A cooker with an oven, 0.63 m wide."""
    shape = Shape()
    shape.box((-0.31, -0.6, 0.02), (0.31, 0.0, 0.9), "Stainless steel")
    shape.box((-0.25, -0.615, 0.2), (0.25, -0.6, 0.62), "Black plastic")
    shape.box((-0.25, -0.65, 0.67), (0.25, -0.63, 0.69), "Stainless steel")
    shape.box((-0.29, -0.57, 0.9), (0.29, -0.04, 0.907), "Black plastic")
    return shape


def splash(length):
    """Wall tiles between worktop and wall cupboards."""
    shape = Shape()
    shape.box((-length / 2.0, -0.01, 0.9), (length / 2.0, 0.0, 1.45), "Ceramic wall tile")
    return shape


def hood():
    """The hood above the stove with its duct up to the ceiling."""
    shape = Shape()
    low = [(-0.31, -0.46, 0.0), (0.31, -0.46, 0.0), (0.31, 0.0, 0.0), (-0.31, 0.0, 0.0)]
    high = [(-0.13, -0.26, 0.3), (0.13, -0.26, 0.3), (0.13, 0.0, 0.3), (-0.13, 0.0, 0.3)]
    shape.add(low + high, [(0, 3, 2, 1), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)], "Stainless steel")
    shape.box((-0.13, -0.26, 0.3), (0.13, 0.0, 1.095), "Stainless steel")
    return shape


def sink():
    """A basin of steel in the worktop, seen as a rim and a shallow bowl upon it."""
    shape = Shape()
    for low, high in (
        ((-0.2, -0.28, 0.0), (-0.18, 0.28, 0.02)),
        ((0.14, -0.28, 0.0), (0.16, 0.28, 0.02)),
        ((-0.18, -0.28, 0.0), (0.14, -0.26, 0.02)),
        ((-0.18, 0.26, 0.0), (0.14, 0.28, 0.02)),
        ((-0.18, -0.26, 0.0), (0.14, 0.26, 0.004)),
    ):
        shape.box(low, high, "Stainless steel")
    return shape


def tap(collection, palette, location):
    """A bent pipe: a curve with a round section."""
    curve = bpy.data.curves.new("Tap", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", 0.013, 1
    curve.use_fill_caps = True
    points = [(0.0, 0.0, 0.0), (0.0, 0.0, 0.22), (-0.02, 0.0, 0.27), (-0.07, 0.0, 0.3), (-0.13, 0.0, 0.28),
              (-0.15, 0.0, 0.2)]  # fmt: skip
    spline = curve.splines.new("POLY")
    spline.points.add(len(points) - 1)
    for point, place in zip(spline.points, points, strict=True):
        point.co = (*place, 1.0)
    curve.materials.append(palette["Stainless steel"])
    made = bpy.data.objects.new("Tap", curve)
    made.location = location
    collection.objects.link(made)


def fridge():
    """A fridge with a freezer below, 1.85 m high."""
    shape = Shape()
    shape.box((-0.33, -0.6, 0.02), (0.33, 0.0, 1.85), "Stainless steel")
    for low, high in ((0.05, 0.66), (0.68, 1.83)):
        shape.box((-0.325, -0.66, low), (0.325, -0.605, high), "Stainless steel")
    for low, high in ((0.42, 0.62), (0.74, 1.1)):
        shape.box((-0.28, -0.7, low), (-0.255, -0.65, high), "Black plastic")
    return shape


def pantry():
    """A tall cupboard with two doors."""
    shape = Shape()
    shape.box((-0.38, -0.42, 0.0), (0.38, 0.0, 2.0), "Blue painted wood")
    for left in (-0.376, 0.004):
        shape.box((left, -0.44, 0.08), (left + 0.372, -0.42, 1.99), "Blue painted wood")
    for x in (-0.05, 0.03):
        shape.box((x, -0.46, 0.95), (x + 0.02, -0.44, 1.2), "Brass")
    return shape


def table():
    """A round table on one leg."""
    shape = Shape()
    shape.cylinder(0.52, 0.715, 0.75, "Oak wood", segments=24)
    foot = [
        (0.0, 0.0),
        (0.28, 0.0),
        (0.26, 0.03),
        (0.06, 0.08),
        (0.045, 0.4),
        (0.09, 0.7),
        (0.09, 0.715),
        (0.0, 0.715),
    ]
    shape.turned(foot, "Oak wood", segments=12)
    return shape


def chair():
    """A wooden chair with a back of three rails."""
    shape = Shape()
    shape.box((-0.21, -0.22, 0.43), (0.21, 0.2, 0.46), "Oak wood")
    for x in (-0.2, 0.165):
        shape.box((x, -0.21, 0.0), (x + 0.035, -0.175, 0.43), "Oak wood")
        shape.box((x, 0.165, 0.0), (x + 0.035, 0.2, 0.86), "Oak wood")
    for low, high in ((0.56, 0.61), (0.67, 0.72), (0.78, 0.85)):
        shape.box((-0.165, 0.172, low), (0.165, 0.193, high), "Oak wood")
    return shape


def crockery():
    """Plates, cups and a jug on the table."""
    shape = Shape()
    for angle in (40.0, 160.0, 280.0):
        x, y = 0.32 * math.cos(math.radians(angle)), 0.32 * math.sin(math.radians(angle))
        plate = [(0.0, 0.0), (0.07, 0.0), (0.12, 0.015), (0.0, 0.008)]
        shape.turned(plate, "Glazed ceramic", centre=(x, y, 0.0), segments=10)
    jug = [(0.0, 0.0), (0.06, 0.0), (0.08, 0.07), (0.05, 0.17), (0.06, 0.2), (0.05, 0.2), (0.0, 0.03)]
    shape.turned(jug, "Terracotta pot", segments=12)
    return shape


def pendant_lamp():
    """A lamp that hangs from the ceiling above the table."""
    shape = Shape()
    shape.cylinder(0.004, 1.95, 2.6, "Black plastic", segments=6)
    shape.turned([(0.24, 1.62), (0.2, 1.74), (0.09, 1.86), (0.02, 1.95)], "Brass", segments=16)
    bulb = [(0.0, 1.66), (0.045, 1.69), (0.055, 1.73), (0.03, 1.78), (0.0, 1.79)]
    shape.turned(bulb, "Frosted glass lamp", segments=8)
    return shape


def radio_fittings():
    """The round loudspeaker, the dial, the knob and the handle of the radio; its front is at y = -0.08."""
    shape = Shape()
    facing = Matrix.Rotation(math.radians(90.0), 4, "X")
    shape.cylinder(0.07, 0.06, 0.078, "Brass", centre=(-0.075, 0.1), segments=16, transform=facing)
    shape.cylinder(0.022, 0.06, 0.09, "Brass", centre=(0.1, 0.06), segments=8, transform=facing)
    shape.box((0.03, -0.076, 0.11), (0.155, -0.068, 0.165), "Glazed ceramic")
    for x in (-0.13, 0.115):
        shape.box((x, -0.01, 0.19), (x + 0.015, 0.01, 0.25), "Brass")
    shape.box((-0.13, -0.01, 0.25), (0.13, 0.01, 0.265), "Brass")
    return shape


def wall_shelf():
    """A board on the wall with jars."""
    shape = Shape()
    shape.box((-0.55, -0.2, 0.0), (0.55, 0.0, 0.03), "Oak wood")
    for number, (radius, height) in enumerate(((0.06, 0.17), (0.055, 0.2), (0.07, 0.14), (0.05, 0.22), (0.065, 0.16))):
        material = ("Glazed ceramic", "Terracotta pot")[number % 2]
        shape.cylinder(radius, 0.03, 0.03 + height, material, centre=(-0.42 + 0.21 * number, -0.1), segments=10)
    return shape


def toy_robot():
    """A tin robot 0.42 m high that walks along its x axis."""
    shape = Shape()
    shape.box((-0.07, -0.09, 0.13), (0.07, 0.09, 0.29), "Red plastic")
    shape.box((-0.055, -0.065, 0.3), (0.055, 0.065, 0.4), "Stainless steel")
    shape.box((0.066, -0.05, 0.19), (0.076, 0.05, 0.26), "Brass")
    ahead = Matrix.Rotation(math.radians(90.0), 4, "Y")
    for y in (-0.03, 0.03):
        shape.cylinder(0.016, 0.05, 0.066, "Black plastic", centre=(-0.36, y), segments=8, transform=ahead)
    for y in (-0.055, 0.055):
        shape.box((-0.03, y - 0.03, 0.03), (0.03, y + 0.03, 0.14), "Stainless steel")
        shape.box((-0.05, y - 0.038, 0.0), (0.08, y + 0.038, 0.035), "Black plastic")
        side = math.copysign(0.105, y)
        shape.box((-0.025, side - 0.018, 0.15), (0.025, side + 0.018, 0.28), "Stainless steel")
    shape.cylinder(0.004, 0.39, 0.42, "Brass", segments=6)
    return shape
