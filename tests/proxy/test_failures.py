"""Peers that misbehave: what is replayed, what is not, and what the client is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.snapshot import compile_snapshot


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a request, then reset the connection without a byte of an answer."""
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def east(
    net: Any, make: Any, policy: Any, *local: Any, limits: dict[str, Any] | None = None, **ports: int
) -> int:
    _, port, _ = await net.gateway(make.imported(path="/", **ports), policy, *local, **(limits or {}))
    return int(port)


HOST = "app.demo:3000"


async def test_a_refused_connection_is_tried_elsewhere_for_any_method(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(lambda _head, body: ok(b"up " + body))
    port = await east(net, make, make.policy("ActiveActive"), c1=net.dead_port(), c3=app)
    for _ in range(6):
        assert (await net.ask(port, host=HOST, method="POST", body=b"order"))[::2] == (200, b"up order")


async def test_an_idempotent_request_without_an_answer_is_replayed(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(lambda _head, body: ok(b"up " + body))
    port = await east(net, make, make.policy("ActiveActive"), c1=await net.server(reset), c3=app)
    for _ in range(6):
        assert (await net.ask(port, host=HOST, method="PUT", body=b"x"))[::2] == (200, b"up x")


async def test_a_post_that_may_have_been_executed_is_not_replayed(net: Any, make: Any, ok: Any) -> None:
    seen = []

    def reply(head: bytes, body: bytes) -> bytes:
        seen.append(head)
        return bytes(ok())

    port = await east(
        net, make, make.policy("FailOver", c1=90, c3=10), c1=await net.server(reset), c3=await net.app(reply)
    )
    statuses = [(await net.ask(port, host=HOST, method="POST", body=b"x"))[0] for _ in range(2)]
    assert statuses.count(502) == 2 - len(seen)
    assert 502 in statuses
    keyed = await net.ask(port, host=HOST, method="POST", body=b"x", fields="Idempotency-Key: 1\r\n")
    assert keyed[0] == 200


async def test_a_body_too_long_to_keep_is_sent_once(net: Any, make: Any, ok: Any) -> None:
    async def read_then_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(100_000)
        writer.transport.abort()

    app = await net.app(lambda _head, _body: ok())
    policy = make.policy("FailOver", c1=99, c3=1)
    port = await east(net, make, policy, c1=await net.server(read_then_reset), c3=app)
    assert (await net.ask(port, host=HOST, method="PUT", body=b"x" * 100_000))[0] == 502


async def test_fail_over_leaves_a_dead_local_application(net: Any, make: Any, ok: Any) -> None:
    app = await net.app(lambda _head, _body: ok(b"remote"))
    local = make.slice("127.0.0.1", port=net.dead_port())
    port = await east(net, make, make.policy("FailOver"), make.service(), local, c1=app)
    for _ in range(5):
        assert (await net.ask(port, host=HOST))[::2] == (200, b"remote")


async def test_gateway_up_but_application_down_is_tried_elsewhere(net: Any, make: Any, ok: Any) -> None:
    empty, _, _ = await net.gateway(make.service(), make.export())
    dead, _, _ = await net.gateway(
        make.service(), make.slice("127.0.0.1", port=net.dead_port()), make.export()
    )
    live, _, _ = await net.gateway(
        make.service(),
        make.slice("127.0.0.1", port=await net.app(lambda _head, body: ok(body))),
        make.export(),
    )
    _, port, _ = await net.gateway(make.imported(c1=empty, c2=dead, c3=live), make.policy("ActiveActive"))
    for _ in range(9):
        assert (await net.ask(port, host=HOST, method="POST", body=b"o"))[::2] == (200, b"o")


async def test_an_idempotent_request_that_another_cluster_gave_no_answer_to_is_sent_elsewhere_once(
    net: Any, make: Any, ok: Any
) -> None:
    """As when a pod dies with a request in its hands: its gateway has no other, and another cluster has."""
    asked = []

    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.transport.abort()

    async def exporter(port: int) -> int:
        local = make.slice("127.0.0.1", port=port)
        return int((await net.gateway(make.service(), local, make.export()))[0])

    def asking(*exporters: int) -> Any:
        imported = make.imported(**{f"c{number}": port for number, port in enumerate(exporters)})
        return net.gateway(imported, make.policy("ActiveActive"))

    dying = await exporter(await net.server(dies))
    living = await exporter(await net.app(lambda _head, body: ok(b"up " + body)))
    _, port, _ = await asking(dying, living)
    for _ in range(6):
        assert (await net.ask(port, host=HOST, method="PUT", body=b"x"))[::2] == (200, b"up x")
    assert asked
    asked.clear()
    statuses = [(await net.ask(port, host=HOST, method="POST", body=b"x"))[0] for _ in range(2)]
    assert statuses.count(502) == len(asked)
    _, port, _ = await asking(dying, await exporter(await net.server(dies)), living)
    found = []
    for _ in range(6):
        asked.clear()
        status, head, _ = await net.ask(port, host=HOST)
        found.append((status, len(asked)))
        assert b"x-gateway" not in head.lower()
    assert set(found) <= {(200, 0), (200, 1), (502, 2)}, "what all die of does not go through all"
    assert (502, 2) in found


async def test_what_an_application_says_of_passing_on_causes_no_replay(net: Any, make: Any) -> None:
    executed = []

    def reply(_head: bytes, body: bytes) -> bytes:
        executed.append(body)
        return b"HTTP/1.1 502 No\r\nContent-Length: 0\r\nX-Gateway-Passed: no-answer\r\n\r\n"

    objects = make.service(), make.slice("127.0.0.1", port=await net.app(reply)), make.export()
    one, two = (await net.gateway(*objects))[0], (await net.gateway(*objects))[0]
    _, port, _ = await net.gateway(make.imported(c1=one, c3=two), make.policy("ActiveActive"))
    assert (await net.ask(port, host=HOST, method="PUT", body=b"o"))[0] == 502
    assert executed == [b"o"]


async def test_an_applications_own_refusal_field_does_not_cause_a_replay(net: Any, make: Any) -> None:
    executed = []

    def reply(head: bytes, body: bytes) -> bytes:
        executed.append(body)
        return b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nX-Gateway-Refused: no-route\r\n\r\n"

    app = await net.app(reply)
    objects = make.service(), make.slice("127.0.0.1", port=app), make.export()
    one, _, _ = await net.gateway(*objects)
    two, _, _ = await net.gateway(*objects)
    _, port, _ = await net.gateway(make.imported(c1=one, c3=two), make.policy("ActiveActive"))
    status, head, _ = await net.ask(port, host=HOST, method="POST", body=b"o")
    assert (status, executed) == (503, [b"o"])
    assert b"refused" not in head.lower()


async def test_when_nobody_answers_the_client_is_told(net: Any, make: Any) -> None:
    port = await east(net, make, make.policy("ActiveActive"), c1=net.dead_port(), c3=net.dead_port())
    status, head, _ = await net.ask(port, host=HOST)
    assert status == 502
    assert b"X-Gateway-Refused: unreachable" in head


async def test_a_silent_application_is_given_up(net: Any, make: Any) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    port = await east(
        net,
        make,
        make.policy("ActiveActive"),
        c1=await net.server(silent),
        limits={"first_byte_seconds": 0.2},
    )
    assert (await net.ask(port, host=HOST, method="POST"))[0] == 504


async def test_an_address_that_swallows_packets_is_given_up(net: Any, make: Any, ok: Any) -> None:
    imported = make.imported(path="/", c1=1, c3=await net.app(lambda _head, _body: ok()))
    imported["spec"]["ports"][0]["endpoints"][0]["target"] = {
        "ip": "192.0.2.1",
        "port": 9,
        "path": "/",
        "host": "h",
    }
    _, port, _ = await net.gateway(imported, make.policy("ActiveActive"), connect_seconds=0.2)
    for _ in range(4):
        assert (await net.ask(port, host=HOST, method="POST"))[0] == 200


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
async def test_an_answer_cut_off_is_never_made_to_look_whole(net: Any, make: Any, answer: bytes) -> None:
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    port = await east(net, make, make.policy("ActiveActive"), c1=await net.server(lie))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
        await net.ask(port, host=HOST)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40_000,
    ],
)
async def test_an_answer_that_is_no_http_becomes_502(net: Any, make: Any, answer: bytes) -> None:
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    port = await east(net, make, make.policy("ActiveActive"), c1=await net.server(lie))
    assert (await net.ask(port, host=HOST))[0] == 502


