"""A client's connection: its transport, when it is read from, and the memory it holds."""

from __future__ import annotations

import asyncio

from gateway.core.answers import SHORT_TEXT
from gateway.core.limits import READ_AHEAD_BYTES
from gateway.core.meter import EXCHANGE_BYTES, SMALL_BYTES
from gateway.edge.downstream import Downstream
from gateway.edge.exchange import Exchange
from gateway.edge.reading import set_reading
from gateway.edge.runtime import Runtime


class Connection(Downstream):
    """What a `client.Client` is apart from the HTTP it speaks."""

    __slots__ = ("buffer", "exchange", "meter", "reading", "runtime", "transport")

    transport: asyncio.Transport

    def __init__(self, runtime: Runtime, *, by_path: bool) -> None:
        super().__init__(by_path=by_path)
        self.runtime = runtime
        self.meter = runtime.meter
        self.buffer = b""
        """Bytes read ahead: an unfinished head, or pipelined requests while one is under way."""
        self.exchange: Exchange | None = None
        self.reading = True

    def update_reading(self) -> None:
        """Read from the socket only while what arrives can be passed on or fits the bounds."""
        if self.exchange is not None and self.exchange.wants_body:
            wanted = self.exchange.can_take_body
        else:
            wanted = len(self.buffer) < READ_AHEAD_BYTES
        self.reading = set_reading(self.transport, self.reading, wanted)

    # Memory

    def head_bytes(self) -> int:
        return len(self.buffer) if self.exchange is None else 0

    def body_bytes(self) -> int:
        held: int = self.transport.get_write_buffer_size()
        exchange = self.exchange
        if exchange is not None:
            held += EXCHANGE_BYTES + len(self.buffer) + exchange.routed.loose + exchange.kept.held
            if exchange.upstream is not None:
                held += exchange.upstream.held()
        return held

    def hold_still(self) -> None:
        self.reading = set_reading(self.transport, self.reading, False)
        if self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.set_reading(False)

    def go_on(self) -> None:
        self.update_reading()
        if self.exchange is not None:
            self.exchange.client_writable()

    def set_bounds(self, write_high: int, replay: int) -> None:
        if not self.transport.is_closing():
            self.transport.set_write_buffer_limits(high=write_high)
        if self.exchange is not None:
            kept = self.exchange.kept
            kept.limit = replay
            if self.exchange.upstream is not None:
                kept.trim()

    def cut(self) -> None:
        if self.exchange is None or self.transport.get_write_buffer_size() > SMALL_BYTES:
            self.transport.abort()
        else:
            self.exchange.fail(503, SHORT_TEXT, "memory", refused=self.exchange.upstream is None)

    # Ends

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
