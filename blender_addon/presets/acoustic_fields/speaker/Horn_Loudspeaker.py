"""A loudspeaker with a horn, which sends its sound to where it points."""

import bpy

own = bpy.context.object.acoustics
data = bpy.context.object.data

own.level = 100.0
own.use_cone = True
own.cone_size = 0.2
data.cone_angle_inner = 60.0
data.cone_angle_outer = 120.0
data.cone_volume_outer = 0.05
