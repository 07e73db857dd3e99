"""How well speech is understood where nothing else sounds."""

import bpy

own = bpy.context.scene.acoustics

own.map_quantity = "STI"
own.map_band = "ALL"
own.map_use_noise = False
own.map_noise = 40.0
own.map_resolution = 256
own.map_time = "FRAME"
own.map_step = 6
own.map_range = "FIXED"
own.map_minimum = 0.3
own.map_maximum = 0.8
own.map_palette = "viridis"
own.map_lines = True
own.map_opacity = 1.0
