"""The application as gunicorn runs it (`wsgi`) and as uvicorn does (`asgi`)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

LARGE = b"0123456789abcdef" * 262_144
PIECES = [b"piece %d " % number * 10_000 for number in range(4)]
TEXT = "text/plain; charset=utf-8"
Headers = list[tuple[str, str]]
PLAIN: dict[str, tuple[int, Headers, bytes]] = {
    "/hello": (200, [("X-App", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/")], b"hello"),
    "/empty": (204, [("X-App", "1")], b""),
    "/same": (304, [("ETag", '"x"')], b""),
    "/moved": (302, [("Location", "/hello")], b"moved"),
    "/broken": (503, [], b"broken"),
    "/large": (200, [], LARGE),
    "/refuse": (413, [("Connection", "close")], b"too much"),
}


def plain(path: str) -> tuple[int, Headers, bytes] | None:
    """Status, fields and body of an answer that needs no body of the request."""
    found = PLAIN.get(path)
    if found is None:
        return None
    status, headers, body = found
    length = [] if status in {204, 304} else [("Content-Type", TEXT), ("Content-Length", str(len(body)))]
    return status, headers + length, body


def echo(method: str, target: str, kind: str, body: Any) -> bytes:
    """`body` is a hash of what came, and how much."""
    seen = {"method": method, "target": target, "type": kind, "bytes": body[1], "sha256": body[0].hexdigest()}
    return json.dumps(seen).encode()


def wsgi(environ: dict[str, Any], start: Callable[[str, Headers], object]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if (answer := plain(path)) is not None:
        status, headers, body = answer
        start(f"{status} Status", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
    if path == "/chunks":
        start("200 OK", [("Content-Type", TEXT)])
        return slowly(PIECES)
    if path == "/hang":
        time.sleep(1)
    if path == "/slow":
        time.sleep(0.3)
    digest, count = hashlib.sha256(), 0
    while data := environ["wsgi.input"].read(65536):
        digest.update(data)
        count += len(data)
    out = echo(
        environ["REQUEST_METHOD"], environ["RAW_URI"], environ.get("CONTENT_TYPE", ""), (digest, count)
    )
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(out)))])
    return [out]


def slowly(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        time.sleep(0.02)


LEFT: set[str] = set()
"""Clients that were seen to leave, by the query of their request."""


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] != "http":
        return
    path, query = scope["path"], scope["query_string"].decode()

    async def answer(status: int, headers: Headers, *parts: bytes) -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        for part in parts[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": parts[-1]})

    if (found := plain(path)) is not None:
        status, headers, body = found
        await answer(status, headers, body)
        return
    if path == "/chunks":
        await answer(200, [("Content-Type", TEXT)], *PIECES)
        return
    if path == "/left":
        await answer(200, [("Content-Type", TEXT), ("Content-Length", "1")], b"1" if query in LEFT else b"0")
        return
    digest, count, more = hashlib.sha256(), 0, True
    while more:
        message = await receive()
        digest.update(message.get("body", b""))
        count += len(message.get("body", b""))
        more = message.get("more_body", False)
    if path == "/hang":
        while (await receive())["type"] != "http.disconnect":
            pass
        LEFT.add(query)
        return
    if path == "/slow":
        await asyncio.sleep(0.3)
    target = scope["raw_path"].decode() + (f"?{query}" if query else "")
    kind = dict(scope["headers"]).get(b"content-type", b"").decode()
    out = echo(scope["method"], target, kind, (digest, count))
    await answer(200, [("Content-Type", "application/json"), ("Content-Length", str(len(out)))], out)
