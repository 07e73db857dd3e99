"""How loud it is at the current frame, in dB(A)."""

import bpy

own = bpy.context.scene.acoustics

own.map_quantity = "level"
own.map_band = "ALL"
own.map_use_noise = False
own.map_noise = 40.0
own.map_resolution = 256
own.map_time = "FRAME"
own.map_step = 6
own.map_range = "AUTO"
own.map_minimum = 40.0
own.map_maximum = 80.0
own.map_palette = "viridis"
own.map_lines = True
own.map_opacity = 1.0
