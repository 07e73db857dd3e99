"""Operators that mend what the check-list finds: small steps, each undone by one undo."""

# Blender reads the annotations of operators as they are: this file must not postpone their evaluation.

import os

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty
from bpy.types import Context, Event, Operator

from naf_core.errors import UserError

from . import strips
from .material_properties import FOUND
from .mending import FIXES
from .object_properties import SURFACES, has_surface
from .speakers import sound_strips
from .surfaces import material_of
from .words import said


class ACOUSTICS_OT_fix(Operator):
    """Mend one thing that the check-list names."""

    bl_idname = "acoustics.fix"
    bl_label = "Fix"
    bl_description = "Mend what the check-list names"
    bl_options = {"UNDO", "INTERNAL"}

    kind: EnumProperty(
        name="Kind",
        description="What is mended",
        items=[(key, name, text) for key, (name, text, *_) in FIXES.items()],
    )
    target: StringProperty(name="Object", description="Name of the object that is mended, where there is one")

    @classmethod
    def description(cls, _context: Context, properties: bpy.types.OperatorProperties) -> str:
        return FIXES[properties.kind][1]

    def execute(self, context: Context) -> set[str]:
        _, _, mend, needs_object = FIXES[self.kind]
        item = context.scene.objects.get(self.target) if needs_object else None
        if needs_object and (item is None or (item.type != "SPEAKER")):
            self.report({"ERROR"}, said(f"There is no Speaker “{self.target}” in this scene"))
            return {"CANCELLED"}
        if self.kind == "START" and not any(sound_strips(item)):
            self.report({"ERROR"}, said(f"“{self.target}” has no sound strip in the NLA"))
            return {"CANCELLED"}
        mend(context, item)
        return {"FINISHED"}


