"""Admin pages cost no more memory than a few of them, whoever asks and does not read; probes are answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.edge import admin
from gateway.edge.admin import AdminConnection, Page, text_page

SIZE = 12 << 20
"""More than the kernel's buffers and what may wait take."""


async def serve(net: Any, making: asyncio.Event) -> tuple[int, set[AdminConnection]]:
    async def slow() -> Page:
        await making.wait()
        return text_page(200, "made")

    pages = {
        b"/livez": lambda: text_page(200, "ok"),
        b"/big": lambda: text_page(200, "x" * SIZE),
        b"/slow": slow,
    }
    connections: set[AdminConnection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: AdminConnection(pages, connections), "127.0.0.1", 0)
    net._servers.append(server)
    return int(server.sockets[0].getsockname()[1]), connections


async def test_a_page_that_is_not_read_holds_up_the_next_and_no_probe(
    net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "ANSWER_SECONDS", 0.3)
    port, connections = await serve(net, asyncio.Event())
    _, writer = await net.connect(port)
    writer.transport.pause_reading()
    writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
    await net.until(lambda: connections and max(one.unsent for one in connections) > admin.MOST_UNSENT_BYTES)
    assert (await net.ask(port, "/big"))[0] == 503
    assert (await net.ask(port, "/livez"))[0] == 200
    await net.until(lambda: not connections)
    assert len((await net.ask(port, "/big"))[2]) == SIZE


async def test_few_pages_are_made_at_once(net: Any) -> None:
    making = asyncio.Event()
    port, connections = await serve(net, making)
    asked = [asyncio.create_task(net.ask(port, "/slow")) for _ in range(admin.MOST_MADE)]
    await net.until(lambda: sum(one.makes for one in connections) == admin.MOST_MADE)
    assert (await net.ask(port, "/slow"))[0] == 503
    assert (await net.ask(port, "/livez"))[0] == 200
    making.set()
    assert [answer[0] for answer in await asyncio.gather(*asked)] == [200] * admin.MOST_MADE


async def test_a_page_that_is_read_slowly_is_read_to_its_end(net: Any) -> None:
    port, connections = await serve(net, asyncio.Event())
    reader, writer = await net.connect(port)
    writer.transport.pause_reading()
    writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    await net.until(lambda: connections and max(one.unsent for one in connections))
    (connection,) = connections
    connection._arm()
    unsent = connection.unsent
    writer.transport.resume_reading()
    reading = asyncio.create_task(net.answer(reader))
    await net.until(lambda: connection.unsent < unsent)
    connection._expired()  # as its timer does
    assert len((await reading)[2]) == SIZE
    connection._expired()
    await net.until(lambda: not connections)
