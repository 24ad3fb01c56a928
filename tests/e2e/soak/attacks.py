"""Runs in a pod or beside the platform: what outsiders do to a listener, in turns, bounded in number.

Argument: JSON of `host`, `port`, `name` (Host field), `path` (of the good service), `own` (of the tenant's
exports) and `cases` (smuggled requests). Prints a line of JSON after each attack: when, what came of it, and
what must never have been seen. Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

PATIENCE = 5.0
chance = random.Random()  # noqa: S311  no secret
PAUSE = 2.0
"""Seconds between two attacks."""
AT_ONCE = 16
"""Sockets that are opened together."""
ADMIN = (b"gateway_requests_total", b'"priorities"')
"""Of pages that no outsider may see."""
TARGET: dict[str, Any] = {}
FOUND: Counter[str] = Counter()
LEAKS: list[str] = []

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connection() -> AsyncIterator[Pair]:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(TARGET["host"], TARGET["port"], limit=2**16)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(path: str, *fields: str, method: str = "GET", host: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or TARGET['name']}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def say(data: bytes, what: str, *, most: int = 1, step: int = 0) -> None:
    """Send, and count what comes back until there is silence. More than `most` answers were smuggled in."""
    with contextlib.suppress(OSError, TimeoutError):
        async with connection() as (reader, writer):
            for at in range(0, len(data), step or len(data)):
                writer.write(data[at : at + (step or len(data))])
                await asyncio.sleep(0.01 if step else 0)
            said = b""
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(PATIENCE / 5):
                    while (piece := await reader.read(2**16)) and len(said) < 2**18:
                        said += piece
            note(what, said, most, data)
            return
    FOUND[f"{what}: no connection"] += 1


def note(what: str, said: bytes, most: int, data: bytes) -> None:
    FOUND[f"{what}: {said[9:12].decode('latin-1') or 'nothing'}"] += 1
    if said.count(b"HTTP/1.1 ") - said.count(b"HTTP/1.1 100") > most or any(one in said for one in ADMIN):
        LEAKS.append(f"{what}: {data[:300]!r} is answered {said[:600]!r}")


async def at_once(calls: Iterable[Awaitable[None]]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[None]) -> None:
        async with room:
            await call

    await asyncio.gather(*(one(call) for call in calls))


async def smuggle() -> None:
    await at_once(
        say(case.encode("latin-1"), "smuggle", step=chance.choice((0, 0, 7))) for case in TARGET["cases"]
    )


async def hold(count: int, data: Callable[[], bytes], seconds: float, what: str) -> None:
    """Many connections that say something, and then neither read nor send."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            try:
                _, writer = await stack.enter_async_context(connection())
            except (OSError, TimeoutError):
                FOUND[f"{what}: no connection"] += 1
                continue
            writer.transport.pause_reading()
            writer.write(data())
            FOUND[f"{what}: held"] += 1
        await asyncio.sleep(seconds)


async def idle() -> None:
    await hold(200, lambda: b"", 8, "idle")


async def unfinished_heads() -> None:
    await hold(60, lambda: b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 24_000, 6, "unfinished head")


async def no_reading() -> None:
    await hold(24, lambda: head(f"{TARGET['path']}/big") * 2, 6, "no reading")


async def large_heads() -> None:
    path, long = TARGET["path"], "y" * 40_000
    heads = [
        head(path, f"A: {long}"),
        head(path, *["A: b"] * 300),
        head(f"{path}/{long[:20_000]}"),
        b"x" * 60_000,
    ]
    await at_once(say(data, "large head") for data in heads * 3)


async def unlike_heads() -> None:
    """Each with another path and other fields, to fill whatever remembers them."""
    fields = [f"X-{chance.getrandbits(64):016x}: {'z' * chance.randint(1, 3000)}" for _ in range(60)]
    heads = [head(f"{TARGET['path']}/{one[2:18]}", one, f"Cookie: {one[:99]}") for one in fields]
    await at_once(say(data, "unlike heads") for data in heads)


async def cut_uploads() -> None:
    async def cut() -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with connection() as (_, writer):
                writer.write(head(TARGET["path"], "Content-Length: 10000000", method="POST") + b"u" * 100_000)
                async with asyncio.timeout(PATIENCE):
                    await writer.drain()
                await asyncio.sleep(0.2)
            FOUND["cut upload: cut"] += 1

    await at_once(cut() for _ in range(24))


async def chunks() -> None:
    start = head(TARGET["path"], "Transfer-Encoding: chunked", method="POST")
    bodies = [
        b"1\r\na\r\n" * 3000, b"1;" + b"e" * 5000 + b"\r\na\r\n", b"0\r\n" + b"T: u\r\n" * 5000 + b"\r\n",
        b"F" * 16 + b"\r\n" + b"a" * 1000, b"5\r\nabcdefg\r\n0\r\n\r\n",
        b"00000000000000000001\r\na\r\n0\r\n\r\n",
    ]  # fmt: skip
    await at_once(say(start + body, "chunks") for body in bodies * 2)


async def forged() -> None:
    names = ("X-Gateway-Hops: 7", "X-Gateway-Hops: 999", "X-Gateway-Probe: 1", "X-Gateway-Refused: 1",
             "X-Gateway-Service: default/kubernetes:443", "X-Gateway-Service: kube-system/kube-dns:9153",
             "dapr-app-id: redis", "dapr-api-token: x", "Connection: x-gateway-service",
             "X-Forwarded-For: 127.0.0.1",
             "X-Original-URL: /metrics", "Upgrade: h2c\r\nConnection: upgrade", "Expect: 200-ok")  # fmt: skip
    await at_once(say(head(TARGET["path"], name), "forged field") for name in names)


async def hosts() -> None:
    names = (
        "127.0.0.1:9090",
        "localhost:9090",
        "kubernetes.default",
        "kube-dns.kube-system:9153",
        "redis",
        "evil.svc",
        "gateway.multicluster-system:9090",
        "[::1]:9090",
        "a.b.c.d",
        "x" * 250,
        "controller.multicluster-system",
    )
    await at_once(say(head("/metrics", host=name), "Host") for name in names)
    await at_once(say(head(f"http://{name}/config"), "absolute form") for name in names)


async def own_paths() -> None:
    """Of the tenant's exports: rewrites that grow or never end, and endpoints that are not the tenant's."""
    paths = [f"{TARGET['own']}/{number}/{'a' * size}" for number in range(6) for size in (10, 800, 7000)]
    pages = [
        f"{TARGET['own']}/{number}/{page}"
        for number in range(6)
        for page in ("metrics", "config", "v1.0/metadata")
    ]
    await at_once(say(head(path), "tenant's path") for path in [*paths, *pages])


async def garbage() -> None:
    hello = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="x").do_handshake()
    said = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        hello.read(),
        chance.randbytes(5000),
        b"\r\n" * 5000,
        b"\x00" * 5000,
    ]
    await at_once(say(data, "garbage") for data in said * 3)


ATTACKS = (
    smuggle, idle, large_heads, unlike_heads, cut_uploads, unfinished_heads, chunks, forged, no_reading,
    hosts, own_paths, garbage,
)  # fmt: skip


async def main(text: str) -> None:
    TARGET.update(json.loads(text))
    while True:
        for attack in ATTACKS:
            await attack()
            print(json.dumps([round(time.time(), 1), dict(FOUND), LEAKS[:5]]), flush=True)
            FOUND.clear()
            LEAKS.clear()
            await asyncio.sleep(PAUSE)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
