"""Requests of a gateway that traces: which are recorded, and the spans of those that are.

One span is for the hop, of the kind that a server makes, and below it one for each attempt at an endpoint,
as a client makes them: the next one's parent is that of the attempt which reaches it.
"""

from __future__ import annotations

from time import time_ns

from gateway.core.answers import UNANSWERED
from gateway.core.hop_spans import client_attributes, is_error, path_of, server_attributes, span_name
from gateway.core.otlp import CLIENT, SERVER, span_text
from gateway.core.response import ResponseHead
from gateway.core.trace_context import SAMPLED, read_trace_context, traced_field, without_trace
from gateway.edge.downstream import Downstream
from gateway.edge.exchange import Exchange
from gateway.edge.routed import RoutedHead
from gateway.edge.runtime import Runtime
from gateway.edge.tracer import Tracer
from gateway.edge.upstream import Upstream


def traced(runtime: Runtime, downstream: Downstream, routed: RoutedHead, tracer: Tracer) -> Exchange:
    """The exchange of a request, which is recorded or not.

    Of one that is not, a caller's word goes on as it came; without one, the next are told that nobody
    records: else each gateway on the way would decide by itself.
    """
    head = routed.head
    context = read_trace_context(head.kept)
    trace, flags = tracer.begin(context)
    if flags & SAMPLED:
        parent = 0 if context is None else context.parent
        fields = without_trace(head.kept, context)
        return TracedExchange(runtime, downstream, routed, tracer, fields, trace, parent, flags)
    if context is None:
        fields = without_trace(head.kept, None)
        head.kept = fields + traced_field(trace, tracer.span_id(), flags)
    return Exchange(runtime, downstream, routed)


class TracedExchange(Exchange):
    """An exchange that is recorded."""

    __slots__ = (
        "answered", "attempt", "attempt_began", "began", "fault", "fields", "flags", "parent", "resent",
        "span", "trace", "tracer",
    )  # fmt: skip

    def __init__(  # noqa: PLR0917  all that a trace is
        self, runtime: Runtime, downstream: Downstream, routed: RoutedHead, tracer: Tracer, fields: bytes,
        trace: int, parent: int, flags: int,
    ) -> None:  # fmt: skip
        """`fields` are those that go on, without what is told of the trace. `parent` is the caller's span, 0
        for none."""
        super().__init__(runtime, downstream, routed)
        self.tracer = tracer
        self.fields = fields
        self.trace = trace
        self.parent = parent
        self.flags = flags
        self.span = tracer.span_id()
        self.began = self.attempt_began = time_ns()
        self.attempt = 0
        """Span of the attempt under way, once it has reached an endpoint."""
        self.resent = 0
        """Attempts that were recorded."""
        self.answered = 0
        """Status of the answer to it."""
        self.fault = ""
        """What went wrong with it."""

    def connected(self, upstream: Upstream) -> None:
        self.attempt = self.tracer.span_id()
        self.head.kept = self.fields + traced_field(self.trace, self.attempt, self.flags)
        super().connected(upstream)

    def upstream_answer(self, answer: ResponseHead, data: bytes) -> None:
        self.answered = answer.status
        super().upstream_answer(answer, data)

    def fail(self, status: int, text: str, reason: str, *, refused: bool = False) -> None:
        self.fault = self.fault or reason
        super().fail(status, text, reason, refused=refused)

    def _attempt_failed(self, message: str, *, status: int, certain: bool) -> None:
        self.fault = "unreachable" if certain else UNANSWERED
        super()._attempt_failed(message, status=status, certain=certain)

    def _end_attempt(self) -> None:
        super()._end_attempt()
        if self.attempt or self.fault:  # else it was never made: all connections are busy
            self._record_attempt()
        self.attempt = self.answered = 0
        self.fault = ""
        self.attempt_began = time_ns()

    def _record_attempt(self) -> None:
        pick = self.attempts.pick
        attributes = client_attributes(
            self.head, self.routed.target, pick.health.endpoint, cluster=pick.state.cluster.key,
            resent=self.resent,
        )  # fmt: skip
        self._record(
            CLIENT, span_name(self.head), self.attempt or self.tracer.span_id(), self.span,
            self.attempt_began, attributes, self.answered, self.fault,
        )  # fmt: skip
        self.resent += 1

    def _finish(self, reason: str) -> None:
        if self.ended:
            return
        self.fault = self.fault or reason
        super()._finish(reason)
        pick = self.attempts.pick if self.attempts.count else None
        route = self.routed.route
        attributes = server_attributes(
            self.head, route, client=self.downstream.peer.decode("latin-1"),
            cluster="" if pick is None else pick.state.cluster.key,
            reason=reason or ("" if pick is None else pick.reason),
            attempts=self.attempts.count, request_id=self.request_id,
        )  # fmt: skip
        name = span_name(self.head, "" if route is None else path_of(route))
        self._record(SERVER, name, self.span, self.parent, self.began, attributes, self.status, reason)

    def _record(  # noqa: PLR0917  all that a span is
        self, kind: int, name: str, span: int, parent: int, began: int,
        attributes: dict[str, str | int | list[str]], status: int, fault: str,
    ) -> None:  # fmt: skip
        if not self.tracer.has_room():
            return
        error = is_error(status, fault, client=kind == CLIENT)
        if status:
            attributes["http.response.status_code"] = status
        if error:
            attributes["error.type"] = fault or str(status)
        text = span_text(
            name=name, kind=kind, trace=self.trace, span=span, parent=parent, flags=self.flags, start=began,
            end=time_ns(), attributes=attributes, error=error,
        )  # fmt: skip
        self.tracer.record(text)
