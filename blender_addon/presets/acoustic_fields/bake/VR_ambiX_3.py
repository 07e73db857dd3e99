"""Virtual reality whose player turns the head: sixteen channels that stay with the world."""

import bpy

own = bpy.context.scene.acoustics

own.quality = "STANDARD"
own.format = "AMBIX-WORLD"
own.order = 3
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
