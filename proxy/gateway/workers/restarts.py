"""Decides when a worker that ended is started again, and when that has become hopeless."""

from __future__ import annotations

from dataclasses import dataclass

STABLE_SECONDS = 10.0
"""A worker that lived this long after its start was well: its end begins a new count."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
HOPELESS_ENDS = 4
"""As many early ends of every worker, some two seconds after the first, are no accident any more."""


@dataclass
class _Life:
    since: float | None = None
    """When it had started; None while nothing runs, or has not got that far."""
    ends: int = 0
    """Early ends in a row."""

    def well(self, now: float) -> bool:
        return self.since is not None and now - self.since >= STABLE_SECONDS


class Restarts:
    """Starts and ends of all workers, by their number. Times are the caller's clock, in seconds."""

    def __init__(self, count: int) -> None:
        self._lives = [_Life() for _ in range(count)]

    def started(self, number: int, now: float) -> None:
        """It has started and answers: what comes before, however long, is no life."""
        self._lives[number].since = now

    def ended(self, number: int, now: float) -> float:
        """The pause before the next start: a tenth of a second, doubled with each early end."""
        life = self._lives[number]
        life.ends = 1 if life.well(now) else life.ends + 1
        life.since = None
        return min(FIRST_PAUSE_SECONDS * 2.0 ** min(life.ends - 1, 10), LONGEST_PAUSE_SECONDS)

    def hopeless(self, now: float) -> bool:
        """Whether all workers keep ending early. While one of them is well, there is something to keep up."""
        return all(life.ends >= HOPELESS_ENDS and not life.well(now) for life in self._lives)
