"""Which trace a request belongs to, and what the next one is told of it: W3C Trace Context, in its level 1.

https://www.w3.org/TR/trace-context-1/. Whoever calls may send anything: what is no traceparent, or is there
twice, counts as none, and its tracestate goes with it (section 4.2). What is told on is always of version 00.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.core.heads import without

TRACEPARENT: Final = re.compile(rb"\r\ntraceparent:([^\r]*)", re.IGNORECASE)
VALUE: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
"""Lower case alone (section 3.2). Later versions may go on behind a dash (section 4.3)."""

NAMES: Final = frozenset((b"traceparent", b"tracestate"))

SAMPLED: Final = 1
RANDOM: Final = 2
"""Flag of level 2: the last 7 bytes of the trace's identifier are random. It stays with the identifier."""

ID_BITS: Final = 56
"""Bits of a trace's identifier that are random, and by which it is sampled."""


class TraceContext(NamedTuple):
    """What a caller says of its trace."""

    trace: int
    parent: int
    """Its span."""
    flags: int
    """Those with a meaning: `SAMPLED` when who records is to record it, and `RANDOM`."""


def read_trace_context(fields: bytes) -> TraceContext | None:
    """What these fields of a head say. None: nothing, or nothing that counts."""
    found = TRACEPARENT.findall(fields)
    if len(found) != 1:
        return None
    match = VALUE.fullmatch(found[0].strip(b" \t"))
    if match is None:
        return None
    version, more = match[1], match[5]
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    trace, parent = int(match[2], 16), int(match[3], 16)
    if not trace or not parent:
        return None
    return TraceContext(trace, parent, int(match[4], 16) & (SAMPLED | RANDOM))


def without_trace(fields: bytes, context: TraceContext | None) -> bytes:
    """The fields without what `traced_field` says; without a context that counts, also without what its
    sender keeps in it."""
    return without(fields, NAMES if context is None else {b"traceparent"})


def traced_field(trace: int, span: int, flags: int) -> bytes:
    """The field by which the next one is told: this span is the parent of its own."""
    return b"\r\ntraceparent: 00-%032x-%016x-%02x" % (trace, span, flags)


def is_sampled(trace: int, part: float) -> bool:
    """Whether a trace is among this part of all, from 0 to 1.

    By the bits that are random, so that all who sample by them agree: those at or above the threshold, as
    OpenTelemetry's specification of TraceState probability sampling has it.
    """
    return trace & ((1 << ID_BITS) - 1) >= round((1.0 - part) * (1 << ID_BITS))
