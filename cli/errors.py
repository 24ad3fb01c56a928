"""The one error a command ends with: a message for the user, no traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can correct. The message names the value, where it is, the reason and what to do."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
