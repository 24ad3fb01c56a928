"""Bounds, slow clients, smuggling on sockets, drain and swap."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from proxy.smuggled import SMUGGLED

from gateway.core.snapshot import compile_snapshot
from gateway.edge.upstream import EXPIRED_AT_ONCE

GET = b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"


async def exported(net: Any, make: Any, app: int, **limits: Any) -> int:
    port, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export(), **limits)
    return int(port)


class HeldBack:
    """What an application answers when it may."""

    def __init__(self, answer: bytes) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self._answer = answer

    async def __call__(self, _head: bytes, _body: bytes) -> bytes:
        self.asked.set()
        await self.go.wait()
        return self._answer


@pytest.mark.parametrize("data", SMUGGLED)
@pytest.mark.parametrize("step", [1, 10_000], ids=["bytes", "whole"])
async def test_smuggling_is_refused_before_the_application_sees_a_byte(
    net: Any, make: Any, ok: Any, data: bytes, step: int
) -> None:
    seen: list[bytes] = []
    app = await net.app(lambda head, _body: seen.append(head) or ok())
    port = await exported(net, make, app)
    reader, writer = await net.connect(port)
    for at in range(0, len(data), step):
        writer.write(data[at : at + step])
        if step == 1:
            await asyncio.sleep(0)
    async with asyncio.timeout(3):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert not seen


@pytest.mark.parametrize(
    "tail", [b"zz\r\n", b"5\r\nabcdefg\r\n0\r\n\r\n", b"1\na\r\n0\r\n\r\n", b"0\r\nX Y: 3\r\n\r\n"]
)
async def test_a_body_that_breaks_its_framing_is_cut_off_and_nothing_follows(
    net: Any, make: Any, ok: Any, tail: bytes
) -> None:
    seen: list[bytes] = []
    app = await net.app(lambda head, _body: seen.append(head) or ok())
    port = await exported(net, make, app)
    answer = await net.talk(
        port, b"POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + tail + GET
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert not seen


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /app HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 3000 + b"\r\n\r\n", 431),
        (b"GET /app HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 3000, 431),
        (b"GET /app HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20 + b"\r\n", 431),
        (b"GET /" + b"y" * 600 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
async def test_every_bound_has_its_status(net: Any, make: Any, ok: Any, data: bytes, status: int) -> None:
    port = await exported(
        net,
        make,
        await net.app(lambda _head, _body: ok()),
        head_bytes=2000,
        head_fields=10,
        target_bytes=500,
        body_bytes=1000,
    )
    assert (await net.talk(port, data)).startswith(b"HTTP/1.1 %d " % status)


async def test_a_slow_head_and_a_slow_body_time_out(net: Any, make: Any, ok: Any) -> None:
    port = await exported(
        net, make, await net.app(lambda _head, _body: ok()), head_seconds=0.3, stall_seconds=0.3
    )
    slow_head = await net.talk(port, b"GET /app HTTP/1.1\r\nHo")
    slow_body = await net.talk(port, b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab")
    assert [slow_head[:12], slow_body[:12]] == [b"HTTP/1.1 408"] * 2


async def test_an_idle_connection_is_closed_without_a_word(net: Any, make: Any, ok: Any) -> None:
    port = await exported(
        net, make, await net.app(lambda _head, _body: ok()), idle_seconds=0.3, head_seconds=0.3
    )
    assert await net.talk(port, b"") == b""
    answer = await net.talk(port, GET)
    assert answer.count(b"HTTP/1.1") == 1


async def test_connections_to_an_application_that_nobody_uses_are_closed(
    net: Any, make: Any, ok: Any
) -> None:
    """Even of more than are closed at once, all within a few seconds of their time."""
    reply = HeldBack(ok())
    port = await exported(net, make, await net.app(reply), upstream_idle_seconds=0.5)
    count = EXPIRED_AT_ONCE + 6
    asked = [asyncio.create_task(net.ask(port, "/app")) for _ in range(count)]
    pools = net.gateways[0].registry.pools
    await net.until(lambda: sum(pool.total for pool in pools.values()) == count)
    reply.go.set()
    await asyncio.gather(*asked)
    (pool,) = pools.values()
    assert len(pool.idle) == count
    await net.until(lambda: not pool.total)


async def test_too_many_clients_are_told(net: Any, make: Any, ok: Any) -> None:
    port = await exported(net, make, await net.app(lambda _head, _body: ok()), clients=2)
    for _ in range(2):
        await net.connect(port)
    await net.until(lambda: len(net.gateways[0].downstreams.open) == 2)
    assert (await net.talk(port, GET)).startswith(b"HTTP/1.1 503 ")


async def test_requests_queue_for_a_busy_application_and_overflow_is_refused(
    net: Any, make: Any, ok: Any
) -> None:
    reply = HeldBack(ok())
    port = await exported(net, make, await net.app(reply), upstream_connections=2, queue=2)
    asked = [asyncio.create_task(net.ask(port, "/app")) for _ in range(8)]
    await net.until(lambda: sum(task.done() for task in asked) == 4)
    reply.go.set()
    answers = await asyncio.gather(*asked)
    assert sorted(answer[0] for answer in answers) == [200] * 4 + [503] * 4


async def test_drain_finishes_what_runs_and_closes_what_is_idle(net: Any, make: Any, ok: Any) -> None:
    reply = HeldBack(ok(b"done"))
    port = await exported(net, make, await net.app(reply))
    idle_reader, _ = await net.connect(port)
    reader, writer = await net.connect(port)
    writer.write(GET)
    await reply.asked.wait()
    draining = asyncio.create_task(net.gateways[0].drain(5))
    await net.until(lambda: net.gateways[0].draining)
    reply.go.set()
    status, head, body = await net.answer(reader)
    assert (status, body) == (200, b"done")
    assert b"\r\nConnection: close\r\n" in head
    assert await idle_reader.read() == b""
    writer.close()
    async with asyncio.timeout(3):
        await draining
    with pytest.raises(OSError):
        await net.connect(port)


async def test_drain_serves_whom_the_kernel_had_accepted(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(lambda _head, _body: ok(b"done"))
    port = await exported(net, make, app)
    # They wait in the kernel's queue: nothing but the kernel runs between here and the drain.
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    for client in clients[:4]:
        client.sendall(GET)
    draining = asyncio.create_task(net.gateways[0].drain(5))
    answers = await asyncio.gather(*(asyncio.to_thread(read_all, client) for client in clients))
    await draining
    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 4 + [b""]
    with pytest.raises(OSError):
        await net.connect(port)


def read_all(client: socket.socket) -> bytes:
    """All that comes before the end, which must not be a reset."""
    with client:
        found = b""
        while data := client.recv(65536):
            found += data
        return found


async def test_drain_gives_up_at_its_deadline(net: Any, make: Any, ok: Any) -> None:
    started = asyncio.Event()

    async def reply(head: bytes, body: bytes) -> bytes:
        started.set()
        await asyncio.Event().wait()
        return bytes(ok())

    port = await exported(net, make, await net.app(reply))
    _, writer = await net.connect(port)
    writer.write(GET)
    await started.wait()
    async with asyncio.timeout(2):
        await net.gateways[0].drain(0.2)


async def test_a_new_snapshot_drops_nothing(net: Any, make: Any, ok: Any) -> None:
    apps = [await net.app(lambda _head, _body, n=n: ok(b"%d" % n)) for n in range(2)]
    port = await exported(net, make, apps[0])
    gateway = net.gateways[0]
    seen: set[bytes] = set()
    stop = asyncio.Event()
    answered = 0

    async def load() -> int:
        nonlocal answered
        reader, writer = await net.connect(port)
        count = 0
        while not stop.is_set():
            writer.write(GET)
            status, _, body = await net.answer(reader)
            assert status == 200
            seen.add(body)
            count += 1
            answered += 1
        return count

    tasks = [asyncio.create_task(load()) for _ in range(8)]
    for turn in range(100):
        objects = make.service(), make.slice("127.0.0.1", port=apps[turn % 2]), make.export()
        gateway.swap(compile_snapshot(objects, make.key("here")).snapshot)
        before = answered
        while answered == before:  # noqa: ASYNC110  in the middle of it, not once they have settled
            await asyncio.sleep(0)
    stop.set()
    counts = await asyncio.gather(*tasks)
    assert min(counts) > 1
    assert seen == {b"0", b"1"}


async def test_the_admin_pages_tell_the_state(net: Any, make: Any, ok: Any) -> None:
    port = await exported(net, make, await net.app(lambda _head, _body: ok()))
    gateway = net.gateways[0]
    admin = gateway.addresses["admin"][1]
    await net.ask(port, "/app")
    assert (await net.ask(admin, "/livez"))[0] == 200
    assert (await net.ask(admin, "/readyz"))[0] == 200
    gateway.set_ready(False)
    assert (await net.ask(admin, "/readyz"))[0] == 503
    text = (await net.ask(admin, "/metrics"))[2].decode()
    assert 'cluster="default/default/default/here",policy="Locality",code="200"} 1' in text
    assert b'"where": "Prefix /app"' in (await net.ask(admin, "/config"))[2]
    assert (await net.ask(admin, "/other"))[0] == 404
