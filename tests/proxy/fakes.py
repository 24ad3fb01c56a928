"""A client, an application and the gateway's connections between them, without sockets and clocks."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from gateway.core.limits import Limits
from gateway.core.snapshot import compile_snapshot
from gateway.edge.client import Client
from gateway.edge.downstream import Downstreams
from gateway.edge.registry import Listener, Registry, pool_of
from gateway.edge.runtime import Runtime
from gateway.edge.upstream import Upstream

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST_ID = re.compile(rb"\r\nX-Request-Id: [0-9a-f]+")
SNAPSHOT = compile_snapshot(
    [
        {"kind": "Service", "metadata": {"name": "a", "namespace": "n"}, "spec": {"ports": [{"port": 1}]}},
        {
            "kind": "EndpointSlice",
            "metadata": {"name": "a-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "a"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"]}],
            "ports": [{"port": 1}],
        },
        {
            "kind": "ServiceExport",
            "metadata": {"name": "a", "namespace": "n"},
            "spec": {"rules": [{"path": "/", "pathType": "Prefix", "portNumber": 1}]},
        },
    ],
    "r/z/g/c",
).snapshot


class FakeLoop:
    def __init__(self) -> None:
        self.queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def time(self) -> float:
        return 1.0

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self.queue.append((callback, args))


class FakeTransport:
    def __init__(self) -> None:
        self.data = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.data += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return ("10.9.9.9", 1)

    def can_write_eof(self) -> bool:
        return True

    def ignore(self, *args: Any, **named: Any) -> None:
        pass

    write_eof = pause_reading = resume_reading = set_write_buffer_limits = ignore


class Harness:
    """One client and as many upstream connections as are asked for."""

    def __init__(self, answer: bytes = ANSWER) -> None:
        """`answer` comes for every request; with an empty one the test answers itself (`asked`)."""
        self._answer = answer
        self.loop = FakeLoop()
        self.registry = Registry(Runtime(cast("Any", self.loop), Limits(head_bytes=4096), None), SNAPSHOT)
        self.transport = FakeTransport()
        self.client = Client(self.registry, Downstreams(), Listener.NORTH_SOUTH)
        self.client.connection_made(cast("Any", self.transport))
        self.complete: list[bytes] = []
        """Requests the application has seen to their end."""

    def feed(self, data: bytes) -> None:
        if self.transport.closing:
            return
        self._hand_over()
        self.client.data_received(data)
        self._settle()

    def _hand_over(self) -> None:
        """Have a connection to the application ready."""
        route = SNAPSHOT.paths.prefix[b""]
        pool = pool_of(self.registry.state(route).clusters[0].endpoints[0])
        if not pool.idle:
            upstream = Upstream(pool)
            upstream.connection_made(cast("Any", FakeTransport()))
            upstream.idle_since = 1.0
            pool.total += 1
            pool.idle.append(upstream)

    def _settle(self) -> None:
        while True:
            while self.loop.queue:
                self._hand_over()
                callback, args = self.loop.queue.popleft()
                callback(*args)
            exchange = self.client.exchange
            if exchange is None or exchange.wants_body or exchange.upstream is None:
                return
            upstream = exchange.upstream
            sent = cast("FakeTransport", upstream.transport)
            self.complete.append(REQUEST_ID.sub(b"", sent.data))
            sent.data = b""
            if not self._answer:
                return
            upstream.data_received(self._answer)

    def asked(self) -> Upstream:
        """The connection on which the application has got the request that is under way."""
        assert self.client.exchange is not None
        assert self.client.exchange.upstream is not None
        return self.client.exchange.upstream

    @staticmethod
    def lost(upstream: Upstream) -> bool:
        return upstream.transport.is_closing()

    def result(self) -> tuple[list[bytes], list[bytes]]:
        """Complete requests as the application saw them, and the statuses the client got."""
        return self.complete, re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", self.transport.data)
