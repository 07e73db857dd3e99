"""The furniture of the demo scene's living room.

Furniture that stands against a wall has its back at y = 0 and its front towards -y, centred on x = 0; the
rest is centred on its origin. All of it stands on z = 0.
"""

import math
import random

from demo_shapes import Shape, repeat
from mathutils import Matrix, Vector

BOOK_COLOURS = [
    (0.62, 0.20, 0.17), (0.16, 0.30, 0.42), (0.85, 0.76, 0.58), (0.25, 0.42, 0.32), (0.80, 0.55, 0.20),
    (0.36, 0.22, 0.30), (0.90, 0.87, 0.80), (0.20, 0.20, 0.23), (0.55, 0.62, 0.60), (0.70, 0.36, 0.24),
]  # fmt: skip


def furnish(collection, palette):
    """Put everything into the living room."""
    sofa(2.1).object("Sofa", collection, palette, location=(2.55, 4.47, 0.0), bevel=0.03)
    sofa(0.86, "Velvet upholstery", 1).object(
        "Armchair", collection, palette, location=(4.86, 3.42, 0.0), turn=-62.0, bevel=0.03
    )
    cushions().object("Cushions", collection, palette, location=(2.55, 4.47, 0.0), bevel=0.05)
    rug = Shape()
    rug.box((-1.25, -0.8, 0.001), (1.25, 0.8, 0.013), "Carpet")
    rug.object("Rug", collection, palette, location=(2.6, 2.6, 0.0))
    coffee_table().object("Coffee table", collection, palette, location=(2.6, 2.62, 0.013))
    still_life().object("Tray and bowl", collection, palette, location=(2.6, 2.62, 0.433))
    bookshelf(1.9, 2.0, seed=4).object("Bookshelf", collection, palette, location=(5.98, 3.12, 0.0), turn=-90.0)
    sideboard().object("Sideboard", collection, palette, location=(0.02, 2.55, 0.0), turn=90.0)
    vase().object("Vase", collection, palette, location=(0.24, 2.05, 0.7))
    side_table().object("Side table", collection, palette, location=(1.15, 4.18, 0.0))
    table_lamp().object("Table lamp", collection, palette, location=(1.15, 4.18, 0.52))
    floor_lamp().object("Floor lamp", collection, palette, location=(4.12, 4.15, 0.0))
    plant(0.2, 0.36, 18, 0.85, seed=1).object("Plant", collection, palette, location=(5.58, 0.42, 0.0))
    plant(0.08, 0.13, 8, 0.28, seed=2).object("Small plant", collection, palette, location=(0.24, 3.0, 0.7))
    first = curtain("Heavy curtain").object("Curtain left", collection, palette, location=(1.52, 0.12, 0.0))
    repeat(first, "Curtain right", collection, (4.28, 0.12, 0.0), 180.0)
    curtain_rod(3.5).object("Curtain rod", collection, palette, location=(2.9, 0.12, 2.36))
    radiator(1.6).object("Radiator", collection, palette, location=(2.9, 0.02, 0.0), turn=180.0)
    for number, (x, z, width, height) in enumerate(
        ((1.8, 1.62, 0.5, 0.66), (2.6, 1.66, 0.8, 0.58), (3.36, 1.62, 0.44, 0.6)), start=1
    ):
        picture(width, height, seed=number).object(f"Picture {number}", collection, palette, location=(x, 4.495, z))
    picture(1.1, 0.75, seed=7).object("Painting", collection, palette, location=(0.005, 2.55, 1.55), turn=90.0)


