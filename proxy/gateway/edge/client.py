"""An HTTP/1.1 client connection: reads requests one by one, writes answers, refuses what is malformed."""

from __future__ import annotations

import asyncio
from typing import cast

from gateway.core.answers import H2_REFUSAL, HEALTH_CHECK_ANSWER, NOT_FOUND_TEXT, make_answer
from gateway.core.body import Body, ChunkedBody, EndlessBody, LengthBody, passed_on
from gateway.core.errors import ProtocolError
from gateway.core.forward import MAX_HOPS, continued_fields, forwarded_fields, response_head
from gateway.core.heads import CHUNKED, head_end
from gateway.core.limits import LINGER_BYTES, LINGER_SECONDS, READ_AHEAD_BYTES, WRITE_HIGH_BYTES
from gateway.core.request import H2_PREFACE, RequestHead, parse_request_head
from gateway.core.response import ResponseHead
from gateway.edge.accesslog import quoted
from gateway.edge.downstream import FOREVER, Downstream, Downstreams
from gateway.edge.exchange import Exchange
from gateway.edge.headcache import UNKNOWN_IDENTITY, CachedHead
from gateway.edge.registry import Listener, Registry
from gateway.edge.runtime import Runtime


class Client(Downstream):
    """An asyncio.Protocol in all but descent, which a compiled class cannot have.

    States: between requests (`exchange` None), in an exchange, or lingering (answered for good, input
    dropped).
    """

    __slots__ = (
        "all", "body", "buffer", "cache", "exchange", "forwarded", "forwarded_host", "linger_end",
        "lingered", "listener", "queued", "reading", "registry", "runtime", "service_port", "transport",
    )  # fmt: skip

    transport: asyncio.Transport
    body: Body
    """Finds the end of the request's body; set when it has one."""

    def __init__(
        self, registry: Registry, downstreams: Downstreams, listener: Listener, service_port: int = 0
    ) -> None:
        """`service_port`: the listening port, when it may stand for one Service; else 0."""
        super().__init__(by_path=listener is Listener.NORTH_SOUTH)
        self.all = downstreams
        self.runtime: Runtime = registry.runtime
        self.registry = registry
        self.listener = listener
        self.service_port = service_port
        cache = registry.requests[listener]
        self.cache = cache.part(service_port) if service_port else cache
        self.forwarded_host = b""
        self.forwarded = b""
        """What is told the application about the Host asked for last: seldom another one on a connection."""
        self.buffer = b""
        """Bytes read ahead: an unfinished head, or pipelined requests while one is under way."""
        self.exchange: Exchange | None = None
        self.lingered = -1
        """Bytes dropped since the final answer; -1 while the connection is in use."""
        self.linger_end = 0.0
        self.queued = False
        """A pipelined request in `buffer` is about to be read."""
        self.reading = True

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        runtime = self.runtime
        runtime.metrics.connections += 1
        self.all.add(self)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0].encode() if isinstance(peer, tuple) else b"unknown"
        self.trusted = self.peer in runtime.trusted
        # Browsers and pools open connections ahead: until its first byte one is idle, as between requests.
        self.deadline = runtime.now + runtime.idle_seconds
        if len(self.all.open) > runtime.limits.clients:
            self.refuse(503, "too many connections", "overload")

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self.all.discard(self)
        exchange, self.exchange = self.exchange, None
        self.buffer = b""
        if exchange is not None:
            exchange.client_lost()

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is not None:
            if exchange.wants_body:
                self._read_body(exchange, data)
            else:
                self.buffer += data
                self.update_reading()
        elif self.queued:
            self.buffer += data
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

    def update_reading(self) -> None:
        """Read from the socket only while what arrives can be passed on or fits the bounds."""
        if self.exchange is not None and self.exchange.wants_body:
            wanted = self.exchange.can_take_body
        else:
            wanted = len(self.buffer) < READ_AHEAD_BYTES
        if wanted != self.reading and not self.transport.is_closing():
            self.reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    # Requests

    def read_request(self, data: bytes) -> None:
        """`data` begins where a request begins."""
        cached = self.cache.entries.get(data)
        if cached is not None:  # a whole head and nothing else, as most requests arrive
            self.buffer = b""
            self._begin(cached, b"")
            return
        limits = self.runtime.limits
        held, self.buffer = self.buffer, data
        if data[:2] == b"\r\n":  # one empty line before a request is allowed, for old clients' sake
            data = data[2:]
        try:
            end = head_end(data, limits.head_bytes)
            if not end:
                # From the head's first byte on, however slowly the others come; an empty line is not one.
                if data and not held.strip(b"\r\n"):
                    self.deadline = self.runtime.now + limits.head_seconds
                return
            self.buffer = b""
            raw = data[:end] if end < len(data) else data
            cached = self.cache.entries.get(raw) or self._read_head(raw)
        except ProtocolError as error:
            self.buffer = b""
            self.refuse(error.status, str(error), "malformed")
            return
        if cached is not None:
            self._begin(cached, data[end:] if end < len(data) else b"")

    def _read_head(self, raw: bytes) -> CachedHead | None:
        """Read and route a head not seen before. None: it was answered here. ProtocolError: refuse it."""
        limits = self.runtime.limits
        if raw == H2_PREFACE:
            self.refuse_http2()
            return None
        head = parse_request_head(raw, limits)
        if limits.body_bytes is not None and head.length > limits.body_bytes:
            raise ProtocolError(f"body longer than {limits.body_bytes} bytes", 413)
        if head.hops >= MAX_HOPS:
            raise ProtocolError(f"request has passed {head.hops} gateways: routes form a loop", 508)
        snapshot = self.registry.snapshot
        if head.identity is not None:  # only where gateways meet, and then by nothing else
            route = snapshot.identified(head.identity) if self.by_path else None
        elif self.by_path:
            route = snapshot.from_outside(head.host, head.path)
        else:
            route = snapshot.ports.get(self.service_port) or snapshot.hosts.find(head.host)
        cached = CachedHead(head, route, None if route is None else self.registry.state(route))
        if route is None and head.identity is not None:
            cached.nowhere = UNKNOWN_IDENTITY
        elif route is None and not self.by_path and (text := snapshot.hosts.ambiguity(head.host)):
            cached.nowhere = (421, text, "ambiguous-host")
        self.cache.keep(raw, cached)
        return cached

    def _begin(self, cached: CachedHead, rest: bytes) -> None:
        """Begin an exchange; `rest` is what came behind the head."""
        head = cached.head
        if head.health_check and head.length == 0 and self.by_path:  # gateways ask north-south
            self._answer_health_check(cached, rest)
            return
        self.exchange = exchange = Exchange(self.runtime, self, cached)
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

    def _answer_health_check(self, cached: CachedHead, rest: bytes) -> None:
        """Say whether a request like this would reach an application, without sending it to one."""
        head, state = cached.head, cached.state
        status = 404
        if state is None:
            status, text, reason = cached.nowhere
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
            # Through the loop: a client that pipelines many requests must neither recurse nor starve the
            # others.
            self.buffer = data
            self.queued = True
            self.runtime.loop.call_soon(self._next)
        elif self.runtime.stopping:
            self.transport.close()

    def _next(self) -> None:
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
        return self.logged

    # Answers

    def interim(self, answer: ResponseHead, raw: bytes) -> None:
        self.transport.write(response_head(answer, raw, trusted=False))

    def answer_head(
        self, head: RequestHead, answer: ResponseHead, raw: bytes, *,
        trusted: bool, close: bool, decode: bool, extra: bytes,
    ) -> bytes:  # fmt: skip
        keep_for_1_0 = head.minor == 0 and not close
        return response_head(
            answer, raw, trusted=trusted, close=close, keep_for_1_0=keep_for_1_0, decode=decode, extra=extra
        )

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def send_own(self, head: RequestHead, status: int, text: str, *, refused: str, close: bool) -> int:
        out = make_answer(
            status, text, refused=refused, close=close, head_only=head.method == b"HEAD", minor=head.minor,
            to_gateway=head.hops > 0,
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
        else:
            self.transport.abort()

    def finish_soon(self) -> None:
        if self.exchange is None and not self.buffer and self.lingered < 0:
            self.transport.close()

    def is_closing(self) -> bool:
        return self.transport.is_closing()

    def end_writing(self) -> bool:
        if self.transport.is_closing() or not self.transport.can_write_eof():
            return False
        self.transport.write_eof()
        return True

    def close(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()
