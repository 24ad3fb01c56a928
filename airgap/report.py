"""How long work tells what it is doing: a protocol, and a plain-text default for use without `./stack`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO


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


class _TextStep:
    def __init__(self, title: str, stream: TextIO) -> None:
        self._title = title
        self._stream = stream

    def update(self, text: str) -> None:
        print(f"  {self._title}: {text}", file=self._stream, flush=True)


class TextReport:
    """Prints a line when a step starts, at each update, and when it ends with the seconds it took."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        started = time.monotonic()
        print(f"{title} ...", file=self._stream, flush=True)
        outcome = "failed"
        try:
            yield _TextStep(title, self._stream)
            outcome = "done"
        finally:
            seconds = time.monotonic() - started
            print(f"{title}: {outcome} in {seconds:.1f} s", file=self._stream, flush=True)

    def note(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