def sofa(width, cloth="Upholstery", seats=2):
    """A sofa 0.92 m deep with the given number of seats."""
    shape = Shape()
    arm, half = 0.18, width / 2.0
    shape.box((-half + 0.02, -0.86, 0.1), (half - 0.02, -0.04, 0.3), cloth)
    shape.box((-half + 0.02, -0.26, 0.12), (half - 0.02, -0.02, 0.82), cloth)
    for left, right in ((-half, -half + arm), (half - arm, half)):
        shape.box((left, -0.9, 0.1), (right, -0.02, 0.6), cloth)
    seat = (width - 2.0 * arm) / seats
    for number in range(seats):
        left = -half + arm + number * seat
        shape.box((left + 0.005, -0.92, 0.27), (left + seat - 0.005, -0.22, 0.44), cloth)
        shape.box((left + 0.01, -0.36, 0.42), (left + seat - 0.01, -0.2, 0.88), cloth)
    for x in (-half + 0.08, half - 0.08):
        for y in (-0.82, -0.1):
            shape.box((x - 0.035, y - 0.035, 0.0), (x + 0.035, y + 0.035, 0.13), "Walnut wood")
    return shape


def cushions():
    """Two loose cushions for the sofa."""
    shape = Shape()
    for x, lean, cloth in ((-0.62, 20.0, "Cushion fabric"), (0.64, -18.0, "Linen cushion")):
        transform = Matrix.Translation((x, -0.46, 0.66)) @ Matrix.Rotation(math.radians(lean), 4, "Z")
        transform = transform @ Matrix.Rotation(math.radians(-16.0), 4, "X")
        shape.box((-0.2, -0.065, -0.2), (0.2, 0.065, 0.2), cloth, transform=transform)
    return shape


def coffee_table():
    """A low table with a shelf, 0.42 m high."""
    shape = Shape()
    shape.box((-0.55, -0.3, 0.385), (0.55, 0.3, 0.42), "Walnut wood")
    shape.box((-0.49, -0.24, 0.14), (0.49, 0.24, 0.16), "Walnut wood")
    for x in (-0.5, 0.5):
        for y in (-0.25, 0.25):
            shape.box((x - 0.02, y - 0.02, 0.0), (x + 0.02, y + 0.02, 0.385), "Walnut wood")
    return shape


def still_life():
    """A bowl with oranges, two books and a cup."""
    shape = Shape()
    shape.turned([(0.0, 0.0), (0.05, 0.0), (0.14, 0.07), (0.13, 0.075), (0.0, 0.012)], "Glazed ceramic", segments=12)
    for x, y in ((-0.045, 0.02), (0.05, 0.03), (0.0, -0.05)):
        profile = [
            (0.04 * math.sin(math.pi * step / 4), 0.06 - 0.04 * math.cos(math.pi * step / 4)) for step in range(5)
        ]
        profile[0], profile[-1] = (0.0, 0.02), (0.0, 0.1)
        shape.turned(profile, "Fruit", centre=(x, y, 0.0), segments=8)
    for low, high, turn in ((0.0, 0.03, 12.0), (0.03, 0.055, -8.0)):
        transform = Matrix.Translation((0.32, 0.05, 0.0)) @ Matrix.Rotation(math.radians(turn), 4, "Z")
        colour = BOOK_COLOURS[1] if low else BOOK_COLOURS[0]
        shape.box((-0.09, -0.12, low), (0.09, 0.12, high), "Paper books", colour=colour, transform=transform)
    cup = [(0.0, 0.0), (0.035, 0.0), (0.04, 0.09), (0.036, 0.09), (0.03, 0.01), (0.0, 0.01)]
    shape.turned(cup, "Glazed ceramic", centre=(-0.33, -0.08, 0.0), segments=8)
    return shape


def bookshelf(width, height, seed):
    """Shelves 0.3 m deep, filled with books."""
    rng = random.Random(seed)
    shape = Shape()
    half, depth, board = width / 2.0, 0.3, 0.025
    shape.box((-half, -0.012, 0.0), (half, 0.0, height), "Wooden shelf")
    columns = max(1, round(width / 0.95))
    for number in range(columns + 1):
        x = -half + (width - board) * number / columns
        shape.box((x, -depth, 0.0), (x + board, -0.012, height), "Wooden shelf")
    floors = [0.06 + (height - board - 0.06) * number / 5 for number in range(6)]
    bay = (width - board) / columns
    for column in range(columns):
        left, right = -half + bay * column + board, -half + bay * (column + 1)
        for floor in floors:
            shape.box((left, -depth + 0.005, floor), (right, -0.012, floor + board), "Wooden shelf")
        for floor in floors[:-1]:
            books(shape, rng, left + 0.01, right - 0.01, floor + board, floors[1] - floors[0] - board)
    return shape


