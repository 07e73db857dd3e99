"""The materials of the demo scene, named as a person would name them."""

import bpy

# name: (colour as sRGB hex, roughness, metallic)
PLAIN = {
    "Painted plaster": ("EFE7DA", 0.9, 0.0),
    "Green painted plaster": ("8FA491", 0.9, 0.0),
    "Yellow painted plaster": ("EBD9AE", 0.9, 0.0),
    "Plaster ceiling": ("F7F4EE", 0.95, 0.0),
    "Painted wood": ("F1EEE6", 0.45, 0.0),
    "Blue painted wood": ("54738A", 0.45, 0.0),
    "Upholstery": ("2F6B6A", 0.95, 0.0),
    "Velvet upholstery": ("C98A2B", 0.9, 0.0),
    "Cushion fabric": ("D9734E", 0.95, 0.0),
    "Linen cushion": ("E9DCC3", 0.95, 0.0),
    "Heavy curtain": ("B5533C", 0.95, 0.0),
    "Linen curtain": ("E3D6B8", 0.95, 0.0),
    "Marble worktop": ("E8E6E1", 0.2, 0.0),
    "Stainless steel": ("D2D5D6", 0.38, 1.0),
    "Brass": ("C9A24B", 0.3, 1.0),
    "Steel radiator": ("F2F0EA", 0.4, 0.0),
    "Glazed ceramic": ("D8DFD9", 0.25, 0.0),
    "Terracotta pot": ("B4623F", 0.85, 0.0),
    "Plant leaves": ("4C7F45", 0.6, 0.0),
    "Black plastic": ("24262A", 0.4, 0.0),
    "Red plastic": ("B8322A", 0.35, 0.0),
    "Fruit": ("E08A1E", 0.45, 0.0),
}
# Materials whose faces bring their own colour.
COLOURED = {"Paper books": 0.8, "Canvas painting": 0.8}


def linear(code):
    """Linear RGBA of an sRGB colour such as "EFE7DA"."""
    parts = [int(code[start : start + 2], 16) / 255.0 for start in (0, 2, 4)]
    return (*(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts), 1.0)


def new_material(name, code, roughness, metallic=0.0):
    """Make a material with a Principled shader; also the colour that solid shading shows."""
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0):  # later every material has nodes
        material.use_nodes = True
    material.diffuse_color = linear(code)
    material.roughness = roughness
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = linear(code)
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Metallic"].default_value = metallic
    return material


def node(material, kind, inputs=None, **settings):
    """Add a shader node; inputs are values or sockets by the name of the input."""
    tree = material.node_tree
    made = tree.nodes.new(kind)
    for name, value in settings.items():
        setattr(made, name, value)
    for name, value in (inputs or {}).items():
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, made.inputs[name])
        else:
            made.inputs[name].default_value = value
    return made


def colour_from(material, socket):
    """Take the base colour of a material from a socket."""
    shader = material.node_tree.nodes["Principled BSDF"]
    material.node_tree.links.new(socket, shader.inputs["Base Color"])


def place(material, scale=(1.0, 1.0, 1.0), turn=(0.0, 0.0, 0.0), shift=(0.0, 0.0, 0.0)):
    """Coordinates in the object's space in m, scaled, turned (radians) and shifted."""
    space = node(material, "ShaderNodeTexCoord")
    mapping = node(material, "ShaderNodeMapping", {"Vector": space.outputs["Object"], "Scale": scale})
    mapping.inputs["Rotation"].default_value = turn
    mapping.inputs["Location"].default_value = shift
    return mapping.outputs["Vector"]


def multiply(material, first, second, factor):
    """Multiply two colours, the second as far as factor says."""
    mix = node(material, "ShaderNodeMix", data_type="RGBA", blend_type="MULTIPLY")
    mix.inputs["Factor"].default_value = factor
    colours = [socket for socket in mix.inputs if socket.type == "RGBA"]
    material.node_tree.links.new(first, colours[0])
    material.node_tree.links.new(second, colours[1])
    return next(socket for socket in mix.outputs if socket.type == "RGBA")


def grain(material, along, strength=0.45):
    """Grey streaks of wood along the axis along (0, 1 or 2)."""
    scale = [28.0, 28.0, 28.0]
    scale[along] = 1.6
    noise = node(material, "ShaderNodeTexNoise", {"Vector": place(material, scale), "Detail": 3.0, "Roughness": 0.6})
    ramp = node(material, "ShaderNodeMapRange", {"Value": noise.outputs[0], "To Min": 1.0 - strength, "To Max": 1.0})
    ramp.inputs["From Min"].default_value, ramp.inputs["From Max"].default_value = 0.3, 0.7
    return ramp.outputs[0]


