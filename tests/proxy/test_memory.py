"""A gateway of 128 MiB under floods: old work goes on, new work is refused, nothing is kept afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from proxy.test_serve import Served, Start, start, write

from gateway.core.meter import CONNECTION_BYTES, EXCHANGE_BYTES

__all__ = ["start"]

MIB = 1 << 20
LIMIT = 128 * MIB
BIG = 6 * MIB
"""More than the kernel's buffers take of an answer that nobody reads."""
GET = b"GET /app/ok HTTP/1.1\r\nHost: x\r\n\r\n"
Flood = Callable[[socket.socket, int], Awaitable[None]]


async def application(read: Counter[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers `/big` with much, `/hang` never, and reads bodies, whose bytes it counts."""
    piece = bytes(64 * 1024)
    while head := await reader.readuntil(b"\r\n\r\n"):
        found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        left = int(found[1]) if found else 0
        while left > 0 and (data := await reader.read(left)):
            left -= len(data)
            read["bytes"] += len(data)
        path = head.split(b" ")[1]
        if path.startswith(b"/app/hang"):
            await asyncio.Event().wait()
        size = BIG if path == b"/app/big" else 2
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for at in range(0, size, len(piece)):
            writer.write(piece[: size - at])
            await writer.drain()


class Small:
    """A `gateway serve` process that may take 128 MiB, with a client that is served all along."""

    def __init__(self, served: Served, net: Any, read: Counter[str]) -> None:
        self.served, self.net, self.read = served, net, read
        self.asked = 0
        self.sockets: list[socket.socket] = []

    def memory(self, figure: str = "VmHWM") -> int:
        """Bytes the process takes, or has taken at most."""
        status = Path(f"/proc/{self.served.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(figure + r":\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    async def metrics(self) -> dict[str, int]:
        _, _, body = await self.net.ask(self.served.admin, "/metrics")
        lines = [line.rpartition(" ") for line in body.decode().splitlines() if line.startswith("gateway_")]
        return {name: int(float(value)) for name, _, value in lines if "seconds" not in name}

    async def used(self, part: str) -> int:
        return (await self.metrics())[f'gateway_memory_used_bytes{{part="{part}"}}']

    async def refusals(self) -> int:
        return (await self.metrics()).get('gateway_own_answers_total{code="503",reason="memory"}', 0)

    async def go_on_asking(self) -> None:
        """The good client: one connection, one request after the other, each of them answered."""
        reader, writer = await self.net.connect(self.served.port)
        while True:
            writer.write(GET)
            status, _, body = await self.net.answer(reader)
            assert status == 200, body
            self.asked += 1
            await asyncio.sleep(0.02)

    async def flood(self, count: int, one: Flood) -> None:
        loop = asyncio.get_running_loop()

        async def client(number: int) -> None:
            connection = socket.socket()
            self.sockets.append(connection)
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            try:
                await loop.sock_connect(connection, ("127.0.0.1", self.served.port))
                await one(connection, number)
            except ConnectionError:
                pass  # whom there is no room for

        await asyncio.gather(*map(client, range(count)))

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(30):
            while not await condition():  # noqa: ASYNC110  another process's doing
                await asyncio.sleep(0.1)

    def leave(self) -> None:
        for connection in self.sockets:
            connection.close()
        self.sockets.clear()


@pytest.fixture
async def small(start: Start, net: Any, make: Any, tmp_path: Path) -> AsyncIterator[Small]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 16384:
        pytest.skip(f"a flood of connections needs 16384 descriptors; the limit here is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    read = Counter[str]()
    rewrite = {"from": "^/app/r", "to": "/app/" + "y" * 1000}
    write(
        tmp_path,
        make.service(),
        make.slice("127.0.0.1", port=await net.server(partial(application, read))),
        make.export(pathRewrite=rewrite),
    )
    # The application runs in this process, beside the flood: connecting to it may take a while.
    limits = (f"memory_bytes={LIMIT}", "upstream_connections=4096", "connect_seconds=60")
    served = await start(*(f"--limit={limit}" for limit in limits))
    await served.ready()
    found = Small(served, net, read)
    asking = asyncio.create_task(found.go_on_asking())
    await net.until(lambda: found.asked)
    yield found
    found.leave()
    before = found.asked
    await net.until(lambda: found.asked > before or asking.done())
    assert not asking.done(), asking.exception()
    asking.cancel()
    # Afterwards nothing is held, and everybody is served again.
    await found.until(lambda: _nothing_held(found))
    assert (await net.ask(served.port, "/app/ok"))[0] == 200
    assert found.memory() < LIMIT
    await served.end()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _nothing_held(small: Small) -> bool:
    metrics = await small.metrics()
    connections, heads, bodies = (
        metrics[f'gateway_memory_used_bytes{{part="{part}"}}'] for part in ("connections", "heads", "bodies")
    )
    # What was connected for clients that had left meanwhile is kept for the next.
    spare = metrics["gateway_upstream_idle"] * CONNECTION_BYTES
    return not heads and bodies <= EXCHANGE_BYTES and connections - spare <= 40 * CONNECTION_BYTES


async def short(small: Small) -> bool:
    return (await small.metrics())["gateway_memory_short"] == 1


async def refused(small: Small) -> None:
    """Someone new is told why not, once those who are being told are not too many themselves."""
    status = 0
    async with asyncio.timeout(30):
        while not status:
            with contextlib.suppress(ConnectionError):
                status, head, body = await small.net.ask(small.served.port, "/app/ok")
            await asyncio.sleep(0.1)
    assert status == 503
    assert b"\r\nRetry-After: 1" in head
    assert b"\r\nX-Gateway-Refused: memory" in head
    assert b"short of memory" in body


async def test_unfinished_heads(small: Small) -> None:
    head = b"GET /app HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 30_000

    async def one(connection: socket.socket, number: int) -> None:
        await asyncio.get_running_loop().sock_sendall(connection, head)

    await small.flood(1500, one)
    await small.until(lambda: _some(small.refusals()))
    assert await small.used("heads") < small_traffic(await small.metrics())


async def test_connections_that_are_opened_and_left(small: Small) -> None:
    for number in range(11_500):
        connection = socket.create_connection(("127.0.0.1", small.served.port))
        small.sockets.append(connection)
        if not number % 100:
            await asyncio.sleep(0.02)
    await small.until(lambda: short(small))
    await refused(small)


async def test_answers_that_nobody_reads(small: Small) -> None:
    async def one(connection: socket.socket, number: int) -> None:
        await asyncio.get_running_loop().sock_sendall(connection, GET.replace(b"/ok", b"/big"))

    await small.flood(120, one)
    await small.until(lambda: _some(small.used("bodies"), 8 * MIB))
    assert (await small.metrics())["gateway_client_connections"] > 60, "who fits in goes on"


async def test_bodies_that_are_kept_for_a_replay(small: Small) -> None:
    """They are given up before anybody is cut, and all requests go on."""
    body = bytes(60_000)

    async def one(connection: socket.socket, number: int) -> None:
        head = b"PUT /app/hang HTTP/1.1\r\nHost: x\r\nContent-Length: 60001\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(connection, head + body)

    for _ in range(9):
        await small.flood(100, one)
        before = -1
        while before < small.read["bytes"]:  # the application takes what it is sent, however busy the machine
            before = small.read["bytes"]
            await asyncio.sleep(0.3)
    metrics = await small.metrics()
    assert metrics["gateway_memory_cut_total"] == 0
    assert await small.used("bodies") < metrics["gateway_memory_budget_bytes"] // 2


async def test_requests_under_way_with_large_heads(small: Small) -> None:
    async def one(connection: socket.socket, number: int) -> None:
        head = b"GET /app/hang HTTP/1.1\r\nHost: x\r\nX: %d%b\r\n\r\n" % (number, b"y" * 30_000)
        await asyncio.get_running_loop().sock_sendall(connection, head)

    await small.flood(800, one)
    await small.until(lambda: _some(small.refusals()))


@pytest.mark.parametrize("path", [b"/app/%d-%d", b"/app/r%d-%d"], ids=["heads", "rewritten targets"])
async def test_heads_that_are_never_met_again(small: Small, path: bytes) -> None:
    loop = asyncio.get_running_loop()

    async def one(connection: socket.socket, number: int) -> None:
        for again in range(100):
            head = b"GET %b HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % (path % (number, again), b"y" * 1500)
            await loop.sock_sendall(connection, head)
            await loop.sock_recv(connection, 1000)

    await small.flood(50, one)
    assert 0 < await small.used("caches") <= MIB, "of rewritten targets alone"


async def _some(number: Awaitable[int], least: int = 1) -> bool:
    return await number >= least


def small_traffic(metrics: dict[str, int]) -> int:
    return metrics["gateway_memory_budget_bytes"] // 2


async def test_a_client_that_asks_on_and_does_not_read_gets_no_more_answers_made(
    net: Any, make: Any, ok: Any
) -> None:
    """What waits for it is bounded, and it gets all of it when it reads."""
    answered: list[bytes] = []
    text = b"z" * 50_000
    app = await net.app(lambda head, _body: answered.append(head) or ok(text))
    port, _, server = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    reader, writer = await net.connect(port)
    writer.transport.pause_reading()
    asked = 400
    writer.write(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n" * asked)
    client = None
    async with asyncio.timeout(20):
        while client is None or not client.write_blocked:
            await asyncio.sleep(0.05)
            client = next(iter(server.downstreams.open), None)
    await asyncio.sleep(0.2)
    assert len(answered) < asked
    assert client.body_bytes() < 512 * 1024
    writer.transport.resume_reading()
    for _ in range(asked):
        assert (await net.answer(reader))[2] == text
    assert len(answered) == asked


async def test_above_the_share_who_holds_most_is_cut_and_who_holds_little_goes_on(
    net: Any, make: Any
) -> None:
    port, _, server = await net.gateway(
        make.service(),
        make.slice("127.0.0.1", port=await net.server(partial(application, Counter[str]()))),
        make.export(),
    )
    meter, clients = server.registry.runtime.meter, server.downstreams.open
    good, to_good = await net.connect(port)
    to_good.write(GET)
    assert (await net.answer(good))[0] == 200
    waiting, to_waiting = await net.connect(port)
    to_waiting.write(b"GET /app/hang HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 30_000 + b"\r\n\r\n")
    for _ in range(4):
        _, writer = await net.connect(port)
        writer.transport.pause_reading()
        writer.write(GET.replace(b"/ok", b"/big"))
    await net.until(lambda: sum(one.write_blocked for one in clients) == 4)
    meter.limit = 64 * 1024  # as if there had never been more
    await server.metrics()
    assert meter.cut == 5
    assert (await net.answer(waiting))[0] == 503, "no answer had begun"
    await net.until(lambda: len(clients) <= 2)  # the good one, and who has just been told
    to_good.write(GET)
    assert (await net.answer(good))[0] == 200
    await server.metrics()
    assert not meter.full
    assert meter.held < meter.limit
