"""Direct sound, early reflections and late reverberation of each Speaker as files, to be mixed."""

import bpy

own = bpy.context.scene.acoustics

own.quality = "STANDARD"
own.format = "STEREO-ORTF"
own.order = 1
own.hrtf = ""
own.sample_rate = "48000"
own.file_type = "WAV"
own.sample_type = "FLOAT"
own.mix = True
own.parts = True
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