async def test_bytes_after_an_answer_never_reach_the_next_request(net: Any, make: Any, ok: Any) -> None:
    async def extra(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ok(b"mine") + ok(b"poison"))
            await writer.drain()

    port = await east(net, make, make.policy("ActiveActive"), c1=await net.server(extra))
    reader, writer = await net.connect(port)
    for _ in range(5):
        writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert (await net.answer(reader))[2] == b"mine"
        await net.until(lambda: not net.gateways[0].registry.gauges()["gateway_upstream_connections"])


async def test_a_kept_connection_closed_by_the_server_costs_nothing(net: Any, make: Any, ok: Any) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok())
        await writer.drain()

    port = await east(net, make, make.policy("ActiveActive"), c1=await net.server(once))
    for _ in range(20):
        assert (await net.ask(port, host=HOST))[0] == 200


async def test_a_client_that_leaves_frees_everything(net: Any, make: Any) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        try:
            await reader.read()
        finally:
            gone.set()

    port = await east(net, make, make.policy("ActiveActive"), c1=await net.server(wait))
    _, writer = await net.connect(port)
    writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    async with asyncio.timeout(2):
        await asked.wait()
    # Gone, not half-closed: a reset.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    async with asyncio.timeout(2):
        await gone.wait()
    gateway = net.gateways[0]
    await net.until(lambda: not gateway.downstreams.open)
    assert [pool.total for pool in gateway.registry.pools.values()] == [0]


