"""A receiver of OTLP over HTTP that reads what it gets by OpenTelemetry's own messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

IDS = ("traceId", "spanId", "parentSpanId")


def request_of(body: bytes) -> ExportTraceServiceRequest:
    """The message. OTLP's JSON has identifiers in hexadecimal, in which alone it differs from protobuf's."""

    def based(found: dict[str, Any]) -> dict[str, Any]:
        changed = {key: base64.b64encode(bytes.fromhex(found[key])).decode() for key in IDS if key in found}
        return {**found, **changed}

    message = ExportTraceServiceRequest()
    json_format.Parse(json.dumps(json.loads(body, object_hook=based)), message)
    return message


class Receiver:
    """What came, and what is answered to it: `answer` gives it for each request, if it is to be another."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.requests: list[ExportTraceServiceRequest] = []
        self.answer: Callable[[], bytes] = lambda: answered(b"{}")
        self.port = 0

    async def start(self, net: Any) -> str:
        """The URL of it."""

        def reply(head: bytes, body: bytes) -> bytes:
            self.heads.append(head)
            self.requests.append(request_of(body))
            return self.answer()

        self.port = await net.app(reply)
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for found in request.resource_spans
            for scope in found.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, Any]:
        return values(self.requests[0].resource_spans[0].resource)


def answered(body: bytes, status: bytes = b"200 OK", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n%b\r\n%b" % (
        status,
        len(body),
        fields,
        body,
    )


def values(holder: Any) -> dict[str, Any]:
    """Attributes of a span or a resource."""
    return {one.key: _value(one.value) for one in holder.attributes}


def _value(value: Any) -> Any:
    if value.HasField("array_value"):
        return [_value(one) for one in value.array_value.values]
    return getattr(value, value.WhichOneof("value"))
