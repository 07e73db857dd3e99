"""A loudspeaker in its box: low notes go everywhere, high ones to the front."""

import bpy

own = bpy.context.object.acoustics
data = bpy.context.object.data

own.level = 80.0
own.use_cone = True
own.cone_size = 0.12
data.cone_angle_inner = 90.0
data.cone_angle_outer = 270.0
data.cone_volume_outer = 0.1
