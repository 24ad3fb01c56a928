"""Python's clients and curl: `python python_clients.py NAME BASE`, cases as JSON on standard input, and their
outcomes as JSON on standard output."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Ask = dict[str, Any]
Outcome = dict[str, Any]
Fields = list[tuple[str, str]]

UNSUPPORTED: Outcome = {"unsupported": True}
GAVE_UP = "gave up"


def outcome(status: int, fields: Fields, body: bytes, reused: bool | None = None) -> Outcome:
    listed: dict[str, list[str]] = {}
    for name, value in fields:
        listed.setdefault(name, []).append(value)
    return {
        "status": status,
        "fields": list(listed.items()),
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "reused": reused,
    }


def pieces(size: int) -> Iterator[bytes]:
    for at in range(0, size, 65536):
        yield b"x" * min(65536, size - at)


def body_of(ask: Ask) -> bytes | Iterator[bytes] | None:
    if ask["size"] < 0:
        return None
    return pieces(ask["size"]) if ask["chunked"] else b"x" * ask["size"]


# http.client, urllib's and so most programs' without a library


def with_http_client(base: str, ask: Ask) -> Outcome:
    if ask["expect"] or ask["follow"]:
        return UNSUPPORTED
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=ask["seconds"])
    if ask["old"]:
        connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
    socks = []
    for _ in range(1 + ask["twice"]):
        connection.request(
            ask["method"], ask["path"], body_of(ask), ask["headers"], encode_chunked=ask["chunked"]
        )
        socks.append(connection.sock)
        response = connection.getresponse()
        body = response.read()
    return outcome(
        response.status, response.getheaders(), body, socks[0] is socks[-1] if ask["twice"] else None
    )


# requests and httpx


def with_requests() -> Callable[[str, Ask], Outcome]:
    import requests  # noqa: PLC0415

    session = requests.Session()

    def send(base: str, ask: Ask) -> Outcome:
        if ask["expect"] or ask["old"]:
            return UNSUPPORTED
        options = {"headers": ask["headers"], "timeout": ask["seconds"], "allow_redirects": ask["follow"]}
        try:
            for _ in range(1 + ask["twice"]):
                response = session.request(ask["method"], base + ask["path"], data=body_of(ask), **options)
        except requests.Timeout:
            return {"error": GAVE_UP}
        return outcome(response.status_code, list(response.raw.headers.items()), response.content)

    return send


def with_httpx() -> Callable[[str, Ask], Outcome]:
    import httpx  # noqa: PLC0415

    client = httpx.Client()

    def send(base: str, ask: Ask) -> Outcome:
        if ask["expect"] or ask["old"]:
            return UNSUPPORTED
        options = {"headers": ask["headers"], "timeout": ask["seconds"], "follow_redirects": ask["follow"]}
        try:
            for _ in range(1 + ask["twice"]):
                response = client.request(ask["method"], base + ask["path"], content=body_of(ask), **options)
        except httpx.TimeoutException:
            return {"error": GAVE_UP}
        return outcome(response.status_code, response.headers.multi_items(), response.content)

    return send


def with_aiohttp(base: str, ask: Ask) -> Outcome:
    import aiohttp  # noqa: PLC0415
    from yarl import URL  # noqa: PLC0415

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces(ask["size"]):
            yield piece

    async def send() -> Outcome:
        data: Any = body() if ask["chunked"] else body_of(ask)
        options: dict[str, Any] = {"headers": ask["headers"], "allow_redirects": ask["follow"], "data": data}
        if ask["expect"]:
            options["expect100"] = True
        if ask["old"]:
            return UNSUPPORTED
        timeout = aiohttp.ClientTimeout(total=ask["seconds"])
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(ask["method"], URL(base + ask["path"], encoded=True), **options) as response,
        ):
            return outcome(response.status, list(response.headers.items()), await response.read())

    try:
        return asyncio.run(send())
    except TimeoutError:
        return {"error": GAVE_UP}


# curl


def with_curl(base: str, ask: Ask) -> Outcome:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        argv = ["curl", "--silent", "--show-error", "--path-as-is", "--max-time", str(ask["seconds"])]
        argv += ["--http1.0"] if ask["old"] else []
        argv += ["--location"] if ask["follow"] else []
        argv += ["--head"] if ask["method"] == "HEAD" else ["--request", ask["method"]]
        for field, value in ask["headers"].items():
            argv += ["--header", f"{field}: {value}"]
        if ask["size"] >= 0:
            (folder / "body").write_bytes(b"x" * ask["size"])
            argv += ["--data-binary", f"@{folder / 'body'}"]
            argv += ["--header", "Transfer-Encoding: chunked"] if ask["chunked"] else []
            argv += ["--header", "Expect: 100-continue" if ask["expect"] else "Expect:"]
        argv += ["--write-out", "%{stderr}%{json}\n"]
        for number in range(1 + ask["twice"]):
            # The fields of the answer last come to are those that count.
            argv += ["--output", str(folder / f"out{number}"), base + ask["path"]]
        argv += ["--dump-header", str(folder / "fields")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 28:
            return {"error": GAVE_UP}
        if done.returncode:
            return {"error": f"curl: {done.returncode} {done.stderr.splitlines()[0]}"}
        facts = json.loads(done.stderr.splitlines()[-1])
        heads = [head for head in (folder / "fields").read_bytes().split(b"\r\n\r\n") if head]
        lines = [line.partition(": ") for line in heads[-1].decode().split("\r\n")[1:]]
        out = folder / f"out{int(ask['twice'])}"
        body = out.read_bytes() if out.exists() and ask["method"] != "HEAD" else b""
        reused = facts["num_connects"] == 0 if ask["twice"] else None
        return outcome(facts["http_code"], [(name, value) for name, _, value in lines], body, reused)


def main(name: str, base: str) -> None:
    factories: dict[str, Callable[[], Callable[[str, Ask], Outcome]]] = {
        "http.client": lambda: with_http_client,
        "requests": with_requests,
        "httpx": with_httpx,
        "aiohttp": lambda: with_aiohttp,
        "curl": lambda: with_curl,
    }
    send = factories[name]()
    outcomes = []
    for ask in json.load(sys.stdin):
        try:
            found = send(base, ask)
        except TimeoutError:
            found = {"error": GAVE_UP}
        except Exception as error:
            found = {"error": repr(error)}
        outcomes.append(found)
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
