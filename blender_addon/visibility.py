"""What the render shows, for a depsgraph that can only be had as the viewport shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import bpy

from .animation import curves_of

# Switches of objects and modifiers, as the ends of data paths.
_SWITCHES = ("hide_viewport", "show_viewport", "show_instancer_for_viewport")


def render_visible(view_layer: bpy.types.ViewLayer) -> list[bpy.types.Object]:
    """Objects of collections that a render of the view layer shows, in the order of the view layer.

    Whether the object itself is hidden in renders is left to the caller, since that may change over time.
    """
    shown: set[int] = set()
    stack = [(view_layer.layer_collection, False)]
    while stack:
        layer, hidden = stack.pop()
        hidden = hidden or layer.collection.hide_render
        stack.extend((child, hidden) for child in layer.children)
        if not hidden and not layer.exclude:
            shown.update(item.as_pointer() for item in layer.collection.objects)
    return [item for item in view_layer.objects if item.as_pointer() in shown]


@contextmanager
def as_rendered(view_layer: bpy.types.ViewLayer) -> Iterator[None]:
    """Within the block the viewport shows what the render shows; afterwards all is as it was.

    Python is given viewport depsgraphs only, and these leave out what is hidden in the viewport, also from
    instances. So the viewport's switches of objects, collections and modifiers are set as the render's are.
    This is right for instances too, where no look at one tells whether the render has it: an object that is
    hidden in renders is rendered by an Object Info node, but not by a Collection Info node. Subdivision keeps
    its viewport level: the render's finer one sounds the same.
    """
    view_layer.update()  # a script may have linked objects that it does not list yet
    changes = [(collection, "hide_viewport", collection.hide_render) for collection in bpy.data.collections]
    for item in bpy.data.objects:
        changes.extend((curve, "mute", True) for curve in _curves_of_switches(item))
        changes.append((item, "hide_viewport", item.hide_render))
        changes.append((item, "show_instancer_for_viewport", item.show_instancer_for_render))
        changes.extend((modifier, "show_viewport", modifier.show_render) for modifier in item.modifiers)
    changes.extend((layer, "hide_viewport", False) for layer in _layers(view_layer))
    with _set(changes), _eyes_open(view_layer, view_layer.objects):
        view_layer.update()
        yield


@contextmanager
def in_view(view_layer: bpy.types.ViewLayer, objects: Iterable[bpy.types.Object]) -> Iterator[None]:
    """Within the block the depsgraph follows ``objects``, hidden or not; afterwards all is as it was.

    What is hidden in the viewport is not evaluated: a Speaker or listener would stand still.
    """
    view_layer.update()
    present = {item.as_pointer() for item in view_layer.objects}
    objects = [item for item in objects if item.as_pointer() in present]
    around = [collection for item in objects for collection in _collections_around(item)]
    changes = [(curve, "mute", True) for item in objects for curve in _curves_of_switches(item)]
    changes.extend((owner, "hide_viewport", False) for owner in (*objects, *around))
    layers = [layer for layer in _layers(view_layer) if layer.collection in around]
    changes.extend((layer, "hide_viewport", False) for layer in layers)
    with _set(changes), _eyes_open(view_layer, objects):
        view_layer.update()
        yield


@contextmanager
def _set(changes: Iterable[tuple[bpy.types.bpy_struct, str, bool]]) -> Iterator[None]:
    before = []
    try:
        for owner, name, value in changes:
            old = getattr(owner, name)
            if old != value:
                before.append((owner, name, old))
                setattr(owner, name, value)
        yield
    finally:
        for owner, name, old in reversed(before):
            setattr(owner, name, old)


@contextmanager
def _eyes_open(view_layer: bpy.types.ViewLayer, objects: Iterable[bpy.types.Object]) -> Iterator[None]:
    """Show objects whose eye in the outliner is closed, which is kept by the view layer and not by them."""
    closed = [item for item in objects if item.hide_get(view_layer=view_layer)]
    try:
        for item in closed:
            item.hide_set(False, view_layer=view_layer)
        yield
    finally:
        for item in closed:
            item.hide_set(True, view_layer=view_layer)


def _curves_of_switches(item: bpy.types.Object) -> list[bpy.types.FCurve]:
    """Keyframes and drivers that would set the viewport's switches of an object again."""
    return [curve for curve in curves_of(item.animation_data) if curve.data_path.endswith(_SWITCHES)]


def _layers(view_layer: bpy.types.ViewLayer) -> list[bpy.types.LayerCollection]:
    """Layer collections below the one of the scene, which has no switches."""
    found = list(view_layer.layer_collection.children)
    for layer in found:  # grows while it is walked
        found.extend(layer.children)
    return found


def _collections_around(item: bpy.types.Object) -> list[bpy.types.Collection]:
    """Collections that hold an object, directly or through others."""
    found = list(item.users_collection)
    for inner in found:  # grows while it is walked, outwards
        found.extend(c for c in bpy.data.collections if c not in found and inner in c.children.values())
    return [collection for collection in found if not collection.is_embedded_data]
