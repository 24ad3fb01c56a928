"""What a caller says of its trace, and what is told on (W3C Trace Context)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.trace_context import (
    TraceContext,
    is_sampled,
    read_trace_context,
    traced_field,
    without_trace,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


def said(*values: str) -> TraceContext | None:
    fields = "".join(f"\r\nTraceParent:{value}" for value in values)
    return read_trace_context(b"\r\nHost: x" + fields.encode() + b"\r\ntracestate: a=1")


def test_what_a_caller_says_is_read() -> None:
    assert said(f" {GOOD}\t") == TraceContext(int(TRACE, 16), int(SPAN, 16), 1)
    assert said(f"00-{TRACE}-{SPAN}-00") == TraceContext(int(TRACE, 16), int(SPAN, 16), 0)
    assert said() is None


@pytest.mark.parametrize(("flags", "kept"), [("03", 3), ("02", 2), ("ff", 3), ("fc", 0)], ids=str)
def test_of_the_flags_those_with_a_meaning_are_kept(flags: str, kept: int) -> None:
    context = said(f"00-{TRACE}-{SPAN}-{flags}")
    assert context is not None
    assert context.flags == kept


@pytest.mark.parametrize("value", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes-later"])
def test_of_a_later_version_the_part_that_is_known_counts(value: str) -> None:
    assert said(value) == TraceContext(int(TRACE, 16), int(SPAN, 16), 1)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        GOOD[:-1],
        f"{GOOD}-more",
        f"{GOOD}0",
        f"cc-{TRACE}-{SPAN}-01x",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00 {TRACE} {SPAN} 01",
        f"{GOOD}, {GOOD}",
        f"00-{TRACE}-{SPAN}-0\N{LATIN SMALL LETTER E WITH ACUTE}",
    ],
)
def test_what_is_malformed_counts_as_nothing(value: str) -> None:
    assert said(value) is None


def test_two_of_them_count_as_nothing() -> None:
    assert said(GOOD, GOOD) is None
    assert said(GOOD, "") is None


def test_other_fields_of_a_similar_name_are_none_of_it() -> None:
    assert read_trace_context(f"\r\nX-traceparent: {GOOD}\r\ntraceparent-x: {GOOD}".encode()) is None
    assert read_trace_context(f"\r\nReferer: traceparent: {GOOD}".encode()) is None


def test_the_state_stays_with_a_context_that_counts_and_goes_with_one_that_does_not() -> None:
    fields = f"\r\nHost: x\r\nTRACEPARENT: {GOOD}\r\nTraceState: a=1\r\ntracestate: b=2\r\nA: b".encode()
    assert without_trace(fields, said(GOOD)) == b"\r\nHost: x\r\nTraceState: a=1\r\ntracestate: b=2\r\nA: b"
    assert without_trace(fields, None) == b"\r\nHost: x\r\nA: b"


@given(
    st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3)
)  # fmt: skip
def test_what_is_told_on_is_what_the_next_one_reads(trace: int, span: int, flags: int) -> None:
    assert read_trace_context(traced_field(trace, span, flags)) == TraceContext(trace, span, flags)


@given(st.binary(max_size=80))
def test_no_bytes_do_any_harm(value: bytes) -> None:
    context = read_trace_context(b"\r\ntraceparent:" + value)
    assert context is None or (context.trace and context.parent and context.flags < 4)


def test_the_part_that_is_recorded_is_exact_over_many_and_the_same_for_all() -> None:
    drawn = random.Random(1)  # noqa: S311
    traces = [drawn.getrandbits(128) for _ in range(20_000)]
    for part in (0.01, 0.25, 0.5):
        assert sum(is_sampled(trace, part) for trace in traces) / len(traces) == pytest.approx(part, rel=0.2)
    assert not any(is_sampled(trace, 0.0) for trace in traces)
    assert all(is_sampled(trace, 1.0) for trace in traces)
    some = {trace for trace in traces if is_sampled(trace, 0.1)}
    assert some < {trace for trace in traces if is_sampled(trace, 0.3)}, "who records more records these too"
    high = 1 << 100
    assert is_sampled(high | 2**56 - 1, 0.001), "by the bits that are random alone"
