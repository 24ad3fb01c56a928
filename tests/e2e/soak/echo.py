"""Runs in a pod: a server that says what it was asked, so that a caller can tell its answer from another's.

Arguments: its service, its cluster, its port. Standard library only. A request with `smuggled` in its path,
which nobody sent as one of its own, is written to standard output.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib

SERVICE, CLUSTER, PORT = sys.argv[1:4]
BIG = b"x" * 2**16
BIG_PIECES = 128
"""8 MiB, for clients that do not read."""


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await answer(reader, writer):
            pass
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
        pass  # a client or a gateway that has left, or no HTTP at all
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.split("\r\n")
    method, path, _ = line.split(" ")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "smuggled" in path:
        print(f"smuggled {line!r}", flush=True)
    length, check = await drop_body(reader, fields)
    if path.endswith("/big"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(BIG) * BIG_PIECES))
        for _ in range(BIG_PIECES):
            writer.write(BIG)
            await writer.drain()
        return True
    said = {
        "service": SERVICE, "cluster": CLUSTER, "method": method, "path": path,
        "id": fields.get("x-soak-id", ""), "length": length, "check": check,
    }  # fmt: skip
    body = b"" if method == "HEAD" else json.dumps(said).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    return True


async def drop_body(reader: asyncio.StreamReader, fields: dict[str, str]) -> tuple[int, int]:
    """Bytes of the body, and their CRC-32. A body is read to its end, however long."""
    length = check = 0
    if fields.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readline()).partition(b";")[0], 16):
            check = zlib.crc32(await reader.readexactly(size), check)
            length += size
            await reader.readexactly(2)
        while (await reader.readline()).strip():
            pass
        return length, check
    left = int(fields.get("content-length", "0"))
    while left > 0:
        piece = await reader.read(min(left, 2**16))
        if not piece:
            raise EOFError
        check = zlib.crc32(piece, check)
        length, left = length + len(piece), left - len(piece)
    return length, check


async def main() -> None:
    server = await asyncio.start_server(serve, "0.0.0.0", int(PORT), backlog=512, limit=2**17)
    async with server:
        await server.serve_forever()


asyncio.run(main())
