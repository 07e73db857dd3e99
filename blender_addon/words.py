"""The add-on's words in other languages, for Blender's own translation of interfaces.

Each file in `languages` is one language: its name is Blender's locale, it holds "operators" (names of operators),
"interface" (all other labels, tooltips and messages) and "sentences" (texts with names or numbers in them, as {0} and
{1}). Messages of the worker come in English and are translated here, where people read them.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from pathlib import Path

import bpy

FOLDER = Path(__file__).with_name("languages")
CONTEXTS = {"operators": "Operator", "interface": "*"}  # of Blender
_END, _CLAUSE = re.compile(r"(?<=[.)]) (?=[A-Z“])"), re.compile("; ")  # where a sentence, or a part of one, ends


@cache
def language(locale: str) -> dict[str, dict[str, str]]:
    """What the file of a locale holds; empty where there is none."""
    file = FOLDER / f"{locale}.json"
    return json.loads(file.read_text(encoding="utf-8")) if locale and file.is_file() else {}


def said(text: str) -> str:
    """A text of ours in the language of the interface, also where names or numbers stand in it."""
    locale = bpy.app.translations.locale
    if not locale or not bpy.context.preferences.view.use_translate_interface:
        return text
    return translated(text, locale)


@lru_cache(maxsize=2000)  # panels ask many times a second
def translated(text: str, locale: str) -> str:
    """A text in a language; what that does not have stays as it is."""
    known = language(locale)
    for part in CONTEXTS:
        if text in known.get(part, {}):
            return known[part][text]
    pieces = _pieces(text, locale)
    if pieces and all(before != after for before, after, _ in pieces):
        return _joined(pieces)
    for pattern, sentence, names in _sentences(locale):
        found = pattern.fullmatch(text)
        if found is not None:
            gaps = enumerate(found.groups())
            return sentence.format(*(gap if number in names else _in_gap(gap, locale) for number, gap in gaps))
    if pieces:
        return _joined(pieces)
    if text.endswith("."):
        return f"{translated(text[:-1], locale)}."
    # What is said of an object: its name stays, but "“Door” moves: …" holds two texts of ours.
    name, colon, rest = text.partition(": ")
    if not colon:
        return text
    return f"{translated(name, locale) if '“' in name else name}: {translated(rest, locale)}"


def _pieces(text: str, locale: str) -> list[tuple[str, str, str]]:
    """The sentences of a text, else their parts, each as it is and translated, and the mark between them; or none."""
    for mark, end in ((" ", _END), ("; ", _CLAUSE)):
        if len(parts := end.split(text)) > 1:
            return [(part, translated(part, locale), mark) for part in parts]
    return []


def _joined(pieces: list[tuple[str, str, str]]) -> str:
    return pieces[0][2].join(after for _, after, _ in pieces)


def _in_gap(text: str, locale: str) -> str:
    """What stands in a sentence: another text of ours, or a name or a number, which stays."""
    words = text.strip()
    return text.replace(words, translated(words, locale)) if " " in words else text


@cache
def _sentences(locale: str) -> list[tuple[re.Pattern, str, frozenset[int]]]:
    """The sentences with gaps, those with the most words of their own first, and which gaps are names in quotes."""
    found = language(locale).get("sentences", {})
    return [
        (
            re.compile(re.sub(r"\\\{\d\\\}", "(.*?)", re.escape(text)), re.DOTALL),
            found[text],
            frozenset(map(int, re.findall(r"“\{(\d)\}”", text))),
        )
        for text in sorted(found, key=len, reverse=True)
    ]


def register() -> None:
    """Hand all languages to Blender."""
    table = {}
    for file in FOLDER.glob("*.json"):
        known = language(file.stem)
        texts = known["interface"] | known["operators"]
        # A button that bears another text than its operator looks for it among the operators.
        table[file.stem] = {(context, text): word for context in CONTEXTS.values() for text, word in texts.items()}
        table[file.stem] |= {("*", text): word for text, word in known["interface"].items()}
    bpy.app.translations.register(__package__, table)


def unregister() -> None:
    """Undo `register`."""
    bpy.app.translations.unregister(__package__)
