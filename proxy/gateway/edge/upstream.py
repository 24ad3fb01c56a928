"""Connections to applications and to other clusters' gateways: pooled per endpoint, reused, bounded."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Final, cast

from gateway.core.errors import ProtocolError
from gateway.core.health import EndpointHealth
from gateway.core.meter import CONNECTION_BYTES, TLS_BYTES, Meter
from gateway.core.response import ResponseHead, read_response_head
from gateway.core.route import Endpoint
from gateway.edge.dialled import Dialled
from gateway.edge.reading import read_rest, set_reading
from gateway.edge.runtime import Runtime
from gateway.edge.tls import TlsRefusedError

REUSE_SECONDS: Final = 1.0
"""How long a connection may have been idle to be used for a request that cannot be replayed: well below
the 5 s after which the quickest of common servers (Node.js) close theirs. One to another cluster's gateway
over TLS may have been idle for longer when that gateway has answered within this time."""

UNUSABLE_AT_ONCE: Final = 2
"""Connections by a certificate that counts no more which one request closes: with TLS each costs as much as
half a request, and there may be hundreds. The others are found by later requests, or expire."""
EXPIRED_AT_ONCE: Final = 64
"""Of a pool, a few times a second: hundreds that were last used in the same moment."""


class PoolFull(Exception):  # noqa: N818  a state, not a fault
    """All connections are busy and the queue is full."""


class UpstreamUser(ABC):
    """Who a connection is lent to: it asks a pool for one and is told what happens on it."""

    __slots__ = ("waits",)

    def __init__(self) -> None:
        self.waits = False
        """Waiting for a connection."""

    @abstractmethod
    def connected(self, upstream: Upstream) -> None:
        """A connection is the user's, until it is released, discarded or lost."""

    @abstractmethod
    def connect_failed(self, message: str, *, timed_out: bool) -> None:
        """No connection could be made."""

    @abstractmethod
    def client_writable(self) -> None:
        """Read the answer or not, as whoever asked takes it."""

    @abstractmethod
    def upstream_interim(self, answer: ResponseHead) -> None:
        """The head of a 1xx answer."""

    @abstractmethod
    def upstream_answer(self, answer: ResponseHead, data: bytes) -> None:
        """The head of the answer, with which `data` begins."""

    @abstractmethod
    def upstream_data(self, data: bytes) -> None:
        """Bytes behind the head."""

    @abstractmethod
    def upstream_broken(self, text: str) -> None:
        """The head cannot be read; `text` says why."""

    @abstractmethod
    def upstream_eof(self) -> bool:
        """The other side sends no more. True to keep the connection for writing."""

    @abstractmethod
    def upstream_lost(self, error: Exception | None) -> None:
        """The connection is gone."""

    @abstractmethod
    def upstream_writable(self) -> None:
        """`write_blocked` of the connection has changed."""

    @abstractmethod
    def give_up(self, health: EndpointHealth) -> None:
        """Stop waiting for an answer of this endpoint, which is known to be dead, if that is safe."""