def books(shape, rng, left, right, floor, space):
    """Fill one shelf from the left, with a gap or a lying pile here and there."""
    x = left + rng.uniform(0.0, 0.05)
    while x < right - 0.06:
        choice = rng.random()
        if choice < 0.08:
            x += rng.uniform(0.06, 0.2)
        elif choice < 0.16 and right - x > 0.27:
            z = floor
            for _ in range(rng.randint(2, 3)):
                thick = rng.uniform(0.025, 0.045)
                deep, wide = rng.uniform(0.16, 0.2), rng.uniform(0.2, 0.24)
                colour = rng.choice(BOOK_COLOURS)
                shape.box((x, -0.06 - deep, z), (x + wide, -0.05, z + thick), "Paper books", colour=colour)
                z += thick
            x += 0.26
        else:
            thick = rng.uniform(0.042, 0.09)
            high, deep = rng.uniform(0.6, 0.92) * space, rng.uniform(0.15, 0.21)
            colour = rng.choice(BOOK_COLOURS)
            shape.box((x, -0.04 - deep, floor), (x + thick, -0.04, floor + high), "Paper books", colour=colour)
            x += thick + 0.002


def sideboard():
    """A low cupboard with three doors, 1.7 m wide."""
    shape = Shape()
    shape.box((-0.85, -0.42, 0.15), (0.85, 0.0, 0.7), "Walnut wood")
    for number in range(3):
        left = -0.84 + number * 0.565
        shape.box((left, -0.437, 0.17), (left + 0.55, -0.42, 0.68), "Walnut wood")
        shape.box((left + 0.49, -0.455, 0.38), (left + 0.51, -0.437, 0.48), "Brass")
    for x in (-0.75, 0.75):
        for y in (-0.36, -0.06):
            shape.box((x - 0.02, y - 0.02, 0.0), (x + 0.02, y + 0.02, 0.15), "Walnut wood")
    return shape


def vase():
    """A bellied vase with an open neck."""
    shape = Shape()
    shape.turned(
        [
            (0.0, 0.0),
            (0.06, 0.0),
            (0.11, 0.1),
            (0.1, 0.19),
            (0.045, 0.26),
            (0.06, 0.32),
            (0.05, 0.32),
            (0.0, 0.05),
        ],
        "Glazed ceramic",
        segments=12,
    )
    return shape


def side_table():
    """A small round table, 0.52 m high."""
    shape = Shape()
    shape.cylinder(0.24, 0.495, 0.52, "Walnut wood", segments=20)
    shape.cylinder(0.02, 0.02, 0.495, "Brass", segments=6)
    shape.cylinder(0.16, 0.0, 0.02, "Brass", segments=16)
    return shape


def table_lamp():
    """A lamp with a ceramic foot and a cloth shade."""
    shape = Shape()
    foot = [(0.0, 0.0), (0.07, 0.0), (0.085, 0.07), (0.03, 0.16), (0.012, 0.2), (0.012, 0.3), (0.0, 0.3)]
    shape.turned(foot, "Glazed ceramic", segments=10)
    shape.turned([(0.16, 0.24), (0.11, 0.44)], "Fabric lampshade", segments=20)
    return shape


def floor_lamp():
    """A standing lamp, 1.65 m high."""
    shape = Shape()
    shape.cylinder(0.15, 0.0, 0.025, "Brass", segments=16)
    shape.cylinder(0.012, 0.025, 1.5, "Brass", segments=6)
    shape.turned([(0.23, 1.35), (0.16, 1.65)], "Fabric lampshade", segments=24)
    return shape


