"""Everything that the interface says has a translation, and no translation is of something that it does not say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest

import blender_addon
from blender_addon import words

SOURCES = sorted(Path(blender_addon.__file__).parent.glob("*.py"))
LANGUAGES = sorted(file.stem for file in words.FOLDER.glob("*.json"))
KINDS = (
    bpy.types.AddonPreferences,
    bpy.types.Menu,
    bpy.types.Operator,
    bpy.types.Panel,
    bpy.types.PropertyGroup,
)
# Calls and assignments whose texts people read; the rest of a call are names and icons.
CALLS = {"said": 0, "Finding": 0, "Remedy": 1, "_fix": 1}
NAMES = {"reason", "text", "label"}
# The same in all languages: units, formats, names of standards.
SAME = re.compile(
    r"[\d.,]+ k?Hz|WAV|FLAC|SOFA|dB\(A\)|Hz|Viridis|Cividis|Inferno|Stereo (XY|ORTF|AB)|Surround [\d.]+|Mono"
)


def subclasses(kind: type) -> Iterator[type]:
    for cls in kind.__subclasses__():
        yield cls
        yield from subclasses(cls)


def named_by_blender() -> set[tuple[str, str]]:
    """Part and text of all that Blender itself translates: names and descriptions of what we register."""
    found: set[tuple[str, str]] = set()
    for kind in KINDS:
        for cls in subclasses(kind):
            if not cls.__module__.startswith(blender_addon.__name__) or not cls.is_registered:
                continue
            if kind in (bpy.types.Panel, bpy.types.Menu):
                found.add(("interface", cls.bl_label))
                continue
            rna = cls.bl_rna
            if kind is bpy.types.Operator:
                group, name = cls.bl_idname.split(".")
                rna = getattr(getattr(bpy.ops, group), name).get_rna_type()
                found |= {("operators", rna.name), ("interface", rna.description)}
            own = [p for p in rna.properties if p.identifier not in kind.bl_rna.properties and not p.is_hidden]
            for prop in own:
                found |= {("interface", prop.name), ("interface", prop.description)}
                if prop.type == "ENUM" and prop.identifier not in ("preset", "default_material"):
                    found |= {("interface", text) for item in prop.enum_items for text in (item.name, item.description)}
    return {(part, text) for part, text in found if text}


def read_by_people() -> set[tuple[str, str]]:
    """Part and text of what the source draws, warns of and refuses; texts with values in them become sentences."""
    found: set[tuple[str, str]] = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in CALLS and len(node.args) > CALLS[name]:
                    found |= texts(node.args[CALLS[name]])
                if name in ("operator", "label", "prop"):
                    found |= {item for k in node.keywords if k.arg == "text" for item in texts(k.value)}
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                if node.targets[0].id in NAMES and source.stem in ("checklist", "inside", "operators", "upkeep"):
                    found |= texts(node.value)
            elif isinstance(node, ast.For) and getattr(node.target, "id", "") in NAMES:
                found |= {item for text in getattr(node.iter, "elts", ()) for item in texts(text)}
            elif isinstance(node, ast.Return) and source.stem in ("checklist", "surfaces"):
                value = node.value.elts[0] if isinstance(node.value, ast.Tuple) else node.value
                found |= texts(value) if value is not None else set()
    return found


def texts(node: ast.AST) -> set[tuple[str, str]]:
    """The texts that an expression may be."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search("[A-Za-z]{2}", node.value):
        return {("interface", node.value)}
    if isinstance(node, ast.JoinedStr):
        gaps = iter(range(10))
        text = "".join(p.value if isinstance(p, ast.Constant) else f"{{{next(gaps)}}}" for p in node.values)
        return {("sentences", text)} if re.search("[A-Za-z]{3}", re.sub(r"\{\d\}", "", text)) else set()
    return set()


def wanted() -> set[tuple[str, str]]:
    return {(part, text) for part, text in named_by_blender() | read_by_people() if not SAME.fullmatch(text)}


@pytest.mark.parametrize("locale", LANGUAGES)
def test_everything_has_its_words(locale: str) -> None:
    known = words.language(locale)
    # A button may bear the name of an operator, which is known already.
    missing = [text for part, text in wanted() if text not in known[part] and text not in known["operators"]]
    assert sorted(missing) == []
    said = {text for _, text in wanted()}
    assert sorted(text for entries in known.values() for text in entries if text not in said) == []


@pytest.mark.parametrize("locale", LANGUAGES)
def test_translations_keep_gaps_and_marks(locale: str) -> None:
    for part, entries in words.language(locale).items():
        for text, word in entries.items():
            assert word.strip() == word and word, text
            assert sorted(re.findall(r"\{\d\}", word)) == sorted(re.findall(r"\{\d\}", text)), text
            assert word.endswith("…") == text.endswith("…"), text
            if part != "sentences":
                assert not word.endswith("."), text
            for unit in ("dB(A)", "dBTP", "LUFS", "kPa", "(m)", "STI", "T30", "C50", "D50", "ISO 3382-1"):
                assert (unit in text) == (unit in word), (text, unit)


def test_names_and_numbers_stay_in_sentences() -> None:
    assert words.translated("and 3 more", "de_DE") == "und 3 weitere"
    assert words.translated("Active camera: Büro", "de_DE") == "Aktive Kamera: Büro"
    assert words.translated("Radio: muted", "de_DE") == "Radio: stumm"
    assert words.translated("“a” and “b” say nothing", "de_DE") == "“a” and “b” say nothing"
    assert words.translated("Bake", "xx_XX") == "Bake"


def test_blender_gets_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}
    translations = SimpleNamespace(register=lambda package, table: given.update(table))
    monkeypatch.setattr(words, "bpy", SimpleNamespace(app=SimpleNamespace(translations=translations)))
    words.register()
    assert given["de_DE"]["Operator", "Bake Acoustics"] == "Akustik backen"
    assert given["de_DE"]["*", "Ear Height (m)"] == "Ohrhöhe (m)"
