"""How much is held, what is refused then, and who loses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limits import WRITE_HIGH_BYTES, WRITE_SHORT_BYTES
from gateway.core.meter import READ_BYTES, SMALL_BYTES, Meter, losers

LIMIT = 64 << 20


def meter(held: int = 0) -> Meter:
    made = Meter(LIMIT)
    made.counted(0, held, 0)
    return made


def test_memory_is_short_from_three_quarters_on_and_no_more_below_five_eighths() -> None:
    one = Meter(64)
    assert [(one.counted(0, held, 0), one.full) for held in (48, 49, 41, 40, 41)] == [
        (False, False), (True, True), (False, True), (True, False), (False, False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("held", "over", "body", "extra", "refused"),
    [
        (0, False, -1, 1 << 20, False),
        (LIMIT, False, 0, 0, False),
        (LIMIT, False, SMALL_BYTES, 0, False),
        (LIMIT, False, SMALL_BYTES + 1, 0, True),
        (LIMIT, False, -1, 0, True),
        (LIMIT, False, 0, 1, True),
        (LIMIT, True, 0, 0, True),
    ],
)
def test_while_memory_is_short_only_small_requests_begin(
    held: int, over: bool, body: int, extra: int, refused: bool
) -> None:
    one = meter(held)
    one.over = over
    assert one.refuses(body, extra) is refused


def test_who_is_told_that_memory_is_short_costs_something_too() -> None:
    one = meter(LIMIT * 13 // 16)
    assert (one.full, one.crowded) == (True, False)
    one.came = LIMIT // 8
    assert one.crowded
    one.full = False
    assert not one.crowded


def test_of_what_is_not_read_less_is_kept_where_memory_is_small_or_short() -> None:
    assert Meter(1 << 30).write_high == WRITE_HIGH_BYTES
    assert Meter(LIMIT).write_high == LIMIT // 512
    assert Meter(1).write_high == WRITE_SHORT_BYTES
    assert meter(LIMIT).write_high == WRITE_SHORT_BYTES


def test_a_count_is_asked_for_once_and_reading_stops_when_half_may_be_used() -> None:
    one, calls = Meter(LIMIT), list[str]()
    one.ask()
    assert one.due, "and nobody counts before there is somebody who does"
    one.counted(0, 0, 0)
    one.on_due = lambda: calls.append("due")
    one.on_hold = lambda: calls.append("hold")
    one.came = one.slack + 1
    one.ask()
    one.ask()
    assert calls == ["due"]
    one.came = LIMIT // 2 + 1
    one.ask()
    one.ask()
    assert (calls, one.holding) == (["due", "hold"], True)


def test_after_a_count_as_many_read_as_there_is_room_for() -> None:
    one, released = meter(), list[int]()
    one.holding = True
    waiting: list[Callable[[], None]] = [partial(released.append, number) for number in range(100)]
    one.waiting.extend(waiting)
    assert one.released() == waiting[: LIMIT // 4 // READ_BYTES]
    one.came = LIMIT // 4
    assert (len(one.released()), one.holding) == (1, True), "somebody always goes on"
    one.ask()
    assert one.released() == [], "not before the count that is due"
    one.counted(0, LIMIT * 2, 0)
    assert len(one.released()) == LIMIT // 32 // READ_BYTES
    while len(one.waiting) > 1:
        one.waiting.pop()
    assert (len(one.released()), len(one.waiting), one.holding) == (1, 0, False)


@given(st.lists(st.tuples(st.sampled_from("cdr"), st.integers(0, 1 << 20)), max_size=60))
def test_what_is_held_never_passes_the_limit_by_more_than_what_one_turn_of_the_loop_brings(
    events: list[tuple[str, int]],
) -> None:
    """Connections that take bytes only while they may, and give all of them back in the end."""
    one = Meter(4 << 20)
    held = dict.fromkeys(range(8), 0)
    reading = set(held)

    def hold() -> None:
        one.waiting.extend(partial(reading.add, number) for number in reading)
        reading.clear()

    one.on_hold = hold
    for what, size in events:
        number = size % len(held)
        if what == "c":
            one.counted(0, sum(held.values()), 0)
            holders = [(b"", bytes_) for bytes_ in held.values()]
            for lost in losers(holders, one.excess()):
                held[lost] = 0
            while one.waiting:
                for go_on in one.released():
                    go_on()
            assert sum(held.values()) <= one.limit + len(held) * SMALL_BYTES
        elif what == "d":
            held[number] = 0
        elif number in reading:
            more = min(size, READ_BYTES)
            held[number] += more
            one.came += more
            if one.came > one.slack:
                one.ask()
        assert sum(held.values()) <= one.limit + READ_BYTES
    one.counted(0, 0, 0)
    assert (one.held, one.excess(), one.came, one.full) == (0, 0, 0, False)


def test_the_largest_of_the_source_that_holds_most_loses_first() -> None:
    kib = 1024
    holders = [(b"a", 100 * kib), (b"b", 90 * kib), (b"b", 80 * kib), (b"a", 10 * kib), (b"c", 150 * kib)]
    assert losers(holders, 1) == [1], "b holds most together"
    assert losers(holders, 90 * kib + 1) == [1, 4]
    assert losers(holders, 1 << 30) == [1, 4, 0, 2], "who holds little is not cut"
    assert losers([], 1) == losers(holders, 0) == []
