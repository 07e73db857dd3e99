"""Two channels for headphones, at the levels of the room."""

import bpy

own = bpy.context.scene.acoustics

own.quality = "STANDARD"
own.format = "BINAURAL"
own.order = 1
own.hrtf = ""
own.sample_rate = "48000"
own.file_type = "WAV"
own.sample_type = "24"
own.mix = True
own.parts = False
own.playback = "MIX"
own.impulses = False
own.impulse_type = "WAV"
own.impulse_spacing = 0.0
own.reflections = 16
own.wetness = 0.5
own.reverb_gain = 0.0
own.normalise = False
own.loudness = -23.0
own.peak = -1.0
