"""How well speech is understood beside the noise of a full cafe."""

import bpy

own = bpy.context.scene.acoustics

own.map_quantity = "STI"
own.map_band = "ALL"
own.map_use_noise = True
own.map_noise = 60.0
own.map_resolution = 256
own.map_time = "FRAME"
own.map_step = 6
own.map_range = "FIXED"
own.map_minimum = 0.3
own.map_maximum = 0.8
own.map_palette = "viridis"
own.map_lines = True
own.map_opacity = 1.0
