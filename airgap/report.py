"""What is being done, how far it is and how long it took.

On a terminal a running step is one live line; elsewhere (CI, a pipe) it is a line at its start, one at
most every fifteen seconds while it runs, and one at its end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status
from rich.table import Table

HEARTBEAT_SECONDS = 15.0
WIDTH_OF_LOGS = 140  # columns of a table that is not shown on a terminal
SHORTEST_SHOWN_SECONDS = 0.5  # of the summary; shorter steps say nothing


def output_console() -> Console:
    """Where results go: standard output, in a width of our own where nobody looks."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_LOGS)


@dataclass
class Step:
    """One running step; update() says what it is at now."""

    title: str
    console: Console
    status: Status | None
    started: float = field(default_factory=time.monotonic)
    spoken: float = field(default_factory=time.monotonic)

    def update(self, text: str) -> None:
        """Show progress within the step; cheap, may be called as often as wanted."""
        now = time.monotonic()
        if self.status is not None:
            self.status.update(f"{self.title}: {text} [dim]({now - self.started:.0f} s)[/dim]")
        elif now - self.spoken >= HEARTBEAT_SECONDS:
            self.spoken = now
            self.console.print(
                f"  … {self.title}: {text} ({now - self.started:.0f} s)", highlight=False, markup=False
            )


class Report:
    """Prints steps to standard error and remembers how long each took."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, soft_wrap=True)
        self.times: list[tuple[str, float]] = []
        self._depth = 0

    def note(self, text: str) -> None:
        """One line that stays."""
        self.console.print(text, highlight=False, markup=False)

    @contextmanager
    def step(self, title: str, *, live: bool = True) -> Iterator[Step]:
        """Run a step: shown while it runs, timed, marked failed when it raises.

        live=False leaves the terminal to a child process that draws its own progress.
        """
        live = live and self.console.is_terminal and self._depth == 0
        status = self.console.status(title) if live else None
        step = Step(title, self.console, status)
        self._depth += 1
        if status is not None:
            status.start()
        else:
            self.note(f"{'  ' * (self._depth - 1)}▶ {title}")
        mark = "✗"
        try:
            yield step
            mark = "✔"
        finally:
            self._depth -= 1
            if status is not None:
                status.stop()
            seconds = time.monotonic() - step.started
            self.note(f"{'  ' * self._depth}{mark} {title} ({seconds:.1f} s)")
            if self._depth == 0:
                self.times.append((title, seconds))

    def summary(self) -> None:
        """The times of the top-level steps that took noticeable time, and their sum."""
        table = Table(title="Where the time went", title_justify="left", box=None, pad_edge=False)
        table.add_column("step")
        table.add_column("seconds", justify="right")
        for title, seconds in self.times:
            if seconds >= SHORTEST_SHOWN_SECONDS:
                table.add_row(title, f"{seconds:.1f}")
        table.add_row("all", f"{sum(seconds for _, seconds in self.times):.1f}", style="bold")
        self.console.print(table)


class SupplyError(Exception):
    """The supply cannot be made. The message says what, where, why and the hint."""