class Upstream:
    """One HTTP/1.1 connection. An asyncio.Protocol in all but descent, which a compiled class cannot have.

    Reads the head of an answer and hands it, and all that follows, to the user it is lent to; bytes or an
    end while idle mean it cannot be used again.
    """

    __slots__ = (
        "buffer", "idle_since", "lost", "pool", "reading", "reading_head", "transport", "used", "user",
        "write_blocked",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.user: UpstreamUser | None = None
        self.idle_since = 0.0
        self.buffer = b""
        """An unfinished head."""
        self.reading_head = True
        self.reading = True
        self.used = False
        """Has served a request before: its closing may just be the server's idle limit."""
        self.lost = False
        self.write_blocked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        meter = self.pool.runtime.meter
        meter.upstreams += 1
        meter.came += CONNECTION_BYTES
        self.transport.set_write_buffer_limits(high=meter.write_high)
        self.pool.connections.add(self)

    def data_received(self, data: bytes) -> None:
        meter = self.pool.runtime.meter
        meter.came += len(data)
        if meter.came > meter.slack:
            self.wait_for_count(meter)
        if self.user is None:
            self.transport.abort()
        elif self.reading_head:
            self._read_head(self.user, self.buffer + data if self.buffer else data)
        else:
            self.user.upstream_data(data)

    def wait_for_count(self, meter: Meter) -> None:
        """Read no more until it is known how much is held, when that may be too much."""
        meter.ask()
        if meter.holding and self.user is not None:
            self.set_reading(False)
            meter.waiting.append(self.read_on)

    def read_on(self) -> None:
        if self.user is not None:
            self.user.client_writable()

    def held(self) -> int:
        """Bytes of an unfinished head, and those not sent yet."""
        return len(self.buffer) + self.transport.get_write_buffer_size()

    def _read_head(self, user: UpstreamUser, data: bytes) -> None:
        limits = self.pool.runtime.limits
        self.buffer = b""
        try:
            while (answer := read_response_head(data, limits)) is not None:
                if answer.status >= 200 or answer.status == 101:
                    self.reading_head = False
                    user.upstream_answer(answer, data)
                    return
                user.upstream_interim(answer)
                data = data[len(data) - answer.rest :]
        except ProtocolError as error:
            user.upstream_broken(str(error))
        else:
            self.buffer = data

    def eof_received(self) -> bool:
        return self.user is not None and self.user.upstream_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.pool.runtime.meter.upstreams -= 1
        if error is not None:
            read_rest(self.transport, self)
        user, self.user = self.user, None
        self.pool.lost(self)
        if isinstance(error, TlsRefusedError) and user is not None:
            user.connect_failed(str(error), timed_out=False)
        elif user is not None:
            user.upstream_lost(error)

    def reads_on(self) -> bool:
        """Whether somebody wants what still lies in the socket."""
        return self.user is not None

    def pause_writing(self) -> None:
        self.write_blocked = True
        if self.user is not None:
            self.user.upstream_writable()

    def resume_writing(self) -> None:
        self.write_blocked = False
        if self.user is not None:
            self.user.upstream_writable()

    def set_reading(self, wanted: bool) -> None:
        """Read what arrives, or leave it to the kernel until it can be passed on."""
        self.reading = set_reading(self.transport, self.reading, wanted)

    def end_writing(self) -> None:
        """Send the end of what its user sends, where that can be done alone."""
        if self.transport.can_write_eof():
            self.transport.write_eof()

    @property
    def untaken(self) -> bool:
        """What was sent last was not read: another gateway has ended the connection in the way of TLS, which
        it does between requests alone (`Client`). One that is killed, or cut off, says no such thing."""
        return self.pool.secure and cast("Dialled", self.transport).ended

    def lend(self, user: UpstreamUser) -> None:
        """Begin an exchange."""
        self.user = user
        self.reading_head = True

    def give_back(self, *, keep: bool) -> None:
        """The answer is complete. `keep`: the connection can carry another one."""
        self.user = None
        if self.lost:
            return
        self.used = True
        if not self.reading:
            self.set_reading(True)
        if keep:
            self.pool.release(self)
        else:
            self.transport.close()

    def discard(self) -> None:
        """Give up this connection and whatever is under way on it."""
        self.user = None
        if not self.lost:
            self.transport.abort()


class Pool:
    """Connections to one endpoint. Users wait for one in order; the connection idle for the shortest time
    is taken first, so that the rest age and are closed by `expire`."""

    __slots__ = (
        "connecting", "connections", "endpoint", "heard", "idle", "references", "runtime", "secure", "total",
        "waiting",
    )  # fmt: skip

    def __init__(self, runtime: Runtime, endpoint: Endpoint) -> None:
        self.runtime = runtime
        self.endpoint = endpoint
        self.secure = bool(endpoint.peer)
        """Over mutual TLS."""
        self.connections: set[Upstream] = set()
        """All that are open."""
        self.idle: list[Upstream] = []
        self.heard = 0.0
        """When somebody there answered, or was reached, last: on the loop's clock."""
        self.total = 0
        """Connections open or being opened."""
        self.references = 0
        """Health records of this endpoint: one, or one per service behind a gateway."""
        self.waiting: deque[UpstreamUser] = deque()
        self.connecting: set[asyncio.Task[None]] = set()

    def acquire(self, user: UpstreamUser, *, fresh: bool) -> Upstream | None:
        """An idle connection now, or None and `user.connected` or `connect_failed` later. Raises PoolFull.

        `fresh`: no connection that has been idle for long. An application may be closing it at the very
        moment it is reused; only a request that can be replayed takes that risk. Another gateway that ends
        one says so (`Upstream.untaken`): there it is enough that it is alive.
        """
        # The loop's time: the runtime's may be of before a pause of this process.
        oldest = self.runtime.loop.time() - REUSE_SECONDS if fresh else 0.0
        if self.secure and self.heard >= oldest:
            oldest = 0.0
        unusable = 0
        while self.idle and unusable < UNUSABLE_AT_ONCE and self.idle[-1].idle_since >= oldest:
            upstream = self.idle.pop()
            if not upstream.transport.is_closing():
                if self._usable(upstream):
                    return upstream
                upstream.transport.close()
                unusable += 1
        limits = self.runtime.limits
        if self.idle and self.total >= limits.upstream_connections:
            self.idle.pop(0).transport.close()
        if self.total < limits.upstream_connections:
            self._open(user)
        elif len(self.waiting) < limits.queue:
            self.waiting.append(user)
        else:
            raise PoolFull
        return None

    def _usable(self, upstream: Upstream) -> bool:
        """Whether who is there still counts as who was dialled."""
        return not self.secure or cast("Dialled", upstream.transport).usable()

    def release(self, upstream: Upstream) -> None:
        """Take back a connection that is ready for the next request."""
        if not self._usable(upstream):
            upstream.transport.close()
            return
        self.heard = self.runtime.now
        while self.waiting:
            user = self.waiting.popleft()
            if user.waits:
                user.connected(upstream)
                return
        if len(self.idle) < self.runtime.upstream_idle and not self.runtime.draining:
            upstream.idle_since = self.heard
            self.idle.append(upstream)
        else:
            upstream.transport.close()

    def lost(self, upstream: Upstream) -> None:
        """A connection of this pool is gone."""
        self.total -= 1
        self.connections.discard(upstream)
        if upstream in self.idle:
            self.idle.remove(upstream)
        self._serve_next()

    def give_up(self, health: EndpointHealth) -> None:
        """The endpoint is known to be dead: users that wait for its answer may go elsewhere."""
        for upstream in list(self.connections):
            if upstream.user is not None:
                upstream.user.give_up(health)
        self.close_idle()

    def expire(self, before: float) -> bool:
        """Close what has been idle since before that time, the oldest first, some at once; true for more."""
        some = self.idle[:EXPIRED_AT_ONCE]
        old = sum(upstream.idle_since < before for upstream in some)
        del self.idle[:old]
        for upstream in some[:old]:
            upstream.transport.close()
        return old == EXPIRED_AT_ONCE

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
        while self.waiting and self.total < self.runtime.limits.upstream_connections:
            user = self.waiting.popleft()
            if user.waits:
                self._open(user)

    def _open(self, user: UpstreamUser) -> None:
        self.total += 1
        task = self.runtime.loop.create_task(self._connect(user), name=f"connect {self.endpoint}")
        self.connecting.add(task)
        task.add_done_callback(self.connecting.discard)

    async def _connect(self, user: UpstreamUser) -> None:
        seconds = self.runtime.limits.connect_seconds
        try:
            async with asyncio.timeout(seconds):
                upstream = await self._dial()
        except TimeoutError:
            self._failed(user, f"no connection to {self.endpoint} within {seconds:g} s", timed_out=True)
        except OSError as error:
            self._failed(
                user, f"cannot connect to {self.endpoint}: {error.strerror or error}", timed_out=False
            )
        except asyncio.CancelledError:
            self.total -= 1
            raise
        else:
            if user.waits:
                user.connected(upstream)
            else:
                self.release(upstream)

    async def _dial(self) -> Upstream:
        """A new connection, after the handshake where there is TLS. OSError says why there is none."""
        upstream, endpoint, loop = Upstream(self), self.endpoint, self.runtime.loop
        if not endpoint.peer:
            await loop.create_connection(lambda: cast("Any", upstream), endpoint.host, endpoint.port)
            return upstream
        dialled = Dialled(self.runtime.peer_tls, endpoint.peer, upstream, loop.create_future())
        await loop.create_connection(lambda: cast("Any", dialled), endpoint.host, endpoint.port)
        self.runtime.meter.came += TLS_BYTES
        try:
            await dialled.ready
            dialled.begin()
        except BaseException:
            dialled.abort()
            raise
        return upstream

    def _failed(self, user: UpstreamUser, message: str, *, timed_out: bool) -> None:
        self.total -= 1
        self._serve_next()
        if user.waits:
            user.connect_failed(message, timed_out=timed_out)
