"""How much of the sound comes early enough to be understood."""

import bpy

own = bpy.context.scene.acoustics

own.map_quantity = "C50"
own.map_band = "ALL"
own.map_use_noise = False
own.map_noise = 40.0
own.map_resolution = 256
own.map_time = "FRAME"
own.map_step = 6
own.map_range = "FIXED"
own.map_minimum = -5.0
own.map_maximum = 10.0
own.map_palette = "viridis"
own.map_lines = True
own.map_opacity = 1.0
