"""Service ports on sockets: whatever Host a caller sends, it gets the Service it called."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.snapshot import compile_snapshot
from gateway.edge.accesslog import AccessLog
from gateway.edge.server import GatewayServer
from tests.harness.ports import free_ports

Reply = Callable[[bytes, bytes], bytes]


def named(name: bytes, seen: list[bytes], ok: Any) -> Reply:
    """Answers with its name, and keeps the heads it is sent."""

    def reply(head: bytes, body: bytes) -> bytes:
        seen.append(head)
        return bytes(ok(name))

    return reply


class Two:
    """Two services, `app` and `other`, behind one gateway with two service ports."""

    def __init__(self, make: Any, ports: range, apps: tuple[int, int]) -> None:
        self._make = make
        self.first, self.second = ports
        self.ports = ports
        self._services = [
            part
            for name, port in zip(("app", "other"), apps, strict=True)
            for part in (
                make.service(name),
                make.slice("127.0.0.1", name=name, port=port),
                make.export(name, f"/{name}"),
            )
        ]

    def objects(self, **names: int) -> list[Any]:
        """With each of these names served at its port."""
        slices = [self._make.gateway_slice({str(port): 3000}, name) for name, port in names.items()]
        return [*self._services, *slices]


@pytest.fixture
async def seen() -> list[bytes]:
    return []


@pytest.fixture
async def two(net: Any, make: Any, ok: Any, seen: list[bytes]) -> Two:
    apps = [await net.app(named(name, seen, ok)) for name in (b"app", b"other")]
    return Two(make, free_ports(2), (apps[0], apps[1]))


@pytest.mark.parametrize(
    "host", ["anything", "other.demo", "api.example.org:8443", "app", "10.1.2.3", "[fd00::1]"]
)
async def test_at_a_service_port_any_host_leads_to_its_service_and_arrives_there(
    net: Any, two: Two, seen: list[bytes], host: str
) -> None:
    objects = two.objects(app=two.first)
    _, shared, _ = await net.gateway(*objects, service_ports=two.ports)
    assert (await net.ask(two.first, "/x", host))[::2] == (200, b"app")
    assert f"\r\nHost: {host}\r\n".encode() in seen[-1]
    status, _, body = await net.ask(two.second, "/x", "other.demo:3000")
    assert (status, body) == (200, b"other"), "a port that stands for nothing routes by Host"
    assert (await net.ask(two.second, "/x", "nobody"))[0] == 404
    assert (await net.ask(shared, "/x", "app.demo"))[::2] == (200, b"app")


async def test_one_head_leads_elsewhere_at_each_port(net: Any, two: Two) -> None:
    """Heads are remembered, and by each port apart."""
    await net.gateway(*two.objects(app=two.first, other=two.second), service_ports=two.ports)
    for _ in range(2):
        bodies = [(await net.ask(port, "/", "x"))[2] for port in two.ports]
        assert bodies == [b"app", b"other"]


async def test_a_kept_connection_follows_what_its_port_stands_for(net: Any, two: Two, make: Any) -> None:
    _, _, gateway = await net.gateway(*two.objects(app=two.first), service_ports=two.ports)
    reader, writer = await net.connect(two.first)
    bodies = []
    for names in ({"app": two.first}, {"other": two.first}, {"other": two.second}):
        objects = two.objects(**names)
        gateway.swap(compile_snapshot(objects, make.key("here"), listening=two.ports).snapshot)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        bodies.append((await net.answer(reader))[2])
    assert bodies == [b"app", b"other", b"Service Not Found"]


async def test_a_service_port_is_east_west_in_log_and_metrics_and_named_in_the_configuration(
    net: Any, two: Two
) -> None:
    reading, writing = os.pipe()
    log = AccessLog(writing)
    _, _, gateway = await net.gateway(*two.objects(app=two.first), service_ports=two.ports, access_log=log)
    assert set(gateway.addresses) == {"listen", "east-west", "admin"}
    await net.ask(two.first, "/x", "x")
    admin = gateway.addresses["admin"][1]
    routes = json.loads((await net.ask(admin, "/config"))[2])["eastWest"]
    assert {route["service"]: route["servicePorts"] for route in routes} == {
        "demo/app": [two.first],
        "demo/other": [],
    }
    assert b'gateway_requests_total{service="demo/app"' in (await net.ask(admin, "/metrics"))[2]
    await gateway.drain(0.05)
    line = json.loads(os.read(reading, 65536).splitlines()[0])
    os.close(reading)
    os.close(writing)
    assert (line["listener"], line["service"], line["host"]) == ("east-west", "demo/app", "x")


async def test_a_drain_finishes_what_runs_at_service_ports_and_closes_them(
    net: Any, make: Any, ok: Any
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def reply(head: bytes, body: bytes) -> bytes:
        asked.set()
        await go_on.wait()
        return bytes(ok(b"late"))

    ports = free_ports(2)
    app = await net.app(reply)
    objects = make.service(), make.slice("127.0.0.1", port=app), make.export()
    _, _, gateway = await net.gateway(
        *objects, make.gateway_slice({str(ports[0]): 3000}), service_ports=ports
    )
    idle, _ = await net.connect(ports[1])
    request = asyncio.create_task(net.ask(ports[0], "/", "x"))
    await asked.wait()
    draining = asyncio.create_task(gateway.drain(10.0))
    assert await idle.read() == b"", "a connection without a request is closed"
    go_on.set()
    assert (await request)[::2] == (200, b"late")
    await draining
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await net.connect(port)


async def test_a_host_that_several_services_have_is_misdirected_and_told_so(net: Any, make: Any) -> None:
    twin = make.imported(c1=1)
    twin["metadata"]["namespace"] = "shop"
    _, port, gateway = await net.gateway(make.imported(c1=1), twin)
    reader, writer = await net.connect(port)
    for _ in range(2):
        writer.write(b"POST / HTTP/1.1\r\nHost: app:3000\r\nContent-Length: 2\r\n\r\nab")
        status, head, body = await net.answer(reader)
        assert (status, b"X-Gateway-Refused: ambiguous-host" in head) == (421, True)
        assert body.endswith(b"use one of app.demo, app.shop\n")
    assert gateway.registry.runtime.metrics.answers == {(421, "ambiguous-host"): 2}


def test_service_ports_need_an_east_west_address() -> None:
    with pytest.raises(ValueError, match="east-west"):
        GatewayServer(cluster_key="r/z/g/c", listen=":0", service_ports=range(20000, 20001))


async def test_a_service_port_that_is_taken_leaves_nothing_listening(net: Any) -> None:
    ports = free_ports(2)
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", ports[1])
    server = GatewayServer(
        cluster_key="r/z/g/c", listen="127.0.0.1:0", east_west="127.0.0.1:0", service_ports=ports
    )
    with pytest.raises(OSError, match="in use"):
        await server.start()
    taken.close()
    await taken.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await net.connect(ports[0])
