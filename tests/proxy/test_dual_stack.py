"""One address for both families, and pods that have IPv6 addresses alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.core.snapshot import compile_snapshot
from gateway.edge.server import GatewayServer, parse_address
from gateway.kube.admin import AdminServer


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) if socket.has_ipv6 else socket.socket() as tried:
        try:
            tried.bind(("::1", 0))
        except OSError:
            return False
        return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


@asynccontextmanager
async def gateway(make: Any, listen: str, *objects: Any) -> AsyncIterator[GatewayServer]:
    server = GatewayServer(cluster_key=make.key("here"), listen=listen)
    server.swap(compile_snapshot(objects, make.key("here"), False).snapshot)
    await server.start()
    server.set_ready(True)
    try:
        yield server
    finally:
        await server.drain(1.0)


async def ask(host: str, port: int, path: str = "/app") -> tuple[int, str]:
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    async with aiohttp.ClientSession() as session, session.get(f"http://{at}{path}") as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("text", ["[::]:80", ":80"])
def test_every_address_is_those_of_both_families(text: str) -> None:
    assert parse_address(text) == ("", 80)
    assert parse_address("[::1]:80") == ("::1", 80)


@needs_ipv6
async def test_both_families_are_served_and_clients_have_their_own_addresses(
    net: Any, make: Any, ok: Any, unused_tcp_port: int
) -> None:
    app = await net.app(lambda head, _: ok(head))
    objects = (make.service(), make.slice("127.0.0.1", port=app), make.export())
    async with gateway(make, f"[::]:{unused_tcp_port}", *objects):
        for host in ("127.0.0.1", "::1"):
            status, told = await ask(host, unused_tcp_port)
            assert status == 200
            assert f"X-Forwarded-For: {host}\r\n" in told, "no ::ffff:127.0.0.1"
            at = f"[{host}]" if ":" in host else host
            assert f"Host: {at}:{unused_tcp_port}\r\n" in told


@needs_ipv6
async def test_pods_with_ipv6_addresses_are_asked(net: Any, make: Any, ok: Any, unused_tcp_port: int) -> None:
    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(b"by IPv6"))
        await writer.drain()
        writer.close()

    pod = await asyncio.start_server(run, "::1", 0)
    listed = make.slice("::1", port=pod.sockets[0].getsockname()[1]) | {"addressType": "IPv6"}
    async with gateway(make, f"127.0.0.1:{unused_tcp_port}", make.service(), listed, make.export()), pod:
        assert await ask("127.0.0.1", unused_tcp_port) == (200, "by IPv6")


@needs_ipv6
async def test_probes_may_ask_hub_and_controller_in_either_family(unused_tcp_port: int) -> None:
    async with AdminServer(f"[::]:{unused_tcp_port}", lambda: True, "not ready"):
        for host in ("127.0.0.1", "::1"):
            assert await ask(host, unused_tcp_port, "/readyz") == (200, "ok\n")


async def test_a_machine_without_ipv6_serves_ipv4(
    net: Any, make: Any, ok: Any, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the kernel's ipv6.disable=1: no socket of that family can be made."""
    made = socket.socket.__init__

    def without(self: socket.socket, family: int = -1, *rest: Any, **named: Any) -> None:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        made(self, family, *rest, **named)

    app = await net.app(lambda head, _: ok(head))
    monkeypatch.setattr(socket.socket, "__init__", without)
    objects = (make.service(), make.slice("127.0.0.1", port=app), make.export())
    async with gateway(make, f"[::]:{unused_tcp_port}", *objects):
        monkeypatch.undo()
        assert (await ask("127.0.0.1", unused_tcp_port))[0] == 200
