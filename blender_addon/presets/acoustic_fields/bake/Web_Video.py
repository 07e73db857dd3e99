"""A video for the web: stereo that stays right in mono, 16 bits, loud."""

import bpy

own = bpy.context.scene.acoustics

own.quality = "STANDARD"
own.format = "STEREO"
own.order = 1
own.hrtf = ""
own.sample_rate = "48000"
own.file_type = "WAV"
own.sample_type = "16"
own.mix = True
own.parts = False
own.playback = "MIX"
own.impulses = False
own.impulse_type = "WAV"
own.impulse_spacing = 0.0
own.reflections = 16
own.wetness = 0.5
own.reverb_gain = 0.0
own.normalise = True
own.loudness = -14.0
own.peak = -1.0
