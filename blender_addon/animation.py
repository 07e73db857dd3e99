"""The curves that move the properties of an object or of its data."""

from __future__ import annotations

from collections.abc import Iterator

import bpy


def curves_of(animation: bpy.types.AnimData | None) -> Iterator[bpy.types.FCurve]:
    """Keyframes of the action and of NLA strips, and drivers."""
    if animation is None:
        return
    yield from animation.drivers
    sources = [animation, *(strip for track in animation.nla_tracks for strip in track.strips)]
    for source in sources:
        if source.action is None or source.action_slot is None:
            continue
        for layer in source.action.layers:
            for strip in layer.strips:
                bag = strip.channelbag(source.action_slot)
                if bag is not None:
                    yield from bag.fcurves
