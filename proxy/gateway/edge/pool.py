"""Connections to one endpoint: reused, bounded, waited for in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from gateway.core.route import Endpoint
from gateway.edge.upstream import Upstream

if TYPE_CHECKING:
    from gateway.edge.sending import Sending
    from gateway.edge.worker import Worker


REUSE_SECONDS = 1.0
"""How long a connection may have been idle to be used for a request that cannot be replayed: well below
the 5 s after which the quickest of common servers (Node.js) close theirs."""


class PoolFull(Exception):  # noqa: N818  a state, not a fault
    """All connections are busy and the queue is full."""


class Pool:
    """Idle connections are taken last in, first out: the rest age and are closed by `expire`."""

    __slots__ = ("connecting", "endpoint", "idle", "total", "users", "waiting", "worker")

    def __init__(self, worker: Worker, endpoint: Endpoint) -> None:
        self.worker = worker
        self.endpoint = endpoint
        self.idle: list[Upstream] = []
        self.total = 0
        """Connections open or being opened."""
        self.users = 0
        """Those who know of this endpoint's health: one, or one per service behind a gateway."""
        self.waiting: deque[Sending] = deque()
        self.connecting: set[asyncio.Task[None]] = set()

    def acquire(self, exchange: Sending) -> Upstream | None:
        """An idle connection now, or None and `exchange.connected` or `connect_failed` later. Raises
        PoolFull."""
        # A server may be closing a connection at the very moment it is reused. Who can be replayed takes the
        # risk.
        oldest = 0.0 if exchange.head.idempotent else self.worker.now - REUSE_SECONDS
        while self.idle and self.idle[-1].idle_since >= oldest:
            upstream = self.idle.pop()
            if not upstream.transport.is_closing():
                return upstream
        limits = self.worker.limits
        if self.idle and self.total >= limits.upstream_connections:
            self.idle.pop(0).transport.close()
        if self.total < limits.upstream_connections:
            self._open(exchange)
        elif len(self.waiting) < limits.queue:
            self.waiting.append(exchange)
        else:
            raise PoolFull
        return None

    def release(self, upstream: Upstream) -> None:
        """Take back a connection that is ready for the next request."""
        while self.waiting:
            exchange = self.waiting.popleft()
            if exchange.waits:
                exchange.connected(upstream)
                return
        if len(self.idle) < self.worker.upstream_idle and not self.worker.draining:
            upstream.idle_since = self.worker.now
            self.idle.append(upstream)
        else:
            upstream.transport.close()

    def lost(self, upstream: Upstream) -> None:
        """A connection of this pool is gone."""
        self.total -= 1
        if upstream in self.idle:
            self.idle.remove(upstream)
        self._serve_next()

    def expire(self, before: float) -> None:
        """Close what has been idle since before that time."""
        while self.idle and self.idle[0].idle_since < before:
            self.idle.pop(0).transport.close()

    def close_idle(self) -> None:
        for upstream in self.idle:
            upstream.transport.close()
        self.idle.clear()

    def close(self) -> None:
        """Drop idle connections and connections being made."""
        self.close_idle()
        for task in self.connecting:
            task.cancel()

    def _serve_next(self) -> None:
        while self.waiting and self.total < self.worker.limits.upstream_connections:
            exchange = self.waiting.popleft()
            if exchange.waits:
                self._open(exchange)

    def _open(self, exchange: Sending) -> None:
        self.total += 1
        task = self.worker.loop.create_task(self._connect(exchange), name=f"connect {self.endpoint}")
        self.connecting.add(task)
        task.add_done_callback(self.connecting.discard)

    async def _connect(self, exchange: Sending) -> None:
        seconds = self.worker.limits.connect_seconds
        try:
            async with asyncio.timeout(seconds):
                _, upstream = await self.worker.loop.create_connection(
                    lambda: cast("Any", Upstream(self)), self.endpoint.host, self.endpoint.port
                )
        except TimeoutError:
            self._failed(exchange, f"no connection to {self.endpoint} within {seconds:g} s", timed_out=True)
        except OSError as error:
            self._failed(
                exchange, f"cannot connect to {self.endpoint}: {error.strerror or error}", timed_out=False
            )
        except asyncio.CancelledError:
            self.total -= 1
            raise
        else:
            if exchange.waits:
                exchange.connected(upstream)
            else:
                self.release(upstream)

    def _failed(self, exchange: Sending, message: str, *, timed_out: bool) -> None:
        self.total -= 1
        self._serve_next()
        if exchange.waits:
            exchange.connect_failed(message, timed_out=timed_out)
