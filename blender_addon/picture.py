"""A rendered picture of the floor wearing its loudness map."""

from __future__ import annotations

import math
import os
from pathlib import Path

import bpy
import numpy as np

from . import sheet
from .geometry import metres_per_unit

NAME = "floor.png"
CAMERA = "Overview"  # a camera of this name is taken, else one is put above the floor
WIDTH, HEIGHT = 960, 720
CUT = 2.0  # m above the floor: what is higher does not hide it
MARGIN = 1.06  # of the floor's size


def render(scene: bpy.types.Scene, output: Path) -> Path | None:
    """Render the floor to ``output``/floor.png with Cycles, or return None where no map lies on it.

    The scene is changed for it: for a file that is closed without saving.
    """
    found = next(sheet.own_sheets(scene), None)
    if found is None:
        return None
    found.hide_render = found.hide_viewport = False
    camera = scene.objects.get(CAMERA)
    if camera is None or camera.type != "CAMERA":
        camera = camera_above(scene, found)
        light_evenly(scene)
    scene.camera = camera
    scene.timeline_markers.clear()  # these would switch to another camera
    settings = scene.render
    settings.engine = "CYCLES"
    settings.resolution_x, settings.resolution_y, settings.resolution_percentage = WIDTH, HEIGHT, 100
    settings.pixel_aspect_x = settings.pixel_aspect_y = 1.0
    settings.use_border = settings.use_compositing = settings.use_sequencer = settings.use_freestyle = False
    settings.use_file_extension = False
    settings.film_transparent = False
    settings.image_settings.file_format = "PNG"
    settings.image_settings.color_mode = "RGB"
    # Others would change the colours, which are to be those of the legend.
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"
    scene.view_settings.exposure, scene.view_settings.gamma = 0.0, 1.0
    cycles = scene.cycles
    cycles.device = "CPU"
    # The map glows by itself: the rooms around it need no more light than these few seconds give.
    cycles.samples, cycles.max_bounces, cycles.diffuse_bounces = 8, 3, 1
    cycles.use_light_tree = False
    cycles.use_denoising = True
    cycles.denoising_quality = cycles.denoising_prefilter = "FAST"
    part = output / f".part-{NAME}"
    settings.filepath = str(part)
    bpy.ops.render.render(write_still=True, scene=scene.name)
    os.replace(part, output / NAME)
    return output / NAME


def camera_above(scene: bpy.types.Scene, found: bpy.types.Object) -> bpy.types.Object:
    """An orthographic camera above a sheet that sees only what is lower than `CUT`."""
    corners = np.array([tuple(found.matrix_world @ point.co) for point in found.data.vertices])
    low, high = corners.min(axis=0), corners.max(axis=0)
    size, middle = high - low, 0.5 * (low + high)
    turned = size[1] > size[0]  # the longer side lies across the picture
    across, along = (size[1], size[0]) if turned else (size[0], size[1])
    data = bpy.data.cameras.new("Above the Floor")
    data.type = "ORTHO"
    data.ortho_scale = MARGIN * max(across, along * WIDTH / HEIGHT)
    above = 10.0 * CUT / metres_per_unit(scene)
    cut = CUT / metres_per_unit(scene)
    data.clip_start, data.clip_end = above - cut, 2.0 * above + (high[2] - low[2])
    camera = bpy.data.objects.new(data.name, data)
    camera.location = (middle[0], middle[1], high[2] + above)
    camera.rotation_euler = (0.0, 0.0, math.pi / 2.0 if turned else 0.0)
    scene.collection.objects.link(camera)
    return camera


def light_evenly(scene: bpy.types.Scene) -> None:
    """A light from above that no ceiling keeps out, so that walls and furniture show."""
    data = bpy.data.lights.new("Above the Floor", "SUN")
    data.energy = 1.5
    data.use_shadow = False
    light = bpy.data.objects.new(data.name, data)
    light.rotation_euler = (math.radians(25.0), math.radians(15.0), 0.0)
    scene.collection.objects.link(light)
