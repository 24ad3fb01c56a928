"""Admin pages of hub and controller: what Kubernetes' probes ask, and metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.edge.server import parse_address


class AdminServer:
    """/livez, /readyz and /metrics on one address."""

    def __init__(
        self, address: str, ready: Callable[[], bool], unready: str, registry: CollectorRegistry | None = None
    ) -> None:
        """`address` is as `parse_address` takes it; `unready` says why it is not ready."""
        self._host, self._port = parse_address(address)
        self._ready, self._unready = ready, unready
        self._registry = registry or CollectorRegistry()
        self._runner: web.AppRunner

    async def __aenter__(self) -> Self:
        """OSError when the address cannot be bound."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._serve_metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host or None, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text="ok\n")
        return web.Response(status=503, text=f"{self._unready}\n")

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
