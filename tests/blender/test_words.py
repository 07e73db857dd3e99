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
import naf_core
from blender_addon import presets, words
from naf_core.materials import CATALOGUE, GROUPS

SOURCES = [file for file in sorted(Path(blender_addon.__file__).parent.glob("*.py")) if file.stem != "command"]
LANGUAGES = sorted(file.stem for file in words.FOLDER.glob("*.json"))
KINDS = (
    bpy.types.AddonPreferences,
    bpy.types.Menu,
    bpy.types.Operator,
    bpy.types.Panel,
    bpy.types.PropertyGroup,
)
# Calls and assignments whose texts people read; the rest of a call are names and icons.
CALLS = {"said": 0, "Finding": 0, "Remedy": 1, "fix": 1, "UserError": 0, "warn": 0, "stage": 1, "append": 0}
NAMES = {
    "_NOT_SOLID",
    "_SAID",
    "reason",
    "text",
    "label",
    "message",
    "head",
    "who",
    "ways",
    "remedy",
    "where",
    "when",
    "which",
    "span",
    "how",
}
FUNCTIONS = {
    "why_silent",
    "text",
    "words",
    "_words",
    "time_left",
    "_merged",
    "_problem",
    "_size_warnings",
    "_said_of_leaks",
}
# Of the acoustics, what speaks to people who bake; messages on files that only the add-on writes end with these words.
CORE = Path(naf_core.__file__).parent
SPEAKING = (
    *("answers", "bake", "crew", "delivery", "export", "field", "findings", "floormap", "hrir", "impulses", "job"),
    *("painting", "picture", "recorded", "refinement", "refining", "sound", "source", "standing", "sureness"),
    *("placed", "soundness", "stemfile", "stems"),
)
AMONG_PROGRAMS = re.compile(
    r".*(write the job again|write it again|give the full path|be paired|--command)\..*|The (job's|map's \{0\}) .*"
    r"|.*(octave band|at every|ear height|map's noise|map's frame|other times|three numbers|no Speaker of the job).*"
    r"|.*(of another material|at the surface|above the floor|maximum of frames|_grid).*"
    r"|.*(motion of a job|lowest and a highest|processes. A script|frame \{0\} lies|less than no triangles).*"
)
SOURCES += [CORE / f"{name}.py" for name in SPEAKING]
# The same in all languages: units, formats, names of standards.
SAME = re.compile(
    r"[\d.,]+ k?Hz|WAV|FLAC|SOFA|dB\(A\)|Hz|Viridis|Cividis|Inferno|Stereo (XY|ORTF|AB)|Surround [\d.]+|Mono"
    r"|Research SOFA|VR ambiX 3"
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
    found = {("interface", name) for name in (*GROUPS, *(material.name for material in CATALOGUE.values()))}
    found |= {("interface", file.stem.replace("_", " ")) for file in Path(presets._SHIPPED).rglob("presets/*/*/*.py")}
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                tuples = name != "append" or any(isinstance(argument, ast.Tuple) for argument in node.args)
                if name in CALLS and len(node.args) > CALLS[name] and tuples:
                    found |= texts(node.args[CALLS[name]])
                if name in ("operator", "label", "prop", "column"):
                    found |= {item for k in node.keywords if k.arg in ("text", "heading") for item in texts(k.value)}
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in NAMES:
                found |= texts(node.value)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                for target, value in zip(node.targets[0].elts, getattr(node.value, "elts", ()), strict=False):
                    found |= texts(value) if getattr(target, "id", "") in NAMES else set()
            elif isinstance(node, ast.AugAssign) and getattr(node.target, "id", "") in NAMES:
                found |= texts(node.value)
            elif isinstance(node, ast.For) and getattr(node.target, "id", "") in NAMES:
                found |= {item for text in getattr(node.iter, "elts", ()) for item in texts(text)}
            elif isinstance(node, ast.FunctionDef) and node.name in FUNCTIONS:
                returned = [part.value for part in ast.walk(node) if isinstance(part, ast.Return | ast.Yield)]
                found |= {item for value in returned if value is not None for item in texts(value)}
            elif isinstance(node, ast.Yield) and node.value is not None:
                found |= texts(node.value)
    return {(part, text.strip(" :,")) for part, text in found if not AMONG_PROGRAMS.fullmatch(text)}


def texts(node: ast.AST) -> set[tuple[str, str]]:
    """The texts that an expression may be, or may hold."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "replace":  # of the marks in its numbers
        return texts(node.func.value)
    if isinstance(node, ast.Tuple):  # a message and whom it concerns
        return texts(node.elts[0]) if node.elts else set()
    if isinstance(node, ast.Dict):
        return {item for value in node.values for part in getattr(value, "elts", [value]) for item in texts(part)}
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search("[A-Za-z]{2}", node.value):
        return {("sentences" if "{0}" in node.value else "interface", node.value)}
    if isinstance(node, ast.JoinedStr):
        gaps = iter(range(10))
        text = "".join(p.value if isinstance(p, ast.Constant) else f"{{{next(gaps)}}}" for p in node.values)
        held = {item for part in node.values if isinstance(part, ast.FormattedValue) for item in texts(part.value)}
        return held | ({("sentences", text)} if re.search("[A-Za-z]{3}", re.sub(r"\{\d\}", "", text)) else set())
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
    for entries in words.language(locale).values():
        for text, word in entries.items():
            assert word.strip() == word and word, text
            assert sorted(re.findall(r"\{\d\}", word)) == sorted(re.findall(r"\{\d\}", text)), text
            assert word.endswith("…") == text.endswith("…"), text
            assert word.endswith(".") == text.endswith("."), text
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


@pytest.mark.parametrize(
    ("text", "german"),
    [
        ("“Bake” moves: 3 states of the room, about 15 s of scanning.", "„Bake“ bewegt sich: 3 Zustände des Raums"),
        ("“A” and 2 more move by little or is small: sound meets it as at frame 7.", "„A“ und 2 weitere bewegen"),
        ("The worker was ended by SIGKILL before it was done. It last said:\nno memory", "wurde durch SIGKILL"),
        ("There is no loudness map. “Floor” has no area: choose another object for the map.", "„Floor“ hat keine"),
        ("“Copy”: 3 triangles lie exactly on others, and of 2 more objects; of two materials there either one is heard",
         "“Copy”: 3 Dreiecke liegen genau auf anderen, und von 2 weiteren Objekten; von zwei Materialien"),
        ("“Box” is inside an object at frame 4, so what is heard is a guess: move it to where people can stand.",
         "„Box“ ist bei Bild 4 in einem Objekt; was zu hören ist"),
        ("Refined. Mean errors of 10 traced pairs: T30 2.10 → 1.05 %, C50 0.50 → 0.41 dB, G 0.40 → 0.20 dB.",
         "Verfeinert. Mittlere Fehler von 10 verfolgten Paaren: T30 2.10 → 1.05 %, C50 0.50 → 0.41 dB, G 0.40"),
        ("The sound of “Radio”, /sounds/radio.wav, is not there: choose it again, or use File > External Data > Find"
         " Missing Files.", "Der Klang von „Radio“, /sounds/radio.wav, ist nicht da"),
        ("“Hidden” is shut in by “Box”: no way through the air leads to any Speaker; move it, open that object, or let"
         " sound ignore it", "„Hidden“ ist von „Box“ eingeschlossen: Kein Weg durch die Luft führt zu irgendeinem"),
    ],
)  # fmt: skip
def test_messages_of_several_parts_are_put_together(text: str, german: str) -> None:
    assert german in words.translated(text, "de_DE")


def test_every_error_and_warning_is_told_in_the_language_of_the_interface(scene, acoustics, monkeypatch) -> None:
    monkeypatch.setattr(words, "said", lambda text: words.translated(text, "de_DE"))
    reports = [node for source in SOURCES for node in reports_of(source)]
    assert len(reports) > 30
    for source, call in reports:
        told = ast.unparse(call.args[1])
        assert told.startswith("said(") or "words(values)" in told, f"{source}: {told}"


def reports_of(source: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.report":
            yield source.name, node
