"""Gateway and application never disagree about where a request ends, however its bytes arrive.

A client connection, an upstream connection and the exchange between them run on fake transports and a fake
loop, fed with streams glued together from good, odd and hostile pieces.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.limits import Limits
from gateway.core.snapshot import compile_snapshot
from gateway.edge.client import Client
from gateway.edge.upstream import Upstream
from gateway.edge.worker import Listener, Worker

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST_ID = re.compile(rb"X-Request-Id: [0-9a-f]+")
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


class Bench:
    """One client and as many upstream connections as are asked for."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.worker = Worker(cast("Any", self.loop), SNAPSHOT, Limits(head_bytes=4096), None)
        self.transport = FakeTransport()
        self.client = Client(self.worker, Listener.NORTH_SOUTH)
        self.client.connection_made(cast("Any", self.transport))
        self.complete: list[bytes] = []
        """Requests the application has seen to their end."""

    def feed(self, data: bytes) -> None:
        if self.transport.closing:
            return
        self._offer()
        self.client.data_received(data)
        self._settle()

    def _offer(self) -> None:
        """Have a connection to the application ready."""
        route = SNAPSHOT.paths.prefix[b""]
        pool = self.worker.state(route).shares[0].endpoints[0].pool
        if not pool.idle:
            upstream = Upstream(pool)
            upstream.connection_made(cast("Any", FakeTransport()))
            upstream.idle_since = 1.0
            pool.total += 1
            pool.idle.append(upstream)

    def _settle(self) -> None:
        while True:
            while self.loop.queue:
                self._offer()
                callback, args = self.loop.queue.popleft()
                callback(*args)
            exchange = self.client.exchange
            if exchange is None or exchange.wants_body or exchange.upstream is None:
                return
            upstream = exchange.upstream
            sent = cast("FakeTransport", upstream.transport)
            self.complete.append(REQUEST_ID.sub(b"", sent.data))
            sent.data = b""
            upstream.data_received(ANSWER)

    def result(self) -> tuple[list[bytes], list[bytes]]:
        """Complete requests as the application saw them, and the statuses the client got."""
        return self.complete, re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", self.transport.data)


def run(stream: bytes, cuts: list[int]) -> tuple[list[bytes], list[bytes]]:
    bench = Bench()
    at = 0
    for cut in cuts:
        bench.feed(stream[at : at + cut])
        at += cut
    if at < len(stream):
        bench.feed(stream[at:])
    return bench.result()


PIECES = st.sampled_from([
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nT: 1\r\n\r\n",
    b"POST /d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"GET /f HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX: GET / HTTP/1.1\r\n\r\n",
    b"GET /g HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"HEAD /i HTTP/1.1\r\nHost: x\r\nX-Gateway-Probe: 1\r\n\r\n",
    b"\r\n", b"\n", b"0\r\n\r\n", b"5\r\nabcde\r\n", b"GET ", b"\x00", b"Host: y\r\n",
])  # fmt: skip


@given(st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.integers(1, 40), max_size=40))
@example(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" * 20, [7] * 80)
@example(b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", [1])
def test_arrival_changes_neither_what_the_application_sees_nor_what_the_client_is_told(
    stream: bytes, cuts: list[int]
) -> None:
    whole = run(stream, [])
    assert run(stream, cuts) == whole
    assert run(stream, [1] * len(stream)) == whole


@given(st.lists(st.binary(max_size=30) | PIECES, max_size=8).map(b"".join))
def test_what_the_application_sees_is_what_was_asked(stream: bytes) -> None:
    """Every request passed on is framed once, and the client gets one answer for each before any refusal."""
    requests, statuses = run(stream, [])
    for request in requests:
        head = request.partition(b"\r\n\r\n")[0].lower()
        assert head.count(b"\r\ncontent-length:") + head.count(b"\r\ntransfer-encoding:") <= 1
        assert head.count(b"\r\nhost:") == 1
    assert statuses.count(b"200") == len(requests)
    assert all(status in {b"200", b"204"} for status in statuses[:-1]), "a refusal is the last word"
