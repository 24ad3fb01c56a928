"""Spans in the JSON form of OTLP, read by the official messages."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from proxy.otlp import request_of

from gateway import __version__
from gateway.core import otlp
from gateway.core.otlp import Attributes, rejected_spans, request_body, span_text


def text(kind: int = otlp.SERVER, parent: int = 7, *, error: bool = False, **attributes: Attributes) -> str:
    return span_text(
        name="GET /x", kind=kind, trace=1 << 127, span=3, parent=parent, flags=1,
        start=1_700_000_000_123_456_789, end=1_700_000_000_999_999_999, attributes=attributes, error=error,
    )  # fmt: skip


def test_a_batch_is_a_request_of_the_protocol() -> None:
    body = request_body({"service.name": "a"}, [text(), text(otlp.CLIENT, error=True), text(parent=0)])
    (spans,) = request_of(body).resource_spans
    assert [(one.key, one.value.string_value) for one in spans.resource.attributes] == [("service.name", "a")]
    (scope,) = spans.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("multicluster-gateway", __version__)
    server, client, root = scope.spans
    assert server.trace_id == bytes([128, *[0] * 15])
    assert (server.span_id, server.parent_span_id) == (bytes([*[0] * 7, 3]), bytes([*[0] * 7, 7]))
    assert (server.kind, client.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert server.start_time_unix_nano == 1_700_000_000_123_456_789
    assert server.end_time_unix_nano == 1_700_000_000_999_999_999
    assert (server.status.code, client.status.code) == (Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR)
    assert (root.parent_span_id, server.flags, client.flags, root.flags) == (b"", 0x301, 0x101, 0x101)


def test_attributes_are_texts_numbers_and_lists() -> None:
    body = request_body({}, [text(a="b", number=2**53 + 1, several=["x", "y"])])  # type: ignore[arg-type]
    attributes = {
        one.key: one.value for one in request_of(body).resource_spans[0].scope_spans[0].spans[0].attributes
    }
    assert attributes["a"].string_value == "b"
    assert attributes["number"].int_value == 2**53 + 1, "no number of JavaScript's"
    assert [one.string_value for one in attributes["several"].array_value.values] == ["x", "y"]


@given(st.text(max_size=2000))
def test_whatever_a_client_sends_is_a_text_of_bounded_length(value: str) -> None:
    value = value.encode("utf-8", "ignore").decode()
    (span,) = request_of(request_body({}, [text(a=value)])).resource_spans[0].scope_spans[0].spans  # type: ignore[arg-type]
    assert span.attributes[0].value.string_value == value[: otlp.MOST_TEXT]


def test_what_a_receiver_did_not_take_is_read_from_its_answer() -> None:
    def answered(rejected: object) -> int:
        return rejected_spans(json.dumps({"partialSuccess": {"rejectedSpans": rejected}}).encode())

    assert [answered(3), answered("3"), answered(0), answered(-1)] == [3, 3, 0, 0]
    for answer in (
        b"",
        b"{}",
        b"\xff",
        b"[]",
        b'{"partialSuccess": null}',
        b'{"partialSuccess": {}}',
        b"null",
    ):
        assert rejected_spans(answer) == 0, answer
    assert answered("many") == answered(float("inf")) == 0
