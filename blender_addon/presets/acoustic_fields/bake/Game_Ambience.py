"""What surrounds a place in a game, one file a Speaker, to be looped and turned with the player."""

import bpy

own = bpy.context.scene.acoustics

own.quality = "STANDARD"
own.format = "AMBIX-WORLD"
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
own.reflections = 16
own.wetness = 0.5
own.reverb_gain = 0.0
own.normalise = False
own.loudness = -23.0
own.peak = -1.0
