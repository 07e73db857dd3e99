"""Impulse responses with their positions (AES69)."""

import bpy

own = bpy.context.scene.acoustics

own.quality = "HIGH"
own.format = "AMBIX-WORLD"
own.order = 3
own.hrtf = ""
own.sample_rate = "48000"
own.file_type = "WAV"
own.sample_type = "FLOAT"
own.mix = True
own.parts = False
own.playback = "MIX"
own.impulses = True
own.impulse_type = "SOFA"
own.impulse_spacing = 0.0
own.reflections = 16
own.wetness = 0.5
own.reverb_gain = 0.0
own.normalise = False
own.loudness = -23.0
own.peak = -1.0
