"""The lane that gives way begins a test when there is room on the machine, or when patience ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.harness.give_way import ALL_SECONDS, LOOK_SECONDS, MOST_SECONDS, PRESSURE, Patience, waited_us


class Machine:
    """Look by look, something waits for a core there for a part of the time; at last for all of it."""

    def __init__(self, parts: Sequence[float] = ()) -> None:
        self._parts = list(parts)
        self._waited = 0.0

    def waited_us(self) -> int:
        return int(self._waited * 1e6)

    def sleep(self, seconds: float) -> None:
        self._waited += seconds * (self._parts.pop(0) if self._parts else 1.0)


def patience(*parts: float) -> Patience:
    machine = Machine(parts)
    return Patience(machine.waited_us, machine.sleep)


def test_a_machine_with_room_is_looked_at_once() -> None:
    assert patience(0.7).wait() == LOOK_SECONDS


def test_it_begins_as_soon_as_there_is_room() -> None:
    assert patience(1.0, 0.95, 1.0, 0.5).wait() == 4 * LOOK_SECONDS


def test_it_begins_in_the_end_and_waits_no_longer_than_a_run_may_take() -> None:
    always_full = patience()
    waits = [always_full.wait() for _ in range(20)]
    assert waits[0] == MOST_SECONDS
    assert sum(waits) == ALL_SECONDS


@pytest.mark.skipif(not PRESSURE.exists(), reason="a kernel without pressure stall information")
def test_the_kernel_tells_how_long_something_waited() -> None:
    assert waited_us() >= 0
