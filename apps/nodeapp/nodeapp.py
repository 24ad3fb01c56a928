"""NodeApp: takes an order, gives it back, and names the cluster that answered.

It keeps nothing itself: orders go through the state API of the Dapr sidecar beside it, so that what one
cluster stores another can read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

STORE = "statestore"
KEY = "order"
# An order is a few hundred bytes; more is a mistake or an attack.
MAX_BODY_BYTES = 64 * 1024
# The sidecar is on the same host and Redis answers in milliseconds; a caller should not wait longer.
DAPR_TIMEOUT_SECONDS = 5.0
# Below the time that a probe waits.
READY_TIMEOUT_SECONDS = 2.0
# Below the 30 s Kubernetes grants a pod to stop.
STOP_TIMEOUT_SECONDS = 20.0

log = logging.getLogger("nodeapp")


@dataclass(frozen=True, kw_only=True)
class Config:
    """From the environment: APP_PORT, CLUSTER_NAME, the two ports the Dapr sidecar announces, and DAPR_MODE.

    The latter says how Dapr came to the cluster; a pod needs its sidecar unless that is `none`, or not said.
    """

    port: int
    cluster: str
    dapr_http_port: str
    dapr_grpc_port: str
    dapr_host: str = "127.0.0.1"
    needs_sidecar: bool = False

    @property
    def state_url(self) -> str:
        """Where the sidecar keeps the state."""
        return f"{self._sidecar}/state/{STORE}"

    @property
    def health_url(self) -> str:
        """Where the sidecar says that it can be asked, whether or not it reaches this app."""
        return f"{self._sidecar}/healthz/outbound"

    @property
    def _sidecar(self) -> str:
        return f"http://{self.dapr_host}:{self.dapr_http_port}/v1.0"


def read_config(environ: Mapping[str, str]) -> Config:
    """Config from environment variables. Raises ValueError naming the variable that is wrong."""
    numbers = {}
    for name, default in (("APP_PORT", "3000"), ("DAPR_HTTP_PORT", "3500"), ("DAPR_GRPC_PORT", "50001")):
        text = environ.get(name) or default
        if not text.isdigit() or not 0 <= int(text) <= 65535:
            raise ValueError(f"{name}={text!r} is not a port; set a number from 1 to 65535")
        numbers[name] = text
    return Config(
        port=int(numbers["APP_PORT"]),
        cluster=environ.get("CLUSTER_NAME") or "unknown",
        dapr_http_port=numbers["DAPR_HTTP_PORT"],
        dapr_grpc_port=numbers["DAPR_GRPC_PORT"],
        needs_sidecar=environ.get("DAPR_MODE", "none") != "none",
    )


class DaprError(Exception):
    """The state store did not do its part; `status` is what to tell the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class StateStore:
    """One key of Dapr's state API, and whether the sidecar behind it is there."""

    def __init__(self, session: aiohttp.ClientSession, config: Config) -> None:
        self._session = session
        self._url = config.state_url
        self._health_url = config.health_url

    async def save(self, order: Any) -> None:
        """Store the order. Raises DaprError."""
        await self._call("POST", self._url, json=[{"key": KEY, "value": order}])

    async def load(self) -> Any:
        """The last order, None when there is none. Raises DaprError."""
        body = await self._call("GET", f"{self._url}/{KEY}")
        try:
            return json.loads(body) if body else None
        except ValueError as error:
            raise DaprError(502, "Dapr's answer is not JSON") from error

    async def sidecar_answers(self) -> None:
        """Raises DaprError unless there is a sidecar that can be asked."""
        await self._call("GET", self._health_url, timeout=aiohttp.ClientTimeout(total=READY_TIMEOUT_SECONDS))

    async def _call(self, method: str, url: str, **options: Any) -> bytes:
        try:
            async with self._session.request(method, url, **options) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise DaprError(503, f"cannot reach the Dapr sidecar: {reason}") from error
        if answer.status >= 300:
            text = body[:200].decode(errors="replace")
            raise DaprError(502, f"the Dapr sidecar answered {answer.status}: {text}")
        return body


CONFIG = web.AppKey("config", Config)
STATE = web.AppKey("state", StateStore)


def _reply(request: web.Request, text: str, *, status: int = 200) -> web.Response:
    return web.Response(status=status, text=f"{text}, from cluster: {request.app[CONFIG].cluster}")


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


async def ports(request: web.Request) -> web.Response:
    """GET /ports: the ports of the sidecar, which show that there is one."""
    config = request.app[CONFIG]
    shown = {"DAPR_HTTP_PORT": config.dapr_http_port, "DAPR_GRPC_PORT": config.dapr_grpc_port}
    return _reply(request, _compact(shown))


async def new_order(request: web.Request) -> web.Response:
    """POST /neworder with {"data": {...}}: store what `data` holds."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        return _reply(request, 'the body is not JSON; send {"data": {"orderId": "42"}}', status=400)
    order = body.get("data") if isinstance(body, dict) else None
    if not isinstance(order, dict) or "orderId" not in order:
        return _reply(request, 'no orderId under "data"; send {"data": {"orderId": "42"}}', status=400)
    await request.app[STATE].save(order)
    return web.Response(text=f"created order via cluster: {request.app[CONFIG].cluster}")


async def order(request: web.Request) -> web.Response:
    """GET /order: the last order stored, through whichever cluster."""
    found = await request.app[STATE].load()
    if found is None:
        return _reply(request, "no order yet", status=404)
    return _reply(request, _compact(found))


async def healthz(_request: web.Request) -> web.Response:
    """GET /healthz: this process serves. It says nothing of Dapr."""
    return web.Response(text="ok")


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: requests are of use: there is a sidecar, where one is required.

    A sidecar that was injected has a probe of its own; of one that was not, nobody else would know.
    """
    if not request.app[CONFIG].needs_sidecar:
        return web.Response(text="ok")
    await request.app[STATE].sidecar_answers()
    return web.Response(text="ok")


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except DaprError as error:
        log.warning("%s %s: %s", request.method, request.path, error)
        return _reply(request, str(error), status=error.status)
    return answer


async def _connect(app: web.Application) -> AsyncIterator[None]:
    # trust_env stays off: the sidecar is on this host and a proxy must never stand in between.
    timeout = aiohttp.ClientTimeout(total=DAPR_TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        app[STATE] = StateStore(session, app[CONFIG])
        yield


def make_app(config: Config) -> web.Application:
    """The application, ready to be served."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors])
    app[CONFIG] = config
    app.cleanup_ctx.append(_connect)
    app.add_routes(
        [
            web.get("/ports", ports),
            web.post("/neworder", new_order),
            web.get("/order", order),
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
        ]
    )
    return app


def main() -> None:
    """Serve until SIGTERM, then finish the requests under way."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stdout)
    try:
        config = read_config(os.environ)
    except ValueError as error:
        sys.exit(str(error))
    log.info("cluster %s, port %d, state at %s", config.cluster, config.port, config.state_url)
    web.run_app(
        make_app(config),
        port=config.port,
        shutdown_timeout=STOP_TIMEOUT_SECONDS,
        print=None,
        access_log=None,
        loop=asyncio.new_event_loop(),
    )


if __name__ == "__main__":
    main()
