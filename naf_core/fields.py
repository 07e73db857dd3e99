"""Values of a JSON file that comes from elsewhere: each is read with its type and size checked."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from naf_core.errors import UserError

MAX_JSON_BYTES = 64_000_000
MAX_TEXT = 4096


class Fields:
    """A JSON object, ``where`` it stands for messages; its readers raise UserError on values of another kind."""

    def __init__(self, values: object, where: object) -> None:
        if not isinstance(values, dict):
            raise UserError(f"{where} is not a JSON object: write the job again.")
        self._values, self._where = values, where

    def _get(self, key: str, kind: tuple[type, ...], what: str) -> Any:
        value = self._values.get(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and bool not in kind):
            raise UserError(f"“{key}” in {self._where} is not {what}: write the job again.")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        return _finite(self._get(key, (int, float), "a number"), key, self._where)

    def whole(self, key: str) -> int:
        """A whole number."""
        return self._get(key, (int,), "a whole number")

    def flag(self, key: str) -> bool:
        """True or false."""
        return self._get(key, (bool,), "true or false")

    def text(self, key: str) -> str:
        """A text of at most MAX_TEXT characters."""
        value = self._get(key, (str,), "a text")
        if len(value) > MAX_TEXT or "\0" in value:
            raise UserError(f"“{key}” in {self._where} is no usable text: write the job again.")
        return value

    def numbers(self, key: str, most: int) -> tuple[float, ...]:
        """At most ``most`` finite numbers."""
        values = self._get(key, (list,), "a list of numbers")
        if len(values) > most or not all(type(x) in (int, float) for x in values):
            raise UserError(f"“{key}” in {self._where} is not a list of at most {most} numbers.")
        return tuple(_finite(x, key, self._where) for x in values)

    def has(self, key: str) -> bool:
        """Whether there is a value."""
        return self._values.get(key) is not None

    def part(self, key: str) -> Fields | None:
        """A JSON object within this one, None where there is none."""
        return Fields(self._values[key], f"“{key}” in {self._where}") if self.has(key) else None

    def wholes(self, key: str, most: int) -> tuple[int, ...]:
        """At most ``most`` whole numbers."""
        values = self.numbers(key, most)
        if any(value != int(value) for value in values):
            raise UserError(f"“{key}” in {self._where} is not a list of whole numbers: write the job again.")
        return tuple(map(int, values))

    def texts(self, key: str, most: int) -> tuple[str, ...]:
        """At most ``most`` texts."""
        values = self._get(key, (list,), "a list of texts")
        if len(values) > most or not all(isinstance(x, str) for x in values):
            raise UserError(f"“{key}” in {self._where} is not a list of at most {most} texts.")
        return tuple(values)

    def entries(self, key: str, most: int) -> list[Fields]:
        """At most ``most`` JSON objects."""
        values = self._get(key, (list,), "a list")
        if len(values) > most:
            raise UserError(f"“{key}” in {self._where} has {len(values)} entries: use {most} at most.")
        return [Fields(value, f"“{key}” {number} in {self._where}") for number, value in enumerate(values)]


def read_json(path: Path) -> object:
    """The parsed JSON file, with NaN and infinity refused; raises UserError when it is missing or damaged."""

    def refuse(word: str) -> float:
        raise ValueError(f"{word} is not a number")

    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise UserError(f"{path} is larger than {MAX_JSON_BYTES // 1_000_000} MB: it is no job.")
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give the folder of a job.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): write the job again.") from error


def _finite(value: float, key: str, where: object) -> float:
    if abs(value) > 1e300 or not math.isfinite(value):
        raise UserError(f"“{key}” in {where} is not a finite number: write the job again.")
    return float(value)
