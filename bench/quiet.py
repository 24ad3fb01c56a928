"""How quiet the machine was while something was measured."""

from __future__ import annotations

import os
from pathlib import Path

IDLE, IOWAIT = 3, 4
"""Positions in the first line of /proc/stat, see proc_stat(5)."""


class Quiet:
    """From its making on."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]
        self._before = _times()

    def told(self) -> str:
        """A note for the page."""
        return note(
            self._load,
            [now - then for now, then in zip(_times(), self._before, strict=True)],
            first=os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR),
        )


def note(load: float, spent: list[int], *, first: bool) -> str:
    """`load`: average when it began. `spent`: time by kind, as /proc/stat counts it. `first`: whether what is
    measured runs before all that is not. Pure."""
    idle = (spent[IDLE] + spent[IOWAIT]) / (sum(spent) or 1)
    order = ", but what is measured ran before all else (`chrt --fifo 1`)" if first else ""
    return (
        f"When it began the load average was {load:.0f}; while it went on the cores were idle for "
        f"{idle:.0%} of the time{order}."
    )


def _times() -> list[int]:
    """All cores together; a guest's time is within the user's and is left out."""
    return [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