class _SoundOperator:
    """An operator that takes a sound file, by the file browser for people."""

    bl_options = {"UNDO"}

    filepath: StringProperty(
        name="Sound",
        description="Path of the sound file",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    filter_glob: StringProperty(
        default="*.wav;*.flac;*.ogg;*.mp3;*.aif;*.aiff;*.m4a;*.aac;*.mp4;*.mov;*.mkv;*.opus", options={"HIDDEN"}
    )

    def invoke(self, context: Context, _event: Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def load(self) -> bpy.types.Sound | None:
        """The sound of the chosen file, or None with a report."""
        path = bpy.path.abspath(self.filepath)
        if not os.path.isfile(path):
            self.report({"ERROR"}, said(f"There is no sound file “{self.filepath}”: choose one"))
            return None
        try:
            sound = bpy.data.sounds.load(path, check_existing=True)
        except RuntimeError as error:
            self.report({"ERROR"}, said(f"“{path}” cannot be read as a sound: {error}"))
            return None
        sound.filepath = strips.blend_path(path)
        return sound


class ACOUSTICS_OT_add_speaker(_SoundOperator, Operator):
    """Add a Speaker that plays a sound file."""

    bl_idname = "acoustics.add_speaker"
    bl_label = "Speaker with Sound"
    bl_description = "Add a Speaker at the 3D cursor that plays a sound file from the current frame on"

    level: FloatProperty(
        name="Level (dB(A))",
        description="Average loudness in dB(A), 1 m away in the open: a calm voice has 55, an orchestra 90",
        default=70.0,
        min=0.0,
        max=150.0,
        precision=1,
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set(said("Leave the editing mode first (Object Mode)"))
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        sound = self.load()
        if sound is None:
            return {"CANCELLED"}
        bpy.ops.object.speaker_add()
        item = context.object
        item.name = item.data.name = bpy.path.display_name_from_filepath(sound.filepath) or "Speaker"
        item.data.sound = sound
        item.acoustics.level = self.level
        return {"FINISHED"}


class ACOUSTICS_OT_choose_sound(_SoundOperator, Operator):
    """Give a Speaker a sound file."""

    bl_idname = "acoustics.choose_sound"
    bl_label = "Choose Sound"
    bl_description = "Choose the sound file that a Speaker plays"

    speaker: StringProperty(name="Speaker", description="Name of the Speaker; empty takes the active object")

    def execute(self, context: Context) -> set[str]:
        item = context.scene.objects.get(self.speaker) if self.speaker else context.object
        if item is None or item.type != "SPEAKER" or not item.data.is_editable:
            self.report({"ERROR"}, said(f"There is no Speaker “{self.speaker}” in this scene that can be changed"))
            return {"CANCELLED"}
        sound = self.load()
        if sound is None:
            return {"CANCELLED"}
        item.data.sound = sound
        return {"FINISHED"}


class _MaterialOperator:
    """An operator on a material that it names, or on the active one."""

    bl_options = {"UNDO"}

    material: StringProperty(name="Material", description="Name of the Blender material; empty takes the active one")

    def chosen(self, context: Context) -> bpy.types.Material | None:
        """The material, or None with a report."""
        active = context.object.active_material if context.object else None
        found = bpy.data.materials.get(self.material) if self.material else active
        if found is None or not found.is_editable:
            self.report({"ERROR"}, said(f"There is no material “{self.material}” that can be changed"))
            return None
        return found


class ACOUSTICS_OT_find_material(_MaterialOperator, Operator):
    """Search the catalogue for an acoustic material."""

    bl_idname = "acoustics.find_material"
    bl_label = "Search Acoustic Materials"
    bl_description = "Search the catalogue of measured acoustic materials, and take one for this material"
    bl_property = "preset"

    preset: EnumProperty(name="Preset", description="Material of the catalogue", items=FOUND)
    default: BoolProperty(
        name="Scene's Default",
        description="Choose what surfaces are taken for of which nothing is known, instead of a material's own",
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: Context, _event: Event) -> set[str]:
        if not self.default and self.chosen(context) is None:
            return {"CANCELLED"}
        context.window_manager.invoke_search_popup(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Context) -> set[str]:
        if self.default:
            context.scene.acoustics.default_material = self.preset
            return {"FINISHED"}
        found = self.chosen(context)
        if found is None:
            return {"CANCELLED"}
        found.acoustics.mode, found.acoustics.preset = "PRESET", self.preset
        return {"FINISHED"}


class ACOUSTICS_OT_edit_material(_MaterialOperator, Operator):
    """Turn what a material is taken for into values that can be edited."""

    bl_idname = "acoustics.edit_material"
    bl_label = "Edit Values"
    bl_description = "Take the absorption and scattering of this material as values of your own, to edit them"

    def execute(self, context: Context) -> set[str]:
        found = self.chosen(context)
        if found is None:
            return {"CANCELLED"}
        try:
            values = material_of(found, context.scene.acoustics).material
        except UserError as error:
            self.report({"ERROR"}, said(error.message))
            return {"CANCELLED"}
        own = found.acoustics
        own.absorption, own.scattering, own.mode = values.absorption, values.scattering, "CUSTOM"
        own.transmits = values.transmission_loss is not None
        if own.transmits:
            most = own.bl_rna.properties["transmission_loss"].hard_max
            own.transmission_loss = [min(loss, most) for loss in values.transmission_loss]
        return {"FINISHED"}


class ACOUSTICS_OT_set_surface(Operator):
    """Say of all selected objects what sound meets of them."""

    bl_idname = "acoustics.set_surface"
    bl_label = "Set Surface"
    bl_description = "Let sound meet the selected objects as they are modelled, as their convex hull, or not at all"
    bl_options = {"REGISTER", "UNDO"}

    surface: EnumProperty(
        name="Surface", description="What sound meets where these objects are", items=SURFACES, default="SIMPLIFIED"
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not any(has_surface(item) for item in context.selected_objects):
            cls.poll_message_set(said("Select objects with a surface first"))
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        solid = [item for item in context.selected_objects if has_surface(item)]
        changed = [item for item in solid if item.is_editable]
        for item in changed:
            item.acoustics.surface = self.surface
        if len(changed) < len(solid):
            self.report({"WARNING"}, said(f"{len(solid) - len(changed)} of the selected objects are linked and stay"))
        return {"FINISHED"}


class ACOUSTICS_OT_set_listener(Operator):
    """Let the active object listen."""

    bl_idname = "acoustics.set_listener"
    bl_label = "Listen from Active Object"
    bl_description = "Take the active object as the listener, instead of the active camera"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.object is None:
            cls.poll_message_set(said("Select the object that listens first"))
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        context.scene.acoustics.listener = context.object
        return {"FINISHED"}


_CLASSES = (
    ACOUSTICS_OT_fix,
    ACOUSTICS_OT_add_speaker,
    ACOUSTICS_OT_choose_sound,
    ACOUSTICS_OT_find_material,
    ACOUSTICS_OT_edit_material,
    ACOUSTICS_OT_set_surface,
    ACOUSTICS_OT_set_listener,
)


def draw_add_menu(self: bpy.types.Menu, _context: Context) -> None:
    """Entry of the Add menu."""
    self.layout.operator(ACOUSTICS_OT_add_speaker.bl_idname, icon="OUTLINER_OB_SPEAKER")


def register() -> None:
    """Register the operators and the entry of the Add menu."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.VIEW3D_MT_add.append(draw_add_menu)


def unregister() -> None:
    """Undo `register`."""
    bpy.types.VIEW3D_MT_add.remove(draw_add_menu)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