async def test_a_client_that_does_not_read_holds_a_bounded_amount(net: Any, make: Any) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    port = await east(net, make, make.policy("ActiveActive"), c1=await net.server(flood))
    _, writer = await net.connect(port)
    writer.transport.pause_reading()
    writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert await settled(lambda: sent) < 100_000_000, "the application is held back"
    client = next(iter(net.gateways[0].downstreams.open))
    assert client.transport.get_write_buffer_size() < 1_000_000


async def test_an_application_that_does_not_read_holds_the_client_back(net: Any, make: Any) -> None:
    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(30)

    port = await east(net, make, make.policy("ActiveActive"), c1=await net.server(stuck))
    _, writer = await net.connect(port)
    writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000000\r\n\r\n".encode())
    writer.write(b"x" * 50_000_000)
    assert await settled(writer.transport.get_write_buffer_size) > 10_000_000


async def settled(value: Callable[[], int]) -> int:
    """The value once it has stopped changing."""
    async with asyncio.timeout(30):
        before = -1
        while (now := value()) != before:
            before = now
            await asyncio.sleep(0.5)
    return before


async def test_counters_outlive_what_they_counted(net: Any, make: Any, ok: Any) -> None:
    port, _, server = await net.gateway(make.service(), make.slice("127.0.0.1", port=9), make.export())
    assert (await net.ask(port, "/app"))[0] == 502
    text = (await server.metrics()).text
    server.swap(compile_snapshot([], make.key("here")).snapshot)
    await server.registry.forget()
    assert not server.registry.health
    after = (await server.metrics()).text
    for line in (
        'gateway_ejections_total{service="demo/app",cluster="default/default/default/here"} 1',
        'code="502"} 1',
    ):
        assert line in text
        assert line in after
