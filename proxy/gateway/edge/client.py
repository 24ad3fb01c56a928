"""One client connection: reads requests one after the other, writes answers, refuses what is malformed."""

from __future__ import annotations

import asyncio
from typing import cast

from gateway.core.answers import H2_REFUSAL, NOT_FOUND_TEXT, PROBE_ANSWER, make_answer
from gateway.core.balance import RouteState
from gateway.core.errors import ProtocolError
from gateway.core.forward import MAX_HOPS, forwarded_fields
from gateway.core.heads import head_end
from gateway.core.limits import LINGER_BYTES, READ_AHEAD_BYTES, WRITE_HIGH_BYTES
from gateway.core.request import H2_PREFACE, RequestHead, parse_request_head
from gateway.edge.accesslog import quoted
from gateway.edge.exchange import Exchange
from gateway.edge.memo import Known
from gateway.edge.sending import Sending
from gateway.edge.worker import Listener, Worker

FOREVER = float("inf")


class Client:
    """An asyncio.Protocol in all but descent, which a compiled class cannot have.

    States: between requests (`exchange` None), in an exchange, or lingering (answered for good, input
    dropped).
    """

    __slots__ = (
        "buffer",
        "deadline",
        "ended",
        "exchange",
        "forwarded",
        "forwarded_host",
        "lingered",
        "listener",
        "logged",
        "memo",
        "peer",
        "queued",
        "reading",
        "transport",
        "trusted",
        "worker",
        "write_blocked",
    )

    transport: asyncio.Transport

    def __init__(self, worker: Worker, listener: Listener) -> None:
        self.worker = worker
        self.listener = listener
        self.memo = worker.requests[listener]
        self.peer = b""
        self.logged = ""
        """What the access log says of it, once it has."""
        self.forwarded_host = b""
        self.forwarded = b""
        """What is told the application about the Host asked for last: seldom another one on a connection."""
        self.buffer = b""
        """Bytes read ahead: an unfinished head, or pipelined requests while one is under way."""
        self.exchange: Exchange | None = None
        self.deadline = FOREVER
        self.lingered = -1
        """Bytes dropped since the final answer; -1 while the connection is in use."""
        # Flags stand together: compiled, each is a byte, and there are as many of these as connections.
        self.trusted = False
        """The peer is a proxy whose forwarding fields are believed."""
        self.ended = False
        """The client has sent its last byte (half-close); answers may still be written."""
        self.queued = False
        """A pipelined request in `buffer` is about to be read."""
        self.reading = True
        self.write_blocked = False

    @property
    def by_path(self) -> bool:
        """Requests are routed by their path, not by Host."""
        return self.listener is Listener.NORTH_SOUTH

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        worker = self.worker
        worker.metrics.connections += 1
        worker.clients.add(self)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0].encode() if isinstance(peer, tuple) else b"unknown"
        self.trusted = self.peer in worker.trusted
        self.deadline = worker.now + worker.limits.head_seconds
        if len(worker.clients) > worker.limits.clients:
            self.refuse(503, "too many connections", "overload")

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        worker = self.worker
        worker.clients.discard(self)
        if not worker.clients:
            worker.idle_event.set()
        exchange, self.exchange = self.exchange, None
        self.buffer = b""
        if exchange is not None:
            exchange.client_lost()

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is not None:
            if exchange.wants_body:
                exchange.client_data(data)
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

    def eof_received(self) -> bool:
        self.ended = True
        if self.exchange is None:
            return self.queued
        return self.exchange.client_eof()

    def pause_writing(self) -> None:
        self.write_blocked = True
        if self.exchange is not None:
            self.exchange.update_upstream_reading()

    def resume_writing(self) -> None:
        self.write_blocked = False
        if self.exchange is not None:
            self.exchange.update_upstream_reading()

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
        known = self.memo.entries.get(data)
        if known is not None:  # a whole head and nothing else, as most requests arrive
            self.buffer = b""
            self._begin(known, b"")
            return
        limits = self.worker.limits
        held, self.buffer = self.buffer, data
        if data[:2] == b"\r\n":  # one empty line before a request is allowed, for old clients' sake
            data = data[2:]
        try:
            end = head_end(data, limits.head_bytes)
            if not end:
                # From the head's first byte on, however slowly the others come; an empty line is not one.
                if data and not held.strip(b"\r\n"):
                    self.deadline = self.worker.now + limits.head_seconds
                return
            self.buffer = b""
            raw = data[:end] if end < len(data) else data
            known = self.memo.entries.get(raw) or self._read_head(raw)
        except ProtocolError as error:
            self.buffer = b""
            self.refuse(error.status, str(error), "malformed")
            return
        if known is not None:
            self._begin(known, data[end:] if end < len(data) else b"")

    def _read_head(self, raw: bytes) -> Known | None:
        """Read and route a head not seen before. None: it was answered here. ProtocolError: refuse it."""
        worker = self.worker
        if raw == H2_PREFACE:
            self.refuse_http2()
            return None
        head = parse_request_head(raw, worker.limits)
        if worker.limits.body_bytes is not None and head.length > worker.limits.body_bytes:
            raise ProtocolError(f"body longer than {worker.limits.body_bytes} bytes", 413)
        if head.hops >= MAX_HOPS:
            raise ProtocolError(f"request has passed {head.hops} gateways: routes form a loop", 508)
        snapshot = worker.snapshot
        route = snapshot.paths.find(head.target) if self.by_path else snapshot.hosts.find(head.host)
        known = Known(head, route, None if route is None else worker.state(route))
        self.memo.keep(raw, known)
        return known

    def _begin(self, known: Known, rest: bytes) -> None:
        head = known.head
        if head.probe and head.length == 0:
            self._answer_probe(head, known.state, rest)
            return
        self.exchange = exchange = Exchange(self, known)
        exchange.start(rest)

    def _answer_probe(self, head: RequestHead, state: RouteState | None, rest: bytes) -> None:
        """Say whether a request like this would reach an application, without sending it to one."""
        worker = self.worker
        if state is None:
            out = make_answer(404, NOT_FOUND_TEXT, refused="no-route")
        elif not state.available(worker.now):
            out = make_answer(404, NOT_FOUND_TEXT, refused="no-endpoints")
        else:
            out = PROBE_ANSWER
        self.transport.write(out)
        self._go_on(rest) if head.keep_alive else self.linger()

    def exchange_done(self, exchange: Sending, *, keep: bool) -> None:
        """The answer is written. `keep`: the connection may carry another request."""
        if self.exchange is not exchange:
            return
        self.exchange = None
        if not keep:
            self.linger()
            return
        data, self.buffer = self.buffer, b""
        self._go_on(data)

    def _go_on(self, data: bytes) -> None:
        """Wait for the next request, which begins with `data`."""
        self.deadline = self.worker.now + self.worker.idle_seconds
        if not self.reading:
            self.update_reading()
        if data:
            # Through the loop: a client that pipelines many requests must neither recurse nor starve the
            # others.
            self.buffer = data
            self.queued = True
            self.worker.loop.call_soon(self._next)
        elif self.ended or self.worker.stopping:
            self.transport.close()

    def _next(self) -> None:
        self.queued = False
        if self.exchange is None and self.lingered < 0 and not self.transport.is_closing() and self.buffer:
            data, self.buffer = self.buffer, b""
            self.read_request(data)
            if self.ended:
                self._end_request()

    def _end_request(self) -> None:
        """The client's end came while a request waited in `buffer` to be read; now it has been."""
        if self.exchange is None:
            self.transport.close()
        else:
            self.exchange.client_eof()

    def forwarded_for(self, host: bytes) -> bytes:
        """`forwarded_fields` of this client for a Host."""
        if self.forwarded_host != host or not self.forwarded:
            self.forwarded_host = host
            self.forwarded = forwarded_fields(self.peer, host)
        return self.forwarded

    def describe(self) -> str:
        """What the access log says of this client."""
        self.logged = f'"listener":"{self.listener.value}","client":{quoted(self.peer.decode())}'
        return self.logged

    # Ends

    def refuse(self, status: int, text: str, reason: str) -> None:
        """Answer outside an exchange, then close: after a malformed request nothing that follows can be
        trusted."""
        worker = self.worker
        worker.metrics.answered(status, reason)
        if worker.log is not None:
            worker.log.write_record(
                {
                    "listener": self.listener.value,
                    "client": self.peer.decode(),
                    "status": status,
                    "reason": reason,
                    "detail": text,
                }
            )
        self.transport.write(make_answer(status, text, refused=reason, close=True))
        self.linger()

    def refuse_http2(self) -> None:
        self.worker.metrics.answered(505, "http2")
        self.transport.write(H2_REFUSAL)
        self.linger()

    def linger(self) -> None:
        """Send the end of our side, then drop what still comes: closing at once could reset it away."""
        if self.transport.is_closing():
            return
        if self.ended:
            self.transport.close()
            return
        self.lingered = 0
        self.buffer = b""
        self.deadline = self.worker.now + self.worker.limits.linger_seconds
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if not self.reading:
            self.reading = True
            self.transport.resume_reading()

    def expired(self) -> None:
        """The deadline has passed."""
        self.deadline = FOREVER
        if self.exchange is not None:
            self.exchange.expired()
        elif self.buffer and self.lingered < 0 and not self.queued:
            self.refuse(408, "request head not complete in time", "timeout")
        else:
            self.transport.abort()

    def finish_soon(self) -> None:
        """Drain: close now if between requests; an exchange under way closes after its answer."""
        if self.exchange is None and not self.buffer and self.lingered < 0:
            self.transport.close()
