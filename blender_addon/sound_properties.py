"""Settings of a scene on the sound that a bake makes."""

# Blender reads the annotations below as they are: see properties.py, also on callbacks.

from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from naf_core.job import MAX_REFLECTIONS


class SoundSettings:
    """What a bake makes: part of `SceneAcoustics`."""

    quality: EnumProperty(
        name="Quality",
        description="How carefully the rooms are scanned, for bakes, maps and the probe; a change scans them anew",
        items=(
            (
                "DRAFT",
                "Draft",
                "A quarter of the sound paths, from probes 1.2 m apart: a scan takes a quarter of the time, "
                "errors grow by a tenth",
            ),
            (
                "STANDARD",
                "Standard",
                "Enough for almost all scenes: a scan takes some seconds for each state of the room",
            ),
            (
                "HIGH",
                "High",
                "Four times the sound paths: a scan takes four times as long, for a difference that is measured "
                "rather than heard",
            ),
        ),
        default="STANDARD",
        options=set(),
    )
    format: EnumProperty(
        name="Format",
        description="Channels of the baked sound",
        items=(
            ("BINAURAL", "Binaural", "Two channels for headphones, with a head's own filtering"),
            ("STEREO", "Stereo XY", "Two channels for loudspeakers, as from two cardioids in one place"),
            ("STEREO-ORTF", "Stereo ORTF", "Two channels, as from two cardioids 17 cm apart"),
            ("STEREO-AB", "Stereo AB", "Two channels, as from two omnidirectional microphones 50 cm apart"),
            ("MONO", "Mono", "One channel, as from an omnidirectional microphone"),
            ("AMBIX", "Ambisonic, Head", "AmbiX (ACN, SN3D) whose front turns with the listener"),
            ("AMBIX-WORLD", "Ambisonic, World", "AmbiX (ACN, SN3D) that stays with the world, for VR and 360° video"),
            ("5.1", "Surround 5.1", "Six channels L R C LFE Ls Rs; the front follows the listener"),
            ("7.1", "Surround 7.1", "Eight channels with sides and back; the front follows the listener"),
            ("7.1.4", "Surround 7.1.4", "Twelve channels with four above; the front follows the listener"),
        ),
        default="BINAURAL",
        options=set(),
    )
    order: IntProperty(
        name="Order",
        description="Order of ambisonics: 1 has 4 channels, 2 has 9, 3 has 16 and is the sharpest",
        default=1,
        min=1,
        max=3,
        options=set(),
    )
    hrtf: StringProperty(
        name="Ears",
        description="SOFA file with the head-related responses for binaural sound; empty takes the bundled head",
        subtype="FILE_PATH",
        maxlen=1024,
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    sample_rate: EnumProperty(
        name="Sample Rate",
        description="Samples per second of the baked sound",
        items=(
            ("44100", "44.1 kHz", "As on a compact disc"),
            ("48000", "48 kHz", "As in film and video"),
            ("96000", "96 kHz", "Twice the rate of film and video"),
        ),
        default="48000",
        options=set(),
    )
    file_type: EnumProperty(
        name="File Type",
        description="Kind of the sound files",
        items=(
            ("WAV", "WAV", "For all programs; past 4 GB as RF64"),
            ("FLAC", "FLAC", "About half as large without loss; at most 8 channels, and 24 bits"),
        ),
        default="WAV",
        options=set(),
    )
    sample_type: EnumProperty(
        name="Samples",
        description="Precision of the samples in the sound files",
        items=(
            ("16", "16 Bit", "For players of all kinds"),
            ("24", "24 Bit", "For further work"),
            ("FLOAT", "32 Bit Float", "For further work without any limit of level; WAV only"),
        ),
        default="24",
        options=set(),
    )
    reflections: IntProperty(
        name="Reflections",
        description="How many early reflections of each Speaker are exact images; 0 leaves all to reverberation",
        default=16,
        min=0,
        max=MAX_REFLECTIONS,
        options=set(),
    )
    wetness: FloatProperty(
        name="Wetness",
        description="0 is direct sound alone, 0.5 as in the room, 1 reflections alone",
        default=0.5,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        precision=2,
        options=set(),
    )
    reverb_gain: FloatProperty(
        name="Reverb (dB)",
        description="Gain of late reverberation in decibels; 0 is as in the room",
        default=0.0,
        min=-60.0,
        max=20.0,
        soft_min=-12.0,
        soft_max=12.0,
        precision=1,
        step=50,
        options=set(),
    )
    normalise: BoolProperty(
        name="Set Loudness",
        description="Give the mix a loudness of your own; off keeps the levels of the room, 94 dB being full scale",
        default=False,
        options=set(),
    )
    loudness: FloatProperty(
        name="Loudness (LUFS)",
        description="Integrated loudness of the mix (ITU-R BS.1770): -23 for television in Europe, -14 for the web",
        default=-23.0,
        min=-60.0,
        max=0.0,
        soft_min=-36.0,
        soft_max=-9.0,
        precision=1,
        step=50,
        options=set(),
    )
    peak: FloatProperty(
        name="Peak (dBTP)",
        description="True peak that no sound exceeds; what would is made softer as a whole",
        default=-1.0,
        min=-20.0,
        max=0.0,
        precision=1,
        step=10,
        options=set(),
    )
    mix: BoolProperty(
        name="Mix",
        description="Add a track with all Speakers together, beside one track for each",
        default=True,
        options=set(),
    )
    parts: BoolProperty(
        name="Parts",
        description="Also write the direct sound, early reflections and late reverberation of each Speaker as files",
        default=False,
        options=set(),
    )
    impulses: BoolProperty(
        name="Responses",
        description="Also write the impulse response of each Speaker at the current frame",
        default=False,
        options=set(),
    )
    impulse_type: EnumProperty(
        name="As",
        description="Kind of the files with impulse responses",
        items=(
            ("WAV", "WAV", "For convolution reverbs"),
            ("SOFA", "SOFA", "With positions (AES69), for research and renderers"),
            ("BOTH", "Both", "WAV and SOFA"),
        ),
        default="WAV",
        options=set(),
    )
    impulse_spacing: FloatProperty(
        name="Grid Spacing (m)",
        description="Also write impulse responses on a grid around the listener, so far apart in metres; 0 for none",
        default=0.0,
        min=0.0,
        max=100.0,
        soft_max=5.0,
        precision=2,
        step=10,
        options=set(),
    )
    playback: EnumProperty(
        name="Playback",
        description="Which of the baked strips sound in the sequencer; the others are muted",
        items=(
            ("MIX", "Mix", "The track with all Speakers together"),
            ("STEMS", "Speakers", "The tracks of the single Speakers, to balance them by their strips"),
        ),
        default="MIX",
        options=set(),
    )
