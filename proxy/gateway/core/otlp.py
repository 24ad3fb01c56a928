"""Spans as OTLP has them, in its JSON form (OpenTelemetry protocol, version 1: `trace.proto`).

Identifiers are hexadecimal there, 64-bit numbers text, enums numbers. A span is made a text as soon as it
ends, so that no batch has to be put together at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from gateway import __version__

SERVER: Final = 2
CLIENT: Final = 3
"""`SpanKind`."""

ERROR: Final = 2
"""`StatusCode`."""

HAS_REMOTE: Final = 0x100
REMOTE: Final = 0x200
"""`SpanFlags`: it is known whether the parent is in another process, and it is."""

MOST_TEXT: Final = 1024
"""Characters of a text; what clients send may be longer."""

Attributes = Mapping[str, str | int | list[str]]


def span_text(
    *, name: str, kind: int, trace: int, span: int, parent: int, flags: int, start: int, end: int,
    attributes: Attributes, error: bool,
) -> str:  # fmt: skip
    """One span. Times in nanoseconds since 1970; `parent` is 0 for a trace that begins here."""
    remote = REMOTE if kind == SERVER and parent else 0
    found: dict[str, object] = {
        "traceId": f"{trace:032x}",
        "spanId": f"{span:016x}",
        "flags": flags | HAS_REMOTE | remote,
        "name": name[:MOST_TEXT],
        "kind": kind,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(end),
        "attributes": list_of(attributes),
    }
    if parent:
        found["parentSpanId"] = f"{parent:016x}"
    if error:
        found["status"] = {"code": ERROR}
    return json.dumps(found, separators=(",", ":"))


def list_of(attributes: Attributes) -> list[dict[str, object]]:
    """Attributes as a list of keys and values."""
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: str | int | list[str]) -> dict[str, object]:
    if isinstance(value, str):
        return {"stringValue": value[:MOST_TEXT]}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"arrayValue": {"values": [_value(one) for one in value]}}


def request_body(resource: Attributes, spans: Iterable[str]) -> bytes:
    """An `ExportTraceServiceRequest` of these spans, of one process."""
    about = json.dumps({"attributes": list_of(resource)}, separators=(",", ":"))
    scope = json.dumps({"name": "multicluster-gateway", "version": __version__}, separators=(",", ":"))
    return (
        f'{{"resourceSpans":[{{"resource":{about},"scopeSpans":[{{"scope":{scope},"spans":['
        f"{','.join(spans)}]}}]}}]}}"
    ).encode("ascii")


def rejected_spans(answer: bytes) -> int:
    """How many spans a receiver says that it did not take (`ExportTracePartialSuccess`), in its answer."""
    try:
        found = json.loads(answer)
        return max(int(found["partialSuccess"]["rejectedSpans"]), 0)
    except (ValueError, KeyError, TypeError, OverflowError):
        return 0  # as nearly always, or in a form that says nothing
