"""A look into a room from above: ceilings and roofs hide the map that lies on the floor, so they are set aside."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
from bpy.types import Context, Operator
from mathutils import Vector

from . import sheet
from .geometry import metres_per_unit
from .words import said

HEAD = 1.9  # m above the map: what begins higher is set aside


class ACOUSTICS_OT_look_inside(Operator):
    """Set ceilings and roofs aside in the 3D View, or bring them back."""

    bl_idname = "acoustics.look_inside"
    bl_label = "Look Inside"
    bl_description = (
        "Show this 3D View without ceilings and roofs, in its local view, so that the map can be seen from above; "
        "press again to bring them back"
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = None
        if context.space_data is None or context.space_data.type != "VIEW_3D":
            reason = "Press this in a 3D View"
        elif context.space_data.local_view is None and not any(sheet.own_sheets(context.scene)):
            reason = "This scene has no map"
        elif context.mode != "OBJECT":
            reason = "Leave the editing mode first (Object Mode)"
        if reason is not None:
            cls.poll_message_set(said(reason))
        return reason is None

    def execute(self, context: Context) -> set[str]:
        if context.space_data.local_view is not None:
            return bpy.ops.view3d.localview()
        shown = list(below_heads(context))
        # Blender takes what is selected; what cannot be selected, as the map, joins afterwards.
        selected = [item.select_get() for item in shown]
        for item in shown:
            item.select_set(True)
        outcome = bpy.ops.view3d.localview()  # and frames it; leaving brings the old view back
        for item, was in zip(shown, selected, strict=True):
            item.select_set(was)
            if outcome == {"FINISHED"}:
                item.local_view_set(context.space_data, True)
        return outcome


def below_heads(context: Context) -> Iterator[bpy.types.Object]:
    """Visible objects that begin below the heads of people who stand on the map."""
    found = next(sheet.own_sheets(context.scene))
    limit = max((found.matrix_world @ Vector(corner)).z for corner in found.bound_box)
    limit += HEAD / metres_per_unit(context.scene)
    for item in context.view_layer.objects:
        lowest = min((item.matrix_world @ Vector(corner)).z for corner in item.bound_box)
        if item.visible_get() and lowest < limit:
            yield item


register, unregister = bpy.utils.register_classes_factory((ACOUSTICS_OT_look_inside,))
