"""How long work tells what it is doing: a protocol that `./stack` fulfils."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Step(Protocol):
    """One piece of work under way."""

    def update(self, text: str) -> None:
        """Say what is happening now; replaces the text said before."""


class Report(Protocol):
    """Where progress goes. `./stack` gives its own."""

    def step(self, title: str) -> AbstractContextManager[Step]:
        """Open a step; leaving the block closes it, an exception marks it failed."""

    def note(self, text: str) -> None:
        """Say one thing the user should know."""


class SupplyError(Exception):
    """The supply cannot be made. The message says what, where, why and the way out."""
