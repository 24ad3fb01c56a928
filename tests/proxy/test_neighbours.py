"""Other clusters' gateways: checked, silent, or gone with somebody else at their address."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.answers import HEALTH_CHECK_ANSWER
from gateway.core.snapshot import compile_snapshot
from gateway.edge.registry import pool_of

HOST = "app.demo:3000"


async def test_health_checks_see_an_application_leave_and_return_behind_its_gateway(
    net: Any, make: Any, ok: Any
) -> None:
    app = await net.app(lambda _head, _body: ok())
    full = make.service(), make.slice("127.0.0.1", port=app), make.export()
    remote, _, exporter = await net.gateway(*full)
    _, port, importer = await net.gateway(make.imported(c1=remote), make.policy("ActiveActive"))
    assert (await net.ask(port, host=HOST))[0] == 200
    (health,) = importer.registry.health.values()
    exporter.swap(compile_snapshot([make.service(), make.export()], make.key("here")).snapshot)
    assert (await net.ask(port, host=HOST))[0] == 404
    await net.until(lambda: health.down)
    exporter.swap(compile_snapshot(full, make.key("here")).snapshot)
    await net.until(lambda: not health.ejected(importer.registry.runtime.now))
    assert (await net.ask(port, host=HOST))[0] == 200


async def test_the_mark_of_an_applications_answer_reaches_every_gateway_and_no_client(
    net: Any, make: Any
) -> None:
    """Three in a row: a front door, and two clusters of which one leads to the other."""
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
    marks = []

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes all on, and looks for the mark."""
        there, back = await net.connect(exporter)
        while head := await reader.readuntil(b"\r\n\r\n"):
            back.write(head)
            said = await net.answer(there)
            marks.append(b"X-Gateway-Passed: 1" in said[1])
            writer.write(said[1] + said[2])

    app = await net.app(lambda _head, _body: answer)
    exporter, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    middle, _, _ = await net.gateway(make.imported(c1=await net.server(between)), front_door=True)
    _, port, _ = await net.gateway(make.imported(c2=middle), make.policy("ActiveActive"))
    for asked, target in ((port, "/"), (middle, "/app"), (exporter, "/app")):
        status, head, body = await net.ask(asked, target, HOST)
        assert (status, body) == (404, b"no")
        assert b"X-Gateway" not in head
    assert marks == [True, True]


async def test_a_health_check_never_reaches_an_application(net: Any, make: Any, ok: Any) -> None:
    seen = []
    app = await net.app(lambda head, _body: seen.append(head) or ok())
    port, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    reader, writer = await net.connect(port)
    for target, status in (("/app", 204), ("/other", 404), ("/app/x", 204)):
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nX-Gateway-Probe: 1\r\n\r\n".encode())
        assert (await net.answer(reader))[0] == status
    assert not seen


