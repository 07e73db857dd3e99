"""A refrigerator or a fan."""

import bpy

own = bpy.context.object.acoustics
data = bpy.context.object.data

own.level = 45.0
own.use_cone = True
own.cone_size = 0.0
data.cone_angle_inner = 360.0
data.cone_angle_outer = 360.0
data.cone_volume_outer = 1.0
