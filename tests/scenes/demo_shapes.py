"""Build the meshes of the demo scene from boxes, turned profiles, sheets and walls with openings."""

import math

import bpy
from mathutils import Matrix, Vector

BOX_FACES = ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))


class Shape:
    """Collects faces with their materials and colours and makes one mesh object of them; lengths in m."""

    def __init__(self):
        self.vertices: list[Vector] = []
        self.faces: list[tuple[int, ...]] = []
        self.materials: list[str] = []
        self.smooth: list[bool] = []
        self.colours: list[tuple[float, float, float]] = []

    def add(self, vertices, faces, material, *, smooth=False, colour=(1.0, 1.0, 1.0), transform=None):
        """Add faces, given by indices into the vertices; transform is a 4 x 4 matrix."""
        first = len(self.vertices)
        matrix = transform or Matrix.Identity(4)
        self.vertices += [matrix @ Vector(vertex) for vertex in vertices]
        self.faces += [tuple(first + index for index in face) for face in faces]
        self.materials += [material] * len(faces)
        self.smooth += [smooth] * len(faces)
        self.colours += [colour] * len(faces)

    def box(self, low, high, material, **options):
        """Add a box between two corners."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        corners = [(x, y, z) for z in (z0, z1) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
        self.add(corners, BOX_FACES, material, **options)

    def turned(self, profile, material, *, centre=(0.0, 0.0, 0.0), segments=16, smooth=True, **options):
        """Add a solid of revolution about the z axis through centre.

        profile are points (radius, height), the lowest first. An end with radius 0 is a tip; an end with a
        radius above 0 stays open, as with a lampshade.
        """
        vertices, rings = [], []
        for radius, height in profile:
            count = segments if radius > 0.0 else 1
            rings.append([len(vertices) + step % count for step in range(segments + 1)])
            for step in range(count):
                angle = 2.0 * math.pi * step / segments
                vertices.append(
                    (
                        centre[0] + radius * math.cos(angle),
                        centre[1] + radius * math.sin(angle),
                        centre[2] + height,
                    )
                )
        faces = []
        for below, above in zip(rings[:-1], rings[1:], strict=True):
            for step in range(segments):
                corners = (below[step], below[step + 1], above[step + 1], above[step])
                faces.append(tuple(dict.fromkeys(corners)))
        self.add(vertices, faces, material, smooth=smooth, **options)

    def cylinder(self, radius, bottom, top, material, *, centre=(0.0, 0.0), **options):
        """Add an upright closed cylinder."""
        profile = [(0.0, bottom), (radius, bottom), (radius, top), (0.0, top)]
        self.turned(profile, material, centre=(*centre, 0.0), **options)

    def sheet(self, columns, rows, point, material, **options):
        """Add a grid of columns x rows quads whose corners are point(u, v) with u and v from 0 to 1."""
        vertices = [point(u / columns, v / rows) for v in range(rows + 1) for u in range(columns + 1)]
        stride = columns + 1
        faces = [
            (v * stride + u, v * stride + u + 1, (v + 1) * stride + u + 1, (v + 1) * stride + u)
            for v in range(rows)
            for u in range(columns)
        ]
        self.add(vertices, faces, material, **options)

    def wall(self, length, height, thickness, materials, *, openings=(), transform=None):
        """Add a slab along x with its front towards -y at y = 0, pierced by openings (x0, x1, z0, z1).

        materials are those of the front, the back and of everything between them. The mesh is closed: where
        the slab ends or an opening begins, a face joins front and back.
        """
        front, back, between = materials
        across = sorted({0.0, length, *(x for opening in openings for x in opening[:2])})
        upward = sorted({0.0, height, *(z for opening in openings for z in opening[2:])})

        def solid(column, row):
            if not (0 <= column < len(across) - 1 and 0 <= row < len(upward) - 1):
                return False
            x, z = across[column], upward[row]
            return not any(x0 <= x < x1 and z0 <= z < z1 for x0, x1, z0, z1 in openings)

        for column in range(len(across) - 1):
            for row in range(len(upward) - 1):
                if not solid(column, row):
                    continue
                x0, x1, z0, z1 = across[column], across[column + 1], upward[row], upward[row + 1]
                corners = [(x, y, z) for z in (z0, z1) for x, y in ((x0, 0), (x1, 0), (x1, thickness), (x0, thickness))]
                self.add(corners, [BOX_FACES[2]], front, transform=transform)
                self.add(corners, [BOX_FACES[4]], back, transform=transform)
                for face, beside in ((0, (0, -1)), (1, (0, 1)), (3, (1, 0)), (5, (-1, 0))):
                    if not solid(column + beside[0], row + beside[1]):
                        self.add(corners, [BOX_FACES[face]], between, transform=transform)

    def joined(self):
        """Vertices, no loose edges, and faces, the faces sharing the vertices at one place (to 0.01 mm)."""
        places = [tuple(round(part, 5) for part in vertex) for vertex in self.vertices]
        order = {place: index for index, place in enumerate(dict.fromkeys(places))}
        # A quad that runs to a point, as at the tip of a leaf, becomes a triangle.
        return list(order), [], [tuple(dict.fromkeys(order[places[index]] for index in face)) for face in self.faces]

    def object(self, name, collection, palette, *, location=(0.0, 0.0, 0.0), turn=0.0, bevel=0.0, segments=1):
        """Make the object, turned by turn degrees about z; bevel is the width in m of a bevel modifier."""
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata(*self.joined())
        slots = list(dict.fromkeys(self.materials))
        for material in slots:
            mesh.materials.append(palette[material])
        mesh.polygons.foreach_set("material_index", [slots.index(material) for material in self.materials])
        mesh.polygons.foreach_set("use_smooth", self.smooth)
        if len(set(self.colours)) > 1:
            colours = mesh.color_attributes.new("Colour", "BYTE_COLOR", "CORNER")
            values = [
                part
                for face, colour in zip(self.faces, self.colours, strict=True)
                for _ in face
                for part in (*colour, 1.0)
            ]
            colours.data.foreach_set("color_srgb", values)
        made = bpy.data.objects.new(name, mesh)
        collection.objects.link(made)
        made.location = location
        made.rotation_euler.z = math.radians(turn)
        if bevel:
            modifier = made.modifiers.new("Bevel", "BEVEL")
            modifier.width, modifier.segments, modifier.limit_method = bevel, segments, "ANGLE"
            modifier.harden_normals = True
            mesh.shade_smooth()
        mesh.set_sharp_from_angle(angle=math.radians(40.0))
        return made


def repeat(original, name, collection, location, turn):
    """Place the mesh of an object once more (a linked duplicate), with the same modifiers."""
    made = original.copy()
    made.name = name
    made.location = location
    made.rotation_euler.z = math.radians(turn)
    collection.objects.link(made)
    return made
