"""A plugin of pytest for a lane that gives way: it begins no test while others need all of the machine.

Clusters on a machine that has more to run than it can miss their probes, and what is started again for that
takes more than there was. So a test begins in a moment in which something of a core is left, or after
`MOST_SECONDS`.
Without the kernel's pressure stall information (PSI) nothing waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

PRESSURE = Path("/proc/pressure/cpu")
LOOK_SECONDS = 0.5
FULL = 0.75
"""Part of the time in which something waited for a core. With thirty waiting for two cores, looks of half a
second see 0.8 to 1."""
MOST_SECONDS = 600.0
"""For one test."""
ALL_SECONDS = 1800.0
"""For all tests of a run, which must end in its time."""


class Patience:
    """How long tests have waited so far, and may."""

    def __init__(self, waited_us: Callable[[], int], sleep: Callable[[float], None]) -> None:
        """`waited_us`: microseconds so far in which something waited for a core."""
        self._waited_us, self._sleep = waited_us, sleep
        self.spent = 0.0

    def wait(self) -> float:
        """Seconds until there was room, or patience ended."""
        spent = 0.0
        while spent < MOST_SECONDS and self.spent + spent < ALL_SECONDS:
            before = self._waited_us()
            self._sleep(LOOK_SECONDS)
            spent += LOOK_SECONDS
            if self._waited_us() - before < FULL * LOOK_SECONDS * 1e6:
                break
        self.spent += spent
        return spent


def waited_us() -> int:
    """The kernel's count; see its documentation, accounting/psi."""
    return int(PRESSURE.read_text().splitlines()[0].rpartition("total=")[2])


_PATIENCE = Patience(waited_us, time.sleep)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Wait before a test and its fixtures."""
    if PRESSURE.exists():
        _PATIENCE.wait()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what it took."""
    terminalreporter.write_line(f"gave way to other lanes for {_PATIENCE.spent:.0f} s")
