"""Timeouts of exports over sockets: at the exporter, at the front door, and in a caller's cluster."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from gateway.core.timeouts import TIMEOUTS
from gateway.edge.accesslog import AccessLog

HOST = "app.demo:3000"
LATE = 2.0
"""Seconds that a busy machine may add to a timeout."""
FOREVER = 60.0
"""Longer than any test waits."""


def saying(raw: Any, **said: str) -> Any:
    raw["metadata"]["annotations"] = {TIMEOUTS: json.dumps(said)}
    return raw


def silent(ok: Callable[..., bytes], seen: list[bytes]) -> Callable[[bytes, bytes], Any]:
    """An application that answers nothing but `/quick`."""

    async def reply(head: bytes, _body: bytes) -> bytes:
        seen.append(head)
        if b"/quick" not in head:
            await asyncio.sleep(FOREVER)
        return ok()

    return reply


def exporting(make: Any, *pods: int, **said: str) -> list[Any]:
    slices = [make.slice("127.0.0.1", port=pod) for pod in pods]
    return [make.service(), *slices, saying(make.export(), **said)]


async def timed(asking: Any) -> tuple[float, tuple[int, bytes, bytes]]:
    begun = monotonic()
    answer = await asking
    return monotonic() - begun, answer


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_exporter_answers_504_in_time(net: Any, make: Any, ok: Any, method: str) -> None:
    seen: list[bytes] = []
    port, _, _ = await net.gateway(*exporting(make, await net.app(silent(ok, seen)), request="600ms"))
    assert (await net.ask(port, "/app/quick"))[0] == 200
    took, (status, head, body) = await timed(net.ask(port, "/app", method=method))
    assert (status, body) == (504, b"request took too long\n")
    assert b"X-Gateway-Refused" not in head, "an application may have seen it"
    assert 0.6 <= took < 0.6 + LATE
    assert len(seen) == 2, "its time is over: it is not sent again"


async def test_the_log_says_why(net: Any, make: Any, ok: Any) -> None:
    reading, writing = os.pipe()
    log = AccessLog(writing)
    objects = exporting(make, await net.app(silent(ok, [])), request="300ms")
    port, _, server = await net.gateway(*objects, access_log=log)
    assert (await net.ask(port, "/app"))[0] == 504
    await server.drain(0.1)
    os.close(writing)
    with os.fdopen(reading, encoding="ascii") as lines:
        (line,) = map(json.loads, lines)
    assert (line["status"], line["reason"], line["attempts"]) == (504, "total-timeout", 1)


async def test_whoever_is_tried_has_a_time_of_its_own(net: Any, make: Any, ok: Any) -> None:
    """An idempotent request goes on to the next pod, one that may have been executed does not."""
    seen: list[bytes] = []
    pods = [await net.app(silent(ok, seen)), await net.app(lambda _head, _body: ok(b"other"))]
    objects = exporting(make, *pods, request="9s", backendRequest="500ms")
    port, _, _ = await net.gateway(*objects)
    answers = [await timed(net.ask(port, "/app")) for _ in range(2)]
    assert [(status, body) for _, (status, _, body) in answers] == [(200, b"other")] * 2
    assert max(took for took, _ in answers) >= 0.5
    assert seen
    answers = [await timed(net.ask(port, "/app", method="POST")) for _ in range(2)]
    assert sorted(status for _, (status, _, _) in answers) == [200, 504]


async def test_an_answer_that_takes_too_long_is_cut_off(net: Any, make: Any) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.05)

    for said in ({"request": "500ms"}, {"backendRequest": "500ms"}):
        port, _, server = await net.gateway(*exporting(make, await net.server(drip), **said))
        begun = monotonic()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await net.ask(port, "/app")
        assert 0.5 <= monotonic() - begun < 0.5 + LATE
        await server.drain(0.1)


async def test_the_front_door_and_callers_keep_it_where_the_exporter_does_not(
    net: Any, make: Any, ok: Any
) -> None:
    """The exporter is an older gateway, or hangs: whoever imports the service keeps the time."""
    far, _, _ = await net.gateway(*exporting(make, await net.app(silent(ok, []))))
    imported = saying(make.imported(c1=far), request="600ms")
    door, east, _ = await net.gateway(imported, make.policy("ActiveActive"), front_door=True)
    for port, target in ((door, "/app"), (east, "/")):
        took, (status, _, _) = await timed(net.ask(port, target, host=HOST))
        assert status == 504
        assert 0.6 <= took < 0.6 + LATE
        assert (await net.ask(port, f"{target}/quick".replace("//", "/"), host=HOST))[0] == 200


async def test_longer_than_the_gateways_minute_is_waited_for(net: Any, make: Any, ok: Any) -> None:
    async def reply(_head: bytes, _body: bytes) -> bytes:
        await asyncio.sleep(1.0)
        return bytes(ok())

    objects = exporting(make, await net.app(reply), request="9s")
    port, _, _ = await net.gateway(*objects, first_byte_seconds=0.2)
    assert (await net.ask(port, "/app"))[0] == 200


async def test_slow_pods_are_left_out_and_slow_clients_are_none(net: Any, make: Any, ok: Any) -> None:
    """As without timeouts, three requests in a row that a pod does not answer in time eject it."""
    objects = exporting(make, await net.app(silent(ok, [])), request="200ms")
    port, _, server = await net.gateway(*objects)
    reader, writer = await net.connect(port)
    writer.write(b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
    assert (await net.answer(reader))[0] == 504
    (health,) = server.registry.health.values()
    assert health.failures == 0, "it was the client that did not send"
    for _ in range(3):
        assert (await net.ask(port, "/app"))[0] == 504
    assert health.ejections == 1


async def test_a_tunnel_is_bound_by_no_timeout(net: Any, make: Any) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data)

    objects = exporting(make, await net.server(echo), request="300ms", backendRequest="200ms")
    port, _, _ = await net.gateway(*objects)
    reader, writer = await net.connect(port)
    writer.write(b"GET /app HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    assert (await net.answer(reader))[0] == 101
    await asyncio.sleep(1.2)
    writer.write(b"still here")
    async with asyncio.timeout(10):
        assert await reader.readexactly(10) == b"still here"
