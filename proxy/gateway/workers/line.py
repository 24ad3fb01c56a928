"""The line between supervisor and worker: a socket pair that is the worker's standard input.

The supervisor asks for admin pages on it, in HTTP/1.1 as everywhere. Its end tells either side that the other
is gone, however that happened, so that no worker outlives its supervisor.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import cast

from gateway.edge.admin import AdminConnection, Page
from gateway.edge.server import GatewayServer

MAX_ASKED = 16
"""Questions under way; a worker with that many to answer does not answer at all."""


class Line(asyncio.Protocol):
    """The supervisor's end."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._asked: deque[asyncio.Future[Page]] = deque()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        for asked in self._asked:
            if not asked.done():
                asked.set_exception(ConnectionResetError("the worker has ended"))
        self._asked.clear()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            status, *lines = self._buffer[:end].decode().split("\r\n")
            fields = dict(line.split(": ", 1) for line in lines)
            after = end + 4 + int(fields["Content-Length"])
            if len(self._buffer) < after:
                return
            body = bytes(self._buffer[end + 4 : after])
            del self._buffer[:after]
            asked = self._asked.popleft()
            if not asked.done():
                asked.set_result(Page(int(status.split(" ")[1]), fields["Content-Type"], [body]))

    async def ask(self, path: str) -> Page:
        """A page of the worker's. ConnectionError when it is gone, or has long ceased to answer."""
        if self._transport.is_closing() or len(self._asked) >= MAX_ASKED:
            raise ConnectionResetError("the worker does not answer")
        asked: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: worker\r\n\r\n".encode())
        return await asked

    def close(self) -> None:
        self._transport.close()


async def attend(server: GatewayServer, stop: asyncio.Event) -> None:
    """The worker's end, on standard input: answer the supervisor, and stop when it is gone."""
    line = socket.socket(fileno=0)
    line.setblocking(False)
    await asyncio.get_running_loop().create_unix_connection(
        lambda: AdminConnection(server.pages, patience=None, on_end=stop.set), sock=line
    )
