"""A television, which sends most of its sound to the front."""

import bpy

own = bpy.context.object.acoustics
data = bpy.context.object.data

own.level = 65.0
own.use_cone = True
own.cone_size = 0.08
data.cone_angle_inner = 120.0
data.cone_angle_outer = 300.0
data.cone_volume_outer = 0.3
