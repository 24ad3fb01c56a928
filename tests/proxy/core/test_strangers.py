"""How many handshakes with whoever has proved nothing are let begin."""

from __future__ import annotations

from gateway.core import strangers
from gateway.core.strangers import AT_ONCE, LEAST_UNDER_WAY, MOST_SOURCES, PER_SECOND, Strangers

ONE, OTHER = b"192.0.2.1", b"192.0.2.2"
MUCH = 1 << 40


def begun(them: Strangers, source: bytes, now: float, tries: int) -> int:
    """Of so many that fail, one after the other."""
    count = 0
    for _ in range(tries):
        if them.begin(source, now):
            count += 1
            them.end(source, now, proved=False)
    return count


def test_who_fails_has_a_number_at_once_and_a_few_more_with_time() -> None:
    them = Strangers(MUCH, 1)
    assert begun(them, ONE, 0.0, 2 * AT_ONCE) == AT_ONCE
    assert begun(them, OTHER, 0.0, 5) == 5, "another address has its own"
    assert begun(them, ONE, 1.0, AT_ONCE) == PER_SECOND
    assert begun(them, ONE, 10_000.0, 2 * AT_ONCE) == AT_ONCE, "it never has more"


def test_who_proves_to_be_somebody_uses_nothing_up() -> None:
    them = Strangers(MUCH, 1)
    for _ in range(3 * AT_ONCE):
        assert them.begin(ONE, 0.0)
        them.end(ONE, 0.0, proved=True)
    assert begun(them, ONE, 0.0, 2 * AT_ONCE) == AT_ONCE


def test_those_under_way_take_a_part_of_the_memory() -> None:
    them = Strangers(4 * 100 * 1000, 1000)
    assert them.most_under_way == 100
    assert [them.begin(b"%d" % number, 0.0) for number in range(101)] == [True] * 100 + [False]
    them.end(b"0", 0.0, proved=False)
    assert them.begin(ONE, 0.0)
    assert Strangers(0, 1000).most_under_way == LEAST_UNDER_WAY


def test_many_addresses_together_have_no_more_than_all_may() -> None:
    them = Strangers(MUCH, 1)
    assert them.begin(ONE, 0.0)
    them.end(ONE, 0.0, proved=True)
    count = sum(begun(them, b"10.0.%d.%d" % divmod(number, 256), 0.0, 10) for number in range(1000))
    assert count == strangers.ALL_AT_ONCE
    assert begun(them, ONE, 0.0, 5) == 5, "where somebody has proved who they are others are not counted"
    assert begun(them, OTHER, 0.0, 5) == 0
    assert begun(them, OTHER, 0.5, 100) == 100 * 0.5


def test_addresses_are_forgotten_but_for_those_that_have_proved_something() -> None:
    them = Strangers(MUCH, 1)
    assert begun(them, ONE, 0.0, 2 * AT_ONCE) == AT_ONCE
    for number in range(MOST_SOURCES):
        them.begin(b"p%d" % number, float(number))
        them.end(b"p%d" % number, float(number), proved=True)
    now = float(MOST_SOURCES)
    assert begun(them, b"new", now, 1) == 1, "so many others, and all of them proved something"
    assert len(them._sources) < MOST_SOURCES, "a bound on memory"


def test_half_an_address_of_ipv6_is_one_source() -> None:
    them = Strangers(MUCH, 1)
    assert begun(them, b"2001:db8:1:2:3:4:5:6", 0.0, 2 * AT_ONCE) == AT_ONCE
    assert begun(them, b"2001:db8:1:2:ffff:4:5:6", 0.0, 1) == 0
    assert begun(them, b"2001:db8:1:3:3:4:5:6", 0.0, 1) == 1
