"""Scenes from mesh files (.obj, .glb, .ply) and a JSON file of acoustic materials, for the command line."""

from __future__ import annotations

import io
import json
import re
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from naf_core.errors import UserError
from naf_core.materials import CATALOGUE, DEFAULT, Material, guess
from naf_core.scene import Scene

SUFFIXES = (".obj", ".glb", ".ply")
_MOST_BYTES = 2_000_000_000
_MOST_JSON_BYTES = 64_000_000

# What trimesh raises on files that are cut off, altered or of another format.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    DeprecationWarning,
    ImportError,
    struct.error,
)


def read_mesh(path: str | Path, materials: Mapping[str, Material] | None = None) -> tuple[Scene, list[str]]:
    """Read a mesh file as a scene, in metres, and say in a list of texts which materials had to be guessed.

    ``materials`` by the names that the file uses, or by "default" for all other faces; a name that it lacks is
    looked up in the catalogue, by key or by what the name suggests. A .glb has y up and is turned (glTF
    2.0, section 3.4); .obj and .ply are taken with z up. Raises UserError when the file cannot be read or holds no
    triangle.
    """
    path = Path(path)
    parts = _parts(path)
    chosen: dict[str, int] = {}  # number of the material of each name
    meant: list[Material] = []
    notes: list[str] = []
    vertices, triangles, index, offset = [], [], [], 0
    for points, faces, name in parts:
        if name not in chosen:
            material, note = _material(name, materials or {})
            chosen[name] = len(meant)
            meant.append(material)
            notes += [note] if note else []
        vertices.append(points)
        triangles.append(faces + offset)
        index.append(np.full(len(faces), chosen[name]))
        offset += len(points)
    if not sum(map(len, triangles)):
        raise UserError(f"{path} holds no triangles: give a file with a mesh.")
    scene = Scene(np.concatenate(vertices), np.concatenate(triangles), np.concatenate(index), meant)
    return scene, notes


def read_materials(path: str | Path) -> dict[str, Material]:
    """Read a JSON file {name: {"absorption": [8 numbers], "scattering": [8 numbers]}}.

    The eight octave bands are 63 Hz to 8 kHz, values 0..1. A material may also have a "transmission_loss", a list of 8
    numbers in dB, 0 and more; without it nothing passes through. Raises UserError when it is something else.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            raise UserError(f"{path} is larger than {_MOST_JSON_BYTES / 1e6:g} MB: give a file of materials.")
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(entries, dict):
        raise UserError(f'{path} is not of the form {{"name": {{"absorption": [...], "scattering": [...]}}}}.')
    result = {}
    for name, values in entries.items():
        lists = [values.get(key) if isinstance(values, dict) else None for key in ("absorption", "scattering")]
        if not all(isinstance(numbers, list) for numbers in lists):
            raise UserError(f"Material “{name}” in {path} needs two lists, absorption and scattering.", name)
        loss = values.get("transmission_loss")
        if not isinstance(loss, list | None):
            raise UserError(f"The transmission_loss of material “{name}” in {path} is no list of eight numbers.", name)
        result[name] = Material(name, tuple(lists[0]), tuple(lists[1]), path.name, loss)
    return result


def _material(name: str, materials: Mapping[str, Material]) -> tuple[Material, str]:
    """The material meant by ``name``, and what to say about it."""
    plain = re.sub(r"\.\d{3,}$", "", name)  # Blender numbers copies: plaster.001
    alike = {key.replace(" ", "_"): key for key in materials}  # as it writes names to OBJ files
    for key in (name, plain, alike.get(name), alike.get(plain)):
        if key in materials:
            return materials[key], ""
    if "default" in materials:
        return materials["default"], ""
    label = f"Material “{name}”" if name else "What has no material"
    key = plain if plain in CATALOGUE else guess(plain)
    if key is None:
        return CATALOGUE[DEFAULT], f"{label} is unknown: taken as “{CATALOGUE[DEFAULT].name}”."
    if key == plain:
        return CATALOGUE[key], ""
    return CATALOGUE[key], f"{label} is taken as “{CATALOGUE[key].name}”, by its name."


def _parts(path: Path) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Vertices (n, 3) in metres, z up, triangles (m, 3) and material name of each part of a mesh file."""
    try:
        import trimesh
    except ImportError as error:
        raise UserError(
            f"Reading {path.suffix} files needs the package trimesh: install it (pip install trimesh), or give a"
            " scene saved as .h5."
        ) from error

    kind = path.suffix.lower().lstrip(".")
    parts = []
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} is larger than {_MOST_BYTES / 1e9:g} GB: reduce the mesh.")
        data, resolver = path.read_bytes(), None
        if kind == "obj":
            data, resolver = _with_material_names(data)
        with warnings.catch_warnings():
            # NumPy before 2.3 only warns of text that is no number, and leaves the rest of a list out.
            warnings.filterwarnings("error", "string or file could not be read", DeprecationWarning)
            loaded = trimesh.load_scene(io.BytesIO(data), file_type=kind, process=False, resolver=resolver)
        for node in loaded.graph.nodes_geometry:
            transform, key = loaded.graph[node]
            mesh = loaded.geometry[key]
            if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
                continue  # points and lines reflect nothing
            if np.shape(mesh.faces)[1:] != (3,) or np.shape(mesh.vertices)[1:] != (3,):
                raise ValueError("its faces are not triangles of points in space")
            points = np.asarray(mesh.vertices, np.float64) @ transform[:3, :3].T + transform[:3, 3]
            if kind == "glb":
                points = points[:, [0, 2, 1]] * (1.0, -1.0, 1.0)
            # A PLY file has no materials; trimesh may make one up.
            name = None if kind == "ply" else getattr(getattr(mesh.visual, "material", None), "name", None)
            parts.append((points, np.asarray(mesh.faces), str(name or "")))
    except _DAMAGE as error:
        raise UserError(f"{path} cannot be read as a .{kind} file: {error}") from error
    return parts


def _with_material_names(data: bytes) -> tuple[bytes, object]:
    """An OBJ text for which material names are known without the MTL file, which often is not there."""
    from trimesh.resolvers import ZipResolver

    lines = data.decode("utf-8", errors="replace").splitlines()
    names = sorted({line.split(None, 1)[1].strip() for line in lines if re.match(r"\s*usemtl\s+\S", line)})
    library = "\n".join(f"newmtl {name}\nKd 1 1 1\n" for name in names).encode("utf-8")
    resolver = ZipResolver({"names.mtl": io.BytesIO(library)})

    kept = [line for line in lines if not line.lstrip().startswith("mtllib")]
    return "\n".join(["mtllib names.mtl", *kept, ""]).encode("utf-8"), resolver