def plant(radius, height, leaves, length, seed):
    """A pot with long bent leaves."""
    rng = random.Random(seed)
    shape = Shape()
    soil = 0.85 * height
    pot = [(0.0, 0.0), (0.72 * radius, 0.0), (radius, height), (0.88 * radius, height), (0.0, soil)]
    shape.turned(pot, "Terracotta pot", segments=12)
    for number in range(leaves):
        angle = 2.399963 * number + rng.uniform(-0.2, 0.2)
        lean = rng.uniform(0.25, 0.75) * (0.4 + 0.6 * number / leaves)
        reach, width = length * rng.uniform(0.8, 1.1), 0.11 * length
        frame = Matrix.Translation((0.0, 0.0, soil)) @ Matrix.Rotation(angle, 4, "Z")

        def point(u, v, lean=lean, reach=reach, width=width):
            bend = lean * (0.5 + 1.2 * v)
            side = (u - 0.5) * 2.0 * width * math.sin(math.pi * (0.12 + 0.88 * v)) ** 0.8
            return Vector((reach * v * math.sin(bend), side, reach * v * math.cos(bend)))

        shape.sheet(2, 3, point, "Plant leaves", smooth=True, transform=frame)
    return shape


def curtain(cloth, width=0.6, top=2.34, folds=6):
    """A gathered curtain, wider and deeper in its folds towards the floor."""
    shape = Shape()

    def point(u, v):
        depth = 0.055 - 0.02 * v
        spread = 1.0 - 0.12 * math.sin(math.pi * v * 0.9)
        return (
            (u - 0.5) * width * spread,
            depth * math.sin(2.0 * math.pi * folds * u),
            0.02 + v * (top - 0.02),
        )

    shape.sheet(6 * folds, 2, point, cloth, smooth=True)
    return shape


def curtain_rod(length):
    """A rod along x with a knob at each end."""
    shape = Shape()
    along = Matrix.Rotation(math.radians(90.0), 4, "Y")
    shape.cylinder(0.014, -length / 2.0, length / 2.0, "Brass", segments=6, transform=along)
    for end in (-length / 2.0, length / 2.0):
        profile = [(0.0, end - 0.035), (0.03, end - 0.012), (0.03, end + 0.012), (0.0, end + 0.035)]
        shape.turned(profile, "Brass", segments=6, transform=along)
    return shape


def radiator(length):
    """A ribbed panel under the window."""
    shape = Shape()
    shape.box((-length / 2, -0.075, 0.15), (length / 2, -0.035, 0.68), "Steel radiator")
    for number in range(12):
        x = -length / 2 + (number + 0.5) * length / 12
        shape.box((x - 0.045, -0.1, 0.18), (x + 0.045, -0.075, 0.65), "Steel radiator")
    return shape


def picture(width, height, seed):
    """A framed abstract painting, centred on its origin, with its back at y = 0."""
    rng = random.Random(seed)
    shape = Shape()
    half, tall, rim = width / 2.0, height / 2.0, 0.025
    shape.box((-half, -0.025, -tall), (half, 0.0, tall), "Wooden shelf")
    across = [-half + rim, *sorted(rng.uniform(-0.7, 0.7) * half for _ in range(2)), half - rim]
    upward = [-tall + rim, *sorted(rng.uniform(-0.7, 0.7) * tall for _ in range(2)), tall - rim]
    for x0, x1 in zip(across[:-1], across[1:], strict=True):
        for z0, z1 in zip(upward[:-1], upward[1:], strict=True):
            corners = [(x0, -0.027, z0), (x1, -0.027, z0), (x1, -0.027, z1), (x0, -0.027, z1)]
            shape.add(corners, [(0, 1, 2, 3)], "Canvas painting", colour=rng.choice(BOOK_COLOURS))
    return shape
