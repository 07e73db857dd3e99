"""The add-on's words in other languages, for Blender's own translation of interfaces.

Each file in `languages` is one language: its name is Blender's locale, it holds "operators" (names of operators),
"interface" (all other labels and tooltips) and "sentences" (texts with names or numbers in them, as {0} and {1}).
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from pathlib import Path

import bpy

FOLDER = Path(__file__).with_name("languages")
CONTEXTS = {"operators": "Operator", "interface": "*"}  # of Blender


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
    for pattern, sentence in _sentences(locale):
        found = pattern.fullmatch(text)
        if found is not None:
            return sentence.format(*found.groups())
    # What is said of an object: its name stays.
    name, colon, rest = text.partition(": ")
    return f"{name}: {translated(rest, locale)}" if colon else text


@cache
def _sentences(locale: str) -> list[tuple[re.Pattern, str]]:
    """The sentences with gaps, those with the most words of their own first."""
    found = language(locale).get("sentences", {})
    return [
        (re.compile(re.sub(r"\\\{\d\\\}", "(.+?)", re.escape(text)), re.DOTALL), found[text])
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
