"""An HTTP/1.1 client connection: reads requests one by one, writes answers, refuses what is malformed."""

from __future__ import annotations

import asyncio
from typing import cast

from gateway.core.answers import H2_REFUSAL, HEALTH_CHECK_ANSWER, NOT_FOUND_TEXT, SHORT_TEXT, make_answer
from gateway.core.body import Body, ChunkedBody, EndlessBody, LengthBody, passed_on
from gateway.core.errors import ProtocolError
from gateway.core.forward import continued_fields, forwarded_fields, response_head
from gateway.core.heads import CHUNKED
from gateway.core.limits import LINGER_BYTES, LINGER_SECONDS, TOLD_CLIENTS
from gateway.core.meter import CONNECTION_BYTES
from gateway.core.peers import Caller
from gateway.core.request import H2_PREFACE, RequestHead
from gateway.core.response import ResponseHead
from gateway.edge.accesslog import quoted
from gateway.edge.connection import Connection
from gateway.edge.downstream import FOREVER, Downstreams
from gateway.edge.exchange import Exchange
from gateway.edge.registry import Listener, Registry
from gateway.edge.routed import RoutedHead
from gateway.edge.tls import CLOSED
from gateway.edge.traced import traced


class Client(Connection):
    """An asyncio.Protocol in all but descent, which a compiled class cannot have.

    States: between requests (`exchange` None), in an exchange, or lingering (answered for good, input
    dropped). In an exchange it is never closed, but cut off: a gateway at the other end that is told the end
    of TLS knows by it that nothing was read of what it sent last (`Upstream.untaken`).
    """

    __slots__ = (
        "all", "body", "caller", "forwarded", "forwarded_host", "linger_end", "lingered", "listener",
        "queued", "registry", "service_port",
    )  # fmt: skip

    body: Body
    """Finds the end of the request's body; set when it has one."""

    def __init__(
        self, registry: Registry, downstreams: Downstreams, listener: Listener, service_port: int = 0
    ) -> None:
        """`service_port`: the listening port, when it may stand for one Service; else 0."""
        super().__init__(registry.runtime, by_path=listener is not Listener.EAST_WEST)
        self.all = downstreams
        self.registry = registry
        self.listener = listener
        self.service_port = service_port
        self.caller: Caller | None = None
        """The gateway at the other end, by its certificate."""
        self.forwarded_host = b""
        self.forwarded = b""
        """What is told the application about the Host asked for last, seldom another one."""
        self.lingered = -1
        """Bytes dropped since the final answer; -1 while it is in use."""
        self.linger_end = 0.0
        self.queued = False
        """A request in `buffer` is about to be read: soon, or when what was answered before is taken."""

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        runtime = self.runtime
        runtime.metrics.connections += 1
        self.all.add(self)
        meter = self.meter
        meter.came += CONNECTION_BYTES
        if meter.came > meter.slack:
            meter.ask()
        self.transport.set_write_buffer_limits(high=meter.write_high)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0].encode() if isinstance(peer, tuple) else b"unknown"
        self.trusted = self.peer in runtime.trusted
        # Browsers and pools open connections ahead: until its first byte one is idle, as between requests.
        self.deadline = runtime.now + runtime.idle_seconds
        clients, most = len(self.all.open), runtime.limits.clients
        if clients > most + TOLD_CLIENTS or meter.crowded:
            runtime.metrics.answered(503, "overload" if clients > most else "memory")
            self.transport.abort()  # even those who are told cost something
        elif clients > most:
            self.refuse(503, "too many connections", "overload")
        elif meter.full:
            self.refuse(503, SHORT_TEXT, "memory")

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self.all.discard(self)
        exchange, self.exchange = self.exchange, None
        self.buffer = b""
        if exchange is not None:
            exchange.client_lost()

    def data_received(self, data: bytes) -> None:
        meter = self.meter
        meter.came += len(data)
        if meter.came > meter.slack:
            meter.ask()
        exchange = self.exchange
        if exchange is not None:
            if exchange.wants_body:
                self._read_body(exchange, data)
            else:
                self.buffer += data
                self.update_reading()
        elif self.lingered < 0 and (self.queued or self.write_blocked):
            self.queued = True
            self.buffer += data
            self.update_reading()
        elif self.lingered < 0:
            self.read_request(self.buffer + data if self.buffer else data)
        else:
            self.lingered += len(data)
            if self.lingered > LINGER_BYTES:
                self.transport.abort()
            else:
                self.deadline = min(self.runtime.now + self.runtime.limits.linger_seconds, self.linger_end)

    def eof_received(self) -> bool:
        return self.exchange is not None and self.exchange.client_eof()

    def pause_writing(self) -> None:
        self.write_blocked = True
        if self.exchange is not None:
            self.exchange.client_writable()

    def resume_writing(self) -> None:
        self.write_blocked = False
        if self.exchange is not None:
            self.exchange.client_writable()
        elif self.queued:
            self.runtime.loop.call_soon(self._next)

    # Another gateway at the other end, over mutual TLS

    def await_handshake(self) -> None:
        """Only then it is known who is there, and requests come."""
        self.deadline = self.runtime.now + self.runtime.limits.head_seconds

    def identified(self, caller: Caller) -> None:
        """Who is there, from now on."""
        self.caller = caller
        self.logged = ""

    def handshake_done(self) -> None:
        self.deadline = self.runtime.now + self.runtime.idle_seconds

    def handshake_failed(self, reason: str, detail: str) -> None:
        self.deadline = self.runtime.now + self.runtime.limits.linger_seconds
        if self.runtime.log is not None and reason != CLOSED:  # as load balancers do, who try out the port
            record = {"listener": self.listener.value, "client": self.peer.decode()}
            self.runtime.log.write_record({**record, "reason": f"tls-{reason}", "detail": detail})

    # Requests

    def read_request(self, data: bytes) -> None:
        """`data` begins where a request begins."""
        held, self.buffer = self.buffer, b""
        began = data
        if data.startswith(b"\r\n"):  # one empty line before a request is allowed, for old clients' sake
            data = data[2:]
        try:
            routed = self.registry.read_head(
                data, self.service_port, by_path=self.by_path, caller=self.caller
            )
        except ProtocolError as error:
            if data.startswith(H2_PREFACE):
                self.refuse_http2()
            else:
                self.refuse(error.status, str(error), "malformed")
            return
        if routed is not None:
            end = len(routed.head.raw)
            self._begin(routed, data[end:] if end < len(data) else b"")
            return
        self.buffer = began
        # From the head's first byte on, however slowly the others come; an empty line is not one.
        if data and not held.strip(b"\r\n"):
            self.deadline = self.runtime.now + self.runtime.limits.head_seconds
        if data and self.meter.full:
            self.refuse(503, SHORT_TEXT, "memory")

    def _begin(self, routed: RoutedHead, rest: bytes) -> None:
        """Begin an exchange; `rest` is what came behind the head."""
        head = routed.head
        if head.health_check and head.length == 0 and self.by_path:  # gateways ask north-south
            self._answer_health_check(routed, rest)
            return
        if self.meter.full and self.meter.refuses(head.length, routed.loose):
            self.refuse(503, SHORT_TEXT, "memory")
            return
        runtime, tracer = self.runtime, self.runtime.tracer
        self.exchange = exchange = (
            Exchange(runtime, self, routed) if tracer is None else traced(runtime, self, routed, tracer)
        )
        if head.length == CHUNKED:
            self.body = ChunkedBody(self.runtime.limits.body_bytes)
        elif head.length:
            self.body = LengthBody(head.length)
        if rest:
            if exchange.wants_body:
                self._read_body(exchange, rest)
                if exchange.ended:
                    return
            else:
                self.buffer = rest
                self.update_reading()
        exchange.start()

    def _read_body(self, exchange: Exchange, data: bytes) -> None:
        """Bytes of the body, perhaps followed by the next request."""
        try:
            end = self.body.feed(data, 0)
        except ProtocolError as error:
            exchange.fail(error.status, str(error), "malformed")
            return
        if 0 <= end < len(data):
            self.buffer = data[end:]
        exchange.body_data(passed_on(self.body, data, 0, end), last=end >= 0)
        self.update_reading()

    def _answer_health_check(self, routed: RoutedHead, rest: bytes) -> None:
        """Say whether a request like this would reach an application, without sending it to one."""
        head, state = routed.head, routed.state
        status = 404
        if state is None:
            status, text, reason = routed.nowhere
            out = make_answer(status, text, refused=reason)
        elif not state.available(self.runtime.now):
            out = make_answer(404, NOT_FOUND_TEXT, refused="no-endpoints")
        else:
            status, out = 204, HEALTH_CHECK_ANSWER
        if head.identity is None or state is None:
            # Anybody can ask so: whoever tries out what is served here is seen.
            path = head.path.partition(b"?")[0].decode("latin-1")
            self._note(status, "health-check", target=path)
        self.transport.write(out)
        self._go_on(rest) if head.keep_alive else self.linger()

    def _go_on(self, data: bytes) -> None:
        """Wait for the next request, which begins with `data`."""
        self.deadline = self.runtime.now + self.runtime.idle_seconds
        if not self.reading:
            self.update_reading()
        if data:
            # Through the loop: who pipelines many requests must neither recurse nor starve the others.
            self.buffer = data
            self.queued = True
            if not self.write_blocked:  # else when what was answered is taken: nobody may hoard answers
                self.runtime.loop.call_soon(self._next)
        elif self.runtime.stopping:
            self.transport.close()

    def _next(self) -> None:
        if self.write_blocked or not self.queued:
            return
        self.queued = False
        if self.exchange is None and self.lingered < 0 and not self.transport.is_closing() and self.buffer:
            data, self.buffer = self.buffer, b""
            self.read_request(data)

    def forwarded_fields(self, head: RequestHead) -> bytes:
        if self.trusted and head.forwarded is not None:
            return continued_fields(head, self.peer)
        host = head.host
        if self.forwarded_host != host or not self.forwarded:
            self.forwarded_host = host
            self.forwarded = forwarded_fields(self.peer, host)
        return self.forwarded

    def describe(self) -> str:
        self.logged = f'"listener":"{self.listener.value}","client":{quoted(self.peer.decode())}'
        if self.caller is not None:
            self.logged += f',"caller":{quoted(self.caller.key)}'
        return self.logged

    # Answers

    def interim(self, answer: ResponseHead) -> None:
        self.transport.write(response_head(answer, trusted=False) or answer.head)

    def answer_head(
        self, head: RequestHead, answer: ResponseHead, *,
        trusted: bool, close: bool, decode: bool, extra: bytes,
    ) -> bytes:  # fmt: skip
        keep_for_1_0 = head.minor == 0 and not close
        return response_head(
            answer, trusted=trusted, close=close, keep_for_1_0=keep_for_1_0, decode=decode, extra=extra
        )

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def send_own(
        self, head: RequestHead, status: int, text: str, *, refused: str, unanswered: bool, close: bool
    ) -> int:
        out = make_answer(
            status, text, refused=refused, close=close, head_only=head.method == b"HEAD", minor=head.minor,
            to_gateway=head.hops > 0, unanswered=unanswered,
        )  # fmt: skip
        self.transport.write(out)
        return len(out)

    def exchange_done(self, *, keep: bool) -> None:
        if self.exchange is None:
            return
        self.exchange = None
        if not keep:
            self.linger()
            return
        data, self.buffer = self.buffer, b""
        self._go_on(data)

    def begin_tunnel(self) -> bytes:
        self.body = EndlessBody()
        early, self.buffer = self.buffer, b""
        return early

    # Ends

    def refuse(self, status: int, text: str, reason: str) -> None:
        """Answer outside an exchange, then close: after a malformed request nothing that follows can be
        trusted."""
        self._note(status, reason, detail=text)
        self.transport.write(make_answer(status, text, refused=reason, close=True))
        self.linger()

    def _note(self, status: int, reason: str, **more: str) -> None:
        """Count and log an answer outside an exchange."""
        runtime = self.runtime
        runtime.metrics.answered(status, reason)
        if runtime.log is not None:
            record = {"listener": self.listener.value, "client": self.peer.decode()}
            runtime.log.write_record({**record, "status": status, "reason": reason, **more})

    def refuse_http2(self) -> None:
        self.runtime.metrics.answered(505, "http2")
        self.transport.write(H2_REFUSAL)
        self.linger()

    def linger(self) -> None:
        """Send the end of our side, then drop what still comes.

        Closing at once would reset the connection of a client that still sends, and take the answer from it.
        """
        if self.transport.is_closing():
            return
        self.lingered = 0
        self.buffer = b""
        self.linger_end = self.runtime.now + LINGER_SECONDS
        self.deadline = self.runtime.now + self.runtime.limits.linger_seconds
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if not self.reading:
            self.reading = True
            self.transport.resume_reading()

    def expired(self) -> None:
        self.deadline = FOREVER
        if self.exchange is not None:
            self.exchange.expired()
        elif self.buffer and self.lingered < 0 and not self.queued:
            self.refuse(408, "request head not complete in time", "timeout")
        elif self.lingered < 0 and not self.transport.get_write_buffer_size():
            self.deadline = self.runtime.now + self.runtime.limits.linger_seconds
            self.transport.close()
        else:
            self.transport.abort()

    def finish_soon(self) -> None:
        if self.exchange is None and not self.buffer and self.lingered < 0:
            self.transport.close()
