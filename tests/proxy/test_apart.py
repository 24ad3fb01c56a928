"""Two services that name one pod: whoever writes the slices of one has no say over the other."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import ANY

import pytest

from gateway.core.snapshot import compile_snapshot


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


@pytest.mark.parametrize("rewrite", [None, {"from": "^/shop", "to": "/shop/deeper"}])
async def test_an_endpoint_that_leads_back_to_the_gateway_ends_after_one_round(
    net: Any, make: Any, rewrite: Any
) -> None:
    """As a node's address with the gateway's own node port does, which no rule about addresses can know."""
    port, _, server = await net.gateway()
    more = {"pathRewrite": rewrite} if rewrite else {}
    objects = [make.service(), make.slice("127.0.0.1", port=port), make.export(path="/shop", **more)]
    server.swap(compile_snapshot(objects, make.key("here")).snapshot)
    status, _, body = await net.ask(port, "/shop")
    assert (status, body.split(b":")[0]) == (508, b"request comes back from the service's own endpoint")
    page = await net.ask(server.addresses["admin"][1], "/metrics")
    assert b'gateway_own_answers_total{code="508",reason="loop"} 1\n' in page[2]
    assert server.registry.runtime.metrics.connections == 2, "the client's and one of its own"


async def test_services_that_lead_to_each_other_through_gateways_end_too(net: Any, make: Any) -> None:
    """Each of them once, and no more of them than gateways a request may pass."""
    port, _, server = await net.gateway()
    objects = []
    for number in range(20):
        path = {"from": "^/s[0-9]+", "to": f"/s{(number + 1) % 20}"}
        name = f"s{number}"
        objects += [make.service(name), make.slice("127.0.0.1", name=name, port=port)]
        objects.append(make.export(name, f"/{name}", pathRewrite=path))
    server.swap(compile_snapshot(objects, make.key("here")).snapshot)
    assert (await net.ask(port, "/s0"))[0] == 508
    assert server.registry.runtime.metrics.connections == 9


async def test_an_application_may_call_other_services_with_the_fields_it_got(
    net: Any, make: Any, ok: Any
) -> None:
    """As a reverse proxy does that is an application; a mark that no gateway made says nothing."""
    seen: list[bytes] = []

    async def proxy(head: bytes, _body: bytes) -> bytes:
        seen.append(head)
        fields = head.partition(b"\r\n")[2].decode().removesuffix("\r\n")
        _, _, body = await net.ask(port, "/other", fields="".join(
            line + "\r\n" for line in fields.split("\r\n") if line.startswith("X-Gateway-Served")
        ))  # fmt: skip
        return ok(body)

    def other(head: bytes, _body: bytes) -> bytes:
        seen.append(head)
        return ok(b"other")

    first, second = await net.app(proxy), await net.app(other)
    port, _, _ = await net.gateway(
        make.service(), make.slice("127.0.0.1", port=first), make.export(path="/a"),
        make.service("other"), make.slice("127.0.0.1", name="other", port=second),
        make.export("other", "/other"),
    )  # fmt: skip
    assert await net.ask(port, "/a", fields="X-Gateway-Served: nonsense, 0123\r\n") == (200, ANY, b"other")
    marks = [head.partition(b"X-Gateway-Served: ")[2].partition(b"\r\n")[0].split() for head in seen]
    assert len(marks[0]) == 1
    assert marks[1][:1] == marks[0]
    assert len(set(marks[1])) == 2
