"""One connection to an application or to another cluster's gateway."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from gateway.edge.pool import Pool
    from gateway.edge.sending import Sending

from gateway.core.limits import WRITE_HIGH_BYTES


class Upstream:
    """An asyncio.Protocol in all but descent, which a compiled class cannot have.

    Hands what arrives to the exchange it is lent to; bytes or an end when idle mean it cannot be used
    again.
    """

    __slots__ = ("exchange", "idle_since", "lost", "pool", "transport", "used", "write_blocked")

    transport: asyncio.Transport

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.exchange: Sending | None = None
        self.idle_since = 0.0
        self.used = False
        """Has served a request before: its closing may just be the server's idle limit."""
        self.lost = False
        self.write_blocked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.exchange is None:
            self.transport.abort()
        else:
            self.exchange.upstream_data(data)

    def eof_received(self) -> bool:
        return self.exchange is not None and self.exchange.upstream_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        exchange, self.exchange = self.exchange, None
        self.pool.lost(self)
        if exchange is not None:
            exchange.upstream_lost(error)

    def pause_writing(self) -> None:
        self.write_blocked = True
        if self.exchange is not None:
            self.exchange.client.update_reading()

    def resume_writing(self) -> None:
        self.write_blocked = False
        if self.exchange is not None:
            self.exchange.client.update_reading()

    def discard(self) -> None:
        """Give up this connection and whatever is under way on it."""
        self.exchange = None
        self.transport.abort()
