"""Dry sounds, one a Speaker, for a game whose engine makes the reverberation."""

import bpy

own = bpy.context.scene.acoustics

own.quality = "STANDARD"
own.format = "MONO"
own.order = 1
own.hrtf = ""
own.sample_rate = "48000"
own.file_type = "WAV"
own.sample_type = "24"
own.mix = False
own.parts = False
own.playback = "STEMS"
own.impulses = False
own.impulse_type = "WAV"
own.impulse_spacing = 0.0
own.reflections = 0
own.wetness = 0.0
own.reverb_gain = 0.0
own.normalise = False
own.loudness = -23.0
own.peak = -1.0
