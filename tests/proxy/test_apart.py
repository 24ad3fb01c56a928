"""Two services that name one pod: whoever writes the slices of one has no say over the other."""

from __future__ import annotations

import asyncio
from typing import Any


async def test_no_service_gets_a_connection_of_another(net: Any, make: Any) -> None:
    """What somebody left on a connection, such as half an answer, is for himself alone."""
    served: list[list[bytes]] = []

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines: list[bytes] = []
        served.append(lines)
        while line := await reader.readline():
            lines.append(line.split()[1])
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    pod = await net.server(app)
    port, _, _ = await net.gateway(
        make.service(), make.slice("127.0.0.1", port=pod), make.export(path="/a"),
        make.service("twin"), make.slice("127.0.0.1", name="twin", port=pod), make.export("twin", path="/b"),
    )  # fmt: skip
    for path in ("/a", "/b", "/a", "/b"):
        assert (await net.ask(port, path))[0] == 200
    assert served == [[b"/a", b"/a"], [b"/b", b"/b"]]


async def test_what_fails_for_one_service_does_not_count_for_another(net: Any, make: Any, ok: Any) -> None:
    async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"GET /b"):
                writer.transport.abort()
                return
            writer.write(ok(b"first"))

    pods = await net.server(first), await net.app(lambda _head, _body: ok(b"second"))
    port, _, _ = await net.gateway(
        make.service(), make.export(path="/a"),
        make.slice("127.0.0.1", port=pods[0]), make.slice("127.0.0.1", port=pods[1]),
        make.service("twin"), make.export("twin", path="/b"),
        make.slice("127.0.0.1", name="twin", port=pods[0]),
    )  # fmt: skip
    for _ in range(8):
        assert (await net.ask(port, "/b"))[0] >= 500
    answered = {(await net.ask(port, "/a"))[2] for _ in range(6)}
    assert b"first" in answered
