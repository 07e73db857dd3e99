"""Errors and warnings that are written for the person at the desk."""

from __future__ import annotations


class UserError(Exception):
    """An error that names what is wrong, where, and the remedy.

    ``object_name`` is the scene object, material or file concerned, or None.
    """

    def __init__(self, message: str, object_name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.object_name = object_name
