"""One gateway process: its listeners, from start through new snapshots to the drain."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from gateway.core.budget import DEFAULT_BUDGET, Budget
from gateway.core.describe import describe
from gateway.core.limits import Limits
from gateway.core.rewrite import TARGETS
from gateway.core.snapshot import Snapshot
from gateway.core.trust import NOBODY, TrustedProxies
from gateway.edge.accepted import Arrived
from gateway.edge.accesslog import AccessLog
from gateway.edge.admin import AdminConnection, Page, Pages, json_page, metrics_page, text_page
from gateway.edge.census import Census
from gateway.edge.client import Client
from gateway.edge.downstream import Downstreams
from gateway.edge.healthcheck import HealthChecker
from gateway.edge.heap import keep_freed_memory
from gateway.edge.large_pages import stay_on_large_pages
from gateway.edge.registry import Listener, Registry
from gateway.edge.runtime import Runtime
from gateway.edge.tracer import Tracer

if TYPE_CHECKING:
    from gateway.core.certificates import Leaf

BACKLOG = 4096
"""Connections the kernel holds while this process is busy; it cuts the number to net.core.somaxconn."""

TICK_SECONDS = 0.25
"""How often deadlines are looked at: the precision of every time limit."""

LAST_REQUEST_SECONDS = 0.25
"""How long a drain waits for the first request of connections that were accepted last."""

PIECES_AT_ONCE = 100
"""Of the metrics, before requests have their turn again: a tenth of a millisecond of them."""


def parse_address(text: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port`, or for every address of both families `[::]:port` or `:port`.

    Both families have a socket each, or the one that the machine has: on one for both, IPv4 clients would
    have addresses such as ::ffff:192.0.2.1. The host of every address is empty. ValueError names what is
    wrong.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: give HOST:PORT, for example [::]:8080")
    host = host.strip("[]")
    return "" if host == "::" else host, int(port)


class GatewayServer:
    """One gateway process: north-south, east-west and admin listeners over one routing snapshot.

    Not ready (`/readyz` 503) until `set_ready(True)`. Before the first `swap` every request is answered 404.
    Addresses are `host:port` or `[v6]:port`; port 0 picks a free one, see `addresses` after `start`.

    `service_ports` are listened on at the east-west address: each may stand for one Service. `peers` is the
    address for other clusters' gateways, over mutual TLS: nobody is let in before `set_certificate`.

    `reuse_port`: other processes may serve the same addresses (SO_REUSEPORT), but for the admin listener's.
    The kernel spreads the connections over all of them. Without `access_log` no request is logged, without
    `tracer` none is traced.
    """

    def __init__(
        self,
        *,
        cluster_key: str,
        listen: str,
        east_west: str | None = None,
        admin: str | None = None,
        access_log: AccessLog | None = None,
        limits: Limits | None = None,
        trusted: TrustedProxies = NOBODY,
        reuse_port: bool = False,
        service_ports: range = range(0),
        budget: Budget = DEFAULT_BUDGET,
        peers: str | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """ValueError names a bad address, or what is wrong with several of them together."""
        self._wanted = {
            name: parse_address(text)
            for name, text in (
                ("listen", listen),
                ("east-west", east_west),
                ("peers", peers),
                ("admin", admin),
            )
            if text is not None
        }
        self._service_ports = {f"service port {port}": port for port in service_ports}
        if self._service_ports and east_west is None:
            raise ValueError("service ports belong to the east-west listener: give it an address")
        self._wanted.update(
            (name, (self._wanted["east-west"][0], port)) for name, port in self._service_ports.items()
        )
        self._access_log = access_log
        self._tracer = tracer
        self._limits = limits or Limits()
        self._trusted = trusted
        self.budget = budget
        self._more_gauges: list[Callable[[], dict[str, int]]] = []
        self._reuse_port = reuse_port
        self._factories: dict[str, Callable[[], Any]] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._registry: Registry | None = None
        self._checker: HealthChecker | None = None
        self._moving: asyncio.Task[None] | None = None
        self._downstreams = Downstreams()
        self._ticking: asyncio.TimerHandle | None = None
        self._ready = False
        self._snapshot = Snapshot(cluster_key)
        self._certificate: Leaf | None = None

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Bound address by listener name: `listen`, `east-west`, `peers`, `admin`. Service ports are as
        given."""
        return {
            name: server.sockets[0].getsockname()[:2]
            for name, server in self._servers.items()
            if server.sockets and name not in self._service_ports
        }

    async def start(self) -> None:
        """Bind and serve. OSError when an address cannot be bound; then nothing is left listening."""
        loop = asyncio.get_running_loop()
        _raise_descriptor_limit()
        keep_freed_memory()
        runtime = Runtime(loop, self._limits, self._access_log, self._trusted, self.budget, self._tracer)
        runtime.peer_tls.take(own=self._certificate)
        registry = self._registry = Registry(runtime, self._snapshot)
        self._census = Census(runtime, self._downstreams)
        east_west = partial(Client, registry, self._downstreams, Listener.EAST_WEST)
        self._factories = {
            "listen": partial(Client, registry, self._downstreams, Listener.NORTH_SOUTH),
            "east-west": east_west,
            "peers": self._accept_peer,
            "admin": partial(AdminConnection, self.pages, set()),
        }
        self._factories.update((name, partial(east_west, port)) for name, port in self._service_ports.items())
        try:
            for name, (host, port) in self._wanted.items():
                self._servers[name] = await loop.create_server(
                    self._factories[name],
                    host or None,
                    port,
                    backlog=BACKLOG,
                    reuse_port=(self._reuse_port and name != "admin") or None,
                )
        except OSError:
            for server in self._servers.values():
                server.close()
            raise
        self._ticking = loop.call_later(TICK_SECONDS, self._tick, registry)
        self._checker = HealthChecker(registry)
        self._checker.start()
        self._moving = loop.create_task(stay_on_large_pages(), name="stay on large pages")
        if self._tracer is not None:
            self._tracer.start()

    def _tick(self, registry: Registry) -> None:
        runtime = registry.runtime
        self._ticking = runtime.loop.call_later(TICK_SECONDS, self._tick, registry)
        runtime.now = runtime.loop.time()
        self._downstreams.expire(runtime.now)
        self._census.tick()
        registry.tick()
        if runtime.log is not None:
            runtime.log.flush()

    @property
    def registry(self) -> Registry:
        """Routes, endpoints and their state. RuntimeError before `start`."""
        if self._registry is None:
            raise RuntimeError("the server was not started")
        return self._registry

    @property
    def downstreams(self) -> Downstreams:
        """Client connections that are open."""
        return self._downstreams

    @property
    def pages(self) -> Pages:
        """What the admin listener serves."""
        return {
            b"/livez": lambda: text_page(200, "ok\n"),
            b"/readyz": self._readyz,
            b"/metrics": self.metrics,
            b"/config": self.config,
            b"/peers": lambda: json_page(self.registry.runtime.peer_tls.describe()),
        }

    def swap(self, snapshot: Snapshot) -> None:
        """Route every new request by this snapshot; those under way finish on the one they began with."""
        self._snapshot = snapshot
        if self._registry is not None:
            self._registry.swap(snapshot)

    def set_certificate(self, certificate: Leaf) -> None:
        """Prove with it who this gateway is, to other clusters' gateways, on connections from now on."""
        self._certificate = certificate
        if self._registry is not None:
            self._registry.runtime.peer_tls.take(own=certificate)

    def _accept_peer(self) -> Arrived:
        registry = self.registry
        client = partial(Client, registry, self._downstreams, Listener.PEERS)
        return Arrived(registry.runtime, client)

    def add_gauges(self, gauges: Callable[[], dict[str, int]]) -> None:
        """More for `/metrics`: what whoever feeds this server knows."""
        self._more_gauges.append(gauges)

    def set_ready(self, ready: bool) -> None:
        """What `/readyz` answers. Draining answers 503 whatever was set."""
        self._ready = ready

    async def drain(self, deadline_seconds: float, delay_seconds: float = 0.0) -> None:
        """Finish what runs, close idle connections and stop; at the deadline abort the rest.

        `delay_seconds`: before that, go on accepting while `/readyz` says no and every answer asks its client
        to reconnect, so that those who still send here are never refused.
        """
        if self._registry is None:
            return
        runtime = self._registry.runtime
        runtime.draining = True
        if delay_seconds:
            await asyncio.sleep(delay_seconds)
        runtime.stopping = True
        await self._stop_accepting()
        await self._downstreams.wait_empty(min(LAST_REQUEST_SECONDS, deadline_seconds))
        self._downstreams.finish_soon()
        if not await self._downstreams.wait_empty(deadline_seconds):
            self._downstreams.abort()
            await self._downstreams.wait_empty(LAST_REQUEST_SECONDS)  # each has its line in the log
        if self._ticking is not None:
            self._ticking.cancel()
        self._registry.stop()
        if self._checker is not None:
            await self._checker.stop()
        if self._moving is not None:
            self._moving.cancel()
        if self._tracer is not None:
            await self._tracer.stop()
        admin = self._servers.get("admin")
        if admin is not None:
            admin.close()
        if runtime.log is not None:
            runtime.log.close()

    async def _stop_accepting(self) -> None:
        """Close the listeners. Whom the kernel has accepted by then is served: closing would reset them."""
        loop = asyncio.get_running_loop()
        for name, server in self._servers.items():
            if name == "admin":
                continue
            waiting = [client for listener in server.sockets for client in _waiting(listener.fileno())]
            server.close()
            for client in waiting:
                await loop.connect_accepted_socket(self._factories[name], client)
        # Whom the loop accepted last is handed over in its next turn, and would be overlooked till then.
        await asyncio.sleep(0)

    @property
    def draining(self) -> bool:
        """Whether it has begun to end."""
        return self._registry is not None and self._registry.runtime.draining

    def _readyz(self) -> Page:
        if self.draining:
            return text_page(503, "draining\n")
        return text_page(200, "ok\n") if self._ready else text_page(503, "no configuration yet\n")

    async def metrics(self) -> Page:
        registry, runtime = self.registry, self.registry.runtime
        gauges = {
            "gateway_config_generation": registry.generation,
            "gateway_ready": int(self._ready and not self.draining),
            "gateway_client_connections": len(self._downstreams.open),
            "gateway_client_connections_total": runtime.metrics.connections,
            **registry.gauges(),
            **self._memory_gauges(),
            "gateway_log_lines_dropped_total": runtime.log.dropped if runtime.log is not None else 0,
            **(self._tracer.gauges() if self._tracer is not None else {}),
        }
        for more in self._more_gauges:
            gauges |= more()
        parts = []
        pieces = runtime.metrics.render(registry.states(), gauges)
        while some := list(islice(pieces, PIECES_AT_ONCE)):
            if text := "".join(some):
                parts.append(text.encode())
            await asyncio.sleep(0)
        return metrics_page(parts)

    def _memory_gauges(self) -> dict[str, int]:
        self._census.count()
        meter, used = self.registry.runtime.meter, "gateway_memory_used_bytes"
        return {
            "gateway_memory_budget_bytes": self.budget.total,
            "gateway_memory_short": int(meter.full),
            "gateway_memory_cut_total": meter.cut,
            f'{used}{{part="connections"}}': meter.connections,
            f'{used}{{part="heads"}}': meter.heads,
            f'{used}{{part="bodies"}}': meter.bodies,
            f'{used}{{part="caches"}}': TARGETS.size,
        }

    async def config(self) -> Page:
        registry, now = self.registry, self.registry.runtime.now
        return await asyncio.to_thread(
            lambda: json_page(
                describe(
                    registry.snapshot, registry.generation, registry.known_health, now, registry.answered
                )
            )
        )


def _waiting(listener: int) -> list[socket.socket]:
    """The connections that wait at a listener, given by its descriptor."""
    found = []
    with socket.socket(fileno=os.dup(listener)) as copy:
        copy.setblocking(False)
        with suppress(OSError):  # nobody waits any more, or no descriptor is left for whoever does
            while True:
                client, _ = copy.accept()
                client.setblocking(False)
                found.append(client)
    return found


def _raise_descriptor_limit() -> None:
    """Two descriptors per request under way: the usual soft limit of 1,024 is for programs with files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