def oak_floor():
    """Planks 14 cm wide along x."""
    material = new_material("Oak floor", "B88A58", 0.35)
    planks = node(
        material,
        "ShaderNodeTexBrick",
        {
            "Vector": place(material),
            "Color1": linear("BE9260"),
            "Color2": linear("A4743F"),
            "Mortar": linear("5B3D20"),
            "Scale": 1.0,
            "Mortar Size": 0.0025,
            "Brick Width": 1.35,
            "Row Height": 0.14,
        },
        offset=0.37,
    )
    colour_from(material, multiply(material, planks.outputs["Color"], grain(material, 0), 0.8))
    return material


def wood(name, code, along, roughness=0.4):
    """A wood with its grain along one axis of the object."""
    material = new_material(name, code, roughness)
    base = node(material, "ShaderNodeRGB")
    base.outputs[0].default_value = linear(code)
    colour_from(material, multiply(material, base.outputs[0], grain(material, along), 0.8))
    return material


def tiles(name, first, second, size, turn=(0.0, 0.0, 0.0), roughness=0.2):
    """Square tiles of size m, two colours by turns, with pale joints."""
    material = new_material(name, first, roughness)
    # Half a metre away from the plane of the faces, where the texture would flicker between its colours.
    vector = place(material, turn=turn, shift=(0.0, 0.0, 0.5))
    checker = node(
        material,
        "ShaderNodeTexChecker",
        {"Vector": vector, "Color1": linear(first), "Color2": linear(second), "Scale": 1.0 / size},
    )
    joints = node(
        material,
        "ShaderNodeTexBrick",
        {
            "Vector": vector,
            "Color1": linear("FFFFFF"),
            "Color2": linear("F1F1F1"),
            "Mortar": linear("A9A49A"),
            "Scale": 1.0,
            "Mortar Size": 0.003,
            "Brick Width": size,
            "Row Height": size,
        },
        offset=0.0,
    )
    colour_from(material, multiply(material, checker.outputs["Color"], joints.outputs["Color"], 1.0))
    return material


def carpet():
    """A woven rug: stripes of three colours across x."""
    material = new_material("Carpet", "C9B79A", 1.0)
    wave = node(
        material,
        "ShaderNodeTexWave",
        {"Vector": place(material), "Scale": 1.25, "Distortion": 0.0},
        bands_direction="X",
    )
    ramp = node(material, "ShaderNodeValToRGB", {"Fac": wave.outputs["Fac"]})
    ramp.color_ramp.interpolation = "CONSTANT"
    for position, code in (
        (0.0, "9E3D33"),
        (0.12, "E5D8BC"),
        (0.55, "35586B"),
        (0.68, "E5D8BC"),
        (0.93, "C98A2B"),
    ):
        stop = ramp.color_ramp.elements[0] if position == 0.0 else ramp.color_ramp.elements.new(position)
        stop.position, stop.color = position, linear(code)
    ramp.color_ramp.elements.remove(ramp.color_ramp.elements[-1])
    colour_from(material, ramp.outputs["Color"])
    return material


def coloured(name, roughness):
    """A material whose colour is the mesh's colour attribute."""
    material = new_material(name, "B09A7A", roughness)
    colour_from(material, node(material, "ShaderNodeVertexColor", layer_name="Colour").outputs["Color"])
    return material


def glass(name):
    """A thin pane: light passes straight through, a little is mirrored."""
    material = new_material(name, "DCEBEE", 0.05)
    tree = material.node_tree
    mirror = node(material, "ShaderNodeBsdfGlossy", {"Roughness": 0.02})
    clear = node(material, "ShaderNodeBsdfTransparent")
    mix = node(material, "ShaderNodeMixShader", {"Fac": 0.08})
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(mirror.outputs[0], mix.inputs[2])
    output = next(one for one in tree.nodes if one.bl_idname == "ShaderNodeOutputMaterial")
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    tree.nodes.remove(tree.nodes["Principled BSDF"])
    material.diffuse_color = (*linear("DCEBEE")[:3], 0.25)
    return material


def glowing(name, code, strength):
    """A material that gives light, as a lampshade with its lamp on."""
    material = new_material(name, code, 0.9)
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Emission Color"].default_value = linear(code)
    shader.inputs["Emission Strength"].default_value = strength
    return material


def make_palette():
    """All materials by their names."""
    made = [new_material(name, *look) for name, look in PLAIN.items()]
    made += [coloured(name, roughness) for name, roughness in COLOURED.items()]
    made += [oak_floor(), carpet(), glass("Window glass")]
    made += [
        wood("Walnut wood", "7A5233", 0),
        wood("Oak wood", "C39A66", 0),
        wood("Wooden shelf", "8A6040", 2),
    ]
    made += [tiles("Ceramic tile", "E9E4D8", "7F9A9C", 0.4)]
    made += [tiles("Ceramic wall tile", "F3F1EA", "E6ECE8", 0.1, turn=(1.5707963, 0.0, 0.0))]
    made += [glowing("Fabric lampshade", "FFE2B0", 2.0), glowing("Frosted glass lamp", "FFF0D2", 6.0)]
    return {material.name: material for material in made}
