"""Answers that come before the request is all there: the client reads them, however much it still sends."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from gateway.core import limits as bounds
from gateway.edge import client as client_module

HOST = "app.demo:3000"
REFUSAL = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much"
BODY = 8 * 1024 * 1024
"""More than the buffers of all sockets on the way hold."""


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the head alone, refuse, close at once: what the sender still sends is answered by a reset."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(REFUSAL)
    await writer.drain()


async def exporting(net: Any, make: Any, app: int, **options: Any) -> int:
    port, _, _ = await net.gateway(
        make.service(), make.slice("127.0.0.1", port=app), make.export(path="/app"), **options
    )
    return int(port)


async def importing(net: Any, make: Any, exporter: int, **options: Any) -> int:
    _, port, _ = await net.gateway(
        make.imported(c1=exporter), make.policy("ActiveActive", c1=100), cluster="there", **options
    )
    return int(port)


def send_all_then_read(port: int, target: str, fields: str, body: list[bytes]) -> bytes:
    """As clients do that read no answer before they have sent everything."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(f"POST {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n".encode())
        for part in body:
            sock.sendall(part)
        answer = b""
        # To its end only: when everything was sent before the answer came, the connection is kept.
        while not answer.endswith(b"too much") and (part := sock.recv(65536)):
            answer += part
        return answer


FRAMINGS = {
    "counted": (f"Content-Length: {BODY}\r\n", [b"x" * 65536] * (BODY // 65536)),
    "chunked": (
        "Transfer-Encoding: chunked\r\n",
        [b"10000\r\n" + b"x" * 65536 + b"\r\n"] * (BODY // 65536) + [b"0\r\n\r\n"],
    ),
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("gateways", [1, 2])
async def test_a_client_that_sends_on_reads_the_early_answer(
    net: Any, make: Any, gateways: int, framing: str
) -> None:
    port = await exporting(net, make, await net.server(refuse))
    target = "/app/x"
    if gateways == 2:
        port, target = await importing(net, make, port), "/x"
    for _ in range(10):
        answer = await asyncio.to_thread(send_all_then_read, port, target, *FRAMINGS[framing])
        assert answer.startswith(b"HTTP/1.1 413 "), answer[:80]
        assert answer.endswith(b"\r\n\r\ntoo much")


async def test_an_answer_is_read_although_the_servers_reset_is_noticed_by_a_write_first(
    net: Any, make: Any
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    asked, go, closed = threading.Event(), threading.Event(), threading.Event()

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            while sock.recv(1) != b"\n" or sock.recv(3) != b"X: ":  # the rest stays unread
                pass
            asked.set()
            go.wait(30)
            sock.sendall(REFUSAL)
        closed.set()

    class Late:
        """A transport whose connection is reset after the loop has looked for events, before it writes."""

        def __init__(self, transport: asyncio.Transport) -> None:
            self.transport = transport

        def __getattr__(self, name: str) -> Any:
            return getattr(self.transport, name)

        def write(self, data: bytes) -> None:
            go.set()
            assert closed.wait(30)
            self.transport.write(data)

    server = asyncio.create_task(asyncio.to_thread(serve))
    port = await exporting(net, make, listener.getsockname()[1])
    reader, writer = await net.connect(port)
    writer.write(b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nX: 1\r\n\r\nabc")
    await asyncio.to_thread(asked.wait, 30)
    (pool,) = net.gateways[0].registry.pools.values()
    (upstream,) = pool.connections
    upstream.transport = Late(upstream.transport)
    writer.write(b"d" * 100)
    assert (await net.answer(reader))[::2] == (413, b"too much")
    await server


async def test_a_client_answered_for_good_may_send_on_for_a_while_and_be_quiet_for_a_moment(
    net: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LINGER_SECONDS", 2.0)
    port = await exporting(net, make, await net.server(refuse), linger_seconds=0.5)
    loop = asyncio.get_running_loop()

    async def closed_after(pause: float) -> float:
        """Seconds until the gateway closes on a client that sends a byte in each such pause."""
        reader, writer = await net.connect(port)
        writer.write(b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
        began = loop.time()
        try:
            while loop.time() - began < 10:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(pause)
        except ConnectionError:
            pass
        return loop.time() - began

    assert 1.5 < await closed_after(0.1) < 5, "not the first quiet moment ends it, but the time for all"
    assert await closed_after(1.2) < 4


async def test_what_is_dropped_is_bounded(net: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LINGER_BYTES", 1024)
    assert bounds.LINGER_BYTES > BODY
    port = await exporting(net, make, await net.server(refuse))
    reader, writer = await net.connect(port)
    writer.write(b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 413 ")

    async def send_on() -> None:
        while True:
            writer.write(b"x" * 100)
            await writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_on(), 20)
