"""Objects in few words, and gateways, servers and clients on loopback sockets."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop
from hypothesis import settings

from gateway.core.budget import DEFAULT_BUDGET, Budget
from gateway.core.certificates import Leaf
from gateway.core.identity import NO_KEYS, PeersKeys
from gateway.core.limits import Limits
from gateway.core.objects import GATEWAY, IMPORT_NAME, SERVICE_NAME, SERVICE_PORTS, SLICE_MANAGED_BY
from gateway.core.peers import MutualTls
from gateway.core.snapshot import compile_snapshot
from gateway.core.trust import TrustedProxies
from gateway.edge.accesslog import AccessLog
from gateway.edge.server import GatewayServer
from gateway.edge.tracer import Tracer

# Examples are bounded by number. A bound in milliseconds would only measure how busy the machine is.
# Time limits would be about the machine. CI tries the same examples every time, people new ones.
settings.register_profile("proxy", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("proxy")

Raw = dict[str, Any]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENCE = 30.0
"""Seconds after which a test that waits is a test that hangs."""


def key(name: str) -> str:
    return f"default/default/default/{name}"


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop the gateway runs on outside tests."""
    return {"uvloop": uvloop.new_event_loop}


class Make:
    """Builders of raw Kubernetes objects; everything is called `app` in namespace `demo` unless said
    otherwise."""

    key = staticmethod(key)

    @staticmethod
    def service(name: str = "app", ports: dict[int, str] | None = None, **spec: Any) -> Raw:
        listed = [{"port": port, "name": label} for port, label in (ports or {3000: "http"}).items()]
        return {
            "kind": "Service",
            "metadata": {"name": name, "namespace": "demo"},
            "spec": {"ports": listed, **spec},
        }

    @staticmethod
    def slice(
        *addresses: str, name: str = "app", port: int = 3000, label: str = "http", **conditions: Any
    ) -> Raw:
        return {
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-{port}-{label}",
                "namespace": "demo",
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [one], "conditions": conditions} for one in addresses],
            "ports": [{"name": label, "port": port, "protocol": "TCP"}],
        }

    @staticmethod
    def export(
        name: str = "app", path: str = "/app", kind: str = "Prefix", port: int = 3000, **spec: Any
    ) -> Raw:
        return {
            "kind": "ServiceExport",
            "metadata": {"name": name, "namespace": "demo"},
            "spec": {"rules": [{"path": path, "pathType": kind, "portNumber": port}], **spec},
        }

    @staticmethod
    def imported(name: str = "app", port: int = 3000, path: str = "/app", **clusters: int) -> Raw:
        """Cluster names with the loopback port of their gateway; `c1=8081`."""
        endpoints = [
            {
                "clusterKey": key(cluster),
                "target": {"host": "h", "ip": "127.0.0.1", "port": number, "path": path},
            }
            for cluster, number in clusters.items()
        ]
        return {
            "kind": "ServiceImport",
            "metadata": {"name": name, "namespace": "demo"},
            "spec": {"ports": [{"port": port, "endpoints": endpoints}]},
        }

    @staticmethod
    def gateway_slice(ports: object, service: str = "app", name: str = "", namespace: str = "demo") -> Raw:
        """A slice that lists gateways. `ports`: Service ports by service port; text is an annotation as it
        is."""
        listed = [{"name": "http", "port": int(port)} for port in ports] if isinstance(ports, dict) else []
        return {
            "kind": "EndpointSlice",
            "metadata": {
                "name": name or f"{service}-imported",
                "namespace": namespace,
                "labels": {SERVICE_NAME: service, IMPORT_NAME: service, SLICE_MANAGED_BY: GATEWAY},
                "annotations": {SERVICE_PORTS: ports if isinstance(ports, str) else json.dumps(ports)},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.9"]}],
            "ports": [*listed, {"name": "shared", "port": 15080}],
        }

    @staticmethod
    def policy(kind: str, name: str = "app", **targets: int | None) -> Raw:
        listed: list[Raw] = [
            {"clusterKey": key(cluster)} if weight is None else {"clusterKey": key(cluster), "weight": weight}
            for cluster, weight in targets.items()
        ]
        return {
            "kind": "GlobalTrafficPolicy",
            "metadata": {"name": name, "namespace": "demo"},
            "spec": {"lbType": kind, "targets": listed},
        }


@pytest.fixture
def make() -> Make:
    return Make()


class Net:
    """Starts what a test needs and stops it after the test."""

    def __init__(self) -> None:
        self.gateways: list[GatewayServer] = []
        self._servers: list[asyncio.Server] = []
        self._held: list[socket.socket] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def gateway(
        self,
        *objects: Raw,
        cluster: str = "here",
        front_door: bool = False,
        trusted: tuple[str, ...] = (),
        access_log: AccessLog | None = None,
        service_ports: range = range(0),
        peers: PeersKeys = NO_KEYS,
        certificate: Leaf | None = None,
        mutual_tls: MutualTls = MutualTls.OFF,
        budget: Budget = DEFAULT_BUDGET,
        tracer: Tracer | None = None,
        **limits: Any,
    ) -> tuple[int, int, GatewayServer]:
        """A running gateway: north-south port, east-west port, the server."""
        server = GatewayServer(
            cluster_key=key(cluster),
            listen="127.0.0.1:0",
            east_west="127.0.0.1:0",
            admin="127.0.0.1:0",
            access_log=access_log,
            limits=Limits(**limits),
            trusted=TrustedProxies(trusted),
            service_ports=service_ports,
            budget=budget,
            peers=None if mutual_tls is MutualTls.OFF else "127.0.0.1:0",
            tracer=tracer,
        )
        compiled = compile_snapshot(
            objects, key(cluster), front_door, listening=service_ports, peers=peers, mutual_tls=mutual_tls
        )
        server.swap(compiled.snapshot)
        if certificate is not None:
            server.set_certificate(certificate)
        await server.start()
        server.set_ready(True)
        self.gateways.append(server)
        return server.addresses["listen"][1], server.addresses["east-west"][1], server

    async def server(self, handler: Handler) -> int:
        """A server that runs `handler` for each connection; the handler's errors are the test's."""

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await handler(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # what peers under test do on purpose, and the end of the test
            finally:
                self._tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(run, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def app(self, reply: Callable[[bytes, bytes], bytes | Awaitable[bytes]]) -> int:
        """A well-behaved server: `reply(head, body)` gives the raw answer to each request."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await read_head(reader):
                answer = reply(head, await read_body(reader, head))
                writer.write(await answer if inspect.isawaitable(answer) else answer)
                await writer.drain()

        return await self.server(handle)

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.append(writer)
        return reader, writer

    async def talk(self, port: int, data: bytes, *, end: bool = False) -> bytes:
        """Send `data` on a new connection and read until the server closes. `end`: send our end first."""
        reader, writer = await self.connect(port)
        writer.write(data)
        if end:
            writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            return await reader.read()

    async def ask(  # noqa: PLR0917
        self,
        port: int,
        target: str = "/",
        host: str = "x",
        method: str = "GET",
        body: bytes = b"",
        fields: str = "",
    ) -> tuple[int, bytes, bytes]:
        """One request on its own connection: status, head, body."""
        reader, writer = await self.connect(port)
        length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{length}{fields}\r\n".encode() + body)
        answer = await self.answer(reader, method)
        writer.close()
        return answer

    async def answer(self, reader: asyncio.StreamReader, method: str = "GET") -> tuple[int, bytes, bytes]:
        """The next answer on a connection."""
        async with asyncio.timeout(PATIENCE):
            head = await read_head(reader)
            status = int(head.split(b" ", 2)[1]) if head else 0
            bodyless = method == "HEAD" or status in {0, 204, 304} or 100 <= status < 200
            return status, head, b"" if bodyless else await read_body(reader, head, closing=True)

    @staticmethod
    async def until(condition: Callable[[], Any]) -> None:
        """Wait until it is true, for what is waited for has no event."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def dead_port(self) -> int:
        """A port on which nothing listens while the test runs: it is taken, so nobody else gets it."""
        held = socket.socket()
        held.bind(("127.0.0.1", 0))
        self._held.append(held)
        return int(held.getsockname()[1])

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        for server in self._servers:
            server.close()
        for held in self._held:
            held.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for gateway in self.gateways:
            await gateway.drain(0.05)
        for writer in self._writers:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await writer.wait_closed()
        await asyncio.sleep(0.01)


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    faults: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(repr(context)))
    found = Net()
    yield found
    await found.close()
    assert not faults, "nothing may go wrong unseen in a callback or a task"


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """A head with its blank line; empty at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""


async def read_body(reader: asyncio.StreamReader, head: bytes, *, closing: bool = False) -> bytes:
    """The decoded body that follows `head`. `closing`: without framing it ends with the connection."""
    lower = head.lower()
    if b"\r\ntransfer-encoding: chunked" in lower:
        body = b""
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            if not size:
                while (await reader.readline()) != b"\r\n":
                    pass
                return body
            body += await reader.readexactly(size)
            await reader.readexactly(2)
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        return await reader.read() if closing else b""
    return await reader.readexactly(int(lower[at + 17 :].split(b"\r\n")[0]))


def ok(body: bytes = b"ok", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), fields, body)


@pytest.fixture(name="ok")
def ok_fixture() -> Callable[..., bytes]:
    return ok