async def test_a_gateway_that_swallows_requests_is_left_out_and_its_requests_go_elsewhere(
    net: Any, make: Any, ok: Any
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    app = await net.app(lambda _head, _body: ok(b"up"))
    policy = make.policy("FailOver", c1=99, c3=1)
    _, port, _ = await net.gateway(make.imported(path="/", c1=await net.server(silent), c3=app), policy)
    answers = await asyncio.gather(*(net.ask(port, host=HOST) for _ in range(20)))
    assert {answer[::2] for answer in answers} == {(200, b"up")}, "long before the 60 s of a first byte"


async def test_an_answer_of_the_last_gateway_there_is_is_waited_for_a_little_longer(
    net: Any, make: Any, ok: Any
) -> None:
    """While a machine stalls everybody is silent for a moment, and nobody is dead."""
    asked, over = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def stalling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        check = b"X-Gateway-Probe" in await reader.readuntil(b"\r\n\r\n")
        if not check or asked.is_set():
            asked.set()
            await over.wait()
        writer.write(HEALTH_CHECK_ANSWER if check else ok(b"late"))
        await writer.drain()

    east, west = await net.server(silent), await net.server(stalling)
    policy = make.policy("FailOver", c1=99, c3=1)
    _, port, importer = await net.gateway(make.imported(path="/", c1=east, c3=west), policy)
    asking = asyncio.create_task(net.ask(port, host=HOST))
    await asked.wait()
    await net.until(lambda: all(health.down for health in importer.registry.health.values()))
    over.set()
    assert (await asking)[::2] == (200, b"late")


async def test_the_beginning_of_an_answer_that_was_given_up_is_not_taken_for_that_of_the_next(
    net: Any, make: Any, ok: Any
) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"X-Gateway-Probe" not in await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 2")
        await reader.read()

    app = await net.app(lambda _head, _body: ok(b"up"))
    policy = make.policy("FailOver", c1=99, c3=1)
    _, port, _ = await net.gateway(make.imported(path="/", c1=await net.server(half), c3=app), policy)
    answers = await asyncio.gather(*(net.ask(port, host=HOST) for _ in range(5)))
    assert {answer[::2] for answer in answers} == {(200, b"up")}


class Address:
    """What dials lead to behind one address, as a load balancer has it: changes while connections stay."""

    def __init__(self, net: Any, port: int) -> None:
        self._net, self.port = net, port

    async def listen(self) -> int:
        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                await asyncio.gather(pipe(reader, onward_writer), pipe(onward_reader, writer))
            finally:
                onward_writer.close()

        return int(await self._net.server(relay))


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.write_eof()


@pytest.mark.parametrize("status", [404, 502, 503, 504])
async def test_an_answer_of_somebody_in_a_gateways_place_is_not_taken_for_the_applications(
    net: Any, make: Any, ok: Any, status: int
) -> None:
    app = await net.app(lambda _head, _body: ok(b"up"))
    gateway, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    said = b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status
    stranger = await net.app(lambda _head, _body: said)
    address = Address(net, gateway)
    imported = make.imported(c1=await address.listen(), c3=gateway)
    policy = make.policy("FailOver", c1=99, c3=1)
    _, port, importer = await net.gateway(imported, policy)
    assert (await net.ask(port, host=HOST))[::2] == (200, b"up")
    first = importer.registry.states()[0].clusters[1].endpoints[0]
    await net.until(lambda: first.marks)
    address.port = stranger
    pool_of(first).close_idle()
    assert (await net.ask(port, host=HOST))[::2] == (200, b"up"), "tried elsewhere"
    assert first.ejected(importer.registry.runtime.now)
    await net.until(lambda: first.down)
    address.port = gateway
    await net.until(lambda: not first.ejected(importer.registry.runtime.now))


async def test_what_an_application_answers_is_passed_on_however_it_looks(
    net: Any, make: Any, ok: Any
) -> None:
    seen = []
    said = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nmine"
    app = await net.app(lambda head, _body: seen.append(head) or said)
    gateway, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    _, port, importer = await net.gateway(make.imported(c1=gateway, c3=gateway), make.policy("ActiveActive"))
    assert (await net.ask(port, host=HOST))[::2] == (404, b"mine")
    (health,) = importer.registry.health.values()
    await net.until(lambda: health.marks)
    for _ in range(10):
        assert (await net.ask(port, host=HOST))[::2] == (404, b"mine")
    assert len(seen) == 11, "each was asked once"
    assert not health.failures


async def test_a_gateway_of_another_make_may_answer_as_it_likes(net: Any, make: Any, ok: Any) -> None:
    said = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nother"
    checks = []

    def answer(head: bytes, _body: bytes) -> bytes:
        if b"X-Gateway-Probe" in head:
            checks.append(head)
        return said

    other = await net.app(answer)
    _, port, importer = await net.gateway(make.imported(c1=other), make.policy("ActiveActive"))
    assert (await net.ask(port, host=HOST))[::2] == (404, b"other")
    (health,) = importer.registry.health.values()
    await net.until(lambda: len(checks) == 2)  # the first has been looked at when the second comes
    assert (await net.ask(port, host=HOST))[::2] == (404, b"other")
    assert not health.marks
    assert not health.ejected(importer.registry.runtime.now)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("X-Gateway-Hops: 7\r\n", 508),
        ("A: b\r\n" * 125, 431),
        (f"A: {'b' * 32_600}\r\n", 431),
    ],
    ids=["hops", "fields", "bytes"],
)
async def test_what_one_gateway_takes_and_the_next_refuses_is_no_fault_of_the_next(
    net: Any, make: Any, ok: Any, fields: str, status: int
) -> None:
    """Each adds fields of its own; by a request just within the bounds nobody may have exporters ejected."""
    app = await net.app(lambda _head, _body: ok(b"up"))
    gateway, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    _, port, importer = await net.gateway(make.imported(c1=gateway, c3=gateway), make.policy("ActiveActive"))
    assert (await net.ask(port, host=HOST))[0] == 200
    for _ in range(5):
        assert (await net.ask(port, host=HOST, fields=fields))[0] == status
    (health,) = importer.registry.health.values()
    assert not health.failures
    assert not health.ejected(importer.registry.runtime.now)
    assert "gateway_retries_total{" not in (await importer.metrics()).text
    assert (await net.ask(port, host=HOST))[::2] == (200, b"up")
