"""All that an open .blend file holds, as plain values, to see whether something changed."""

from __future__ import annotations

import warnings

import bpy

# What changes by itself, or is no part of the scene: windows and workspaces, counters, tools.
_KINDS = (
    "actions",
    "cameras",
    "collections",
    "curves",
    "images",
    "lights",
    "materials",
    "meshes",
    "node_groups",
    "objects",
    "scenes",
    "sounds",
    "speakers",
    "texts",
    "worlds",
)
# The storage type of an attribute is a matter of how Blender saves memory, and changes when it is read.
_SKIPPED = {
    "rna_type",
    "bl_rna",
    "is_evaluated",
    "session_uid",
    "original",
    "id_data",
    "depsgraph",
    "tool_settings",
    "storage_type",
    "bound_box",  # these two are of the evaluated object: they change when another frame is looked at
    "dimensions",
}
_DEPTH = 5


def data_of_file() -> dict[str, object]:
    """Values by path: every data-block of the file with all its properties, ours included."""
    found: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some properties are about to be removed from Blender
        for kind in _KINDS:
            for item in getattr(bpy.data, kind):
                found[f"{kind}/{item.name}"] = item.users
                _collect(found, f"{kind}/{item.name}", item, 0)
    return found


def _collect(found: dict[str, object], path: str, owner: bpy.types.bpy_struct, depth: int) -> None:
    if hasattr(owner, "keys"):
        try:
            for key in owner.keys():
                if isinstance(owner[key], (str, int, float)):
                    found[f"{path}[{key}]"] = owner[key]
        except TypeError:
            pass  # this kind has no properties of one's own
    for prop in owner.bl_rna.properties:
        name = prop.identifier
        if name in _SKIPPED:
            continue
        try:
            value = getattr(owner, name)
        except (AttributeError, RuntimeError):
            continue
        here = f"{path}.{name}"
        if prop.type == "POINTER":
            if isinstance(value, bpy.types.ID):
                found[here] = value.name
            elif value is not None and depth < _DEPTH:
                _collect(found, here, value, depth + 1)
            else:
                found[here] = value is None
        elif prop.type == "COLLECTION":
            found[f"{here}#"] = len(value)
            if depth < _DEPTH and len(value) < 500:
                for number, item in enumerate(value):
                    if isinstance(item, bpy.types.ID):
                        found[f"{here}[{number}]"] = item.name
                    else:
                        _collect(found, f"{here}[{number}]", item, depth + 1)
        else:
            found[here] = _plain(value)


def _plain(value: object) -> object:
    """A copy that does not follow the file: rows of a matrix would."""
    if isinstance(value, set):
        return tuple(sorted(value))
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        return value
    return tuple(_plain(item) for item in value)
