"""Serves the page, frames and the doctor's results on loopback. Nothing it serves changes anything.

Who may read is decided by three things. It listens on loopback. The Host field has to be one of loopback's:
else a page of the outside could have its own name resolve to it, and read (DNS rebinding). And every path
begins with a token that is drawn at the start and printed: other users of this machine do not know it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

from aiohttp import web

from cli.dashboard.schema import Frame
from cli.dashboard.words import LONGEST, Query, query
from cli.errors import UserError

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost")
PAGE = Path(__file__).with_name("page")
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
OWN_SITE = {"same-origin", "none"}
"""What a browser says of requests by the page itself, or typed by its user (Sec-Fetch-Site)."""
MOST_VIEWERS = 8
LEAST_PAUSE = 0.2
MOST_PAUSE = 1.0
"""Between two frames, in seconds: something changed, or only numbers did."""
WORK_PAUSES = 4
"""A pause is at least so many times as long as a frame took to make: readings go on beside it."""
TOKEN_BYTES = 16
END_SECONDS = 0.5
"""For streams that are open when the server ends."""
HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            *(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "img")),
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Source(Protocol):
    """Where frames come from."""

    def frame(self, query: Query) -> Frame:
        """What is known now."""

    def next_change(self) -> asyncio.Event:
        """Set when something changes, from now on, that should be shown at once."""

    async def doctor(self, subject: str) -> dict[str, Any]:
        """When the doctor looked (`at`), and its checks about a subject (`checks`)."""


class Server:
    """Open inside an `async with`; `url` is where."""

    def __init__(self, source: Source, port: int = 0) -> None:
        """`port` 0 takes any that is free."""
        self._source = source
        self._port = port
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self._files = {path.name: _file(path) for path in sorted(PAGE.iterdir()) if path.suffix in TYPES}
        self._viewers = 0
        self._runner: web.AppRunner

    async def __aenter__(self) -> Self:
        """Raises UserError when the port is taken."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get(f"/{self._token}/", self._index)
        app.router.add_get(f"/{self._token}/frames", self._frames)
        app.router.add_get(f"/{self._token}/doctor", self._doctor)
        app.router.add_get(f"/{self._token}/{{name}}", self._static)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=END_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, ADDRESS, self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise UserError(
                f"cannot listen on {ADDRESS}:{self._port}: {error.strerror}; give another --port, or none."
            ) from error
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self._port}/{self._token}/"

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        refused = refusal(request.method, request.headers, self._port)
        if refused:
            return web.Response(status=403, text=f"{refused}\n", headers=HEADERS)
        try:
            answer: web.StreamResponse = await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=f"{error.reason}\n", headers=HEADERS)
        if not answer.prepared:
            answer.headers.update(HEADERS)
        return answer

    async def _index(self, _: web.Request) -> web.Response:
        return self._files["index.html"]()

    async def _static(self, request: web.Request) -> web.Response:
        made = self._files.get(request.match_info["name"])
        if made is None:
            raise web.HTTPNotFound
        return made()

    async def _doctor(self, request: web.Request) -> web.Response:
        subject = request.query.get("about", "")
        if not 0 < len(subject) <= LONGEST:
            raise web.HTTPBadRequest
        return web.json_response(await self._source.doctor(subject))

    async def _frames(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events, a frame each."""
        try:
            wanted = query(request.query)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        if self._viewers >= MOST_VIEWERS:
            return web.Response(status=503, text=f"{MOST_VIEWERS} pages are open already\n")
        answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        self._viewers += 1
        try:
            await answer.prepare(request)
            while True:
                began, change = time.perf_counter(), self._source.next_change()
                text = json.dumps(self._source.frame(wanted), separators=(",", ":"))
                work = time.perf_counter() - began
                await answer.write(f"data: {text}\n\n".encode())
                await asyncio.sleep(max(LEAST_PAUSE, WORK_PAUSES * work))
                await _within(change.wait(), MOST_PAUSE - LEAST_PAUSE)
        except ConnectionError:
            return answer  # the page was closed
        finally:
            self._viewers -= 1


def refusal(method: str, headers: Mapping[str, str], port: int) -> str:
    """Why a request is refused; empty when it is not. Pure."""
    if method not in ("GET", "HEAD"):
        return "GET only: nothing here changes anything"
    host = headers.get("Host", "").lower()
    if host not in {f"{name}:{port}" for name in NAMES}:
        return f"this is not {host[:LONGEST]!r}: open the page by the address that ./stack dashboard printed"
    if headers.get("Sec-Fetch-Site", "none") not in OWN_SITE:
        return "other sites may ask nothing here"
    return ""


async def _within(waiting: Awaitable[Any], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return


def _file(path: Path) -> Callable[[], web.Response]:
    """Makes an answer with a file's content of now: an answer is sent once."""
    body, kind = path.read_bytes(), TYPES[path.suffix]
    return lambda: web.Response(body=body, content_type=kind, charset="utf-8")
