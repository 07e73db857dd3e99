"""Which acoustic material a Blender material has, and why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import bpy

from naf_core.errors import UserError
from naf_core.materials import CATALOGUE, Material, guess


@dataclass(frozen=True)
class AcousticChoice:
    """The acoustic material of a Blender material and where it comes from.

    ``how`` is "set" (the user chose a preset or values), "guessed" (from the name) or "default"; ``key`` is
    the entry of the catalogue, or None for values of the user's own.
    """

    material: Material
    how: str
    key: str | None

    @property
    def text(self) -> str:
        """The choice in words, for a panel or a report."""
        if self.how == "guessed":
            return f"{self.material.name} (guessed from the name)"
        if self.how == "default":
            return f"{self.material.name} (the scene's default)"
        return self.material.name if self.key else "Own values"


def material_of(material: bpy.types.Material | None, settings: bpy.types.PropertyGroup) -> AcousticChoice:
    """Acoustic material of a Blender material, or of a surface without one.

    ``settings`` are those of a scene (``scene.acoustics``). Raises UserError where the material names a
    preset that is not in the catalogue.
    """
    if material is not None:
        own = material.acoustics
        if own.mode == "CUSTOM":
            passes = tuple(own.transmission_loss) if own.transmits else None
            values = Material(material.name, tuple(own.absorption), tuple(own.scattering), "own values", passes)
            return AcousticChoice(values, "set", None)
        if own.mode == "PRESET":
            if own.preset not in CATALOGUE:
                raise UserError(
                    f"The material “{material.name}” has an acoustic preset that is not in this version's"
                    " catalogue: choose another.",
                    material.name,
                )
            return AcousticChoice(CATALOGUE[own.preset], "set", own.preset)
        key = _guess(material.name)
        if key is not None:
            return AcousticChoice(CATALOGUE[key], "guessed", key)
    key = settings.default_material
    if key not in CATALOGUE:
        raise UserError("The scene's default acoustic material is not in this version's catalogue: choose another.")
    return AcousticChoice(CATALOGUE[key], "default", key)


def default_name(settings: bpy.types.PropertyGroup) -> str:
    """Name of what surfaces without a material of their own are taken for."""
    key = settings.default_material
    return CATALOGUE[key].name if key in CATALOGUE else key


def is_default(material: bpy.types.Material) -> bool:
    """Whether a material is neither set nor recognised by its name."""
    return material.acoustics.mode == "GUESS" and _guess(material.name) is None


@lru_cache(maxsize=4096)  # panels ask many times a second
def _guess(name: str) -> str | None:
    return guess(name)
