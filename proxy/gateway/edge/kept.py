"""Connections over TLS that health checks keep: a handshake for each would cost more than all the checks.

They are none of those that requests use: where all of these are busy a health check would wait, and whoever
is busiest would count as dead.
"""

from __future__ import annotations

import asyncio

from gateway.core.health import EndpointHealth
from gateway.core.response import ResponseHead
from gateway.core.route import Endpoint
from gateway.edge.runtime import Runtime
from gateway.edge.upstream import Pool, PoolFull, Upstream, UpstreamUser


class KeptConnections:
    """Pools by gateway. One that is not asked any more is forgotten with its last connection."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pools: dict[Endpoint, Pool] = {}

    async def ask(self, health: EndpointHealth, request: bytes) -> bytes:
        """Head and body of the answer. OSError when there is none."""
        pool = self._pools.get(health.endpoint)
        if pool is None:
            pool = self._pools[health.endpoint] = Pool(self._runtime, health.endpoint)
        question = Question(request, self._runtime.loop.create_future())
        try:
            upstream = pool.acquire(question, fresh=False)
            if upstream is None:
                question.waits = True
            else:
                question.connected(upstream)
            return await question.done
        except PoolFull:
            raise ConnectionError("all connections are busy") from None
        finally:
            question.leave()

    def tick(self) -> None:
        before = self._runtime.now - self._runtime.limits.upstream_idle_seconds
        for endpoint, pool in list(self._pools.items()):
            pool.expire(before)
            if not pool.total:
                del self._pools[endpoint]

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


class Question(UpstreamUser):
    """One request and its answer."""

    __slots__ = ("done", "request", "upstream")

    def __init__(self, request: bytes, done: asyncio.Future[bytes]) -> None:
        super().__init__()
        self.request = request
        self.done = done
        self.upstream: Upstream | None = None

    def leave(self) -> None:
        """No answer is wanted any more."""
        self.waits = False
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.discard()

    def connected(self, upstream: Upstream) -> None:
        self.waits = False
        self.upstream = upstream
        upstream.lend(self)
        upstream.transport.write(self.request)

    def connect_failed(self, message: str, *, timed_out: bool) -> None:  # noqa: ARG002
        self.waits = False
        self._fail(message)

    def upstream_answer(self, answer: ResponseHead, data: bytes) -> None:
        if not self.done.done():
            self.done.set_result(data)
        length = 0 if answer.status == 204 else answer.length
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            # A gateway's own answers are short; what is not here whole is waited for by nobody.
            upstream.give_back(keep=answer.keep_alive and length == answer.rest)

    def upstream_broken(self, text: str) -> None:
        self._fail(text)

    def upstream_lost(self, error: Exception | None) -> None:
        self.upstream = None
        self._fail(str(error or "closed without an answer"))

    def upstream_eof(self) -> bool:
        return False

    def _fail(self, message: str) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(message))

    # Of no meaning for so little

    def client_writable(self) -> None:
        if self.upstream is not None:
            self.upstream.set_reading(True)

    def upstream_interim(self, answer: ResponseHead) -> None:
        pass

    def upstream_data(self, data: bytes) -> None:
        pass

    def upstream_writable(self) -> None:
        pass

    def give_up(self, health: EndpointHealth) -> None:
        pass
